"""Asking for a publish: a job that waits, and a message that tells a publisher of it."""

import hashlib
from uuid import uuid4

from ingest.commands.draft_changes import check_author
from ingest.commands.draft_origins import draft_for_edit
from ingest.jobs.asked_for import ask_for
from ingest.jobs.records import JobRecord, OnProgress
from ingest.jobs.runner import Jobs
from ingest.publishing.job import PUBLISHING, PublishOrder
from ingest.writes.leases import ABANDONED_AFTER
from ingest.writes.retrying import Attempts
from loaders.session import Session, Shared
from rules.contents import ContentKind
from rules.drafts import Draft, DraftStatus
from rules.errors import Conflict, InvalidInput, NotFound
from rules.identifiers import checked_id
from rules.jobs import JobState
from stores.rows import Equal
from stores.tables import DRAFTS
from stores.topics import PUBLISH_REQUESTS


async def request_publish(
    session: Session, identifier: str, *, unlisted: bool = False, version_key: str | None = None
) -> JobRecord:
    """Asks the publishers for a publish of the draft, and returns its job.

    If a publish of the same draft is under way, that one is returned. One of a newer draft queues behind it.

    What was only published gets its first draft. Needs the role creator, admin or service. Raises NotFound if nothing has
    the id. Raises Conflict if the draft is not the one with this version key.
    """
    job = await create_publication(session, identifier, unlisted=unlisted, version_key=version_key)
    if job.state is JobState.WAITING:
        # Also where it was asked for before: that caller may have died before the message.
        await send_request(session.shared, job)
    return job


async def create_publication(
    session: Session, identifier: str, *, unlisted: bool = False, version_key: str | None = None
) -> JobRecord:
    """Does what ``request_publish`` does, without the message: for a caller who runs the job."""
    check_author(session)
    identifier = checked_id(identifier, "identifier")
    shared, rows = session.shared, session.shared.stores.rows
    async for _ in Attempts():
        draft = await draft_for_edit(session, identifier)
        _check_may_publish(draft, version_key)
        stored = await rows.get(DRAFTS, (identifier,), ("publication",))
        mark, last = _mark(draft, unlisted), stored["publication"] if stored else None
        job_id = last if last is not None and mark in last.split("-") else None
        if job_id is None or await _has_ended(shared, job_id):
            job_id = f"{shared.now():%Y%m%dT%H%M%S}-{mark}-{uuid4().hex[:6]}"
            as_read = [Equal("publication", last), Equal("version_key", draft.version_key)]
            if not (await rows.update_if(DRAFTS, (identifier,), {"publication": job_id}, as_read)).applied:
                continue
        order = PublishOrder(
            job_id,
            identifier,
            draft.kind,
            unlisted,
            session.viewer.user_id,
            shared.now(),
            shared.public_url,
            version_key,
        )
        return await Jobs(shared).create(PUBLISHING, job_id, order.arguments())
    raise Conflict(f"{identifier} is being changed by others; try again", field="identifier")


async def run_publication(shared: Shared, job_id: str, on_progress: OnProgress | None = None) -> JobRecord:
    """Runs a publication to its end, from where it stopped; at once, whoever had it before."""
    return await Jobs(shared).run(PUBLISHING, job_id, on_progress)


async def send_request(shared: Shared, job: JobRecord) -> None:
    """Tells the publishers of a job. Those of one collection reach the same publisher, in order."""
    await ask_for(shared, PUBLISH_REQUESTS.name, str(job.arguments["identifier"]), job)


def _check_may_publish(draft: Draft, version_key: str | None) -> None:
    if draft.status is DraftStatus.RETIRED:
        raise InvalidInput(f"{draft.identifier} is retired and can't be published", field="identifier")
    if draft.kind is ContentKind.UNIT:
        raise InvalidInput(f"{draft.identifier} is a unit: its collection is published", field="identifier")
    if version_key is not None and version_key != draft.version_key:
        raise Conflict(
            f"{draft.identifier} was changed since: its version key is another one", field="versionKey"
        )


def _mark(draft: Draft, unlisted: bool) -> str:
    """Returns the part of a job's id that all publications of the same draft have in common."""
    return hashlib.sha256(f"{draft.version_key} {unlisted}".encode()).hexdigest()[:12]


async def _has_ended(shared: Shared, job_id: str) -> bool:
    """Whether nobody is going to go on with the job by themselves. One that was marked in the draft and not yet written
    is about to begin: the caller writes it too."""
    try:
        job = await Jobs(shared).get(PUBLISHING.name, job_id)
    except NotFound:
        return False
    if job.state is JobState.RUNNING:
        return shared.now() - job.updated_on >= ABANDONED_AFTER
    return job.state is not JobState.WAITING
