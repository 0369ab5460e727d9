"""Asking for an exhaust: a job that waits, and a message that tells those who run them."""

from dataclasses import dataclass, replace
from uuid import uuid4

from ingest.commands.exhaust_files import EXHAUSTS
from ingest.exhausts.job import EXHAUSTING, blob_file_name, check_limit
from ingest.exhausts.order import ExhaustOrder
from ingest.jobs.asked_for import AskedFor, ask_for
from ingest.jobs.records import JobRecord, OnProgress
from ingest.jobs.runner import Jobs
from loaders.session import Session, Shared
from rules.contexts import Context, check_contains, check_may_report
from rules.exhausts import ExhaustFormat, ExhaustKind, checked_password
from rules.identifiers import checked_id
from stores.topics import EXHAUST_GROUP, EXHAUST_REQUESTS

LONGEST = 6 * 3600.0
"""Seconds that an exhaust may take before others take who runs it for dead, and begin it anew."""


@dataclass(frozen=True, slots=True)
class ExhaustCall:
    """What is asked for. With a ``password`` the file is an encrypted zip."""

    kind: ExhaustKind
    collection_id: str
    context_id: str
    format: ExhaustFormat = ExhaustFormat.CSV
    password: str | None = None


class ExhaustRunner(AskedFor):
    """A member of the group that runs exhausts."""

    def __init__(self, shared: Shared, *, wait: float = 0.5) -> None:
        super().__init__(shared, EXHAUSTING, EXHAUST_REQUESTS.name, EXHAUST_GROUP, wait=wait, longest=LONGEST)


async def request_exhaust(session: Session, call: ExhaustCall) -> JobRecord:
    """Asks for an exhaust and returns its job, which goes on by itself.

    For mentors of the context, its creator, and who may see every learner. Raises Forbidden, NotFound, InvalidInput,
    LimitReached, StoreUnavailable.
    """
    job = await create_exhaust(session, call)
    await ask_for(session.shared, EXHAUST_REQUESTS.name, job.arguments["context_id"], job)
    return job


async def create_exhaust(session: Session, call: ExhaustCall) -> JobRecord:
    """Does what ``request_exhaust`` does, without the message: for a caller who runs the job."""
    shared, now, viewer = session.shared, session.now(), session.viewer.known()
    collection_id = checked_id(call.collection_id, "collectionId")
    context_id = checked_id(call.context_id, "contextId")
    password = checked_password(call.password)
    await session.library.collection(collection_id)
    await context_reported(session, collection_id, context_id)
    await check_limit(shared, context_id, viewer)
    order = ExhaustOrder(
        job=f"{now:%Y%m%dT%H%M%S}-{uuid4().hex[:12]}",
        kind=call.kind,
        collection_id=collection_id,
        context_id=context_id,
        format=call.format,
        file="",
        by=viewer,
        at=now,
        password=password,
    )
    file = EXHAUSTS.new_name(context_id, viewer, now + shared.exhaust_ttl, blob_file_name(order))
    return await Jobs(shared).create(EXHAUSTING, order.job, replace(order, file=file).arguments())


async def run_exhaust(shared: Shared, job_id: str, on_progress: OnProgress | None = None) -> JobRecord:
    """Runs an exhaust to its end; at once, whoever had it before."""
    return await Jobs(shared).run(EXHAUSTING, job_id, on_progress)


async def context_reported(session: Session, collection_id: str, context_id: str) -> Context:
    """Returns the context of a report that the viewer may have. Raises NotFound, Forbidden. Raises InvalidInput if the
    collection has no such context."""
    context = await session.library.context(context_id)
    check_contains(context, collection_id)
    check_may_report(session.viewer, context)
    return context
