"""The query that counts a ground, and what it answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from druid_specs import ACTIVITY_STATE, ACTIVITY_TOTALS
from loaders import answers
from loaders.metrics.grounds import Ground, column_of
from loaders.totals import last_aggregation
from rules.errors import InvalidInput
from rules.metric_queries import MetricQuery
from rules.metrics import BANDS, COUNTS, LATEST, PERCENTS, SCORE_BANDS
from rules.moments import milliseconds, moment
from rules.progress import Status
from stores.engines import Stores
from stores.groups import Between, Figures, Kind, Lane, Measure, OneOf, Where

SCORED, PERCENTAGE = "scored", "score_percentage"
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
        return cls(complete, None if as_of is None else moment(as_of), rows)

    def encode(self) -> bytes:
        return orjson.dumps(
            [self.complete, None if self.as_of is None else milliseconds(self.as_of), self.rows]
        )


def figures_query(ground: Ground, queries: Iterable[MetricQuery]) -> Figures:
    """One query for all of these together. It asks for every group, and for one more than there may be: tables are
    ordered here, where metrics are computed, and a limit without the engine's order would cut off the wrong ones.

    PERCENTS are no measures: a row is of one PERCENTAGE as well then, and ``scored`` says how many have it.
    """
    queries = list(queries)
    dimensions = {column_of(dimension, ground.source) for query in queries for dimension in query.dimensions}
    counts = {count for query in queries for count in query.counts}
    if counts & PERCENTS.keys():
        dimensions.add(PERCENTAGE)
        counts = (counts - PERCENTS.keys()) | {SCORED}
    measures = [_MEASURES[ground.source.name][count] for count in sorted(counts)]
    if ground.outdated is not None:
        # The version is in the condition, so an answer of before the publish is not given after it.
        measures.append(Measure(_OUTDATED, Kind.COUNT, where=ground.outdated))
    return Figures(
        ground.source,
        tuple(sorted(dimensions)),
        tuple(measures),
        ground.keys,
        ground.where,
        limit=MOST_GROUPS + 1 if dimensions else None,
        zone=ground.zone,
    )


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
    ]
    return {measure.name: measure for measure in measures}


_MEASURES = {
    ACTIVITY_STATE.name: _state_measures(),
    ACTIVITY_TOTALS.name: {
        count: Measure(count, Kind.MAX if count == LATEST else Kind.SUM, count) for count in COUNTS
    },
}
