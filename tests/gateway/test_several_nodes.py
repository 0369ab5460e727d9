"""What is promised of three Cassandra nodes and three brokers when one of each is killed, or cut off from the others, while
learners work; and of two that are cut off.

Each node is a network namespace of its own (stack/network.py): that needs root with CAP_NET_ADMIN. Where a machine does not
allow it the test fails and says so; COHORT_STACK_NAMESPACES=no leaves out what needs them and kills nodes on loopback addresses.
"""

import asyncio
import logging
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from gateway.settings import load_settings
from ingest.workers.dead_letters import pending
from rules.errors import StoreUnavailable
from stack.cluster import NODES, cluster
from stack.network import Network
from stack.servers import valkey
from stack.stack import Stack
from stores.tables import AGGREGATES, ATTEMPTS, ENROLMENTS, VIEWS
from tests.conftest import Instance
from tests.gateway.class_at_work import ENROLLED_BEFORE, RETRIABLE, ClassAtWork
from tests.gateway.conftest import KEY
from tests.graph.test_figures_survive import recounted, told
from tests.ingest.test_sample import rows_of
from tests.stack.small import free_port

APART = os.environ.get("COHORT_STACK_NAMESPACES") != "no"
SOFTWARE = Path(os.environ.get("COHORT_STACK_DIR", ".stack")).absolute()
"""Where the jars are; read before a fixture forgets every variable."""
DEADLINE = 10.0
MARGIN = 20.0
"""Seconds for a machine that is busy with seven servers on two cores, and with other work."""
PATIENCE = 120.0
"""Seconds that calls may take to flow again. What was measured is in the log: some ten on a machine that has nothing else to do."""
CLIENTS = 4
T = TypeVar("T")

log = logging.getLogger(__name__)
"""Tells what was measured: ``pytest --log-cli-level=INFO``."""


@contextmanager
def several_nodes(folder: Path) -> Iterator[tuple[Stack, Network | None]]:
    """A cluster that runs, in namespaces or on loopback addresses, without data; nothing of it is left."""
    number = secrets.randbelow(256)
    network = Network(f"coh{number:x}", NODES, number) if APART else None
    with network or nullcontext():
        nodes = cluster(network.hosts, network.namespaces) if network else cluster()
        # A Valkey of our own, whose port nobody has.
        servers = [*nodes[:-1], valkey(free_port())]
        stack = Stack(folder, servers=servers, software=SOFTWARE)
        try:
            stack.up()
            yield stack, network
        finally:
            for server in servers:  # quicker than to stop them in peace; nobody needs their data
                stack.stop(server.name, kill=True)


def log_of(settings: dict[str, str], command: str) -> Path:
    return Path(settings["COHORT_DATA"], f"{command}.log")


