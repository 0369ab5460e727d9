"""What one client may do to another: ``python -m bench abuse [embedded|redis]``.

A server as Cohort serves it, in a process of its own, with the sample. One good client asks for its course page at a steady
pace, whether or not answers come: first alone, then beside a client that asks for ten times what its rate allows, then beside
documents that are refused for their size, sent by nobody in particular. Then what all limits together cost a small query.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
from rich.console import Console
from rich.table import Table

from bench.client import KEY, Client
from bench.pages import sample
from bench.servers import BIN, request, until_ready
from gateway.app import create_app
from gateway.gc_tuning import collect_rarely
from gateway.http.admission import Admission
from gateway.identity import make_token
from gateway.settings import Settings, load_settings
from graph.documents.known_documents import KnownDocuments
from ingest.importers.sample import FIRST_LEARNER, SAMPLE_COLLECTION, SAMPLE_CONTEXT
from rules.viewers import Role
from stores.bills import Bill
from tests.conftest import REDIS, embedded_urls
from tests.graph.conftest import document

PORT = 18_600
RATE = 600
"""Points a minute of a user, and half of it for an address: little, so that ten times as much is no more than a client on the same
two cores can send."""
TIMES = 10
"""How often its rate the abusive client asks for."""
SECONDS, WARM_UP = 90.0, 2.0
PACE = 8.0
"""Requests a second of the good client: within its rate, and enough of them that a p99 is more than the worst one."""
FLOOD = 30.0
"""Documents a second that are refused for their size."""
LANES = 8
TOO_MANY = 429
ROUNDS, A_ROUND = 15, 200
"""Of the small query, in turns with and without limits."""
SMALL = "{ me { userId } }"


@dataclass
class Seen:
    """The answers that one client got: their statuses, and the milliseconds from when each was due."""

    statuses: Counter[int] = field(default_factory=Counter)
    waited: list[float] = field(default_factory=list)

    def share(self, part: float) -> float:
        return statistics.quantiles(self.waited, n=1000)[round(part * 1000) - 1]


@dataclass(frozen=True)
class Load:
    """A client that sends the same at an even pace over some connections."""

    sent: bytes
    pace: float
    lanes: int = LANES

    async def run(self, seconds: float) -> Seen:
        seen, began = Seen(), time.perf_counter()
        due = iter([began + number / self.pace for number in range(int(seconds * self.pace))])

        async def lane() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            for moment in due:
                if time.perf_counter() > began + seconds:
                    break  # the server is slower than the pace
                await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                writer.write(self.sent)
                seen.statuses[await answered(reader)] += 1
                seen.waited.append((time.perf_counter() - moment) * 1000)
            writer.close()

        await asyncio.gather(*(lane() for _ in range(self.lanes)))
        return seen


async def answered(reader: asyncio.StreamReader) -> int:
    """The status of the next answer, which is read to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


def page() -> bytes:
    variables = {"collection": SAMPLE_COLLECTION, "context": SAMPLE_CONTEXT}
    return orjson.dumps({"query": document("course_page"), "variables": variables})


