"""Measures what the servers of ``cohort stack up`` take for one thing: ``python -m bench scale costs``. CPU of their processes, as the
kernel counts it, less what they take while nobody asks. Statements, events and calls go in turns: a server's compiler, or whoever else uses
it, would spoil a single round."""

import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from bench.groups import gateway
from bench.peers.population import GROUP, MEMBERS, MENTOR, filled
from bench.population import Population, activity_id, states_of
from bench.timing import process_cpu
from druid_specs import ACTIVITY_STATE
from rules.learners import Learner
from rules.states import encode_state
from stack.stack import Stack
from stores.backoff import patiently
from stores.events import Message
from stores.groups import Figures, Kind, Lane, Measure
from stores.rows import In, Write
from stores.tables import ENROLMENTS, VIEWS
from stores.topics import STATES, TRIGGERS
from tests.conftest import Instance
from tests.graph.conftest import document

TIMES, AT_ONCE, ROUNDS = 4_000, 32, 7
LEARNERS, ACTIVITIES = 5_000, 10
"""Of the states that Druid takes in."""
ENROLLED = 11
"""Rows of a partition that is read: a learner's page of ten enrolments, and whether there are more."""
PAGES = 30
QUIET = 10.0
"""Seconds in which it is seen what servers take while nobody asks."""
PATIENCE = 300.0
DRUID = ("druid-coordinator", "druid-historical", "druid-broker", "druid-indexer")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
Work = Callable[[int], Awaitable[object]]


class Servers:
    """The CPU of the stack's processes."""

    def __init__(self) -> None:
        stack = Stack(Path(os.environ.get("COHORT_STACK_DIR", ".stack")))
        self._pids = {one.server.name: one.pid for one in stack.status() if one.pid is not None}
        self._idle: dict[str, float] = {}

    async def watch_quiet(self) -> None:
        """Notes what each takes in a second while nobody asks."""
        before = {name: self._cpu(name) for name in self._pids}
        await asyncio.sleep(QUIET)
        self._idle = {name: (self._cpu(name) - cpu) / QUIET for name, cpu in before.items()}

    async def taken(self, names: Sequence[str], work: Callable[[], Awaitable[object]]) -> float:
        """Seconds of CPU that the servers take for the work."""
        before, began = sum(map(self._cpu, names)), time.monotonic()
        await work()
        idle = sum(self._idle[name] for name in names) * (time.monotonic() - began)
        return sum(map(self._cpu, names)) - before - idle

    def _cpu(self, name: str) -> float:
        return process_cpu(self._pids[name])


async def main() -> None:
    servers = Servers()
    table = Table("one", "ms of CPU: minimum", "median", "of", title="What servers take")
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ready = await stack.enter_async_context(filled(data))
        await servers.watch_quiet()
        works = _works(ready.cohort)
        for _, _, work in works:
            await _side_by_side(work, TIMES // 4)  # the server's compiler has seen it
        rounds: dict[str, list[float]] = defaultdict(list)
        for _ in range(ROUNDS):
            for what, name, work in works:
                taken = await servers.taken([name], partial(_side_by_side, work, TIMES))
                rounds[what].append(taken * 1000 / TIMES)
        for what, name, _ in works:
            table.add_row(what, f"{min(rounds[what]):.3f}", f"{statistics.median(rounds[what]):.3f}", name)
        taken = await servers.taken(DRUID, lambda: _send_states(ready.cohort))
        table.add_row("state", "", f"{taken * 1000 / (LEARNERS * ACTIVITIES):.3f}", "Druid")
        async with gateway(ready.cohort.urls, data, ttl=0) as asked:
            body = orjson.dumps({"query": document("group_page"), "variables": {"group": GROUP}})

            async def pages() -> None:
                for _ in range(PAGES):
                    await asked.mentor.post(MENTOR, body)

            await pages()
            each = [await servers.taken(DRUID, pages) * 1000 / PAGES for _ in range(3)]
            table.add_row(
                "group page of 150 × 20", f"{min(each):.1f}", f"{statistics.median(each):.1f}", "Druid"
            )
    Console().print(table)


def _works(cohort: Instance) -> list[tuple[str, str, Work]]:
    rows, events, cache = cohort.stores.rows, cohort.stores.events, cohort.stores.cache
    values = {"status": 1, "progress": 40, "last_access_time": AT, "last_updated_time": AT}
    enrolled_in_all = [learner.user_id for learner in Population(0).learners()[:MEMBERS]]

    def place(number: int) -> tuple[str, str, str, str, str]:
        return f"scale-{number % 997}", "scale", "scale", "scale-batch", f"leaf-{number}"

    async def enrolled(number: int) -> None:
        await rows.partition(ENROLMENTS, (enrolled_in_all[number % MEMBERS],), limit=ENROLLED)

    async def write(number: int) -> None:
        await rows.write(Write(VIEWS, place(number), values))

    async def insert(number: int) -> None:
        key = (f"scale-lwt-{time.monotonic_ns()}", *place(number)[1:])
        await rows.insert_if_absent(VIEWS, {**VIEWS.named(key), **values})

    async def update(number: int) -> None:
        await rows.update_if(VIEWS, place(number), {**values, "progress": 41}, [In("status", (0, 1))])

    async def send(number: int) -> None:
        await events.send(TRIGGERS.name, Message(f"scale-{number}", b"{}" * 100))

    async def raise_fields(number: int) -> None:
        await cache.raise_fields(f"scale:{number % 97}", {f"c:{number}": b"1" * 34}, 60.0)

    return [
        ("partition read", "cassandra", enrolled),
        ("row written", "cassandra", write),
        ("conditional insert", "cassandra", insert),
        ("conditional update", "cassandra", update),
        ("event", "kafka", send),
        ("round trip of the cache", "valkey", raise_fields),
    ]


async def _side_by_side(work: Work, count: int) -> None:
    numbers, never = iter(range(count)), asyncio.Event()

    async def lane() -> None:
        for number in numbers:
            await patiently(partial(work, number), never)

    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))


async def _send_states(cohort: Instance) -> None:
    """Returns once Druid has them."""
    learners = [Learner(f"scale-{number}", f"Learner {number}", {}, AT) for number in range(LEARNERS)]
    numbers = range(1_000, 1_000 + ACTIVITIES)
    for number in numbers:
        messages = [Message(state.key, encode_state(state)) for state in states_of(number, learners)]
        await cohort.stores.events.send(STATES.name, *messages)
    keys = (("activity_id", tuple(activity_id(number) for number in numbers)),)
    query = Figures(ACTIVITY_STATE, (), (Measure("n", Kind.COUNT),), keys=keys)
    async with asyncio.timeout(PATIENCE):
        while [*map(tuple, (await cohort.stores.groups.query(query, Lane.TABLES)).rows)] != [
            (LEARNERS * ACTIVITIES,)
        ]:
            await asyncio.sleep(2)
