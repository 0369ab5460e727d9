"""How values of the existing platform are read: times, numbers, ids (R-MIGRATE-1, P-1.1)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.legacy.values import (
    NO_FORM,
    NO_ID,
    NO_STATUS,
    NO_YEAR,
    NOT_FINITE,
    NOT_WHOLE,
    OTHER_TYPE,
    Unreadable,
    first_moment,
    ids_in,
    moment_of,
    number_in,
    status_in,
    value_in,
    whole_in,
)

INDIA = ZoneInfo("Asia/Kolkata")
YEAR_50000 = 1_515_709_065_000_000
"""Microseconds of 2018-01-11T22:17:45Z where milliseconds should be."""
FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999
"""Milliseconds since the epoch of the first moment of year 1 and of the last one of year 9999, in UTC."""


def on(day: int, hour: int = 9) -> datetime:
    return datetime(2025, 11, day, hour, tzinfo=UTC)


class TestTimes:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, None),
            ("", None),
            (" ", None),
            # 20,393 days of 86,400 s are 2025-11-01; 9 hours are 32,400 s.
            ((20_393 * 86_400 + 32_400) * 1000 + 123, datetime(2025, 11, 1, 9, 0, 0, 123_000, UTC)),
            (-1, datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)),
            (FIRST, datetime(1, 1, 1, tzinfo=UTC)),
            (LAST, datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)),
            (datetime(2025, 11, 1, 9, 0, 0, 123_456, UTC), datetime(2025, 11, 1, 9, 0, 0, 123_000, UTC)),
            ("2025-11-01 14:30:00:250+0530", datetime(2025, 11, 1, 9, 0, 0, 250_000, UTC)),
            ("2025-11-01 09:00:00:007Z", datetime(2025, 11, 1, 9, 0, 0, 7_000, UTC)),
            ("2025-11-01T09:00:00.5+00:00", datetime(2025, 11, 1, 9, 0, 0, 500_000, UTC)),
            ("2025-11-01 09:00:00", on(1)),
            (" 2025-11-01 ", datetime(2025, 11, 1, tzinfo=UTC)),
        ],
    )
    def test_timestamps_and_the_platform_s_texts(self, value: object, expected: datetime | None) -> None:
        assert moment_of(value) == expected

    @given(st.integers(FIRST, LAST))
    def test_no_millisecond_is_lost(self, milliseconds: int) -> None:
        at = moment_of(milliseconds)
        assert at is not None
        assert (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) == milliseconds

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            # India is 5:30 ahead: its midnight is 18:30 of the day before in UTC.
            ("2025-12-31", datetime(2025, 12, 30, 18, 30, tzinfo=UTC)),
            ("2025-12-31 10:00:00", datetime(2025, 12, 31, 4, 30, tzinfo=UTC)),
            ("2025-12-31 10:00:00:000+0000", datetime(2025, 12, 31, 10, tzinfo=UTC)),
        ],
    )
    def test_a_text_without_an_offset_is_of_the_platform_s_zone(self, text: str, expected: datetime) -> None:
        assert moment_of(text, INDIA) == expected

    @pytest.mark.parametrize(
        "value",
        [
            "2025-12-31",
            "2025-12-31 10:00:00",
            datetime(2025, 12, 31, tzinfo=INDIA),  # midnight there
            datetime(2025, 12, 31, tzinfo=UTC),  # midnight in UTC is 5:30 of the same day there
            datetime(2025, 12, 31, 18, 29, tzinfo=UTC),  # 23:59 there
            # 20,453 days are 2025-12-31
            20_453 * 86_400_000,
        ],
    )
    def test_an_end_is_the_last_millisecond_of_its_day_in_the_zone(self, value: object) -> None:
        # 23:59:59.999 there is 18:29:59.999 in UTC.
        last = datetime(2025, 12, 31, 18, 29, 59, 999_000, UTC)
        assert moment_of(value, INDIA, end_of_day=True) == last

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("yesterday", NO_FORM),
            ("31-12-2025", NO_FORM),
            ("2025-13-01", NO_FORM),
            ("0001-01-01 00:00:00:000+1400", NO_YEAR),
            (FIRST - 1, NO_YEAR),
            (LAST + 1, NO_YEAR),
            (YEAR_50000, NO_YEAR),
            (-(2**63), NO_YEAR),
            (True, OTHER_TYPE),
            (1.5, OTHER_TYPE),
            ([], OTHER_TYPE),
        ],
    )
    def test_what_is_no_time_is_unreadable(self, value: object, reason: str) -> None:
        with pytest.raises(Unreadable) as refused:
            moment_of(value)
        assert (refused.value.reason, refused.value.value) == (reason, value)

    def test_the_last_day_of_all_has_no_end_west_of_greenwich(self) -> None:
        with pytest.raises(Unreadable, match=NO_YEAR):
            moment_of(LAST, ZoneInfo("America/New_York"), end_of_day=True)

    def test_a_text_that_is_no_time_is_passed_over_and_noted(self) -> None:
        notes: list[str] = []
        row = {"newer": None, "text": "yesterday", "date": on(1)}
        assert first_moment(row, "newer", "text", "date", notes=notes) == on(1)
        assert notes == [f"text: {NO_FORM}"]

    def test_a_timestamp_that_is_no_time_names_its_column(self) -> None:
        with pytest.raises(Unreadable) as refused:
            first_moment({"datetime": YEAR_50000, "date": on(1)}, "datetime", "date", notes=[])
        assert (refused.value.column, refused.value.value) == ("datetime", YEAR_50000)


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "number"), [(None, None), (0, 0), (7, 7), (2.5, 2.5), (Decimal("1.25"), 1.25)]
    )
    def test_a_number_is_taken_as_it_is(self, value: Any, number: float | None) -> None:
        assert number_in({"n": value}, "n") == number
        assert number_in({}, "n") is None

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (float("nan"), NOT_FINITE),
            (float("inf"), NOT_FINITE),
            (Decimal("-Infinity"), NOT_FINITE),
            ("7", OTHER_TYPE),
            (True, OTHER_TYPE),
            ([7], OTHER_TYPE),
        ],
    )
    def test_what_is_no_number_names_its_column(self, value: Any, reason: str) -> None:
        for read in (number_in, whole_in):
            with pytest.raises(Unreadable) as refused:
                read({"n": value}, "n")
            assert (refused.value.reason, refused.value.column) == (reason, "n")

    def test_a_whole_number_has_no_fraction(self) -> None:
        assert [whole_in({"n": value}, "n") for value in (3, 3.0, None)] == [3, 3, None]
        with pytest.raises(Unreadable, match=NOT_WHOLE):
            whole_in({"n": 3.5}, "n")

    @pytest.mark.parametrize(
        ("value", "reason"), [(3, NO_STATUS), (-1, NO_STATUS), (True, OTHER_TYPE), ("1", OTHER_TYPE)]
    )
    def test_a_status_is_0_1_or_2(self, value: Any, reason: str) -> None:
        assert [status_in(known) for known in (None, 0, 1, 2)] == [0, 0, 1, 2]
        with pytest.raises(Unreadable) as refused:
            status_in(value)
        assert (refused.value.reason, refused.value.column, refused.value.value) == (reason, "status", value)


class TestOthers:
    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("", NO_ID),
            (" ", NO_ID),
            (None, NO_ID),
            ("a\nb", NO_ID),
            ("a" * 257, NO_ID),
            (UUID(int=1), OTHER_TYPE),
        ],
    )
    def test_what_is_no_id_names_its_column(self, value: Any, reason: str) -> None:
        with pytest.raises(Unreadable) as refused:
            ids_in({"user_id": "ada", "content_id": value}, "user_id", "content_id")
        assert (refused.value.reason, refused.value.column) == (reason, "content_id")

    def test_a_value_is_of_its_type(self) -> None:
        row = {"active": True, "mentors": ["mia"], "one": 1}
        assert value_in(row, "active", bool) is True
        assert value_in(row, "mentors", list) == ["mia"]
        assert value_in(row, "gone", str) is None
        for column, kind in (("active", int), ("one", bool), ("one", str), ("mentors", dict)):
            with pytest.raises(Unreadable, match=OTHER_TYPE):
                value_in(row, column, kind)
