"""The page about a thousand times the load says what the simulation prints."""

from bench.scale.lag import capacity, lag_of, partitions_for
from bench.scale.limits import limits
from bench.scale.load import Load
from bench.scale.report import PAGE, printed, with_tables


def test_the_tables_of_the_page_are_those_that_are_printed() -> None:
    """`python -m bench scale --write`."""
    page = PAGE.read_text()
    assert with_tables(page, printed()) == page


def test_triggers_that_wait_are_done_faster_and_enough_partitions_leave_none() -> None:
    """A worker that is ten sessions' pauses behind (300 s) meets ten triggers of a learner: 0.8 + 9 × 0.01 ms for ten, instead of 8."""
    assert round(capacity(300) / capacity(), 1) == round(8 / (0.8 + 0.09), 1)
    load = Load(2_000)
    assert lag_of(load, 4).most > 1_000 > lag_of(load, partitions_for(load)).most


def test_limits_are_what_the_busiest_second_asks_for() -> None:
    """A year of one time OULAD has 28,785 × (4 × 100 + 8) + 130,372 triggers. Of these 2.5 / 220 are on the busiest day, 9.5 / 112 of that in
    its busiest hour: 3.18 a second. Four workers of 0.8 ms take 4,000 / 0.8 = 5,000, a task of Druid's 2,000 / 3 = 667."""
    a_second = (28_785 * 408 + 130_372) * 2.5 / 220 * 9.5 / 112 / 3_600
    holds = {limit.what: round(limit.holds) for limit in limits()}
    assert holds["4 partitions of `triggers`, a worker each"] == round(4_000 / 0.8 / a_second) == 1_573
    assert holds["one task of Druid's that reads states"] == round(2_000 / 3 / a_second) == 210
