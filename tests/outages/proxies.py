"""A TCP proxy between Cohort and a server, which tests have go wrong: the servers are shared and never stopped."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import urlsplit

import aiokafka.client

DELAY = 0.05
"""Seconds that a slowed server's bytes, and those to it, are late: two of them for each question and its answer."""
CHUNK = 64 * 1024


class Fault(Enum):
    """What is wrong with a server, as the page says it."""

    STOPPED = "stopped: connections are refused, those that were open are closed"
    SLOWED = f"slowed: whatever it is sent, and whatever it says, comes {DELAY * 1000:.0f} ms later"
    CUT = "cut: it gets each request, and the connection closes before its answer comes"
    SILENT = "silent: it gets each request, and no answer comes as long as that lasts"

    @property
    def named(self) -> str:
        return self.value.partition(":")[0]


class Proxy:
    """Use as a context. ``fault`` is None while all is well."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = host, port
        self._fault: Fault | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self._talks = asyncio.Event()
        self._talks.set()
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._talks.set()
        await self._refuse()

    async def becomes(self, fault: Fault | None) -> None:
        """From here on it is so. What was held back while it was silent comes once it is well."""
        self._fault = fault
        if fault is Fault.SILENT:
            self._talks.clear()
        else:
            self._talks.set()
        if fault is Fault.STOPPED:
            await self._refuse()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        tasks = [*self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = (writer,)
        upstream: asyncio.StreamWriter | None = None
        passing: list[asyncio.Task[None]] = []
        try:
            answers, upstream = await asyncio.open_connection(*self._upstream)
            passing = [
                asyncio.create_task(self._pass(reader, upstream, is_answer=False)),
                asyncio.create_task(self._pass(answers, writer, is_answer=True)),
            ]
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.CancelledError):
            pass  # it ends here, without a word, as a connection that breaks
        finally:
            del self._connections[task]
            for one in passing:
                one.cancel()
            await asyncio.gather(*passing, return_exceptions=True)
            for end in (writer, upstream):
                if end is not None:
                    end.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, is_answer: bool) -> None:
        with suppress(OSError):
            while chunk := await source.read(CHUNK):
                if self._fault is Fault.SLOWED:
                    await asyncio.sleep(DELAY)
                if is_answer:
                    if self._fault is Fault.CUT:
                        return
                    await self._talks.wait()
                to.write(chunk)
                await to.drain()


STORES = ("rows", "events", "cache", "groups", "blobs", "search")


@dataclass(frozen=True)
class Proxies:
    """A proxy before each server, and the ``urls`` of an instance that goes through them."""

    of: dict[str, Proxy]
    urls: dict[str, str]


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme == "s3":
        parts = urlsplit(_endpoint(url))
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def _endpoint(url: str) -> str:
    return next(
        part.partition("=")[2] for part in urlsplit(url).query.split("&") if part.startswith("endpoint=")
    )


@asynccontextmanager
async def proxied(urls: dict[str, str]) -> AsyncIterator[Proxies]:
    """``urls``: of an instance on real servers."""
    async with AsyncExitStack() as stack:
        of, through = {}, dict(urls)
        for kind in STORES:
            host, port = _address(urls[kind])
            of[kind] = await stack.enter_async_context(Proxy(host, port))
            if kind != "events":
                through[kind] = urls[kind].replace(f"{host}:{port}", of[kind].address, 1)
        stack.enter_context(_brokers_through(of["events"]))
        yield Proxies(of, through)


@contextmanager
def _brokers_through(proxy: Proxy) -> Iterator[None]:
    """Has aiokafka reach the broker by the proxy: a broker tells its clients its own address."""
    connect = aiokafka.client.create_conn

    async def create_conn(_host: str, _port: int, **more: Any) -> Any:
        return await connect("127.0.0.1", proxy.port, **more)

    with patch.object(aiokafka.client, "create_conn", create_conn):
        yield
