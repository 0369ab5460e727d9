"""Somebody who puts together all that they were told of cohorts, to learn how many learners are in one that is too small.

They know which values there are, and that learners come in whole numbers. They subtract what lies within each other, and
bound each cell by what is left.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence

Bounds = tuple[int, int]
"""The least and the most learners that there may be."""
ROUNDS = 50


class Adversary:
    """``cells``: all that there may be."""

    def __init__(self, cells: Iterable[Hashable]) -> None:
        self._places = {cell: place for place, cell in enumerate(cells)}
        self._told: dict[int, Bounds] = {}

    def hears(self, cells: Iterable[Hashable], least: int, most: int | None = None) -> None:
        """These cells together have so many learners, exactly or within bounds."""
        self._note(self._told, self._mask(cells), least, least if most is None else most)

    def knows(self) -> Mapping[Hashable, Bounds]:
        """The bounds of each cell that was heard of."""
        whole = self._put_together()
        bounds = {place: [0, 10**9] for place in self._places.values()}
        sums = [(list(_bits(mask)), least, most) for mask, (least, most) in whole.items()]
        for _ in range(ROUNDS):
            if not sum(_narrows(bounds, *each) for each in sums):
                break
        return {cell: (bounds[place][0], bounds[place][1]) for cell, place in self._places.items()}

    def exactly(self) -> Iterable[tuple[frozenset[Hashable], int]]:
        """Every sum of cells of which they know the number of learners."""
        cells = list(self._places)
        for mask, (least, most) in self._put_together().items():
            if least == most:
                yield frozenset(cells[place] for place in _bits(mask)), least

    def _put_together(self) -> dict[int, Bounds]:
        """What was told, and what is left where one sum lies within another."""
        known = dict(self._told)
        fresh = dict(known)
        while fresh:
            found: dict[int, Bounds] = {}
            for mask, (least, most) in fresh.items():
                for other, (other_least, other_most) in known.items():
                    if mask != other and mask & other == other:
                        self._note(found, mask ^ other, max(0, least - other_most), most - other_least)
                    elif mask != other and mask & other == mask:
                        self._note(found, mask ^ other, max(0, other_least - most), other_most - least)
            fresh = {}
            for mask, (least, most) in found.items():
                before = known.get(mask)
                self._note(known, mask, least, most)
                # Differences of bounds alone would go on for long and tell nothing.
                if known[mask] != before and least == most:
                    fresh[mask] = known[mask]
        return known

    @staticmethod
    def _note(told: dict[int, Bounds], mask: int, least: int, most: int) -> None:
        if mask:
            before = told.get(mask, (0, 10**9))
            told[mask] = max(before[0], least), min(before[1], most)

    def _mask(self, cells: Iterable[Hashable]) -> int:
        return sum(1 << place for place in {self._places[cell] for cell in cells})


def _bits(mask: int) -> Iterable[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _narrows(bounds: Mapping[int, list[int]], places: Sequence[int], least: int, most: int) -> bool:
    """Whether the sum of these cells narrows the bounds of one of them."""
    narrows = False
    lows, highs = sum(bounds[place][0] for place in places), sum(bounds[place][1] for place in places)
    for place in places:
        low, high = bounds[place]
        narrower = [max(low, least - (highs - high)), min(high, most - (lows - low))]
        if narrower != [low, high]:
            bounds[place][:] = narrower
            lows, highs = lows + narrower[0] - low, highs + narrower[1] - high
            narrows = True
    return narrows
