"""Connections whose clients send nothing, too slowly or too much, or don't read their answer."""

import asyncio
import contextlib
import logging
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import uvicorn
import uvloop
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.http.connections import MOST_PIPELINED
from gateway.http.disconnect import while_connected
from gateway.server import _config, listen
from gateway.settings import Settings

PATIENCE = 60.0
MEGABYTE = 1024 * 1024
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
released, held = asyncio.Event(), list[Request]()
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Says how long the body is; /large has 32 MB in parts, /slow takes 2 s, /held until ``released``, /watched until its client
    leaves; says who it takes the client for."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    request = Request(scope, receive)
    body = await request.body()
    if request.url.path == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(32):
            await send({"type": "http.response.body", "body": b"x" * MEGABYTE, "more_body": True})
        await send({"type": "http.response.body"})
        return
    if request.url.path == "/slow":
        await asyncio.sleep(2)
    if request.url.path == "/watched":
        held.append(request)
        try:
            await while_connected(receive, asyncio.Event().wait())
        except ClientDisconnect:
            held.clear()
            return
    if request.url.path == "/held":
        held.append(request)
        await released.wait()
        held.clear()
    told = f"{len(body)} {request.client.host if request.client else None}"
    response: Response = PlainTextResponse(told)
    await response(scope, receive, send)


class Server:
    """A running server of a test's settings."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self.port = port
        self._server = server

    @property
    def connections(self) -> int:
        return len(self._server.server_state.connections)

    async def all_gone(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.connections:
                await asyncio.sleep(0.02)

    async def all_answered(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self._server.server_state.tasks:
                await asyncio.sleep(0.02)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=64 * MEGABYTE)


Start = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture
def start(settings: Settings) -> Start:
    """Gives a server that is set up as Cohort's, with these settings, and an application that does next to nothing."""

    @asynccontextmanager
    async def started(**changed: object) -> AsyncIterator[Server]:
        with listen("127.0.0.1", 0) as listening:
            server = uvicorn.Server(_config(settings.model_copy(update=changed), answer))
            task = asyncio.create_task(server.serve([listening.socket]))
            async with asyncio.timeout(PATIENCE):
                while not server.started:
                    await asyncio.sleep(0.01)
            try:
                yield Server(server, listening.socket.getsockname()[1])
            finally:
                server.should_exit = True
                await task

    return started


async def told(reader: asyncio.StreamReader) -> bytes:
    """All until the server closes."""
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


async def trickle(writer: asyncio.StreamWriter, data: bytes, pause: float) -> None:
    with contextlib.suppress(ConnectionError):
        for at in range(len(data)):
            writer.write(data[at : at + 1])
            await writer.drain()
            await asyncio.sleep(pause)


async def test_who_never_sends_a_byte_is_closed_without_a_word(start: Start) -> None:
    async with start(head_timeout=0.2) as server:
        reader, writer = await server.connect()
        assert await told(reader) == b""
        writer.close()


async def refused(server: Server, first: bytes, slowly: bytes, pause: float) -> bytes:
    """What is answered to who sends the one at once and the other byte by byte. What is sent to who has closed undoes what was
    not read yet: so it tries again where a slow machine has read nothing."""
    while True:
        reader, writer = await server.connect()
        writer.write(first)
        if first.startswith(b"GET"):
            assert await reader.readuntil(b"127.0.0.1")
        trickling = asyncio.create_task(trickle(writer, slowly, pause))
        answered = await told(reader)
        writer.close()
        await trickling
        await server.all_gone()
        if answered:
            return answered


@pytest.mark.parametrize("whole_first", [False, True])
async def test_a_head_that_comes_byte_by_byte_is_answered_with_408(start: Start, whole_first: bool) -> None:
    """Each byte comes in time; all of them together do not: 60 bytes, one in 0.05 s, are 3 s, and 1 s is given."""
    async with start(head_timeout=1) as server:
        answered = await refused(
            server, HEAD + b"\r\n" if whole_first else b"", HEAD + b"x: " + b"y" * 40, 0.05
        )
        assert answered.startswith(b"HTTP/1.1 408 Request Timeout\r\n"), answered
        assert b'"code":"REQUEST_TIMEOUT"' in answered
        assert b"within 1 s" in answered
        assert b"connection: close" in answered.lower()