@asynccontextmanager
async def process(settings: dict[str, str], *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A `cohort` command in a process of its own, ended with the block. Its log is in the data folder."""
    with log_of(settings, words[0]).open("wb") as output:
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", *words),
            env={**os.environ, **settings},
            stdout=output,
            stderr=output,
        )
        try:
            yield started
        finally:
            if started.returncode is None:
                started.terminate()
                try:
                    await asyncio.wait_for(started.wait(), 20)
                except TimeoutError:
                    started.kill()
            await started.wait()


async def init(settings: dict[str, str]) -> None:
    """As an operator does it: runs it again where the stores did not answer in time."""
    async with process(settings, "init") as command:
        code = await command.wait()
    if code:
        raise StoreUnavailable(log_of(settings, "init").read_text())


async def in_spite_of_load(call: Callable[[], Awaitable[T]]) -> T:
    """Its answer, asked for again where a store did not answer in time. Seven servers, two processes of Cohort and this one share
    two cores with whatever else there is: what is tested is what clients are told, not how quick the test's own calls are."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            if time.monotonic() > until:
                raise
            log.info("sent again: %s", error)
            await asyncio.sleep(1)


class Watch:
    """What the class saw in the time of one event."""

    def __init__(self, at_work: ClassAtWork, name: str) -> None:
        self.at_work, self.name = at_work, name
        self.began = time.monotonic()
        self.first = len(at_work.sent)

    async def until(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, self.began + seconds - time.monotonic()))

    async def flows(self) -> None:
        """Returns once a learner's calls of every kind were acknowledged, and no call failed meanwhile."""
        async with asyncio.timeout(PATIENCE):
            mark = self._mark()
            while True:
                await asyncio.sleep(1)
                self.at_work.check()
                sent, finished = mark
                if any(one.code for one in self.at_work.sent[sent:]):
                    mark = self._mark()
                elif len(self.at_work.finished) > finished:
                    return

    def _mark(self) -> tuple[int, int]:
        return len(self.at_work.sent), len(self.at_work.finished)

    def report(self) -> tuple[int, int]:
        """Logs a line. Gives how many were sent and how many of them were not acknowledged."""
        sent = self.at_work.sent[self.first :]
        failed = [one for one in sent if one.code and one.code != ENROLLED_BEFORE]
        hurt = [one for one in sent if one.code or one.took > 1]
        last = max((one.began + one.took - self.began for one in hurt), default=0.0)
        slowest = max(sent, key=lambda one: one.took)
        longest = slowest.took
        log.info(
            "%-30s %4d calls, %3d to be sent again, longest %4.1f s, failed or above 1 s until %5.1f s after",
            *(self.name, len(sent), len(failed), longest, last),
        )
        assert {one.code for one in failed} <= RETRIABLE
        assert longest < DEADLINE + MARGIN, f"a call must end by the deadline: {slowest}"
        return len(sent), len(failed)


@pytest.mark.cluster
@pytest.mark.timeout(1200)
async def test_nothing_acknowledged_is_lost_when_one_of_three_nodes_dies_or_is_cut_off(
    tmp_path: Path,
) -> None:
    began = time.monotonic()
    with several_nodes(tmp_path / "stack") as (stack, network):
        log.info("cluster up after %.0f s", time.monotonic() - began)
        settings = {
            **stack.environment(),
            "COHORT_JWT_KEY": KEY,
            "COHORT_DATA": str(tmp_path / "data"),
            "COHORT_WAIT_FOR_STORES": str(PATIENCE),
        }
        (tmp_path / "data").mkdir()
        await in_spite_of_load(lambda: init(settings))
        urls = {
            "rows": settings["COHORT_ROWS"],
            "events": settings["COHORT_EVENTS"],
            "cache": settings["COHORT_CACHE"],
            "groups": "duckdb:///groups.duckdb",
            "blobs": "file:///blobs",
            "search": "fts5:///search.db",
            "prefix": "cohort",
        }
        cohort = Instance(urls, tmp_path / "own")
        cohort.data.mkdir()
        async with AsyncExitStack() as stores:
            shared = await in_spite_of_load(lambda: stores.enter_async_context(cohort.opened()))
            cohort.shared = shared
            await shared.stores.search.init()
            await in_spite_of_load(cohort.publish)
            await in_spite_of_load(cohort.batch)
            log.info("instance ready after %.0f s", time.monotonic() - began)
            port = free_port()
            async with (
                process(settings, "serve", "--port", str(port)),
                process(settings, "worker"),
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
            ):
                at_work = ClassAtWork(client, load_settings(jwt_key=KEY))
                await _ready(client)
                await _disturbed(at_work, stack, network)
                async with asyncio.timeout(2 * PATIENCE):
                    while await in_spite_of_load(cohort.lag) or await in_spite_of_load(cohort.submitted):
                        await asyncio.sleep(0.1)
                    # What takers have done sends triggers.
                    while await in_spite_of_load(cohort.lag):
                        await asyncio.sleep(0.1)
            await in_spite_of_load(lambda: _is_all_there(cohort, at_work))
        log.info("all after %.0f s", time.monotonic() - began)


