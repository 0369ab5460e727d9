"""Group queries in Druid's native language, and its rows back.

A query has two levels, and three where it counts distinct values. The inner one groups by the whole key and takes the latest version's value of each column. So a
key counts once, however many rows of it the segments still have. It reads only columns that are asked for. The outer one
filters, groups and measures what the inner one found. Where nothing is measured, HAVING filters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any as Json

from pydruid.query import QueryBuilder
from pydruid.utils import aggregators
from pydruid.utils.filters import Filter

from druid_specs import VERSION, DataSource, Span
from rules.periods import UTC_ZONE
from rules.states import DAYS, FIRST_DAY, interval_of
from stores.druid_filters import NATIVE, above_0, columns_of, decoded, divided, filter_of
from stores.group_queries import answered, check_query, local_time
from stores.groups import (
    All,
    Figures,
    KeyFilter,
    Kind,
    Measure,
    OneOf,
    Order,
    Query,
    Rows,
    Value,
    Where,
)

LONGEST_TEXT = 1024
"""Bytes of a text beside the key, unless its spec says more: any 256 characters. Druid cuts off the rest."""

_FORMATS = {"day": "yyyy-MM-dd", "week": r"xxxx-\'W\'ww", "month": "yyyy-MM", "year": "yyyy"}
_AGGREGATORS = {
    (Kind.SUM, "long"): aggregators.longsum,
    (Kind.SUM, "double"): aggregators.doublesum,
    (Kind.MAX, "long"): aggregators.longmax,
    (Kind.MAX, "double"): aggregators.doublemax,
}
_EACH = "distinct:value"
"""The column that a query for distinct values is grouped by beside its own dimensions."""
_EVERYTHING = ((FIRST_DAY, FIRST_DAY + timedelta(days=DAYS)),)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled query. ``body`` is to be posted; the context is to be added."""

    body: dict[str, Json]
    query: Query

    def rows(self, found: list[list[Value]]) -> Sequence[Sequence[Value]]:
        """Druid's rows (``resultAsArray``) as rows of the answer."""
        query = self.query
        produced, columns = _produced(self.body), answered(query)
        # A measure may have the name of a column of texts, but is a number.
        may_be_text = columns if isinstance(query, Rows) else query.dimensions
        texts = {column for column in may_be_text if query.source.latest.get(column) == "string"}
        places = [(produced.index(column), column in texts) for column in columns]
        if not texts and [place for place, _ in places] == [*range(len(produced))]:
            rows = found
        else:
            rows = _picked(found, [place for place, _ in places])
            for number in (number for number, (_, text) in enumerate(places) if text):
                for row in rows:
                    row[number] = decoded(row[number])  # type: ignore[arg-type]
        if isinstance(query, Figures) and not query.dimensions:
            return [_of_everything(query, [*rows])]
        return _sorted(query, rows) if isinstance(query, Figures) and _by_text(query) else rows


def compiled(query: Query, name: str) -> Compiled:
    """Compiles the query. ``name``: of the data source in Druid. InvalidInput as Groups.query has it."""
    check_query(query)
    return Compiled(_rows(query, name) if isinstance(query, Rows) else _figures(query, name), query)


def extent(source: DataSource, name: str, keys: KeyFilter) -> dict[str, Json]:
    """The query that counts stored rows without reading their columns. It is to be posted; the context is to be added."""
    check_query(Figures(source, (), (Measure("keys", Kind.COUNT),), keys))
    filters = [filter_of(source, OneOf(column, values)) for column, values in keys]
    body: dict[str, Json] = {
        "datasource": name,
        "granularity": "all",
        "intervals": _written(_intervals(source, keys)),
        "aggregations": {"keys": {"type": "count"}},
    }
    if filters:
        body["filter"] = Filter(type="and", fields=filters)
    built: dict[str, Json] = QueryBuilder().timeseries(body).query_dict
    return built


def _rows(query: Rows, name: str) -> dict[str, Json]:
    source = query.source
    of_key, where = divided(source, query.where)
    columns = {*query.columns, *columns_of(where)}
    body = _latest(source, name, columns, query.keys, of_key)
    if where is not None:
        body["having"] = {"type": "filter", "filter": Filter.build_filter(filter_of(source, where))}
    if query.limit is not None:
        body["limitSpec"] = _limit(query.limit)
    return body


