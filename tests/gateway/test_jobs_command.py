"""`cohort jobs`: what is told of jobs that processes share, and how another process joins one."""

import asyncio

import pytest

from gateway.settings import load_settings
from gateway.wiring import running
from ingest import job_kinds
from ingest.jobs.parts import join
from ingest.jobs.runner import Jobs
from rules.errors import StoreUnavailable
from tests.gateway.test_cli import cohort
from tests.ingest.counted_parts import PARTS, THINGS, CountedParts


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> CountedParts:
    plan = CountedParts()
    monkeypatch.setattr(job_kinds, "JOB_KINDS", (*job_kinds.JOB_KINDS, plan.kind))
    assert cohort("init").returncode == 0
    return plan


async def test_a_parted_job_is_listed_while_it_runs_and_resumed_where_it_stopped(plan: CountedParts) -> None:
    listed: list[str] = []

    async def look(thing: str) -> None:
        await asyncio.sleep(0.002)
        if thing in ("early 00: 0", "early 01: 2"):
            listed.append((await asyncio.to_thread(cohort, "jobs", "list")).stdout)
        if thing == "early 01: 2":
            raise StoreUnavailable("the source is away")

    plan.before = look
    async with running(load_settings()) as instance:
        job = await Jobs(instance.shared).open(plan.kind, {}, [])
        listed.append((await asyncio.to_thread(cohort, "jobs", "list")).stdout)
        with pytest.raises(StoreUnavailable):
            await join(instance.shared, plan.kind, job.id)
    listed.append((await asyncio.to_thread(cohort, "jobs", "list")).stdout)
    waiting, first, later, interrupted = listed
    assert "waiting      part 0 of 7, 0 rows  " in waiting
    assert "running      part 0 of 7, 0 rows, 0 a second, 1 held" in first
    assert "running      part 1 of 7, 5 rows, " in later
    assert int(later.partition("rows, ")[2].partition(" a second, 1 held")[0]) > 0
    assert "interrupted  part 1 of 7, 5 rows  " in interrupted
    assert interrupted.endswith("the source is away\n")

    plan.before = lambda _: None
    done = await asyncio.to_thread(cohort, "jobs", "resume", "parted", job.id)
    assert (done.returncode, done.stdout) == (0, f"parted {job.id}: done, 21 done\n")
    assert done.stderr.splitlines() == ["early: 4 of 4, 12 rows", "late: 3 of 3, 9 rows"]
    assert sorted(plan.done) == THINGS
    assert f"part {len(PARTS)} of 7, 21 rows  " in (await asyncio.to_thread(cohort, "jobs", "list")).stdout
