"""What follows from counts."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.metrics import BANDS, COUNTS, LATEST, Counts, Metric, band_of, joined, metric_value

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
    assert [metric_value(metric, {}) for metric in Metric if metric is not Metric.PROGRESS_DISTRIBUTION] == [
        *(0, 0, 0),
        None,
        0,
        None,
    ]


@given(st.integers(0, 100))
def test_every_percentage_is_in_one_band(percentage: int) -> None:
    least, most = BANDS[band_of(percentage)]
    assert least <= percentage <= most
    assert sum(least <= percentage <= most for least, most in BANDS.values()) == 1


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
        known = [value for value in (one[name], two[name]) if value is not None]
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
