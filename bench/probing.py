"""How long ``/health/live`` waits beside the heaviest requests: ``python -m bench.probing``.

A server as Cohort serves it, in a process of its own, with the data of bench/holding.py. Clients send the same document again and
again; a probe in a process of its own asks for ``/health/live`` a hundred times a second. Told are the probe's middle, its 99th
of 100, and its longest answer, beside each document and beside all of them.
"""

import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import orjson
from graphql import get_introspection_query
from rich.console import Console
from rich.table import Table

from bench.abuse import answered
from bench.client import KEY
from bench.holding import SIZE, fill_group, heavy
from bench.servers import BIN, request
from gateway.identity import make_token
from gateway.settings import load_settings
from rules.viewers import Role
from tests.conftest import embedded_urls, instance_of
from tests.graph.test_big_learners import LONG, fill

PORT = 18_700
SECONDS, EVERY = 4.0, 0.01
"""For each document, and from one question of the probe to the next."""
CLIENTS = 4
"""Connections that send the same document: so many of its answers are under way at a time."""
FIELDS = 498
DEEP = 10_000


@dataclass(frozen=True)
class Sent:
    """What clients send beside the probe."""

    what: str
    bytes_: bytes


def _post(user: str, query: str, variables: object = None) -> bytes:
    settings = load_settings(jwt_key=KEY)
    token = make_token(settings, user, [Role.LEARNER], timedelta(hours=1))
    return request("/graphql", token, orjson.dumps({"query": query, "variables": variables}))


def documents() -> Iterator[Sent]:
    """Those of bench/holding.py, and what a stranger may send."""
    yield Sent("nothing", b"")
    for one in heavy():
        yield Sent(one.what, _post(one.user, one.query, one.variables))
    yield Sent("the whole schema", _post(LONG, get_introspection_query()))
    aliases = " ".join(f"a{number}: __schema {{ types {{ name }} }}" for number in range(45))
    yield Sent("the schema under 45 aliases", _post(LONG, f"{{ {aliases} }}"))
    yield Sent(f"{FIELDS} equal fields", _post(LONG, "{ me { " + "userId " * FIELDS + "} }"))
    nested = b'{"query": "{ me { userId } }", "variables": {"a": ' + b"[" * DEEP + b"]" * DEEP + b"}}"
    head = _post(LONG, "").partition(b"Content-Length: ")[0]
    yield Sent("nested JSON", head + b"Content-Length: %d\r\n\r\n" % len(nested) + nested)


async def send_again_and_again(sent: bytes) -> None:
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            try:
                while True:
                    writer.write(sent)
                    await answered(reader)
            finally:
                writer.close()


async def beside(sent: Sequence[Sent]) -> list[float]:
    """What the probe, in a process of its own, waited beside these."""
    clients = [
        asyncio.create_task(send_again_and_again(one.bytes_))
        for one in sent
        if one.bytes_
        for _ in range(CLIENTS)
    ]
    try:
        await asyncio.sleep(0.5)
        command = (sys.executable, "-m", "bench.probe", f"{PORT}", f"{SECONDS}", f"{EVERY}")
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
        waited: list[float] = orjson.loads(told)
        return waited
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def main() -> None:
    table = Table("beside", "questions", "p50, ms", "p99, ms", "longest, ms")
    table.title = f"/health/live, beside {CLIENTS} clients of the same document"
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        async with instance_of(embedded_urls(), data) as instance:
            await fill(instance, SIZE)
            await fill_group(instance)
        told = {
            **embedded_urls(),
            "data": f"{data}",
            "jwt_key": KEY,
            "log_level": "error",
            "rate_points": "0",
        }
        environment = os.environ | {f"COHORT_{name.upper()}": value for name, value in told.items()}
        command = (str(BIN / "cohort"), "serve", "--port", f"{PORT}")
        server = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            await until_it_lives()
            every = [*documents()]
            for what, sent in (*((one.what, [one]) for one in every), ("all of them", every)):
                waited = await beside(sent)
                quantiles = statistics.quantiles(waited * 2, n=100)  # of one answer, too
                figures = (f"{figure:.1f}" for figure in (quantiles[49], quantiles[98], max(waited)))
                table.add_row(what, f"{len(waited)}", *figures)
                print(f"{what}: {max(waited):.1f} ms", file=sys.stderr)
        finally:
            server.terminate()
            await server.wait()
    Console(width=120).print(table)


async def until_it_lives() -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(OSError):
                await asyncio.open_connection("127.0.0.1", PORT)
                return
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main())
