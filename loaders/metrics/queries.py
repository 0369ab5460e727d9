"""The queries that count a ground, and what they answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from druid_specs import ACTIVITY_STATE, ACTIVITY_TOTALS
from loaders import answers
from loaders.metrics.grounds import ALONE, Ground, column_of
from loaders.metrics.grounds import LEFT as LEFT_STATES
from loaders.totals import last_aggregation
from rules.errors import InvalidInput
from rules.metric_columns import CONTEXT
from rules.metric_queries import MetricQuery
from rules.metrics import (
    AT_RISK,
    BANDS,
    COUNTS,
    DAYS_SPREAD,
    LATEST,
    LEARNERS,
    LEFT,
    PROGRESS_SPREAD,
    SCORE_BANDS,
    SCORE_SPREAD,
    TO_COMPLETE,
    seen_before,
)
from rules.moments import known_milliseconds, known_moment, milliseconds
from rules.progress import Status
from stores.engines import Stores
from stores.groups import All, Between, Figures, Kind, Lane, Measure, Not, OneOf, Where
from stores.groups import Any as AnyOf

NUMBER = "number"
"""The measure of a spread: how many enrolments have the number that the row is of."""
SPREAD_COLUMNS = {
    SCORE_SPREAD: "score_percentage",
    PROGRESS_SPREAD: "completion_percentage",
    DAYS_SPREAD: "days_to_complete",
}
MOST_GROUPS = 50_000
"""Groups that a table may have before its limit: they are ordered and added up here."""


_OUTDATED = "outdated"
"""The last measure of a query of a collection that was published again: how many states are of a version that counted
otherwise. The workers are at them, or nobody has told the workers yet."""


class TooManyGroups(InvalidInput):
    """More than MOST_GROUPS."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The answer to a query. ``complete`` is False where a part of the data was away or was never computed.
    ``as_of``: when the last aggregation began, None for states and where none has run. ``rows``: lists of values."""

    complete: bool
    as_of: datetime | None
    rows: list[Any]

    @classmethod
    def decode(cls, stored: bytes) -> "Counted":
        complete, as_of, rows = orjson.loads(stored)
        return cls(complete, known_moment(as_of), rows)

    def encode(self) -> bytes:
        return orjson.dumps([self.complete, known_milliseconds(self.as_of), self.rows])


@dataclass(frozen=True, slots=True)
class Reading:
    """A query, and which counts it answers: the spread that its rows are of, LEARNERS, or, for None, those that can be
    added up. ``alone``: its rows are of all collections taken by themselves, whose context is null."""

    figures: Figures
    of: str | None = None
    alone: bool = False


def readings(ground: Ground, queries: Sequence[MetricQuery], now: datetime) -> list[Reading]:
    """The queries for all of these together: one for what can be added up, one for each spread, and for LEARNERS one for
    each choice of dimensions. Each asks for every group: tables are ordered here, where metrics are computed, and a limit
    without the engine's order would cut off the wrong ones."""
    found = []
    if adding := [query for query in queries if _summed(query)]:
        measures = {measure_of(count, query): (count, query) for query in adding for count in _summed(query)}
        asked = [_measure(ground, *measures[name], now) for name in sorted(measures)]
        found.append(Reading(figures_in(ground, _columns(ground, adding), asked, left=ground.with_left)))
    for spread, column in SPREAD_COLUMNS.items():
        if spreading := [query for query in queries if spread in query.counts]:
            columns = _columns(ground, spreading) | {column}
            found.append(Reading(figures_in(ground, columns, [Measure(NUMBER, Kind.COUNT)]), spread))
    for columns in sorted(_distinct(ground, queries), key=sorted):
        found += _learners(ground, columns)
    return found


def measure_of(count: str, query: MetricQuery) -> str:
    """The name of the measure that answers a count of the query."""
    return f"{count}_{query.at_risk_days}" if count == AT_RISK else count


def _summed(query: MetricQuery) -> list[str]:
    return [count for count in query.counts if count not in SPREAD_COLUMNS and count != LEARNERS]


def _columns(ground: Ground, queries: Iterable[MetricQuery]) -> frozenset[str]:
    return frozenset(
        column_of(dimension, ground.source) for query in queries for dimension in query.dimensions
    )


def _learners(ground: Ground, columns: frozenset[str]) -> list[Reading]:
    """The queries for learners by these columns: one, or two by context. Who took two collections by themselves is one
    learner without a context, and two by the contexts that are stored."""
    measures = [Measure(LEARNERS, Kind.DISTINCT, "user_id")]
    context = column_of(CONTEXT, ground.source)
    if context not in columns:
        return [Reading(figures_in(ground, columns, measures), LEARNERS)]
    within, alone = (replace(ground, conditions=(*ground.conditions, each)) for each in (Not(ALONE), ALONE))
    return [
        Reading(figures_in(within, columns, measures), LEARNERS),
        Reading(figures_in(alone, columns - {context}, measures), LEARNERS, alone=True),
    ]


