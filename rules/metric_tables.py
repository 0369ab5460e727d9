"""A table of figures: its columns and rows, made from counts."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rules.metric_queries import MetricQuery, OrderBy
from rules.metrics import Counts, Metric, MetricValue, joined, metric_value


class ColumnKind(Enum):
    """The kind of a column's values."""

    DIMENSION = "dimension"
    NUMBER = "number"
    PERCENTAGE = "percentage"
    SECONDS = "seconds"
    DATETIME = "datetime"
    DISTRIBUTION = "distribution"


_KINDS = {
    Metric.ENROLLED_COUNT: ColumnKind.NUMBER,
    Metric.COMPLETED_COUNT: ColumnKind.NUMBER,
    Metric.COMPLETION_PERCENTAGE: ColumnKind.PERCENTAGE,
    Metric.AVERAGE_PROGRESS: ColumnKind.PERCENTAGE,
    Metric.PROGRESS_DISTRIBUTION: ColumnKind.DISTRIBUTION,
    Metric.TIME_SPENT: ColumnKind.SECONDS,
    Metric.LAST_ACTIVITY: ColumnKind.DATETIME,
    Metric.AVERAGE_SCORE: ColumnKind.PERCENTAGE,
    Metric.MEDIAN_SCORE: ColumnKind.PERCENTAGE,
    Metric.SCORE_DISTRIBUTION: ColumnKind.DISTRIBUTION,
    Metric.PASS_RATE: ColumnKind.PERCENTAGE,
    Metric.ATTEMPTS_PER_LEARNER: ColumnKind.NUMBER,
    Metric.FIRST_ATTEMPT_RIGHT: ColumnKind.PERCENTAGE,
}


Key = tuple[str | None, ...]
"""A value for each dimension of a query; None for a value that is not known."""


TableRow = list[MetricValue]


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: ColumnKind


@dataclass(frozen=True, slots=True)
class Table:
    """The dimensions, then the metrics, as the query names them. ``totals``: a row over all rows, also those that the
    limit cut off; its dimensions are None. None where nobody asked for it."""

    columns: tuple[Column, ...]
    rows: list[TableRow]
    totals: TableRow | None


def rolled_up(
    rows: Iterable[Sequence[Any]], dimensions: Sequence[int], counts: Mapping[str, int]
) -> dict[Key, Counts]:
    """The counts of rows with the same values at ``dimensions``, added up by these values. ``counts``: the place of
    each count in a row."""
    members: defaultdict[Key, list[Sequence[Any]]] = defaultdict(list)
    if not dimensions:
        members[()] = []  # nothing at all adds up to nothing, a row all the same
    for row in rows:
        members[tuple([row[at] for at in dimensions])].append(row)
    return {
        key: {
            # Most groups are one row, of which there is nothing to add.
            name: those[0][at] if len(those) == 1 else joined(name, [row[at] for row in those])
            for name, at in counts.items()
        }
        for key, those in members.items()
    }


def table_of(query: MetricQuery, groups: Mapping[Key, Counts]) -> Table:
    """The table in the query's order, then by its dimensions, so that equal questions have equal rows. An unknown
    value is the smallest. Metrics follow from counts, in a row as in the totals."""
    columns = [Column(camel(dimension), ColumnKind.DIMENSION) for dimension in query.dimensions]
    columns += [Column(metric.value, _KINDS[metric]) for metric in query.metrics]
    ordered = list(groups.items())
    for order in reversed(_full_order(query)):
        ordered.sort(key=_rank(query, order.by), reverse=order.descending)
    rows = [[*key, *_metrics(query, counts)] for key, counts in ordered[: query.limit]]
    totals: TableRow | None = None
    if query.totals:
        everything: Counts = {
            name: joined(name, [counts.get(name) for counts in groups.values()]) for name in query.counts
        }
        totals = [*(None for _ in query.dimensions), *_metrics(query, everything)]
    return Table(tuple(columns), rows, totals)


def _full_order(query: MetricQuery) -> tuple[OrderBy, ...]:
    """The order with the dimensions that it leaves open: no two rows are equal under it."""
    asked = {order.by for order in query.order}
    return (*query.order, *(OrderBy(dimension) for dimension in query.dimensions if dimension not in asked))


def camel(column: str) -> str:
    """``age_band`` as clients have it: ``ageBand``."""
    first, *others = column.split("_")
    return first + "".join(word.capitalize() for word in others)


def _metrics(query: MetricQuery, counts: Counts) -> list[MetricValue]:
    return [metric_value(metric, counts) for metric in query.metrics]


def _rank(query: MetricQuery, by: Metric | str) -> Callable[[tuple[Key, Counts]], tuple[bool, Any]]:
    if isinstance(by, Metric):
        metric = by

        def value_of(group: tuple[Key, Counts]) -> MetricValue:
            return metric_value(metric, group[1])
    else:
        place = query.dimensions.index(by)

        def value_of(group: tuple[Key, Counts]) -> MetricValue:
            return group[0][place]

    def rank(group: tuple[Key, Counts]) -> tuple[bool, Any]:
        value = value_of(group)
        return value is not None, value

    return rank