@pytest.mark.parametrize("slowly", [False, True])
async def test_a_body_that_does_not_come_is_answered_with_408(start: Start, slowly: bool) -> None:
    async with start(body_timeout=0.7) as server:
        answered = await refused(server, POST, b"b" * 9 if slowly else b"", 0.1)
        assert answered.startswith(b"HTTP/1.1 408 Request Timeout\r\n"), answered
        assert b"the body of a request must come within 0.7 s" in answered


async def test_a_body_in_time_is_answered_however_it_is_cut(start: Start) -> None:
    async with start(body_timeout=PATIENCE, head_timeout=PATIENCE) as server:
        reader, writer = await server.connect()
        for _ in range(3):
            await trickle(writer, POST + b"0123456789", 0.001)
            async with asyncio.timeout(PATIENCE):
                assert b"200 OK" in await reader.readuntil(b"10 127.0.0.1")
        writer.close()


@pytest.mark.parametrize("nothing", [b"", b"\r\n"], ids=["silent", "empty lines"])
async def test_an_idle_connection_is_closed(start: Start, nothing: bytes) -> None:
    async with start(idle_timeout=0.3, head_timeout=PATIENCE) as server:
        reader, writer = await server.connect()
        writer.write(HEAD + b"\r\n")
        await reader.readuntil(b"127.0.0.1")
        trickling = asyncio.create_task(trickle(writer, nothing * 100, 0.05))
        assert await told(reader) == b""
        writer.close()
        await trickling
        await server.all_gone()


async def test_a_request_that_is_worked_on_is_never_cut(start: Start) -> None:
    """It takes 2 s; all that is waited for has 1 s. The head of the next one begins meanwhile, and is late."""
    async with start(idle_timeout=1, head_timeout=1, body_timeout=1) as server:
        reader, writer = await server.connect()
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
        answered = await told(reader)
        assert answered.startswith(b"HTTP/1.1 200 OK"), answered
        assert b"HTTP/1.1 408" in answered
        writer.close()


async def test_who_does_not_read_an_answer_is_cut_off_and_memory_stays_flat(start: Start) -> None:
    """20 answers of 32 MB each would be 640 MB. One part of 1 MB is held for each: 20 MB and the buffers."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with start(send_timeout=0.5) as server:
        writers = []
        for _ in range(20):
            reader, writer = await server.connect()
            reading = reader._transport  # type: ignore[attr-defined]
            reading.pause_reading()
            writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            writers.append(writer)
        async with asyncio.timeout(PATIENCE):
            while not server.connections:
                await asyncio.sleep(0.01)
        await server.all_gone()
        for writer in writers:
            writer.transport.abort()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 200, f"{grown:.0f} MB"


async def test_who_reads_slowly_but_steadily_gets_all(start: Start) -> None:
    """32 MB at 8 MB a second or less, with 2 s for a part of it."""
    async with start(send_timeout=2) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=MEGABYTE)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        size = 0
        async with asyncio.timeout(PATIENCE):
            while part := await reader.read(MEGABYTE):
                size += len(part)
                await asyncio.sleep(len(part) / MEGABYTE / 8)
        assert size > 32 * MEGABYTE
        writer.close()


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\nx: " + b"v" * 2_000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"x: v\r\n" * 20_000],
    ids=["bytes", "fields"],
)
async def test_settings_say_how_large_a_head_may_be(start: Start, head: bytes) -> None:
    async with start(largest_head=1_024, most_headers=20) as server:
        reader, writer = await server.connect()
        writer.write(head)
        refused = await told(reader)
        assert refused == b"" or refused.startswith(b"HTTP/1.1 431"), refused[:100]
        writer.close()
        reader, writer = await server.connect()
        writer.write(b"GET / HTTP/1.1\r\n" + b"x: v\r\n" * 21 + b"\r\n")
        refused = await told(reader)
        assert b"may have 1,024 bytes and 20 fields" in refused
        writer.close()


async def test_one_connection_too_many_ends_the_one_that_is_idle_the_longest(start: Start) -> None:
    async with start(most_connections=3) as server:
        connected = [await server.connect() for _ in range(3)]
        for reader, writer in connected:
            writer.write(HEAD + b"\r\n")
            await reader.readuntil(b"127.0.0.1")
        reader, writer = await server.connect()
        writer.write(HEAD + b"\r\n")
        assert b"200 OK" in await reader.readuntil(b"127.0.0.1")
        assert await told(connected[0][0]) == b""
        for _, one in [*connected, (reader, writer)]:
            one.close()


async def test_one_connection_too_many_is_answered_with_503_if_none_is_idle(start: Start) -> None:
    released.clear()
    async with start(most_connections=2) as server:
        busy = [await server.connect() for _ in range(2)]
        for _, writer in busy:
            writer.write(b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            while len(held) < 2:
                await asyncio.sleep(0.01)
        reader, writer = await server.connect()
        refusal = await told(reader)
        released.set()
        assert refusal.startswith(b"HTTP/1.1 503 Service Unavailable\r\n"), refusal
        assert b"retry-after: 1" in refusal.lower()
        for reader, _ in busy:
            assert b"200 OK" in await told(reader)
        for _, one in [*busy, (reader, writer)]:
            one.close()


async def test_pipelined_requests_are_answered_in_order_and_too_many_end_the_connection(start: Start) -> None:
    async with start() as server:
        reader, writer = await server.connect()
        few = b"".join(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (n, b"b" * n)
            for n in range(1, 21)
        )
        writer.write(few + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = (await told(reader)).split(b"HTTP/1.1 200 OK")[1:]
        assert [int(one.split(b"\r\n\r\n")[1].split()[0]) for one in answers] == [*range(1, 21), 0]
        writer.close()

        reader, writer = await server.connect()
        writer.write((HEAD + b"\r\n") * 20_000)
        assert (await told(reader)).count(b"200 OK") <= MOST_PIPELINED + 1
        writer.close()
        await server.all_gone()


@pytest.mark.parametrize("path", ["/watched", "/held"])
@pytest.mark.parametrize("ahead", [0, 1, 3])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_client_that_leaves_is_noticed_whatever_it_sent_ahead(
    start: Start,
    loop: Callable[[], asyncio.AbstractEventLoop],
    ahead: int,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Work that looks after its client ends; an answer that nobody waits for is sent nowhere, and that is no error. What was sent
    ahead is never begun."""
    monkeypatch.setattr(f"{__name__}.released", asyncio.Event())  # of this loop
    begun = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    async def leave() -> None:
        async with start() as server:
            _, writer = await server.connect()
            writer.write(begun * (1 + ahead))
            async with asyncio.timeout(PATIENCE):
                while not held:
                    await asyncio.sleep(0.01)
                writer.transport.abort()
                if path == "/watched":
                    while held:
                        await asyncio.sleep(0.01)
            await server.all_gone()
            assert len(held) == (path == "/held")
            released.set()
            await server.all_answered()
            assert held == []

    with caplog.at_level(logging.WARNING), asyncio.Runner(loop_factory=loop) as runner:
        runner.run(leave())
    assert caplog.messages == []


