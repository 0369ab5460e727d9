"""Pages of lists: how many, and whether there are more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rules.errors import InvalidInput

T = TypeVar("T")

USUAL = 20
MOST = 200
"""Members a page may have, and identifiers a call may name."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, in its order."""

    members: Sequence[T]
    has_more: bool


def checked_first(first: int) -> int:
    """InvalidInput that names the limit."""
    if not 1 <= first <= MOST:
        raise InvalidInput(f"first must be from 1 to {MOST}", field="first")
    return first


def checked_many(identifiers: Sequence[str], field: str) -> Sequence[str]:
    """InvalidInput that names the limit."""
    if len(identifiers) > MOST:
        raise InvalidInput(f"{field} must name at most {MOST}, not {len(identifiers)}", field=field)
    return identifiers
