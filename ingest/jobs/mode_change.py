"""Changes an instance to another tracking mode (rules/modes.py).

A change is a job. For each learner it takes the views and attempts that the old mode showed, at every enrolment and every
place that the learner has been at. It writes them to the place where the new mode keeps them (learner_change.py). Then the
workers are told to look again. Old rows stay, so going back loses nothing. No other process may run meanwhile. If an old one
wrote all the same, what it wrote comes over when the change is repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from ingest.jobs.learner_change import ModeChangeReport, coming, write
from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import JobRecord, OnProgress
from ingest.jobs.runner import Jobs, Pace
from ingest.modes.agreement import TRACKING, agreed
from ingest.writes.triggers import trigger_of
from loaders.enrolments import row_key as enrolment_key
from loaders.session import Shared
from rules.errors import Conflict, InvalidInput
from rules.identifiers import ProgressKey
from rules.jobs import JobState
from rules.modes import Agreed, ModeChange
from rules.moments import milliseconds, moment
from rules.tracking import TrackingMode
from rules.triggers import TriggerKind
from stores.rows import Equal, Row, TokenRange
from stores.tables import ENROLMENTS, INSTANCE, LEARNER_SCOPES
from stores.topics import TRIGGERS

RANGES = 16
"""Parts of the ring, each a step."""
PAGE = 500
"""How many scopes are read at a time."""
_VIEWS, _POINTERS, _AGREE = "views", "pointers", "agree"
"""The kinds of steps, in their order."""


async def survey(shared: Shared, old: TrackingMode, new: TrackingMode) -> ModeChangeReport:
    """Returns what ``change_mode`` would do. Writes nothing."""
    change, report = ModeChange(old, new, shared.now()), ModeChangeReport()
    for token_range in shared.stores.rows.ranges(RANGES):
        last = None
        async for page in shared.stores.rows.walk(
            LEARNER_SCOPES, token_range, columns=("userid",), page_size=PAGE
        ):
            users = _users(page.rows, last)
            last = page.rows[-1]["userid"] if page.rows else last
            async for come in coming(shared, change, users):
                report += come.report
    return report


async def change_mode(
    shared: Shared,
    old: TrackingMode,
    new: TrackingMode,
    *,
    rate: float = 500,
    on_progress: OnProgress | None = None,
) -> ModeChangeReport:
    """Runs the job to its end. ``rate`` is learners a second at most.

    - If a job was begun, it goes on where it stopped.
    - If it is done, it is done again, and takes what was written in the old mode since.

    Raises Conflict if another process is at it, or if the instance has agreed on something else.
    """
    if rate <= 0:
        raise InvalidInput("rate must be above 0", field="rate")
    rows, now = shared.stores.rows, shared.now()
    under_way = Agreed(old, new)
    there = await agreed(rows)
    if there == under_way:
        begun = await _latest(shared, old, new)
        if begun is not None and begun.state is not JobState.DONE:
            return report_of(await Jobs(shared).resume(MODE_CHANGE, begun.id, on_progress))
    elif there != Agreed(new):
        values = {"value": under_way.encode(), "changed_on": now}
        applied = await rows.update_if(INSTANCE, TRACKING, values, [Equal("value", Agreed(old).encode())])
        if not applied.applied:
            raise Conflict(f"the rows are not kept in mode {old.value} any more; look again", field="mode")
    arguments = {"from": old.value, "to": new.value, "at": milliseconds(now), "rate": rate}
    return report_of(await Jobs(shared).start(MODE_CHANGE, arguments, on_progress))


async def mode_before(shared: Shared, mode: TrackingMode) -> TrackingMode | None:
    """Returns the mode that the instance had last before this one."""
    job = await _latest(shared, None, mode)
    return None if job is None else TrackingMode(job.arguments["from"])


def report_of(job: JobRecord) -> ModeChangeReport:
    """Returns the report of all steps together."""
    report = ModeChangeReport()
    for step in job.steps:
        report += _report(step.checkpoint.report)
    return report


def _report(kept: Mapping[str, Any]) -> ModeChangeReport:
    return ModeChangeReport(**{one.name: kept.get(one.name, 0) for one in fields(ModeChangeReport)})


async def _latest(shared: Shared, old: TrackingMode | None, new: TrackingMode) -> JobRecord | None:
    for job in await Jobs(shared).list():
        if job.kind != MODE_CHANGE.name or job.arguments["to"] != new.value:
            continue
        if old is None or job.arguments["from"] == old.value:
            return job
    return None


def _plan(shared: Shared, arguments: Mapping[str, Any]) -> JobPlan:
    old, new = TrackingMode(arguments["from"]), TrackingMode(arguments["to"])
    return _Change(shared, ModeChange(old, new, moment(arguments["at"])), arguments["rate"])


MODE_CHANGE = JobKind("mode-change", _plan)


class _Change:
    def __init__(self, shared: Shared, change: ModeChange, rate: float) -> None:
        self._shared = shared
        self._change = change
        self._pace = Pace(rate, PAGE)

    def steps(self) -> Sequence[str]:
        """Returns the steps. Pointers of moves end last: first what they lead to is written where they lead from."""
        kinds = (_VIEWS, _POINTERS) if self._change.old is TrackingMode.MOVE else (_VIEWS,)
        return [*(f"{kind} {number}" for kind in kinds for number in range(RANGES)), _AGREE]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        kind, _, number = step.partition(" ")
        if kind == _AGREE:
            await self._agree()
            yield Checkpoint(None, 0)
            return
        token_range = self._shared.stores.rows.ranges(RANGES)[int(number)]
        walk = self._bring if kind == _VIEWS else self._end_pointers
        async for checkpoint in walk(token_range, start):
            yield checkpoint

    async def _bring(self, token_range: TokenRange, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        rows = self._shared.stores.rows
        report, last = _report(start.report), start.report.get("last")
        async for page in rows.walk(
            LEARNER_SCOPES, token_range, columns=("userid",), page_size=self._pace.page, resume=start.resume
        ):
            users = _users(page.rows, last)
            last = page.rows[-1]["userid"] if page.rows else last
            async with self._pace.of(len(users)):
                async for come in coming(self._shared, self._change, users):
                    report += replace(come.report, views=await write(self._shared, come))
            yield Checkpoint(page.resume, report.learners, {**asdict(report), "last": last})

    async def _end_pointers(self, token_range: TokenRange, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        rows, done = self._shared.stores.rows, start.done
        async for page in rows.walk(
            ENROLMENTS,
            token_range,
            columns=(*ENROLMENTS.key, "moved_to"),
            page_size=self._pace.page,
            resume=start.resume,
        ):
            pointers = {
                ProgressKey(*(row[name] for name in ENROLMENTS.key)): row["moved_to"]
                for row in page.rows
                if row["moved_to"] is not None
            }
            # An enrolment that is no pointer any more has figures of its own again, whether or not a view comes over.
            # The triggers go first: if the job is cut off between them and the rows, it does both again.
            counting = await self._there(list(pointers))
            triggers = [trigger_of(TriggerKind.RECONCILE, key) for key in counting]
            await self._shared.stores.events.send(TRIGGERS.name, *triggers)
            for key, moved_to in pointers.items():
                values: dict[str, Any] = {"moved_to": None}
                if key in counting:
                    values["changed_at"] = self._shared.change_moment()
                await rows.update_if(ENROLMENTS, enrolment_key(key), values, [Equal("moved_to", moved_to)])
                done += 1
            yield Checkpoint(page.resume, done)

    async def _there(self, keys: Sequence[ProgressKey]) -> set[ProgressKey]:
        """Returns the keys whose collection and context exist."""
        library = self._shared.library
        published, contexts = await asyncio.gather(
            library.published(list({key.collection_id for key in keys})),
            library.contexts.load_many(list({key.context_id for key in keys})),
        )
        found = {context.context_id for context in contexts if context is not None}
        return {key for key in keys if key.collection_id in published and key.context_id in found}

    async def _agree(self) -> None:
        rows, change = self._shared.stores.rows, self._change
        values = {"value": Agreed(change.new).encode(), "changed_on": self._shared.now()}
        under_way = Agreed(change.old, change.new)
        applied = await rows.update_if(INSTANCE, TRACKING, values, [Equal("value", under_way.encode())])
        if not applied.applied and await agreed(rows) != Agreed(change.new):
            raise Conflict("the instance has agreed on another mode meanwhile", field="mode")


def _users(rows: Sequence[Row], last: str | None) -> list[str]:
    """Returns the users of a page of a walk, except the one that the page before ended with."""
    return [user for user in dict.fromkeys(row["userid"] for row in rows) if user != last]
