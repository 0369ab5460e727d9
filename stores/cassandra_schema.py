"""The schema of the rows in Cassandra: what is in the keyspace, and what is created or added."""

from collections.abc import Callable, Sequence
from typing import Any

from cassandra.query import SimpleStatement

from stores.cassandra_session import CassandraSession
from stores.columns import Table
from stores.cql import Cql
from stores.schema import VERSIONS, Change


async def columns_by_table(session: CassandraSession) -> dict[str, set[str]]:
    """As they are in the keyspace."""
    existing: dict[str, set[str]] = {}
    for table, column in await _system(session, "table_name, column_name", "columns"):
        existing.setdefault(table, set()).add(column)
    return existing


async def create_keyspace(session: CassandraSession, cql: Callable[[Table], Cql]) -> list[str]:
    """Creates the keyspace and its table of versions where they are missing, a line for what was created."""
    said = []
    if not await _system(session, "keyspace_name", "keyspaces"):
        await session.change_schema(session.address.create)
        said.append(f"created keyspace {session.address.keyspace}")
    # Also where it seems to be there: while another process creates it, it can be listed and not yet readable.
    await session.change_schema(cql(VERSIONS).create())
    return said


async def create_types(
    session: CassandraSession, cql: Callable[[Table], Cql], tables: Sequence[Table]
) -> list[str]:
    """Creates the missing types of the tables' columns, a line for each."""
    said = []
    known = {name for (name,) in await _system(session, "type_name", "types")}
    for name, ddl in (udt for table in tables for udt in cql(table).types()):
        if name not in known:
            await session.change_schema(ddl)
            known.add(name)
            said.append(f"created type {name}")
    return said


async def make_changes(
    session: CassandraSession, cql: Callable[[Table], Cql], missing: Sequence[Change]
) -> list[str]:
    """Creates tables and adds columns, in order, a line for each."""
    for change in missing:
        text = cql(change.table)
        await session.change_schema(text.create() if change.column is None else text.add(change.column))
    return [str(change) for change in missing]


async def _system(session: CassandraSession, columns: str, table: str) -> list[tuple[Any, ...]]:
    cql = f"SELECT {columns} FROM system_schema.{table} WHERE keyspace_name = '{session.address.keyspace}'"  # noqa: S608
    answer = await session.send(f"select system_schema.{table}", SimpleStatement(cql, fetch_size=None))
    return answer.rows
