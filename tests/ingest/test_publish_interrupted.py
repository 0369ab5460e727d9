"""A publication that is killed and taken up again ends as one that was not: wherever it was, whoever goes on with it."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest.jobs.records import JobRecord
from ingest.publishing import job
from ingest.publishing.requests import run_publication
from loaders.session import Shared
from rules.jobs import JobState
from tests.conftest import NOW, Instance, embedded_urls, instance_of, real_urls, some_of
from tests.ingest.interrupted_publish import Dying, Killed, in_small_portions
from tests.ingest.publications import all_left, job_of, third_version

pytestmark = pytest.mark.long

UNBOUNDED = 1_000_000


@pytest.fixture(autouse=True)
def _small_portions() -> Iterator[None]:
    sizes = job.NODES_AT_ONCE, job.TREES_AT_ONCE
    in_small_portions()
    yield
    job.NODES_AT_ONCE, job.TREES_AT_ONCE = sizes


@dataclass
class Instances:
    """Empty ones, as many as are asked for. ``expected``: what an undisturbed publication leaves, as the numbers of its
    changes and its checkpoints tell how it may be disturbed."""

    real: bool
    path: Path
    made: int = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[tuple[Instance, str]]:
        """An instance, and the id of a publication that waits in it."""
        self.made += 1
        urls, path = real_urls() if self.real else embedded_urls(), self.path / str(self.made)
        path.mkdir()
        async with instance_of(urls, path) as instance:
            yield instance, await third_version(instance.shared)

    async def undisturbed(self) -> tuple[dict[str, Any], int, int]:
        """What a publication leaves that nobody disturbs, how many changes it makes, and how many checkpoints."""
        counting, told = Dying(UNBOUNDED), list[JobRecord]()
        async with self.one() as (instance, job_id):
            done = await run_publication(counting.of(instance.shared), job_id, told.append)
            assert done.state is JobState.DONE
            left = await all_left(instance.shared)
        # The book, four units, six leaves, and the two of the third unit, of which one is left of the second version.
        assert len(left["content"]) == 1 + 4 + 6 + 2
        assert len([name for name in left if name.startswith("packages/book/3/")]) == 2
        # It tells that it was taken up, and that it has ended.
        return left, UNBOUNDED - counting.left, len(told) - 2


@pytest.fixture
def instances(tmp_path: Path) -> Instances:
    return Instances(real=False, path=tmp_path)


async def test_killed_at_any_change_it_ends_as_one_that_was_not(instances: Instances) -> None:
    """The second process gets the message again, and goes on at once."""
    expected, changes, _ = await instances.undisturbed()
    assert changes > 40
    for number in some_of(range(changes)):
        async with instances.one() as (instance, job_id):
            with pytest.raises(Killed):
                await run_publication(Dying(number).of(instance.shared), job_id)
            assert (await job_of(instance.shared, job_id)).state in {JobState.WAITING, JobState.RUNNING}
            await run_publication(Shared.of(instance.stores, lambda: NOW), job_id)
            assert await all_left(instance.shared) == expected, number


async def test_killed_again_and_again_it_ends_as_one_that_was_not(instances: Instances) -> None:
    """Each process makes nine changes, and the last of them some more."""
    expected, _, _ = await instances.undisturbed()
    async with instances.one() as (instance, job_id):
        attempts = 0
        while (await job_of(instance.shared, job_id)).state is not JobState.DONE:
            attempts += 1
            try:
                await run_publication(Dying(9).of(instance.shared), job_id)
            except Killed:
                continue
        assert attempts > 5
        assert await all_left(instance.shared) == expected


async def test_cancelled_at_a_checkpoint_it_is_interrupted_and_ends_the_same(instances: Instances) -> None:
    """As when a worker is told to stop and does not get done in time."""
    expected, _, checkpoints = await instances.undisturbed()
    for number in some_of(range(1, checkpoints + 1)):
        told: list[JobRecord] = []

        def cancel_in_time(record: JobRecord, told: list[JobRecord] = told, number: int = number) -> None:
            told.append(record)
            if len(told) == number + 1:
                raise asyncio.CancelledError

        async with instances.one() as (instance, job_id):
            with pytest.raises(asyncio.CancelledError):
                await run_publication(instance.shared, job_id, cancel_in_time)
            assert (await job_of(instance.shared, job_id)).state is JobState.INTERRUPTED
            await run_publication(Shared.of(instance.stores, lambda: NOW), job_id)
            assert await all_left(instance.shared) == expected, number


PARTS = 6
"""Of the checkpoints on the real servers: all of them in one test would take minutes."""


@pytest.mark.parametrize(
    ("real", "first", "every"),
    [
        (False, 1, 9),
        *(pytest.param(True, part, PARTS, marks=pytest.mark.stack) for part in range(1, PARTS + 1)),
    ],
)
async def test_a_process_that_is_killed_after_a_checkpoint_is_followed_by_another(
    tmp_path: Path, *, real: bool, first: int, every: int
) -> None:
    """By SIGKILL: on the real servers after each checkpoint, so after each step, and in the middle of those that write
    portions or packages."""
    instances = Instances(real, tmp_path)
    expected, _, checkpoints = await instances.undisturbed()
    assert checkpoints > len(job.STEPS) + 5
    for number in range(first, checkpoints + 1, every):
        async with instances.one() as (instance, job_id):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.ingest.publish_process"),
                *(json.dumps(instance.urls), str(instance.data), job_id, str(number)),
            )
            assert await process.wait() == -signal.SIGKILL
            assert (await job_of(instance.shared, job_id)).state is JobState.RUNNING
            await run_publication(Shared.of(instance.stores, lambda: NOW), job_id)
            assert await all_left(instance.shared) == expected, number
