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
from ingest.writes.leases import ABANDONED_AFTER
from loaders.session import Shared
from rules.errors import StoreUnavailable
from stores.rows import RowPage
from tests.conftest import Instance, embedded_urls, instance_of, real_urls
from tests.ingest.interruptions import Interruption, dies
from tests.ingest.learner_tables import Stored, differences, learner_tables
from tests.ingest.legacy_keyspace import LegacyKeyspace
from tests.ingest.legacy_platform import URL, MemorySource
from tests.ingest.legacy_world import LONG, Written, arrivals, in_memory, only, world
from tests.ingest.migration_run import MANY, PAGE, killed, working

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

OPTIONS: dict[str, Any] = {"rate": 1e6, "every": 1, "ranges": 4}


async def prepare(cohort: Instance) -> None:
    await cohort.publish()
    await cohort.publish(LONG)


async def migrate_from_memory(shared: Shared, writes: Sequence[Written], **options: Any) -> None:
    await migrate_legacy(shared, URL, source=MemorySource(in_memory(writes)), **{**OPTIONS, **options})


_expected: list[Stored] = []
_changes: list[int] = []


async def expected(folder: Path) -> Stored:
    """The end of one undisturbed run over all that the platform has at last; the workers come after it."""
    if not _expected:
        data = folder / "expected"
        data.mkdir()
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

    async def run(
        self, *, dies_at: int | None = None, after: bool = False, beside: bool = False, **options: Any
    ) -> int | None:
        """Runs it, a minute and more after the one before, or ``beside`` that one. Returns how many changes it made, None if it was killed."""
        self._later += 0 if beside else 100
        order: dict[str, Any] = {
            "urls": self._cohort.urls,
            "data": str(self._cohort.data),
            "from": self._platform.url,
        }
        order |= {"later": self._later, "dies_at": dies_at, "after": after, "options": {**OPTIONS, **options}}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.ingest.migration_run", json.dumps(order)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, errors = await process.communicate()
        if process.returncode == -9:
            return None
        assert process.returncode == 0, errors.decode()[-2000:]
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
async def nobody(_: Instance) -> AsyncIterator[None]:
    yield


def chance(of: str) -> random.Random:
    """Another one in each run, whose seed is printed when a test fails, so that it can be run again."""
    seed = random.randrange(10**6)
    print(f"{of}: seed {seed}")  # noqa: T201 - pytest shows it
    return random.Random(seed)


beside = pytest.mark.parametrize("workers", [nobody, working], ids=["without workers", "with workers"])


async def check(cohort: Instance, folder: Path) -> None:
    """The workers come to their end first."""
    await cohort.drain()
    told(differences(await learner_tables(cohort), await expected(folder)))


def told(found: Sequence[str]) -> None:
    """Fails with the first of these rows, if there are some."""
    assert not found, "\n".join([f"{len(found)} rows differ", *found[:40]])


FEW = ("r03", "r12", "late", "guess", "granted", "shrunk", "back", "undated", "tester", "alone", "odd", "new")


class Growing(MemorySource):
    """A platform that writes a row after each page that is read of it."""

    def __init__(self, before: Sequence[Written], arriving: Sequence[Written]) -> None:
        super().__init__(in_memory(before))
        self._before = [*before]
        self._arriving = [*arriving]

    async def walk(self, *given: Any, **named: Any) -> AsyncIterator[RowPage]:
        async for page in super().walk(*given, **named):
            yield page
            self._before += self._arriving[:1]
            del self._arriving[:1]
            self._tables = in_memory(self._before)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("way", ["twice", "interrupted", "arriving"])
async def test_in_small_the_end_is_the_same(embedded: Instance, tmp_path: Path, way: str) -> None:
    """On the embedded engines, with some of the learners."""
    before, after = only(world(), FEW), only(arrivals(), FEW)
    whole = [*before, *after]
    data = tmp_path / "once"
    data.mkdir()
    async with instance_of(embedded_urls(), data) as once:
        await prepare(once)
        await migrate_from_memory(once.shared, whole)
        await once.drain()
        expected = await learner_tables(once)
    await prepare(embedded)
    async with working(embedded):
        if way == "arriving":
            source = Growing(before, after)
            await migrate_legacy(embedded.shared, URL, source=source, **OPTIONS)
            await migrate_from_memory(embedded.shared, whole, changed_since="last")
        elif way == "interrupted":
            chance = random.Random(12)
            for _ in range(5):
                # If it died with a claim, that has ended before the next one begins.
                embedded.sets_clock(embedded.shared.now() + ABANDONED_AFTER)
                dying = Interruption(chance.randrange(60), dies, after=chance.random() < 0.5)
                with pytest.raises(StoreUnavailable):
                    await migrate_from_memory(dying.of(embedded.shared), whole)
            embedded.sets_clock(embedded.shared.now() + ABANDONED_AFTER)
        if way != "arriving":
            await migrate_from_memory(embedded.shared, whole)
        if way == "twice":
            await migrate_from_memory(embedded.shared, whole)
    await embedded.drain()
    told(differences(await learner_tables(embedded), expected))


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
    dice = chance("deaths")
    runs = Runs(real, platform)
    async with workers(real):
        for _ in range(5):
            dies_at = dice.randrange(await changes(tmp_path) // 6)
            assert await runs.run(dies_at=dies_at, after=dice.random() < 0.5) is None
        assert await runs.run() is not None
    await check(real, tmp_path)


@pytest.mark.stack
@beside
async def test_run_while_rows_arrive_and_then_for_what_changed(
    real: Instance, platform: LegacyKeyspace, tmp_path: Path, workers: Any
) -> None:
    """Some arrive while it runs, before or after their page is read, and the others later. The second run reads what
    changed since the first began."""
    await platform.write(world())
    runs, arriving = Runs(real, platform), arrivals()
    chance("arrivals").shuffle(arriving)
    async with workers(real):
        first = asyncio.create_task(runs.run(rate=80))
        while not first.done() and len(arriving) > 10:
            await asyncio.sleep(0.2)
            await platform.write([arriving.pop()])
        await first
        await platform.write(arriving)
        await runs.run(changed_since="last")
    await check(real, tmp_path)


@pytest.mark.stack
@beside
async def test_run_by_three_processes(
    real: Instance, platform: LegacyKeyspace, tmp_path: Path, workers: Any
) -> None:
    await platform.write([*world(), *arrivals()])
    runs = Runs(real, platform)
    async with workers(real):
        ran = await asyncio.gather(*(runs.run(beside=True) for _ in range(3)), return_exceptions=True)
    assert all(type(changes) is int for changes in ran), ran
    await check(real, tmp_path)
