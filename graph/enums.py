"""Enums: the domain's own, with what each value means."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

import strawberry

from resolvers.nouns import ContentKind, ContextStatus, ContextType, EnrolmentType, Status

__all__ = ["ContentKind", "ContextStatus", "ContextType", "EnrolmentType", "Status"]

E = TypeVar("E", bound=Enum)


def described(enum: type[E], name: str, description: str, values: Mapping[E, str]) -> type[E]:
    """``enum`` as a GraphQL enum, with a description of each value."""
    strawberry.enum(enum, name=name, description=description)
    for value in enum.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values[enum[value.name]]
    return enum


described(
    Status,
    "ProgressStatus",
    "How far a learner is in a content, a unit or a collection. It never goes down.",
    {
        Status.NOT_STARTED: "Nothing was started yet.",
        Status.IN_PROGRESS: "Something was started, and something required is missing.",
        Status.COMPLETED: "Nothing required is missing.",
    },
)
described(
    ContentKind,
    "NodeKind",
    "What a node of a tree is.",
    {
        ContentKind.COLLECTION: "The collection itself, the root of the tree.",
        ContentKind.UNIT: "An inner collection.",
        ContentKind.CONTENT: "A leaf: what a learner views.",
    },
)
described(
    ContextType,
    "ContextType",
    "What gives a collection its dates and people.",
    {
        ContextType.BATCH: "A batch of a course.",
        ContextType.PROGRAM: "A program.",
        ContextType.PROGRAM_BATCH: "A batch of a program.",
        ContextType.EVENT: "An event.",
        ContextType.GROUP: "A group of learners.",
        ContextType.COLLECTION: "The collection taken by itself; no context can be created as one.",
    },
)
described(
    ContextStatus,
    "ContextStatus",
    "Where a context is by its dates, at the moment of the request.",
    {
        ContextStatus.UPCOMING: "Its start date is still to come.",
        ContextStatus.ONGOING: "It has started and not ended.",
        ContextStatus.COMPLETED: "Its end date has passed.",
    },
)
described(
    EnrolmentType,
    "EnrolmentType",
    "Who may enrol in a context.",
    {
        EnrolmentType.OPEN: "Any learner.",
        EnrolmentType.INVITE_ONLY: "Only those whom a mentor, an admin or a service enrols.",
    },
)
