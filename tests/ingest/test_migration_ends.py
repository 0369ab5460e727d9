"""However a migration comes to its end, everything of learners is the same there: byte for byte but for versions.

Each way is a test on a real keyspace, in processes as an operator runs them. What is expected comes from one undisturbed
run on the embedded engines, and some of it is calculated by hand in ``test_an_undisturbed_run``.
"""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest.importers.legacy import migrate_legacy
from ingest.workers.worker import Worker
from loaders.session import Shared
from tests.conftest import Instance, copy_tables, embedded_urls, instance_of, real_urls
from tests.ingest.interruptions import Interruption
from tests.ingest.learner_tables import differences, learner_tables
from tests.ingest.legacy_keyspace import LegacyKeyspace
from tests.ingest.legacy_platform import URL, MemorySource
from tests.ingest.legacy_world import LONG, Written, arrivals, in_memory, world
from tests.ingest.migration_run import MANY, PAGE, killed

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

OPTIONS: dict[str, Any] = {"rate": 1e6, "every": 1}
State = dict[str, set[str]]


async def prepare(cohort: Instance) -> None:
    await cohort.publish()
    await cohort.publish(LONG)


async def migrate_from_memory(shared: Shared, writes: Sequence[Written], **options: Any) -> None:
    await migrate_legacy(shared, URL, source=MemorySource(in_memory(writes)), **{**OPTIONS, **options})


_expected: list[State] = []
_changes: list[int] = []


async def expected(folder: Path) -> State:
    """The end of one undisturbed run over all that the platform has at last; the workers come after it."""
    if not _expected:
        data = folder / "expected"
        data.mkdir()
        await copy_tables(data)
        async with instance_of(embedded_urls(), data) as once:
            await prepare(once)
            counting = Interruption(MANY, killed)
            await migrate_from_memory(counting.of(once.shared), [*world(), *arrivals()])
            _changes.append(MANY - counting.left)
            await once.drain()
            _expected.append(await learner_tables(once))
    return _expected[0]


async def changes(folder: Path) -> int:
    """How many changes of the stores an undisturbed run makes."""
    await expected(folder)
    return _changes[0]


_keyspaces: list[LegacyKeyspace] = []


@pytest.fixture(scope="module", autouse=True)
def _dropped_at_the_end() -> Iterator[None]:
    yield
    while _keyspaces:
        _keyspaces.pop().drop()


@pytest.fixture
async def platform() -> LegacyKeyspace:
    """An empty keyspace. One is made for all tests."""
    if _keyspaces:
        await _keyspaces[0].empty()
    else:
        _keyspaces.append(await LegacyKeyspace.made())
    return _keyspaces[0]


class Runs:
    """Runs of the command in processes of their own."""

    def __init__(self, cohort: Instance, platform: LegacyKeyspace) -> None:
        self._cohort = cohort
        self._platform = platform
        self._later = 0

    async def run(self, *, dies_at: int | None = None, after: bool = False, **options: Any) -> int | None:
        """Runs it, a minute and more after the one before. Returns how many changes it made, None if it was killed."""
        self._later += 100
        order: dict[str, Any] = {
            "urls": self._cohort.urls,
            "data": str(self._cohort.data),
            "from": self._platform.url,
        }
        order |= {"later": self._later, "dies_at": dies_at, "after": after, "options": {**OPTIONS, **options}}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.ingest.migration_run", json.dumps(order)),
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        if process.returncode == -9:
            return None
        assert process.returncode == 0
        return int(printed)


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.importers.legacy.job.PAGE", PAGE)


@pytest.fixture
async def real(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Instance]:
    async with instance_of(real_urls(), tmp_path) as instance:
        await prepare(instance)
        yield instance


@asynccontextmanager
async def working(cohort: Instance) -> AsyncIterator[None]:
    """A worker takes triggers meanwhile."""
    worker = Worker(cohort.shared, wait=0.05)
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running


@asynccontextmanager
async def nobody(_: Instance) -> AsyncIterator[None]:
    yield


beside = pytest.mark.parametrize("workers", [nobody, working], ids=["without workers", "with workers"])


async def check(cohort: Instance, folder: Path) -> None:
    """The workers come to their end first."""
    await cohort.drain()
    found = differences(await learner_tables(cohort), await expected(folder))
    assert not found, "\n".join([f"{len(found)} rows differ", *found[:40]])


@pytest.mark.stack
@beside
async def test_run_once(real: Instance, platform: LegacyKeyspace, tmp_path: Path, workers: Any) -> None:
    await platform.write([*world(), *arrivals()])
    async with workers(real):
        await Runs(real, platform).run()
    await check(real, tmp_path)


@pytest.mark.stack
@beside
async def test_run_twice(real: Instance, platform: LegacyKeyspace, tmp_path: Path, workers: Any) -> None:
    await platform.write([*world(), *arrivals()])
    runs = Runs(real, platform)
    async with workers(real):
        await runs.run()
        await runs.run()
    await check(real, tmp_path)


@pytest.mark.stack
@beside
async def test_killed_five_times_and_resumed(
    real: Instance, platform: LegacyKeyspace, tmp_path: Path, workers: Any
) -> None:
    """Before or after any change of a store. What is left of the changes is always more than there is to the next death."""
    await platform.write([*world(), *arrivals()])
    seed = random.randrange(10**6)
    print("deaths of the seed", seed)  # noqa: T201 - so that it can be run again
    chance = random.Random(seed)
    runs = Runs(real, platform)
    async with workers(real):
        for _ in range(5):
            dies_at = chance.randrange(await changes(tmp_path) // 6)
            assert await runs.run(dies_at=dies_at, after=chance.random() < 0.5) is None
        assert await runs.run() is not None
    await check(real, tmp_path)


@pytest.mark.stack
@beside
async def test_run_while_rows_arrive_and_then_for_what_changed(
    real: Instance, platform: LegacyKeyspace, tmp_path: Path, workers: Any
) -> None:
    """Some arrive before their page is read, others after it. The second run reads what changed since the first began."""
    await platform.write(world())
    runs = Runs(real, platform)
    async with workers(real):
        first = asyncio.create_task(runs.run(rate=80))
        for write in arrivals():
            await asyncio.sleep(0.2)
            await platform.write([write])
        await first
        await runs.run()
    await check(real, tmp_path)


@pytest.mark.stack
@beside
async def test_run_by_three_processes(
    real: Instance, platform: LegacyKeyspace, tmp_path: Path, workers: Any
) -> None:
    await platform.write([*world(), *arrivals()])
    runs = Runs(real, platform)
    async with workers(real):
        assert all(await asyncio.gather(runs.run(), runs.run(), runs.run()))
    await check(real, tmp_path)
