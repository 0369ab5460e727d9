"""Pages of lists: how many, and whether there are more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rules.errors import InvalidInput

T = TypeVar("T")

USUAL = 20
MOST = 200
"""The most members of a page, and the most identifiers that a call may name."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, in its order.

    ``end``: what the cursor after the page carries, if that is not the cursor of its last member.
    """

    members: Sequence[T]
    has_more: bool
    end: Sequence[str] | None = None


def checked_first(first: int) -> int:
    """The same. InvalidInput that names the limit if it is beyond it."""
    if not 1 <= first <= MOST:
        raise InvalidInput(f"first must be from 1 to {MOST}", field="first")
    return first


def checked_many(identifiers: Sequence[str], field: str) -> Sequence[str]:
    """The same. InvalidInput that names the limit if it is beyond it."""
    if len(identifiers) > MOST:
        raise InvalidInput(f"{field} must name at most {MOST}, not {len(identifiers)}", field=field)
    return identifiers