async def points_of(token: str) -> int:
    """What a page really costs, as the server tells it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    told = 0
    for _ in range(2):  # the first one reads what is kept from then on
        writer.write(request("/graphql", token, page()))
        head = await reader.readuntil(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line)
        await reader.readexactly(int(lines[b"content-length"]))
        told = int(lines[b"x-cost"].rpartition(b"=")[2])
    writer.close()
    return told


async def beside(settings: Settings) -> Table:
    """The good client alone, and beside each of the others."""
    good, bad = (
        make_token(settings, user, [Role.LEARNER], timedelta(hours=1))
        for user in (FIRST_LEARNER, "learner-2")
    )
    price = await points_of(good)
    steady = Load(request("/graphql", good, page()), PACE)
    abusive = Load(request("/graphql", bad, page()), TIMES * RATE / 60 / price)
    large = orjson.dumps({"query": "{" + " ".join(f"a{n}: __typename" for n in range(1_500)) + "}"})
    unknown = request("/graphql", "x", large).replace(b"Authorization: Bearer x\r\n", b"")
    flood = Load(unknown, FLOOD)
    await asyncio.gather(steady.run(WARM_UP), Load(abusive.sent, 5.0).run(WARM_UP))
    alone = await steady.run(SECONDS)
    table = Table("beside the good client", "p50, ms", "p99, ms", "ratio of p99", "others: answers a second")
    table.title = f"{PACE:g} course pages a second ({price} points each); {RATE:,} points a minute"
    table.add_row("nobody", f"{alone.share(0.5):.1f}", f"{alone.share(0.99):.1f}", "", "")
    for name, other in (
        (f"a client at {TIMES} times its rate, {abusive.pace:.0f} pages a second", abusive),
        (f"{FLOOD:g} documents a second of {len(large) // 1000} KB, refused for their size", flood),
    ):
        # What it may have at once is had before: here it asks for more than it has.
        for _ in range(20):
            if TOO_MANY in (await other.run(1.0)).statuses:
                break
        seen, others = await asyncio.gather(steady.run(SECONDS), other.run(SECONDS))
        if set(seen.statuses) != {200}:
            raise RuntimeError(f"the good client was answered {seen.statuses}")
        told = ", ".join(
            f"{count / SECONDS:.0f} × {status}" for status, count in sorted(others.statuses.items())
        )
        ratio = seen.share(0.99) / alone.share(0.99)
        table.add_row(name, f"{seen.share(0.5):.1f}", f"{seen.share(0.99):.1f}", f"{ratio:.2f}", told)
    return table


@contextmanager
def without_limits(app: Any) -> Iterator[None]:
    """Within, documents are not measured, nothing is priced or taken, and nobody needs a slot."""

    class NoSlot:
        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None: ...

    rates, app.state.rates = app.state.rates, None
    with (
        patch("graph.documents.known_documents.excesses", lambda *_: ()),
        patch.object(KnownDocuments, "_refusals", lambda *_: []),
        patch.object(Bill, "expect", lambda *_, **__: None),
        patch.object(Admission, "slot", lambda *_: NoSlot()),
    ):
        yield
    app.state.rates = rates


@contextmanager
def without_rate(app: Any) -> Iterator[None]:
    rates, app.state.rates = app.state.rates, None
    yield
    app.state.rates = rates


@contextmanager
def as_it_is(_app: Any) -> Iterator[None]:
    yield


async def overhead(data: Path) -> Table:
    """CPU of a small query in this process with and without limits, in turns."""
    settings = load_settings(**embedded_urls(), data=data, jwt_key=KEY, rate_points=10**9)
    app = create_app(settings)
    number = 0

    async def same(client: Client) -> None:
        await client.post("ada", orjson.dumps({"query": SMALL}))

    async def new(client: Client) -> None:
        nonlocal number
        number += 1
        await client.post("ada", orjson.dumps({"query": f"query Q{number} {SMALL}"}))

    table = Table("a small query, CPU µs", "all limits", "without the rate", "without any", "limits cost")
    async with app.router.lifespan_context(app):
        collect_rarely()
        client = Client(app, settings)
        for name, ask in (("a document that is known", same), ("a new document each time", new)):
            taken = await in_turns(app, lambda ask=ask: ask(client))  # type: ignore[misc]
            every, no_rate, none = (statistics.median(one) for one in taken)
            table.add_row(name, f"{every:.0f}", f"{no_rate:.0f}", f"{none:.0f}", f"{every - none:.0f}")
    return table


async def in_turns(app: Any, ask: Callable[[], Awaitable[None]]) -> list[list[float]]:
    ways = (as_it_is, without_rate, without_limits)
    taken: list[list[float]] = [[] for _ in ways]
    for turn in range(ROUNDS + 1):
        for way, times in zip(ways, taken, strict=True):
            with way(app):
                began = time.process_time()
                for _ in range(A_ROUND):
                    await ask()
                if turn:  # the first one warms up
                    times.append((time.process_time() - began) * 1e6 / A_ROUND)
    return taken


async def main(cache: str = "embedded") -> None:
    console = Console(width=150)
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        async with sample("embedded", data):
            pass
        urls = embedded_urls() | ({"cache": REDIS} if cache == "redis" else {})
        limits = {"rate_points": f"{RATE}", "rate_points_anonymous": f"{RATE // 2}"}
        told = {**urls, **limits, "data": f"{data}", "jwt_key": KEY, "log_level": "error"}
        environment = os.environ | {f"COHORT_{name.upper()}": value for name, value in told.items()}
        command = (str(BIN / "cohort"), "serve", "--port", f"{PORT}")
        server = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            await until_ready(PORT)
            console.print(await beside(load_settings(jwt_key=KEY)))
        finally:
            server.terminate()
            await server.wait()
        console.print(await overhead(data))
