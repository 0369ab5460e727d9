"""What a table of figures is asked for, where it is answered from, and the table itself (R-QUERY-8).

Dimensions go by the names that data sources have for them: ``collection``, ``unit`` and ``context`` are of the
enrolment, every other one (an attribute, a month) is of the learner.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from rules.errors import InvalidInput
from rules.identifiers import LONGEST_ID, checked_id
from rules.metrics import Counts, Metric, MetricValue, joined, metric_value
from rules.moments import milliseconds
from rules.plans import Mode, Plan, Source

COLLECTION, UNIT, CONTEXT = "collection", "unit", "context"
OF_ENROLMENT = (COLLECTION, UNIT, CONTEXT)

TARGET = 0.5
"""Seconds in which a table is to be there: states that can be counted in that time are, and cells are read in place of
more."""
MOST_NAMED = 200
"""Activities or contexts that a query may name."""
USUAL_ROWS, MOST_ROWS = 100, 1000
DEEPEST_FILTER = 8
LARGEST_FILTER = 100
"""Conditions in a filter."""
MOST_VALUES, MOST_VALUES_TOGETHER = 500, 1000
"""Of one condition, and of all in a filter."""

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Among:
    """The dimension has one of these values; None among them for one that is not known."""

    dimension: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """The measure is from ``least`` to ``most``, without the ends where ``above`` and ``below`` say so; None is open.
    Moments in epoch milliseconds."""

    measure: str
    least: float | None = None
    most: float | None = None
    above: bool = False
    below: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The measure has no value, as the completion of what is not completed."""

    measure: str


@dataclass(frozen=True, slots=True)
class Every:
    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Some:
    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Opposite:
    part: "Filter"


Filter = Among | Within | Unknown | Every | Some | Opposite
"""Over enrolments. Made by ``checked_filter``, so that filters that say the same in another order are equal."""


@dataclass(frozen=True, slots=True)
class OrderBy:
    """A metric or a dimension of the query."""

    by: Metric | str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """Made by ``metric_query``. No ``activity_ids``: all collections, or all units."""

    metrics: tuple[Metric, ...]
    dimensions: tuple[str, ...] = ()
    activity_ids: tuple[str, ...] = ()
    context_ids: tuple[str, ...] = ()
    filter: Filter | None = None
    order: tuple[OrderBy, ...] = ()
    limit: int = USUAL_ROWS
    totals: bool = False

    @property
    def counts(self) -> tuple[str, ...]:
        return tuple(sorted({count for metric in self.metrics for count in metric.counts}))

    @property
    def named(self) -> frozenset[str]:
        """Every dimension that it shows or filters by."""
        return frozenset(self.dimensions) | {
            part.dimension for part in conditions(self.filter) if isinstance(part, Among)
        }

    @property
    def of_units(self) -> bool:
        """About units, not about the collections that they are in."""
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
) -> MetricQuery:
    """Checked and in one form for all that ask the same. InvalidInput names the field at fault."""
    if not metrics:
        raise InvalidInput("metrics must name one at least", field="metrics")
    if not 1 <= limit <= MOST_ROWS:
        raise InvalidInput(f"limit must be from 1 to {MOST_ROWS}", field="limit")
    query = MetricQuery(
        metrics=tuple(dict.fromkeys(metrics)),
        dimensions=tuple(dict.fromkeys(dimensions)),
        activity_ids=_named(activity_ids, "activityIds"),
        context_ids=_named(context_ids, "contextIds"),
        filter=None if filter is None else checked_filter(filter),
        limit=limit,
        totals=totals,
    )
    return replace(query, order=_checked_order(query, order))


def _checked_order(query: MetricQuery, order: Iterable[OrderBy]) -> tuple[OrderBy, ...]:
    """Each metric or dimension once: a second time it decides nothing."""
    first: dict[Metric | str, OrderBy] = {}
    for number, wanted in enumerate(order):
        if wanted.by not in (*query.metrics, *query.dimensions):
            raise InvalidInput(
                "orderBy must name a metric or a dimension of the same query", field=f"orderBy[{number}]"
            )
        if wanted.by is Metric.PROGRESS_DISTRIBUTION:
            raise InvalidInput("a distribution has no order", field=f"orderBy[{number}].metric")
        first.setdefault(wanted.by, wanted)
    return tuple(first.values())


