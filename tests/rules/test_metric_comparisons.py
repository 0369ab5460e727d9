"""What stands beside the figures of a period."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import InvalidInput
from rules.metric_comparisons import Period, checked_period, same_places
from rules.metric_filters import Every, Within
from rules.metric_queries import Key, metric_query
from rules.metric_tables import Groups, difference, share
from rules.metrics import Counts, Metric
from rules.moments import milliseconds

ENROLLED = [Metric.ENROLLED_COUNT]
FIRST = datetime(2000, 1, 1, tzinfo=UTC)
CALENDAR = st.timedeltas(timedelta(), timedelta(days=20_000)).map(lambda long: FIRST + long)


def period(start: datetime, end: datetime) -> Period:
    return Period("enrolled_on", milliseconds(start), milliseconds(end))


@given(CALENDAR, st.timedeltas(timedelta(milliseconds=1), timedelta(days=3660)))
def test_the_previous_period_is_as_long_and_ends_where_the_other_begins(
    start: datetime, long: timedelta
) -> None:
    own = period(start, start + long)
    assert own.previous.end == own.start
    assert own.previous.end - own.previous.start == own.end - own.start


@given(CALENDAR, st.integers(1, 400), st.sampled_from(["day", "week", "month", "quarter", "year"]))
def test_the_first_stands_beside_the_first_and_none_twice(start: datetime, days: int, unit: str) -> None:
    own = period(start, start + timedelta(days=days))
    times = metric_query(metrics=ENROLLED, dimensions=[f"enrolled_{unit}"]).time_dimensions
    places = same_places(own, times, "UTC")[f"enrolled_{unit}"]
    before, names = own.previous.names(times[0], "UTC"), own.names(times[0], "UTC")
    assert [*places] == before[: len(names)]
    assert [*places.values()] == names[: len(before)]


def test_days_are_those_of_the_zone() -> None:
    """In Kolkata it is 5:30 later: what ends at noon of the second has its last moment there in the evening of it, and what
    begins at 20:00 of the first begins on the second."""
    own = period(datetime(2026, 1, 1, 20, tzinfo=UTC), datetime(2026, 1, 2, 12, tzinfo=UTC))
    (time,) = metric_query(metrics=ENROLLED, dimensions=["enrolled_day"], zone="Asia/Kolkata").time_dimensions
    assert own.names(time, "UTC") == ["2026-01-01", "2026-01-02"]
    assert own.names(time, "Asia/Kolkata") == ["2026-01-02"]


def test_time_by_another_moment_stays_as_it_is() -> None:
    own = period(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    assert (
        same_places(own, metric_query(metrics=ENROLLED, dimensions=["completed_day"]).time_dimensions, "UTC")
        == {}
    )


def test_each_side_has_its_period_beside_the_filter() -> None:
    start, end = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    query = metric_query(
        metrics=ENROLLED,
        filter={"dimension": {"dimension": "gender", "in": ["F"]}},
        compare={"previousPeriod": {"of": "enrolled_on", "from": start, "to": end}},
    )
    own, other = query.sides
    assert isinstance(own.filter, Every)
    assert isinstance(other.filter, Every)
    day = 86_400_000
    assert Within("enrolled_on", milliseconds(start), milliseconds(end), below=True) in own.filter.parts
    before = Within("enrolled_on", milliseconds(start) - 28 * day, milliseconds(start), below=True)
    assert before in other.filter.parts
    assert query.filter in own.filter.parts
    assert (own.comparison, other.comparison) == (None, None)
    assert metric_query(metrics=ENROLLED).sides == (metric_query(metrics=ENROLLED),)


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), "to"),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 10, tzinfo=UTC), "to"),
        (datetime(2026, 1, 1), datetime(2026, 1, 2, tzinfo=UTC), "from"),  # noqa: DTZ001 - that is the test
        (datetime(1, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), "from"),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC), "to"),
    ],
)
def test_a_period_that_can_never_be_right_names_its_end(start: datetime, end: datetime, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_period({"of": "enrolled_on", "from": start, "to": end}, "compare.previousPeriod")
    assert refused.value.field == f"compare.previousPeriod.{field}"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"compare": {"contextIds": ["b"]}, "dimensions": ["context"]}, "compare.contextIds"),
        ({"compare": {"contextIds": []}}, "compare.contextIds"),
        ({"at_risk_days": 0}, "atRiskDays"),
        ({"at_risk_days": 3651}, "atRiskDays"),
        ({"shares": [Metric.LEARNERS_COUNT]}, "shares"),
        ({"shares": [Metric.AVERAGE_PROGRESS]}, "shares"),
    ],
)
def test_what_can_never_be_right_names_the_field(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        metric_query(metrics=ENROLLED, **asked)
    assert refused.value.field == field


def test_shares_and_differences() -> None:
    """1 of 3 is 33.33 %; of nothing there is none. 50 less 71.67; what is not known differs by nothing that is."""
    assert [share(1, 3), share(0, 3), share(3, 3), share(0, 0)] == [33.33, 0.0, 100.0, None]
    assert [difference(50.0, 71.67), difference(3, 4), difference(None, 4), difference({"0": 1}, {})] == [
        *(-21.67, -1),
        *(None, None),
    ]


def test_a_row_that_one_side_alone_has_counts() -> None:
    """East is on both sides, North and South on one each."""
    one: Counts = {"enrolled": 1}
    own: dict[Key, Counts] = {("East",): one, ("North",): one}
    other: dict[Key, Counts] = {("East",): one, ("South",): one}
    groups = Groups(own, other=Groups(other))
    assert groups.number == len(list(groups)) == 3
    assert Groups(own).number == 2
