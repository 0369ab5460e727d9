"""Reads of rows in SQLite: functions of a connection, for a thread of a lane (stores/sqlite_lane.py)."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from stores.columns import Table
from stores.rows import Condition, Equal, Exists, In, Key, Row
from stores.sqlite_layout import Layout, layout
from stores.values import check_first, check_slice


def fetch_all(sql: str, bound: tuple[Any, ...]) -> Callable[[sqlite3.Connection], list[Any]]:
    """A function that returns every row of the statement, undecoded."""
    return lambda connection: connection.execute(sql, bound).fetchall()


def row_of(connection: sqlite3.Connection, kept: Layout, key: Key, names: tuple[str, ...]) -> Row | None:
    """The columns ``names`` of the row with this whole primary key; None where it is missing."""
    raw = connection.execute(kept.select(names, kept.whole_key), kept.place(key)).fetchone()
    return None if raw is None else kept.decode(names, raw)


def statics_of(connection: sqlite3.Connection, table: Table, partition: Key) -> Row | None:
    """The static columns of the partition; None where it is missing."""
    kept = layout(table)
    raw = connection.execute(kept.statics, kept.place(partition)).fetchone()
    return None if raw is None else kept.decode(table.statics, raw)


def slices_asked(
    table: Table, among: Sequence[Any] | None, prefix: Key, after: Key | None, limit: int | None
) -> list[tuple[Key, Key]]:
    """What these arguments of ``Rows.partitions`` ask for, in order: how the clustering begins, and what it exceeds then."""
    if limit == 0:
        return []
    if among is not None:
        return [((value,), ()) for value in check_first(table, among)]
    within = check_slice(table, prefix, after)
    return [] if within is None else [within]


def slice_of(
    connection: sqlite3.Connection,
    kept: Layout,
    names: tuple[str, ...],
    partition: Key,
    prefix: Key,
    rest: Key,
    limit: int | None,
) -> list[Row]:
    """Rows of a partition whose clustering begins with ``prefix`` and exceeds ``rest`` after it, in order."""
    raws = raws_of(connection, kept, names, partition, prefix, rest, limit)
    return [kept.decode(names, raw) for raw in raws]


def raws_of(
    connection: sqlite3.Connection,
    kept: Layout,
    names: tuple[str, ...],
    partition: Key,
    prefix: Key,
    rest: Key,
    limit: int | None,
) -> sqlite3.Cursor:
    """The same, undecoded."""
    sql = kept.select(names, kept.slice(len(prefix), len(rest))) + kept.in_order + " LIMIT ?"
    bound = (*kept.place((*partition, *prefix, *rest)), -1 if limit is None else limit)
    return connection.execute(sql, bound)


def met(
    connection: sqlite3.Connection, table: Table, key: Key, conditions: Sequence[Condition]
) -> tuple[bool, Row | None]:
    """Whether the row meets all conditions, and its values of their columns; None where it is missing."""
    names = tuple(dict.fromkeys(c.column for c in conditions if not isinstance(c, Exists)))
    stored = row_of(connection, layout(table), key, names)
    seen = stored
    if stored is None:
        seen = statics_of(connection, table, key[: len(table.partition)])
    return all(_holds(condition, stored is not None, seen or {}) for condition in conditions), stored


def _holds(condition: Condition, exists: bool, row: Row) -> bool:
    match condition:
        case Equal(column, value):
            return bool(row.get(column) == value)
        case In(column, values):
            return row.get(column) in values
        case Exists():
            return exists
