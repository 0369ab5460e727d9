"""The embedded engine of the rows port: one SQLite file, kept as Cassandra understands rows.

One connection writes, in a thread of its own; a few others read (stores/sqlite_lane.py). Each call is one function in
one of these threads and one transaction. ``sqlite_layout.py`` has the tables and statements, ``sqlite_reads.py``,
``sqlite_writes.py`` and ``sqlite_schema.py`` the functions.

Several processes may use the file. A commit survives the process, but not a power failure (WAL, synchronous=NORMAL).
What is deleted is overwritten (secure_delete); ``scrub`` removes copies that SQLite's own housekeeping left behind.
Statements are metered as Cassandra on one node would need them, so that the promised cost of a request holds for
both engines.
"""

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from stores import sqlite_schema
from stores.bills import charge, partitions_of, partitions_written
from stores.columns import NarrowColumn, Table
from stores.keys import ring, share
from stores.meter import Meter
from stores.rows import (
    Applied,
    Change,
    Condition,
    Key,
    NarrowRow,
    Row,
    RowPage,
    Rows,
    TokenRange,
    Write,
    table_of,
)
from stores.sqlite_codecs import narrow
from stores.sqlite_file import write_anew
from stores.sqlite_lane import Lane
from stores.sqlite_layout import hashed, layout, merged
from stores.sqlite_reads import fetch_all, met, raws_of, row_of, slice_of, slices_asked, statics_of
from stores.sqlite_writes import WriteSet, apply_change, transaction
from stores.timing import timed
from stores.values import (
    check_columns,
    check_deletion,
    check_key,
    check_keys,
    check_row,
    check_slice,
    check_together,
    check_update,
)

T = TypeVar("T")

SCRUBBED_WITHIN = 600.0
"""Seconds that writing the file anew may take."""


