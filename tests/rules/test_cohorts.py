"""Which values are told: no subtraction, and no knowledge of the rule itself, leads to a cohort below the limit."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain, combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import cohorts
from rules.cohorts import LADDER, SIZES, Path, above, told_paths, told_values
from rules.metrics import Counts
from tests.rules.adversary import Adversary

LEAST = 5


def cell(enrolled: int, attempted: int = 0, scored: int = 0) -> Counts:
    return dict(zip(SIZES, (enrolled, attempted, scored), strict=True))


def told(least: int = LEAST, **enrolled: int) -> set[str | None]:
    return {
        path[-1] for path in told_paths({(name,): cell(number) for name, number in enrolled.items()}, least)
    }


def test_small_values_are_withheld_with_the_smallest_large_one() -> None:
    """2 alone would be the total less 9 and 7. 4 and 4 would be all that 8 learners of two values can be, where a value of 5
    is told: 3 and 5 would have that one withheld, too."""
    assert told(a=2, b=7, c=9) == {"c"}
    assert told(a=4, b=4, c=5) == set()
    assert told(a=2, b=7, c=7, d=9) == {"d"}
    assert told(a=4, b=50) == set()
    assert told(a=5, b=50) == {"a", "b"}


def test_a_value_is_told_where_its_averages_are_of_enough_learners_too() -> None:
    """Of b one learner was scored: an average would be theirs. a joins: its sizes are smaller than those of c."""
    cells: dict[Path, Counts] = {
        ("a",): cell(8, 6, 6),
        ("b",): cell(30, 1, 1),
        ("c",): cell(9, 9, 9),
        ("d",): cell(9),
    }
    assert {path[-1] for path in told_paths(cells, LEAST)} == {"c", "d"}


def test_districts_are_told_within_told_states_alone() -> None:
    """Goa has 3 + 1 learners: as a state it is withheld with Kerala, and so are its districts. Of Punjab and Assam both
    districts with 20 are told, and those with 4 and 3 are withheld with another district of their state."""
    cells: dict[Path, Counts] = {
        (None, "Goa", "North"): cell(3),
        (None, "Goa", "South"): cell(1),
        (None, "Kerala", "Idukki"): cell(8),
        (None, "Punjab", "Moga"): cell(4),
        (None, "Punjab", "Mansa"): cell(12),
        (None, "Punjab", "Patiala"): cell(20),
        (None, "Assam", "Jorhat"): cell(20),
    }
    assert above("district") == ("region", "state")
    assert {path[-1] for path in told_paths(cells, LEAST)} == {"Patiala", "Jorhat"}


@given(
    st.dictionaries(
        st.none() | st.sampled_from("abcdefgh"),
        st.tuples(st.integers(1, 30), st.integers(0, 12), st.integers(0, 12)),
        min_size=1,
    ),
    st.integers(3, 12),
)
def test_who_is_withheld_is_enough_or_everybody(
    sizes: Mapping[str | None, Sequence[int]], least: int
) -> None:
    """Each told value, and the others together, have at least so many learners by each size, or none."""
    found = told_values(sizes, least)
    rest = [own for value, own in sizes.items() if value not in found]
    together = [sum(numbers) for numbers in zip(*rest, strict=True)]
    for own in [sizes[value] for value in found] + ([together] if found and rest else []):
        assert all(number == 0 or number >= least for number in own)


def published(counts: Sequence[int], least: int) -> tuple[object, ...]:
    """What is told of values with these counts; a value without learners is in no row."""
    there: dict[str | None, tuple[int, ...]] = {
        str(place): (count, 0, 0) for place, count in enumerate(counts) if count
    }
    shown = told_values(there, least)
    withheld = sum(own[0] for value, own in there.items() if value not in shown)
    return (*sorted((value, there[value][0]) for value in shown if value is not None), withheld)


@pytest.mark.parametrize(
    ("values", "least", "most"), [(2, 3, 9), (3, 3, 8), (4, 3, 6), (2, 5, 14), (3, 5, 11)]
)
def test_who_knows_the_rule_learns_no_small_cohort(values: int, least: int, most: int) -> None:
    """Of all tables with so many values and so many learners of each, those that show the same are alike to the reader,
    who knows how they are made. In none of these classes is a value, or the sum of some withheld ones, the same small
    number. Tables in which all are fewer than the limit show their total, which no attribute is in."""
    alike: defaultdict[tuple[object, ...], list[tuple[int, ...]]] = defaultdict(list)
    for counts in product(range(most + 1), repeat=values):
        if sum(counts) >= least:
            alike[published(counts, least)].append(counts)
    subsets = chain.from_iterable(combinations(range(values), size) for size in range(1, values))
    assert sum(max(map(max, tables)) < most for tables in alike.values()) > 1
    for subset in subsets:
        for shown, tables in alike.items():
            # The largest counts that are looked at bound what could be there: such classes are not whole.
            if any(max(counts) == most for counts in tables):
                continue
            sums = {sum(counts[place] for place in subset) for counts in tables}
            assert len(sums) > 1 or not 0 < next(iter(sums)) < least, (shown, subset, tables)


def test_a_limit_of_two_would_show_two_learners_to_each_other() -> None:
    """The reason why the settings refuse it: two withheld learners of two values are one each."""
    tables = [counts for counts in product(range(6), repeat=2) if published(counts, 2) == (2,)]
    assert tables == [(1, 1)]


GEOGRAPHY = {
    f"{state}{district}{block}": (None, state, state + district, state + district + block)
    for state, district, block in product("ST", "ab", "12")
}


def heard_of(counts: Mapping[str, int]) -> Adversary[str]:
    """Somebody who knows which block is in which district and state, and has asked by each."""
    adversary = Adversary(GEOGRAPHY)
    for rung in LADDER[1:]:
        at = LADDER.index(rung)
        cells: defaultdict[Path, int] = defaultdict(int)
        for block, count in counts.items():
            if count:
                cells[
                    (*(GEOGRAPHY[block][LADDER.index(wider)] for wider in above(rung)), GEOGRAPHY[block][at])
                ] += count
        shown = told_paths({path: cell(number) for path, number in cells.items()}, LEAST)
        names = {path[-1] for path in shown}
        for path in shown:
            adversary.hears([block for block in GEOGRAPHY if GEOGRAPHY[block][at] == path[-1]], cells[path])
        others = [block for block in GEOGRAPHY if GEOGRAPHY[block][at] not in names]
        adversary.hears(others, sum(number for path, number in cells.items() if path not in shown))
    return adversary


def small_cohorts(adversary: Adversary[str]) -> list[object]:
    pinned = [cell for cell, (least, most) in adversary.knows().items() if 0 < least == most < LEAST]
    return [*pinned, *(sum_ for sum_, number in adversary.exactly() if 0 < number < LEAST)]


COUNTS = st.fixed_dictionaries({block: st.integers(0, 14) for block in GEOGRAPHY}).filter(
    lambda counts: sum(counts.values()) >= LEAST
)


@given(COUNTS)
def test_who_asks_by_state_district_and_block_learns_no_small_cohort(counts: dict[str, int]) -> None:
    adversary = heard_of(counts)
    assert small_cohorts(adversary) == []
    assert all(least <= counts[block] <= most for block, (least, most) in adversary.knows().items())


def test_without_the_ladder_the_same_somebody_learns_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """State T has 20 + 4. Districts are told over all states, where 3, 4 and 17 are withheld together. T less Ta is 4."""
    counts = dict.fromkeys(GEOGRAPHY, 0) | {"Sa1": 17, "Sb1": 3, "Ta1": 20, "Tb1": 4}
    assert small_cohorts(heard_of(counts)) == []
    monkeypatch.setattr("tests.rules.test_cohorts.above", lambda attribute: ())
    assert cohorts.above("district") != ()
    assert small_cohorts(heard_of(counts)) != []
