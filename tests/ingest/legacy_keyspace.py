"""A keyspace on the real server that is laid out and filled as the existing platform's (tests/ingest/legacy_world.py)."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from cassandra.concurrent import execute_concurrent

from rules.moments import milliseconds
from tests.conftest import CASSANDRA, operator
from tests.ingest.legacy_platform import QUESTION, LegacyTable
from tests.ingest.legacy_world import TABLES, Written

_SLOW = 120
"""Seconds that a change of the schema may take on a busy machine."""


class LegacyKeyspace:
    """Made with ``await LegacyKeyspace.made()``. To make its tables takes long, so tests share one and empty it."""

    def __init__(self) -> None:
        self.name = f"test_legacy_{uuid4().hex[:10]}"

    @property
    def url(self) -> str:
        return f"{CASSANDRA}/{self.name}"

    @classmethod
    async def made(cls, tables: Mapping[str, LegacyTable] = TABLES) -> "LegacyKeyspace":
        keyspace = cls()
        await asyncio.to_thread(keyspace._make, tables)
        return keyspace

    def _make(self, tables: Mapping[str, LegacyTable]) -> None:
        session = operator(CASSANDRA)
        replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        fields = ", ".join(f"{name} {kind}" for name, kind in QUESTION.items())
        for ddl in (
            f"CREATE KEYSPACE {self.name} WITH replication = {replication}",
            f"CREATE TYPE {self.name}.question ({fields})",
            *(table.cql(self.name) for table in tables.values()),
        ):
            session.execute(ddl, timeout=_SLOW)

    async def write(self, writes: Iterable[Written]) -> None:
        """Each with its own write time, whatever the order."""
        await asyncio.to_thread(self._write, list(writes))

    def _write(self, writes: Sequence[Written]) -> None:
        session = operator(CASSANDRA)
        statements = []
        for write in writes:
            columns, marks = ", ".join(write.values), ", ".join("?" * len(write.values))
            text = f"INSERT INTO {self.name}.{write.table} ({columns}) VALUES ({marks}) USING TIMESTAMP ?"
            values = [*map(_bound, write.values.values()), milliseconds(write.at) * 1000]
            statements.append((session.prepare(text), values))
        execute_concurrent(session, statements, concurrency=32)

    async def empty(self) -> None:
        def empty() -> None:
            session = operator(CASSANDRA)
            names = [f"{self.name}.{name}" for name in TABLES]
            for truncated in [session.execute_async(f"TRUNCATE {name}", timeout=_SLOW) for name in names]:
                truncated.result()

        await asyncio.to_thread(empty)

    async def drop_column(self, table: str, column: str) -> None:
        text = f"ALTER TABLE {self.name}.{table} DROP {column}"
        await asyncio.to_thread(lambda: operator(CASSANDRA).execute(text, timeout=_SLOW))

    def drop(self) -> None:
        operator(CASSANDRA).execute(f"DROP KEYSPACE IF EXISTS {self.name}", timeout=_SLOW)


def _bound(value: Any) -> Any:
    """A question as the driver takes a user-defined type: a tuple."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "assess_ts" in value[0]:
        return [tuple(one[name] for name in QUESTION) for one in value]
    return value