def _named(identifiers: Sequence[str] | None, field: str) -> tuple[str, ...]:
    if identifiers is None:
        return ()
    if not 1 <= len(identifiers) <= MOST_NAMED:
        raise InvalidInput(f"{field} must name from 1 to {MOST_NAMED}, or be left out for all", field=field)
    return tuple(sorted({checked_id(identifier, field) for identifier in identifiers}))


# Filters


def checked_filter(given: Mapping[str, Any], field: str = "filter") -> Filter:
    """Of ``{and | or: […]}``, ``{not: …}``, ``{dimension, in | isNull}`` or ``{measure, range | isNull}``, as clients
    have it. InvalidInput names the path of what is wrong with it."""
    found = _read(given, field, 1)
    compared = [*conditions(found)]
    if len(compared) > LARGEST_FILTER:
        raise InvalidInput(f"{field} may have at most {LARGEST_FILTER} conditions", field=field)
    if sum(len(each.values) for each in compared if isinstance(each, Among)) > MOST_VALUES_TOGETHER:
        raise InvalidInput(
            f"{field} may compare with at most {MOST_VALUES_TOGETHER:,} values, over all its conditions",
            field=field,
        )
    return found


def conditions(filter: Filter | None) -> Iterable[Among | Within | Unknown]:  # noqa: A002
    """What it compares, without how that is put together."""
    match filter:
        case Every(parts) | Some(parts):
            for part in parts:
                yield from conditions(part)
        case Opposite(part):
            yield from conditions(part)
        case None:
            return
        case condition:
            yield condition


def _read(given: Mapping[str, Any], field: str, depth: int) -> Filter:
    if depth > DEEPEST_FILTER:
        raise InvalidInput(f"a filter may be at most {DEEPEST_FILTER} deep", field=field)
    said = {name: value for name, value in given.items() if value is not None}
    kind = _only(said, ("and", "or", "not", "dimension", "measure"), field)
    match kind:
        case "and" | "or":
            _alone(said, {kind}, field)
            if not said[kind]:
                raise InvalidInput(f"{kind} must have one filter at least", field=f"{field}.{kind}")
            parts = [
                _read(part, f"{field}.{kind}[{number}]", depth + 1) for number, part in enumerate(said[kind])
            ]
            return _combined(Every if kind == "and" else Some, parts)
        case "not":
            _alone(said, {kind}, field)
            part = _read(said[kind], f"{field}.not", depth + 1)
            return part.part if isinstance(part, Opposite) else Opposite(part)
        case "dimension":
            return _of_dimension(said, field)
        case _:
            return _of_measure(said, field)


def _of_dimension(said: Mapping[str, Any], field: str) -> Filter:
    _alone(said, {"dimension", "in", "isNull"}, field)
    dimension = said["dimension"]
    if _only(said, ("in", "isNull"), field) == "isNull":
        unknown = Among(dimension, (None,))
        return unknown if said["isNull"] else Opposite(unknown)
    values = said["in"]
    if not 1 <= len(values) <= MOST_VALUES:
        raise InvalidInput(f"in must have from 1 to {MOST_VALUES} values", field=f"{field}.in")
    if any(len(value) > LONGEST_ID for value in values):
        raise InvalidInput(f"a value may have at most {LONGEST_ID} characters", field=f"{field}.in")
    return Among(dimension, tuple(sorted(set(values))))


def _of_measure(said: Mapping[str, Any], field: str) -> Filter:
    _alone(said, {"measure", "range", "isNull"}, field)
    measure = said["measure"]
    if _only(said, ("range", "isNull"), field) == "isNull":
        unknown = Unknown(measure)
        return unknown if said["isNull"] else Opposite(unknown)
    bounds = {name: bound for name, bound in said["range"].items() if bound is not None}
    if not bounds or {"gt", "gte"} <= bounds.keys() or {"lt", "lte"} <= bounds.keys():
        raise InvalidInput("a range has gte or gt, or lte or lt, or one of each pair", field=f"{field}.range")
    least, most = (
        next(
            (_bound(measure, bounds[name], f"{field}.range.{name}") for name in pair if name in bounds), None
        )
        for pair in (("gt", "gte"), ("lt", "lte"))
    )
    return Within(measure, least, most, "gt" in bounds, "lt" in bounds)


