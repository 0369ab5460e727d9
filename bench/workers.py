"""The aggregation workers: ``python -m bench workers [real|embedded] [shapes|history|processes]``.

Shapes: triggers a second of the CPU of one worker's process, and by the clock. History: what a trigger costs of learners who have done
little else, and of those who have a long past: it is to follow the collection alone. Processes: the same triggers taken by one process and
by two, each with its own CPU, and by the clock from the first turn to the last one's end.
"""

import asyncio
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from bench.population import course, write_all
from gateway.gc_tuning import collect_rarely
from ingest.workers.worker import Worker
from loaders.session import Shared
from loaders.views import row_key, view_values
from rules.aggregates import COLLECTION_TYPE
from rules.errors import StoreUnavailable
from rules.identifiers import ViewKey
from rules.progress import Status
from rules.triggers import Trigger, TriggerKind
from rules.views import View
from stores.backoff import patiently
from stores.events import Consumer, Message
from stores.rows import Write
from stores.tables import AGGREGATES, ATTEMPTS, ENROLMENTS, LEARNER_SCOPES, VIEWS
from stores.topics import TRIGGERS
from tests.conftest import Instance, embedded_urls, instance_of, real_urls

COURSE, BATCH, LEAVES = "big", "batch", 200
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILLED = 100
"""Learners whose rows are written together before anything is measured."""
SHARED = 1_200
"""Learners whose triggers one process or two take, each with all LEAVES viewed."""
LIVED, PAST = 60, 20
"""Learners with a history; views and attempts of each of its collections."""
HISTORIES, ROUNDS = (0, 1, 10), 5
"""How many times such a past; how often a trigger is measured, of which the least counts."""


@dataclass(frozen=True)
class Shape:
    """``views`` of each learner, ``attempts`` at each of these contents, ``triggers`` of each in a row. ``again``: the figures are
    stored already, and one more leaf is viewed. ``history``: of each, how many times there is what ``past_writes`` gives, and how often
    their figures were computed and written before."""

    learners: int
    views: int
    triggers: int
    kind: TriggerKind = TriggerKind.VIEW
    attempts: int = 0
    again: bool = False
    history: int = 0

    @property
    def users(self) -> list[str]:
        return [
            f"{self.kind.value}-{self.views}-{self.triggers}-{self.attempts}-{self.history}-{n:05d}"
            for n in range(self.learners)
        ]

    def __str__(self) -> str:
        attempted = f", {self.attempts} attempts at each" if self.attempts else ""
        return f"{self.views} views{attempted}, {self.triggers} × {self.kind.value}{', again' * self.again}"


SHAPES = (
    Shape(2_000, 10, 1),
    Shape(500, 10, 10),
    Shape(600, LEAVES, 1),
    Shape(600, LEAVES, 1, again=True),
    Shape(200, LEAVES, 10),
    Shape(600, 10, 1, attempts=3),
    Shape(600, 10, 1, TriggerKind.ATTEMPT, attempts=3),
)


@dataclass
class Turn:
    """``began`` and ``ended`` by the clock that all processes of the machine share."""

    records: int
    cpu: float
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class TimedWorker(Worker):
    """Notes what each turn that had records took."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self.turns: list[Turn] = []

    async def turn(self, consumer: Consumer) -> None:
        before, cpu, began = self.processed, time.process_time(), time.monotonic()
        await super().turn(consumer)
        if records := self.processed - before:
            self.turns.append(Turn(records, time.process_time() - cpu, began, time.monotonic()))


def view_writes(user: str, leaves: range, accessed: datetime = AT) -> Iterator[Write]:
    """What calls leave of completed views."""
    for leaf in leaves:
        key = ViewKey(user, COURSE, BATCH, f"{COURSE}-leaf-{leaf}")
        ended = View(
            *(key, Status.COMPLETED, 100),
            started_on=AT,
            last_accessed_on=accessed,
            last_updated_on=accessed,
            completed_on=AT,
        )
        yield Write(VIEWS, row_key(key), {**view_values(ended), "changed_at": int(accessed.timestamp())})
    yield Write(LEARNER_SCOPES, (user, COURSE, BATCH), {"scope": COURSE})


def attempt_writes(user: str, leaves: range, times: int) -> Iterator[Write]:
    """Attempts in their slim form, which is all that the workers read."""
    values = {"total_score": 1.0, "total_max_score": 2.0, "last_attempted_on": AT, "updated_on": AT}
    for leaf in leaves:
        for number in range(times):
            yield Write(ATTEMPTS, (user, COURSE, BATCH, f"{COURSE}-leaf-{leaf}", f"{number}"), values)


def past_writes(user: str, number: int) -> Iterator[Write]:
    """What is left of another collection that the learner once took: views, attempts, an enrolment, figures. And views of this collection that
    were deleted: their tombstones are in the partition that is read."""
    other, context = f"past-{number}", f"past-batch-{number}"
    place = (user, other, context)
    for leaf in range(PAST):
        key = ViewKey(*place, f"{other}-leaf-{leaf}")
        ended = View(key, Status.COMPLETED, 100, started_on=AT, last_accessed_on=AT, completed_on=AT)
        yield Write(VIEWS, row_key(key), {**view_values(ended), "changed_at": 1})
        score = {"total_score": 1.0, "total_max_score": 2.0, "last_attempted_on": AT, "updated_on": AT}
        yield Write(ATTEMPTS, (user, other, context, key.content_id, "0"), score)
        deleted = ViewKey(user, COURSE, BATCH, f"{COURSE}-leaf-{leaf}-{number}")
        yield Write(VIEWS, row_key(deleted), {}, delete=True)
    yield Write(LEARNER_SCOPES, place, {"scope": other})
    yield Write(ENROLMENTS, place, {"active": True, "enrolled_on": AT, "changed_at": 1})
    figures = {"aggregates": {"completedCount": float(PAST)}, "status": 2, "version": 1}
    yield Write(AGGREGATES, (COLLECTION_TYPE, other, user, f"cb:{context}", other), figures, timestamp=1)


async def live(cohort: Instance, shape: Shape) -> None:
    """Gives the shape's learners their past, and their figures as many earlier versions."""
    await fill(cohort, replace(shape, again=False))
    for number in range(shape.history):
        writes = [write for user in shape.users for write in past_writes(user, number)]
        await patiently(partial(write_all, cohort, writes), asyncio.Event())
    for number in range(shape.history + 1):
        looked = AT + timedelta(seconds=number)
        writes = [write for user in shape.users for write in view_writes(user, range(1), looked)]
        await patiently(partial(write_all, cohort, writes), asyncio.Event())
        await taken(cohort, shape)


