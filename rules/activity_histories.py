"""What the figures of one activity were, day by day (R-ACTIVE-3).

Each run of the batch aggregation keeps the counts of what it found changed, under the day on which it counted. So of each day
there is the last run's. A day without a run that found a change goes on with the counts of the day before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from rules.active_days import check_days, day_number
from rules.errors import InvalidInput
from rules.metrics import COUNTS, UNSEEN, Counts, Metric, joined

MOST_DAYS = 400
"""Days that an answer may have."""
MOST_RECORDED = 20_000
"""Days of all contexts together that an answer may be summed over."""
DEFAULT_METRICS = (
    Metric.ENROLLED_COUNT,
    Metric.COMPLETED_COUNT,
    Metric.COMPLETION_PERCENTAGE,
    Metric.AVERAGE_PROGRESS,
)
KEPT_METRICS = tuple(metric for metric in Metric if not UNSEEN.intersection(metric.counts))
"""Those that follow from the counts that runs keep."""


@dataclass(frozen=True, slots=True)
class ActivityHistoryQuery:
    """Made by ``activity_history_query``. ``first`` and ``last`` are day numbers (rules/active_days.py), both included."""

    first: int
    last: int
    metrics: tuple[Metric, ...]

    @property
    def days(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class RecordedDay:
    """What was kept of one day in one context. ``counts`` is None where nothing is counted any more: the unit or the
    enrolments are gone."""

    day: int
    counts: Counts | None


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One day of an answer. ``counts``: None where none are known, or none are left. ``recorded``: a run of that day kept
    them; else they are those of the last day before that has such a run."""

    day: int
    counts: Counts | None
    recorded: bool


def activity_history_query(
    *, first: date, last: date, metrics: Sequence[Metric] | None = None
) -> ActivityHistoryQuery:
    """Returns the checked query. InvalidInput names the field that is wrong."""
    check_days(first, last)
    if (last - first).days >= MOST_DAYS:
        raise InvalidInput(f"from {first} to {last} there are more than {MOST_DAYS} days", field="to")
    chosen = DEFAULT_METRICS if metrics is None else tuple(dict.fromkeys(metrics))
    if not chosen:
        raise InvalidInput("metrics must name one at least, or be left out", field="metrics")
    if others := [metric.value for metric in chosen if metric not in KEPT_METRICS]:
        kept = ", ".join(metric.value for metric in KEPT_METRICS)
        raise InvalidInput(f"no history is kept of {', '.join(others)}; there are {kept}", field="metrics")
    return ActivityHistoryQuery(day_number(first), day_number(last), chosen)


def check_extent(query: ActivityHistoryQuery, contexts: int) -> None:
    """InvalidInput where the days of so many contexts are more than MOST_RECORDED."""
    if query.days * contexts > MOST_RECORDED:
        raise InvalidInput(
            f"{query.days} days of {contexts} contexts or more are over {MOST_RECORDED:,}: name a context, or take fewer days",
            field="contextId",
        )


def kept_counts(counts: Counts) -> dict[str, int]:
    """Returns what rows keep of the counts: those that are not 0. Enrolments are always there."""
    kept = {name: counts.get(name) for name in COUNTS}
    return {
        name: value
        for name, value in kept.items()
        if isinstance(value, int) and (value or name == "enrolled")
    }


def day_by_day(
    query: ActivityHistoryQuery, contexts: Iterable[Iterable[RecordedDay]], *, today: int
) -> Iterator[DayFigures]:
    """Yields every day of the query, in order, summed over contexts.

    Each context has its days in any order: those of the query, and the last one before. Days after ``today`` have no
    counts.
    """
    ordered = [sorted(context, key=lambda each: each.day) for context in contexts]
    known: list[Counts | None] = [None] * len(ordered)
    places = [0] * len(ordered)
    for day in range(query.first, query.last + 1):
        recorded = False
        for number, context in enumerate(ordered):
            while places[number] < len(context) and context[places[number]].day <= day:
                recorded = recorded or context[places[number]].day == day
                known[number] = context[places[number]].counts
                places[number] += 1
        yield DayFigures(day, _summed(known) if day <= today else None, recorded)


def _summed(contexts: Iterable[Counts | None]) -> Mapping[str, int | None] | None:
    """Returns the counts of all contexts together; None where no context has any."""
    known = [counts for counts in contexts if counts is not None]
    if not known:
        return None
    sums: dict[str, int | None] = {}
    for name in COUNTS:
        value = joined(name, [counts.get(name) for counts in known])
        sums[name] = value if isinstance(value, int) else None
    return sums
