"""What a deadline ends, or a client that leaves, ends on the real servers too. No test looks at a clock: what would go on is
made to go on for minutes, and is looked for.

Druid: tests/stores/test_groups_druid.py, which has data in it. DuckDB and SQLite: tests/stores/test_groups_duckdb.py,
tests/stores/test_sqlite_lane.py.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from rules.errors import StoreUnavailable
from rules.search import SearchDocument
from stores.cache_redis import RedisCache
from stores.deadline import deadline
from stores.rows import Write
from stores.rows_cassandra import _PAGE, CassandraRows
from stores.search import IndexWrite
from stores.search_opensearch import OpenSearch
from stores.tables import ERASURES, TABLES
from tests.conftest import REDIS, SEARCH, drop_search_index, empty_keyspace, real_urls
from tests.outages.proxies import Fault, Proxy

pytestmark = pytest.mark.stack

WAYS = ["its deadline", "its caller leaves"]


async def until(holds: Callable[[], Awaitable[bool]], within: float = 90) -> None:
    async with asyncio.timeout(within):
        while not await holds():
            await asyncio.sleep(0.05)


async def ends(
    by: str, call: Callable[[], Awaitable[Any]], is_under_way: Callable[[], Awaitable[bool]]
) -> None:
    """Begins the call, and ends it once it is under way."""

    async def within_its_deadline() -> None:
        with deadline(4), pytest.raises(StoreUnavailable):  # DeadlineExceeded, unless a driver is first
            await call()

    if by == "its deadline":
        asked = asyncio.create_task(within_its_deadline())
        await until(is_under_way)
        await asked
        return
    asked = asyncio.create_task(call())  # type: ignore[arg-type]
    await until(is_under_way)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


def proxy_of(url: str) -> Proxy:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return Proxy(parts.hostname, parts.port)


# --- OpenSearch


@pytest.fixture
async def search() -> AsyncIterator[OpenSearch]:
    """An index of 2,000 collections, in which a call may take an hour."""
    prefix = f"test-{uuid4().hex[:10]}"
    opened = await OpenSearch.open(SEARCH, prefix, timeout=3600)
    try:
        await opened.init()
        await opened.write(
            [IndexWrite(SearchDocument(f"c{n}", f"c{n}", 1, f"C {n}"), None) for n in range(2_000)]
        )
        yield opened
    finally:
        await opened.close()
        await drop_search_index(prefix)


SLOW = {
    "query": {
        "bool": {
            "filter": {
                "script": {
                    "script": {
                        "source": "double x = 0; for (int i = 0; i < 200000; i++) { x += Math.sin(i) } return x != 1"
                    }
                }
            }
        }
    }
}
"""Some 10 ms for each document."""


async def searches(index: str) -> list[bool]:
    """Of each search in the index that the server is at, whether it was told to end."""
    async with httpx.AsyncClient(base_url=SEARCH.replace("opensearch:", "http:"), timeout=60) as server:
        nodes = (await server.get("/_tasks?actions=*search*&detailed")).raise_for_status().json()["nodes"]
    tasks = [task for node in nodes.values() for task in node["tasks"].values()]
    return [task["cancelled"] for task in tasks if index in task["description"]]


@pytest.mark.parametrize("by", WAYS)
async def test_a_search_is_cancelled_at_opensearch_by(by: str, search: OpenSearch) -> None:
    """The connection is closed, and OpenSearch tells the tasks of who is gone to end. They look at that after some thousands of
    documents."""

    async def runs() -> bool:
        return False in await searches(search._alias)

    async def is_told_to_end() -> bool:
        told = await searches(search._alias)
        assert told, "it has ended by itself"
        return all(told)

    await ends(by, lambda: search._search(SLOW), runs)
    await until(is_told_to_end)


# --- Cassandra

ROWS = 3 * _PAGE
KEY = ("ann",)


@pytest.fixture
async def rows() -> AsyncIterator[tuple[CassandraRows, Proxy]]:
    """With a partition of three pages."""
    url = real_urls()["rows"]
    proxy = proxy_of(url)
    async with proxy:
        through = await CassandraRows.open(
            url.replace(urlsplit(url).netloc.rpartition("@")[2], proxy.address)
        )
        try:
            await through.init(TABLES)
            erased = [
                Write(ERASURES, ("ann", "course", f"c{n:05}"), {"erased_on": None}) for n in range(ROWS)
            ]
            await through.write(*erased)
            yield through, proxy
        finally:
            await proxy.becomes(None)
            await through.close()
            await empty_keyspace(url)


@pytest.mark.parametrize("by", WAYS)
async def test_no_further_page_is_read_from_cassandra_after(
    by: str, rows: tuple[CassandraRows, Proxy]
) -> None:
    """Its protocol has no word for ending a statement: a page that was asked for is made, within Cassandra's own timeout."""
    store, proxy = rows
    read = f"select {ERASURES.name}"
    assert len(await store.partition(ERASURES, KEY)) == ROWS
    whole = store.meter.counts[read]
    assert whole == ROWS // _PAGE + 1 or whole == ROWS // _PAGE

    async def is_asked() -> bool:
        return store.meter.counts[read] == whole + 1

    async def is_at_rest() -> bool:
        return bool(store._session.permits._value == in_all)

    async def is_whole() -> bool:
        with suppress(StoreUnavailable):  # a connection that was given up is made anew
            return len(await store.partition(ERASURES, KEY)) == ROWS
        return False

    in_all = store._session.permits._value
    await proxy.becomes(Fault.SILENT)
    await ends(by, lambda: store.partition(ERASURES, KEY), is_asked)
    await proxy.becomes(None)
    await until(is_at_rest)  # the first page has come, after nobody waited any more
    assert await is_asked(), "a page more was asked for"
    await until(is_whole)


# --- Redis


async def test_an_answer_that_comes_late_is_not_taken_for_the_next_one() -> None:
    proxy = proxy_of(REDIS)
    async with proxy:
        url = REDIS.replace(urlsplit(REDIS).netloc.rpartition("@")[2], proxy.address)
        cache = await RedisCache.open(url, f"test-{uuid4().hex[:10]}", connections=1)
        names = [f"{n}" for n in range(10)]

        async def answers() -> bool:
            return await cache.get("0") == b"0"

        try:
            for name in names:
                await cache.set(name, name.encode(), 600)
            for by in WAYS:
                await proxy.becomes(Fault.SILENT)
                # Cut by the deadline, it says that nothing is there.
                with deadline(0.2):
                    asked = asyncio.create_task(cache.get("1"))
                if by == "its deadline":
                    assert await asked is None
                else:
                    await asyncio.sleep(0)
                    asked.cancel()
                    with suppress(asyncio.CancelledError):
                        await asked
                await proxy.becomes(None)
                await until(answers)
                assert [await cache.get(name) for name in names] == [name.encode() for name in names]
        finally:
            for name in names:
                await cache.delete(name)
            await cache.close()
