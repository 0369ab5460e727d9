"""What an instance takes, for ordering machines: ``python -m bench sizing``; docs/sizing.md has the figures.

A gateway and a worker, as `cohort serve` and `cohort worker` run them, on the real servers and a Cassandra of its own, with a few
clients. Time is CPU of the process, as the kernel counts it, since other work on the machine does not change that much. Bytes are
those on disk once everything is flushed.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from bench.population import VALUES, course
from bench.timing import process_cpu
from druid_specs import DATA_SOURCES
from gateway.identity import make_token
from gateway.settings import load_settings
from rules.viewers import Role
from stores.druid_http import Address, DruidHttp
from stores.druid_supervision import SUPERVISOR, druid_name
from stores.topics import TOPICS
from tests.cassandra_node import KEYSPACE, SOFTWARE, CassandraNode, cassandra_of_its_own
from tests.conftest import (
    BLOBS,
    DRUID,
    KAFKA,
    REDIS,
    SEARCH,
    Instance,
    drop_data_sources,
    drop_search_index,
    drop_topics,
)
from tests.gateway.processes import Command, Shell, ready
from tests.ingest.test_assessments import event
from tests.stack.small import free_port

KEY = "s" * 32
COLLECTIONS, LEAVES = 10, 40
LEARNERS = 100
DONE, ANSWERS = 20, 5
"""Views of a learner in a collection, and questions of their attempt."""
AT_ONCE = 8
ASKED = 200
"""Requests of a kind whose CPU is measured, after a tenth as many."""
SMALL = "{ me { name } }"
LIST = "{ me { name enrolments(first: 100) { edges { node { collection { name } status completionPercentage } } } } }"
TREE = """query($c: String!) { collection(identifier: $c) { name hierarchy } }"""
VIEW = "mutation($i: %sViewInput!) { told: %sView(input: $i) { errors { code message } } }"
HANDED_OFF_WITHIN = 300.0
"""Seconds that Druid's tasks may take to publish."""


