"""Heads of requests over a real socket, as long and as broken as somebody sends them."""

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.http.head_limits import ConnectionLimits
from gateway.server import _config, listen
from gateway.settings import Settings

_LIMITS = ConnectionLimits()
MOST_BYTES, MOST_FIELDS = _LIMITS.largest_head, _LIMITS.most_headers


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what came: fields, length of the path and of the body."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    request = Request(scope, receive)
    body = await request.body()
    answer: Response = PlainTextResponse(f"{len(scope['headers'])} {len(scope['raw_path'])} {len(body)}")
    await answer(scope, receive, send)


@pytest.fixture
async def port(settings: Settings) -> AsyncIterator[int]:
    """Of a server that is set up as Cohort's, with an application that does nothing."""
    with listen("127.0.0.1", 0) as listening:
        server = uvicorn.Server(_config(settings, echo))
        task = asyncio.create_task(server.serve([listening.socket]))
        async with asyncio.timeout(60):
            while not server.started:
                await asyncio.sleep(0.01)
        yield listening.socket.getsockname()[1]
        server.should_exit = True
        await task


async def sent(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that is answered until the server closes, read while it is sent: what is sent to who has closed undoes what was
    not read yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = bytearray()

    async def read() -> None:
        with contextlib.suppress(ConnectionError):
            while more := await reader.read(65_536):
                answer.extend(more)

    async with asyncio.timeout(60):
        reading = asyncio.create_task(read())
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
        await reading
    writer.close()
    return bytes(answer)


def fields(count: int, size: int = 1) -> bytes:
    return b"".join(b"x-%d: %s\r\n" % (n, b"v" * size) for n in range(count))


LAST = b"Connection: close\r\n\r\n"


async def test_what_is_within_the_bounds_is_answered(port: int) -> None:
    """With the host and the last field there are two more. A cookie of 60 KB is one, and so is a long URL."""
    start = b"GET / HTTP/1.1\r\nHost: x\r\n"
    for head, told in (
        (start + fields(MOST_FIELDS - 2), b"100 1 0"),
        (start + fields(1, 60_000), b"3 1 0"),
        (b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n", b"2 60001 0"),
    ):
        for pause, parts in ((0.0, [head + LAST]), (0.01, [head[:7], head[7:40_000], head[40_000:], LAST])):
            answer = await sent(port, *parts, pause=pause)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert answer.endswith(told)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + fields(MOST_FIELDS + 1),
        b"GET / HTTP/1.1\r\n" + fields(99, 700),
        b"GET / HTTP/1.1\r\n" + fields(1, MOST_BYTES),
        b"GET /" + b"a" * MOST_BYTES + b" HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n" + b"x" * MOST_BYTES + b": 1\r\n",
    ],
    ids=["fields", "together", "value", "url", "name"],
)
async def test_a_head_that_is_too_large_is_answered_with_431(port: int, head: bytes) -> None:
    thirds = [head[: len(head) // 3], head[len(head) // 3 : -1], head[-1:]]
    for pause, parts in ((0.0, [head + LAST]), (0.01, [*thirds, LAST])):
        answer = await sent(port, *parts, pause=pause)
        assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n"), answer[:200]
        assert b'"code":"REQUEST_HEADER_FIELDS_TOO_LARGE"' in answer
        assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nx: ",
        b"GET / HTTP/1.1\r\nx",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: ",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;x=",
    ],
    ids=["url", "value", "name", "trailer", "chunk extension"],
)
async def test_a_head_without_an_end_is_not_held(port: int, start: bytes) -> None:
    """64 MB in pieces of 64 KB: the server closes after the second or third, and holds no more."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start)
    await writer.drain()
    await asyncio.sleep(0.05)
    tracemalloc.start()
    taken = 0
    try:
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):
                writer.write(b"a" * 65_536)
                await writer.drain()
                taken += 65_536
                await asyncio.sleep(0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        writer.close()
    assert taken < 16 * 1024 * 1024, "what the sockets' buffers take, and not 64 MB"
    assert peak < 8 * 1024 * 1024


async def test_endless_small_fields_behind_a_body_end(port: int) -> None:
    start = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
    answer = await sent(port, start, *(fields(50) for _ in range(10)), pause=0.01)
    assert b"200" not in answer.split(b"\r\n")[0]


async def test_bodies_and_many_requests_of_a_connection_are_no_heads(port: int) -> None:
    """3 requests with a body of 300 KB each, cut anywhere: a part of 64 KB ends a body and begins a head."""
    body = b"b" * 300_000
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n" + fields(20, 1_000)
    stream = request + b"\r\n" + body + request + b"\r\n" + body + request + LAST + body
    for size in (65_536, 100_000, 7_777):
        parts = [stream[at : at + size] for at in range(0, len(stream), size)]
        answer = await sent(port, *parts)
        assert answer.count(b"HTTP/1.1 200") == 3, size
        assert answer.count(b" 1 300000") == 3


async def test_what_is_no_http_is_a_400_as_ever(port: int) -> None:
    assert (await sent(port, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400")


def test_the_server_is_set_up_with_it(settings: Settings) -> None:
    config: Any = _config(settings, echo)
    config.load()
    assert config.http_protocol_class.func.__name__ == "BoundedConnection"
