"""Processes share the parts of a job: each part is done once, by one of them at a time, and none is lost with its process."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from ingest.jobs import parts
from ingest.jobs.parts import FailedElsewhere, Waiting, join
from ingest.jobs.plans import Checkpoint
from ingest.jobs.records import JobRecord, StepState
from ingest.jobs.runner import Jobs
from ingest.writes.leases import ABANDONED_AFTER
from loaders.session import Shared
from rules.errors import CohortError, InvalidInput, StoreUnavailable
from rules.jobs import JobState
from tests.conftest import NOW, Instance
from tests.ingest.counted_parts import PARTS, THINGS, CountedParts
from tests.ingest.interruptions import Interruption, dies
from tests.ingest.parts_process import HANGS_AT

LIMIT = ABANDONED_AFTER.total_seconds()


@pytest.fixture
def plan() -> CountedParts:
    return CountedParts()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LOOK_AGAIN", 0.02)


def later(cohort: Instance, seconds: float) -> Shared:
    """Another process, some time after NOW."""
    return Shared.of(cohort.stores, lambda: NOW + timedelta(seconds=seconds))


async def opened(shared: Shared, plan: CountedParts) -> JobRecord:
    return await Jobs(shared).open(plan.kind, {"from": "there"}, ["from"])


async def state_of(cohort: Instance, job: JobRecord, part: str) -> StepState:
    record = await Jobs(cohort.shared).get(job.kind, job.id)
    return next(step for step in record.steps if step.name == part)


class Pause:
    """Holds whoever comes to this thing, the first time, until it is released."""

    def __init__(self, thing: str) -> None:
        self._thing = thing
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    def __call__(self, thing: str) -> Awaitable[object] | None:
        if thing != self._thing or self.reached.is_set():
            return None
        return self._hold()

    async def _hold(self) -> None:
        self.reached.set()
        await self.released.wait()


async def test_processes_share_the_parts_and_each_part_runs_once(
    cohort: Instance, plan: CountedParts
) -> None:
    plan.before = lambda _: asyncio.sleep(0.01)
    job = await opened(cohort.shared, plan)
    joined = await asyncio.gather(*(join(later(cohort, 0), plan.kind, job.id) for _ in range(3)))
    assert sorted(plan.done) == THINGS
    assert sorted(plan.begun) == [(part.name, None) for part in PARTS]
    # The first phase is at its end before the second begins.
    assert [thing.partition(" ")[0] for thing in plan.done] == ["early"] * 12 + ["late"] * 9
    for record in joined:
        assert (record.state, record.total, record.steps_done, record.done) == (JobState.DONE, 7, 7, 21)
        assert record.error is None
        assert {(step.state, step.owner) for step in record.steps} == {(JobState.DONE, None)}
    assert joined[0].steps[0].checkpoint == Checkpoint(None, 3, {"seen": 3})


async def test_who_joins_late_takes_what_is_left(cohort: Instance, plan: CountedParts) -> None:
    pause = Pause("early 00: 1")
    plan.before = pause
    job = await opened(cohort.shared, plan)
    first = asyncio.create_task(join(cohort.shared, plan.kind, job.id))
    await pause.reached.wait()
    told: list[Waiting] = []

    def waits(waiting: Waiting) -> None:
        told.append(waiting)
        pause.released.set()

    await join(later(cohort, 20), plan.kind, job.id, None, waits)
    await first
    assert sorted(plan.done) == THINGS
    # Three parts were free. Then it waited for the one that the first held, and for nothing of the next phase.
    assert (plan.done[0], sorted(plan.done[1:10])) == ("early 00: 0", THINGS[3:12])
    owner = told[0].owner
    assert (told[0].part, told[0].silent, told[0].free_in) == (
        "early 00",
        timedelta(seconds=20),
        timedelta(seconds=40),
    )
    assert " process " in owner


async def test_the_part_of_a_process_that_is_gone_is_taken_over_and_goes_on_from_its_checkpoint(
    cohort: Instance, plan: CountedParts
) -> None:
    """The first one hangs at its second thing for longer than ABANDONED_AFTER, then wakes up."""
    pause = Pause("early 00: 1")
    plan.before = pause
    job = await opened(cohort.shared, plan)
    first = asyncio.create_task(join(cohort.shared, plan.kind, job.id))
    await pause.reached.wait()
    waited: list[Waiting] = []
    early = asyncio.create_task(join(later(cohort, LIMIT - 1), plan.kind, job.id, None, waited.append))
    while not waited:
        await asyncio.sleep(0.01)
    early.cancel()
    with pytest.raises(asyncio.CancelledError):
        await early
    assert waited[0].free_in == timedelta(seconds=1)
    assert "early 00: 1" not in plan.done

    done = await join(later(cohort, LIMIT), plan.kind, job.id)
    assert (done.state, done.done) == (JobState.DONE, 21)
    assert plan.begun.count(("early 00", "1")) == 1
    assert sorted(plan.done) == THINGS
    # What the first one did before it noticed is not stored: its checkpoint is refused, and there is nothing left for it.
    pause.released.set()
    assert await first == done
    assert plan.begun.count(("early 00", None)) == 1


async def test_a_stale_owner_takes_other_parts_and_leaves_its_own(
    cohort: Instance, plan: CountedParts
) -> None:
    """While the second one is at the part that the first one held, the first one wakes up."""
    clock = [NOW]
    shared = Shared.of(cohort.stores, lambda: clock[0])
    stale, new = Pause("early 00: 1"), Pause("early 00: 2")
    plan.before = lambda thing: stale(thing) or new(thing)
    job = await opened(shared, plan)
    first = asyncio.create_task(join(shared, plan.kind, job.id))
    await stale.reached.wait()
    clock[0] += ABANDONED_AFTER
    second = asyncio.create_task(join(shared, plan.kind, job.id))
    await new.reached.wait()
    held = await state_of(cohort, job, "early 00")
    stale.released.set()
    while "early 03: 2" not in plan.done:
        await asyncio.sleep(0.01)
    assert await state_of(cohort, job, "early 00") == held
    new.released.set()
    done = await asyncio.gather(first, second)
    assert [record.done for record in done] == [21, 21]
    # The first did its thing again that it was at when it fell silent; its checkpoint did not count.
    assert sorted(plan.done) == sorted([*THINGS, "early 00: 1"])


async def test_who_is_cancelled_gives_back_its_part_at_once(cohort: Instance, plan: CountedParts) -> None:
    pause = Pause("early 01: 1")
    plan.before = pause
    job = await opened(cohort.shared, plan)
    first = asyncio.create_task(join(cohort.shared, plan.kind, job.id))
    await pause.reached.wait()
    assert (await Jobs(cohort.shared).get(job.kind, job.id)).state is JobState.RUNNING
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    record = await Jobs(cohort.shared).get(job.kind, job.id)
    assert (record.state, record.error, record.done) == (JobState.INTERRUPTED, None, 4)
    part = await state_of(cohort, job, "early 01")
    assert (part.state, part.owner, part.checkpoint.resume) == (JobState.INTERRUPTED, None, "1")
    # In the same second: it goes on where that one was, and does nothing twice.
    assert (await Jobs(cohort.shared).resume(plan.kind, job.id)).state is JobState.DONE
    assert plan.done == THINGS


async def test_the_job_runs_on_while_somebody_is_at_it(cohort: Instance, plan: CountedParts) -> None:
    one, two = Pause("early 00: 0"), Pause("early 01: 0")
    plan.before = lambda thing: one(thing) or two(thing)
    job = await opened(cohort.shared, plan)
    tasks = [asyncio.create_task(join(cohort.shared, plan.kind, job.id)) for _ in range(2)]
    await one.reached.wait()
    await two.reached.wait()
    states = []
    for task in tasks:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        states.append((await Jobs(cohort.shared).get(job.kind, job.id)).state)
    assert states == [JobState.RUNNING, JobState.INTERRUPTED]


async def test_two_who_leave_at_once_leave_the_job_interrupted(cohort: Instance, plan: CountedParts) -> None:
    one, two = Pause("early 00: 0"), Pause("early 01: 0")
    plan.before = lambda thing: one(thing) or two(thing)
    job = await opened(cohort.shared, plan)
    tasks = [asyncio.create_task(join(cohort.shared, plan.kind, job.id)) for _ in range(2)]
    await one.reached.wait()
    await two.reached.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await Jobs(cohort.shared).get(job.kind, job.id)).state is JobState.INTERRUPTED


async def test_a_part_that_fails_ends_the_job_for_all_and_is_named(
    cohort: Instance, plan: CountedParts
) -> None:
    pause = Pause("early 01: 1")

    def broken(thing: str) -> Awaitable[object] | None:
        if thing == "early 00: 1":
            raise InvalidInput("no such column", field="status")
        return pause(thing)

    plan.before = pause
    job = await opened(cohort.shared, plan)
    other_pause = Pause("early 00: 0")
    plan.before = lambda thing: other_pause(thing) or broken(thing)
    failing = asyncio.create_task(join(cohort.shared, plan.kind, job.id))
    await other_pause.reached.wait()
    other = asyncio.create_task(join(cohort.shared, plan.kind, job.id))
    await pause.reached.wait()
    other_pause.released.set()
    with pytest.raises(InvalidInput, match="no such column"):
        await failing
    pause.released.set()
    with pytest.raises(FailedElsewhere, match="failed in another process: early 00: no such column"):
        await other
    record = await Jobs(cohort.shared).get(job.kind, job.id)
    assert (record.state, record.error) == (JobState.FAILED, "early 00: no such column")
    assert record.failure == {"code": "INVALID_INPUT", "field": "status"}
    failed, given_back = await state_of(cohort, job, "early 00"), await state_of(cohort, job, "early 01")
    assert (failed.state, failed.owner, failed.error) == (JobState.FAILED, None, "no such column")
    assert (given_back.state, given_back.owner) == (JobState.INTERRUPTED, None)

    plan.before = lambda _: None
    done = await Jobs(cohort.shared).resume(plan.kind, job.id)
    assert (done.state, done.error, done.failure, done.done) == (JobState.DONE, None, {}, 21)
    assert {step.error for step in done.steps} == {None}
    # What was at its checkpoint was not done again; the other's thing was, as its checkpoint was refused.
    assert sorted(plan.done) == sorted([*THINGS, "early 01: 1"])


@pytest.mark.parametrize(
    "refused", [InvalidInput("user and password are refused there"), StoreUnavailable("no host answers")]
)
async def test_what_one_process_can_t_open_stops_no_other(
    cohort: Instance, plan: CountedParts, refused: CohortError
) -> None:
    pause = Pause("early 01: 1")
    plan.before = pause
    job = await opened(cohort.shared, plan)
    first = asyncio.create_task(join(cohort.shared, plan.kind, job.id))
    await pause.reached.wait()
    other = CountedParts(refused=refused)
    with pytest.raises(type(refused), match=refused.message):
        await join(later(cohort, 0), other.kind, job.id)
    pause.released.set()
    assert (await first).state is JobState.DONE
    assert (sorted(plan.done), other.begun) == (THINGS, [])
    assert plan.holders == 0


def _is_wrong(_: str) -> None:
    raise InvalidInput("a part is wrong")


async def test_a_failed_job_stays_so_where_it_can_t_be_opened(embedded: Instance, plan: CountedParts) -> None:
    job = await opened(embedded.shared, plan)
    plan.before = _is_wrong
    with pytest.raises(InvalidInput, match="a part is wrong"):
        await join(embedded.shared, plan.kind, job.id)
    with pytest.raises(InvalidInput, match="refused"):
        await join(embedded.shared, CountedParts(refused=InvalidInput("refused")).kind, job.id)
    record = await Jobs(embedded.shared).get(job.kind, job.id)
    assert (record.state, record.error) == (JobState.FAILED, "early 00: a part is wrong")


async def test_a_fault_of_ours_fails_the_job_too(embedded: Instance, plan: CountedParts) -> None:
    def broken(_: str) -> None:
        raise ZeroDivisionError("by nought")

    plan.before = broken
    job = await opened(embedded.shared, plan)
    with pytest.raises(ZeroDivisionError):
        await join(embedded.shared, plan.kind, job.id)
    record = await Jobs(embedded.shared).get(job.kind, job.id)
    assert record.state is JobState.FAILED
    assert record.error == "early 00: internal error: ZeroDivisionError('by nought')"


async def test_a_store_that_is_away_interrupts_and_the_others_go_on(
    cohort: Instance, plan: CountedParts
) -> None:
    pause = Pause("early 01: 1")

    def away(thing: str) -> Awaitable[object] | None:
        if thing == "early 00: 1" and not pause.released.is_set():
            raise StoreUnavailable("the source is away")
        return pause(thing)

    job = await opened(cohort.shared, plan)
    first_held = Pause("early 00: 0")
    plan.before = lambda thing: first_held(thing) or away(thing)
    unlucky = asyncio.create_task(join(cohort.shared, plan.kind, job.id))
    await first_held.reached.wait()
    other = asyncio.create_task(join(cohort.shared, plan.kind, job.id))
    await pause.reached.wait()
    first_held.released.set()
    with pytest.raises(StoreUnavailable):
        await unlucky
    part = await state_of(cohort, job, "early 00")
    assert (part.state, part.owner, part.error) == (JobState.INTERRUPTED, None, "the source is away")
    assert (await Jobs(cohort.shared).get(job.kind, job.id)).state is JobState.RUNNING
    pause.released.set()
    assert (await other).done == 21
    assert sorted(plan.done) == THINGS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_wherever_a_statement_fails_the_next_process_goes_on_from_there(
    embedded: Instance, plan: CountedParts, after: bool
) -> None:
    """7 parts of a claim and 3 checkpoints, and the end of the job: 29 statements that change something."""
    for number in range(29):
        plan.done.clear()
        cut_off = Interruption(number, dies, after=after)
        job = await Jobs(embedded.shared).open(plan.kind, {"number": number}, ["number"])
        with pytest.raises(StoreUnavailable):
            await join(cut_off.of(embedded.shared), plan.kind, job.id)
        done = await join(embedded.shared, plan.kind, job.id)
        assert (done.state, done.done, {step.owner for step in done.steps}) == (JobState.DONE, 21, {None})
        # A thing whose checkpoint was refused is done again, and no other.
        again = [thing for thing in THINGS if plan.done.count(thing) == 2]
        assert sorted(plan.done) == sorted([*THINGS, *again]), number
        assert len(again) == (0 if after or number % 4 == 0 else 1), number


async def test_processes_that_open_a_job_at_once_get_the_same(cohort: Instance, plan: CountedParts) -> None:
    found = await asyncio.gather(*(opened(later(cohort, second), plan) for second in range(5)))
    assert len({job.id for job in found}) == 1
    assert (found[0].state, found[0].total, found[0].steps) == (JobState.WAITING, 7, [])
    other = await Jobs(cohort.shared).open(plan.kind, {"from": "elsewhere"}, ["from"])
    assert other.id != found[0].id
    done = await join(cohort.shared, plan.kind, found[0].id)
    # Who joins what is done gets it; to resume it is an error; to open it begins a new one.
    assert (await join(cohort.shared, plan.kind, done.id)).state is JobState.DONE
    with pytest.raises(InvalidInput, match="is done"):
        await Jobs(cohort.shared).resume(plan.kind, done.id)
    new = await opened(cohort.shared, plan)
    assert new.id.rpartition("-") == (done.id.rpartition("-")[0], "-", "2")


async def test_a_checkpoint_is_one_statement(cohort: Instance, plan: CountedParts) -> None:
    """By hand, for 7 parts of 3 checkpoints: a batch for each checkpoint and each claim, 7 * (3 + 1). To join and to tell at
    the end: one read of the rows each. One look for each of the two phases, and one that finds nothing. The end of the job."""
    job = await opened(cohort.shared, plan)
    with cohort.stores.rows.meter.measure() as cost:
        await join(cohort.shared, plan.kind, job.id)
    assert cost == {"conditional batch job": 28, "select job": 2 + 3, "conditional update job": 1}


async def test_how_far_it_is_is_told_now_and_then(
    embedded: Instance, plan: CountedParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its beginning and at its end only, as each telling reads all rows; or after each checkpoint, if that is long ago."""
    told: list[JobRecord] = []
    job = await opened(embedded.shared, plan)
    done = await join(embedded.shared, plan.kind, job.id, told.append)
    assert [record.done for record in told] == [0, 21]
    assert (told[-1], list(done.parts)) == (done, PARTS)
    monkeypatch.setattr(parts, "TELL_EVERY", 0.0)
    told.clear()
    await Jobs(embedded.shared).start(plan.kind, {}, told.append)
    assert [record.done for record in told] == [*range(22), 21]