def _figures(query: Figures, name: str) -> dict[str, Json]:
    source = query.source
    of_key, where = divided(source, query.where)
    if query.windows is not None:
        counting = OneOf(query.windows.column, tuple(value for value, _ in query.windows.names))
        of_key = counting if of_key is None else All((of_key, counting))
    columns = {*query.dimensions, *columns_of(where)}
    for measure in query.measures:
        columns |= {*columns_of(measure.where)} | {column for column in (measure.column,) if column}
    latest = _latest(source, name, columns, query.keys, of_key, query.zone)
    # Without it the outer level would see pairs of version and value.
    latest["context"] = {"finalize": True}
    body: dict[str, Json] = {
        "datasource": {"type": "query", "query": latest},
        "granularity": "all",
        # One interval for all: Druid would answer for each interval by itself.
        "intervals": _written(_EVERYTHING),
        "dimensions": [_windowed(query, column) for column in query.dimensions],
        "aggregations": {measure.name: _aggregator(source, measure) for measure in query.measures},
    }
    if where is not None:
        body["filter"] = filter_of(source, where)
    if any(measure.kind is Kind.DISTINCT for measure in query.measures):
        body = _over_distinct(query, body)
    if not _by_text(query) and (query.order or query.limit is not None):
        body["limit_spec"] = _limit(query.limit, [_order(order) for order in query.order])
    return _built(body)


def _over_distinct(query: Figures, body: dict[str, Json]) -> dict[str, Json]:
    """A level more: ``body`` is grouped by the distinct values as well, and these groups are added up. Druid's own count
    of distinct values is an estimate."""
    source = query.source
    column = next(str(each.column) for each in query.measures if each.kind is Kind.DISTINCT)
    of_each = {
        **body,
        "dimensions": [*body["dimensions"], {**_dimension(source, column), "outputName": _EACH}],
    }
    known = Filter(type="not", field=Filter(type="in", dimension=_EACH, values=[None]))
    added: dict[str, Json] = {}
    for measure in query.measures:
        match measure.kind:
            case Kind.DISTINCT:
                counts = Filter(type="and", fields=[known, above_0(measure.name)])
                added[measure.name] = aggregators.filtered(counts, {"type": "count"})
            case Kind.COUNT:
                added[measure.name] = aggregators.longsum(measure.name)
            case Kind.SUM | Kind.MAX:
                type_ = source.types[str(measure.column)]
                added[measure.name] = _AGGREGATORS[measure.kind, type_](measure.name)
    return {
        "datasource": {"type": "query", "query": _built(of_each)},
        "granularity": "all",
        "intervals": body["intervals"],
        "dimensions": [_dimension(source, name) for name in query.dimensions],
        "aggregations": added,
    }


def _latest(
    source: DataSource,
    name: str,
    columns: set[str],
    keys: KeyFilter,
    where: Where | None,
    zone: str = UTC_ZONE,
) -> dict[str, Json]:
    """The innermost level: one row for each key, with the latest values of these columns."""
    filters = [filter_of(source, OneOf(column, values)) for column, values in keys]
    if where is not None:
        filters.append(filter_of(source, where))
    periods = sorted(columns & source.periods.keys())
    spans = sorted(columns & source.spans.keys())
    ends = {end for name in spans for end in (source.spans[name].start, source.spans[name].end)}
    read = sorted((columns & source.latest.keys()) | {source.periods[name][0] for name in periods} | ends)
    body: dict[str, Json] = {
        "datasource": name,
        "granularity": "all",
        "intervals": _written(_intervals(source, keys)),
        "dimensions": [_dimension(source, column) for column in source.key],
        "aggregations": {column: _last(source, column) for column in read},
    }
    if filters:
        body["filter"] = filters[0] if len(filters) == 1 else Filter(type="and", fields=filters)
    built = _built(body)
    computed = {name_: _period(*source.periods[name_], zone) for name_ in periods} | {
        name_: _span(source.spans[name_]) for name_ in spans
    }
    if computed:
        built["postAggregations"] = [
            {"type": "expression", "name": column, "expression": expression}
            for column, expression in computed.items()
        ]
    return built


def _span(span: Span) -> str:
    """The expression of how long something took. A comparison with null takes the second way, and arithmetic with null is
    null."""
    start, end = f'"{span.start}"', f'"{span.end}"'
    return f"if({end} < {start}, 0, div({end} - {start}, {span.unit}))"


def _period(moment: str, period: str, zone: str) -> str:
    """The expression of a period's name."""
    at = local_time(moment, zone)
    if period == "quarter":
        return (
            f"concat(timestamp_format({at}, 'yyyy', 'UTC'), '-Q', timestamp_extract({at}, 'QUARTER', 'UTC'))"
        )
    return f"timestamp_format({at}, '{_FORMATS[period]}', 'UTC')"


