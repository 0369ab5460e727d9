"""Orders of lists whose members are all in memory, and pages of them both ways."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from resolvers.paging import Asked, Page
from rules.errors import InvalidInput
from rules.moments import milliseconds

T = TypeVar("T")

Value = str | int | datetime | None

PARTS = 4
"""Parts of a cursor: the order, whether the member has a value, the value, and the member's id."""

_DIGITS, _ABOVE_ZERO = 20, 10**17
"""Numbers are texts of so many digits, with so much added that none is negative. So texts compare as numbers do."""


@dataclass(frozen=True, slots=True)
class Ordering(Generic[T]):
    """By what a list is ordered. What has no value comes last, whichever the direction; of equal values the id decides.

    Small and capital letters are alike. ``name``: goes into the cursors, so that a cursor of another order is refused.
    """

    name: str
    value: Callable[[T], Value]
    id: Callable[[T], str]
    descending: bool = False

    def place(self, member: T) -> tuple[str, ...]:
        """What the member's cursor carries: PARTS texts."""
        value = self.value(member)
        return self._title, "0" if value is not None else "1", _text(value), self.id(member)

    def page(self, members: Sequence[T], asked: Asked) -> Page[T]:
        """The page of these members that is asked for, with the number of all. InvalidInput for a cursor of another order.

        A place need not be that of a member: the one that it was of may be gone, or have another value.
        """
        placed = self._in_order(members)
        begin, end = 0, len(placed)
        if asked.place is not None:
            if len(asked.place) != PARTS or asked.place[0] != self._title:
                raise InvalidInput(
                    f"{asked.field} must be a cursor of this list and order", field=asked.field
                )
            wanted = asked.place
            if asked.backward:
                end = sum(self._is_behind(wanted, place) for place, _ in placed)
            else:
                begin = sum(not self._is_behind(place, wanted) for place, _ in placed)
        if asked.backward:
            begin = max(begin, end - asked.limit)
        else:
            end = min(end, begin + asked.limit)
        return Page(
            [member for _, member in placed[begin:end]],
            has_more=end < len(placed),
            has_earlier=begin > 0,
            total=len(placed),
        )

    @property
    def _title(self) -> str:
        return f"{self.name} {'DESC' if self.descending else 'ASC'}"

    def _in_order(self, members: Sequence[T]) -> list[tuple[tuple[str, ...], T]]:
        placed = [(self.place(member), member) for member in members]
        placed.sort(key=lambda pair: pair[0], reverse=self.descending)
        placed.sort(key=lambda pair: pair[0][1])  # keeps the order of those that are alike
        return placed

    def _is_behind(self, place: tuple[str, ...], other: tuple[str, ...]) -> bool:
        if place[1] != other[1]:
            return place[1] > other[1]
        return place < other if self.descending else place > other


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.casefold()
    number = milliseconds(value) if isinstance(value, datetime) else value
    return f"{number + _ABOVE_ZERO:0{_DIGITS}d}"
