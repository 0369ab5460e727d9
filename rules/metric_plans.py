"""Where a table of figures is answered from: states that are counted now, or cells that the last aggregation added up."""

from dataclasses import dataclass

from rules.errors import InvalidInput
from rules.learners import ATTRIBUTES
from rules.metric_filters import Among, conditions
from rules.metric_queries import MetricQuery
from rules.metrics import UNSEEN
from rules.periods import UTC_ZONE
from rules.plans import AggregationMode, QueryPlan, Source
from rules.totals import MONTHS

TARGET = 0.5
"""Seconds in which a table is to be there. States that can be counted in that time are counted; otherwise cells are
read."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What counting the states of a query costs. ``states``: how many there are, about, None where nobody can tell now;
    ``pace``: how many are counted in a second; ``is_aggregated``: whether an aggregation has come to its end, so that
    there are cells."""

    states: int | None
    pace: int
    is_aggregated: bool

    @property
    def seconds(self) -> float | None:
        return None if self.states is None else self.states / self.pace


def table_plan(query: MetricQuery, mode: AggregationMode, extent: Extent) -> QueryPlan:
    """The plan: states if they can be counted within the target time, else the cells that the last aggregation added
    up, if there are any. InvalidInput if batch mode is asked for what the cells cannot answer."""
    finer = finer_than_cells(query)
    if mode is AggregationMode.BATCH:
        if finer:
            raise InvalidInput(
                f"batch mode has sums by one dimension of the learner at a time; this {finer}: "
                "ask for less, or with mode QUERY",
                field="mode",
            )
        return QueryPlan(Source.TOTALS, "batch mode: what the last aggregation computed", None)
    states, seconds = extent.states, extent.seconds
    about = "states, how many nobody can tell now," if states is None else f"about {states:,} states"
    if seconds is not None and seconds <= TARGET:
        return QueryPlan(Source.STATES, f"{about} are counted within {TARGET} s", states)
    if finer:
        return QueryPlan(Source.STATES, f"{about} are counted, which is slow: this {finer}", states)
    if not extent.is_aggregated:
        return QueryPlan(
            Source.STATES, f"{about} are counted: no aggregation has come to its end yet", states
        )
    return QueryPlan(
        Source.TOTALS,
        f"{about} are not counted within {TARGET} s: the last aggregation added them up",
        states,
    )


def finer_than_cells(query: MetricQuery) -> str | None:
    """The reason why the cells cannot answer the query: each is of one dimension of the learner, and has no learner by
    himself. None if they can."""
    finer = [metric.value for metric in (*query.metrics, *query.shares) if UNSEEN.intersection(metric.counts)]
    if finer:
        verb = "does" if len(finer) == 1 else "do"
        return f"asks for {', '.join(finer)}, which {verb} not follow from sums"
    if uncounted := [name for name in query.of_learners if name not in ATTRIBUTES and name not in MONTHS]:
        return f"names {', '.join(uncounted)}, which there are no sums by"
    if query.zone != UTC_ZONE:
        return f"names months in {query.zone}, and there are sums by months in UTC"
    if len(query.of_learners) > 1:
        return f"names {len(query.of_learners)} ({', '.join(query.of_learners)})"
    measures = sorted({part.measure for part in conditions(query.filter) if not isinstance(part, Among)})
    return f"filters by {', '.join(measures)}" if measures else None
