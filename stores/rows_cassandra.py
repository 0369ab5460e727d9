"""The distributed engine of the rows port: one keyspace of a Cassandra cluster, LOCAL_QUORUM and LOCAL_SERIAL.

Each statement is a text of ``cql.py``; ``cassandra_statements.py`` binds those of writes, ``cassandra_schema.py`` creates
what is missing, ``cassandra_session.py`` sends. A conditional write that times out may or may not have been applied:
StoreUnavailable, and the caller sends it again.
"""

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self, TypeVar

from cassandra.query import SimpleStatement

from stores.bills import charge, partitions_written
from stores.cassandra_address import Address
from stores.cassandra_reads import Reads, gathered
from stores.cassandra_schema import (
    Replication,
    columns_by_table,
    create_keyspace,
    create_types,
    make_changes,
    replication,
)
from stores.cassandra_session import CassandraSession
from stores.cassandra_statements import Metered, Statements, applied, batches, unlogged
from stores.columns import NarrowColumn, Table
from stores.keys import ring
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
from stores.schema import COMPONENT, VERSIONS, changes, version_of
from stores.timing import timed
from stores.turns import portions
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

_IN_FLIGHT = 256
"""Statements at a time; the others wait."""
_PAGE = 2000
"""Rows of a partition that one answer brings."""

_Raw = Sequence[Any]
"""A row as the driver gives it: encoded values, in the order of the columns asked for."""


