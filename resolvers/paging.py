"""Pages of lists: how many, and whether there are more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from resolvers.opaque_texts import decode_cursor
from rules.errors import InvalidInput

T = TypeVar("T")

USUAL = 20
MOST = 200
"""The most members of a page, and the most identifiers that a call may name."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, in its order.

    ``end``: what the cursor after the page carries, if that is not the cursor of its last member. ``has_earlier``: whether
    there are members before the page; None where that would have to be read. ``total``: members of the whole list, None
    where nobody has counted them.
    """

    members: Sequence[T]
    has_more: bool
    end: Sequence[str] | None = None
    has_earlier: bool | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page of a list is asked for: the ``limit`` members that come after ``place``, or before it if ``backward``.
    Without a place they are the first ones of the list, or the last ones."""

    limit: int
    place: tuple[str, ...] | None = None
    backward: bool = False

    @property
    def field(self) -> str:
        """The argument that the place is from."""
        return "before" if self.backward else "after"


def asked(first: int | None, after: str | None, last: int | None, before: str | None, *, parts: int) -> Asked:
    """What Relay's four arguments ask for, with cursors of so many ``parts``. InvalidInput where they ask for both
    directions, or for more than a page may have."""
    backward = last is not None or before is not None
    if backward and (first is not None or after is not None):
        raise InvalidInput(
            "a page goes one way: it takes first and after, or last and before",
            field="before" if last is None else "last",
        )
    if backward:
        limit = checked_first(USUAL if last is None else last, "last")
        return Asked(limit, decode_cursor(before, parts, "before"), backward)
    return Asked(checked_first(USUAL if first is None else first), decode_cursor(after, parts))


def checked_first(first: int, field: str = "first") -> int:
    """The same. InvalidInput that names the limit if it is beyond it."""
    if not 1 <= first <= MOST:
        raise InvalidInput(f"{field} must be from 1 to {MOST}", field=field)
    return first


def checked_many(identifiers: Sequence[T], field: str) -> Sequence[T]:
    """The same. InvalidInput that names the limit if it is beyond it."""
    if len(identifiers) > MOST:
        raise InvalidInput(f"{field} must name at most {MOST}, not {len(identifiers)}", field=field)
    return identifiers