async def fill(cohort: Instance, shape: Shape) -> None:
    """Writes the rows of the shape's learners; of one that comes ``again``, a leaf that was looked at once more."""
    leaves = range(shape.views)
    for start in range(0, shape.learners, FILLED):
        users = shape.users[start : start + FILLED]
        if shape.again:
            later = AT.replace(hour=13)
            writes = [write for user in users for write in view_writes(user, leaves[:1], later)]
        else:
            writes = [write for user in users for write in view_writes(user, leaves)]
            writes += [write for user in users for write in attempt_writes(user, leaves, shape.attempts)]
        # Written again where a machine that has other work as well let them time out.
        await patiently(partial(write_all, cohort, writes), asyncio.Event())


def triggers_of(shape: Shape) -> list[Message]:
    content = f"{COURSE}-leaf-0" if shape.kind is TriggerKind.ATTEMPT else None
    return [
        Message(user, Trigger(shape.kind, user, COURSE, BATCH, content).encode())
        for user in shape.users
        for _ in range(shape.triggers)
    ]


async def taken(cohort: Instance, shape: Shape) -> list[Turn]:
    """What the worker's turns took of these triggers, all of which wait when it begins."""
    await cohort.stores.events.send(TRIGGERS.name, *triggers_of(shape))
    worker = TimedWorker(cohort.shared)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(600):
        # Not by the lag: who asks for that takes more CPU than the worker.
        while worker.processed < shape.learners * shape.triggers and not running.done():
            await asyncio.sleep(0.02)
    worker.stop()
    await running
    return worker.turns


async def shapes(cohort: Instance, engines: str) -> Table:
    await warm_up(cohort)
    table = Table(
        "one worker process", "of CPU, a second", "by the clock", "CPU, ms each", title=f"{engines} engines"
    )
    for shape in SHAPES:
        await fill(cohort, shape)
        turns = await taken(cohort, shape)
        records = sum(turn.records for turn in turns)
        cpu, seconds = sum(turn.cpu for turn in turns), sum(turn.seconds for turn in turns)
        told = (f"{records / cpu:,.0f}", f"{records / seconds:,.0f}", f"{1000 * cpu / records:.2f}")
        table.add_row(str(shape), *told)
    return table


async def warm_up(cohort: Instance) -> None:
    """Statements are prepared, clients are connected."""
    await fill(cohort, Shape(1, 1, 1))
    await taken(cohort, Shape(1, 1, 1))


