"""Strawberry's decorators with the types that its own leave out; a description is not optional here."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

F = TypeVar("F", bound=Callable[..., Any])


AT_HAND = "at hand"
"""In the metadata of a field: how to answer it without its resolver."""


def field(*, description: str, at_hand: Callable[[Any], Any] | None = None) -> Callable[[F], F]:
    """A field that is computed. ``at_hand`` gives the same from an object that has it already and raises where it has
    to be loaded first: a long list of such objects is answered by compiled code (graph/projection.py)."""
    metadata = {} if at_hand is None else {AT_HAND: at_hand}
    return cast("Callable[[F], F]", strawberry.field(description=description, metadata=metadata))


def mutation(*, description: str) -> Callable[[F], F]:
    return cast("Callable[[F], F]", strawberry.mutation(description=description))