async def test_the_time_of_a_part_leaves_out_its_breaks(embedded: Instance, plan: CountedParts) -> None:
    """Two things in 10 s, a break of an hour, the third in 5 s: 15 s."""
    clock = [NOW]
    shared = Shared.of(embedded.stores, lambda: clock[0])

    def works(thing: str) -> Awaitable[object] | None:
        if thing == "early 00: 2" and clock[0] < NOW + timedelta(hours=1):
            raise StoreUnavailable("away")
        if thing.startswith("early 00"):
            clock[0] += timedelta(seconds=5)
        return None

    plan.before = works
    job = await opened(shared, plan)
    with pytest.raises(StoreUnavailable):
        await join(shared, plan.kind, job.id)
    clock[0] += timedelta(hours=1)
    await join(shared, plan.kind, job.id)
    assert (await state_of(embedded, job, "early 00")).worked == timedelta(seconds=15)


async def hanging(cohort: Instance, job: JobRecord) -> Process:
    """A process that has joined the job and hangs at HANGS_AT."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.ingest.parts_process"),
        *(json.dumps(cohort.urls), str(cohort.data), job.id),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout is not None
    before = [(await process.stdout.readline()).decode().strip() for _ in range(5)]
    assert before == [*THINGS[: THINGS.index(HANGS_AT)], "hanging"]
    return process


async def test_killed_in_the_middle_its_part_is_taken_over_and_nothing_is_missing(
    cohort: Instance, plan: CountedParts
) -> None:
    job = await opened(cohort.shared, plan)
    process = await hanging(cohort, job)
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL
    part = await state_of(cohort, job, "early 01")
    assert (part.state, part.checkpoint.resume) == (JobState.RUNNING, "1")
    assert f"process {process.pid} " in (part.owner or "")
    done = await join(later(cohort, LIMIT), plan.kind, job.id)
    assert (done.state, done.done, plan.done) == (JobState.DONE, 21, THINGS[THINGS.index(HANGS_AT) :])


async def test_sigterm_gives_the_part_back_before_the_process_ends_by_it(
    cohort: Instance, plan: CountedParts
) -> None:
    job = await opened(cohort.shared, plan)
    process = await hanging(cohort, job)
    process.send_signal(signal.SIGTERM)
    _, told = await process.communicate()
    assert (process.returncode, told.decode()) == (-signal.SIGTERM, "cohort: ended by SIGTERM\n")
    part = await state_of(cohort, job, "early 01")
    assert (part.state, part.owner) == (JobState.INTERRUPTED, None)
    assert (await Jobs(cohort.shared).get(job.kind, job.id)).state is JobState.INTERRUPTED
    await join(cohort.shared, plan.kind, job.id)
    assert plan.done == THINGS[THINGS.index(HANGS_AT) :]
