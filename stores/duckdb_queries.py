"""DuckDB's statements for data sources and group queries. Names come from the specs, values are always bound."""

from dataclasses import dataclass, field
from functools import lru_cache

import orjson

from druid_specs import VERSION, DataSource
from rules.periods import UTC_ZONE
from stores.group_queries import check_query, local_time
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
    Query,
    Rows,
    Value,
    Where,
    Windows,
)

KEY = "_key"
"""The column of the primary key: the whole key as a JSON list, since a part of it may be null."""
_TYPES = {"long": "BIGINT", "double": "DOUBLE", "string": "VARCHAR"}
_FORMATS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "year": "%Y"}


def compiled(query: Query) -> tuple[str, list[Value]]:
    """The query's statement and its parameters. InvalidInput as Groups.query has it."""
    check_query(query)
    statement = _Statement(query.source, query.zone if isinstance(query, Figures) else UTC_ZONE)
    return statement.of(query), statement.parameters


def extent(source: DataSource, keys: KeyFilter) -> tuple[str, list[Value]]:
    """The statement that counts the keys, and its parameters."""
    return compiled(Figures(source, (), (Measure("keys", Kind.COUNT),), keys))


def table(source: DataSource) -> str:
    return f'"{source.stored_as}"'


def columns(source: DataSource) -> dict[str, str]:
    """The columns of the source's table with DuckDB's types: the key, the version, the others."""
    key = dict.fromkeys((KEY, *source.key), "VARCHAR")
    return key | {VERSION: "BIGINT"} | {name: _TYPES[type_] for name, type_ in source.latest.items()}


def create(source: DataSource) -> str:
    declared = ", ".join(f'"{name}" {type_}' for name, type_ in columns(source).items())
    return f"CREATE TABLE {table(source)} ({declared}, PRIMARY KEY ({KEY}))"


@lru_cache
def upsert(source: DataSource, others: tuple[str, ...] = ()) -> str:
    """Inserts or replaces rows; only a higher version replaces. One parameter: a JSON list of objects with different KEYs.

    The same version is the same state, which may be told with more: a program that did not know a column yet has nothing in it.
    So of the same version each column gets the value that it lacks. ``others``: columns of a program that knew more. What they have is of
    the former version, so nothing is in them once there is a newer one.
    """
    names = columns(source)
    shape = orjson.dumps([names]).decode()
    stored, told = table(source), [name for name in names if name not in (KEY, *source.key, VERSION)]
    newer = f"excluded.{VERSION} > {stored}.{VERSION}"
    values = (
        f'"{name}" = CASE WHEN {newer} THEN excluded."{name}" ELSE coalesce({stored}."{name}", excluded."{name}") END'
        for name in told
    )
    lacks = " OR ".join(f'({stored}."{name}" IS NULL AND excluded."{name}" IS NOT NULL)' for name in told)
    emptied = (f'"{name}" = CASE WHEN {newer} THEN NULL ELSE {stored}."{name}" END' for name in others)
    changes = ", ".join((f"{VERSION} = excluded.{VERSION}", *values, *emptied))
    # A value that the column can't hold becomes null, as in Druid.
    return (
        f"INSERT INTO {table(source)} ({_list(names)}) "  # noqa: S608 - names of the spec
        f"SELECT {_list(names)} FROM (SELECT unnest(from_json(?, '{shape}'), recursive := true)) "
        f"ON CONFLICT DO UPDATE SET {changes} "
        f"WHERE {newer} OR (excluded.{VERSION} = {stored}.{VERSION} AND ({lacks}))"
    )


NAMES = "SELECT column_name FROM duckdb_columns() WHERE table_name = ?"
"""The columns of a table."""
CREATE_GONE = "CREATE TABLE IF NOT EXISTS gone (source VARCHAR, hash VARCHAR, version BIGINT, PRIMARY KEY (source, hash))"
"""Keys that have ended, as hashes, and the version that ended them. An older event that comes later is passed over."""
GONE_SINCE = "SELECT hash, version FROM gone WHERE source = ? AND hash IN (SELECT unnest(?))"
NOTE_GONE = "INSERT INTO gone VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET version = greatest(version, excluded.version)"


def remove(source: DataSource) -> str:
    """Deletes a row, unless its version is higher. Two parameters: a KEY and the version."""
    return f"DELETE FROM {table(source)} WHERE {KEY} = ? AND {VERSION} <= ?"  # noqa: S608 - names of the spec