@dataclass(frozen=True)
class Watched:
    """A process whose CPU and memory are read from /proc."""

    command: Command

    def cpu(self) -> float:
        """Seconds since it began."""
        return process_cpu(self.command.process.pid)

    def memory(self) -> float:
        """Megabytes that are resident."""
        lines = Path(f"/proc/{self.command.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


@dataclass(frozen=True)
class Client:
    """Learners, mentors and services in front of one gateway."""

    http: httpx.AsyncClient

    async def call(self, user: str, method: str, path: str, body: object, *roles: Role) -> Any:
        token = make_token(load_settings(jwt_key=KEY), user, roles or (Role.LEARNER,), timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self.http.request(method, path, json=body, headers=headers)
        told = answer.json()
        assert (answer.status_code, told.get("errors")) == (200, None), told
        return told

    async def ask(self, user: str, query: str, variables: dict[str, Any] | None = None) -> Any:
        return await self.call(user, "POST", "/graphql", {"query": query, "variables": variables or {}})


def collection(number: int) -> str:
    return f"do_31{number:017d}"


def place(number: int) -> dict[str, str]:
    return {"courseId": collection(number), "batchId": f"batch-{number:03d}"}


async def enrol(client: Client, user: str, number: int) -> None:
    await client.call(user, "POST", "/course/v1/enrol", {"request": {**place(number), "userId": user}})


async def complete(client: Client, user: str, number: int) -> None:
    """A state update of all views and an attempt, as the platform's player sends them."""
    where = place(number)
    states = [
        {"contentId": f"{collection(number)}-leaf-{leaf}", "status": 2, **where} for leaf in range(DONE)
    ]
    attempt = {"contentId": states[0]["contentId"], "attemptId": f"a-{user}-{number}", **where}
    events = [event(f"question-{question}") for question in range(ANSWERS)]
    attempts = [{**attempt, "assessmentTs": 1_764_000_000_000, "events": events}]
    body = {"request": {"userId": user, "contents": states, "assessments": attempts}}
    await client.call(user, "PATCH", "/course/v1/content/state/update", body)


async def view(client: Client, user: str, number: int, leaf: int, what: str) -> None:
    where = {"collectionId": collection(number), "contextId": f"batch-{number:03d}"}
    given: dict[str, Any] = {"contentId": f"{collection(number)}-leaf-{leaf}", **where}
    if what == "update":
        given |= {"progress": 40, "timeSpent": 7}
    told = await client.ask(user, VIEW % (what.title(), what), {"i": given})
    assert told["data"]["told"]["errors"] == [], told


async def in_turn(calls: Sequence[Callable[[], Awaitable[Any]]]) -> None:
    """All of them, AT_ONCE at a time."""
    waiting = iter(calls)

    async def work() -> None:
        for call in waiting:
            await call()

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def cpu_of(gateway: Watched, calls: Sequence[Callable[[], Awaitable[Any]]]) -> float:
    """Milliseconds of the gateway's CPU a call; the first tenth is not counted."""
    warm = len(calls) // 10
    await in_turn(calls[:warm])
    began = gateway.cpu()
    await in_turn(calls[warm:])
    return 1000 * (gateway.cpu() - began) / (len(calls) - warm)


class Report:
    """Lines of a table: what, how much, of what."""

    def __init__(self) -> None:
        self.table = Table("what", "how much", "unit", title="What an instance takes")

    def add(self, what: str, amount: float, unit: str, digits: int = 1) -> None:
        self.table.add_row(what, f"{amount:,.{digits}f}", unit)
        Console().print(f"  {what}: {amount:,.{digits}f} {unit}")


@asynccontextmanager
async def instance(folder: Path) -> AsyncIterator[tuple[Instance, CassandraNode, Shell]]:
    prefix = f"test-{uuid4().hex[:10]}"
    urls = {"events": f"kafka://{KAFKA}", "cache": REDIS, "groups": DRUID, "blobs": BLOBS, "search": SEARCH}
    async with AsyncExitStack() as stack:
        for drop in (drop_topics, drop_data_sources, drop_search_index):
            stack.push_async_callback(drop, prefix)
        node = stack.enter_context(cassandra_of_its_own(folder / "cassandra"))
        cohort = Instance({**urls, "rows": node.url, "prefix": prefix}, folder / "data")
        cohort.data.mkdir()
        settings = {f"COHORT_{name.upper()}": url for name, url in cohort.urls.items()}
        no_rate = {"COHORT_RATE_POINTS": "0", "COHORT_RATE_POINTS_ANONYMOUS": "0"}
        shell = Shell({**settings, **no_rate, "COHORT_JWT_KEY": KEY, "COHORT_AGGREGATE_EVERY": "0"}, folder)
        await shell.run("init")
        async with cohort.opened() as cohort.shared:
            for number in range(COLLECTIONS):
                await cohort.publish(course(collection(number), LEAVES))
                await cohort.batch(f"batch-{number:03d}", collection(number))
        yield cohort, node, shell


async def _commands(report: Report, client: Client, gateway: Watched, users: list[str]) -> None:
    """Fills the instance, and tells the CPU of each kind of command."""
    numbers = range(COLLECTIONS)
    enrolments = [(user, number) for user in users for number in numbers]
    enrolled = await cpu_of(gateway, [partial(enrol, client, user, number) for user, number in enrolments])
    report.add("enrolment", enrolled, "ms of CPU")
    updated = await cpu_of(gateway, [partial(complete, client, user, number) for user, number in enrolments])
    report.add(f"state update of {DONE} contents and an attempt", updated, "ms of CPU")
    for what in ("start", "update", "end"):
        calls = [partial(view, client, user, number, DONE, what) for user, number in enrolments[:ASKED]]
        report.add(f"view {what}", await cpu_of(gateway, calls), "ms of CPU")


async def _pages(report: Report, client: Client, gateway: Watched, users: list[str]) -> None:
    """Once the workers have computed what is asked for."""
    pages: dict[str, tuple[str, dict[str, Any]]] = {
        "small query": (SMALL, {}),
        f"list of {COLLECTIONS} enrolments": (LIST, {}),
        f"tree of {LEAVES} leaves": (TREE, {"c": collection(0)}),
    }
    for what, (query, variables) in pages.items():
        calls = [partial(client.ask, user, query, variables) for user in (users * 3)[:ASKED]]
        report.add(what, await cpu_of(gateway, calls), "ms of CPU")


async def _idle(cohort: Instance, within: float = 900) -> None:
    """Returns once the workers have nothing left to do."""
    async with asyncio.timeout(within):
        while await cohort.submitted() or await cohort.lag():
            await asyncio.sleep(0.5)


async def _profiles(client: Client, users: list[str]) -> None:
    """Each with all attributes."""
    save = "mutation($i: UpdateLearnerInput!) { updateLearner(input: $i) { errors { code message } } }"
    for number, user in enumerate(users):
        given = {camel(name): f"{name} {number % count}" for name, count in VALUES.items()}
        await client.ask(user, save, {"i": {"name": f"Learner {number}", **given}})


def camel(name: str) -> str:
    """``age_band`` as GraphQL has it: ``ageBand``."""
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


def _rows(report: Report, node: CassandraNode) -> None:
    node.nodetool("flush", KEYSPACE)
    node.nodetool("compact", KEYSPACE)
    enrolments = LEARNERS * COLLECTIONS
    counted = {
        "user_content_consumption": enrolments * DONE + ASKED,
        "user_enrolments": enrolments,
        "enrolment_by_context": enrolments,
        "user_activity_agg_v2": enrolments,
        "assessment_attempt": enrolments,
        "assessment_aggregator": enrolments,
        "learner": LEARNERS,
        "learner_scope": enrolments,
    }
    sizes = {table: node.bytes_of(table) for table in node.tables()}
    for table, size in sorted(sizes.items(), key=lambda one: -one[1])[:14]:
        of = counted.get(table)
        report.add(
            f"Cassandra {table}", size / (of or 1), f"bytes a row of {of:,}" if of else "bytes in all", 0
        )
    report.add(
        "Cassandra, all tables", sum(sizes.values()) / enrolments, f"bytes an enrolment of {DONE} views", 0
    )


def _events(report: Report, prefix: str) -> None:
    """From the files of the broker, where it is on this machine."""
    for topic in TOPICS:
        files = [*(SOFTWARE / "kafka/data").glob(f"**/{prefix}.{topic.name}-*/*.log")]
        if size := sum(file.stat().st_size for file in files):
            report.add(f"Kafka {topic.name}", size / (LEARNERS * COLLECTIONS), "bytes an enrolment", 0)


async def _cache(report: Report, prefix: str) -> None:
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    async with Redis.from_url(REDIS) as redis:
        async for key in redis.scan_iter(match=f"{prefix}:*", count=1000):
            kind = key.decode().split(":")[1]
            sizes[kind] += await redis.memory_usage(key) or 0
            counts[kind] += 1
    for kind, size in sizes.most_common():
        report.add(f"Redis {kind}", size / counts[kind], f"bytes a key of {counts[kind]:,}", 0)


async def _search(report: Report, prefix: str) -> None:
    async with httpx.AsyncClient(base_url=SEARCH.replace("opensearch:", "http:"), timeout=60) as server:
        for kind in ("search", "learners"):
            await server.post(f"/{prefix}.{kind}-*/_forcemerge?max_num_segments=1")
            found = (await server.get(f"/{prefix}.{kind}-*/_stats/docs,store")).json()["_all"]["primaries"]
            documents, size = found["docs"]["count"], found["store"]["size_in_bytes"]
            report.add(
                f"OpenSearch {kind}", size / max(1, documents), f"bytes a document of {documents:,}", 0
            )


async def _segments(report: Report, prefix: str) -> None:
    """Once the tasks have handed off what they have."""
    statement = 'SELECT COUNT(*), SUM(is_realtime), SUM("size"), SUM(num_rows) FROM sys.segments WHERE datasource = ? AND is_active = 1'
    http = DruidHttp(Address.parse(DRUID, f"kafka://{KAFKA}"), 60, 4)
    try:
        names = {source.name: druid_name(prefix, source) for source in DATA_SOURCES}
        for name in names.values():
            await http.manage("POST", f"{SUPERVISOR}/{name}/suspend")
        until = time.monotonic() + HANDED_OFF_WITHIN
        for what, name in names.items():
            while True:
                found = await http.sql(statement, name)  # none of what nothing was sent to, such as cells
                segments, realtime, size, rows = found[0] if found else (0, 0, 0, 0)
                if not realtime or time.monotonic() > until:
                    break
                await asyncio.sleep(2)
            if rows and size:
                told = f"bytes a row of {rows:,} in {segments} segments" + (
                    ", some not handed off" * bool(realtime)
                )
                report.add(f"Druid {what}", size / rows, told, 0)
    finally:
        await http.close()


async def main() -> None:
    report, began = Report(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        async with instance(Path(name)) as (cohort, node, shell):
            port = free_port()
            async with (
                shell.running("serve", "--port", str(port)) as serving,
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
            ):
                await ready(http)
                client, gateway = Client(http), Watched(serving)
                report.add("gateway, idle", gateway.memory(), "MB", 0)
                users = [str(uuid4()) for _ in range(LEARNERS)]
                await _profiles(client, users)
                await _commands(report, client, gateway, users)
                await _work(report, cohort, shell)
                await _pages(report, client, gateway, users)
                report.add("gateway, after that", gateway.memory(), "MB", 0)
                await _cache(report, cohort.urls["prefix"])
            await asyncio.to_thread(_rows, report, node)
            _events(report, cohort.urls["prefix"])
            await _search(report, cohort.urls["prefix"])
            await _segments(report, cohort.urls["prefix"])
    Console().print(report.table)
    Console().print(f"{LEARNERS} learners in {COLLECTIONS} collections; {time.monotonic() - began:.0f} s")


async def _work(report: Report, cohort: Instance, shell: Shell) -> None:
    """What the workers do of all that, in one process."""
    async with shell.running("worker") as started, cohort.opened() as cohort.shared:
        worker = Watched(started)
        triggers, attempts = await cohort.lag(), await cohort.submitted()
        began = worker.cpu()
        await _idle(cohort)
        used = worker.cpu() - began
        enrolments = LEARNERS * COLLECTIONS
        report.add("worker, an enrolment with all of it", 1000 * used / enrolments, "ms of CPU")
        report.add("of that", triggers, f"triggers, and {attempts:,} attempts", 0)
        report.add("worker, after that", worker.memory(), "MB", 0)
        async with asyncio.timeout(300):
            while await cohort.unindexed():
                await asyncio.sleep(0.5)