def _distinct(ground: Ground, queries: Iterable[MetricQuery]) -> set[frozenset[str]]:
    """By what learners are counted: by the dimensions of each table, and for its totals by none."""
    asking = [query for query in queries if LEARNERS in query.counts]
    totals = {_columns(ground, ()) for query in asking if query.totals}
    return {_columns(ground, [query]) for query in asking} | totals


def figures_in(
    ground: Ground, columns: frozenset[str], measures: Sequence[Measure], *, left: bool = False
) -> Figures:
    """The query for these measures of a ground, by these columns."""
    if ground.outdated is not None:
        # The version is in the condition, so an answer of before the publish is not given after it.
        measures = [*measures, Measure(_OUTDATED, Kind.COUNT, where=ground.outdated)]
    return Figures(
        ground.source,
        tuple(sorted(columns)),
        tuple(measures),
        ground.keys,
        ground.where(left=left),
        # One more than there may be.
        limit=MOST_GROUPS + 1 if columns else None,
        zone=ground.zone,
    )


def _measure(ground: Ground, count: str, query: MetricQuery, now: datetime) -> Measure:
    if count == LEFT:
        return Measure(LEFT, Kind.COUNT, where=LEFT_STATES)
    if count == AT_RISK:
        before = milliseconds(seen_before(now, query.at_risk_days))
        measure = Measure(measure_of(count, query), Kind.COUNT, where=_at_risk(before))
    else:
        measure = _MEASURES[ground.source.name][count]
    if not ground.with_left:
        return measure
    return replace(measure, where=All((ground.enrolled, *([measure.where] if measure.where else []))))


def _at_risk(before: int) -> Where:
    """Not completed, and last seen before this moment; who was never seen counts from the enrolment."""
    never = OneOf("last_accessed_on", (None,))
    last = [Between(column, most=before, below=True) for column in ("last_accessed_on", "enrolled_on")]
    return All((Not(OneOf("status", (int(Status.COMPLETED),))), AnyOf((last[0], All((never, last[1]))))))


def key_of(query: Figures) -> str:
    """The key of its answer in the cache."""
    parts = (query.dimensions, query.measures, query.keys, query.where, query.zone)
    # As repr has them: it tells the kinds of conditions apart.
    return answers.key_of("metrics", query.source.name, repr(parts), "all")


async def counted(stores: Stores, query: Figures) -> Counted:
    """TooManyGroups, StoreUnavailable."""
    as_of: datetime | None = None
    if query.source is ACTIVITY_TOTALS:
        # Read before the cells: what they have in them is at least of then.
        as_of = await last_aggregation(stores.rows)
    answer = await stores.groups.query(query, Lane.TABLES)
    if len(answer.rows) > MOST_GROUPS:
        raise TooManyGroups(
            f"the dimensions make more than {MOST_GROUPS:,} groups: filter, or leave a dimension out",
            field="dimensions",
        )
    complete = answer.complete and (query.source is ACTIVITY_STATE or as_of is not None)
    if query.measures and query.measures[-1].name == _OUTDATED:
        complete = complete and not any(row[-1] for row in answer.rows)
    return Counted(complete, as_of, list(answer.rows))


def _state_measures() -> dict[str, Measure]:
    def rows(name: str, where: Where | None = None) -> Measure:
        return Measure(name, Kind.COUNT, where=where)

    measures = [
        rows("enrolled"),
        rows("completed", OneOf("status", (int(Status.COMPLETED),))),
        Measure("progress_sum", Kind.SUM, "completion_percentage"),
        *(rows(band, Between("completion_percentage", *ends)) for band, ends in BANDS.items()),
        Measure("time_spent", Kind.SUM, "time_spent"),
        rows("scored", Between("score_percentage", least=0)),
        Measure("score_sum", Kind.SUM, "score_percentage"),
        *(rows(band, Between("score_percentage", *ends)) for band, ends in SCORE_BANDS.items()),
        rows("attempted", Between("assessed_count", least=1)),
        *(
            Measure(name, Kind.SUM, f"{name}_count")
            for name in ("attempts", "assessed", "right_first", "passable", "passed")
        ),
        Measure(LATEST, Kind.MAX, LATEST),
        rows(TO_COMPLETE[0], Between("days_to_complete", least=0)),
        Measure(TO_COMPLETE[1], Kind.SUM, TO_COMPLETE[1]),
    ]
    return {measure.name: measure for measure in measures}


_MEASURES = {
    ACTIVITY_STATE.name: _state_measures(),
    ACTIVITY_TOTALS.name: {
        count: Measure(count, Kind.MAX if count == LATEST else Kind.SUM, count) for count in COUNTS
    },
}
