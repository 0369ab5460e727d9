"""A query for a table of figures: what it asks for.

Dimensions go by the names that data sources have for them: ``collection``, ``unit`` and ``context`` are of the
enrolment, every other one (an attribute, a month) is of the learner.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rules.errors import InvalidInput
from rules.identifiers import checked_id
from rules.metric_filters import Among, Filter, checked_filter, conditions
from rules.metrics import ADDITIVE, AT_RISK, DISTRIBUTIONS, Metric

COLLECTION, UNIT, CONTEXT = "collection", "unit", "context"
OF_ENROLMENT = (COLLECTION, UNIT, CONTEXT)


MOST_NAMED = 200
"""Activities or contexts that a query may name."""
AT_RISK_DAYS, MOST_DAYS = 14, 3650
"""Days without a view after which a learner is at risk, unless told, and at most."""
USUAL_ROWS, MOST_ROWS = 100, 1000


@dataclass(frozen=True, slots=True)
class OrderBy:
    """An order by a metric or a dimension of the query."""

    by: Metric | str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """A query for a table, made by ``metric_query``. No ``activity_ids``: all collections, or all units."""

    metrics: tuple[Metric, ...]
    dimensions: tuple[str, ...] = ()
    activity_ids: tuple[str, ...] = ()
    context_ids: tuple[str, ...] = ()
    filter: Filter | None = None
    order: tuple[OrderBy, ...] = ()
    limit: int = USUAL_ROWS
    totals: bool = False
    at_risk_days: int = AT_RISK_DAYS
    shares: tuple[Metric, ...] = ()

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
        activity_ids=_named(activity_ids, "activityIds"),
        context_ids=_named(context_ids, "contextIds"),
        filter=None if filter is None else checked_filter(filter),
        limit=limit,
        totals=totals,
        shares=tuple(dict.fromkeys(shares)),
    )
    if AT_RISK in query.counts:
        query = replace(query, at_risk_days=at_risk_days)
    return replace(query, order=_checked_order(query, order))


def _checked_order(query: MetricQuery, order: Iterable[OrderBy]) -> tuple[OrderBy, ...]:
    """The order with each metric or dimension once: a second time it decides nothing."""
    first: dict[Metric | str, OrderBy] = {}
    for number, wanted in enumerate(order):
        if wanted.by not in (*query.metrics, *query.dimensions):
            raise InvalidInput(
                "orderBy must name a metric or a dimension of the same query", field=f"orderBy[{number}]"
            )
        if wanted.by in DISTRIBUTIONS:
            raise InvalidInput("a distribution has no order", field=f"orderBy[{number}].metric")
        first.setdefault(wanted.by, wanted)
    return tuple(first.values())


def _named(identifiers: Sequence[str] | None, field: str) -> tuple[str, ...]:
    if identifiers is None:
        return ()
    if not 1 <= len(identifiers) <= MOST_NAMED:
        raise InvalidInput(f"{field} must name from 1 to {MOST_NAMED}, or be left out for all", field=field)
    return tuple(sorted({checked_id(identifier, field) for identifier in identifiers}))