async def history(cohort: Instance, engines: str) -> Table:
    """The same trigger of learners without a past, with one, and with ten times that."""
    await warm_up(cohort)
    table = Table(
        *("history", "CPU, ms each", "statements each", "by the clock, ms each"),
        title=f"{engines} engines: {LEAVES} views, again",
    )
    for times in HISTORIES:
        shape = Shape(LIVED, LEAVES, 1, again=True, history=times)
        await live(cohort, shape)
        costs = []
        for turn in range(ROUNDS):
            looked = AT + timedelta(hours=1 + turn)
            writes = [write for user in shape.users for write in view_writes(user, range(1), looked)]
            await patiently(partial(write_all, cohort, writes), asyncio.Event())
            with cohort.stores.rows.meter.measure() as counts:
                turns = await taken(cohort, shape)
            cpu, seconds = sum(one.cpu for one in turns), sum(one.seconds for one in turns)
            costs.append((cpu, seconds, counts.total()))
        cpu, seconds, _ = map(min, zip(*costs, strict=True))
        statements = max(count for *_, count in costs)
        told = (f"{1000 * cpu / LIVED:.2f}", f"{statements / LIVED:.2f}", f"{1000 * seconds / LIVED:.2f}")
        table.add_row(f"{times} ×", *told)
    return table


# --- several processes


@dataclass
class Told:
    """What a process's worker has done since it began, and the CPU that its turns took."""

    records: int = 0
    cpu: float = 0.0
    began: float = 0.0
    ended: float = 0.0


async def serve_as_member(data: str, urls: str) -> None:
    """One worker in this process. Answers each line on the standard input with what it did since the last one; ends with
    the input."""
    cohort = Instance(orjson.loads(urls), Path(data))
    async with cohort.opened() as cohort.shared:
        worker = TimedWorker(cohort.shared)
        collect_rarely()
        running = asyncio.create_task(worker.run())
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while await reader.readline():
            turns, worker.turns = worker.turns, []
            told = Told(
                sum(turn.records for turn in turns),
                sum(turn.cpu for turn in turns),
                turns[0].began if turns else 0.0,
                turns[-1].ended if turns else 0.0,
            )
            sys.stdout.write(orjson.dumps(told).decode() + "\n")
            sys.stdout.flush()
        worker.stop()
        await running


async def told_by(member: Process) -> Told:
    assert member.stdin
    assert member.stdout
    member.stdin.write(b"\n")
    return Told(**orjson.loads(await member.stdout.readline()))


@asynccontextmanager
async def members(cohort: Instance, count: int) -> AsyncIterator[Sequence[Process]]:
    """So many processes, once each has had triggers."""
    command = (sys.executable, "-m", "bench.workers", str(cohort.data), orjson.dumps(cohort.urls).decode())
    started = [await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE) for _ in range(count)]
    try:
        waiting = list(started)
        round_ = 0
        while waiting:
            round_ += 1
            probes = Shape(64, 1, 1)
            await cohort.stores.events.send(TRIGGERS.name, *triggers_of(probes))
            await idle(cohort)
            # All in one round: who came first had everything until the others joined.
            told = [await told_by(member) for member in started]
            waiting = [member for member, one in zip(started, told, strict=True) if not one.records]
        yield started
    finally:
        for member in started:
            assert member.stdin
            member.stdin.close()
        for member in started:
            await member.wait()


async def idle(cohort: Instance) -> None:
    async with asyncio.timeout(600):
        while True:
            with suppress(StoreUnavailable):  # on a machine that has other work as well
                if not await cohort.lag():
                    return
            await asyncio.sleep(0.5)


async def processes(cohort: Instance, engines: str) -> Table:
    shape = Shape(SHARED, LEAVES, 1)
    await fill(cohort, shape)
    await fill(cohort, Shape(64, 1, 1))
    title = f"{engines} engines, {TRIGGERS.partitions} partitions: {shape}"
    table = Table(
        *("processes", "triggers of each", "CPU, ms each", "a second of each's CPU, added"),
        *("by the clock, a second",),
        title=title,
    )
    for count in (1, 2):
        async with members(cohort, count) as started:
            await cohort.stores.events.send(TRIGGERS.name, *triggers_of(shape))
            await idle(cohort)
            told = [await told_by(member) for member in started]
        lasted = max(one.ended for one in told) - min(one.began for one in told)
        table.add_row(
            f"{count}",
            ", ".join(f"{one.records:,}" for one in told),
            ", ".join(f"{1000 * one.cpu / one.records:.2f}" for one in told),
            f"{sum(one.records / one.cpu for one in told):,.0f}",
            f"{sum(one.records for one in told) / lasted:,.0f}",
        )
    return table


async def main(engines: str = "real", *wanted: str) -> None:
    urls = real_urls() if engines == "real" else embedded_urls()
    tables = []
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cohort = await stack.enter_async_context(instance_of(urls, data))
        await cohort.publish(course(COURSE, LEAVES))
        await cohort.batch(BATCH, COURSE)
        collect_rarely()
        if "shapes" in wanted or not wanted:
            tables.append(await shapes(cohort, engines))
        if "history" in wanted or not wanted:
            tables.append(await history(cohort, engines))
        if "processes" in wanted or not wanted:
            tables.append(await processes(cohort, engines))
    for table in tables:
        Console().print(table)


if __name__ == "__main__":
    uvloop.run(serve_as_member(*sys.argv[1:3]))
