"""A query for a table of figures: what it asks for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rules.errors import InvalidInput
from rules.identifiers import checked_id
from rules.metric_columns import (
    CONTEXT,
    OF_ENROLMENT,
    UNIT,
    Column,
    ColumnKind,
    TimeDimension,
    compared_columns,
    dimension_column,
    label_column,
    metric_column,
    share_column,
    time_dimension,
)
from rules.metric_comparisons import Comparison, checked_period
from rules.metric_filters import Among, Filter, checked_filter, conditions, narrowed
from rules.metrics import ADDITIVE, AT_RISK, Metric
from rules.periods import UTC_ZONE, checked_zone

MOST_NAMED = 200
"""Activities or contexts that a query may name."""
AT_RISK_DAYS, MOST_DAYS = 14, 3650
"""Days without a view after which a learner is at risk, unless told, and at most."""
USUAL_ROWS, MOST_ROWS = 100, 1000

Key = tuple[str | int | None, ...]
"""A value for each dimension of a query; None for a value that is not known."""


@dataclass(frozen=True, slots=True)
class OrderBy:
    """An order by a column of the table, by its name there."""

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """A query for a table, made by ``metric_query``. No ``activity_ids``: all collections, or all units. ``zone``: whose
    clocks say which periods moments are in. ``fill_gaps``: periods of no enrolment have rows, too. ``labels``: ids have
    columns with their names."""

    metrics: tuple[Metric, ...]
    dimensions: tuple[str, ...] = ()
    activity_ids: tuple[str, ...] = ()
    context_ids: tuple[str, ...] = ()
    filter: Filter | None = None
    order: tuple[OrderBy, ...] = ()
    limit: int = USUAL_ROWS
    totals: bool = False
    zone: str = UTC_ZONE
    fill_gaps: bool = False
    labels: bool = False
    at_risk_days: int = AT_RISK_DAYS
    shares: tuple[Metric, ...] = ()
    comparison: Comparison | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the table: the dimensions, the labels of ids, the metrics."""
        labelled = [dimension for dimension in self.dimensions if self.labels and dimension in OF_ENROLMENT]
        return (
            *map(dimension_column, self.dimensions),
            *map(label_column, labelled),
            *map(metric_column, self.metrics),
            *map(share_column, self.shares),
            *(column for metric in self.metrics for column in self._compared(metric)),
        )

    def _compared(self, metric: Metric) -> Iterator[Column]:
        return iter(()) if self.comparison is None else compared_columns(metric, self.comparison.prefix)

    @property
    def sides(self) -> "tuple[MetricQuery, ...]":
        """The queries that it is counted by: itself, or, with a comparison, that of each side, the own one first."""
        if self.comparison is None:
            return (self,)
        alone = replace(self, comparison=None)
        period = self.comparison.period
        if period is None:
            return alone, replace(alone, context_ids=self.comparison.context_ids)
        own, other = (narrowed(self.filter, each.condition) for each in (period, period.previous))
        return replace(alone, filter=own), replace(alone, filter=other)

    @property
    def time_dimensions(self) -> tuple[TimeDimension, ...]:
        return tuple(time for time in map(time_dimension, self.dimensions) if time is not None)

    @property
    def counts(self) -> tuple[str, ...]:
        return tuple(sorted({count for metric in (*self.metrics, *self.shares) for count in metric.counts}))

    @property
    def named(self) -> frozenset[str]:
        """Every dimension that the query shows or filters by."""
        return frozenset(self.dimensions) | {
            part.dimension for part in conditions(self.filter) if isinstance(part, Among)
        }

    @property
    def of_units(self) -> bool:
        """Whether the query is about units, not about the collections that they are in."""
        return UNIT in self.named

    @property
    def of_learners(self) -> tuple[str, ...]:
        return tuple(sorted(self.named.difference(OF_ENROLMENT)))


