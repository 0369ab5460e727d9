"""A table of figures: its columns and rows, made from counts."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from rules.metric_columns import STATUS, Column, ColumnKind, Side, camel
from rules.metric_comparisons import same_places
from rules.metric_queries import Key, MetricQuery, OrderBy
from rules.metrics import LEARNERS, Counts, Metric, MetricValue, joined, metric_reader, metric_value
from rules.progress import Status

TableRow = list[MetricValue]
Group = tuple[Key, Counts, Counts]
"""The values of the dimensions, the counts of all that have them, and those of the other side of a comparison."""
NOBODY: Counts = {}


@dataclass(frozen=True, slots=True)
class Groups:
    """The counts of a table: ``by_key`` by the values of its dimensions, ``everything`` over all of them where the table
    has totals or shares. ``other``: the same of the other side, by the keys of this one."""

    by_key: Mapping[Key, Counts]
    everything: Counts = field(default_factory=dict)
    other: "Groups | None" = None
    value: Callable[[Metric, Counts], MetricValue] = metric_value
    """How a metric follows from counts."""

    def __iter__(self) -> Iterator[Group]:
        others = {} if self.other is None else self.other.by_key
        for key, counts in self.by_key.items():
            yield key, counts, others.get(key, NOBODY)
        for key, counts in others.items():
            if key not in self.by_key:
                yield key, NOBODY, counts

    def reader(self, metric: Metric) -> Callable[[Counts], MetricValue]:
        """``value`` of one metric."""
        return metric_reader(metric) if self.value is metric_value else partial(self.value, metric)

    @property
    def number(self) -> int:
        """How many rows there are before the limit."""
        if self.other is None:
            return len(self.by_key)
        return len(self.by_key.keys() | self.other.by_key.keys())

    @property
    def of_totals(self) -> tuple[Counts, Counts]:
        return self.everything, NOBODY if self.other is None else self.other.everything


def compared(query: MetricQuery, own: Groups, other: Groups) -> Groups:
    """Returns both sides of the query's comparison. A day, week or so of the previous period is that of the period at the
    same place; one without is in the totals alone."""
    period = None if query.comparison is None else query.comparison.period
    if period is None:
        return replace(own, other=other)
    places = same_places(period, query.time_dimensions, query.zone)
    moved: dict[Key, Counts] = {}
    for key, counts in other.by_key.items():
        names = [
            places[dimension].get(str(value)) if dimension in places else value
            for dimension, value in zip(query.dimensions, key, strict=True)
        ]
        if all(
            name is not None or dimension not in places
            for dimension, name in zip(query.dimensions, names, strict=True)
        ):
            moved[tuple(names)] = counts
    return replace(own, other=replace(other, by_key=moved))


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of the query. ``totals``: a row over all rows, also those that the limit cut off; its dimensions are
    None. None where nobody asked for it. ``rows_count``: rows that there are, also those that the limit cut off."""

    columns: tuple[Column, ...]
    rows: list[TableRow]
    totals: TableRow | None
    rows_count: int


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
    places = counts.items()
    return {
        # Most groups are one row, of which there is nothing to add.
        key: {name: those[0][at] for name, at in places}
        if len(those) == 1
        else {name: joined(name, [row[at] for row in those]) for name, at in places}
        for key, those in members.items()
    }


def over_all(query: MetricQuery, by_key: Mapping[Key, Counts]) -> Counts:
    """Returns the counts over all groups, but for those that can't be added up."""
    names = (name for name in query.counts if name != LEARNERS)
    return {name: joined(name, [counts.get(name) for counts in by_key.values()]) for name in names}


def first_groups(query: MetricQuery, groups: Groups, names: Mapping[str, str] | None = None) -> list[Group]:
    """The groups that the table shows, in the query's order, then by its dimensions, so that equal questions have equal
    rows. An unknown value is the smallest. ``names`` of the ids are needed for an order by labels."""
    values = _values(query, groups, names or {})
    ordered = list(groups)
    for order in reversed(_full_order(query)):
        ordered.sort(key=_rank(values[order.column]), reverse=order.descending)
    return ordered[: query.limit]


def table_of(
    query: MetricQuery,
    first: Iterable[Group],
    groups: Groups,
    names: Mapping[str, str] | None = None,
) -> Table:
    """The table whose rows are the ``first`` of all ``groups``. Metrics follow from counts, in a row as in the totals.
    ``names``: of the ids in the rows, for labels."""
    columns = query.columns
    values = _values(query, groups, names or {})
    shown = [_shown(column, values[column.name]) for column in columns]
    rows = [[value(group) for value in shown] for group in first]
    totals: TableRow | None = None
    if query.totals:
        nobody: Group = (tuple(None for _ in query.dimensions), *groups.of_totals)
        totals = [value(nobody) for value in shown]
    return Table(columns, rows, totals, groups.number)


def label_order(query: MetricQuery) -> str | None:
    """The first label that the rows are ordered by."""
    labels = {column.name for column in query.columns if column.kind is ColumnKind.LABEL}
    return next((order.column for order in query.order if order.column in labels), None)


def ids_in(query: MetricQuery, groups: Iterable[Group]) -> dict[str, set[str]]:
    """The ids that have labels, by dimension."""
    return {
        column.of: {str(key[place]) for key, *_ in groups if key[place] is not None}
        for column in query.columns
        if column.kind is ColumnKind.LABEL and isinstance(column.of, str)
        for place in (query.dimensions.index(column.of),)
    }


def _full_order(query: MetricQuery) -> tuple[OrderBy, ...]:
    """The order with the dimensions that it leaves open: no two rows are equal under it."""
    asked = {order.column for order in query.order}
    dimensions = (camel(dimension) for dimension in query.dimensions)
    return (*query.order, *(OrderBy(dimension) for dimension in dimensions if dimension not in asked))


def _values(
    query: MetricQuery, groups: Groups, names: Mapping[str, str]
) -> dict[str, Callable[[Group], Any]]:
    """What each column has of a group, by the column's name. Values of a column compare with each other."""
    return {column.name: _value(query, column, groups, names) for column in query.columns}


def _value(
    query: MetricQuery, column: Column, groups: Groups, names: Mapping[str, str]
) -> Callable[[Group], Any]:
    of = column.of
    if isinstance(of, Metric):
        return _figure(of, column.side, groups)
    place = query.dimensions.index(of)
    if column.kind is ColumnKind.LABEL:
        return lambda group: None if group[0][place] is None else names.get(str(group[0][place]))
    return lambda group: group[0][place]


def _figure(metric: Metric, side: Side, groups: Groups) -> Callable[[Group], Any]:
    value = groups.reader(metric)
    match side:
        case Side.VALUE:
            return lambda group: value(group[1])
        case Side.SHARE:
            whole = value(groups.everything)
            return lambda group: share(value(group[1]), whole)
        case Side.COMPARED:
            return lambda group: value(group[2])
        case Side.DIFFERENCE:
            return lambda group: difference(value(group[1]), value(group[2]))


def share(part: MetricValue, whole: MetricValue) -> float | None:
    """Returns how many of 100 of the whole a part is, with two decimals; None where there is no whole."""
    if not isinstance(part, int) or not isinstance(whole, int) or not whole:
        return None
    return round(100 * part / whole, 2)


def difference(own: MetricValue, other: MetricValue) -> float | None:
    """Returns how much more the own number is, with two decimals; None where one of the two is not known."""
    if not isinstance(own, int | float) or not isinstance(other, int | float):
        return None
    return round(own - other, 2)


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
