"""How SQLite keeps a table as Cassandra understands it: hidden columns, statements and codecs.

Beside its own columns a table has hidden ones:

- ``_token``: a hash of the partition key. The primary key begins with it, so that partitions and walks are ranges of one
  b-tree.
- ``_live``: when the row was last inserted; null where never, or where it was deleted.
- ``_dead``: the time of its latest deletion. A deletion sets older values to null, so that reads need no times.
- ``<name>__t`` for each column: its write time.

Static columns are in ``<table>__static``. A map or set that is not frozen is kept as entries with write times.

A deleted row must still win against late writes with older times, for good, and yet its key must not stay in the file.
So its times move to ``<table>__hidden`` under a hash of the key, and come back before the key is written again
(``Place``).
"""

# ruff: noqa: S608 - names come from declared tables, values are always bound

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property, lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from stores.columns import Column, ColumnType, Map, Scalar, Table
from stores.keys import MAX_TOKEN, MIN_TOKEN
from stores.rows import Key, Put, Row
from stores.sqlite_codecs import codec, plain

Statement = tuple[str, tuple[Any, ...]]
_Code = Callable[[Any], Any]

NEVER = -(1 << 63) + 1
"""A time older than every write. SQLite would read the next lower number as a float."""

_AFFINITIES = {"text": "TEXT", "double": "REAL", "blob": "BLOB"}


def _entries(type_: ColumnType, value: Any, time: int) -> bytes:
    """Entries of a map or set that is not frozen: [key or element, value or null, write time]."""
    pairs = plain(type_)[0](value)
    return orjson.dumps(
        [(k, v, time) for k, v in (pairs if isinstance(type_, Map) else ((e, None) for e in pairs))]
    )


def merged(old: bytes | None, new: bytes | None, replaced: int, dead: int) -> bytes | None:
    """The latest of each entry, without those from before the whole was ``replaced`` or the row deleted. An SQL function."""
    latest: dict[Any, Any] = {}
    for entry in (*orjson.loads(old or b"[]"), *orjson.loads(new or b"[]")):
        key, _, time = entry
        if time >= replaced and time > dead and (key not in latest or time >= latest[key][2]):
            latest[key] = entry
    return orjson.dumps(list(latest.values())) if latest else None


def _loose(type_: ColumnType) -> bool:
    return not getattr(type_, "frozen", True)


def hashed(*key: Any) -> bytes:
    """A hash of a stored key, which can't be read from it. An SQL function."""
    plain = [part.hex() if isinstance(part, bytes) else part for part in key]
    return blake2b(orjson.dumps(plain), digest_size=16).digest()


def _list(parts: Iterable[str], separator: str = ", ") -> str:
    return separator.join(parts)


class Place:
    """A table for rows, or for static columns of partitions, and the table of its hidden rows.

    ``at``: the token and the key's columns. ``times``: the columns that a hidden row keeps. ``values``: a row with none
    of these is gone.
    """

    def __init__(self, name: str, at: Sequence[str], times: Sequence[str], values: Sequence[str]) -> None:
        self.name, self.hidden, self.index = f'"{name}"', f"{name}__hidden", f"{name}__gone"
        self.width, self.times = len(at), tuple(times)
        kept, gone = _list(times), _list((f"{value} IS NULL" for value in values), " AND ")
        among_gone = f'{self.name} INDEXED BY "{self.index}" WHERE {gone}'
        self.create = (
            f'CREATE TABLE IF NOT EXISTS "{self.hidden}" (_hash BLOB PRIMARY KEY, '
            f"{_list(map(self._time, times))}) WITHOUT ROWID"
        )
        self.create_index = f'CREATE INDEX "{self.index}" ON {self.name} (_token) WHERE {gone}'
        """Indexes the rows that are gone, alone."""
        self.has_hidden = f'SELECT EXISTS (SELECT 1 FROM "{self.hidden}")'
        self.dig_up = (
            f"INSERT OR IGNORE INTO {self.name} ({_list(at)}, {kept}) "
            f'SELECT {_list("?" * len(at))}, {kept} FROM "{self.hidden}" WHERE _hash = ?'
        )
        """Takes the place and its hash as parameters."""
        self.forget = f'DELETE FROM "{self.hidden}" WHERE _hash = ?'
        self.has_gone = f"SELECT EXISTS (SELECT 1 FROM {among_gone})"
        self.bury = (
            f'INSERT OR REPLACE INTO "{self.hidden}" (_hash, {kept}) SELECT hashed({_list(at[1:])}), {kept} '
            f"FROM {among_gone}"
        )
        self.remove = f"DELETE FROM {among_gone}"

    def add(self, time: str) -> str:
        return f'ALTER TABLE "{self.hidden}" ADD COLUMN {self._time(time)}'

    @staticmethod
    def _time(name: str) -> str:
        return f"{name} INTEGER NOT NULL DEFAULT {NEVER}"


