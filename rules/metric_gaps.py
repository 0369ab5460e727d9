"""Periods in which nothing happened: the rows that a table over time gets for them on request."""

from collections.abc import Iterator, Mapping
from itertools import islice

from rules.errors import InvalidInput
from rules.metric_columns import TimeDimension
from rules.metric_filters import Among, Every, Filter, Within
from rules.metric_queries import Key, MetricQuery
from rules.metrics import Counts
from rules.moments import moment
from rules.periods import PeriodUnit, first_day, period_of, periods

MOST_FILLED = 10_000
"""Groups that a table may have with those of no enrolment: 27 years of days. They are made up here, by no store that would
bound them."""


def filled(query: MetricQuery, groups: Mapping[Key, Counts]) -> Mapping[Key, Counts]:
    """Returns the groups, with one of nothing for each period between the first and the last that has none, by every
    combination of the other dimensions' values that there is. Where the filter says from when or until when, that is the
    first or the last. InvalidInput (field fillGaps) for more than MOST_FILLED."""
    time = query.time_dimensions[0]
    place = query.dimensions.index(time.name)
    others = {key[:place] + key[place + 1 :] for key in groups}
    if len(query.dimensions) == 1:
        others.add(())
    names = list(islice(_names(query, time, {key[place] for key in groups}), MOST_FILLED + 1))
    if len(names) * len(others) > MOST_FILLED:
        raise InvalidInput(
            f"without gaps the table has more than {MOST_FILLED:,} groups: filter by an earlier end or a later beginning, "
            "take longer periods, or leave a dimension out",
            field="fillGaps",
        )
    nothing: Counts = {}
    return {(*other[:place], name, *other[place:]): nothing for other in others for name in names} | dict(
        groups
    )


def _names(query: MetricQuery, time: TimeDimension, found: set[str | int | None]) -> Iterator[str]:
    """Yields the periods from the first to the last."""
    known = sorted(name for name in found if isinstance(name, str) and _is_period(name, time.unit))
    first, last = _ends(query.filter, time, query.zone)
    first = first or (known[0] if known else None)
    last = last or (known[-1] if known else None)
    if first is None or last is None:
        return
    meant = [
        part.values
        for part in _parts(query.filter)
        if isinstance(part, Among) and part.dimension == time.name
    ]
    for name in periods(first, last, time.unit):
        if all(name in values for values in meant):
            yield name


def _ends(
    filter: Filter | None,  # noqa: A002
    time: TimeDimension,
    zone: str,
) -> tuple[str | None, str | None]:
    """Returns the periods of the first and the last moment that the filter lets through, None for an open end."""
    ranges = [part for part in _parts(filter) if isinstance(part, Within) and part.measure == time.moment]
    least = [int(part.least) + part.above for part in ranges if part.least is not None]
    most = [int(part.most) - part.below for part in ranges if part.most is not None]
    return (
        period_of(moment(max(least)), time.unit, zone) if least else None,
        period_of(moment(min(most)), time.unit, zone) if most else None,
    )


def _parts(filter: Filter | None) -> tuple[Filter, ...]:  # noqa: A002
    """Returns the conditions that hold for all that the filter lets through."""
    match filter:
        case None:
            return ()
        case Every(parts):
            return parts
        case part:
            return (part,)


def _is_period(name: str, unit: PeriodUnit) -> bool:
    """Whether a calendar here has the period, which none has of the year 10000."""
    try:
        first_day(name, unit)
    except ValueError:
        return False
    return True
