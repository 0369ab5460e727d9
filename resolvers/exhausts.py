"""Exhausts: asking for one, how far it is, and the link to its file (R-ASSESS-6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.commands.exhaust_files import EXHAUST
from ingest.exhausts.order import ExhaustOrder
from ingest.exhausts.requests import ExhaustCall, context_reported, request_exhaust
from ingest.jobs.records import JobRecord
from ingest.jobs.runner import Jobs
from ingest.writes.expiring_files import expires_on
from loaders.session import Session
from resolvers.publications import Failure
from rules.access import Access
from rules.errors import NotFound
from rules.exhausts import ExhaustFormat, ExhaustKind
from rules.identifiers import checked_id
from rules.jobs import JobState

__all__ = ["Exhaust", "ExhaustLink", "Failure", "exhaust", "exhaust_link", "request"]

_SHORTEST = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Exhaust:
    """The job of an exhaust, as a client sees it. ``learners_total`` and the others are 0 until they are known. The file
    is deleted at ``kept_until``."""

    id: str
    kind: ExhaustKind
    format: ExhaustFormat
    collection_id: str
    context_id: str
    state: JobState
    learners: int
    learners_total: int
    rows: int
    size: int
    failure: Failure | None
    started_on: datetime
    updated_on: datetime
    kept_until: datetime
    file: str

    @classmethod
    def of(cls, job: JobRecord) -> "Exhaust":
        order = ExhaustOrder.of(job.arguments)
        report = next((step.checkpoint.report for step in job.steps), {})
        return cls(
            job.id,
            order.kind,
            order.format,
            order.collection_id,
            order.context_id,
            job.state,
            job.done,
            report.get("learners", 0),
            report.get("rows", 0),
            report.get("size", 0),
            Failure.of(job),
            job.started_on,
            job.updated_on,
            expires_on(order.file),
            order.file,
        )


@dataclass(frozen=True, slots=True)
class ExhaustLink:
    """``url`` opens the file for anybody until ``expires_on``. ``size`` in bytes."""

    url: str
    size: int
    expires_on: datetime


async def request(session: Session, call: ExhaustCall) -> Exhaust:
    """Asks for an exhaust. Forbidden, NotFound, InvalidInput, LimitReached."""
    return Exhaust.of(await request_exhaust(session, call))


async def exhaust(session: Session, exhaust_id: str) -> Exhaust:
    """One exhaust, for who asked for it and still may have it, for admins and for services. NotFound, Forbidden,
    Unauthenticated."""
    viewer = session.viewer.known()
    jobs = Jobs(session.shared, session.stores.rows)
    try:
        job = await jobs.get(EXHAUST, checked_id(exhaust_id, "exhaustId"))
    except NotFound:
        raise NotFound(f"there is no exhaust {exhaust_id}", field="exhaustId") from None
    order = ExhaustOrder.of(job.arguments)
    session.viewer.check(
        Access.EXHAUST_ASKER, named=viewer == order.by, may="see this exhaust", field="exhaustId"
    )
    await context_reported(session, order.collection_id, order.context_id)
    return Exhaust.of(job)


async def exhaust_link(session: Session, found: Exhaust) -> ExhaustLink | None:
    """A new link to the file. None until the exhaust is done, and once the file is gone: it has expired, or a learner of
    the context was deleted."""
    life = min(session.shared.link_ttl, found.kept_until - session.now())
    if found.state is not JobState.DONE or life < _SHORTEST:
        return None
    blobs = session.stores.blobs
    blob = await blobs.find(found.file)
    if blob is None:
        return None
    return ExhaustLink(await blobs.link(found.file, life), blob.size, session.now() + life)
