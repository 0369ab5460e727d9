"""Moments as numbers."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.moments import counted_on, milliseconds, moment, month_of, written


@pytest.mark.parametrize(
    ("at", "number"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        # 20487 days of 86,400 s, 4 h 5 min 6 s, 789 ms
        (datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC), 1_770_091_506_789),
        (datetime(2026, 2, 3, 9, 35, 6, 789_000, tzinfo=timezone(timedelta(hours=5.5))), 1_770_091_506_789),
        (datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), -1),
    ],
)
def test_a_moment_is_its_milliseconds_since_1970(at: datetime, number: int) -> None:
    assert milliseconds(at) == number
    assert moment(number) == at


def test_what_is_finer_than_a_millisecond_is_cut_off() -> None:
    assert milliseconds(datetime(1970, 1, 1, 0, 0, 0, 1_999, tzinfo=UTC)) == 1
    assert milliseconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_no_moment_changes_on_the_way_there_and_back(number: int) -> None:
    """From the year 1 to 9999."""
    assert milliseconds(moment(number)) == number
    assert moment(number).tzinfo is UTC


JUNE = datetime(987, 6, 5, 4, 3, 2, 1_999, tzinfo=UTC)


def test_years_before_1000_have_four_digits() -> None:
    assert written(JUNE) == "0987-06-05T04:03:02.001Z"
    assert month_of(JUNE) == "0987-06"
    assert written(datetime(2026, 2, 3, 1, tzinfo=timezone(timedelta(hours=2)))) == "2026-02-02T23:00:00.000Z"


CALL, BEGUN = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("told", "since", "counted"),
    [
        (None, None, CALL),
        (None, BEGUN, CALL),
        (CALL + MINUTE, BEGUN, CALL),
        (CALL - MINUTE, BEGUN, CALL - MINUTE),
        (BEGUN - MINUTE, BEGUN, BEGUN),
        (BEGUN - MINUTE, None, BEGUN - MINUTE),
        (JUNE, BEGUN, BEGUN),
        (JUNE, None, CALL),
        (datetime(1999, 12, 31, 23, 59, tzinfo=UTC), None, CALL),
        (datetime(2000, 1, 1, tzinfo=UTC), None, datetime(2000, 1, 1, tzinfo=UTC)),
        # A beginning that another clock has ahead of the call.
        (CALL, CALL + MINUTE, CALL + MINUTE),
        (None, CALL + MINUTE, CALL + MINUTE),
    ],
)
def test_what_a_device_tells_counts_between_the_beginning_and_the_call(
    told: datetime | None, since: datetime | None, counted: datetime
) -> None:
    assert counted_on(told, CALL, since) == counted
