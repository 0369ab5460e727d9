"""A job goes on where it stopped, in whichever process, and never in two."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from ingest.job_kinds import JOB_KINDS, job_kind
from ingest.jobs.plans import Checkpoint, JobKind
from ingest.jobs.records import JobRecord, StepState
from ingest.jobs.runner import Jobs
from ingest.writes.leases import ABANDONED_AFTER
from loaders.session import Shared
from rules.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from rules.jobs import JobState
from tests.conftest import NOW, Instance


@dataclass
class Counting:
    """Two steps of three things each. ``before`` runs ahead of each thing and may wait, fail or look around."""

    done: list[str] = field(default_factory=list)
    before: Callable[[str], Any] = lambda _: None

    @property
    def kind(self) -> JobKind:
        return JobKind("counting", lambda *_: self)

    def steps(self) -> Sequence[str]:
        return ("one", "two")

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        for number in range(int(start.resume or 0), 3):
            waiting = self.before(f"{step} {number}")
            if waiting is not None:
                await waiting
            self.done.append(f"{step} {number}")
            resume = None if number == 2 else str(number + 1)
            yield Checkpoint(resume, number + 1, {"seen": number + 1})


ALL = ["one 0", "one 1", "one 2", "two 0", "two 1", "two 2"]


@pytest.fixture
def plan() -> Counting:
    return Counting()


async def only(shared: Shared) -> JobRecord:
    (job,) = await Jobs(shared).list()
    return job


def later(cohort: Instance, seconds: float) -> Shared:
    """Another process, some time after NOW."""
    return Shared.of(cohort.stores, lambda: NOW + timedelta(seconds=seconds))


async def test_a_job_runs_to_its_end_and_tells_how_far_it_is(embedded: Instance, plan: Counting) -> None:
    told: list[tuple[int, int]] = []
    job = await Jobs(embedded.shared).start(
        plan.kind, {"a": 1}, lambda job: told.append((job.steps_done, job.done))
    )
    assert plan.done == ALL
    assert (job.state, job.total, job.steps_done, job.done) == (JobState.DONE, 2, 2, 6)
    assert told == [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (1, 5), (2, 6), (2, 6)]
    assert job.steps[0] == StepState("one", JobState.DONE, Checkpoint(None, 3, {"seen": 3}), updated_on=NOW)
    assert job == await only(embedded.shared)
    assert (job.arguments, job.started_on) == ({"a": 1}, NOW)
    with pytest.raises(InvalidInput, match="is done"):
        await Jobs(embedded.shared).resume(plan.kind, job.id)

    # Interrupted before "two 1"; another process goes on there and does nothing twice.
    plan.done.clear()
    reached = asyncio.Event()

    async def wait() -> None:
        reached.set()
        await asyncio.Event().wait()

    plan.before = lambda thing: wait() if thing == "two 1" else None
    task = asyncio.create_task(Jobs(embedded.shared).start(plan.kind, {}))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (interrupted,) = [job for job in await Jobs(embedded.shared).list() if job.state is not JobState.DONE]
    assert (interrupted.state, interrupted.done) == (JobState.INTERRUPTED, 4)
    plan.before = lambda _: None
    async with embedded.opened() as another:
        resumed = await Jobs(another).resume(plan.kind, interrupted.id)
    assert plan.done == ALL
    assert (resumed.state, resumed.done, resumed.error) == (JobState.DONE, 6, None)


async def test_a_job_without_a_sign_of_life_is_taken_over_and_the_first_one_stops(
    cohort: Instance, plan: Counting
) -> None:
    """The first runner hangs at "one 1" for longer than ABANDONED_AFTER, then wakes up."""
    hanging, wake = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        hanging.set()
        await wake.wait()

    plan.before = lambda thing: hang() if thing == "one 1" and not hanging.is_set() else None
    first = asyncio.create_task(Jobs(cohort.shared).start(plan.kind, {}))
    await hanging.wait()
    job = await only(cohort.shared)
    limit = ABANDONED_AFTER.total_seconds()
    with pytest.raises(Conflict, match="being run"):
        await Jobs(later(cohort, limit - 1)).resume(plan.kind, job.id)

    second = await Jobs(later(cohort, limit)).resume(plan.kind, job.id)
    assert (second.state, plan.done) == (JobState.DONE, ALL)
    wake.set()
    with pytest.raises(Conflict, match="taken over"):
        await first
    # What it did before it noticed is not stored, and the job stays done.
    assert await only(cohort.shared) == second


async def test_of_two_who_take_over_at_once_one_runs(cohort: Instance, plan: Counting) -> None:
    plan.before = lambda _: (_ for _ in ()).throw(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await Jobs(cohort.shared).start(plan.kind, {})
    job = await only(cohort.shared)
    assert (job.state, job.error) == (JobState.INTERRUPTED, "away")
    refused, both = [], asyncio.Event()
    plan.before = lambda _: (
        both.wait()
    )  # the one that runs is at it for as long as the others need to see that

    async def runner() -> str:
        try:
            return (await Jobs(later(cohort, 0)).resume(plan.kind, job.id)).state.name
        except Conflict as error:
            refused.append(error)
            if len(refused) == 2:
                both.set()
            return error.code

    assert sorted(await asyncio.gather(*(runner() for _ in range(3)))) == ["CONFLICT", "CONFLICT", "DONE"]
    assert plan.done == ALL


async def test_a_job_that_breaks_says_why_and_may_be_resumed_at_once(
    embedded: Instance, plan: Counting
) -> None:
    def broken(thing: str) -> None:
        if thing == "two 0":
            raise ZeroDivisionError("by nought")

    plan.before = broken
    with pytest.raises(ZeroDivisionError):
        await Jobs(embedded.shared).start(plan.kind, {})
    job = await only(embedded.shared)
    assert (job.state, job.done) == (JobState.FAILED, 3)
    assert job.error is not None
    assert "by nought" in job.error
    plan.before = lambda _: None
    assert (await Jobs(embedded.shared).resume(plan.kind, job.id)).state is JobState.DONE
    assert plan.done == ALL


async def test_an_unknown_job_or_kind_is_named(embedded: Instance, plan: Counting) -> None:
    with pytest.raises(NotFound, match="counting 7"):
        await Jobs(embedded.shared).resume(plan.kind, "7")
    with pytest.raises(InvalidInput, match=r"there are .*reconcile"):
        job_kind("unknown")
    assert await Jobs(embedded.shared).list() == []


def test_a_kind_is_found_by_its_name() -> None:
    assert [job_kind(kind.name) for kind in JOB_KINDS] == list(JOB_KINDS)