def _bound(measure: str, given: object, field: str) -> float:
    """Of a moment, which are the measures called ``…_on``, in epoch milliseconds."""
    if measure.endswith("_on"):
        try:
            at = datetime.fromisoformat(given) if isinstance(given, str) else None
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise InvalidInput("must be a moment with a time zone, as in 2026-01-31T12:00:00Z", field=field)
        return milliseconds(at)
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) <= _LARGEST:
        raise InvalidInput("must be a number, as large as a double holds exactly", field=field)
    return given


_LARGEST = 2**53


def _only(said: Mapping[str, Any], names: Sequence[str], field: str) -> str:
    given = [name for name in names if name in said]
    if len(given) != 1:
        raise InvalidInput(f"exactly one of {', '.join(names)} is needed here", field=field)
    return given[0]


def _alone(said: Mapping[str, Any], allowed: set[str], field: str) -> None:
    for name in said.keys() - allowed:
        raise InvalidInput(
            f"{name} does not go with {' and '.join(sorted(allowed))}", field=f"{field}.{name}"
        )


def _combined(kind: type[Every] | type[Some], parts: Iterable[Filter]) -> Filter:
    """Flat, each part once, in an order of its own."""
    flat: dict[Filter, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, kind) else (part,)))
    return kind(tuple(sorted(flat, key=repr))) if len(flat) > 1 else next(iter(flat))


# Where it is answered from


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


def table_plan(query: MetricQuery, mode: Mode, extent: Extent) -> Plan:
    """States where they can be counted within the target time, else the cells that the last aggregation added up, if one
    has. InvalidInput where batch mode is asked for what the cells can't answer."""
    finer = finer_than_cells(query)
    if mode is Mode.BATCH:
        if finer:
            raise InvalidInput(
                f"batch mode has figures by one dimension of the learner at a time; this {finer}: "
                "ask for less, or with mode QUERY",
                field="mode",
            )
        return Plan(Source.TOTALS, "batch mode: what the last aggregation computed", None)
    states, seconds = extent.states, extent.seconds
    about = "states, how many nobody can tell now," if states is None else f"about {states:,} states"
    if seconds is not None and seconds <= TARGET:
        return Plan(Source.STATES, f"{about} are counted within {TARGET} s", states)
    if finer:
        return Plan(Source.STATES, f"{about} are counted, which is slow: this {finer}", states)
    if not extent.is_aggregated:
        return Plan(Source.STATES, f"{about} are counted: no aggregation has come to its end yet", states)
    return Plan(
        Source.TOTALS,
        f"{about} are not counted within {TARGET} s: the last aggregation added them up",
        states,
    )


def finer_than_cells(query: MetricQuery) -> str | None:
    """Why the cells can't answer it: each is of one dimension of the learner. None where they can."""
    if len(query.of_learners) > 1:
        return f"names {len(query.of_learners)} ({', '.join(query.of_learners)})"
    measures = sorted({part.measure for part in conditions(query.filter) if not isinstance(part, Among)})
    return f"filters by {', '.join(measures)}" if measures else None


# The table


class ColumnKind(Enum):
    """What the values of a column are."""

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
}

Key = tuple[str | None, ...]
"""A value for each dimension of a query; None where it is not known."""
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
    """The counts of rows that have the same values at ``dimensions`` together; ``counts`` has the place of each."""
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
    """Ordered as the query has it, then by its dimensions, so that equal questions have equal rows; what is not known
    is the smallest. Metrics follow from counts, of a row as of the totals."""
    columns = [Column(camel(dimension), ColumnKind.DIMENSION) for dimension in query.dimensions]
    columns += [Column(metric.value, _KINDS[metric]) for metric in query.metrics]
    ordered = list(groups.items())
    for order in reversed(_full_order(query)):
        ordered.sort(key=_rank(query, order.by), reverse=order.descending)
    rows = [[*key, *_metrics(query, counts)] for key, counts in ordered[: query.limit]]
    totals: TableRow | None = None
    if query.totals:
        everything: Counts = {
            name: joined(name, [counts[name] for counts in groups.values()]) for name in query.counts
        }
        totals = [*(None for _ in query.dimensions), *_metrics(query, everything)]
    return Table(tuple(columns), rows, totals)


def _full_order(query: MetricQuery) -> tuple[OrderBy, ...]:
    """With the dimensions that it leaves open: no two rows are equal under it."""
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
