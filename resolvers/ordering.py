"""Orders of lists whose members are all in memory, and pages of them both ways."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from resolvers.paging import Asked, Page
from rules.errors import InvalidInput
from rules.moments import milliseconds, moment

T = TypeVar("T")

Value = str | int | datetime | None

PARTS = 4
"""Parts of a cursor: the order, whether the member has a value, the value, and the member's id."""

MOST_ORDERED = 2_000
"""The most members of a list that are read to put them in an order that no store keeps, to go backwards, or to count."""

_DIGITS, _ABOVE_ZERO = 20, 10**17
"""Numbers are texts of so many digits, with so much added that none is negative. So texts compare as numbers do."""


@dataclass(frozen=True, slots=True)
class Ordering(Generic[T]):
    """By what a list is ordered. No value is less than any, and of equal values the id decides, both in this direction.

    Small and capital letters are alike. ``name``: goes into the cursors, so that a cursor of another order is refused.
    ``kept``: members come in this order already, and are not sorted.
    """

    name: str
    value: Callable[[T], Value]
    id: Callable[[T], str]
    descending: bool = False
    kept: bool = False

    def place(self, member: T) -> tuple[str, ...]:
        """What the member's cursor carries: PARTS texts."""
        return self.place_of(self.value(member), self.id(member))

    def place_of(self, value: Value, identifier: str) -> tuple[str, ...]:
        """The place of a member with this value and id."""
        return self._title, "0" if value is None else "1", _text(value), identifier

    def page(self, members: Sequence[T], asked: Asked) -> Page[T]:
        """The page of these members that is asked for, with the number of all. InvalidInput for a cursor of another order.

        A place need not be that of a member: the one that it was of may be gone, or have another value.
        """
        ordered = members if self.kept else sorted(members, key=self.place, reverse=self.descending)
        begin, end = 0, len(ordered)
        if asked.place is not None:
            self._check(asked)
            wanted = asked.place
            if asked.backward:
                end = sum(self._is_behind(wanted, self.place(member)) for member in ordered)
            else:
                begin = sum(not self._is_behind(self.place(member), wanted) for member in ordered)
        if asked.backward:
            begin = max(begin, end - asked.limit)
        else:
            end = min(end, begin + asked.limit)
        return Page(
            ordered[begin:end],
            has_more=end < len(ordered),
            has_earlier=begin > 0,
            total=len(ordered),
        )

    def id_of_place(self, asked: Asked) -> str | None:
        """The id in the cursor, for a list that the store goes on with. InvalidInput for a cursor of another order."""
        if asked.place is None:
            return None
        self._check(asked)
        return asked.place[-1]

    def moment_of_place(self, asked: Asked) -> tuple[datetime, str] | None:
        """The moment and the id in the cursor, in an order by moments. InvalidInput for a cursor of another order."""
        if asked.place is None:
            return None
        self._check(asked)
        try:
            return moment(int(asked.place[2]) - _ABOVE_ZERO), asked.place[3]
        except (ValueError, OverflowError):
            raise self._refusal(asked) from None

    def _check(self, asked: Asked) -> None:
        if asked.place is not None and (len(asked.place) != PARTS or asked.place[0] != self._title):
            raise self._refusal(asked)

    def _refusal(self, asked: Asked) -> InvalidInput:
        return InvalidInput(f"{asked.field} must be a cursor of this list and order", field=asked.field)

    @property
    def _title(self) -> str:
        return f"{self.name} {'DESC' if self.descending else 'ASC'}"

    def _is_behind(self, place: tuple[str, ...], other: tuple[str, ...]) -> bool:
        return place < other if self.descending else place > other


def by_id(_: object) -> Value:
    """The value of every member in an order by ids, which then decide."""
    return ""


def too_many(what: str, instead: str) -> InvalidInput:
    """The refusal of an order that would need more than MOST_ORDERED members. ``instead``: what the caller can do."""
    return InvalidInput(
        f"there are more than {MOST_ORDERED} {what}, too many for this order or direction; {instead}",
        field="orderBy",
    )


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.casefold()
    number = milliseconds(value) if isinstance(value, datetime) else value
    return f"{number + _ABOVE_ZERO:0{_DIGITS}d}"
