"""Parted jobs. Any number of processes join one, and each takes the next part that nobody holds.

Each part is a row of the job: its owner, the last sign of life, the checkpoint. A checkpoint is one conditional batch. It
renews the claim on the part and asks in the same statement whether the job still goes on.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from ingest.jobs.plans import Checkpoint, JobKind, Openable, Part, PartedPlan, closing
from ingest.jobs.records import JobRecord, OnProgress, checkpoint_of, ended, job_of, stored
from ingest.writes.leases import ABANDONED_AFTER, this_process
from loaders.session import Shared
from rules.errors import CohortError, Conflict, NotFound, StoreUnavailable
from rules.jobs import ITSELF, JobState
from stores.rows import Change, Condition, Equal, In, Row
from stores.tables import JOBS

LOOK_AGAIN = 2.0
"""Seconds from one look for a free part to the next, while others hold all that are left."""
TELL_EVERY = 2.0
"""Seconds between two tellings of how far the job is, at least. Each reads the rows of all parts."""
GOES_ON = In(
    "state", tuple(state.value for state in (JobState.WAITING, JobState.RUNNING, JobState.INTERRUPTED))
)
"""The condition of every write of a part: the job has neither failed nor come to its end."""
JOB = "job"
"""The argument by which a plan learns the id of its job. It is not stored."""
CLAIMS = ("step", "state", "owner", "started_on", "updated_on", "error")


@dataclass(frozen=True, slots=True)
class Waiting:
    """All parts that are left are held by others. Of these, the one that is free first if its owner stays silent."""

    part: str
    owner: str
    silent: timedelta
    free_in: timedelta


OnWait = Callable[[Waiting], None]


class FailedElsewhere(Conflict):
    """A part of the job failed in another process, which ended the job."""


async def join(
    shared: Shared,
    kind: JobKind,
    job_id: str,
    tell: OnProgress | None = None,
    on_wait: OnWait | None = None,
) -> JobRecord:
    """Takes part in a job until it is done, and returns it. One that was interrupted or failed goes on.

    If it is cancelled or a store is away, its part is free at once. Raises the error of a part that fails here, and
    FailedElsewhere if one failed in another process: then the job is at its end for all. What goes wrong before it takes
    a part, such as a password that is refused, is its own affair.
    """
    return await _Joiner(shared, kind, job_id, tell, on_wait).run()


class _Joiner:
    def __init__(
        self,
        shared: Shared,
        kind: JobKind,
        job_id: str,
        tell: OnProgress | None,
        on_wait: OnWait | None,
    ) -> None:
        self._shared = shared
        self._rows = shared.stores.rows
        self._kind = kind
        self._key = (kind.name, job_id)
        self._on_progress = tell
        self._on_wait = on_wait
        self._owner = this_process()
        self._held: Part | None = None
        self._unclaimed: list[Part] = []
        self._told_at = -TELL_EVERY
        self._plan: PartedPlan
        self._parts: Sequence[Part] = ()
        self._arguments: Mapping[str, Any]

    async def run(self) -> JobRecord:
        job = await self._record()
        if job.state is JobState.DONE:
            return job
        plan = self._plan_of(job)
        opened = plan if isinstance(plan, Openable) else None
        try:
            if opened is not None:
                await opened.open()
            if job.state is JobState.FAILED:
                await self._go_on()
            return await self._join()
        finally:
            if opened is not None:
                await opened.close()

    async def _join(self) -> JobRecord:
        try:
            await self._tell()
            while (taken := await self._take()) is not None:
                await self._do(*taken)
            await self._end()
        except asyncio.CancelledError:
            await asyncio.shield(self._leave())
            raise
        except FailedElsewhere:
            await self._leave()
            raise
        except StoreUnavailable as error:
            await self._leave(error.message)
            raise
        except CohortError as error:
            await self._fail(error.message, {"code": error.code, "field": error.field})
            raise
        except Exception as error:
            await self._fail(f"internal error: {error!r}")
            raise
        self._told_at = -TELL_EVERY
        await self._tell()
        return await self._record()

    def _plan_of(self, job: JobRecord) -> PartedPlan:
        plan = self._kind.plan(self._shared, {**job.arguments, JOB: job.id})
        if not isinstance(plan, PartedPlan):
            raise TypeError(f"the kind {self._kind.name} has no parts")
        self._plan, self._parts, self._arguments = plan, plan.parts(), job.arguments
        return plan

    async def _go_on(self) -> None:
        """A job that failed goes on from here."""
        again = {"state": JobState.INTERRUPTED.value, "error": None, "report": None}
        await self._change(ITSELF, again, [Equal("state", JobState.FAILED.value)])

    async def _take(self) -> tuple[Part, Checkpoint] | None:
        """Returns the next part, which is held now, and where it goes on. Waits while others hold all that are left.
        Returns None if all parts are done."""
        while True:
            # To look at all parts for each would cost the more, the more parts there are.
            if self._unclaimed:
                next_one = self._unclaimed.pop()
                if (start := await self._claim(next_one, None)) is not None:
                    return next_one, start
            claims = await self._claims()
            self._check(claims.get(ITSELF))
            left = [part for part in self._parts if not _is(claims.get(part.name), JobState.DONE)]
            if not left:
                return None
            phase = min(part.phase for part in left)
            free_in = {part: self._free_in(claims.get(part.name)) for part in left if part.phase == phase}
            first = min(free_in, key=lambda part: free_in[part])
            claim = claims.get(first.name)
            if claim is not None and free_in[first] > timedelta():
                await self._wait(first, claim, free_in[first])
                continue
            self._unclaimed = [part for part in free_in if part.name not in claims and part != first]
            self._unclaimed.reverse()
            if any(self._free_in(row) for row in claims.values()):
                random.shuffle(self._unclaimed)  # else all who are at it would reach for the same one
            if (start := await self._claim(first, claim)) is not None:
                return first, start

    async def _wait(self, part: Part, claim: Row, free_in: timedelta) -> None:
        if self._on_wait is not None:
            self._on_wait(Waiting(part.name, claim["owner"], ABANDONED_AFTER - free_in, free_in))
        await self._tell()
        await asyncio.sleep(LOOK_AGAIN)

    def _free_in(self, claim: Row | None) -> timedelta:
        """Returns in how much time anybody may take the part: none if nobody holds it."""
        if claim is None or claim["owner"] is None:
            return timedelta()
        silent: timedelta = self._shared.now() - claim["updated_on"]
        return max(timedelta(), ABANDONED_AFTER - silent)

    async def _claim(self, part: Part, seen: Row | None) -> Checkpoint | None:
        """Takes the part, if it still is as it was seen. Returns where it goes on, or None if another was faster."""
        now = self._shared.now()
        began = now if seen is None else now - (seen["updated_on"] - seen["started_on"])
        values = {"state": JobState.RUNNING.value, "owner": self._owner, "error": None, "started_on": began}
        same = [Equal(name, seen[name]) for name in ("state", "owner", "updated_on")] if seen else []
        # Ahead of the write: if it is cut off, it is not known whether it took the part, which then is given back.
        self._held = part
        if not await self._write(part, values, same, {"error": None}):
            self._held = None
            return None
        row = None if seen is None else await self._rows.get(JOBS, (*self._key, part.name))
        return Checkpoint(None, 0) if row is None else checkpoint_of(row)

    async def _do(self, part: Part, start: Checkpoint) -> None:
        """Runs the part to its end, or until another process has taken it over."""
        checkpoints = self._plan.run(part.name, start)
        async with closing(checkpoints):
            async for checkpoint in checkpoints:
                is_last = checkpoint.resume is None
                values = {**stored(checkpoint), "owner": None if is_last else self._owner}
                if not await self._write(part, values, [Equal("owner", self._owner)]):
                    self._check((await self._claims()).get(ITSELF))
                    self._held = None
                    return
                if is_last:
                    self._held = None
                await self._tell()

    async def _end(self) -> None:
        if not await self._change(ITSELF, ended(self._kind, self._arguments, JobState.DONE), [GOES_ON]):
            self._check((await self._claims()).get(ITSELF))

    async def _leave(self, error: str | None = None) -> None:
        """Gives back the part that is held. If nobody else is at the job, it is interrupted.

        The part goes first, so that of two who leave at once one sees that nobody is left. If a store is away, the claim
        expires.
        """
        with suppress(StoreUnavailable):
            if self._held is not None:
                given = {"state": JobState.INTERRUPTED.value, "owner": None, "error": error}
                await self._change(self._held.name, given, [Equal("owner", self._owner)])
            claims = await self._claims()
            if not any(self._free_in(claims.get(part.name)) for part in self._parts):
                left = {"state": JobState.INTERRUPTED.value, "error": error}
                await self._change(ITSELF, left, [Equal("state", JobState.RUNNING.value)])

    async def _fail(self, error: str, failure: Mapping[str, Any] | None = None) -> None:
        """Ends the job for all, unless the part has become another process's."""
        part = self._held
        if part is None:
            await self._leave(error)
            return
        values = {"state": JobState.FAILED.value, "owner": None, "error": error}
        of_job = ended(self._kind, self._arguments, JobState.FAILED, f"{part.name}: {error}", failure)
        with suppress(StoreUnavailable):
            await self._write(part, values, [Equal("owner", self._owner)], of_job)

    async def _write(
        self,
        part: Part,
        values: Mapping[str, Any],
        conditions: Sequence[Condition],
        of_job: Mapping[str, Any] | None = None,
    ) -> bool:
        """Changes the part and the job in one statement, if the part meets the conditions and the job goes on."""
        now = self._shared.now()
        job = {"state": JobState.RUNNING.value, **(of_job or {}), "updated_on": now}
        return await self._rows.write_together(
            JOBS,
            [
                Change((*self._key, part.name), {**values, "updated_on": now}, conditions),
                Change((*self._key, ITSELF), job, [GOES_ON]),
            ],
        )

    async def _change(self, step: str, values: Mapping[str, Any], conditions: Sequence[Condition]) -> bool:
        changed = {**values, "updated_on": self._shared.now()}
        return (await self._rows.update_if(JOBS, (*self._key, step), changed, conditions)).applied

    async def _claims(self) -> dict[str, Row]:
        rows = await self._rows.partition(JOBS, self._key, columns=CLAIMS)
        return {row["step"]: row for row in rows}

    def _check(self, itself: Row | None) -> None:
        """Raises FailedElsewhere if another process has ended the job, and NotFound if it is gone."""
        name = " ".join(self._key)
        if itself is None:
            raise NotFound(f"there is no job {name} any more", field="id")
        if _is(itself, JobState.FAILED):
            raise FailedElsewhere(f"job {name} failed in another process: {itself['error']}", field="id")

    async def _tell(self) -> None:
        if self._on_progress is not None and time.monotonic() - self._told_at >= TELL_EVERY:
            self._on_progress(await self._record())
            self._told_at = time.monotonic()

    async def _record(self) -> JobRecord:
        kind, job_id = self._key
        job = job_of(kind, job_id, await self._rows.partition(JOBS, self._key))
        return replace(job, parts=self._parts)


def _is(row: Row | None, state: JobState) -> bool:
    return row is not None and row["state"] == state.value
