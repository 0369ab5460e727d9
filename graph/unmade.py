"""Lists whose members are made only where somebody needs them as objects.

A page of thousands is shown out of rows (tuples) that hold all that is asked of most members. A field says beside its resolver
what it is ``of_row``: the attribute of the row that answers it, or a function of the row. Where all that is asked of a member
says so, graph/projection.py writes the list from its rows; else the members are made and go the ordinary way, so that a field
that says nothing is answered as ever.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

OF_ROW = "of a row"
"""The key in a field's metadata."""
_ROW_CLASS = "row_class"
"""The name of what a type says of all its fields: the class of the rows that they are of, ``object`` for any."""


@dataclass(frozen=True, slots=True, eq=False)
class Unmade:
    """``make`` makes the member of a row."""

    rows: Sequence[Any]
    make: Callable[[Any], Any]

    def __iter__(self) -> Iterator[Any]:
        return map(self.make, self.rows)


def row_classes(classes: Iterable[type]) -> frozenset[type] | None:
    """The classes of rows that the fields of these classes are of; None where they don't say so."""
    return frozenset(getattr(each, _ROW_CLASS) for each in classes if hasattr(each, _ROW_CLASS)) or None


class OfRow(NamedTuple):
    """``get``: an attribute of the row, or a function of the row and of the field's arguments. It gives a row of the
    field's type, or its object where that is ``made``. Moments may be epoch milliseconds. ``repeated``: many rows have the
    same one, so it is written once for all of them."""

    get: str | Callable[..., Any]
    made: bool = False
    repeated: bool = False


def of_row(get: str | Callable[..., Any], *, repeated: bool = False) -> dict[Any, Any]:
    """The metadata of a field that is an attribute."""
    return {OF_ROW: OfRow(get, repeated=repeated)}
