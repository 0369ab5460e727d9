"""The erasure of a learner as a job (ingest/commands/learner_erasure.py)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.commands.erased_rows import ErasedRows
from ingest.commands.learner_erasure import STEPS, LearnerErasure
from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import JobRecord, OnProgress
from ingest.jobs.runner import Jobs
from loaders.session import Shared
from rules.identifiers import checked_id
from rules.moments import milliseconds, moment


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """How many places, groups and rows of views a job has deleted."""

    places: int
    groups: int
    views: int


async def erase_learner(shared: Shared, user_id: str, on_progress: OnProgress | None = None) -> ErasureReport:
    """Deletes all of a learner, as a job, and returns at its end. Until then the job's row has the learner's id."""
    arguments = {
        "user_id": checked_id(user_id, "userId"),
        "erased_on": milliseconds(shared.now()),
        "written_on": shared.change_moment(),
    }
    report = report_of(await Jobs(shared).start(ERASURE, arguments, on_progress))
    await shared.stores.rows.scrub()
    return report


def report_of(job: JobRecord) -> ErasureReport:
    reports = [step.checkpoint.report for step in job.steps]
    return ErasureReport(
        *(sum(report.get(name, 0) for report in reports) for name in ("places", "groups", "views"))
    )


def _plan(shared: Shared, arguments: Mapping[str, Any]) -> JobPlan:
    user_id, erased_on = arguments["user_id"], moment(arguments["erased_on"])
    return _Job(LearnerErasure(shared, ErasedRows(shared, user_id, erased_on, arguments["written_on"])))


ERASURE = JobKind("erase", _plan, private=frozenset({"user_id"}))


class _Job:
    """An erasure resumes by itself, as what is deleted is not found again. A checkpoint only tells how far it is."""

    def __init__(self, erasure: LearnerErasure) -> None:
        self._erasure = erasure

    def steps(self) -> Sequence[str]:
        return STEPS

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        done, report = start.done, dict(start.report)
        async for counted in self._erasure.run_step(step):
            done += counted.get("places", 0) + counted.get("groups", 0)
            report = {name: report.get(name, 0) + counted.get(name, 0) for name in {*report, *counted}}
            yield Checkpoint(step, done, report)
        yield Checkpoint(None, done, report)
