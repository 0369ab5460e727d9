"""Compares HTTP servers under the gateway: ``python -m bench.servers``. One process each, the same requests."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

KEY = "k" * 48
PORT = 18_500
CONNECTIONS, REQUESTS = 16, 4_000
BIN = Path(sys.executable).parent

SERVERS: dict[str, Sequence[str]] = {
    "uvicorn, uvloop, httptools": [
        *(str(BIN / "uvicorn"), "--factory", "gateway.app:app_of_process", "--no-access-log"),
        *("--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--port"),
    ],
    "granian, uvloop": [
        *(str(BIN / "granian"), "--factory", "gateway.app:app_of_process", "--interface", "asgi"),
        *("--loop", "uvloop", "--no-access-log", "--log-level", "warning", "--workers", "1", "--port"),
    ],
}


def request(path: str, token: str, body: bytes = b"") -> bytes:
    head = (
        f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    )
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


async def rate(port: int, sent: bytes) -> float:
    """Answers a second over kept connections."""
    left = iter(range(REQUESTS))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            writer.write(sent)
            status = await answer(reader)
            if status != 200:
                raise RuntimeError(f"the server answered {status}")
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return REQUESTS / (time.perf_counter() - began)


async def until_ready(port: int) -> None:
    for _ in range(300):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise RuntimeError("the server did not start")


async def main() -> None:
    table = Table(
        "server", "/health/live, a second", "small query, a second", title="one process, 16 connections"
    )
    with tempfile.TemporaryDirectory() as data:
        environment = os.environ | {"COHORT_DATA": data, "COHORT_JWT_KEY": KEY}
        cohort = str(BIN / "cohort")
        made = await asyncio.create_subprocess_exec(
            cohort, "token", env=environment, stdout=asyncio.subprocess.PIPE
        )
        token = (await made.communicate())[0].decode().strip()
        await (await asyncio.create_subprocess_exec(cohort, "init", env=environment)).wait()
        live = request("/health/live", token)
        query = request("/graphql", token, orjson.dumps({"query": "{ me { userId } }"}))
        for number, (name, command) in enumerate(SERVERS.items()):
            port = PORT + number
            server = await asyncio.create_subprocess_exec(*command, str(port), env=environment)
            try:
                await until_ready(port)
                await rate(port, query)
                table.add_row(name, f"{await rate(port, live):,.0f}", f"{await rate(port, query):,.0f}")
            finally:
                server.terminate()
                await server.wait()
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
