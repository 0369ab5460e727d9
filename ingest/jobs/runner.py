"""One mechanism for everything long. A job has steps, and each step has a checkpoint, so that any process can go on
with it.

A job is a row with the step ``''`` and a row for each of its steps. The process that runs it owns it, renews its claim
with every checkpoint, and stops when another one has taken over.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

import orjson

from ingest.writes.leases import ABANDONED_AFTER, Lease
from loaders.session import Shared
from rules.errors import CohortError, Conflict, InvalidInput, NotFound, StoreUnavailable
from rules.jobs import ITSELF, JobState
from stores.rows import Row, Rows, Write
from stores.tables import JOBS

SIGN_OF_LIFE = 20.0
"""The most seconds between two checkpoints, however low the rate of a job. It is far less than ABANDONED_AFTER."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a step is. If ``resume`` is None, the step is at its end. ``report`` is the whole report of the step so
    far."""

    resume: str | None
    done: int
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepState:
    name: str
    state: JobState
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as stored. ``steps`` holds the steps that were begun."""

    kind: str
    id: str
    state: JobState
    arguments: Mapping[str, Any]
    steps: Sequence[StepState]
    total: int
    started_on: datetime
    updated_on: datetime
    error: str | None = None
    owner: str | None = None
    failure: Mapping[str, Any] = field(default_factory=dict)
    """Of an error that the caller can act on: its ``code``, and the ``field`` at fault."""

    @property
    def steps_done(self) -> int:
        return sum(step.state is JobState.DONE for step in self.steps)

    @property
    def done(self) -> int:
        """Returns how many things are done in all steps."""
        return sum(step.checkpoint.done for step in self.steps)


class JobPlan(Protocol):
    """What a kind of job does. It is made from the arguments alone, so that another process makes the same."""

    def steps(self) -> Sequence[str]: ...

    def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        """Runs the step from the checkpoint on. Each checkpoint that it yields is stored before it goes on. The last
        one has no ``resume``."""
        ...


Json = Mapping[str, Any]
JobPlanMaker = Callable[[Shared, Mapping[str, Any]], JobPlan]
OnProgress = Callable[[JobRecord], None]


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job. ``job_kinds.py`` lists all kinds.

    - ``name``: its name in the rows.
    - ``plan``: what a job of this kind does.
    - ``private``: arguments that no row has once the job is done.
    - ``secret``: arguments that no row has once it has failed, too. It can't be resumed with them then.
    """

    name: str
    plan: JobPlanMaker
    private: Set[str] = frozenset()
    secret: Set[str] = frozenset()

    def hidden(self, state: JobState) -> Set[str]:
        """Returns the arguments that no row has in this state."""
        if state is JobState.DONE:
            return self.private | self.secret
        return self.secret if state is JobState.FAILED else frozenset()


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
        rows = {row["step"]: row for row in await self._rows.partition(JOBS, (kind, id))}
        if ITSELF not in rows:
            raise NotFound(f"there is no job {kind} {id}", field="id")
        itself = rows.pop(ITSELF)
        return JobRecord(
            kind,
            id,
            JobState(itself["state"]),
            orjson.loads(itself["arguments"]),
            [_step(row) for row in rows.values()],
            itself["total"],
            itself["started_on"],
            itself["updated_on"],
            itself["error"],
            itself["owner"],
            orjson.loads(itself["report"]) if itself["report"] else {},
        )

    async def start(
        self, kind: JobKind, arguments: Mapping[str, Any], on_progress: OnProgress | None = None
    ) -> JobRecord:
        """Runs a new job to its end."""
        owner = uuid4().hex
        job_id = f"{self._shared.now():%Y%m%dT%H%M%S}-{owner[:6]}"
        plan = kind.plan(self._shared, arguments)
        await self._insert(kind, job_id, arguments, plan, JobState.RUNNING, owner)
        return await self._run(kind, job_id, self._lease(kind, job_id, owner), plan, on_progress)

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
        plan: JobPlan,
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
                "total": len(plan.steps()),
                "started_on": now,
                "updated_on": now,
                "owner": owner,
            },
        )

    async def resume(self, kind: JobKind, id: str, on_progress: OnProgress | None = None) -> JobRecord:  # noqa: A002
        """Takes over a job where it stopped: one that was interrupted, failed, or was left without a sign of life.

        Raises InvalidInput if it is done. Raises Conflict if another process is at it.
        """
        job = await self.get(kind.name, id)
        if job.state is JobState.DONE:
            raise InvalidInput(f"job {kind.name} {id} is done", field="id")
        if job.state is JobState.RUNNING and self._shared.now() - job.updated_on < ABANDONED_AFTER:
            raise Conflict(f"job {kind.name} {id} is being run by another process", field="id")
        return await self._take_over(kind, job, on_progress)

    async def run(self, kind: JobKind, id: str, on_progress: OnProgress | None = None) -> JobRecord:  # noqa: A002
        """Runs a job that waits, or takes it over at once: for a caller who knows that its former owner is gone.

        If that one is not gone, it stops at its next checkpoint. A job that is done is returned as it is.
        """
        job = await self.get(kind.name, id)
        return job if job.state is JobState.DONE else await self._take_over(kind, job, on_progress)

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
        self, kind: JobKind, job_id: str, lease: Lease, plan: JobPlan, on_progress: OnProgress | None
    ) -> JobRecord:
        async def tell() -> JobRecord:
            job = await self.get(kind.name, job_id)
            if on_progress is not None:
                on_progress(job)
            return job

        async def end(state: JobState, error: str | None = None, failure: Json | None = None) -> None:
            values = {"state": state.value, "error": error, "updated_on": self._shared.now()}
            if failure is not None:
                values["report"] = orjson.dumps(failure).decode()
            if hidden := kind.hidden(state):
                arguments = (await self.get(kind.name, job_id)).arguments
                public = {name: value for name, value in arguments.items() if name not in hidden}
                values["arguments"] = orjson.dumps(public).decode()
            await lease.change(values)

        begun = {step.name: step for step in (await tell()).steps}
        try:
            for name in plan.steps():
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
        async with _closing(checkpoints):
            async for checkpoint in checkpoints:
                if not await lease.change({"updated_on": self._shared.now()}):
                    raise Conflict(f"job {kind} {job_id} was taken over by another process", field="id")
                state = JobState.DONE if checkpoint.resume is None else JobState.RUNNING
                values = {
                    "state": state.value,
                    "checkpoint": checkpoint.resume,
                    "done": checkpoint.done,
                    "report": orjson.dumps(dict(checkpoint.report)).decode(),
                    "updated_on": self._shared.now(),
                }
                await self._rows.write(Write(JOBS, (kind, job_id, name), values))
                if tell is not None:
                    await tell()


@asynccontextmanager
async def _closing(checkpoints: AsyncIterator[Checkpoint]) -> AsyncIterator[None]:
    """What a step has open, such as a lease or a folder, is closed before the job ends, however that is."""
    try:
        yield
    finally:
        if isinstance(checkpoints, AsyncGenerator):
            await checkpoints.aclose()


def _step(row: Row) -> StepState:
    report = orjson.loads(row["report"]) if row["report"] else {}
    return StepState(
        row["step"], JobState(row["state"]), Checkpoint(row["checkpoint"], row["done"] or 0, report)
    )
