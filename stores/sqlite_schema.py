"""The schema of the rows in SQLite: what is in the file, and what is created or added."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from stores.columns import Table
from stores.rows import Change
from stores.schema import COMPONENT, VERSIONS, changes, version_of
from stores.sqlite_layout import layout
from stores.sqlite_writes import apply_change, create_hidden, transaction


def columns_of(connection: sqlite3.Connection, table: Table) -> set[str]:
    """Names of the table's columns as it is in the file; empty where it is not."""
    names = (table.name, f"{table.name}__static")
    return {raw[1] for name in names for raw in connection.execute(f'PRAGMA table_info("{name}")')}


def stored_version(connection: sqlite3.Connection) -> int:
    """The schema's version that the file is at; 0 before the first init."""
    if not columns_of(connection, VERSIONS):
        return 0
    kept = layout(VERSIONS)
    sql = kept.select(("version",), kept.slice(0, 0)) + kept.in_order
    return max((version for (version,) in connection.execute(sql, kept.place((COMPONENT,)))), default=0)


def upgrade(connection: sqlite3.Connection, tables: Sequence[Table], now: Callable[[], int]) -> list[str]:
    """Creates and adds what is missing, a line for each. ``now`` gives a write time."""
    with transaction(connection):
        stored = stored_version(connection)
        existing = {table.name: columns for table in tables if (columns := columns_of(connection, table))}
        missing = changes(tables, stored, existing)
        for change in missing:
            kept = layout(change.table)
            for sql in kept.create() if change.column is None else kept.add(change.column):
                connection.execute(sql)
        for table in tables:
            create_hidden(connection, table)
        said = [str(change) for change in missing]
        if (target := version_of(tables)) > stored:
            for sql in layout(VERSIONS).create():
                connection.execute(sql)
            create_hidden(connection, VERSIONS)
            version = Change((COMPONENT, target), {"applied_at": datetime.now(UTC)})
            apply_change(connection, VERSIONS, version, now())
            said.append(f"schema is at version {target}")
        return said


def drop(connection: sqlite3.Connection, table: Table) -> None:
    """Removes the table and its rows; does nothing where there is none."""
    with transaction(connection):
        for sql in layout(table).drop():
            connection.execute(sql)