def metric_query(
    *,
    metrics: Sequence[Metric],
    dimensions: Sequence[str] = (),
    activity_ids: Sequence[str] | None = None,
    context_ids: Sequence[str] | None = None,
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - as callers name it
    order: Sequence[OrderBy] = (),
    limit: int = USUAL_ROWS,
    totals: bool = False,
    at_risk_days: int = AT_RISK_DAYS,
    shares: Sequence[Metric] = (),
    compare: Mapping[str, Any] | None = None,
    zone: str | None = None,
    fill_gaps: bool = False,
    labels: bool = False,
) -> MetricQuery:
    """A checked query, in one form for all that ask the same. InvalidInput names the field at fault."""
    if not metrics:
        raise InvalidInput("metrics must name one at least", field="metrics")
    if not 1 <= limit <= MOST_ROWS:
        raise InvalidInput(f"limit must be from 1 to {MOST_ROWS}", field="limit")
    if not 1 <= at_risk_days <= MOST_DAYS:
        raise InvalidInput(f"atRiskDays must be from 1 to {MOST_DAYS}", field="atRiskDays")
    if unshared := [metric.value for metric in shares if metric not in ADDITIVE]:
        raise InvalidInput(
            f"shares are of {', '.join(sorted(metric.value for metric in ADDITIVE))}, not of {', '.join(unshared)}: "
            "they do not add up",
            field="shares",
        )
    query = MetricQuery(
        metrics=tuple(dict.fromkeys(metrics)),
        dimensions=tuple(dict.fromkeys(dimensions)),
        activity_ids=checked_names(activity_ids, "activityIds"),
        context_ids=checked_names(context_ids, "contextIds"),
        filter=None if filter is None else checked_filter(filter),
        limit=limit,
        totals=totals,
        zone=checked_zone(zone),
        fill_gaps=fill_gaps,
        labels=labels,
        shares=tuple(dict.fromkeys(shares)),
        comparison=None if compare is None else _comparison(compare, dimensions),
    )
    if AT_RISK in query.counts:
        query = replace(query, at_risk_days=at_risk_days)
    if fill_gaps and len(query.time_dimensions) != 1:
        raise InvalidInput(
            "fillGaps needs exactly one dimension of time, such as ENROLLED_WEEK", field="fillGaps"
        )
    if not any(map(time_dimension, query.named)):
        # Tables that ask the same are one query, whatever zone they name for nothing.
        query = replace(query, zone=UTC_ZONE)
    return replace(query, order=_checked_order(query, order))


def _comparison(given: Mapping[str, Any], dimensions: Sequence[str]) -> Comparison:
    """The comparison in ``{previousPeriod: {of, from, to}}`` or ``{contextIds: […]}``."""
    if period := given.get("previousPeriod"):
        return Comparison(checked_period(period, "compare.previousPeriod"))
    if CONTEXT in dimensions:
        raise InvalidInput(
            "rows by CONTEXT have no counterpart in other contexts: leave the dimension out",
            field="compare.contextIds",
        )
    return Comparison(context_ids=checked_names(given.get("contextIds"), "compare.contextIds"))


def _checked_order(query: MetricQuery, order: Iterable[OrderBy]) -> tuple[OrderBy, ...]:
    """The order with each column once: a second time it decides nothing."""
    first: dict[str, OrderBy] = {}
    kinds = {column.name: column.kind for column in query.columns}
    for number, wanted in enumerate(order):
        field = f"orderBy[{number}]"
        if wanted.column not in kinds:
            raise InvalidInput(f"orderBy must name a column of the table: {', '.join(kinds)}", field=field)
        if kinds[wanted.column] is ColumnKind.DISTRIBUTION:
            raise InvalidInput("a distribution has no order", field=field)
        first.setdefault(wanted.column, wanted)
    return tuple(first.values())


def checked_names(identifiers: Sequence[str] | None, field: str) -> tuple[str, ...]:
    """The ids in order, each once; none for None. InvalidInput for none at all or more than MOST_NAMED."""
    if identifiers is None:
        return ()
    if not 1 <= len(identifiers) <= MOST_NAMED:
        raise InvalidInput(f"{field} must name from 1 to {MOST_NAMED}, or be left out for all", field=field)
    return tuple(sorted({checked_id(identifier, field) for identifier in identifiers}))
