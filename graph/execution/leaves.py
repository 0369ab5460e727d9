"""How leaves are shown by compiled code: moments, choices of enums, whole numbers."""

from datetime import datetime
from enum import Enum
from typing import Any

from graphql import GRAPHQL_MAX_INT, GRAPHQL_MIN_INT, GraphQLError

from graph.execution.object_readers import CHOICE, MOMENT
from graph.execution.reads import Caller, NotPlain, Read
from graph.scalars import format_moment
from resolvers.nouns import CohortError

FAILURES = (CohortError, GraphQLError, ArithmeticError, LookupError, TypeError, ValueError)
"""What resolvers refuse with, and what scalars, enums and resolvers meet in a value that is not of its type."""
MOST_MOMENTS = 8_192
"""Texts of moments that the process keeps, some 250 bytes each."""


class Moments:
    """Shows moments, those of light members in epoch milliseconds."""

    ways = MOMENT

    def __init__(self, serialised: Read) -> None:
        self.kept = _WRITTEN
        self._serialised = serialised

    def __call__(self, value: Any, _: Caller) -> Any:
        return self.kept[value] if value.__class__ in (datetime, int) else self._serialised(value)


class Choices:
    """Shows members of an enum by their names: a member's own hash is worked out anew each time."""

    ways = CHOICE

    def __init__(self, serialised: Read, choices: type[Enum]) -> None:
        self.kept = _Names(serialised, choices)
        self._serialised = serialised

    def __call__(self, value: Any, _: Caller) -> Any:
        return self.kept[value._name_] if value.__class__ is self.kept.choices else self._serialised(value)


class _Names(dict[Any, Any]):
    """What stands for members of an enum, by their names, each worked out when it is first looked for."""

    def __init__(self, serialised: Read, choices: type[Enum]) -> None:
        self.choices = choices
        self._serialised = serialised

    def __missing__(self, name: str) -> Any:
        shown = self[name] = self._serialised(self.choices[name])
        return shown


class _Written(dict[Any, str]):
    """The texts of moments that were shown last. The same come again and again, on a page and from request to request: of
    contexts, of groups that began together."""

    def __missing__(self, value: Any) -> str:
        try:
            shown = format_moment(value)
        except FAILURES as error:
            raise NotPlain from error
        if len(self) >= MOST_MOMENTS:
            self.clear()
        self[value] = shown
        return shown


_WRITTEN = _Written()
"""Of the process."""


def whole_number(value: Any, _: Caller) -> int:
    if value.__class__ is not int or not GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT:
        raise NotPlain
    return value
