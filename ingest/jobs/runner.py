"""One mechanism for everything long. A job has steps, and each step has a checkpoint, so that any process can go on
with it.

A job is a row with the step ``''`` and a row for each of its steps. The process that runs it owns it, renews its claim
with every checkpoint, and stops when another one has taken over. A parted job has no owner: its parts have
(ingest/jobs/parts.py).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any
from uuid import uuid4

import orjson

from ingest.jobs.parts import OnWait, join
from ingest.jobs.plans import Checkpoint, JobKind, JobPlan, PartedPlan, closing, step_names
from ingest.jobs.records import JobRecord, OnProgress, ended, job_of, stored
from ingest.writes.leases import ABANDONED_AFTER, Lease
from loaders.session import Shared
from rules.errors import CohortError, Conflict, InvalidInput, StoreUnavailable
from rules.jobs import ITSELF, JobState
from stores.rows import Rows, Write
from stores.tables import JOBS

SIGN_OF_LIFE = 20.0
"""The most seconds between two checkpoints, however low the rate of a job. It is far less than ABANDONED_AFTER."""


class Pace:
    """Holds a job to ``rate`` things a second. ``page`` is how many things go into one checkpoint: ``most`` at most."""

    def __init__(self, rate: float, most: int) -> None:
        self._rate = rate
        self.page = max(1, min(most, int(rate * SIGN_OF_LIFE)))

    @asynccontextmanager
    async def of(self, count: int) -> AsyncIterator[None]:
        """Sleeps so that the body, for ``count`` things, takes at least ``count / rate`` seconds."""
        begun = time.monotonic()
        yield
        await asyncio.sleep(max(0.0, count / self._rate - (time.monotonic() - begun)))


class Jobs:
    """The jobs of an instance. ``rows``: a request's own, so that its reads share statements."""

    def __init__(self, shared: Shared, rows: Rows | None = None) -> None:
        self._shared = shared
        self._rows = rows or shared.stores.rows

    async def list(self) -> list[JobRecord]:
        """Returns all jobs, the newest first."""
        keys: dict[tuple[str, str], None] = {}
        for token_range in self._rows.ranges(1):
            async for page in self._rows.walk(JOBS, token_range, columns=("kind", "id")):
                keys |= {(row["kind"], row["id"]): None for row in page.rows}
        found = [await self.get(*key) for key in keys]
        return sorted(found, key=lambda job: job.started_on, reverse=True)

    async def get(self, kind: str, id: str) -> JobRecord:  # noqa: A002 - a job's id is its id
        return job_of(kind, id, await self._rows.partition(JOBS, (kind, id)))

    async def start(
        self, kind: JobKind, arguments: Mapping[str, Any], on_progress: OnProgress | None = None
    ) -> JobRecord:
        """Runs a new job to its end."""
        owner = uuid4().hex
        job_id = f"{self._shared.now():%Y%m%dT%H%M%S}-{owner[:6]}"
        if kind.parted:
            await self.create(kind, job_id, arguments)
            return await join(self._shared, kind, job_id, on_progress)
        plan = kind.plan(self._shared, arguments)
        await self._insert(kind, job_id, arguments, plan, JobState.RUNNING, owner)
        return await self._run(kind, job_id, self._lease(kind, job_id, owner), plan, on_progress)

    async def open(self, kind: JobKind, arguments: Mapping[str, Any], same: Sequence[str]) -> JobRecord:
        """Returns the job that is not done and whose arguments named in ``same`` are these; else writes a new one.

        Of several processes that open one at once, all get the same. The id has a digest of these arguments and a number.
        """
        which = orjson.dumps({name: arguments.get(name) for name in same}, option=orjson.OPT_SORT_KEYS)
        digest = sha256(which).hexdigest()[:8]
        number = 1
        while True:
            job_id = f"{digest}-{number}"
            itself = await self._rows.get(JOBS, (kind.name, job_id, ITSELF), ["state"])
            if itself is None:
                return await self.create(kind, job_id, arguments)
            if itself["state"] != JobState.DONE.value:
                return await self.get(kind.name, job_id)
            number += 1

    async def create(self, kind: JobKind, id: str, arguments: Mapping[str, Any]) -> JobRecord:  # noqa: A002
        """Writes a job that waits for somebody to ``run`` it, or returns the one that has this id already."""
        plan = kind.plan(self._shared, arguments)
        await self._insert(kind, id, arguments, plan, JobState.WAITING, None)
        return await self.get(kind.name, id)

    async def _insert(
        self,
        kind: JobKind,
        job_id: str,
        arguments: Mapping[str, Any],
        plan: JobPlan | PartedPlan,
        state: JobState,
        owner: str | None,
    ) -> None:
        now = self._shared.now()
        await self._rows.insert_if_absent(
            JOBS,
            {
                "kind": kind.name,
                "id": job_id,
                "step": ITSELF,
                "state": state.value,
                "arguments": orjson.dumps(dict(arguments)).decode(),
                "total": len(step_names(plan)),
                "started_on": now,
                "updated_on": now,
                "owner": owner,
            },
        )

    async def resume(
        self,
        kind: JobKind,
        id: str,  # noqa: A002
        on_progress: OnProgress | None = None,
        on_wait: OnWait | None = None,
    ) -> JobRecord:
        """Takes over a job where it stopped: one that was interrupted, failed, or was left without a sign of life.

        Joins a parted job, also one that others are at. ``on_wait`` is told when they hold all that is left of it.
        Raises InvalidInput if it is done. Raises Conflict if another process is at it.
        """
        job = await self.get(kind.name, id)
        if job.state is JobState.DONE:
            raise InvalidInput(f"job {kind.name} {id} is done", field="id")
        if kind.parted:
            return await join(self._shared, kind, id, on_progress, on_wait)
        if job.state is JobState.RUNNING and self._shared.now() - job.updated_on < ABANDONED_AFTER:
            raise Conflict(f"job {kind.name} {id} is being run by another process", field="id")
        return await self._take_over(kind, job, on_progress)

    async def run(self, kind: JobKind, id: str, on_progress: OnProgress | None = None) -> JobRecord:  # noqa: A002
        """Runs a job that waits, or takes it over at once: for a caller who knows that its former owner is gone.

        If that one is not gone, it stops at its next checkpoint. A parted job is joined. A job that is done is returned
        as it is.
        """
        job = await self.get(kind.name, id)
        if job.state is JobState.DONE:
            return job
        if kind.parted:
            return await join(self._shared, kind, id, on_progress)
        return await self._take_over(kind, job, on_progress)

    async def _take_over(self, kind: JobKind, job: JobRecord, on_progress: OnProgress | None) -> JobRecord:
        lease = self._lease(kind, job.id, uuid4().hex)
        seen = {"owner": job.owner, "updated_on": job.updated_on}
        values = {
            "state": JobState.RUNNING.value,
            "error": None,
            "report": None,
            "updated_on": self._shared.now(),
        }
        if not (await lease.take(seen, values)).applied:
            raise Conflict(f"job {kind.name} {job.id} was taken up by another process", field="id")
        return await self._run(kind, job.id, lease, kind.plan(self._shared, job.arguments), on_progress)

    def _lease(self, kind: JobKind, job_id: str, owner: str) -> Lease:
        return Lease(self._rows, JOBS, (kind.name, job_id, ITSELF), owner)

    async def _run(
        self,
        kind: JobKind,
        job_id: str,
        lease: Lease,
        plan: JobPlan | PartedPlan,
        on_progress: OnProgress | None,
    ) -> JobRecord:
        async def tell() -> JobRecord:
            job = await self.get(kind.name, job_id)
            if on_progress is not None:
                on_progress(job)
            return job

        async def end(
            state: JobState, error: str | None = None, failure: Mapping[str, Any] | None = None
        ) -> None:
            arguments = (await self.get(kind.name, job_id)).arguments if kind.hidden(state) else {}
            values = ended(kind, arguments, state, error, failure)
            await lease.change({**values, "updated_on": self._shared.now()})

        begun = {step.name: step for step in (await tell()).steps}
        try:
            for name in step_names(plan):
                step = begun.get(name)
                if step is not None and step.state is JobState.DONE:
                    continue
                start = step.checkpoint if step else Checkpoint(None, 0)
                await self._run_step(
                    *(kind.name, job_id, lease, name, plan.run(name, start)), tell if on_progress else None
                )
        except asyncio.CancelledError:
            await asyncio.shield(end(JobState.INTERRUPTED))
            raise
        except CohortError as error:
            # What a store that is away interrupts, somebody goes on with: a publisher by itself, or `cohort jobs resume`.
            state = JobState.INTERRUPTED if isinstance(error, StoreUnavailable) else JobState.FAILED
            await end(state, error.message, {"code": error.code, "field": error.field})
            raise
        except Exception as error:
            await end(JobState.FAILED, f"internal error: {error!r}")
            raise
        await end(JobState.DONE)
        return await tell()

    async def _run_step(
        self,
        kind: str,
        job_id: str,
        lease: Lease,
        name: str,
        checkpoints: AsyncIterator[Checkpoint],
        tell: Callable[[], Awaitable[JobRecord]] | None,
    ) -> None:
        async with closing(checkpoints):
            async for checkpoint in checkpoints:
                if not await lease.change({"updated_on": self._shared.now()}):
                    raise Conflict(f"job {kind} {job_id} was taken over by another process", field="id")
                values = {**stored(checkpoint), "updated_on": self._shared.now()}
                await self._rows.write(Write(JOBS, (kind, job_id, name), values))
                if tell is not None:
                    await tell()
