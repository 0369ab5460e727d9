"""What a table of figures is compared with: the period before one, or other contexts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rules.errors import InvalidInput
from rules.metric_columns import TimeDimension
from rules.metric_filters import Within
from rules.moments import milliseconds, moment
from rules.periods import period_of, periods


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start`` to before ``end``, in epoch milliseconds, by the moment ``of`` an enrolment."""

    of: str
    start: int
    end: int

    @property
    def previous(self) -> "Period":
        """The period of the same length right before."""
        return Period(self.of, 2 * self.start - self.end, self.start)

    @property
    def condition(self) -> Within:
        return Within(self.of, self.start, self.end, below=True)

    def names(self, time: TimeDimension, zone: str) -> list[str]:
        """Returns the names of the days, weeks or so that it touches, in order."""
        first, last = (period_of(moment(at), time.unit, zone) for at in (self.start, self.end - 1))
        return [*periods(first, last, time.unit)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """With ``period``, the enrolments of the period are compared with those of the previous one; else those of the query's
    contexts with those of ``context_ids``."""

    period: Period | None = None
    context_ids: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """What the names of the other side's columns begin with."""
        return "compared" if self.period is None else "previous"


def checked_period(given: Mapping[str, Any], field: str) -> Period:
    """Returns the period in ``{of: moment, from: datetime, to: datetime}``. InvalidInput."""
    start, end = (_bound(given[name], f"{field}.{name}") for name in ("from", "to"))
    if start >= end:
        raise InvalidInput("from must be before to", field=f"{field}.to")
    if end - start > _LONGEST:
        raise InvalidInput("a period may have at most 3,660 days", field=f"{field}.to")
    return Period(given["of"], start, end)


def same_places(period: Period, times: Sequence[TimeDimension], zone: str) -> dict[str, dict[str, str]]:
    """Returns, for each dimension of time by the period's moment, which day, week or so of the period stands at the place of
    one of the previous period: the first for the first. Without a counterpart there is none."""
    return {
        time.name: dict(zip(period.previous.names(time, zone), period.names(time, zone), strict=False))
        for time in times
        if time.moment == period.of
    }


_LONGEST = 3_660 * 86_400_000


def _bound(at: datetime, field: str) -> int:
    if at.tzinfo is None:
        raise InvalidInput("must be a moment with a time zone, as in 2026-01-31T12:00:00Z", field=field)
    if not 1970 <= at.year <= 9000:
        raise InvalidInput("must be from 1970 to 9000", field=field)
    return milliseconds(at)
