"""The page about a thousand times the load says what the simulation prints."""

from bench.scale.lag import capacity, lag_of, partitions_for
from bench.scale.load import Load
from bench.scale.report import PAGE, printed, with_tables


def test_the_tables_of_the_page_are_those_that_are_printed() -> None:
    """`python -m bench scale --write`."""
    page = PAGE.read_text()
    assert with_tables(page, printed()) == page


def test_triggers_that_wait_are_done_faster_and_enough_partitions_leave_none() -> None:
    """A worker that is ten sessions' pauses behind (300 s) meets ten triggers of a learner: 2.6 + 9 × 0.02 ms for ten, instead of 26."""
    assert round(capacity(300) / capacity(), 1) == round(26 / (2.6 + 0.18), 1)
    load = Load(1_000)
    assert lag_of(load, 4).most > 1_000 > lag_of(load, partitions_for(load)).most
