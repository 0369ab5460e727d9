"""A table of figures: its columns and rows, made from counts."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rules.metric_columns import STATUS, Column, ColumnKind, camel
from rules.metric_queries import Key, MetricQuery, OrderBy
from rules.metrics import Counts, Metric, MetricValue, joined, metric_value
from rules.progress import Status

TableRow = list[MetricValue]
Group = tuple[Key, Counts]
"""The values of the dimensions, and the counts of all that have them."""


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of the query. ``totals``: a row over all rows, also those that the limit cut off; its dimensions are
    None. None where nobody asked for it."""

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


def first_groups(
    query: MetricQuery, groups: Mapping[Key, Counts], names: Mapping[str, str] | None = None
) -> list[Group]:
    """The groups that the table shows, in the query's order, then by its dimensions, so that equal questions have equal
    rows. An unknown value is the smallest. ``names`` of the ids are needed for an order by labels."""
    values = _values(query, names or {})
    ordered = list(groups.items())
    for order in reversed(_full_order(query)):
        ordered.sort(key=_rank(values[order.column]), reverse=order.descending)
    return ordered[: query.limit]


def table_of(
    query: MetricQuery,
    first: Iterable[Group],
    groups: Mapping[Key, Counts],
    names: Mapping[str, str] | None = None,
) -> Table:
    """The table whose rows are the ``first`` of all ``groups``. Metrics follow from counts, in a row as in the totals.
    ``names``: of the ids in the rows, for labels."""
    columns = query.columns
    values = _values(query, names or {})
    shown = [_shown(column, values[column.name]) for column in columns]
    rows = [[value(group) for value in shown] for group in first]
    totals: TableRow | None = None
    if query.totals:
        everything: Counts = {
            name: joined(name, [counts.get(name) for counts in groups.values()]) for name in query.counts
        }
        nobody: Group = (tuple(None for _ in query.dimensions), everything)
        totals = [value(nobody) for value in shown]
    return Table(columns, rows, totals)


def label_order(query: MetricQuery) -> str | None:
    """The first label that the rows are ordered by."""
    labels = {column.name for column in query.columns if column.kind is ColumnKind.LABEL}
    return next((order.column for order in query.order if order.column in labels), None)


def ids_in(query: MetricQuery, groups: Iterable[Group]) -> dict[str, set[str]]:
    """The ids that have labels, by dimension."""
    return {
        column.of: {str(key[place]) for key, _ in groups if key[place] is not None}
        for column in query.columns
        if column.kind is ColumnKind.LABEL and isinstance(column.of, str)
        for place in (query.dimensions.index(column.of),)
    }


def _full_order(query: MetricQuery) -> tuple[OrderBy, ...]:
    """The order with the dimensions that it leaves open: no two rows are equal under it."""
    asked = {order.column for order in query.order}
    dimensions = (camel(dimension) for dimension in query.dimensions)
    return (*query.order, *(OrderBy(dimension) for dimension in dimensions if dimension not in asked))


def _values(query: MetricQuery, names: Mapping[str, str]) -> dict[str, Callable[[Group], Any]]:
    """What each column has of a group, by the column's name. Values of a column compare with each other."""
    return {column.name: _value(query, column, names) for column in query.columns}


def _value(query: MetricQuery, column: Column, names: Mapping[str, str]) -> Callable[[Group], Any]:
    of = column.of
    if isinstance(of, Metric):
        return lambda group: metric_value(of, group[1])
    place = query.dimensions.index(of)
    if column.kind is ColumnKind.LABEL:
        return lambda group: None if group[0][place] is None else names.get(str(group[0][place]))
    return lambda group: group[0][place]


def _shown(column: Column, value: Callable[[Group], Any]) -> Callable[[Group], Any]:
    """What a row has of a group: a status by its name."""
    if column.of != STATUS:
        return value

    def name(group: Group) -> str | None:
        status = value(group)
        return None if status is None else Status(status).name

    return name


def _rank(value_of: Callable[[Group], Any]) -> Callable[[Group], tuple[bool, Any]]:
    def rank(group: Group) -> tuple[bool, Any]:
        value = value_of(group)
        return value is not None, value

    return rank
