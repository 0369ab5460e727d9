"""The rows port's engines, as fixtures: ``rows`` in a store that a module's tests share, ``fresh`` in one of its own."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stores.cassandra_address import Address
from stores.cassandra_session import CassandraSession
from stores.meter import Meter
from stores.rows import Rows
from stores.rows_cassandra import CassandraRows
from stores.rows_sqlite import SqliteRows

ENGINES = ["sqlite", pytest.param("cassandra", marks=pytest.mark.stack)]
CASSANDRA = os.environ.get("COHORT_STACK_CASSANDRA", "cassandra://cohort:cohort@127.0.0.1:9042")

Open = Callable[[], Awaitable[Rows]]
"""One more connection to the same store; closed after the test."""


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def shared(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a module's tests keep their rows: a path or a URL."""
    with _place(engine, tmp_path_factory.mktemp("rows")) as place:
        yield place


@pytest.fixture
async def rows(engine: str, shared: str) -> AsyncIterator[Rows]:
    """The engine on the module's store. Tests make tables of their own in it."""
    opened = await open_rows(engine, shared)
    yield opened
    await opened.close()


@pytest.fixture
async def fresh(engine: str, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens connections to a store that holds nothing yet and is the test's own."""
    opened: list[Rows] = []
    with _place(engine, tmp_path) as place:

        async def open_() -> Rows:
            opened.append(await open_rows(engine, place))
            return opened[-1]

        yield open_
        for rows in opened:
            await rows.close()


async def open_rows(engine: str, place: str) -> Rows:
    """The caller closes it."""
    return await (SqliteRows.open(place) if engine == "sqlite" else CassandraRows.open(place))


@contextlib.contextmanager
def _place(engine: str, directory: Path) -> Iterator[str]:
    if engine == "sqlite":
        yield str(directory / "rows.db")
        return
    keyspace = f"test_{secrets.token_hex(6)}"
    yield f"{CASSANDRA}/{keyspace}?dc=datacenter1"
    _drop(keyspace)


def _drop(keyspace: str) -> None:
    async def drop() -> None:
        session = CassandraSession(Address.parse(CASSANDRA), Meter(), 1)
        await session.connect()
        await session.change_schema(f"DROP KEYSPACE IF EXISTS {keyspace}")
        await session.close()

    # A thread, since a test's loop may be running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, drop()).result()
