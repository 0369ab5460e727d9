"""Contexts: batches, programs, events. Any authenticated viewer may read them."""

from typing import Any

from ingest.commands.contexts import create_context, update_context
from loaders.session import Session
from rules.contents import Content, ContentKind
from rules.contexts import Context
from rules.errors import InvalidInput
from rules.identifiers import checked_id

__all__ = ["change_context", "collections_of", "context", "create_context"]


async def context(session: Session, context_id: str) -> Context:
    """One context. NotFound, InvalidInput, Unauthenticated."""
    session.viewer.known()
    return await session.library.context(checked_id(context_id, "contextId"))


async def collections_of(session: Session, context: Context) -> list[Content]:
    """The collections of a context that are still published."""
    found = await session.library.contents.load_many(context.collection_ids)
    return [content for content in found if content is not None and content.kind is ContentKind.COLLECTION]


async def change_context(session: Session, context_id: str, changes: dict[str, Any]) -> Context:
    """Changes a context. ``changes`` as GraphQL or REST has them: lists, and None to clear. InvalidInput for what
    cannot be cleared."""
    for name, field in (
        ("name", "name"),
        ("collection_ids", "collectionIds"),
        ("enrolment_type", "enrolmentType"),
    ):
        if name in changes and changes[name] is None:
            raise InvalidInput(f"{field} can be changed but not cleared", field=field)
    wanted = dict(changes)
    if "name" in wanted:
        wanted["name"] = wanted["name"].strip()
    if "collection_ids" in wanted:
        wanted["collection_ids"] = tuple(
            sorted({checked_id(identifier, "collectionIds") for identifier in wanted["collection_ids"]})
        )
    if "mentors" in wanted:
        wanted["mentors"] = frozenset(checked_id(mentor, "mentors") for mentor in wanted["mentors"] or ())
    return await update_context(session, checked_id(context_id, "contextId"), wanted)
