"""A retired leaf leaves the collections that learners see: their next version is the live one without it."""

from uuid import uuid4

from ingest.commands.draft_changes import check_author
from ingest.jobs.records import JobRecord
from ingest.jobs.runner import Jobs
from ingest.publishing.job import PUBLISHING, PublishOrder
from ingest.publishing.requests import send_request
from loaders.session import Session
from rules.contents import Content, ContentKind
from rules.drafts import DraftStatus
from stores.tables import NODE_ROOTS


async def republish_without(session: Session, leaf: str) -> list[JobRecord]:
    """Asks the publishers for the next version of each published collection that holds this leaf, and returns the jobs.

    The source is the live tree, so nothing of a draft goes live by this. Needs the role creator, admin or service.
    Asked again, it makes jobs that find nothing to do, and so do no harm.
    """
    check_author(session)
    shared = session.shared
    jobs = []
    for content in await _holders(session, leaf):
        job_id = f"{shared.now():%Y%m%dT%H%M%S}-{uuid4().hex[:12]}"
        order = PublishOrder(
            job_id,
            content.identifier,
            ContentKind.COLLECTION,
            content.status == DraftStatus.UNLISTED.value,
            session.viewer.user_id,
            shared.now(),
            shared.public_url,
            without=(leaf,),
        )
        job = await Jobs(shared).create(PUBLISHING, job_id, order.arguments())
        await send_request(shared, job)
        jobs.append(job)
    return jobs


async def _holders(session: Session, leaf: str) -> list[Content]:
    """Returns the collections whose live version holds the leaf. A row may tell of a version that is not live."""
    rows = await session.stores.rows.partition(NODE_ROOTS, (leaf,), columns=("root",))
    roots = [row["root"] for row in rows if row["root"] != leaf]
    for root in roots:
        session.library.contents.forget(root)
    published = await session.library.published(roots)
    return [
        content
        for content, tree in published.values()
        if content.kind is ContentKind.COLLECTION and tree is not None and leaf in tree.leaf_nodes
    ]
