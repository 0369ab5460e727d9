"""The embedded engine of the rows port: one SQLite file, kept as Cassandra understands rows (stores/sqlite_layout.py).

One connection writes, in a thread of its own; a few others read. Each call is one function in one of these threads
and one transaction. What is deleted is overwritten (secure_delete); copies that the file's own housekeeping left behind
go with ``scrub``. Several processes may use the file. A commit survives the process, not a power failure
(WAL, synchronous=NORMAL). Statements are metered as Cassandra on one node would need them, so that what a request
costs can be promised on either engine.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from rules.errors import StoreUnavailable
from stores.columns import Table
from stores.deadline import remaining
from stores.keys import ring, share
from stores.meter import Meter
from stores.private import private_file
from stores.rows import Applied, Change, Condition, Equal, Exists, In, Key, Page, Row, TokenRange, Write
from stores.schema import COMPONENT, VERSIONS, changes, version_of
from stores.sqlite_file import write_anew
from stores.sqlite_layout import Layout, hashed, layout, merged
from stores.values import (
    check_columns,
    check_deletion,
    check_first,
    check_key,
    check_row,
    check_slice,
    check_together,
    check_update,
    check_values,
)

T = TypeVar("T")

_TIMEOUT = 10.0
SCRUBBED_WITHIN = 600.0
"""Seconds."""
_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}


class _Lane:
    """Threads with a connection each. Work is done in one of them."""

    def __init__(self, path: Path, threads: int, name: str) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"rows-{name}")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []

    async def run(self, work: Callable[[sqlite3.Connection], T], patience: float = _TIMEOUT) -> T:
        """Returns what ``work`` returns. Work is interrupted at the deadline, and never begun after it."""
        left = remaining(patience)
        until = time.monotonic() + left

        def call() -> T:
            connection = self._connection()
            self._own.until = until
            return work(connection)

        try:
            async with asyncio.timeout(left):
                return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        except TimeoutError:
            remaining(patience)
            raise StoreUnavailable(
                f"the rows did not answer within {left:.1f} s", detail=str(self._path)
            ) from None
        except sqlite3.Error as error:
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _AWAY:
                raise StoreUnavailable("the rows are away", detail=f"{self._path}: {error}") from error
            if str(error).startswith("no such"):
                raise StoreUnavailable(
                    "the rows have no such table yet: `cohort init` creates what is missing",
                    detail=f"{self._path}: {error}",
                ) from error
            raise

    def _connection(self) -> sqlite3.Connection:
        known: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if known is not None:
            return known
        with suppress(OSError):  # SQLite says what is wrong
            private_file(self._path)
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=5
        )
        self._connections.append(connection)
        own = self._own
        own.until = time.monotonic() + _TIMEOUT
        connection.set_progress_handler(lambda: time.monotonic() > own.until, 20_000)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.create_function("merged", 4, merged, deterministic=True)
        connection.create_function("hashed", -1, hashed, deterministic=True)
        own.connection = connection
        return connection

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        for connection in self._connections:
            connection.close()


class SqliteRows:
    """Open with ``await SqliteRows.open(path)``. Never use one over a fork."""

    def __init__(self, path: Path, meter: Meter, readers: int) -> None:
        self.meter = meter
        self._writer = _Lane(path, 1, "writer")
        self._readers = _Lane(path, readers, "reader")
        self._last = 0

    @classmethod
    async def open(cls, path: str | Path, *, meter: Meter | None = None, readers: int = 3) -> Self:
        """Opens the file, and creates it where there is none. StoreUnavailable says that it can't be."""
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
        return await self._readers.run(lambda connection: _get(connection, layout(table), key, names))

    async def get_many(
        self, table: Table, keys: Sequence[Key], columns: Sequence[str] | None = None
    ) -> dict[Key, Row]:
        names = check_columns(table, columns)
        found = await self._each(table, table.key, keys, lambda c, key: _get(c, layout(table), key, names))
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
        return await self._readers.run(lambda c: _slice(c, layout(table), names, key, *within, limit))

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
        names = check_columns(table, columns)
        kept, partition = layout(table), tuple(table.partition)
        if among is not None:
            slices = [((value,), ()) for value in check_first(table, among)]
        else:
            within = check_slice(table, prefix, after)
            slices = [] if within is None else [within]
        if not slices or limit == 0:
            return {check_key(table, partition, key): [] for key in keys}

        def read(connection: sqlite3.Connection, key: Key) -> list[Row]:
            found: list[Row] = []
            for begun, rest in slices:
                left = None if limit is None else limit - len(found)
                found += _slice(connection, kept, names, key, begun, rest, left)
            return found

        return await self._each(table, partition, keys, read)

    async def statics(self, table: Table, keys: Sequence[Key]) -> dict[Key, Row]:
        kept = layout(table)

        def read(connection: sqlite3.Connection, key: Key) -> Row | None:
            raw = connection.execute(kept.statics, kept.place(key)).fetchone()
            return None if raw is None else kept.decode(table.statics, raw)

        found = await self._each(table, tuple(table.partition), keys, read)
        return {key: row for key, row in found.items() if row is not None}

    async def _each(
        self,
        table: Table,
        names: tuple[str, ...],
        keys: Sequence[Key],
        read: Callable[[sqlite3.Connection, Key], T],
    ) -> dict[Key, T]:
        if not keys:
            return {}
        distinct = list(dict.fromkeys(check_key(table, names, key) for key in keys))
        self.meter.count(f"select {table.name}", len(share(distinct, len(table.partition))))
        return await self._readers.run(lambda connection: {key: read(connection, key) for key in distinct})

    # --- writing

    async def write(self, *writes: Write) -> None:
        if not writes:
            return
        now = self._now()
        together: dict[str, list[tuple[Any, ...]]] = {}
        keys: dict[Table, list[Key]] = {}
        for write in writes:
            time_ = now if write.timestamp is None else write.timestamp
            keys.setdefault(write.table, []).append(check_key(write.table, write.table.key, write.key))
            for sql, bound in _statements(write, time_):
                together.setdefault(sql, []).append(bound)
        self._count(writes)

        def work(connection: sqlite3.Connection) -> None:
            with _transaction(connection), ExitStack() as stack:
                for table, changed in keys.items():
                    stack.enter_context(_changing(connection, table, changed))
                for sql, bounds in together.items():
                    connection.executemany(sql, bounds)

        await self._writer.run(work)

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

        def work(connection: sqlite3.Connection) -> Applied:
            with _transaction(connection):
                stored = _get(connection, layout(table), key, names)
                if stored is not None:
                    return Applied(False, stored)
                _apply(connection, table, Change(key, values), self._now())
                return Applied(True)

        return await self._writer.run(work)

    async def update_if(
        self, table: Table, key: Key, values: Mapping[str, Any], conditions: Sequence[Condition]
    ) -> Applied:
        key, values, conditions = check_update(table, key, values, conditions)
        self.meter.count(f"conditional update {table.name}")

        def work(connection: sqlite3.Connection) -> Applied:
            with _transaction(connection):
                held, stored = _met(connection, table, key, conditions)
                if not held:
                    return Applied(False, stored)
                _apply(connection, table, Change(key, values, conditions), self._now())
                return Applied(True)

        return await self._writer.run(work)

    async def delete_if(
        self,
        table: Table,
        key: Key,
        conditions: Sequence[Condition],
        statics: Mapping[str, Any] | None = None,
    ) -> Applied:
        change = Change(*check_deletion(table, key, conditions, statics or {}), delete=True)
        self.meter.count(f"conditional delete {table.name}")

        def work(connection: sqlite3.Connection) -> Applied:
            with _transaction(connection):
                held, stored = _met(connection, table, change.key, change.conditions)
                if not held:
                    return Applied(False, stored)
                _apply(connection, table, change, self._now())
                return Applied(True)

        return await self._writer.run(work)

    async def write_together(self, table: Table, changes: Sequence[Change]) -> bool:
        checked = check_together(table, changes)
        self.meter.count(f"conditional batch {table.name}")

        def work(connection: sqlite3.Connection) -> bool:
            with _transaction(connection):
                for change in checked:
                    if change.conditions:
                        held, _ = _met(connection, table, change.key, change.conditions)
                    else:
                        held = _get(connection, layout(table), change.key, table.key[:1]) is None
                    if not held:
                        return False
                now = self._now()
                for change in checked:
                    _apply(connection, table, change, now)
                return True

        return await self._writer.run(work)

    def _now(self) -> int:
        """Returns a write time in microseconds, later than every one before."""
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
    ) -> AsyncIterator[Page]:
        names = check_columns(table, columns)
        kept = layout(table)
        width = len(table.key) + 1
        while True:
            where = kept.range if resume is None else kept.beyond
            sql = kept.select(names, where, key=True) + kept.in_order + " LIMIT ?"
            bound: tuple[Any, ...] = (token_range.start, token_range.end)
            bound += () if resume is None else kept.place_of(resume)
            self.meter.count(f"select {table.name}")
            raws = await self._readers.run(_fetch_all(sql, (*bound, page_size + 1)))
            resume = kept.mark(raws[page_size - 1]) if len(raws) > page_size else None
            yield Page([kept.decode(names, raw[width:]) for raw in raws[:page_size]], resume)
            if resume is None:
                return

    # --- the file itself

    async def schema_version(self) -> int:
        return await self._readers.run(_schema_version)

    async def init(self, tables: Sequence[Table]) -> list[str]:
        def work(connection: sqlite3.Connection) -> list[str]:
            with _transaction(connection):
                stored = _schema_version(connection)
                existing = {
                    table.name: columns for table in tables if (columns := _columns(connection, table))
                }
                missing = changes(tables, stored, existing)
                for change in missing:
                    kept = layout(change.table)
                    for sql in kept.create() if change.column is None else kept.add(change.column):
                        connection.execute(sql)
                for table in tables:
                    _keep_hidden(connection, table)
                said = [str(change) for change in missing]
                if (target := version_of(tables)) > stored:
                    for sql in layout(VERSIONS).create():
                        connection.execute(sql)
                    _keep_hidden(connection, VERSIONS)
                    version = Change((COMPONENT, target), {"applied_at": datetime.now(UTC)})
                    _apply(connection, VERSIONS, version, self._now())
                    said.append(f"schema is at version {target}")
                return said

        return await self._writer.run(work)

    async def exists(self, table: Table) -> bool:
        return bool(await self._readers.run(lambda connection: _columns(connection, table)))

    async def drop(self, table: Table) -> None:
        def work(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                for sql in layout(table).drop():
                    connection.execute(sql)

        await self._writer.run(work)

    async def scrub(self) -> None:
        """Writes the file anew, which takes some seconds for each GB. Other writes wait for it."""
        await self._writer.run(write_anew, SCRUBBED_WITHIN)

    async def ping(self) -> None:
        await self._writer.run(lambda connection: connection.execute("SELECT 1").fetchone())

    async def close(self) -> None:
        await self._readers.close()
        await self._writer.close()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _statements(write: Write, time_: int) -> list[tuple[str, tuple[Any, ...]]]:
    table = write.table
    key = check_key(table, table.key, write.key)
    if write.delete:
        return [layout(table).delete(key, time_)]
    return layout(table).write(key, check_values(table, write.values), time_, insert=write.insert)


def _apply(connection: sqlite3.Connection, table: Table, change: Change, time_: int) -> None:
    with _changing(connection, table, [change.key]):
        for sql, bound in _changes(table, change, time_):
            connection.execute(sql, bound)


@contextmanager
def _changing(connection: sqlite3.Connection, table: Table, keys: Sequence[Key]) -> Iterator[None]:
    """Brings back what is hidden of these keys while they are written. Afterwards rows of which nothing is left are
    hidden."""
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


def _keep_hidden(connection: sqlite3.Connection, table: Table) -> None:
    """Creates the tables of rows of which nothing is left, for whatever columns the table has by now."""
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


def _fetch_all(sql: str, bound: tuple[Any, ...]) -> Callable[[sqlite3.Connection], list[Any]]:
    return lambda connection: connection.execute(sql, bound).fetchall()


def _get(connection: sqlite3.Connection, kept: Layout, key: Key, names: tuple[str, ...]) -> Row | None:
    raw = connection.execute(kept.select(names, kept.whole_key), kept.place(key)).fetchone()
    return None if raw is None else kept.decode(names, raw)


def _slice(
    connection: sqlite3.Connection,
    kept: Layout,
    names: tuple[str, ...],
    key: Key,
    prefix: Key,
    rest: Key,
    limit: int | None,
) -> list[Row]:
    """Returns rows of a partition whose clustering begins with ``prefix``, and exceeds ``rest`` after it."""
    sql = kept.select(names, kept.slice(len(prefix), len(rest))) + kept.in_order + " LIMIT ?"
    bound = (*kept.place((*key, *prefix, *rest)), -1 if limit is None else limit)
    return [kept.decode(names, raw) for raw in connection.execute(sql, bound)]


def _met(
    connection: sqlite3.Connection, table: Table, key: Key, conditions: Sequence[Condition]
) -> tuple[bool, Row | None]:
    """Returns whether the row meets all conditions, and its values of their columns, None where it is missing."""
    kept = layout(table)
    names = tuple(dict.fromkeys(c.column for c in conditions if not isinstance(c, Exists)))
    stored = _get(connection, kept, key, names)
    seen = stored
    if stored is None:
        raw = connection.execute(kept.statics, kept.place(key[: len(table.partition)])).fetchone()
        seen = {} if raw is None else kept.decode(table.statics, raw)
    return all(_holds(condition, stored is not None, seen or {}) for condition in conditions), stored


def _changes(table: Table, change: Change, time_: int) -> list[tuple[str, tuple[Any, ...]]]:
    kept = layout(table)
    if not change.delete:
        return kept.write(change.key, change.values, time_, insert=not change.conditions)
    # The values of a deletion are the partition's.
    return [kept.delete(change.key, time_), *kept.write(change.key, change.values, time_, insert=False)]


def _holds(condition: Condition, exists: bool, row: Row) -> bool:
    match condition:
        case Equal(column, value):
            return bool(row.get(column) == value)
        case In(column, values):
            return row.get(column) in values
        case Exists():
            return exists


def _columns(connection: sqlite3.Connection, table: Table) -> set[str]:
    """Returns the columns of the table as it is in the file. They are empty where it is not there."""
    names = (table.name, f"{table.name}__static")
    return {raw[1] for name in names for raw in connection.execute(f'PRAGMA table_info("{name}")')}


def _schema_version(connection: sqlite3.Connection) -> int:
    if not _columns(connection, VERSIONS):
        return 0
    kept = layout(VERSIONS)
    sql = kept.select(("version",), kept.slice(0, 0)) + kept.in_order
    return max((version for (version,) in connection.execute(sql, kept.place((COMPONENT,)))), default=0)
