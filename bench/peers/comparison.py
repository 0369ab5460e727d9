"""Compares the servers in turns: ``python -m bench peers [ROUNDS]``.

Answers are compared with Cohort's field by field before anything is timed. Then each server answers both documents, one request at
a time and eight at a time, and all servers take turns, round by round: what else the machine does meets all of them.
"""

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from rich.console import Console
from rich.table import Table

from bench.client import KEY
from bench.peers.population import ACTIVITIES, ENROLLED, GROUP, MEMBERS, MENTOR, READER, filled
from bench.peers.servers import COHORT, Running, install, peers_of, running
from bench.timing import process_cpu
from gateway.identity import make_token
from gateway.settings import load_settings
from rules.viewers import Role
from tests.graph.conftest import document

LANES = (1, 8)
WARM_UP = 60
"""Requests that are not counted: node's compiler takes some."""
OK = 200
OWN = {"endCursor", "source", "asOf"}
"""What each server says in its own way: a cursor, where figures came from and when."""
MOMENTS = {"enrolledOn", "completedOn", "lastAccessedOn", "lastUpdatedOn", "startDate", "endDate"}


@dataclass(frozen=True)
class Document:
    """``count``: requests a round. The kernel counts CPU by ticks of 10 ms, which are then 0.025 ms of a list and 0.6 of a page."""

    name: str
    text: str
    variables: dict[str, Any]
    user: str
    role: Role
    count: int

    def body(self) -> bytes:
        return orjson.dumps({"query": self.text, "variables": self.variables})


DOCUMENTS = (
    Document(
        f"list of {ENROLLED} enrolments",
        document("my_courses"),
        {"first": ENROLLED},
        READER,
        Role.LEARNER,
        400,
    ),
    Document(
        f"group page of {MEMBERS} × {ACTIVITIES}",
        document("group_page"),
        {"group": GROUP},
        MENTOR,
        Role.MENTOR,
        16,
    ),
)


class Took(NamedTuple):
    """Of a request: milliseconds of the clock (the median), CPU milliseconds of the server; requests a second."""

    wall: float
    cpu: float
    rate: float


class Unequal(Exception):
    """Two servers answered differently."""


async def main(rounds: str = "7") -> None:
    install()
    console = Console(width=150)
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ready = await stack.enter_async_context(filled(data))
        peers = [await stack.enter_async_context(running(peer)) for peer in peers_of(ready.cohort)]
        for asked in DOCUMENTS:
            await compare(peers, asked)
            console.print(f"{asked.name}: {len(peers)} servers answer alike")
            taken = await in_turns(peers, asked, int(rounds))
            console.print(told(asked, taken))


async def compare(peers: list[Running], asked: Document) -> None:
    """Unequal where a server answers otherwise than Cohort."""
    expected, *others = [orjson.loads(await _answer(peer, asked)) for peer in peers]
    for peer, found in zip(peers[1:], others, strict=True):
        for path, mine, theirs in differences(expected["data"], found["data"]):
            raise Unequal(f"{asked.name}: {path} is {theirs!r} at {peer.name}, {mine!r} at {COHORT}")


def differences(mine: Any, theirs: Any, path: str = "data") -> Iterator[tuple[str, Any, Any]]:
    """Where two answers differ. Moments are compared as such: some write them without milliseconds or zone."""
    name = path.rpartition(".")[2]
    if isinstance(mine, dict) and isinstance(theirs, dict):
        if mine.keys() != theirs.keys():
            yield path, sorted(mine), sorted(theirs)
        for key in mine.keys() & theirs.keys() - OWN:
            yield from differences(mine[key], theirs[key], f"{path}.{key}")
    elif isinstance(mine, list) and isinstance(theirs, list):
        if len(mine) != len(theirs):
            yield path, len(mine), len(theirs)
        for number, (one, other) in enumerate(zip(mine, theirs, strict=False)):
            yield from differences(one, other, f"{path}.{number}")
    elif name in MOMENTS and mine is not None and theirs is not None:
        if _moment(mine) != _moment(theirs):
            yield path, mine, theirs
    elif mine != theirs:
        yield path, mine, theirs


def _moment(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


async def in_turns(peers: list[Running], asked: Document, rounds: int) -> dict[tuple[str, int], Took]:
    """By server and lanes. The median of the rounds, so that one round beside other work says nothing."""
    for peer in peers:
        await _timed(peer, asked, LANES[-1], WARM_UP)
    rounds_of: dict[tuple[str, int], list[Took]] = defaultdict(list)
    for number in range(rounds):
        for peer in peers if number % 2 else reversed(peers):
            # Not counted: Cohort keeps contents and contexts for five seconds, its peers for good. While the others had their turns these
            # have ended, and in turns of half a second it would count ten times that they are read anew.
            await _timed(peer, asked, 1, 1)
            for lanes in LANES:
                rounds_of[peer.name, lanes].append(await _timed(peer, asked, lanes, asked.count))
    return {
        key: Took(*(statistics.median(each) for each in zip(*taken, strict=True)))
        for key, taken in rounds_of.items()
    }


async def _timed(peer: Running, asked: Document, lanes: int, count: int) -> Took:
    left = iter(range(count))
    request, walls = _request(peer, asked), []

    async def lane() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.peer.port)
        for _ in left:
            began = time.perf_counter()
            writer.write(request)
            await _body(reader)
            walls.append(time.perf_counter() - began)
        writer.close()

    cpu, began = process_cpu(peer.pid), time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(lanes)))
    took = time.perf_counter() - began
    return Took(statistics.median(walls) * 1000, (process_cpu(peer.pid) - cpu) * 1000 / count, count / took)


async def _answer(peer: Running, asked: Document) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.peer.port)
    writer.write(_request(peer, asked))
    answer = await _body(reader)
    writer.close()
    if b'"errors"' in answer:
        raise RuntimeError(f"{peer.name}: {answer[:1000]!r}")
    return answer


def _request(peer: Running, asked: Document) -> bytes:
    """Cohort gets a token and checks it; its peers believe a header."""
    if peer.name == COHORT:
        token = make_token(load_settings(jwt_key=KEY), asked.user, [asked.role], timedelta(hours=1))
        who = f"Authorization: Bearer {token}"
    else:
        who = f"X-User: {asked.user}"
    body = asked.body()
    head = f"POST {peer.peer.path} HTTP/1.1\r\nHost: localhost\r\n{who}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _body(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    if int(head.split(b" ", 2)[1]) != OK:
        raise RuntimeError(f"{head!r}")
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")), None)
    if length is not None:
        return await reader.readexactly(length)
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


def told(asked: Document, taken: dict[tuple[str, int], Took]) -> Table:
    columns = [f"{what}, {lanes} at once" for lanes in LANES for what in ("CPU, ms", "p50, ms", "a second")]
    table = Table("server", *columns, "CPU to Cohort's, 1 and 8", title=asked.name)
    for name in sorted({name for name, _ in taken}, key=lambda name: taken[name, 1].cpu):
        cells = [
            cell
            for lanes in LANES
            for took in [taken[name, lanes]]
            for cell in (f"{took.cpu:.1f}", f"{took.wall:.1f}", f"{took.rate:.0f}")
        ]
        ratios = [f"{taken[name, lanes].cpu / taken[COHORT, lanes].cpu:.2f}" for lanes in LANES]
        table.add_row(name, *cells, ", ".join(ratios))
    return table