def _built(body: dict[str, Json]) -> dict[str, Json]:
    built: dict[str, Json] = QueryBuilder().groupby(body).query_dict
    return built


def _produced(body: dict[str, Json]) -> list[str]:
    """The columns of Druid's rows, in order."""
    return (
        [dimension["outputName"] for dimension in body["dimensions"]]
        + [each.get("aggregator", each)["name"] for each in body["aggregations"]]
        + [computed["name"] for computed in body.get("postAggregations", ())]
    )


def _intervals(source: DataSource, keys: KeyFilter) -> Sequence[tuple[datetime, datetime]]:
    """The intervals of the activities asked for: all rows of an activity have the same synthetic time (rules/states.py)."""
    activities = dict(keys).get(source.placed_by)
    return sorted({interval_of(activity) for activity in activities}) if activities else _EVERYTHING


def _written(intervals: Sequence[tuple[datetime, datetime]]) -> list[str]:
    return [f"{start:%Y-%m-%dT%H:%M:%SZ}/{end:%Y-%m-%dT%H:%M:%SZ}" for start, end in intervals]


def _dimension(source: DataSource, column: str) -> dict[str, str]:
    return {
        "type": "default",
        "dimension": column,
        "outputName": column,
        "outputType": NATIVE[source.types[column]],
    }


def _windowed(query: Figures, column: str) -> dict[str, Json]:
    """The dimension, with the names of windows for values where the query has such."""
    dimension: dict[str, Json] = _dimension(query.source, column)
    if query.windows is None or column != query.windows.column:
        return dimension
    names = {"type": "lookup", "lookup": {"type": "map", "map": dict(query.windows.names)}}
    return dimension | {"type": "extraction", "extractionFn": names}


def _last(source: DataSource, column: str) -> dict[str, Json]:
    """The aggregator that takes the latest version's value. pydruid's own builders lack timeColumn."""
    type_ = source.latest[column]
    last: dict[str, Json] = {"type": f"{type_}Last", "fieldName": column, "timeColumn": VERSION}
    if type_ == "string":
        last["maxStringBytes"] = source.longest.get(column, LONGEST_TEXT)
    return last


def _aggregator(source: DataSource, measure: Measure) -> Json:
    aggregator: Json = {"type": "count"}
    if measure.column is not None and measure.kind is not Kind.DISTINCT:
        aggregator = _AGGREGATORS[measure.kind, source.types[measure.column]](measure.column)
    if measure.where is None:
        return aggregator
    return aggregators.filtered(filter_of(source, measure.where), aggregator)


def _order(order: Order) -> dict[str, str]:
    """The spec of an order by numbers."""
    return {
        "dimension": order.by,
        "direction": "descending" if order.descending else "ascending",
        "dimensionOrder": "numeric",
    }


def _of_everything(query: Figures, rows: list[list[Value]]) -> list[Value]:
    """The row of a query without dimensions. Of nobody Druid has no row, or one without a sum of counts."""
    row = rows[0] if rows else [None] * len(query.measures)
    return [
        0 if value is None and measure.kind in (Kind.COUNT, Kind.DISTINCT) else value
        for measure, value in zip(query.measures, row, strict=True)
    ]


def _by_text(query: Figures) -> bool:
    """Whether the order is by a text, which Druid orders otherwise. Then all groups are fetched, and sorted here."""
    texts = {column for column in query.dimensions if query.source.types[column] == "string"}
    return any(order.by in texts for order in query.order)


def _picked(found: list[list[Value]], places: Sequence[int]) -> list[list[Value]]:
    """The values of each row at these places."""
    if len(places) == 1:
        return [[row[places[0]]] for row in found]
    pick = itemgetter(*places)
    return [list(pick(row)) for row in found]


def _sorted(query: Figures, rows: list[list[Value]]) -> list[list[Value]]:
    columns = answered(query)
    for order in reversed(query.order):
        place = columns.index(order.by)
        rows = sorted(rows, key=lambda row: _rank(row[place]), reverse=order.descending)
    return rows[: query.limit]


def _rank(value: Value) -> tuple[bool, Json]:
    """A sort key that puts null first."""
    return value is not None, value


def _limit(limit: int | None, columns: Sequence[dict[str, str]] = ()) -> dict[str, Json]:
    spec: dict[str, Json] = {"type": "default", "columns": columns}
    return spec if limit is None else spec | {"limit": limit}