class Layout:
    """The statements of one table. Names are quoted, values bound. Keys and values are checked before (stores/values.py)."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.name = f'"{table.name}"'
        self.static_name = f'"{table.name}__static"'
        self.regular = tuple(name for name, column in table.values.items() if not column.static)
        self._codecs = {name: codec(type_) for name, type_ in table.types.items()}
        self._plain_codes = [plain(type_)[0] for type_ in table.partition.values()]
        self._loose = {name for name, type_ in table.types.items() if _loose(type_)}
        self._at = ("_token", *map('"{}"'.format, table.key))
        self._partition_at = ("_token", *map('"{}"'.format, table.partition))
        alive = ("_live", *map('"{}"'.format, self.regular))
        self._exists = f"({_list((f'{column} IS NOT NULL' for column in alive), ' OR ')})"
        self.places = [
            Place(table.name, self._at, ("_dead", *map('"{}__t"'.format, self.regular)), alive),
        ]
        if table.statics:
            times, values = map('"{}__t"'.format, table.statics), map('"{}"'.format, table.statics)
            self.places.append(
                Place(f"{table.name}__static", self._partition_at, tuple(times), tuple(values))
            )
        # Each text is made once for the same arguments.
        self.upsert, self.select = cache(self._upsert), cache(self._select)

    # --- what is stored

    def token(self, key: Key) -> int:
        """The token of a partition, by the key's first values. It must never change: walks are resumed by it."""
        plain = [to_plain(part) for to_plain, part in zip(self._plain_codes, key, strict=False)]
        digest = blake2b(orjson.dumps(plain), digest_size=8).digest()
        token = int.from_bytes(digest, "big", signed=True)
        return MAX_TOKEN if token == MIN_TOKEN else token

    def place(self, key: Key) -> tuple[Any, ...]:
        """The token and the key as stored."""
        return (self.token(key), *self.encode(self.table.key, key))

    def encode(self, names: Sequence[str], values: Key) -> tuple[Any, ...]:
        return tuple(self._codecs[n][0](v) for n, v in zip(names, values, strict=False))

    def decode(self, columns: Sequence[str], raw: Sequence[Any]) -> Row:
        codecs = self._codecs
        return {n: None if v is None else codecs[n][1](v) for n, v in zip(columns, raw, strict=False)}

    # --- DDL

    def create(self) -> list[str]:
        columns = [
            self._column(n, type_)
            for n, type_ in (*self.table.partition.items(), *self.table.clustering.items())
        ]
        keys = [f"{column} NOT NULL" for column in columns]
        values = [c for n in self.regular for c in self._value_columns(n, self.table.values[n])]
        ddl = [
            f"CREATE TABLE IF NOT EXISTS {self.name} (_token INTEGER NOT NULL, {_list(keys)}, _live INTEGER, "
            f"_dead INTEGER NOT NULL DEFAULT {NEVER}, {_list([*values, f'PRIMARY KEY ({_list(self._at)})'])}) WITHOUT ROWID"
        ]
        if self.table.statics:
            values = [c for n in self.table.statics for c in self._value_columns(n, self.table.values[n])]
            ddl.append(self._create_static(keys[: len(self.table.partition)], values))
        return ddl

    def drop(self) -> list[str]:
        hidden = (f'"{place.hidden}"' for place in self.places)
        return [f"DROP TABLE IF EXISTS {name}" for name in (self.name, self.static_name, *hidden)]

    def add(self, name: str) -> list[str]:
        column = self.table.values[name]
        ddl = []
        if column.static:
            keys = [f"{self._column(n, type_)} NOT NULL" for n, type_ in self.table.partition.items()]
            ddl.append(self._create_static(keys, []))
        into = self.static_name if column.static else self.name
        return ddl + [f"ALTER TABLE {into} ADD COLUMN {c}" for c in self._value_columns(name, column)]

    def _create_static(self, keys: Sequence[str], values: Sequence[str]) -> str:
        parts = _list([*keys, *values, f"PRIMARY KEY ({_list(self._partition_at)})"])
        return (
            f"CREATE TABLE IF NOT EXISTS {self.static_name} (_token INTEGER NOT NULL, {parts}) WITHOUT ROWID"
        )

    def _column(self, name: str, type_: ColumnType) -> str:
        affinity = _AFFINITIES.get(type_.cql, "INTEGER") if isinstance(type_, Scalar) else "BLOB"
        return f'"{name}" {affinity}'

    def _value_columns(self, name: str, column: Column) -> list[str]:
        return [self._column(name, column.type), f'"{name}__t" INTEGER NOT NULL DEFAULT {NEVER}']

    # --- writing

    def write(self, key: Key, values: Mapping[str, Any], time: int, *, insert: bool) -> list[Statement]:
        """The statements of one write: of the row, of the partition's static columns, or both."""
        place = self.place(key)
        statics = self.table.statics
        static = tuple(n for n in values if n in statics) if statics else ()
        regular = tuple(n for n in values if n not in statics) if static else tuple(values)
        statements: list[Statement] = []
        if regular or insert:
            live = (time,) if insert else ()
            statements.append(
                (self.upsert(regular, insert), (*place, *live, *self._cells(regular, values, time)))
            )
        if static:
            place = place[: len(self._partition_at)]
            statements.append((self.upsert(static, None), (*place, *self._cells(static, values, time))))
        return statements

    def delete(self, key: Key, time: int) -> Statement:
        return self._delete, (*self.place(key), time)

    def _cells(self, names: Sequence[str], values: Mapping[str, Any], time: int) -> list[Any]:
        cells: list[Any] = []
        for name in names:
            value = values[name]
            if isinstance(value, Put):
                cells += [_entries(self.table.types[name], value.value, time), NEVER]
            elif value is not None and name in self._loose:
                cells += [_entries(self.table.types[name], value, time), time]
            else:
                cells += [None if value is None else self._codecs[name][0](value), time]
        return cells

    def _upsert(self, names: tuple[str, ...], insert: bool | None) -> str:
        """Inserts or updates a row; static columns where ``insert`` is None."""
        static = insert is None
        at = self._partition_at if static else self._at
        columns, changes = list(at), []
        dead = str(NEVER) if static else "_dead"
        if insert:
            columns.append("_live")
            changes.append(
                f"_live = CASE WHEN excluded._live > _dead AND excluded._live > coalesce(_live, {NEVER}) "
                "THEN excluded._live ELSE _live END"
            )
        for name in names:
            columns += [f'"{name}"', f'"{name}__t"']
            latest = f'max("{name}__t", excluded."{name}__t")'
            if _loose(self.table.types[name]):
                changes.append(f'"{name}" = merged("{name}", excluded."{name}", {latest}, {dead})')
            else:
                newer = f'excluded."{name}__t" >= "{name}__t" AND excluded."{name}__t" > {dead}'
                changes.append(f'"{name}" = CASE WHEN {newer} THEN excluded."{name}" ELSE "{name}" END')
            changes.append(f'"{name}__t" = {latest}')
        then = f"UPDATE SET {_list(changes)}" if changes else "NOTHING"
        into = self.static_name if static else self.name
        return (
            f"INSERT INTO {into} ({_list(columns)}) VALUES ({_list('?' * len(columns))}) "
            f"ON CONFLICT ({_list(at)}) DO {then}"
        )

    @cached_property
    def _delete(self) -> str:
        changes = [
            "_dead = max(_dead, excluded._dead)",
            "_live = CASE WHEN _live > excluded._dead THEN _live END",
        ]
        for name in self.regular:
            kept = f'CASE WHEN "{name}__t" > excluded._dead THEN "{name}" END'
            if _loose(self.table.types[name]):
                kept = f'merged("{name}", NULL, "{name}__t", excluded._dead)'
            changes.append(f'"{name}" = {kept}')
        return (
            f"INSERT INTO {self.name} ({_list(self._at)}, _dead) VALUES ({_list('?' * (len(self._at) + 1))}) "
            f"ON CONFLICT ({_list(self._at)}) DO UPDATE SET {_list(changes)}"
        )

    # --- reading

    def _select(self, columns: tuple[str, ...], where: str, *, key: bool = False) -> str:
        """``where`` is about key columns. With ``key`` the token and the whole primary key come first."""
        asked = [f'"{name}"' for name in columns]
        joined = any(name in self.table.statics for name in columns)
        source = (
            f"{self.name} LEFT JOIN {self.static_name} USING ({_list(self._partition_at)})"
            if joined
            else self.name
        )
        return f"SELECT {_list([*self._at, *asked] if key else asked) or '1'} FROM {source} WHERE {where} AND {self._exists}"

    @cached_property
    def whole_key(self) -> str:
        return _list((f"{c} = ?" for c in self._at), " AND ")

    def slice(self, prefix: int, rest: int) -> str:
        """WHERE for a slice of one partition: the first ``prefix`` clustering columns equal, the next ``rest`` greater."""
        fixed = len(self._partition_at) + prefix
        where = [f"{c} = ?" for c in self._at[:fixed]]
        bounded = self._at[fixed : fixed + rest]
        if bounded:
            where.append(f"({_list(bounded)}) > ({_list('?' * rest)})")
        return _list(where, " AND ")

    @cached_property
    def in_order(self) -> str:
        return f" ORDER BY {_list(self._at)}"

    @cached_property
    def range(self) -> str:
        return "_token > ? AND _token <= ?"

    @cached_property
    def beyond(self) -> str:
        return f"{self.range} AND ({_list(self._at)}) > ({_list('?' * len(self._at))})"

    @cached_property
    def statics(self) -> str:
        """Selects the static columns of a partition that exists. Its place is the parameter."""
        place = f"(SELECT {_list(f'? AS {c}' for c in self._partition_at)}) AS place"
        here = _list((f"{self.name}.{c} = place.{c}" for c in self._partition_at), " AND ")
        rows = f"EXISTS (SELECT 1 FROM {self.name} WHERE {here} AND {self._exists})"
        if not self.table.statics:
            return f"SELECT 1 FROM {place} WHERE {rows}"
        names = [f'"{n}"' for n in self.table.statics]
        any_set = _list((f"{n} IS NOT NULL" for n in names), " OR ")
        joined = f"{place} LEFT JOIN {self.static_name} USING ({_list(self._partition_at)})"
        return f"SELECT {_list(names)} FROM {joined} WHERE {any_set} OR {rows}"

    # --- resuming a walk

    def mark(self, raw: Sequence[Any]) -> str:
        """A text that says where a walk goes on: after the row with this token and key, as stored."""
        return orjson.dumps(
            [{"blob": v.hex()} if isinstance(v, bytes) else v for v in raw[: len(self._at)]]
        ).decode()

    def place_of(self, mark: str) -> tuple[Any, ...]:
        """The place that a text of ``mark`` says."""
        return tuple(bytes.fromhex(v["blob"]) if isinstance(v, dict) else v for v in orjson.loads(mark))


@lru_cache(maxsize=1024)
def layout(table: Table) -> Layout:
    return Layout(table)