@timed("rows", Rows, table_of)
class CassandraRows:
    """Open with ``await CassandraRows.open(url)``. Never use one over a fork."""

    def __init__(self, session: CassandraSession) -> None:
        self.meter = session.meter
        self._session = session
        self._statements = Statements(session)
        self._cql = self._statements.cql
        self._reads = Reads(session, self._statements)

    @classmethod
    async def open(
        cls, url: str, *, prefix: str = "", meter: Meter | None = None, in_flight: int = _IN_FLIGHT
    ) -> Self:
        """``url`` as in cassandra_address.Address; ``prefix`` begins the keyspace's name. The keyspace need not exist
        before ``init``. StoreUnavailable where no host answers."""
        session = CassandraSession(Address.parse(url, prefix=prefix), meter or Meter(), in_flight)
        await session.connect()
        return cls(session)

    # --- reading

    async def get(self, table: Table, key: Key, columns: Sequence[str] | None = None) -> Row | None:
        key, names = check_key(table, table.key, key), check_columns(table, columns)
        cql = self._cql(table)
        text = cql.select(names or table.key[:1], cql.slice(len(table.clustering), 0))
        charge(partitions=1)
        raws = await self._reads.all(table, await self._statements.bind(text, cql.key(key)))
        return cql.decode(names, raws[0]) if raws else None

    async def get_many(
        self, table: Table, keys: Sequence[Key], columns: Sequence[str] | None = None
    ) -> dict[Key, Row]:
        names = check_columns(table, columns)
        cql = self._cql(table)
        distinct = list(dict.fromkeys(check_keys(table, table.key, keys)))
        raws = await self._reads.together(table, distinct, partial(cql.select, (*table.key, *names)))
        width = len(table.key)
        found: dict[Key, Row] = {}
        async for portion in portions(raws):
            found |= {cql.decode_key(raw, width): cql.decode(names, raw[width:]) for raw in portion}
        return found

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
        charge(partitions=1)
        # The last key column is null where a partition has static columns only.
        text = cql.select((table.key[-1], *names), cql.slice(len(begun), len(rest)), limit=limit is not None)
        bound = await self._statements.bind(
            text, cql.key((*key, *begun, *rest)) + ([] if limit is None else [limit])
        )
        rows: list[Row] = []
        async for portion in portions(await self._reads.all(table, bound)):
            rows += [cql.decode(names, raw[1:]) for raw in portion if raw[0] is not None]
        return rows

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
        found: dict[Key, list[Row]] = {key: [] for key in check_keys(table, table.partition, keys)}
        width = len(table.partition)
        within = self._reads.within(table, among, prefix, after, limit)
        if within is None:
            return found
        asked = (*table.partition, table.key[-1], *names)

        def text(of_partitions: str) -> str:
            return cql.select(asked, of_partitions + within.where, limit_each=within.limited)

        async for portion in portions(await self._reads.together(table, list(found), text, within.values)):
            for raw in portion:
                if raw[width] is not None:
                    found[cql.decode_key(raw, width)].append(cql.decode(names, raw[width + 1 :]))
        return found

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
        within = self._reads.within(table, among, prefix, after, limit)
        if within is None:
            return {key: [] for key in keys}
        return await self._reads.tuples(table, keys, tuple(columns), within)

    async def statics(self, table: Table, keys: Sequence[Key]) -> dict[Key, Row]:
        cql = self._cql(table)
        distinct = list(dict.fromkeys(check_keys(table, table.partition, keys)))
        names = tuple(table.statics)
        text = partial(cql.select, (*table.partition, *names), distinct=True)
        width = len(table.partition)
        raws = await self._reads.together(table, distinct, text)
        return {cql.decode_key(raw, width): cql.decode(names, raw[width:]) for raw in raws}

    async def static_values(self, table: Table, keys: Sequence[Key], column: str) -> dict[Key, Any]:
        return await self._reads.static_values(table, keys, column)

    # --- writing

    async def write(self, *writes: Write) -> None:
        statements = await self._statements.of_writes(writes)
        charge(partitions=partitions_written(writes))
        alike = self._session.alike(statements, lambda statement: statement[1].routing_key)
        await gathered(self._send(part) for same in alike for part in batches(same))

    async def _send(self, statements: list[Metered]) -> None:
        if len(statements) == 1:
            await self._session.send(*statements[0])
        else:
            await self._session.send("batch", unlogged([bound for _, bound in statements]))

    async def insert_if_absent(self, table: Table, row: Mapping[str, Any]) -> Applied:
        key, values = check_row(table, row)
        cql = self._cql(table)
        bound = await self._statements.insert_if_absent(table, key, values)
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
        change = Change(*check_update(table, key, values, conditions))
        return await self._send_change(f"conditional update {table.name}", table, change)

    async def delete_if(
        self,
        table: Table,
        key: Key,
        conditions: Sequence[Condition],
        statics: Mapping[str, Any] | None = None,
    ) -> Applied:
        change = Change(*check_deletion(table, key, conditions, statics or {}), delete=True)
        return await self._send_change(f"conditional delete {table.name}", table, change)

    async def write_together(self, table: Table, changes: Sequence[Change]) -> bool:
        checked = check_together(table, changes)
        statements = [one for change in checked for one in await self._statements.of_change(table, change)]
        answer = await self._conditional(f"conditional batch {table.name}", unlogged(statements))
        return bool(answer["[applied]"])

    async def _send_change(self, what: str, table: Table, change: Change) -> Applied:
        answer = await self._conditional(what, await self._statements.of_conditional(table, change))
        return applied(self._cql(table), answer, change.conditions)

    async def _conditional(self, what: str, statement: Any) -> dict[str, Any]:
        charge(partitions=1)
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
    ) -> AsyncIterator[RowPage]:
        names = check_columns(table, columns)
        cql = self._cql(table)
        bound = await self._statements.bind(
            cql.select((table.key[-1], *names), cql.range), [token_range.start, token_range.end]
        )
        bound.fetch_size = page_size
        while True:
            page = None if resume is None else base64.b64decode(resume)
            raws, page, _ = await self._session.send(f"select {table.name}", bound, page=page)
            resume = None if page is None else base64.b64encode(page).decode()
            yield RowPage([cql.decode(names, raw[1:]) for raw in raws if raw[0] is not None], resume)
            if resume is None:
                return

    # --- the keyspace itself

    async def clock(self) -> int:
        answer = await self._session.send(
            "clock", SimpleStatement("SELECT toUnixTimestamp(now()) FROM system.local", is_idempotent=True)
        )
        return int(answer.rows[0][0])

    async def replication(self) -> Replication:
        """NotInitialised where there is no keyspace yet."""
        return await replication(self._session)

    async def schema_version(self) -> int:
        if VERSIONS.name not in await columns_by_table(self._session):
            return 0
        rows = await self.partition(VERSIONS, (COMPONENT,), columns=["version"])
        return max((row["version"] for row in rows), default=0)

    async def init(self, tables: Sequence[Table]) -> list[str]:
        said = await create_keyspace(self._session, self._cql)
        existing, stored = await columns_by_table(self._session), await self.schema_version()
        missing = changes(tables, stored, existing)
        said += await create_types(self._session, self._cql, tables)
        said += await make_changes(self._session, self._cql, missing)
        if (target := version_of(tables)) > stored:
            await self.write(Write(VERSIONS, (COMPONENT, target), {"applied_at": datetime.now(UTC)}))
            said.append(f"schema is at version {target}")
        return said

    async def exists(self, table: Table) -> bool:
        return table.name in await columns_by_table(self._session)

    async def drop(self, table: Table) -> None:
        await self._session.change_schema(self._cql(table).drop())

    async def scrub(self) -> None:
        """Compaction does, gc_grace_seconds after the deletion."""

    async def ping(self) -> None:
        await self._session.send("ping", SimpleStatement("SELECT key FROM system.local", is_idempotent=True))

    async def close(self) -> None:
        await self._session.close()
