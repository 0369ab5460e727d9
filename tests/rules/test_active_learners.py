"""Which dates an answer has, which days count for each, and how few queries read them."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.active_learners import (
    UNITS,
    ActiveLearnersQuery,
    Point,
    active_learners_query,
    days_of,
    tilings,
    without_gaps,
)
from rules.errors import InvalidInput
from rules.periods import PeriodUnit

JANUARY = date(2026, 1, 1)
"""A Thursday."""
QUERIES = st.builds(
    lambda first, days, every, window: ActiveLearnersQuery(first, first + timedelta(days), every, window),
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.integers(0, 100),
    st.sampled_from(UNITS),
    st.none() | st.integers(1, 28),
)


def points(*arguments: object) -> list[tuple[str, str, str]]:
    query = ActiveLearnersQuery(*arguments)  # type: ignore[arg-type]
    return [(str(point.on), str(point.first), str(point.last)) for point in query.points()]


def test_periods_count_whole_and_go_by_their_first_day() -> None:
    # The week of Thursday 1 January 2026 began on Monday 29 December.
    assert points(JANUARY, date(2026, 1, 5), PeriodUnit.WEEK) == [
        ("2025-12-29", "2025-12-29", "2026-01-04"),
        ("2026-01-05", "2026-01-05", "2026-01-11"),
    ]
    assert points(date(2026, 1, 31), date(2026, 2, 1), PeriodUnit.MONTH) == [
        ("2026-01-01", "2026-01-01", "2026-01-31"),
        ("2026-02-01", "2026-02-01", "2026-02-28"),
    ]
    assert points(JANUARY, JANUARY, PeriodUnit.DAY) == [("2026-01-01",) * 3]


def test_windows_go_by_their_last_day() -> None:
    assert points(JANUARY, date(2026, 1, 2), PeriodUnit.DAY, 7) == [
        ("2026-01-01", "2025-12-26", "2026-01-01"),
        ("2026-01-02", "2025-12-27", "2026-01-02"),
    ]
    # The second week has not come to its end by the last day.
    assert points(JANUARY, date(2026, 1, 6), PeriodUnit.WEEK, 28) == [
        ("2026-01-04", "2025-12-08", "2026-01-04"),
        ("2026-01-06", "2025-12-10", "2026-01-06"),
    ]


@given(QUERIES)
def test_tilings_have_every_point_once_and_no_day_twice(query: ActiveLearnersQuery) -> None:
    found = tilings(query.points())
    assert sorted((p for tiling in found for p in tiling), key=lambda p: p.on) == list(query.points())
    for tiling in found:
        days = [day for day, _ in days_of(tiling)]
        assert len(days) == len(set(days))
    assert len(found) <= (query.window or 1)


@given(QUERIES)
def test_every_day_from_the_first_to_the_last_counts(query: ActiveLearnersQuery) -> None:
    counted = {day for tiling in tilings(query.points()) for day, _ in days_of(tiling)}
    if query.window is None or query.every is PeriodUnit.DAY:
        days = (query.last - query.first).days + 1
        assert {str(query.first + timedelta(number)) for number in range(days)} <= counted


def test_a_date_with_nobody_has_a_row_for_each_group() -> None:
    query = active_learners_query(first=JANUARY, last=date(2026, 1, 2), by="context")
    assert without_gaps(query, {("b", "2026-01-01"): 2, (None, "2026-01-02"): 1}) == [
        ("2026-01-01", None, 0),
        ("2026-01-01", "b", 2),
        ("2026-01-02", None, 1),
        ("2026-01-02", "b", 0),
    ]
    alone = active_learners_query(first=JANUARY, last=JANUARY)
    assert without_gaps(alone, {}) == [("2026-01-01", None, 0)]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"last": JANUARY - timedelta(days=1)}, "to"),
        ({"first": date(1960, 1, 1)}, "from"),
        ({"window": 29}, "window"),
        ({"window": 0}, "window"),
        ({"last": JANUARY + timedelta(days=400)}, "to"),
        ({"last": date(2100, 1, 1), "every": PeriodUnit.MONTH}, "to"),
        ({"activity_ids": []}, "activityIds"),
    ],
)
def test_what_can_not_be_answered_is_refused_by_its_field(given: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        active_learners_query(**({"first": JANUARY, "last": JANUARY} | given))  # type: ignore[arg-type]
    assert refused.value.field == field


def test_400_dates_are_answered() -> None:
    query = active_learners_query(first=JANUARY, last=JANUARY + timedelta(days=399), window=28)
    assert len(list(query.points())) == 400
    assert [type(point) for point in query.points()] == [Point] * 400


def test_more_rows_than_an_answer_may_have_are_refused() -> None:
    query = active_learners_query(first=JANUARY, last=JANUARY + timedelta(days=399), by="context")
    with pytest.raises(InvalidInput, match="name activities or contexts") as refused:
        without_gaps(query, {(f"batch-{number}", "2026-01-01"): 1 for number in range(126)})
    assert refused.value.field == "by"
