"""A query for how many learners were active on each day, in each week or month, or within so many days (R-ACTIVE-2)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from rules.active_days import check_days
from rules.errors import InvalidInput
from rules.metric_queries import checked_names
from rules.periods import PeriodUnit, first_day, last_day, name_of, periods

MOST_POINTS = 400
"""Dates that an answer may have, for each group."""
LONGEST_WINDOW = 28
"""Days."""
MOST_ROWS = 50_000
"""Rows that an answer may have, with those of nobody."""
UNITS = (PeriodUnit.DAY, PeriodUnit.WEEK, PeriodUnit.MONTH)
GROUPS = ("collection", "context")
_DAY = timedelta(days=1)

Group = str | None
"""The collection or context, None where there is no ``by``."""


@dataclass(frozen=True, slots=True)
class Point:
    """A date of the answer, and the days that count for it."""

    on: date
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class ActiveLearnersQuery:
    """Made by ``active_learners_query``. ``window``: days up to each point; None for the period itself."""

    first: date
    last: date
    every: PeriodUnit = PeriodUnit.DAY
    window: int | None = None
    collection_ids: tuple[str, ...] = ()
    context_ids: tuple[str, ...] = ()
    by: str | None = None

    def points(self) -> Iterator[Point]:
        """Yields the points in order. A period that the dates begin or end in counts whole, and goes by its first day. A
        window goes by its last day: that of the period, or of the dates if that is earlier."""
        names = periods(name_of(self.first, self.every), name_of(self.last, self.every), self.every)
        firsts = [first_day(name, self.every) for name in names]
        ends = [*(first - _DAY for first in firsts[1:]), last_day(firsts[-1], self.every)]
        for first, end in zip(firsts, ends, strict=True):
            if self.window is None:
                yield Point(first, first, end)
            else:
                last = min(end, self.last)
                yield Point(last, last - (self.window - 1) * _DAY, last)


def active_learners_query(
    *,
    first: date,
    last: date,
    every: PeriodUnit = PeriodUnit.DAY,
    window: int | None = None,
    activity_ids: Sequence[str] | None = None,
    context_ids: Sequence[str] | None = None,
    by: str | None = None,
) -> ActiveLearnersQuery:
    """Returns the checked query. InvalidInput names the field that is wrong."""
    check_days(first, last)
    if window is not None and not 1 <= window <= LONGEST_WINDOW:
        raise InvalidInput(f"window must be from 1 to {LONGEST_WINDOW} days", field="window")
    query = ActiveLearnersQuery(
        *(first, last, every, window),
        collection_ids=checked_names(activity_ids, "activityIds"),
        context_ids=checked_names(context_ids, "contextIds"),
        by=by,
    )
    # A day is the shortest period, so there are never more points than days.
    if (last - first).days >= 31 * MOST_POINTS or len(list(query.points())) > MOST_POINTS:
        raise InvalidInput(
            f"from {first} to {last} there are more than {MOST_POINTS} dates by {every.value}: take fewer days or longer "
            "periods",
            field="to",
        )
    return query


def tilings(points: Iterable[Point]) -> list[list[Point]]:
    """Divides the points into as few lists as possible in each of which no day counts for two points. Periods are one list;
    windows of seven days that end each day are seven."""
    found: list[list[Point]] = []
    for point in points:
        free = next((tiling for tiling in found if tiling[-1].last < point.first), None)
        if free is None:
            found.append([point])
        else:
            free.append(point)
    return found


def days_of(tiling: Iterable[Point]) -> list[tuple[str, str]]:
    """Returns each day that counts, with the date of its point."""
    return [
        ((point.first + number * _DAY).isoformat(), point.on.isoformat())
        for point in tiling
        for number in range((point.last - point.first).days + 1)
    ]


def without_gaps(
    query: ActiveLearnersQuery, counts: Mapping[tuple[Group, str], int]
) -> list[tuple[str, Group, int]]:
    """Returns date, group and number of learners for each point and each group that had a learner at any, in this order. 0
    where there was nobody. InvalidInput beyond MOST_ROWS."""
    dates = [point.on.isoformat() for point in query.points()]
    groups = sorted({group for group, _ in counts}, key=str) if query.by else [None]
    if len(dates) * len(groups) > MOST_ROWS:
        raise InvalidInput(
            f"{len(dates)} dates of {len(groups)} {query.by}s are more than {MOST_ROWS:,} rows: name activities or "
            "contexts, or take fewer dates",
            field="by",
        )
    return [(day, group, counts.get((group, day), 0)) for day in dates for group in groups]
