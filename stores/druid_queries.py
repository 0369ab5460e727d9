"""Group queries in Druid's native language, and its rows back.

A query has two levels. The inner one groups by the whole key and takes the latest version's value of each column. So a
key counts once, however many rows of it the segments still have. It reads only columns that are asked for. The outer one
filters, groups and measures what the inner one found. Where nothing is measured, HAVING filters.

Druid's stringLast ignores nulls, whatever their version, and keeps no empty text (docs/decisions.md). So a text that is
no part of the key is stored as ``encoded`` has it: the expressions of the supervisor's ``transformSpec`` do that. The
encoding keeps the order. Texts of the key are stored as they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any as Json

from pydruid.query import QueryBuilder
from pydruid.utils import aggregators
from pydruid.utils.filters import Filter

from druid_specs import VERSION, DataSource
from rules.states import DAYS, FIRST_DAY, interval_of
from stores.group_queries import answered, check_query
from stores.groups import (
    All,
    Any,
    Between,
    Figures,
    KeyFilter,
    Kind,
    Measure,
    Not,
    OneOf,
    Order,
    Query,
    Rows,
    Value,
    Where,
)

NOTHING = "\0"
"""The stored form of null."""
ESCAPE = "\0="
"""What stands before an empty text, and before one that begins with NUL."""
FIRST_PLAIN = "\1"
"""The smallest text that is stored as it is."""
PAST_SURROGATES, ASTRAL, HIGHEST = "\ue000", "\U00010000", "\uffff"
"""Druid compares texts by UTF-16 unit. That is the order of code points with one exception: characters from ASTRAL on
come before those from PAST_SURROGATES up to HIGHEST."""
LOWEST = -(2**63)
"""The lowest whole number."""
LONGEST_TEXT = 1024
"""Bytes of a text beside the key, unless its spec says more: any 256 characters. Druid cuts off the rest."""

_NATIVE = {"string": "STRING", "long": "LONG", "double": "DOUBLE"}
_AGGREGATORS = {
    (Kind.SUM, "long"): aggregators.longsum,
    (Kind.SUM, "double"): aggregators.doublesum,
    (Kind.MAX, "long"): aggregators.longmax,
    (Kind.MAX, "double"): aggregators.doublemax,
}
_EVERYTHING = ((FIRST_DAY, FIRST_DAY + timedelta(days=DAYS)),)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled query. ``body`` is to be posted; the context is to be added."""

    body: dict[str, Json]
    query: Query

    def rows(self, found: list[list[Value]]) -> Sequence[Sequence[Value]]:
        """Druid's rows (``resultAsArray``) as rows of the answer."""
        query = self.query
        if isinstance(query, Figures) and not query.dimensions and not found:
            return [[0 if measure.kind is Kind.COUNT else None for measure in query.measures]]
        produced, columns = _produced(self.body), answered(query)
        # A measure may have the name of a column of texts, but is a number.
        may_be_text = columns if isinstance(query, Rows) else query.dimensions
        texts = {column for column in may_be_text if query.source.latest.get(column) == "string"}
        places = [(produced.index(column), column in texts) for column in columns]
        if not texts and [place for place, _ in places] == [*range(len(produced))]:
            rows = found
        else:
            rows = [
                [decoded(row[place]) if text else row[place] for place, text in places]  # type: ignore[arg-type]
                for row in found
            ]
        return _sorted(query, rows) if isinstance(query, Figures) and _by_text(query) else rows


def compiled(query: Query, name: str) -> Compiled:
    """Compiles the query. ``name``: of the data source in Druid. InvalidInput as Groups.query has it."""
    check_query(query)
    return Compiled(_rows(query, name) if isinstance(query, Rows) else _figures(query, name), query)


def extent(source: DataSource, name: str, keys: KeyFilter) -> dict[str, Json]:
    """The query that counts stored rows without reading their columns. It is to be posted; the context is to be added."""
    check_query(Figures(source, (), (Measure("keys", Kind.COUNT),), keys))
    filters = [_filter(source, OneOf(column, values)) for column, values in keys]
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


def encoded(text: str | None) -> str:
    """The stored form of a text: null as NUL, ESCAPE before an empty text or one that begins with NUL, others as they are.

    >>> [encoded(text) for text in (None, "", "North")]
    ['\\x00', '\\x00=', 'North']
    """
    if text is None:
        return NOTHING
    return text if text >= FIRST_PLAIN else ESCAPE + text


