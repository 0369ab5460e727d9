"""Periods that moments fall in: days, weeks, months, quarters and years, by the clocks of a time zone.

A period goes by its name: ``2026-03-01``, ``2026-W10`` (ISO 8601: weeks begin on Monday, and the week with the year's
first Thursday is the first), ``2026-03``, ``2026-Q1``, ``2026``. Names of one unit compare as their periods do.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from rules.errors import InvalidInput

UTC_ZONE = "UTC"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST = 7 * 86_400
"""Seconds. No zone has changed its clocks twice within a week since 1970 (tests/rules/test_periods.py)."""
_KNOWN_UNTIL = datetime(2100, 1, 1, tzinfo=UTC)


class PeriodUnit(Enum):
    """By the names that columns end with."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


EXAMPLES = {
    PeriodUnit.DAY: "2026-03-01",
    PeriodUnit.WEEK: "2026-W09",
    PeriodUnit.MONTH: "2026-03",
    PeriodUnit.QUARTER: "2026-Q1",
    PeriodUnit.YEAR: "2026",
}
"""The period of each unit that 1 March 2026 is in."""


def checked_zone(name: str | None, field: str = "zone") -> str:
    """Returns the zone's name, ``UTC`` for None. InvalidInput where the IANA database has no such zone."""
    if name is None:
        return UTC_ZONE
    if not is_zone(name):
        raise InvalidInput(
            f"{name[:64]!r} is no time zone of the IANA database, such as Asia/Kolkata or UTC", field=field
        )
    return name


def is_zone(name: str) -> bool:
    """Whether the IANA database has a zone of this name."""
    return name == UTC_ZONE or name in _zones()


def period_of(at: datetime, unit: PeriodUnit, zone: str = UTC_ZONE) -> str:
    """Returns the name of the period that an aware moment falls in, by the clocks of the zone."""
    return _name(at.astimezone(ZoneInfo(zone)).date(), unit)


def name_of(day: date, unit: PeriodUnit) -> str:
    """Returns the name of the period that a day is in."""
    return _name(day, unit)


def first_day(period: str, unit: PeriodUnit) -> date:
    """Returns the first day of a period. ValueError where the text names no period of the unit."""
    if unit is PeriodUnit.QUARTER:
        year, quarter = (int(part) for part in _matched(r"(\d{4})-Q([1-4])", period))
        day = date(year, 3 * quarter - 2, 1)
    elif unit is PeriodUnit.WEEK:
        _matched(r"\d{4}-W\d{2}", period)
        day = date.fromisoformat(f"{period}-1")
    else:
        # A day's name is that of its year with two more parts, a month's with one.
        missing = {PeriodUnit.DAY: "", PeriodUnit.MONTH: "-01", PeriodUnit.YEAR: "-01-01"}[unit]
        (whole,) = _matched(r"(\d{4}-\d{2}-\d{2})", period + missing)
        day = date.fromisoformat(whole)
    return day


def last_day(first: date, unit: PeriodUnit) -> date:
    """Returns the last day of the period that begins on ``first``."""
    return _NEXT[unit](first) - timedelta(days=1)


def periods(first: str, last: str, unit: PeriodUnit) -> Iterator[str]:
    """Yields the periods from ``first`` to ``last``, both included. ValueError as ``first_day``."""
    day, end = first_day(first, unit), first_day(last, unit)
    while day <= end:
        yield _name(day, unit)
        try:
            day = _NEXT[unit](day)
        except (OverflowError, ValueError):  # after the year 9999
            return


@lru_cache(maxsize=1024)
def clock_offsets(zone: str) -> tuple[tuple[int, int], ...]:
    """Returns how far the clocks of the zone are ahead of UTC: pairs of a moment and the offset from then on, both in
    milliseconds, in order. The first pair is of 1970 and holds for all before, the last is of before 2100 and holds for
    all after. With an offset added, a moment has in UTC the date that it has in the zone."""
    found = [(0, _offset(zone, 0))]
    at, until = 0, int(_KNOWN_UNTIL.timestamp())
    while at < until:
        after = min(at + _SHORTEST, until)
        if (ahead := _offset(zone, after)) != found[-1][1]:
            found.append((_change(zone, at, after), ahead))
        at = after
    return tuple((seconds * 1000, ahead * 1000) for seconds, ahead in found)


def _change(zone: str, before: int, after: int) -> int:
    """Returns the second in which the clocks change between these two, which have other offsets."""
    old = _offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: str, seconds: int) -> int:
    ahead = (_EPOCH + timedelta(seconds=seconds)).astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if ahead is None else int(ahead.total_seconds())


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _matched(pattern: str, text: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, text, re.ASCII)
    if found is None:
        raise ValueError(text)
    return found.groups()


def _name(day: date, unit: PeriodUnit) -> str:
    match unit:
        case PeriodUnit.DAY:
            return day.isoformat()
        case PeriodUnit.WEEK:
            year, week, _ = day.isocalendar()
            return f"{year:04}-W{week:02}"
        case PeriodUnit.MONTH:
            return day.isoformat()[:7]
        case PeriodUnit.QUARTER:
            return f"{day.year:04}-Q{(day.month + 2) // 3}"
        case PeriodUnit.YEAR:
            return f"{day.year:04}"


def _months_on(months: int) -> Callable[[date], date]:
    def later(day: date) -> date:
        month = day.month - 1 + months
        return date(day.year + month // 12, month % 12 + 1, 1)

    return later


_NEXT: dict[PeriodUnit, Callable[[date], date]] = {
    PeriodUnit.DAY: lambda day: day + timedelta(days=1),
    PeriodUnit.WEEK: lambda day: day + timedelta(days=7),
    PeriodUnit.MONTH: _months_on(1),
    PeriodUnit.QUARTER: _months_on(3),
    PeriodUnit.YEAR: _months_on(12),
}
"""The first day of the period after one that begins on a day."""