@dataclass
class _Statement:
    """Builds a statement from left to right, so that ``parameters`` are in the order of their question marks."""

    source: DataSource
    zone: str
    parameters: list[Value] = field(default_factory=list)

    def of(self, query: Query) -> str:
        match query:
            case Rows():
                text = f"SELECT {', '.join(map(self.column, query.columns))} {self.rows(query)}"
            case Figures():
                text = self.figures(query)
        return text if query.limit is None else f"{text} LIMIT {self.bound(query.limit)}"

    def figures(self, query: Figures) -> str:
        dimensions = [self.column(name) for name in query.dimensions]
        measures = [self.measure(measure) for measure in query.measures]
        text = f"SELECT {', '.join(dimensions + measures)} {self.rows(query)}"
        if dimensions:
            text += f" GROUP BY {', '.join(str(place + 1) for place in range(len(dimensions)))}"
        if query.order:
            places = [*query.dimensions, *(measure.name for measure in query.measures)]
            terms = (
                f"{places.index(order.by) + 1} {'DESC NULLS LAST' if order.descending else 'ASC NULLS FIRST'}"
                for order in query.order
            )
            text += f" ORDER BY {', '.join(terms)}"
        return text

    def rows(self, query: Query) -> str:
        windows = query.windows if isinstance(query, Figures) else None
        read = table(self.source) if windows is None else self.windowed(windows)
        conditions = [self.where(OneOf(column, values)) for column, values in query.keys]
        if query.where is not None:
            conditions.append(self.where(query.where))
        return f"FROM {read}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")

    def windowed(self, windows: Windows) -> str:
        """The rows that are in a window, with its name in the place of the value."""
        names = orjson.dumps([{"value": value, "name": name} for value, name in windows.names]).decode()
        shape = '[{"value":"VARCHAR","name":"VARCHAR"}]'
        read = f"SELECT unnest(from_json({self.bound(names)}, '{shape}'), recursive := true)"
        return (
            f'(SELECT t.* REPLACE (w.name AS "{windows.column}") '  # noqa: S608 - names of the spec
            f'FROM {table(self.source)} t JOIN ({read}) w ON t."{windows.column}" = w.value)'
        )

    def column(self, name: str) -> str:
        if span := self.source.spans.get(name):
            start, end = f'"{span.start}"', f'"{span.end}"'
            return f"(CASE WHEN {end} < {start} THEN 0 ELSE ({end} - {start}) // {span.unit} END)"
        if name not in self.source.periods:
            return f'"{name}"'
        moment, period = self.source.periods[name]
        # A moment without a time zone is in UTC. Null where DuckDB has no such moment.
        at = f"TRY(epoch_ms({local_time(moment, self.zone)}))"
        if period == "quarter":
            return f"(strftime({at}, '%Y-Q') || quarter({at}))"
        return f"strftime({at}, '{_FORMATS[period]}')"

    def measure(self, measure: Measure) -> str:
        match measure.kind:
            case Kind.COUNT:
                figure = "count(*)"
            case Kind.SUM | Kind.MAX:
                figure = f"{measure.kind.value}({self.column(str(measure.column))})"
            case Kind.DISTINCT:
                figure = f'count(DISTINCT "{measure.column}")'
        return figure if measure.where is None else f"{figure} FILTER (WHERE {self.where(measure.where)})"

    def where(self, where: Where) -> str:
        match where:
            case OneOf(column, values):
                given = [self.bound(value) for value in values if value is not None]
                ways = [f"{self.column(column)} IN ({', '.join(given)})"] if given else []
                if None in values:
                    ways.append(f"{self.column(column)} IS NULL")
                return _joined("OR", ways)
            case Between(column, least, most, above, below):
                ends = [f"{self.column(column)} IS NOT NULL"]
                if least is not None:
                    ends.append(f"{self.column(column)} {'>' if above else '>='} {self.bound(least)}")
                if most is not None:
                    ends.append(f"{self.column(column)} {'<' if below else '<='} {self.bound(most)}")
                return _joined("AND", ends)
            case All(filters):
                return _joined("AND", [self.where(each) for each in filters])
            case Any(filters):
                return _joined("OR", [self.where(each) for each in filters])
            case Not(inner):
                return f"({self.where(inner)} IS NOT TRUE)"

    def bound(self, value: Value) -> str:
        self.parameters.append(value)
        return "?"


def _joined(word: str, conditions: list[str]) -> str:
    """The conditions in brackets. For none: true for AND, false for OR."""
    return f"({f' {word} '.join(conditions)})" if conditions else str(word == "AND")


def _list(names: tuple[str, ...] | dict[str, str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
