"""Which values of an attribute are told apart: the one partition of a place's learners that all figures follow from.

A value is told where its cohort is large enough. The learners of all other values are one group, the withheld one, which is
large enough too, since the smallest of the large values is in it. So no subtraction leads below the limit (D-LEAST-COHORT).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rules.metrics import Counts

Path = tuple[str | None, ...]
"""The values of a ladder of attributes, such as region, state and district: the last is of the attribute that is asked for."""
SIZES = ("enrolled", "attempted", "scored")
"""Whose number must be large enough: who is counted, and who averages of scores and attempts are of. None at all is, too."""
LADDER = ("region", "state", "district", "block")
"""Attributes that lie within each other: a value of one is told only within a told value of those before it. Otherwise a
state less its districts would be the smallest district."""


def above(attribute: str) -> tuple[str, ...]:
    """Returns the attributes that this one lies within, the widest first."""
    return LADDER[: LADDER.index(attribute)] if attribute in LADDER else ()


def told_paths(cells: Mapping[Path, Counts], least: int) -> frozenset[Path]:
    """Returns the paths that are told apart, of all cells of one place. The cells of all other paths are withheld."""
    return frozenset(_told(cells, list(cells), 0, least))


def _told(cells: Mapping[Path, Counts], paths: Sequence[Path], step: int, least: int) -> Iterator[Path]:
    within: defaultdict[str | None, list[Path]] = defaultdict(list)
    for path in paths:
        within[path[step]].append(path)
    sizes = {value: _sizes(cells[path] for path in those) for value, those in within.items()}
    for value in told_values(sizes, least):
        if step + 1 == len(within[value][0]):
            yield from within[value]
        else:
            yield from _told(cells, within[value], step + 1, least)


def told_values(sizes: Mapping[str | None, Sequence[int]], least: int) -> list[str | None]:
    """Returns the values that are told, of all values with their SIZES.

    Where a value is too small, the smallest large one is withheld with it, all of them if several are as small, and more
    until they are large enough together. So among withheld values there is always a large one, and which it is does not
    show, not even to who knows this rule: exchange the sizes of two of them, and the same is told."""
    told = {value: tuple(own) for value, own in sizes.items() if _is_large(own, least)}
    if len(told) == len(sizes):
        return list(told)
    withheld = _together(own for value, own in sizes.items() if value not in told)
    joins = sorted(set(told.values()))
    while joins:
        size = joins.pop(0)
        alike = [value for value, own in told.items() if own == size]
        withheld = _together((withheld, *(told.pop(value) for value in alike)))
        if _is_large(withheld, least):
            break
    return list(told)


def _together(sizes: Iterable[Sequence[int]]) -> list[int]:
    return [sum(numbers) for numbers in zip(*sizes, strict=True)]


def _sizes(cells: Iterable[Counts]) -> tuple[int, ...]:
    those = list(cells)
    return tuple(sum(_number(counts, name) for counts in those) for name in SIZES)


def _number(counts: Counts, name: str) -> int:
    number = counts.get(name)
    return number if isinstance(number, int) else 0


def _is_large(sizes: Sequence[int], least: int) -> bool:
    return all(number == 0 or number >= least for number in sizes)
