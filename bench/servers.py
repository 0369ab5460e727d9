"""What a request costs whatever it asks, served over HTTP, and HTTP servers compared: ``python -m bench.servers``. One process each, the
same requests, in turns."""

import asyncio
import os
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import orjson
from rich.console import Console
from rich.table import Table

from bench.timing import process_cpu

KEY = "k" * 48
PORT = 18_500
CONNECTIONS, REQUESTS, ROUNDS = 16, 2_000, 5
BIN = Path(sys.executable).parent

SERVERS: dict[str, Sequence[str]] = {
    "cohort serve": [str(BIN / "cohort"), "serve", "--port"],
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


class Taken(NamedTuple):
    """Of a request: seconds by the clock, and of the server's CPU."""

    clock: float
    cpu: float


async def taken(server: Process, port: int, sent: bytes, connections: int = CONNECTIONS) -> Taken:
    """What a request takes over kept connections."""
    left = iter(range(REQUESTS))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            writer.write(sent)
            status = await answer(reader)
            if status != 200:
                raise RuntimeError(f"the server answered {status}")
        writer.close()

    began, cpu = time.perf_counter(), cpu_of(server)
    await asyncio.gather(*(connection() for _ in range(connections)))
    clock = time.perf_counter() - began
    return Taken(clock / REQUESTS, (cpu_of(server) - cpu) / REQUESTS)


def cpu_of(server: Process) -> float:
    """Seconds of a server and its processes."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return sum(map(process_cpu, (server.pid, *map(int, children))))


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
        servers = []
        try:
            for port, command in enumerate(SERVERS.values(), PORT):
                server = await asyncio.create_subprocess_exec(*command, str(port), env=environment)
                servers.append(server)
                await until_ready(port)
                await taken(server, port, query)
            rounds = [
                [
                    (
                        await taken(server, port, live),
                        await taken(server, port, query),
                        await taken(server, port, query, 1),
                    )
                    for port, server in enumerate(servers, PORT)
                ]
                for _ in range(ROUNDS)
            ]
        finally:
            for server in servers:
                server.terminate()
                await server.wait()
    tell(rounds)


def tell(rounds: Sequence[Sequence[Sequence[Taken]]]) -> None:
    columns = [f"{what}, {CONNECTIONS} at once" for what in ("/health/live", "small query")] + [
        "small query, 1"
    ]
    table = Table("server", *columns, title="answers a second; µs of CPU of each, minimum and median")
    for number, name in enumerate(SERVERS):
        cells = []
        for column in range(len(columns)):
            found = [of_round[number][column] for of_round in rounds]
            cpu = [1e6 * one.cpu for one in found]
            cells.append(f"{1 / min(one.clock for one in found):,.0f}; {min(cpu):.0f}, {median(cpu):.0f}")
        table.add_row(name, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    asyncio.run(main())
