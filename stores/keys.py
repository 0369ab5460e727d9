"""Keys of rows, for both engines: ranges of the token ring, keys that share a statement, bounds of slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from stores.rows import Key, TokenRange

MIN_TOKEN, MAX_TOKEN = -(1 << 63), (1 << 63) - 1
"""The ends of the Murmur3 ring. No partition has MIN_TOKEN."""

MOST_KEYS = 100
"""Keys in one statement: more would load one coordinator too much, and the servers' guardrail refuses 200."""

Span = tuple[int, int]
"""Columns of a key by number, from the first to before the last."""


def ring(count: int) -> list[TokenRange]:
    """The whole ring in ``count`` parts of the same size."""
    if count < 1:
        raise ValueError("count must be 1 or more")
    width = MAX_TOKEN - MIN_TOKEN
    bounds = [MIN_TOKEN + width * i // count for i in range(count + 1)]
    return [TokenRange(start, end) for start, end in pairwise(bounds)]


@dataclass(frozen=True, slots=True)
class Shared:
    """Keys that one statement reads. They differ in the spans ``differing`` and agree in all other columns. With two
    spans, every pair of their values is a key."""

    differing: tuple[Span, ...]
    keys: Sequence[Key]


def share(keys: Sequence[Key], partition: int, most: int = MOST_KEYS) -> list[Shared]:
    """Divides distinct keys, at least one, into as few statements as possible, of at most ``most`` keys each.

    Keys share a statement where they differ in one column, or in the whole clustering (the columns after the first
    ``partition``). They also do where they are every pair of the values of two such spans, one of them in the
    partition: for example the members of a class, each in the same few courses.
    """
    width, least = len(keys[0]), -(-len(keys) // most)
    differing = [
        at for at, values in enumerate(zip(*keys, strict=True)) if values.count(values[0]) < len(values)
    ]
    if len(differing) == 1:  # as of most lists
        (only,) = differing
        span = only, only + 1
        return [Shared((span,), keys[at : at + most]) for at in range(0, len(keys), most)]
    spans: list[Span] = [(column, column + 1) for column in range(width)]
    if width - partition > 1:
        spans.append((partition, width))
    best = _alike(keys, spans[0], most)
    for span in spans[1:]:
        if len(best) == least:
            return best
        best = min(best, _alike(keys, span, most), key=len)
    for one, other in combinations(spans, 2):
        if len(best) == least:
            break
        if one[0] < partition and one[1] <= other[0]:
            best = min(best, _paired(keys, one, other, most), key=len)
    return best


def _alike(keys: Sequence[Key], span: Span, most: int) -> list[Shared]:
    """Keys that differ in the span alone go together."""
    alike: dict[Key, list[Key]] = {}
    for key in keys:
        alike.setdefault(key[: span[0]] + key[span[1] :], []).append(key)
    return [
        Shared((span,), group[at : at + most])
        for group in alike.values()
        for at in range(0, len(group), most)
    ]


def _paired(keys: Sequence[Key], one: Span, other: Span, most: int) -> list[Shared]:
    """Keys with the same values in ``other`` go together, whatever their value in ``one``."""
    beside: dict[tuple[Key, Key, Key], dict[Key, dict[Key, Key]]] = {}
    for key in keys:
        rest = key[: one[0]], key[one[1] : other[0]], key[other[1] :]
        beside.setdefault(rest, {}).setdefault(key[slice(*one)], {})[key[slice(*other)]] = key
    shared = []
    for by_one in beside.values():
        alike: dict[frozenset[Key], list[dict[Key, Key]]] = {}
        for by_other in by_one.values():
            alike.setdefault(frozenset(by_other), []).append(by_other)
        for group in alike.values():
            ordered = list(group[0])
            for columns in (ordered[at : at + most] for at in range(0, len(ordered), most)):
                lines = most // len(columns)
                shared += [
                    Shared(
                        (one, other), [line[column] for line in group[at : at + lines] for column in columns]
                    )
                    for at in range(0, len(group), lines)
                ]
    return shared


def beyond(prefix: Key, after: Key | None) -> Key | None:
    """The bound that the clustering after ``prefix`` must exceed: () for no bound, None where no row can exceed it."""
    if after is None:
        return ()
    head = after[: len(prefix)]
    if head != prefix:
        return () if head < prefix else None
    return after[len(prefix) :] or None
