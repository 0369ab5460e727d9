"""Assessments: submitting them, and the attempts whose scores were computed."""

from collections.abc import Sequence

from ingest.commands.assessments import AssessmentCall, submit_assessment
from loaders.attempts import attempts_page as rows_page
from loaders.session import Session
from resolvers.paging import Page, checked_first
from resolvers.progress import placed_key
from rules.assessments import Submission
from rules.attempts import Attempt
from rules.identifiers import checked_id, optional_id

__all__ = ["AssessmentCall", "Submission", "attempts_page", "submit_assessment"]


async def attempts_page(
    session: Session,
    user_id: str,
    collection_id: str,
    context_id: str | None,
    *,
    content_id: str | None = None,
    first: int,
    after: Sequence[str] | None,
) -> Page[Attempt]:
    """A page of a learner's attempts in one place, in the order of content and attempt.

    If ``collection_id`` is the id of the content, the place is the content by itself. ``after``: content and attempt
    of the last one seen.
    """
    session.viewer.check_may_see(user_id)
    limit = checked_first(first)
    collection_id, content_id = (
        checked_id(collection_id, "collectionId"),
        optional_id(content_id, "contentId"),
    )
    if collection_id == content_id:
        place = (user_id, content_id, content_id)
    else:
        collection = await session.library.collection(collection_id)
        key = await placed_key(session, user_id, collection, context_id)
        place = (key.user_id, key.collection_id, key.context_id)
    found = await rows_page(session.stores.rows, place, content_id=content_id, after=after, limit=limit + 1)
    return Page(found[:limit], len(found) > limit)
