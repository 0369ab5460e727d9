"""The CQL of a table: DDL, texts of statements, and codecs between the port's values and the driver's."""

# ruff: noqa: S608 - names come from declared tables, values are always bound

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import Any

from cassandra.cqltypes import lookup_casstype

from rules.moments import milliseconds, moment
from stores.columns import (
    TIMESTAMP,
    ColumnType,
    Element,
    ListOf,
    Map,
    Milliseconds,
    NarrowColumn,
    Scalar,
    SetOf,
    Table,
    Udt,
)
from stores.keys import Span
from stores.narrow_types import narrow_types
from stores.rows import Condition, Equal, Exists, In, Key, Put, Row

_Code = Callable[[Any], Any]

_CASSANDRA_TYPES = {
    "text": "UTF8Type",
    "int": "Int32Type",
    "bigint": "LongType",
    "double": "DoubleType",
    "boolean": "BooleanType",
    "timestamp": "TimestampType",
    "blob": "BytesType",
}


def type_name(type_: ColumnType) -> str:
    """The type as DDL has it. A UDT has its bare name and is frozen."""
    match type_:
        case Scalar(cql):
            return cql
        case Map(key, value, frozen):
            name = f"map<{type_name(key)}, {type_name(value)}>"
            return f"frozen<{name}>" if frozen else name
        case SetOf(element, frozen):
            name = f"set<{type_name(element)}>"
            return f"frozen<{name}>" if frozen else name
        case ListOf(element):
            return f"frozen<list<{type_name(element)}>>"
        case Udt(name=name):
            return f'frozen<"{name}">'


def udts(type_: ColumnType) -> list[Udt]:
    """The user-defined types within, each after those that it needs."""
    match type_:
        case Udt(fields=fields):
            return [inner for field in fields.values() for inner in udts(field)] + [type_]
        case ListOf(element):
            return udts(element)
        case _:
            return []


def _encoder(type_: ColumnType) -> _Code | None:
    """Turns a value into what the driver binds; None where it takes the value as it is."""
    match type_:
        case Scalar():
            return milliseconds if type_ == TIMESTAMP else None
        case Map(key, value):
            k, v = _encoder(key) or _same, _encoder(value) or _same
            return None if k is v is _same else lambda m: {k(key): v(value) for key, value in m.items()}
        case SetOf(element) | ListOf(element):
            e = _encoder(element)
            return None if e is None else lambda items: [e(item) for item in items]
        case Udt(fields=fields):
            codes = [(name, _encoder(t) or _same) for name, t in fields.items()]
            return lambda u: tuple(None if u[name] is None else code(u[name]) for name, code in codes)


def _decoder(type_: ColumnType) -> _Code | None:
    """Turns what the driver returns, which is never None here, into a value; None where it is one already."""
    match type_:
        case Scalar():
            return _moment if type_ == TIMESTAMP else None
        case Map(key, value):
            k, v = _decoder(key) or _same, _decoder(value) or _same
            if k is v is _same:
                return lambda m: dict(_entries(m))
            return lambda m: {k(key): v(value) for key, value in _entries(m)}
        case SetOf(element):
            code = _decoder(element) or _same
            return frozenset if code is _same else lambda items: frozenset([code(item) for item in items])
        case ListOf(element):
            e = _decoder(element)
            return list if e is None else lambda items: [e(item) for item in items]
        case Udt(fields=fields):
            # Its values are decoded already (stores/cassandra_values.py). The server may have more fields, or in another order.
            names = [*fields]
            return lambda u: u if [*u] == names else {name: u.get(name) for name in names}


_entries: Callable[[Any], list[tuple[Any, Any]]] = attrgetter("_items")
"""The entries of the driver's map. It is private: by ``items()`` the map looks each key up by its bytes, in thirty times the
time. What is read of maps is in tests/stores/test_rows_contract.py, so another driver that has it no more can't go unseen."""


def _same(value: Any) -> Any:
    return value


def _moment(value: datetime) -> datetime:
    """An aware moment from the driver's naive UTC, which is a few microseconds wrong far from the epoch."""
    aware = value.replace(tzinfo=UTC)
    return (
        moment(milliseconds(aware) + round(value.microsecond % 1000 / 1000))
        if value.microsecond % 1000
        else aware
    )


def _columns(names: Iterable[NarrowColumn]) -> str:
    return ", ".join(map(_term, names))


