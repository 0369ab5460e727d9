"""Where a group query is answered from."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import InvalidInput
from rules.plans import (
    CHEAP_KEYS,
    NEWEST_TOKEN,
    VISIBLE_WITHIN,
    AggregationMode,
    QueryPlan,
    Source,
    Taken,
    page_plan,
    still_missing,
    write_token,
    written_at,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@given(st.integers(0, 1_772_366_400_000))
def test_a_token_tells_the_millisecond_of_its_write(milliseconds: int) -> None:
    """The last one is that of NOW: 20,513.5 days of 86,400 s."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert abs(written_at(write_token(at), NOW) - at) <= timedelta(milliseconds=1)


@pytest.mark.parametrize("token", ["", "w", "18f", "wxyz", "w-1", "w" + "f" * 40, "w+", " w1"])
def test_a_text_that_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="fresh must be a token") as refused:
        written_at(token, NOW)
    assert refused.value.field == "fresh"


def test_a_token_of_the_future_is_refused_but_clocks_may_differ() -> None:
    assert written_at(write_token(NOW + NEWEST_TOKEN), NOW) == NOW + NEWEST_TOKEN
    with pytest.raises(InvalidInput):
        written_at(write_token(NOW + NEWEST_TOKEN + SECOND), NOW)


def plan(
    members: int, activities: int, mode: AggregationMode = AggregationMode.QUERY, age: timedelta | None = None
) -> QueryPlan:
    fresh = None if age is None else NOW - age
    return page_plan(members=members, activities=activities, mode=mode, fresh=fresh, now=NOW)


def test_few_keys_are_read_as_rows_and_many_asked_of_the_groups_store() -> None:
    assert (plan(25, 20).source, plan(25, 20).estimate) == (Source.ROWS, CHEAP_KEYS)
    assert (plan(150, 20).source, plan(150, 20).estimate) == (Source.STATES, 3000)


def test_a_write_of_a_moment_ago_is_in_the_rows_however_many_they_are() -> None:
    for age in (timedelta(0), VISIBLE_WITHIN - SECOND, -SECOND):
        assert plan(150, 20, age=age).source is Source.ROWS
    assert plan(150, 20, age=VISIBLE_WITHIN).source is Source.STATES


def test_batch_mode_reads_what_was_aggregated_unless_a_write_must_be_in_it() -> None:
    assert plan(150, 20, AggregationMode.BATCH).source is Source.BATCH
    assert plan(150, 20, AggregationMode.BATCH).mode is AggregationMode.BATCH
    assert plan(150, 20, AggregationMode.BATCH, SECOND).source is Source.ROWS
    assert plan(150, 20, AggregationMode.BATCH, SECOND).mode is AggregationMode.QUERY
    assert plan(150, 20, AggregationMode.BATCH, timedelta(minutes=1)).source is Source.STATES


def test_a_token_counts_while_an_answer_may_lack_its_write_and_changes_nothing_later() -> None:
    """A write is visible after 15 s; what was computed just before may be given for 60 s more."""
    for age, counts in ((0, True), (75, True), (76, False)):
        write = NOW - timedelta(seconds=age)
        assert still_missing(write, 60, NOW) == (write if counts else None)


def test_a_plan_tells_clients_what_was_done_and_why() -> None:
    taken = Taken(QueryPlan(Source.STATES, "many", 3000), "cached", 1.23456, ("group", "activities"))
    told = {"source": "states", "reason": "many", "estimate": 3000, "origin": "cached", "age": 1.235}
    assert taken.told() == {"path": ["group", "activities"], **told}
    assert Taken(taken.plan, "cached", 1.23456).told() == told