async def test_200_slow_clients_hold_little_memory_and_others_are_answered(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sends the head of a body of 1 MB and 60 KB of it. Uvicorn takes 64 KB and stops reading: 13 MB for all. Beside them
    a request is answered at once. Then the loop's clock goes past their time."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loop = asyncio.get_running_loop()
    async with start(body_timeout=PATIENCE) as server:
        slow = [await server.connect() for _ in range(200)]
        for _, writer in slow:
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"b" * 60_000)
        await asyncio.sleep(0.2)
        reader, writer = await server.connect()
        writer.write(HEAD + b"Connection: close\r\n\r\n")
        assert b"200 OK" in await told(reader)
        assert server.connections >= 200, "nobody had to go for it"
        clock = loop.time
        monkeypatch.setattr(loop, "time", lambda: clock() + PATIENCE)
        for slow_reader, _ in slow:
            assert (await told(slow_reader)).startswith(b"HTTP/1.1 408")
        for _, one in [*slow, (reader, writer)]:
            one.close()
        await server.all_gone()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 100, f"{grown:.0f} MB"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        (("127.0.0.1",), "203.0.113.7", "203.0.113.7"),
        (("127.0.0.1",), "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        (("127.0.0.0/8", "10.0.0.0/8"), "203.0.113.7, 10.1.1.1", "203.0.113.7"),
        (("10.0.0.0/8",), "203.0.113.7", "127.0.0.1"),
        ((), "203.0.113.7", "127.0.0.1"),
    ],
)
async def test_the_address_of_a_client_is_the_last_one_that_a_trusted_proxy_has_seen(
    start: Start, proxies: tuple[str, ...], forwarded: str, client: str
) -> None:
    """What a client itself writes into the header stands before it, and is not believed."""
    async with start(trusted_proxies=proxies) as server:
        reader, writer = await server.connect()
        writer.write(HEAD + f"X-Forwarded-For: {forwarded}\r\nConnection: close\r\n\r\n".encode())
        assert (await told(reader)).endswith(f"0 {client}".encode())
        writer.close()