async def _ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)


async def _disturbed(at_work: ClassAtWork, stack: Stack, network: Network | None) -> None:
    """Clients work throughout, and nodes die, come back, are cut off and healed."""
    async with at_work.by(CLIENTS):
        watch = Watch(at_work, "all is well")
        await watch.flows()
        watch.report()
        watch = Watch(at_work, "a node and a broker killed")
        for name in ("cassandra-3", "kafka-3"):
            assert await asyncio.to_thread(stack.stop, name, kill=True) == [name]
        await watch.flows()
        _goes_on(watch)
        watch = Watch(at_work, "both started again")
        await asyncio.to_thread(stack.up, ["cassandra-3", "kafka-3"])
        await watch.flows()
        _goes_on(watch)
        if network:
            await _cut_off(at_work, network)


async def _cut_off(at_work: ClassAtWork, network: Network) -> None:
    watch = Watch(at_work, "a node cut off from the others")
    network.part(1)
    await watch.until(8)
    await watch.flows()
    _goes_on(watch)
    watch = Watch(at_work, "healed")
    network.heal()
    await watch.flows()
    watch.report()
    watch = Watch(at_work, "a node silent")
    network.silence(2)
    await watch.until(8)
    await watch.flows()
    _goes_on(watch)
    watch = Watch(at_work, "heard again")
    network.heal()
    await watch.flows()
    watch.report()
    await _without_a_quorum(at_work, network)


async def _without_a_quorum(at_work: ClassAtWork, network: Network) -> None:
    """Each node is alone: nothing is acknowledged, and everything is told within the deadline."""
    watch = Watch(at_work, "two of three cut off")
    network.part(1, 2)
    parted = time.monotonic()
    await asyncio.sleep(3)  # until what was under way has ended
    lonely = len(at_work.sent)
    reads = [await at_work.reads("learner-0") for _ in range(3)]
    assert set(reads) <= {"STORE_UNAVAILABLE", "DEADLINE_EXCEEDED"}, reads
    await watch.until(14)
    acknowledged = [one for one in at_work.sent[lonely:] if not one.code and one.began > parted + 3]
    assert acknowledged == []
    watch.report()
    watch = Watch(at_work, "all healed")
    network.heal()
    await watch.flows()
    assert await at_work.reads("learner-0") == ""
    watch.report()


def _goes_on(watch: Watch) -> None:
    """Most calls were acknowledged at once."""
    sent, failed = watch.report()
    assert failed <= CLIENTS * 4 + sent // 10, f"{failed} of {sent} calls failed: {watch.name}"


async def _is_all_there(cohort: Instance, at_work: ClassAtWork) -> None:
    """Every acknowledged call is in the rows, and the figures are what a recount of the rows says."""
    views = {(row["userid"], row["contentid"]): row for row in await rows_of(cohort.shared, VIEWS)}
    enrolled = {row["userid"]: row for row in await rows_of(cohort.shared, ENROLMENTS)}
    attempts = {(row["user_id"], row["attempt_id"]) for row in await rows_of(cohort.shared, ATTEMPTS)}
    aggregates = {
        row["user_id"]: row
        for row in await rows_of(cohort.shared, AGGREGATES)
        if row["activity_id"] == "course"
    }
    assert len(at_work.finished) > CLIENTS
    for user in at_work.finished:
        statuses = {content: views[user, content]["status"] for content in "abc"}
        assert statuses == {"a": 2, "b": 2, "c": 1}
        assert views[user, "a"]["timespent"] == 7, "a call counts once, however often it was sent"
        assert enrolled[user]["active"]
        # 2 of the required a, b, c: floor(200 / 3) = 66, and the workers count the 2.
        assert enrolled[user]["progress"] == 2
        assert aggregates[user]["content_status"] == statuses
        assert (user, "first") in attempts
    assert [letter async for letter in pending(cohort.stores)] == []
    await cohort.arrived()
    assert await told(cohort) == await recounted(cohort)
