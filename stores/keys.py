"""What both engines of the rows port work out about keys: parts of the ring, keys that share a statement, slices."""

from collections.abc import Sequence
from itertools import pairwise

from stores.rows import Key, TokenRange

MIN_TOKEN, MAX_TOKEN = -(1 << 63), (1 << 63) - 1
"""Of the Murmur3 ring; no partition has MIN_TOKEN."""

MOST_KEYS = 100
"""In one statement: beyond, a coordinator carries too much (design, section 3); the guardrail refuses 200."""


def ring(count: int) -> list[TokenRange]:
    """The whole ring in ``count`` parts of the same size."""
    if count < 1:
        raise ValueError("count must be 1 or more")
    width = MAX_TOKEN - MIN_TOKEN
    bounds = [MIN_TOKEN + width * i // count for i in range(count + 1)]
    return [TokenRange(start, end) for start, end in pairwise(bounds)]


def share(keys: Sequence[Key], most: int = MOST_KEYS) -> tuple[int, list[list[Key]]]:
    """Which key column differs within a statement, and the keys of each: those that agree in all other columns,
    at most ``most``; of the columns, the one that gives the fewest statements. ``keys`` are distinct, at least one."""
    return min(
        ((column, _parts(keys, column, most)) for column in range(len(keys[0]))),
        key=lambda choice: len(choice[1]),
    )


def _parts(keys: Sequence[Key], column: int, most: int) -> list[list[Key]]:
    alike: dict[Key, list[Key]] = {}
    for key in keys:
        alike.setdefault(key[:column] + key[column + 1 :], []).append(key)
    return [group[i : i + most] for group in alike.values() for i in range(0, len(group), most)]


def beyond(prefix: Key, after: Key | None) -> Key | None:
    """What the clustering that follows ``prefix`` must exceed: () for no bound, None where no row can."""
    if after is None:
        return ()
    head = after[: len(prefix)]
    if head != prefix:
        return () if head < prefix else None
    return after[len(prefix) :] or None
