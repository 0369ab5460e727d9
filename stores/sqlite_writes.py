"""Writes of rows in SQLite: functions of a connection, for the thread of the writer's lane (stores/sqlite_lane.py)."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from stores.columns import Table
from stores.rows import Change, Key, Write
from stores.sqlite_layout import hashed, layout
from stores.values import check_key, check_values


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Takes the write lock at once. Commits at the end, rolls back after an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


class WriteSet:
    """Unconditional writes of one call, checked and turned into statements; equal statements run together.

    Made on the caller's thread, written by ``apply`` on the writer's. ``now`` is the write time of writes that bring none.
    """

    def __init__(self, writes: Sequence[Write], now: int) -> None:
        self._bounds: dict[str, list[tuple[Any, ...]]] = {}
        self._keys: dict[Table, list[Key]] = {}
        for write in writes:
            key = check_key(write.table, write.table.key, write.key)
            self._keys.setdefault(write.table, []).append(key)
            for sql, bound in _write_statements(
                write, key, now if write.timestamp is None else write.timestamp
            ):
                self._bounds.setdefault(sql, []).append(bound)

    def apply(self, connection: sqlite3.Connection) -> None:
        """Writes all of them in one transaction."""
        with transaction(connection), ExitStack() as stack:
            for table, keys in self._keys.items():
                stack.enter_context(_changing(connection, table, keys))
            for sql, bounds in self._bounds.items():
                connection.executemany(sql, bounds)


def apply_change(connection: sqlite3.Connection, table: Table, change: Change, time_: int) -> None:
    """Writes one change at this write time, whose conditions are known to hold. Within a transaction of the caller's."""
    with _changing(connection, table, [change.key]):
        for sql, bound in _change_statements(table, change, time_):
            connection.execute(sql, bound)


def create_hidden(connection: sqlite3.Connection, table: Table) -> None:
    """Creates or completes the tables for rows of which only write times are left, and moves such rows there."""
    for place in layout(table).places:
        connection.execute(place.create)
        there = {f'"{raw[1]}"' for raw in connection.execute(f'PRAGMA table_info("{place.hidden}")')}
        for time_ in place.times:
            if time_ not in there and time_.strip('"') != "_dead":
                connection.execute(place.add(time_))
        found = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (place.index,)).fetchone()
        if found is None or found[0] != place.create_index:
            connection.execute(f'DROP INDEX IF EXISTS "{place.index}"')
            connection.execute(place.create_index)
        connection.execute(place.bury)
        connection.execute(place.remove)


@contextmanager
def _changing(connection: sqlite3.Connection, table: Table, keys: Sequence[Key]) -> Iterator[None]:
    """Brings back hidden write times of these keys while they are written. Afterwards hides rows with nothing left."""
    kept = layout(table)
    for place in kept.places:
        if connection.execute(place.has_hidden).fetchone()[0]:
            at = list(dict.fromkeys(kept.place(key)[: place.width] for key in keys))
            connection.executemany(place.dig_up, [(*each, hashed(*each[1:])) for each in at])
            connection.executemany(place.forget, [(hashed(*each[1:]),) for each in at])
    yield
    for place in kept.places:
        if connection.execute(place.has_gone).fetchone()[0]:
            connection.execute(place.bury)
            connection.execute(place.remove)


def _write_statements(write: Write, key: Key, time_: int) -> list[tuple[str, tuple[Any, ...]]]:
    kept = layout(write.table)
    if write.delete:
        return [kept.delete(key, time_)]
    return kept.write(key, check_values(write.table, write.values), time_, insert=write.insert)


def _change_statements(table: Table, change: Change, time_: int) -> list[tuple[str, tuple[Any, ...]]]:
    kept = layout(table)
    if not change.delete:
        return kept.write(change.key, change.values, time_, insert=not change.conditions)
    # The values of a deletion are the partition's.
    return [kept.delete(change.key, time_), *kept.write(change.key, change.values, time_, insert=False)]