def decoded(text: str | None) -> str | None:
    """The reverse of ``encoded``; None stays None."""
    if text is None or not text.startswith(NOTHING):
        return text
    return None if text == NOTHING else text.removeprefix(ESCAPE)


def _rows(query: Rows, name: str) -> dict[str, Json]:
    source = query.source
    of_key, where = _divided(source, query.where)
    columns = {*query.columns, *_columns(where)}
    body = _latest(source, name, columns, query.keys, of_key)
    if where is not None:
        body["having"] = {"type": "filter", "filter": Filter.build_filter(_filter(source, where))}
    if query.limit is not None:
        body["limitSpec"] = _limit(query.limit)
    return body


def _figures(query: Figures, name: str) -> dict[str, Json]:
    source = query.source
    of_key, where = _divided(source, query.where)
    columns = {*query.dimensions, *_columns(where)}
    for measure in query.measures:
        columns |= {*_columns(measure.where)} | {column for column in (measure.column,) if column}
    latest = _latest(source, name, columns, query.keys, of_key)
    # Without it the outer level would see pairs of version and value.
    latest["context"] = {"finalize": True}
    body: dict[str, Json] = {
        "datasource": {"type": "query", "query": latest},
        "granularity": "all",
        # One interval for all: Druid would answer for each interval by itself.
        "intervals": _written(_EVERYTHING),
        "dimensions": [_dimension(source, column) for column in query.dimensions],
        "aggregations": {measure.name: _aggregator(source, measure) for measure in query.measures},
    }
    if where is not None:
        body["filter"] = _filter(source, where)
    if not _by_text(query) and (query.order or query.limit is not None):
        body["limit_spec"] = _limit(query.limit, [_order(order) for order in query.order])
    return _built(body)


def _latest(
    source: DataSource, name: str, columns: set[str], keys: KeyFilter, where: Where | None
) -> dict[str, Json]:
    """The inner level: one row for each key, with the latest values of these columns."""
    filters = [_filter(source, OneOf(column, values)) for column, values in keys]
    if where is not None:
        filters.append(_filter(source, where))
    months = {month: source.months[month] for month in sorted(columns & source.months.keys())}
    read = sorted((columns & source.latest.keys()) | {*months.values()})
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
    if months:
        built["postAggregations"] = [
            {
                "type": "expression",
                "name": month,
                "expression": f"timestamp_format(\"{moment}\", 'yyyy-MM', 'UTC')",
            }
            for month, moment in months.items()
        ]
    return built


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
        "outputType": _NATIVE[source.types[column]],
    }


def _last(source: DataSource, column: str) -> dict[str, Json]:
    """The aggregator that takes the latest version's value. pydruid's own builders lack timeColumn."""
    type_ = source.latest[column]
    last: dict[str, Json] = {"type": f"{type_}Last", "fieldName": column, "timeColumn": VERSION}
    if type_ == "string":
        last["maxStringBytes"] = source.longest.get(column, LONGEST_TEXT)
    return last


def _aggregator(source: DataSource, measure: Measure) -> Json:
    aggregator: Json = {"type": "count"}
    if measure.column is not None:
        aggregator = _AGGREGATORS[measure.kind, source.types[measure.column]](measure.column)
    if measure.where is None:
        return aggregator
    return aggregators.filtered(_filter(source, measure.where), aggregator)


def _order(order: Order) -> dict[str, str]:
    """The spec of an order by numbers."""
    return {
        "dimension": order.by,
        "direction": "descending" if order.descending else "ascending",
        "dimensionOrder": "numeric",
    }


def _by_text(query: Figures) -> bool:
    """Whether the order is by a text, which Druid orders otherwise. Then all groups are fetched, and sorted here."""
    texts = {column for column in query.dimensions if query.source.types[column] == "string"}
    return any(order.by in texts for order in query.order)


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


class _Native(Filter):  # type: ignore[misc]
    """A filter that pydruid has no builder for."""

    def __init__(self, **of: Json) -> None:
        self.filter = {"filter": of}
        self.extraction_function = None