@timed("rows", Rows, table_of)
class SqliteRows:
    """Open with ``await SqliteRows.open(path)``. Never use one over a fork."""

    def __init__(self, path: Path, meter: Meter, readers: int) -> None:
        self.meter = meter
        self._writer = Lane(path, 1, "writer", prepare=_add_functions)
        self._readers = Lane(path, readers, "reader", prepare=_add_functions)
        self._last = 0

    @classmethod
    async def open(cls, path: str | Path, *, meter: Meter | None = None, readers: int = 3) -> Self:
        """The file is created where there is none; StoreUnavailable where it can't be."""
        rows = cls(Path(path), meter or Meter(), readers)
        try:
            await rows.ping()
        except BaseException:
            await rows.close()
            raise
        return rows

    # --- reading

    async def get(self, table: Table, key: Key, columns: Sequence[str] | None = None) -> Row | None:
        key, names = check_key(table, table.key, key), check_columns(table, columns)
        self.meter.count(f"select {table.name}")
        charge(partitions=1)
        return await self._readers.run(lambda connection: row_of(connection, layout(table), key, names))

    async def get_many(
        self, table: Table, keys: Sequence[Key], columns: Sequence[str] | None = None
    ) -> dict[Key, Row]:
        names = check_columns(table, columns)
        distinct = list(dict.fromkeys(check_keys(table, table.key, keys)))
        found = await self._each(table, distinct, lambda c, key: row_of(c, layout(table), key, names))
        return {key: row for key, row in found.items() if row is not None}

    async def partition(
        self,
        table: Table,
        key: Key,
        *,
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[Row]:
        names = check_columns(table, columns)
        key = check_key(table, tuple(table.partition), key)
        within = check_slice(table, prefix, after)
        if within is None or limit == 0:
            return []
        self.meter.count(f"select {table.name}")
        charge(partitions=1)
        return await self._readers.run(lambda c: slice_of(c, layout(table), names, key, *within, limit))

    async def partitions(
        self,
        table: Table,
        keys: Sequence[Key],
        columns: Sequence[str] | None = None,
        *,
        among: Sequence[Any] | None = None,
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
    ) -> dict[Key, list[Row]]:
        names, kept = check_columns(table, columns), layout(table)
        checked = check_keys(table, table.partition, keys)
        slices = slices_asked(table, among, prefix, after, limit)
        return await self._sliced(table, checked, slices, names, partial(kept.decode, names), limit)

    async def tuples(
        self,
        table: Table,
        keys: Sequence[Key],
        columns: Sequence[NarrowColumn],
        *,
        among: Sequence[Any] | None = None,
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
    ) -> dict[Key, list[NarrowRow]]:
        names, decode = narrow(table, tuple(columns))
        slices = slices_asked(table, among, prefix, after, limit)
        return await self._sliced(table, keys, slices, names, decode, limit)

    async def _sliced(
        self,
        table: Table,
        keys: Sequence[Key],
        slices: Sequence[tuple[Key, Key]],
        names: tuple[str, ...],
        decode: Callable[[Sequence[Any]], T],
        limit: int | None,
    ) -> dict[Key, list[T]]:
        """Of each partition the rows of these slices, decoded."""
        if not slices:
            return {key: [] for key in keys}
        kept = layout(table)

        def read(connection: sqlite3.Connection, key: Key) -> list[T]:
            found: list[T] = []
            for begun, rest in slices:
                left = None if limit is None else limit - len(found)
                found += map(decode, raws_of(connection, kept, names, key, begun, rest, left))
            return found

        return await self._each(table, list(dict.fromkeys(keys)), read)

    async def statics(self, table: Table, keys: Sequence[Key]) -> dict[Key, Row]:
        distinct = list(dict.fromkeys(check_keys(table, tuple(table.partition), keys)))
        found = await self._each(table, distinct, lambda c, key: statics_of(c, table, key))
        return {key: row for key, row in found.items() if row is not None}

    async def static_values(self, table: Table, keys: Sequence[Key], column: str) -> dict[Key, Any]:
        found = await self._each(table, list(dict.fromkeys(keys)), lambda c, key: statics_of(c, table, key))
        return {key: None if row is None else row[column] for key, row in found.items()}

    async def _each(
        self, table: Table, distinct: Sequence[Key], read: Callable[[sqlite3.Connection, Key], T]
    ) -> dict[Key, T]:
        if not distinct:
            return {}
        self.meter.count(f"select {table.name}", len(share(distinct, len(table.partition))))
        charge(partitions=partitions_of(table, distinct))
        return await self._readers.run(lambda connection: {key: read(connection, key) for key in distinct})

    # --- writing

    async def write(self, *writes: Write) -> None:
        if not writes:
            return
        prepared = WriteSet(writes, self._now())
        self._count(writes)
        charge(partitions=partitions_written(writes))
        await self._writer.run(prepared.apply)

    def _count(self, writes: Sequence[Write]) -> None:
        if len(writes) > 1:
            self.meter.count("batch", -(-len(writes) // 30))
            return
        (write,) = writes
        kind = "delete" if write.delete else "insert" if write.insert else "update"
        self.meter.count(f"{kind} {write.table.name}")

    async def insert_if_absent(self, table: Table, row: Mapping[str, Any]) -> Applied:
        key, values = check_row(table, row)
        names = tuple(table.types)
        self.meter.count(f"conditional insert {table.name}")
        charge(partitions=1)

        def work(connection: sqlite3.Connection) -> Applied:
            with transaction(connection):
                stored = row_of(connection, layout(table), key, names)
                if stored is not None:
                    return Applied(False, stored)
                apply_change(connection, table, Change(key, values), self._now())
                return Applied(True)

        return await self._writer.run(work)

    async def update_if(
        self, table: Table, key: Key, values: Mapping[str, Any], conditions: Sequence[Condition]
    ) -> Applied:
        change = Change(*check_update(table, key, values, conditions))
        self.meter.count(f"conditional update {table.name}")
        charge(partitions=1)
        return await self._apply_if_met(table, change)

    async def delete_if(
        self,
        table: Table,
        key: Key,
        conditions: Sequence[Condition],
        statics: Mapping[str, Any] | None = None,
    ) -> Applied:
        change = Change(*check_deletion(table, key, conditions, statics or {}), delete=True)
        self.meter.count(f"conditional delete {table.name}")
        charge(partitions=1)
        return await self._apply_if_met(table, change)

    async def _apply_if_met(self, table: Table, change: Change) -> Applied:
        def work(connection: sqlite3.Connection) -> Applied:
            with transaction(connection):
                held, stored = met(connection, table, change.key, change.conditions)
                if not held:
                    return Applied(False, stored)
                apply_change(connection, table, change, self._now())
                return Applied(True)

        return await self._writer.run(work)

    async def write_together(self, table: Table, changes: Sequence[Change]) -> bool:
        checked = check_together(table, changes)
        self.meter.count(f"conditional batch {table.name}")
        charge(partitions=1)

        def work(connection: sqlite3.Connection) -> bool:
            with transaction(connection):
                for change in checked:
                    if change.conditions:
                        held, _ = met(connection, table, change.key, change.conditions)
                    else:
                        held = row_of(connection, layout(table), change.key, table.key[:1]) is None
                    if not held:
                        return False
                now = self._now()
                for change in checked:
                    apply_change(connection, table, change, now)
                return True

        return await self._writer.run(work)

    def _now(self) -> int:
        """A write time: microseconds, later than every one before."""
        self._last = max(time.time_ns() // 1000, self._last + 1)
        return self._last

    # --- walking

    def ranges(self, count: int) -> list[TokenRange]:
        return ring(count)

    async def walk(
        self,
        table: Table,
        token_range: TokenRange,
        *,
        columns: Sequence[str] | None = None,
        page_size: int = 500,
        resume: str | None = None,
    ) -> AsyncIterator[RowPage]:
        names = check_columns(table, columns)
        kept = layout(table)
        width = len(table.key) + 1
        while True:
            where = kept.range if resume is None else kept.beyond
            sql = kept.select(names, where, key=True) + kept.in_order + " LIMIT ?"
            bound: tuple[Any, ...] = (token_range.start, token_range.end)
            bound += () if resume is None else kept.place_of(resume)
            self.meter.count(f"select {table.name}")
            raws = await self._readers.run(fetch_all(sql, (*bound, page_size + 1)))
            resume = kept.mark(raws[page_size - 1]) if len(raws) > page_size else None
            yield RowPage([kept.decode(names, raw[width:]) for raw in raws[:page_size]], resume)
            if resume is None:
                return

    # --- the file itself

    async def clock(self) -> int:
        return await self._readers.run(
            lambda connection: int(
                connection.execute("SELECT (julianday('now') - 2440587.5) * 86400000").fetchone()[0]
            )
        )

    async def schema_version(self) -> int:
        return await self._readers.run(sqlite_schema.stored_version)

    async def init(self, tables: Sequence[Table]) -> list[str]:
        return await self._writer.run(lambda connection: sqlite_schema.upgrade(connection, tables, self._now))

    async def exists(self, table: Table) -> bool:
        return bool(await self._readers.run(lambda connection: sqlite_schema.columns_of(connection, table)))

    async def drop(self, table: Table) -> None:
        await self._writer.run(lambda connection: sqlite_schema.drop(connection, table))

    async def scrub(self) -> None:
        """By writing the file anew, which takes some seconds for each GB; others' writes wait for it."""
        await self._writer.run(write_anew, SCRUBBED_WITHIN)

    async def ping(self) -> None:
        await self._writer.run(lambda connection: connection.execute("SELECT 1").fetchone())

    async def close(self) -> None:
        await self._readers.close()
        await self._writer.close()


def _add_functions(connection: sqlite3.Connection) -> None:
    """Adds to a connection the functions that the statements call."""
    connection.create_function("merged", 4, merged, deterministic=True)
    connection.create_function("hashed", -1, hashed, deterministic=True)
