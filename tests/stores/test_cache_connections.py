"""Connections to the cache's server that were lost while nobody used them."""

import asyncio
import socket
import struct
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from stores.cache import Spending
from stores.cache_embedded import kept_server
from stores.cache_redis import RedisCache, ServerCache
from tests.outages.proxies import Fault, Proxy
from tests.stack.small import free_port

PATIENCE = 60.0
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]

Loop = Callable[[], asyncio.AbstractEventLoop]
Call = Callable[[ServerCache], Awaitable[object]]

SPENT = [Spending("points", 1, 0.0001, 100)]
"""A point of 100, of which none comes back while a test runs."""
CALLS: dict[str, tuple[Call, object]] = {
    "get": (lambda cache: cache.get("value"), b"1"),
    "get many": (lambda cache: cache.get_many(["value", "none"]), [b"1", None]),
    "set": (lambda cache: cache.set("value", b"1", 60), None),
    "hashes": (lambda cache: cache.hashes(["hash"]), [{"a": b"1"}]),
    "raise": (lambda cache: cache.raise_fields("hash", {"a": b"1"}, 60), None),
    "drop": (lambda cache: cache.drop_field("b", ["hash"]), None),
    "delete": (lambda cache: cache.delete("none"), None),
    "claim": (lambda cache: cache.claim("claimed", "one", 60), True),
    "release": (lambda cache: cache.release("claimed", "another"), None),
}


class Breaking(Proxy):
    """Cuts the answer to one command, where its fault is CUT. Loses connections between commands."""

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, is_answer: bool) -> None:
        await super()._pass(source, to, is_answer=is_answer)
        if is_answer and self._fault is Fault.CUT:
            self._fault = None

    def lose(self, *, reset: bool) -> None:
        """Closes all connections, or resets them as a firewall does."""
        for writers in [*self._connections.values()]:
            for writer in writers:
                if reset:
                    lost: socket.socket = writer.get_extra_info("socket")
                    lost.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()


@asynccontextmanager
async def valkey(port: int) -> AsyncIterator[Process]:
    """A server of the test's own."""
    directory = tempfile.mkdtemp(dir="/tmp")  # a socket's path may have 108 bytes
    server = await asyncio.create_subprocess_exec(
        *kept_server(directory, "16mb"), "--port", str(port), stdin=PIPE, stdout=DEVNULL
    )
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    break
        writer.close()
        yield server
    finally:
        await server.communicate(b"")


@asynccontextmanager
async def reached_by(proxy: Proxy) -> AsyncIterator[ServerCache]:
    """A cache whose connections are open and idle."""
    cache = await RedisCache.open(f"redis://{proxy.address}/0", timeout=PATIENCE)
    await cache.set("value", b"1", 60)
    await cache.raise_fields("hash", {"a": b"1"}, 60)
    await cache.claim("claimed", "one", 60)
    assert await cache.spend(SPENT) == [99]
    yield cache
    await cache.close()


def connections_of(cache: ServerCache) -> list[Any]:
    pool: Any = cache._client.connection_pool
    return [*pool._available_connections, cache._raise_fields.__self__._connection]  # type: ignore[attr-defined]


async def all_noticed(cache: ServerCache) -> None:
    """Returns when the loop has heard that all connections are lost."""
    async with asyncio.timeout(PATIENCE):
        for one in connections_of(cache):
            while one._reader is not None and not (one._reader.at_eof() or one._writer.is_closing()):
                await asyncio.sleep(0.01)


def on(loop: Loop, told: Callable[[Breaking], Awaitable[None]]) -> None:
    """Runs it with a proxy before a server."""

    async def within() -> None:
        port = free_port()
        async with valkey(port), Breaking("127.0.0.1", port) as proxy:
            await told(proxy)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(within())


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("noticed", [True, False])
@pytest.mark.parametrize("reset", [True, False])
def test_a_connection_that_was_lost_while_idle_is_made_anew(loop: Loop, reset: bool, noticed: bool) -> None:
    """Whether the loop has heard of that before the call, or hears of it by the call."""

    async def told(proxy: Breaking) -> None:
        async with reached_by(proxy) as cache:
            for call, expected in CALLS.values():
                proxy.lose(reset=reset)
                if noticed:
                    await all_noticed(cache)
                assert await call(cache) == expected
            if noticed:
                proxy.lose(reset=reset)
                await all_noticed(cache)
                assert await cache.spend(SPENT) == [98]
            proxy.lose(reset=reset)
            await cache.ping()
            assert cache.failures == 0

    on(loop, told)


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_a_command_whose_answer_was_cut_off_is_sent_again_unless_twice_is_more_than_once(loop: Loop) -> None:
    """The server has executed it. Points that are spent twice would be paid twice."""

    async def told(proxy: Breaking) -> None:
        async with reached_by(proxy) as cache:
            for call, expected in CALLS.values():
                await proxy.becomes(Fault.CUT)
                assert await call(cache) == expected
            assert cache.failures == 0
            await proxy.becomes(Fault.CUT)
            assert await cache.spend(SPENT) is None
            assert cache.failures == 1
            async with asyncio.timeout(PATIENCE):
                while cache._recovery is not None:
                    await asyncio.sleep(0.05)
            nothing = [SPENT[0]._replace(points=0)]
            assert await cache.spend(nothing) == [98]

    on(loop, told)


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_a_server_that_was_started_anew_between_two_calls_fails_none(loop: Loop) -> None:
    async def told() -> None:
        port = free_port()
        cache = await RedisCache.open(f"redis://127.0.0.1:{port}/0", timeout=PATIENCE)
        for _ in range(2):
            async with valkey(port):
                found = await asyncio.gather(*(cache.get("value") for _ in range(10)))
                assert found == [None] * 10
                await cache.raise_fields("hash", {"a": b"1"}, 60)
                assert await cache.hashes(["hash"]) == [{"a": b"1"}]
        assert cache.failures == 0
        await cache.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(told())
