"""Days, weeks, months, quarters and years, and the clocks of time zones. Python's own calendar is the oracle."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from druid_specs import PERIODS
from rules.errors import InvalidInput
from rules.periods import (
    EXAMPLES,
    PeriodUnit,
    checked_zone,
    clock_offsets,
    first_day,
    period_of,
    periods,
)

units = st.sampled_from(PeriodUnit)
days = st.dates(date(1, 1, 8), date(9999, 12, 30))
moments = st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.sampled_from(sorted(available_timezones()))


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def test_units_are_those_that_columns_are_computed_by() -> None:
    assert tuple(unit.value for unit in PeriodUnit) == PERIODS


def test_the_first_of_march_2026_in_every_unit() -> None:
    """A Sunday, the last day of its week."""
    found = {unit: period_of(datetime(2026, 3, 1, 12, tzinfo=UTC), unit) for unit in PeriodUnit}
    assert found == EXAMPLES
    assert [*found.values()] == ["2026-03-01", "2026-W09", "2026-03", "2026-Q1", "2026"]


@pytest.mark.parametrize(
    ("unit", "period", "first"),
    [
        (PeriodUnit.DAY, "2024-02-29", date(2024, 2, 29)),
        # The week of the year's first Thursday, which was 1 January, begins in the year before.
        (PeriodUnit.WEEK, "2026-W01", date(2025, 12, 29)),
        (PeriodUnit.WEEK, "2026-W53", date(2026, 12, 28)),
        (PeriodUnit.MONTH, "2026-12", date(2026, 12, 1)),
        (PeriodUnit.QUARTER, "2026-Q4", date(2026, 10, 1)),
        (PeriodUnit.YEAR, "2026", date(2026, 1, 1)),
    ],
)
def test_the_first_day_of_a_period(unit: PeriodUnit, period: str, first: date) -> None:
    assert first_day(period, unit) == first


@given(days, units)
def test_a_day_is_in_the_period_that_begins_last_before_it(day: date, unit: PeriodUnit) -> None:
    period = period_of(at(day), unit)
    begins = first_day(period, unit)
    assert begins <= day
    assert period_of(at(begins), unit) == period
    if begins > date(1, 1, 1):
        assert period_of(at(begins - timedelta(days=1)), unit) < period


@given(st.dates(date(1990, 1, 1), date(2060, 1, 1)), st.integers(0, 800), units)
def test_periods_from_one_to_another_are_those_of_all_days_between(
    day: date, more: int, unit: PeriodUnit
) -> None:
    between = [period_of(at(day + timedelta(days=n)), unit) for n in range(more + 1)]
    assert [*periods(between[0], between[-1], unit)] == [*dict.fromkeys(between)]


def test_no_period_comes_after_the_last_year() -> None:
    assert [*periods("9999-Q3", "9999-Q4", PeriodUnit.QUARTER)] == ["9999-Q3", "9999-Q4"]
    assert [*periods("2026-04", "2026-03", PeriodUnit.MONTH)] == []


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        (PeriodUnit.DAY, "2026-3-1"),
        (PeriodUnit.DAY, "2026-02-29"),
        (PeriodUnit.DAY, "2026-W09"),
        (PeriodUnit.WEEK, "2026-W54"),
        (PeriodUnit.WEEK, "2025-W53"),
        (PeriodUnit.WEEK, "2026W09"),
        (PeriodUnit.MONTH, "2026-13"),
        (PeriodUnit.MONTH, "2026-03-01"),
        (PeriodUnit.QUARTER, "2026-Q5"),
        (PeriodUnit.QUARTER, "2026-q1"),
        (PeriodUnit.YEAR, "26"),
        (PeriodUnit.YEAR, "2026-01"),
        (PeriodUnit.YEAR, "\u0662\u0660\u0662\u0666"),
        (PeriodUnit.MONTH, ""),
    ],
)
def test_another_text_names_no_period(unit: PeriodUnit, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        first_day(text, unit)


@given(moments, zones)
def test_a_moment_with_the_clocks_offset_has_the_date_of_the_zone(moment: datetime, zone: str) -> None:
    milliseconds = int(moment.timestamp() * 1000)
    ahead = [offset for since, offset in clock_offsets(zone) if since <= milliseconds][-1]
    assert moment.astimezone(ZoneInfo(zone)).utcoffset() == timedelta(milliseconds=ahead)
    local = moment + timedelta(milliseconds=ahead)
    assert period_of(moment, PeriodUnit.DAY, zone) == local.date().isoformat()


@given(zones)
def test_clocks_change_in_the_second_that_they_change(zone: str) -> None:
    found = clock_offsets(zone)
    assert found[0][0] == 0
    for (_, before), (since, after) in pairwise(found):
        assert before != after
        change = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=since)
        for moment, offset in ((change - timedelta(seconds=1), before), (change, after)):
            assert moment.astimezone(ZoneInfo(zone)).utcoffset() == timedelta(milliseconds=offset)


def test_a_zone_whose_clocks_never_change_has_one_offset() -> None:
    assert clock_offsets("UTC") == ((0, 0),)
    assert clock_offsets("Asia/Kolkata") == ((0, 19_800_000),)
    # In summer 2026 from 01:00Z on 29 March to 01:00Z on 25 October, 2 hours ahead.
    assert (1_774_746_000_000, 7_200_000) in clock_offsets("Europe/Berlin")
    assert (1_792_890_000_000, 3_600_000) in clock_offsets("Europe/Berlin")


def test_a_zone_goes_by_its_name_in_the_database() -> None:
    assert checked_zone(None) == "UTC"
    assert checked_zone("America/St_Johns") == "America/St_Johns"
    for wrong in ("Europe/Berln", "europe/berlin", "", "+05:30", "../../etc/passwd", "x" * 9000):
        with pytest.raises(InvalidInput, match="is no time zone of the IANA database, such as") as refused:
            checked_zone(wrong)
        assert refused.value.field == "zone"
        assert len(refused.value.message) < 200
