"""What is promised when processes are killed and servers go away: nothing is lost, and the rows come out the same."""

import asyncio
import os
from pathlib import Path

import pytest

from ingest.calls.placing import ViewCall
from ingest.workers.worker import Worker
from rules.views import ViewChange
from stack import jars
from stack.servers import kafka, valkey
from stack.stack import Stack
from tests.conftest import Instance, embedded_urls, instance_of, real_urls
from tests.ingest.histories import live_through, send_again_shuffled, stored_figures
from tests.ingest.member_process import member_process, one_of_two_killed
from tests.stack.small import free_port

pytestmark = pytest.mark.long

Figures = dict[str, list[dict[str, object]]]


@pytest.fixture
async def clean(tmp_path: Path) -> Figures:
    folder = tmp_path / "clean"
    folder.mkdir()
    async with instance_of(embedded_urls(), folder) as instance:
        await instance.publish()
        await instance.batch()
        await live_through(instance)
        await instance.drain()
        return await stored_figures(instance)


async def lag_below(cohort: Instance, most: int, within: float = 60) -> None:
    async with asyncio.timeout(within):
        while await cohort.lag() > most:
            await asyncio.sleep(0.02)


async def test_a_worker_killed_in_the_middle_loses_nothing(course: Instance, clean: Figures) -> None:
    """Two processes share the partitions; one is killed with SIGKILL with work left, and a new one takes over."""
    await live_through(course)
    await send_again_shuffled(course, 3)
    async with one_of_two_killed(course, "worker"), member_process(course, "worker"):
        await lag_below(course, 0)
    assert await stored_figures(course) == clean


@pytest.mark.stack
@pytest.mark.timeout(180)
async def test_a_broker_restarted_in_the_middle_loses_nothing(tmp_path: Path, clean: Figures) -> None:
    """A Kafka of the test's own is killed with SIGKILL while learners work and a worker reads, and comes back."""
    port = free_port()
    broker = Stack(tmp_path / "broker", servers=[kafka(port, free_port())])
    take_jars(broker, Path(os.environ.get("COHORT_STACK_DIR", ".stack")))
    await asyncio.to_thread(broker.up)
    try:
        async with instance_of(real_urls() | {"events": f"kafka://127.0.0.1:{port}"}, tmp_path) as cohort:
            await cohort.publish()
            await cohort.batch()
            await live_through(cohort, 20)
            worker = Worker(cohort.shared, most=9, wait=0.02)
            running = asyncio.create_task(worker.run())
            async with asyncio.timeout(60):
                while not worker.processed:
                    await asyncio.sleep(0.01)
            learning = asyncio.create_task(live_through_again(cohort))
            await asyncio.sleep(0.05)
            done = worker.processed
            assert await asyncio.to_thread(broker.stop, "kafka", kill=True) == ["kafka"]
            assert not (tmp_path / "broker/kafka/data/.kafka_cleanshutdown").exists(), "it was to be killed"
            assert not learning.done(), "it was to be killed while learners work"
            await asyncio.sleep(1)
            assert not running.done()
            await asyncio.to_thread(broker.up)
            await learning
            await lag_below(cohort, 0, within=90)
            assert worker.processed > done, "it was to be killed with work left"
            worker.stop()
            await running
            assert await stored_figures(cohort) == clean
    finally:
        await asyncio.to_thread(broker.down)


def take_jars(stack: Stack, directory: Path) -> None:
    """Those that the stack in this directory has fetched; the others are fetched as usual."""
    other = Stack(directory, servers=stack.servers)
    for server in stack.servers:
        if jars.present(other._home(server), other._pom(server)):
            stack._home(server).mkdir(parents=True, exist_ok=True)
            (stack._home(server) / "lib").symlink_to(other._home(server) / "lib")


async def live_through_again(cohort: Instance) -> None:
    """As a client does: calls that failed for want of a store are sent again."""
    from rules.errors import StoreUnavailable

    while True:
        try:
            await live_through(cohort)
        except StoreUnavailable:
            await asyncio.sleep(0.5)
        else:
            return


@pytest.mark.parametrize("engines", ["embedded", pytest.param("real", marks=pytest.mark.stack)])
async def test_reads_stay_right_while_the_cache_is_stopped_and_after_it_is_back(
    engines: str, tmp_path: Path
) -> None:
    """A Valkey of the test's own is stopped and started between the calls of one learner."""
    from ingest.commands.views import end_view, start_view
    from rules.identifiers import ProgressKey
    from tests.conftest import NOW

    key = ProgressKey("ada", "course", "batch")
    port = free_port()
    cache = Stack(tmp_path / "cache", servers=[valkey(port)])
    urls = (embedded_urls() if engines == "embedded" else real_urls()) | {
        "cache": f"redis://127.0.0.1:{port}/0"
    }

    async def completed() -> int:
        standing = await cohort.session("ada").loaders.standings.load(key)
        touches = await cohort.session("ada").loaders.touches.load(key)
        assert standing is not None
        assert standing.statuses == {content: int(touch.status) for content, touch in touches.items()}
        return sum(status == 2 for status in standing.statuses.values())

    async def finish(content: str) -> None:
        session, call = cohort.session("ada"), ViewCall(content, "course", "batch")
        await start_view(session, call)
        await end_view(session, call, ViewChange(NOW))

    await asyncio.to_thread(cache.up)
    try:
        async with instance_of(urls, tmp_path) as cohort:
            await cohort.publish()
            await cohort.batch()
            await finish("a")
            assert await completed() == 1
            await asyncio.to_thread(cache.stop, "valkey", kill=True)
            assert await completed() == 1
            await finish("b")
            assert await completed() == 2
            await asyncio.to_thread(cache.up)
            assert await completed() == 2
            await finish("c")
            assert await completed() == 3
            await cohort.drain()
            assert await completed() == 3
    finally:
        await asyncio.to_thread(cache.down)
