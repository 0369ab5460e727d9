"""The schema of the rows in Cassandra: what is in the keyspace, and what is created or added."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cassandra.query import SimpleStatement

from rules.errors import InvalidInput
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
    """Creates the keyspace and its table of versions where they are missing, a line for what was created.

    InvalidInput where there are fewer nodes than copies: Cassandra itself would only warn, and then refuse every write.
    """
    said = []
    if not await _system(session, "keyspace_name", "keyspaces"):
        wanted, nodes = session.address.replication, len(session.holders)
        if wanted > nodes:
            raise InvalidInput(
                f"replication={wanted} needs as many nodes; found: {nodes}. Start more, or set replication={nodes}",
                field="rows",
            )
        await session.change_schema(session.address.create)
        said.append(f"created keyspace {session.address.keyspace}")
    # Also where it seems to be there: while another process creates it, it can be listed and not yet readable.
    await session.change_schema(cql(VERSIONS).create())
    return said


@dataclass(frozen=True, slots=True)
class Replication:
    """On how many nodes each row is, and how the nodes are that may hold it."""

    copies: int
    nodes: int
    away: Sequence[str]


async def replication(session: CassandraSession) -> Replication:
    """Of the keyspace as it is, which may have been altered since it was created."""
    [(found,)] = await _system(session, "replication", "keyspaces")
    how = dict(found)
    copies = how.get(session.address.dc) or how.get("replication_factor") or 0
    if not copies:  # by data centre, and the address names none: the one with the fewest
        copies = min((number for name, number in how.items() if name != "class"), default=0, key=int)
    holders = session.holders
    return Replication(int(copies), len(holders), [node for node, is_up in holders.items() if not is_up])


async def create_types(
    session: CassandraSession, cql: Callable[[Table], Cql], tables: Sequence[Table]
) -> list[str]:
    """Creates the missing types of the tables' columns, a line for each."""
    known = {name for (name,) in await _system(session, "type_name", "types")}
    missing = {name: ddl for table in tables for name, ddl in cql(table).types() if name not in known}
    await session.change_schema(*missing.values())
    return [f"created type {name}" for name in missing]


async def make_changes(
    session: CassandraSession, cql: Callable[[Table], Cql], missing: Sequence[Change]
) -> list[str]:
    """Creates tables and adds columns, in order, a line for each."""
    await session.change_schema(
        *(
            cql(change.table).create() if change.column is None else cql(change.table).add(change.column)
            for change in missing
        )
    )
    return [str(change) for change in missing]


async def _system(session: CassandraSession, columns: str, table: str) -> list[tuple[Any, ...]]:
    cql = f"SELECT {columns} FROM system_schema.{table} WHERE keyspace_name = '{session.address.keyspace}'"  # noqa: S608
    answer = await session.send(
        f"select system_schema.{table}", SimpleStatement(cql, fetch_size=None, is_idempotent=True)
    )
    return answer.rows
