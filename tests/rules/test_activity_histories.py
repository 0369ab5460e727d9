"""What a history shows of each day."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.active_days import day_number
from rules.activity_histories import (
    DEFAULT_METRICS,
    KEPT_METRICS,
    MOST_DAYS,
    ActivityHistoryQuery,
    RecordedDay,
    activity_history_query,
    check_extent,
    day_by_day,
    kept_counts,
)
from rules.errors import InvalidInput
from rules.metrics import COUNTS, LATEST, SUMS, UNSEEN, Metric

FIRST = date(2026, 3, 1)
LATER = 400


def counts(enrolled: int, at: int | None = None) -> dict[str, int | None]:
    return dict.fromkeys(SUMS, 0) | {"enrolled": enrolled, LATEST: at}


def enrolled(query: ActivityHistoryQuery, *contexts: list[RecordedDay], today: int = LATER) -> list[Any]:
    return [
        (each.day, each.counts and each.counts["enrolled"], each.recorded)
        for each in day_by_day(query, contexts, today=today)
    ]


def of_days(first: int, last: int) -> ActivityHistoryQuery:
    return ActivityHistoryQuery(first, last, DEFAULT_METRICS)


def test_a_day_goes_on_with_the_last_one_before() -> None:
    recorded = [RecordedDay(11, counts(3)), RecordedDay(13, counts(5)), RecordedDay(9, counts(2))]
    assert enrolled(of_days(10, 14), recorded) == [
        (10, 2, False),
        (11, 3, True),
        (12, 3, False),
        (13, 5, True),
        (14, 5, False),
    ]


def test_nothing_is_known_before_the_first_day_and_after_today() -> None:
    assert enrolled(of_days(10, 13), [RecordedDay(11, counts(3))], today=12) == [
        (10, None, False),
        (11, 3, True),
        (12, 3, False),
        (13, None, False),
    ]


def test_what_is_gone_has_no_figures_any_more() -> None:
    recorded = [RecordedDay(10, counts(3)), RecordedDay(11, None)]
    assert enrolled(of_days(10, 12), recorded) == [(10, 3, True), (11, None, True), (12, None, False)]


def test_contexts_are_added_up_each_with_its_last_day() -> None:
    one = [RecordedDay(10, counts(3, at=7)), RecordedDay(12, counts(4, at=9))]
    other = [RecordedDay(11, counts(5, at=8))]
    assert enrolled(of_days(10, 12), one, other) == [(10, 3, True), (11, 8, True), (12, 9, True)]
    (*_, last) = day_by_day(of_days(10, 12), [one, other], today=LATER)
    assert last.counts is not None
    assert last.counts[LATEST] == 9, "of moments the latest counts"


@given(st.dictionaries(st.integers(0, 30), st.integers(0, 9)), st.integers(0, 30), st.integers(0, 30))
def test_any_part_of_a_history_shows_what_the_whole_shows(
    recorded: dict[int, int], first: int, more: int
) -> None:
    days = [RecordedDay(day, counts(number)) for day, number in recorded.items()]
    whole = {day: rest for day, *rest in enrolled(of_days(0, 60), days)}
    before = [day for day in recorded if day < first]
    part = [day for day in days if first <= day.day <= first + more or day.day == max(before, default=None)]
    assert enrolled(of_days(first, first + more), part) == [
        (day, *whole[day]) for day in range(first, first + more + 1)
    ]


@given(
    st.fixed_dictionaries({name: st.integers(0, 3) for name in SUMS}),
    st.none() | st.integers(0, 2**41),
)
def test_what_is_kept_has_the_metrics_of_what_was_counted(sums: dict[str, int], at: int | None) -> None:
    whole = {**sums, LATEST: at}
    kept = kept_counts(whole)
    assert kept.keys() <= {*COUNTS}
    assert "enrolled" in kept
    assert {name: kept.get(name, 0) for name in SUMS} == sums
    assert kept.get(LATEST) == (at or None)


def test_metrics_that_runs_do_not_keep_are_refused_by_name() -> None:
    assert {metric for metric in Metric if UNSEEN & {*metric.counts}} == {*Metric} - {*KEPT_METRICS}
    for metric in {*Metric} - {*KEPT_METRICS}:
        with pytest.raises(InvalidInput, match=metric.value) as refused:
            activity_history_query(first=FIRST, last=FIRST, metrics=[Metric.TIME_SPENT, metric])
        assert refused.value.field == "metrics"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"last": FIRST - timedelta(days=1)}, "to"),
        ({"last": FIRST + timedelta(days=MOST_DAYS)}, "to"),
        ({"first": date(1970, 1, 1)}, "from"),
        ({"metrics": []}, "metrics"),
    ],
)
def test_a_query_that_is_wrong_is_refused_by_field(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        activity_history_query(**{"first": FIRST, "last": FIRST, **changed})
    assert refused.value.field == field


def test_400_days_of_50_contexts_are_summed_and_no_more() -> None:
    query = activity_history_query(first=FIRST, last=FIRST + timedelta(days=MOST_DAYS - 1))
    assert (query.first, query.days) == (day_number(FIRST), 400)
    check_extent(query, 50)
    with pytest.raises(InvalidInput, match="51 contexts"):
        check_extent(query, 51)
