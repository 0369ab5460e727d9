"""What follows from counts."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.metrics import (
    BANDS,
    COUNTS,
    DAYS_SPREAD,
    DISTRIBUTIONS,
    LATEST,
    PERCENTILES,
    PROGRESS_SPREAD,
    SCORE_BANDS,
    SCORE_SPREAD,
    Counts,
    Metric,
    band_of,
    joined,
    metric_value,
    seen_before,
)

COUNTED: Counts = {
    "enrolled": 3,
    "completed": 2,
    "progress_sum": 250,
    "progress_50_74": 1,
    "progress_100": 2,
    "time_spent": 90,
    LATEST: 1_770_091_506_789,
}
"""Percentages of 50, 100 and 100. The moment is 20487 days of 86,400 s, 4 h 5 min 6 s, 789 ms after 1970."""

counts = st.fixed_dictionaries({name: st.none() | st.integers(0, 10**12) for name in COUNTS})


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (Metric.ENROLLED_COUNT, 3),
        (Metric.COMPLETED_COUNT, 2),
        (Metric.COMPLETION_PERCENTAGE, 66),
        (Metric.AVERAGE_PROGRESS, 83.33),
        (Metric.PROGRESS_DISTRIBUTION, {"0": 0, "1-24": 0, "25-49": 0, "50-74": 1, "75-99": 0, "100": 2}),
        (Metric.TIME_SPENT, 90),
        (Metric.LAST_ACTIVITY, "2026-02-03T04:05:06.789Z"),
    ],
)
def test_metrics_of_three_enrolments(metric: Metric, value: object) -> None:
    assert metric_value(metric, COUNTED) == value


def test_metrics_of_nobody() -> None:
    assert [metric_value(metric, {}) for metric in Metric if metric not in DISTRIBUTIONS] == [
        *(0, 0, 0),
        None,
        0,
        None,
        *(None, None, None, None, None),
        *(0, 0, 0),
        *(None, None, None),
    ]
    assert metric_value(Metric.PROGRESS_PERCENTILES, {}) is None


SCORED: Counts = {
    "scored": 5,
    "score_sum": 306,
    **dict.fromkeys(("score_0_9", "score_50_59", "score_60_69", "score_90_99", "score_100"), 1),
    "score_spread": {0: 1, 50: 1, 66: 1, 90: 1, 100: 1},
    "attempted": 5,
    "attempts": 8,
    "assessed": 6,
    "right_first": 1,
    "passable": 3,
    "passed": 2,
}
"""Five learners with 0, 50, 66, 90 and 100 %; one attempted two assessments."""


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (Metric.AVERAGE_SCORE, 61.2),
        (Metric.MEDIAN_SCORE, 66.0),
        (Metric.PASS_RATE, 66),
        (Metric.ATTEMPTS_PER_LEARNER, 1.6),
        (Metric.FIRST_ATTEMPT_RIGHT, 16),
    ],
)
def test_scores_of_five_learners(metric: Metric, value: object) -> None:
    """306 / 5; the third of five; floor(200 / 3); 8 / 5; floor(100 / 6)."""
    assert metric_value(metric, SCORED) == value


def test_scores_are_spread_over_bands_of_ten_and_100_by_itself() -> None:
    bands = metric_value(Metric.SCORE_DISTRIBUTION, SCORED)
    assert bands == {
        "0-9": 1,
        "10-19": 0,
        "20-29": 0,
        "30-39": 0,
        "40-49": 0,
        "50-59": 1,
        "60-69": 1,
        "70-79": 0,
        "80-89": 0,
        "90-99": 1,
        "100": 1,
    }


@given(st.lists(st.integers(0, 100)))
def test_the_median_is_that_of_the_percentages_themselves(percentages: list[int]) -> None:
    expected = float(median(percentages)) if percentages else None
    for metric, spread in (
        (Metric.MEDIAN_SCORE, SCORE_SPREAD),
        (Metric.MEDIAN_PROGRESS, PROGRESS_SPREAD),
        (Metric.MEDIAN_DAYS_TO_COMPLETE, DAYS_SPREAD),
    ):
        assert metric_value(metric, {spread: Counter(percentages)}) == expected


def test_percentiles_of_five_enrolments() -> None:
    """0, 50, 66, 90, 100 are at 0, 25, 50, 75 and 100 %. At 10 % it is 10 / 25 of the way from 0 to 50, at 90 % 15 / 25 of
    that from 90 to 100."""
    found = metric_value(Metric.PROGRESS_PERCENTILES, {PROGRESS_SPREAD: {66: 1, 0: 1, 100: 1, 50: 1, 90: 1}})
    assert found == {"10": 20.0, "25": 50.0, "50": 66.0, "75": 90.0, "90": 96.0}
    alone = metric_value(Metric.PROGRESS_PERCENTILES, {PROGRESS_SPREAD: {37: 1}})
    assert alone == dict.fromkeys(("10", "25", "50", "75", "90"), 37.0)


@given(st.lists(st.integers(0, 100), min_size=2))
def test_percentiles_are_those_of_statistics_and_duckdb(percentages: list[int]) -> None:
    found = metric_value(Metric.PROGRESS_PERCENTILES, {PROGRESS_SPREAD: Counter(percentages)})
    assert isinstance(found, dict)
    cuts = quantiles(percentages, n=100, method="inclusive")
    assert [*found] == [str(percent) for percent in PERCENTILES]
    assert [*found.values()] == pytest.approx([cuts[percent - 1] for percent in PERCENTILES])
    engine = duckdb.execute(
        "SELECT quantile_cont(n, [0.1, 0.25, 0.5, 0.75, 0.9]) FROM (SELECT unnest(?) n)", [percentages]
    ).fetchone()
    assert engine is not None
    assert [*found.values()] == pytest.approx(engine[0])


@given(st.lists(st.lists(st.integers(0, 5)), min_size=1))
def test_spreads_of_groups_add_up_to_that_of_all(groups: list[list[int]]) -> None:
    joint = joined(PROGRESS_SPREAD, [Counter(group) for group in groups])
    assert joint == Counter(number for group in groups for number in group)


def test_days_to_complete_are_of_seconds() -> None:
    """Half a day and two days and a quarter: 237,600 s / 2 / 86,400 = 1.375, which rounds to the even 1.38."""
    counts: Counts = {"completions_timed": 2, "seconds_to_complete": 43_200 + 194_400}
    assert metric_value(Metric.AVERAGE_DAYS_TO_COMPLETE, counts) == 1.38


def test_the_moment_of_risk_stays_for_an_hour() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for now in (at, at + timedelta(minutes=59, seconds=59)):
        assert seen_before(now, 14) == datetime(2026, 2, 15, 12, tzinfo=UTC)
    assert seen_before(at + timedelta(hours=1), 14) == datetime(2026, 2, 15, 13, tzinfo=UTC)


@given(st.integers(0, 100))
def test_every_percentage_is_in_one_band(percentage: int) -> None:
    for bands in (BANDS, SCORE_BANDS):
        least, most = bands[band_of(percentage, bands)]
        assert least <= percentage <= most
        assert sum(least <= percentage <= most for least, most in bands.values()) == 1


def added(one: Counts, other: Counts) -> Counts:
    return {name: joined(name, (one[name], other[name])) for name in COUNTS}


@given(counts, counts, counts)
def test_counts_add_up_in_any_order(one: Counts, two: Counts, three: Counts) -> None:
    assert added(one, two) == added(two, one)
    assert added(added(one, two), three) == added(one, added(two, three))


@given(counts, counts)
def test_counts_are_sums_and_the_latest_moment(one: Counts, two: Counts) -> None:
    both = added(one, two)
    for name in COUNTS:
        known = [value for value in (one[name], two[name]) if isinstance(value, int)]
        if name == LATEST:
            assert both[name] == (max(known) if known else None)
        else:
            assert both[name] == sum(known)
        assert joined(name, [both[name]]) == both[name]


@given(st.integers(0, 4_102_444_800_000))
def test_a_moment_is_written_as_everywhere(milliseconds: int) -> None:
    """Up to 2100; it reads as the same moment again."""
    text = metric_value(Metric.LAST_ACTIVITY, {LATEST: milliseconds})
    assert isinstance(text, str)
    assert text[-5] == "."
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo == UTC
    assert round(moment.timestamp() * 1000) == milliseconds
