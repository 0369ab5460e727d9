"""Somebody who puts together all that they were told of cohorts, to learn how many learners are in one that is too small.

They know which values there are, and that learners come in whole numbers. They solve the equations that they were told, so
they find whatever follows by subtraction, and bound each cell by what is left.
"""

from collections.abc import Hashable, Iterable, Mapping
from fractions import Fraction
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)
Bounds = tuple[int, int]
"""The least and the most learners that there may be."""
Row = dict[int, Fraction]
"""Cells with their coefficients; under SUM what they come to."""
SUM = -1
ROUNDS = 20
MANY = 10**9


class Adversary(Generic[C]):
    """``cells``: all that there may be."""

    def __init__(self, cells: Iterable[C]) -> None:
        self.cells = list(cells)
        self._places = {cell: place for place, cell in enumerate(self.cells)}
        self._solved: dict[int, Row] = {}
        """Rows of the solution by their first cell, which no other row has."""
        self._told: dict[frozenset[int], Bounds] = {}

    def hears(self, cells: Iterable[C], least: int, most: int | None = None) -> None:
        """These cells together have so many learners, exactly or within bounds."""
        most = least if most is None else most
        places = frozenset(self._places[cell] for cell in cells)
        if not places or self._told.get(places) == (least, most):
            return
        before = self._told.get(places, (0, MANY))
        self._told[places] = max(before[0], least), min(before[1], most)
        if least == most:
            self._solve({**dict.fromkeys(places, Fraction(1)), SUM: Fraction(least)})

    def knows(self) -> Mapping[C, Bounds]:
        """The bounds of each cell."""
        bounds = {place: [Fraction(0), Fraction(MANY)] for place in range(len(self.cells))}
        sums = [(dict.fromkeys(places, Fraction(1)), *ends) for places, ends in self._told.items()]
        sums += [(_left(row), int(row.get(SUM, 0)), int(row.get(SUM, 0))) for row in self._solved.values()]
        for _ in range(ROUNDS):
            if not sum(_narrows(bounds, *each) for each in sums):
                break
        # Of whole numbers: up from below, down from above.
        return {
            cell: (-(-bounds[place][0] // 1), bounds[place][1] // 1) for cell, place in self._places.items()
        }

    def exactly(self) -> Iterable[tuple[frozenset[C], int]]:
        """Sums of cells of which they know the number of learners."""
        sums = [(places, least) for places, (least, most) in self._told.items() if least == most]
        sums += [
            (frozenset(_left(row)), int(row.get(SUM, 0)))
            for row in self._solved.values()
            if all(coefficient == 1 for coefficient in _left(row).values())
        ]
        for places, number in sums:
            yield frozenset(self.cells[place] for place in places), number

    def _solve(self, row: Row) -> None:
        """Adds an equation to the solution, unless it follows from it."""
        for place in [place for place in row if place in self._solved]:
            _subtract(row, self._solved[place], row[place])
        if not _left(row):
            return
        first = min(_left(row))
        own = {place: coefficient / row[first] for place, coefficient in row.items()}
        for other in self._solved.values():
            if first in other:
                _subtract(other, own, other[first])
        self._solved[first] = own


def _left(row: Row) -> Row:
    return {place: coefficient for place, coefficient in row.items() if place != SUM}


def _subtract(row: Row, other: Row, times: Fraction) -> None:
    for place, coefficient in other.items():
        left = row.get(place, 0) - times * coefficient
        if left:
            row[place] = Fraction(left)
        else:
            row.pop(place, None)


def _narrows(bounds: Mapping[int, list[Fraction]], row: Row, least: int, most: int) -> bool:
    """Whether this sum narrows the bounds of one of its cells."""
    narrows = False
    ends = {
        place: sorted((coefficient * bounds[place][0], coefficient * bounds[place][1]))
        for place, coefficient in row.items()
    }
    lows, highs = sum(end[0] for end in ends.values()), sum(end[1] for end in ends.values())
    for place, coefficient in row.items():
        low, high = ends[place]
        new = sorted(((least - (highs - high)) / coefficient, (most - (lows - low)) / coefficient))
        narrower = [max(bounds[place][0], new[0]), min(bounds[place][1], new[1])]
        if narrower != bounds[place]:
            bounds[place][:] = narrower
            ends[place] = sorted((coefficient * narrower[0], coefficient * narrower[1]))
            lows, highs = lows + ends[place][0] - low, highs + ends[place][1] - high
            narrows = True
    return narrows
