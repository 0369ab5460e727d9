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


def share(keys: Sequence[Key], partition: int, most: int = MOST_KEYS) -> tuple[slice, list[list[Key]]]:
    """Which key columns differ within a statement, and the keys of each: those that agree in all other columns, at
    most ``most``. It is one column, or the whole clustering, which follows the first ``partition`` columns; of these
    the one that gives the fewest statements. ``keys`` are distinct, at least one."""
    width = len(keys[0])
    columns = [slice(column, column + 1) for column in range(width)]
    if width - partition > 1:
        columns.append(slice(partition, width))
    return min(
        ((differing, _parts(keys, differing, most)) for differing in columns),
        key=lambda choice: len(choice[1]),
    )


def _parts(keys: Sequence[Key], differing: slice, most: int) -> list[list[Key]]:
    alike: dict[Key, list[Key]] = {}
    for key in keys:
        alike.setdefault(key[: differing.start] + key[differing.stop :], []).append(key)
    return [group[i : i + most] for group in alike.values() for i in range(0, len(group), most)]


def beyond(prefix: Key, after: Key | None) -> Key | None:
    """What the clustering that follows ``prefix`` must exceed: () for no bound, None where no row can."""
    if after is None:
        return ()
    head = after[: len(prefix)]
    if head != prefix:
        return () if head < prefix else None
    return after[len(prefix) :] or None