def _filter(source: DataSource, where: Where) -> Filter:
    match where:
        case OneOf(column, values):
            if not values:
                return _Native(type="false")
            return Filter(
                type="in", dimension=column, values=[_stored(source, column, value) for value in values]
            )
        case Between(column):
            return _range(source, where)
        case Any(()):
            return _Native(type="false")
        case All(()):
            return _Native(type="true")
        case Any(filters):
            return Filter(type="or", fields=[_filter(source, each) for each in filters])
        case All(filters):
            return Filter(type="and", fields=[_filter(source, each) for each in filters])
        case Not(of):
            # In Druid, NOT of unknown is unknown; here it is true.
            true = _Native(type="istrue", field=Filter.build_filter(_filter(source, of)))
            return Filter(type="not", field=true)


def _range(source: DataSource, where: Between) -> Filter:
    column, type_ = where.column, _NATIVE[source.types[where.column]]
    least, most = (None if end is None else _stored(source, column, end) for end in (where.least, where.most))
    above = where.above
    if least is None and source.latest.get(column) == "string":
        least, above = NOTHING, True
    if least is None and most is None:
        return Filter(type="not", field=_Native(type="null", column=column))
    if any(isinstance(end, str) and max(end, default="") >= PAST_SURROGATES for end in (least, most)):
        from_least = [] if least is None else [_after(column, str(least), above)]
        to_most = (
            [] if most is None else [Filter(type="not", field=_after(column, str(most), not where.below))]
        )
        return Filter(type="and", fields=from_least + to_most)
    if type_ == "LONG":
        if not (isinstance(least, float) or isinstance(most, float)):
            return _whole(where)
        type_ = "DOUBLE"
    ends: dict[str, Json] = {}
    if least is not None:
        ends |= {"lower": least, "lowerOpen": above}
    if most is not None:
        ends |= {"upper": most, "upperOpen": where.below}
    return _Native(type="range", column=column, matchValueType=type_, **ends)


def _whole(where: Between) -> Filter:
    """A range of whole numbers. ``range`` would read the ends as doubles, and so 2**53 + 1 as 2**53."""
    # Without a lower end null would be within.
    ends: dict[str, Json] = {
        "lower": str(LOWEST if where.least is None else where.least),
        "lowerStrict": where.above and where.least is not None,
    }
    if where.most is not None:
        ends |= {"upper": str(where.most), "upperStrict": where.below}
    return _Native(type="bound", dimension=where.column, ordering="numeric", **ends)


def _after(column: str, text: str, above: bool) -> Filter:
    """Texts greater than this one by code point: those greater by UTF-16 unit, corrected where the two orders differ."""
    after = _Native(type="range", column=column, matchValueType="STRING", lower=text, lowerOpen=above)
    for place, character in enumerate(text):
        start = text[:place]
        if PAST_SURROGATES <= character <= HIGHEST:
            ends = {"lower": start + ASTRAL, "upper": start + PAST_SURROGATES, "upperOpen": True}
            missed = _Native(type="range", column=column, matchValueType="STRING", **ends)
            after = Filter(type="or", fields=[after, missed])
        elif character >= ASTRAL:
            ends = {"lower": start + PAST_SURROGATES, "upper": start + HIGHEST}
            too_many = _Native(type="range", column=column, matchValueType="STRING", **ends)
            after = Filter(type="and", fields=[after, Filter(type="not", field=too_many)])
    return after


def _stored(source: DataSource, column: str, value: Value) -> Value:
    """The value as the column stores it."""
    if source.latest.get(column) != "string":
        return value
    return encoded(None if value is None else str(value))


def _divided(source: DataSource, where: Where | None) -> tuple[Where | None, Where | None]:
    """Conditions about the key alone, and the others. The inner level can filter by the former."""
    if where is None:
        return None, None
    conditions = where.filters if isinstance(where, All) else (where,)
    of_key = tuple(each for each in conditions if {*_columns(each)} <= {*source.key})
    rest = tuple(each for each in conditions if each not in of_key)
    return _all(of_key), _all(rest)


def _all(conditions: tuple[Where, ...]) -> Where | None:
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else All(conditions)


def _columns(where: Where | None) -> Iterator[str]:
    match where:
        case OneOf(column) | Between(column):
            yield column
        case All(filters) | Any(filters):
            for each in filters:
                yield from _columns(each)
        case Not(of):
            yield from _columns(of)
