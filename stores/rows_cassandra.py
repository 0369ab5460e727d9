"""The distributed engine of the rows port: one keyspace of a Cassandra cluster, LOCAL_QUORUM and LOCAL_SERIAL.

A conditional write that times out may or may not have been applied: StoreUnavailable, and the caller sends it again.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Self, TypeVar

from cassandra.query import BatchStatement, BatchType, BoundStatement, SimpleStatement

from rules.errors import DeadlineExceeded, StoreUnavailable
from stores.cassandra_session import Address, CassandraSession, Routed
from stores.columns import Table
from stores.cql import Cql
from stores.keys import Shared, ring, share
from stores.meter import Meter
from stores.rows import Applied, Change, Condition, Exists, Key, Page, Put, Row, TokenRange, Write
from stores.schema import COMPONENT, VERSIONS, changes, version_of
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

_IN_FLIGHT = 256
_BATCH = 30
_BATCH_BYTES = 4_000
"""The most bytes of a batch. The server warns of more than 5 KB, by its own count, and refuses 50 KB."""
_PAGE = 2000

_Raw = Sequence[Any]


class CassandraRows:
    """Open with ``await CassandraRows.open(url)``. Never use one over a fork."""

    def __init__(self, session: CassandraSession) -> None:
        self.meter = session.meter
        self._session = session
        self._cql = lru_cache(maxsize=1024)(partial(Cql, keyspace=session.address.keyspace))

    @classmethod
    async def open(
        cls, url: str, *, prefix: str = "", meter: Meter | None = None, in_flight: int = _IN_FLIGHT
    ) -> Self:
        """``url`` as in cassandra_session.Address; ``prefix`` begins the keyspace's name. The keyspace need not exist
        before ``init``. StoreUnavailable where no host answers."""
        session = CassandraSession(Address.parse(url, prefix=prefix), meter or Meter(), in_flight)
        await session.connect()
        return cls(session)

    # --- reading

    async def get(self, table: Table, key: Key, columns: Sequence[str] | None = None) -> Row | None:
        key, names = check_key(table, table.key, key), check_columns(table, columns)
        cql = self._cql(table)
        text = cql.select(names or table.key[:1], cql.slice(len(table.clustering), 0))
        raws = await self._all(table, await self._bound(text, cql.key(key)))
        return cql.decode(names, raws[0]) if raws else None

    async def get_many(
        self, table: Table, keys: Sequence[Key], columns: Sequence[str] | None = None
    ) -> dict[Key, Row]:
        names = check_columns(table, columns)
        cql = self._cql(table)
        distinct = list(dict.fromkeys(check_key(table, table.key, key) for key in keys))
        raws = await self._together(table, distinct, partial(cql.select, (*table.key, *names)))
        width = len(table.key)
        return {cql.decode_key(raw, width): cql.decode(names, raw[width:]) for raw in raws}

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
        begun, rest = within
        cql = self._cql(table)
        # The last key column is null where a partition has static columns only.
        text = cql.select((table.key[-1], *names), cql.slice(len(begun), len(rest)), limit=limit is not None)
        bound = await self._bound(text, cql.key((*key, *begun, *rest)) + ([] if limit is None else [limit]))
        return [cql.decode(names, raw[1:]) for raw in await self._all(table, bound) if raw[0] is not None]

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
        cql = self._cql(table)
        found: dict[Key, list[Row]] = {check_key(table, table.partition, key): [] for key in keys}
        width = len(table.partition)
        asked = (*table.partition, table.key[-1], *names)
        if among is None:
            within = check_slice(table, prefix, after)
            if within is None or limit == 0:
                return found
            begun, rest = within
            where = cql.within(len(begun), len(rest))
            encoded = [cql.encode(n, v) for n, v in zip(table.clustering, (*begun, *rest), strict=False)]
        else:
            first = table.key[width]
            where = f" AND {first} IN ?"
            wanted = [cql.encode(first, value) for value in check_first(table, among)]
            if not wanted:
                return found
            encoded = [wanted]

        def text(of_partitions: str) -> str:
            return cql.select(asked, of_partitions + where, limit_each=limit is not None)

        others = [*encoded, *([] if limit is None else [limit])]
        for raw in await self._together(table, list(found), text, others):
            if raw[width] is not None:
                found[cql.decode_key(raw, width)].append(cql.decode(names, raw[width + 1 :]))
        return found

    async def statics(self, table: Table, keys: Sequence[Key]) -> dict[Key, Row]:
        cql = self._cql(table)
        distinct = list(dict.fromkeys(check_key(table, table.partition, key) for key in keys))
        text = partial(cql.select, (*table.partition, *table.statics), distinct=True)
        width = len(table.partition)
        return {
            cql.decode_key(raw, width): cql.decode(table.statics, raw[width:])
            for raw in await self._together(table, distinct, text)
        }

    async def _together(
        self, table: Table, keys: Sequence[Key], text: Callable[[str], str], others: Sequence[Any] = ()
    ) -> list[_Raw]:
        """Returns the rows of these partitions, or those with these whole keys, by as few statements as there can be.
        ``text`` makes a WHERE; ``others`` are values of what it adds."""
        if not keys:
            return []
        cql = self._cql(table)
        width, partition = len(keys[0]), len(table.partition)

        async def read(shared: Shared) -> list[_Raw]:
            values = cql.key(shared.keys[0])
            for first, last in reversed(shared.differing):
                places = dict.fromkeys(key[first:last] for key in shared.keys)
                encoded = [cql.key((*shared.keys[0][:first], *place))[first:] for place in places]
                values[first:last] = [[place[0] if last - first == 1 else tuple(place) for place in encoded]]
            where = cql.together(shared.differing, width)
            bound = await self._bound(text(where), [*values, *others], Routed)
            bound.routing_key = cql.routing_key(shared.keys[0][:partition])
            return await self._all(table, bound)

        async def read_or_retry(shared: Shared) -> list[_Raw]:
            try:
                return await read(shared)
            except DeadlineExceeded:
                raise
            except StoreUnavailable:
                if len(shared.keys) == 1:
                    raise
            return _joined(await _gather(read(replace(shared, keys=[key])) for key in shared.keys))

        alike = self._session.alike(keys, lambda key: cql.routing_key(key[:partition]))
        statements = [shared for same in alike for shared in share(same, partition)]
        return _joined(await _gather(map(read_or_retry, statements)))

    async def _all(self, table: Table, bound: Any) -> list[_Raw]:
        """Returns the rows of every page."""
        bound.fetch_size = _PAGE
        raws: list[_Raw] = []
        page = None
        while True:
            more, page, _ = await self._session.send(f"select {table.name}", bound, page=page)
            raws += more
            if page is None:
                return raws

    async def _bound(
        self, text: str, values: Sequence[Any], kind: type[BoundStatement] = BoundStatement
    ) -> BoundStatement:
        return kind(await self._session.prepare(text)).bind(values)

    # --- writing

    async def write(self, *writes: Write) -> None:
        statements = [statement for write in writes for statement in await self._statements(write)]
        alike = self._session.alike(statements, lambda statement: statement[1].routing_key)
        batches = (batch for same in alike for batch in _batches(same))
        await _gather(self._write(batch) for batch in batches)

    async def _write(self, statements: list[tuple[str, BoundStatement]]) -> None:
        if len(statements) == 1:
            await self._session.send(*statements[0])
            return
        batch = BatchStatement(BatchType.UNLOGGED)
        for _, bound in statements:
            batch.add(bound)
        await self._session.send("batch", batch)

    async def _statements(self, write: Write) -> list[tuple[str, BoundStatement]]:
        table, cql = write.table, self._cql(write.table)
        key = cql.key(check_key(table, table.key, write.key))
        timed, time = write.timestamp is not None, [] if write.timestamp is None else [write.timestamp]
        if write.delete:
            return [(f"delete {table.name}", await self._bound(cql.delete(timed=timed), [*time, *key]))]
        values = check_values(table, write.values)
        statements = []
        if write.insert:
            plain = tuple(name for name, value in values.items() if not isinstance(value, Put))
            bound = [*key, *(cql.encode(name, values.pop(name)) for name in plain), *time]
            statements.append(
                (f"insert {table.name}", await self._bound(cql.insert(plain, timed=timed), bound))
            )
        if values:
            text, bound = self._update(cql, key, values, time)
            statements.append((f"update {table.name}", await self._bound(text, bound)))
        return statements

    @staticmethod
    def _update(
        cql: Cql, key: list[Any], values: Mapping[str, Any], time: list[int]
    ) -> tuple[str, list[Any]]:
        names = tuple(values)
        puts = frozenset(name for name, value in values.items() if isinstance(value, Put))
        where = len(cql.table.partition if set(names) <= set(cql.table.statics) else cql.table.key)
        bound = [*time, *(cql.encode(name, value) for name, value in values.items()), *key[:where]]
        return cql.update(names, puts, where, timed=bool(time)), bound

    async def insert_if_absent(self, table: Table, row: Mapping[str, Any]) -> Applied:
        key, values = check_row(table, row)
        cql = self._cql(table)
        text = cql.insert(tuple(values), absent=True)
        bound = await self._bound(
            text, cql.key(key) + [cql.encode(name, value) for name, value in values.items()]
        )
        answer = await self._conditional(f"conditional insert {table.name}", bound)
        if answer.pop("[applied]"):
            return Applied(True)
        stored = cql.decode(tuple(table.types), [answer.get(name) for name in table.types])
        if table.statics and values.keys().isdisjoint(table.statics):
            # Cassandra does not look at static columns then.
            place = key[: len(table.partition)]
            stored.update((await self.statics(table, [place])).get(place, {}))
        return Applied(False, stored)

    async def update_if(
        self, table: Table, key: Key, values: Mapping[str, Any], conditions: Sequence[Condition]
    ) -> Applied:
        key, values, conditions = check_update(table, key, values, conditions)
        cql = self._cql(table)
        text, bound = self._update(cql, cql.key(key), values, [])
        end, more = cql.condition(conditions)
        statement: Any = await self._bound(text + end, bound + more)
        if table.statics:
            # Where there are static columns, a missing row is refused with nulls. Within a batch the key is in the
            # answer too, and null where the row is missing.
            statement = BatchStatement(BatchType.UNLOGGED).add(statement)
        answer = await self._conditional(f"conditional update {table.name}", statement)
        return _applied(cql, answer, conditions)

    async def delete_if(
        self,
        table: Table,
        key: Key,
        conditions: Sequence[Condition],
        statics: Mapping[str, Any] | None = None,
    ) -> Applied:
        key, values, conditions = check_deletion(table, key, conditions, statics or {})
        statements = await self._deletion(table, key, conditions, values)
        statement: Any = statements[0]
        if table.statics:
            statement = BatchStatement(BatchType.UNLOGGED)
            for one in statements:
                statement.add(one)
        answer = await self._conditional(f"conditional delete {table.name}", statement)
        return _applied(self._cql(table), answer, conditions)

    async def write_together(self, table: Table, changes: Sequence[Change]) -> bool:
        batch = BatchStatement(BatchType.UNLOGGED)
        for change in check_together(table, changes):
            for statement in await self._changes(table, change):
                batch.add(statement)
        return bool((await self._conditional(f"conditional batch {table.name}", batch))["[applied]"])

    async def _changes(self, table: Table, change: Change) -> list[BoundStatement]:
        cql = self._cql(table)
        if change.delete:
            return await self._deletion(table, change.key, change.conditions, change.values)
        if not change.conditions:
            values = [cql.encode(name, value) for name, value in change.values.items()]
            text = cql.insert(tuple(change.values), absent=True)
            return [await self._bound(text, cql.key(change.key) + values)]
        text, bound = self._update(cql, cql.key(change.key), change.values, [])
        end, more = cql.condition(change.conditions)
        return [await self._bound(text + end, bound + more)]

    async def _deletion(
        self, table: Table, key: Key, conditions: Sequence[Condition], statics: Mapping[str, Any]
    ) -> list[BoundStatement]:
        """Returns the statement of a conditional deletion, and that of the static columns that are set with it."""
        cql = self._cql(table)
        end, more = cql.condition(conditions)
        statements = [await self._bound(cql.delete() + end, cql.key(key) + more)]
        if statics:
            statements.append(await self._bound(*self._update(cql, cql.key(key), statics, [])))
        return statements

    async def _conditional(self, what: str, statement: Any) -> dict[str, Any]:
        answer = await self._session.send(what, statement)
        return dict(zip(answer.columns, answer.rows[0], strict=True))

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
        cql = self._cql(table)
        bound = await self._bound(
            cql.select((table.key[-1], *names), cql.range), [token_range.start, token_range.end]
        )
        bound.fetch_size = page_size
        while True:
            page = None if resume is None else base64.b64decode(resume)
            raws, page, _ = await self._session.send(f"select {table.name}", bound, page=page)
            resume = None if page is None else base64.b64encode(page).decode()
            yield Page([cql.decode(names, raw[1:]) for raw in raws if raw[0] is not None], resume)
            if resume is None:
                return

    # --- the keyspace itself

    async def schema_version(self) -> int:
        if VERSIONS.name not in await self._existing():
            return 0
        rows = await self.partition(VERSIONS, (COMPONENT,), columns=["version"])
        return max((row["version"] for row in rows), default=0)

    async def init(self, tables: Sequence[Table]) -> list[str]:
        address, said = self._session.address, []
        if not await self._system("keyspace_name", "keyspaces"):
            await self._session.change_schema(address.create)
            said.append(f"created keyspace {address.keyspace}")
        # Also where it seems to be there: while another process creates it, it can be listed and not yet readable.
        await self._session.change_schema(self._cql(VERSIONS).create())
        existing, stored = await self._existing(), await self.schema_version()
        missing = changes(tables, stored, existing)
        known = {name for (name,) in await self._system("type_name", "types")}
        for name, ddl in (udt for table in tables for udt in self._cql(table).types()):
            if name not in known:
                await self._session.change_schema(ddl)
                known.add(name)
                said.append(f"created type {name}")
        for change in missing:
            cql = self._cql(change.table)
            await self._session.change_schema(
                cql.create() if change.column is None else cql.add(change.column)
            )
            said.append(str(change))
        if (target := version_of(tables)) > stored:
            await self.write(Write(VERSIONS, (COMPONENT, target), {"applied_at": datetime.now(UTC)}))
            said.append(f"schema is at version {target}")
        return said

    async def exists(self, table: Table) -> bool:
        return table.name in await self._existing()

    async def drop(self, table: Table) -> None:
        await self._session.change_schema(self._cql(table).drop())

    async def _existing(self) -> dict[str, set[str]]:
        """Returns the columns by table, as they are in the keyspace."""
        existing: dict[str, set[str]] = {}
        for table, column in await self._system("table_name, column_name", "columns"):
            existing.setdefault(table, set()).add(column)
        return existing

    async def _system(self, columns: str, table: str) -> list[tuple[Any, ...]]:
        cql = f"SELECT {columns} FROM system_schema.{table} WHERE keyspace_name = '{self._session.address.keyspace}'"  # noqa: S608
        answer = await self._session.send(
            f"select system_schema.{table}", SimpleStatement(cql, fetch_size=None)
        )
        return answer.rows

    async def scrub(self) -> None:
        """Does nothing: compaction cleans, gc_grace_seconds after the deletion."""

    async def ping(self) -> None:
        await self._session.send("ping", SimpleStatement("SELECT key FROM system.local"))

    async def close(self) -> None:
        await self._session.close()


def _applied(cql: Cql, answer: dict[str, Any], conditions: Sequence[Condition]) -> Applied:
    """Returns what became of a conditional update or deletion of one row."""
    if answer.pop("[applied]"):
        return Applied(True)
    if not answer or (cql.table.statics and answer[cql.table.key[-1]] is None):
        return Applied(False)
    names = tuple(dict.fromkeys(c.column for c in conditions if not isinstance(c, Exists)))
    return Applied(False, cql.decode(names, [answer[name] for name in names]))


def _joined(parts: Iterable[list[_Raw]]) -> list[_Raw]:
    return [raw for part in parts for raw in part]


async def _gather(work: Iterable[Awaitable[T]]) -> list[T]:
    """Waits for several calls. A single one needs no task."""
    waiting = list(work)
    return [await waiting[0]] if len(waiting) == 1 else await asyncio.gather(*waiting)


def _batches(statements: Sequence[tuple[str, BoundStatement]]) -> list[list[tuple[str, BoundStatement]]]:
    batches: list[list[tuple[str, BoundStatement]]] = []
    size = _BATCH_BYTES
    for what, bound in statements:
        own = 32 + sum(20 + len(value) for value in bound.values if isinstance(value, bytes))
        if size + own > _BATCH_BYTES or len(batches[-1]) == _BATCH:
            batches.append([])
            size = 0
        batches[-1].append((what, bound))
        size += own
    return batches