def _term(column: NarrowColumn) -> str:
    match column:
        case Milliseconds(of):
            return f"toUnixTimestamp({_term(of)})"
        case Element(name, key):
            text = key.replace("'", "''")
            return f"\"{name}\"['{text}']"
        case name:
            return f'"{name}"'


def _equal(names: Iterable[str], separator: str = " AND ") -> str:
    return separator.join(f'"{name}" = ?' for name in names)


class Cql:
    """The texts and codecs of one table in one keyspace. Values are bound in the order of their question marks."""

    def __init__(self, table: Table, keyspace: str) -> None:
        self.table = table
        self.name = f'{keyspace}."{table.name}"'
        self._keyspace = keyspace
        self._encoders = {n: code for n, t in table.types.items() if (code := _encoder(t))}
        self._decoders = {n: code for n, t in table.types.items() if (code := _decoder(t))}
        self._key_types = [lookup_casstype(_CASSANDRA_TYPES[type_.cql]) for type_ in table.partition.values()]
        # Each text is made once for the same arguments.
        self.select, self.insert, self.update = cache(self._select), cache(self._insert), cache(self._update)
        self.slice, self.within, self.together = (
            cache(self._slice),
            cache(self._within),
            cache(self._together),
        )
        self._encoders_of = cache(lambda names: [self._encoders.get(name) for name in names])
        self._coded = cache(self._columns_with_decoders)
        self.decoders = cache(self._narrow_decoders)
        self._plain_key = not self._coded(table.key)

    # --- values

    def encode(self, name: str, value: Any) -> Any:
        if isinstance(value, Put):
            value = value.value
        code = self._encoders.get(name)
        return value if code is None or value is None else code(value)

    def key(self, key: Key) -> list[Any]:
        """The encoded key of a partition or a row, or the beginning of a key."""
        if self._plain_key:
            return list(key)
        return [self.encode(n, v) for n, v in zip(self.table.key, key, strict=False)]

    def binds_as_they_are(self, *places: int) -> bool:
        """Whether values of these key columns are bound as they are."""
        return self._plain_key or all(self.table.key[place] not in self._encoders for place in places)

    def encoded(self, values: Mapping[str, Any]) -> list[Any]:
        """The encoded values, none of them a Put, in their order."""
        codes = self._encoders_of(tuple(values))
        return [
            value if code is None or value is None else code(value)
            for code, value in zip(codes, values.values(), strict=True)
        ]

    def decode(self, columns: Sequence[str], raw: Sequence[Any]) -> Row:
        """The columns of the driver's row as a Row. ``raw`` may be longer than ``columns``."""
        row = dict(zip(columns, raw, strict=False))
        for name, code in self._coded(tuple(columns)):
            value = row[name]
            if value is not None:
                row[name] = code(value)
        return row

    def is_plain(self, columns: tuple[str, ...]) -> bool:
        """Whether the driver gives the values of all these columns as they are."""
        return not self._coded(columns)

    def decode_key(self, raw: Sequence[Any], width: int) -> Key:
        """The first ``width`` key columns. ``raw`` begins with these."""
        key = tuple(raw[:width])
        return key if self._plain_key else tuple(self.decode(self.table.key[:width], key).values())

    def _narrow_decoders(self, columns: tuple[NarrowColumn, ...]) -> list[tuple[int, _Code]]:
        """The places in ``columns`` of values that the driver does not give as they are, and their decoders."""
        types = enumerate(narrow_types(self.table, columns))
        return [(at, code) for at, type_ in types if type_ is not None and (code := _decoder(type_))]

    def _columns_with_decoders(self, columns: tuple[str, ...]) -> list[tuple[str, _Code]]:
        return [(name, self._decoders[name]) for name in columns if name in self._decoders]

    def routing_key(self, key: Key) -> bytes:
        """The bytes of a partition key that the partitioner hashes."""
        parts = [type_.serialize(v, 4) for type_, v in zip(self._key_types, self.key(key), strict=True)]
        if len(parts) == 1:
            return bytes(parts[0])
        return b"".join(struct.pack(">H", len(part)) + part + b"\0" for part in parts)

    # --- DDL

    def types(self) -> list[tuple[str, str]]:
        """Name and DDL of each user-defined type that the table needs, in order."""
        return [
            (udt.name, f'CREATE TYPE IF NOT EXISTS {self._keyspace}."{udt.name}" ({self._typed(udt.fields)})')
            for type_ in self.table.types.values()
            for udt in udts(type_)
        ]

    def create(self) -> str:
        columns = [
            f'"{n}" {type_name(t)}{" static" * (n in self.table.statics)}'
            for n, t in self.table.types.items()
        ]
        key = ", ".join([f"({_columns(self.table.partition)})", *map('"{}"'.format, self.table.clustering)])
        comment = self.table.comment.replace("'", "''")
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name} ({', '.join(columns)}, PRIMARY KEY ({key})) "
            f"WITH comment = '{comment}'"
        )

    def drop(self) -> str:
        return f"DROP TABLE IF EXISTS {self.name}"

    def add(self, name: str) -> str:
        column = self.table.values[name]
        return f'ALTER TABLE {self.name} ADD IF NOT EXISTS "{name}" {type_name(column.type)}{" static" * column.static}'

    @staticmethod
    def _typed(fields: Mapping[str, ColumnType]) -> str:
        return ", ".join(f'"{name}" {type_name(type_)}' for name, type_ in fields.items())

    # --- reading

    def _select(
        self,
        columns: tuple[NarrowColumn, ...],
        where: str,
        *,
        distinct: bool = False,
        limit: bool = False,
        limit_each: bool = False,
    ) -> str:
        asked = f"{'DISTINCT ' * distinct}{_columns(columns)}"
        end = " LIMIT ?" * limit + " PER PARTITION LIMIT ?" * limit_each
        return f"SELECT {asked} FROM {self.name} WHERE {where}{end}"

    def _slice(self, prefix: int, rest: int) -> str:
        """WHERE for a slice of one partition: the first ``prefix`` clustering columns equal, the next ``rest`` greater."""
        return _equal(self.table.partition) + self.within(prefix, rest)

    def _within(self, prefix: int, rest: int) -> str:
        """What follows the partition's columns in the WHERE of a slice."""
        names = tuple(self.table.clustering)
        where = "".join(f' AND "{name}" = ?' for name in names[:prefix])
        if not rest:
            return where
        return f"{where} AND ({_columns(names[prefix : prefix + rest])}) > ({', '.join('?' * rest)})"

    def _together(self, differing: tuple[Span, ...], width: int) -> str:
        """WHERE for keys that differ in these spans. ``width``: how many key columns a key has, the partition's or all."""
        names = self.table.key[:width]
        terms = {column: f'"{name}" = ?' for column, name in enumerate(names)}
        for first, last in differing:
            among = _columns(names[first:last])
            terms[first] = f"({among}) IN ?" if last - first > 1 else f"{among} IN ?"
            for column in range(first + 1, last):
                del terms[column]
        return " AND ".join(terms.values())

    @property
    def range(self) -> str:
        """WHERE for a range of tokens."""
        token = f"token({_columns(self.table.partition)})"
        return f"{token} > ? AND {token} <= ?"

    # --- writing

    def _insert(self, names: tuple[str, ...], *, absent: bool = False, timed: bool = False) -> str:
        columns = (*self.table.key, *names)
        values = ", ".join("?" * len(columns))
        end = " IF NOT EXISTS" * absent + " USING TIMESTAMP ?" * timed
        return f"INSERT INTO {self.name} ({_columns(columns)}) VALUES ({values}){end}"

    def _update(
        self, names: tuple[str, ...], puts: frozenset[str], where: int, *, timed: bool = False
    ) -> str:
        """``where``: how many key columns are given; only the partition's where static columns alone are set."""
        changes = ", ".join(f'"{n}" = "{n}" + ?' if n in puts else f'"{n}" = ?' for n in names)
        return f"UPDATE {self.name}{' USING TIMESTAMP ?' * timed} SET {changes} WHERE {_equal(self.table.key[:where])}"

    def delete(self, *, timed: bool = False) -> str:
        return f"DELETE FROM {self.name}{' USING TIMESTAMP ?' * timed} WHERE {_equal(self.table.key)}"

    def condition(self, conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
        """The IF of an update or a deletion, and the values that it binds."""
        texts: list[str] = []
        values: list[Any] = []
        for condition in conditions:
            match condition:
                case Equal(column, value):
                    texts.append(f'"{column}" = ?')
                    values.append(self.encode(column, value))
                case In(column, options):
                    texts.append(f'"{column}" IN ?')
                    values.append([self.encode(column, option) for option in options])
                case Exists():
                    texts.append("EXISTS")
        return f" IF {' AND '.join(texts)}", values
