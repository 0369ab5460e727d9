"""Publications: asking for one, and how far it is (R-COLL-5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.commands.draft_changes import check_author
from ingest.jobs.records import JobRecord
from ingest.jobs.runner import Jobs
from ingest.publishing.job import PUBLISHING, steps_of
from ingest.publishing.requests import request_publish
from loaders.session import Session
from rules.errors import NotFound
from rules.identifiers import checked_id
from rules.jobs import JobState

__all__ = ["Failure", "Publication", "Step", "publication", "publish"]


@dataclass(frozen=True, slots=True)
class Step:
    """``done``: how many things of its kind are done. ``report``: what it tells of them."""

    name: str
    state: JobState
    done: int
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job ended. ``code``: of rules/errors.py; None for an error that nobody expected."""

    code: str | None
    message: str
    field: str | None

    @classmethod
    def of(cls, job: JobRecord) -> "Failure | None":
        """None if the job has not failed."""
        if job.error is None:
            return None
        code = job.failure.get("code")
        return cls(code, job.error if code is not None else "internal error", job.failure.get("field"))


@dataclass(frozen=True, slots=True)
class Publication:
    """The job of one publish, as a client sees it. ``version``: the one that it makes live; None before it is claimed, or
    if there was nothing to publish."""

    id: str
    identifier: str
    version: int | None
    state: JobState
    steps: Sequence[Step]
    failure: Failure | None
    started_on: datetime
    updated_on: datetime

    @classmethod
    def of(cls, job: JobRecord) -> "Publication":
        begun = {step.name: step for step in job.steps}
        version = begun["validate"].checkpoint.report.get("version") if "validate" in begun else None
        return cls(
            job.id,
            job.arguments["identifier"],
            version,
            job.state,
            _steps(job),
            Failure.of(job),
            job.started_on,
            job.updated_on,
        )


def _steps(job: JobRecord) -> list[Step]:
    """All steps of the job. The first that is not done is as far as the job itself is: it is the one that is being done,
    or that failed. A step has a row only from its first checkpoint on."""
    begun = {step.name: step for step in job.steps}
    steps, at = [], JobState.WAITING if job.state is JobState.DONE else job.state
    for name in steps_of(job.arguments):
        step = begun.get(name)
        if step is not None and step.state is JobState.DONE:
            state = JobState.DONE
        else:
            state, at = at, JobState.WAITING
        report = step.checkpoint.report if step is not None else {}
        steps.append(Step(name, state, step.checkpoint.done if step is not None else 0, report))
    return steps


async def publication(session: Session, publication_id: str) -> Publication:
    """One publication. NotFound, Forbidden, Unauthenticated."""
    check_author(session)
    jobs = Jobs(session.shared, session.stores.rows)
    try:
        return Publication.of(await jobs.get(PUBLISHING.name, checked_id(publication_id, "publicationId")))
    except NotFound:
        raise NotFound(f"there is no publication {publication_id}", field="publicationId") from None


async def publish(
    session: Session, identifier: str, *, unlisted: bool, version_key: str | None
) -> Publication:
    """Asks for a publish. NotFound, Forbidden, Conflict, InvalidInput."""
    job = await request_publish(session, identifier, unlisted=unlisted, version_key=version_key)
    return Publication.of(job)
