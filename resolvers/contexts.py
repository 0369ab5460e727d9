"""Contexts: batches, programs, events. Any authenticated viewer may read them."""

from collections.abc import Sequence
from typing import Any

from ingest.commands.contexts import create_context, update_context
from loaders import contexts as lists
from loaders.contexts import Place, place_of
from loaders.session import Session
from resolvers.paging import Page, checked_first
from rules.contents import Content, ContentKind
from rules.contexts import Context, ContextStatus, is_joinable
from rules.errors import InvalidInput
from rules.identifiers import checked_id
from rules.moments import milliseconds, moment

__all__ = ["change_context", "collections_of", "context", "contexts_of", "create_context", "cursor_of"]


async def context(session: Session, context_id: str) -> Context:
    """One context. NotFound, InvalidInput, Unauthenticated."""
    session.viewer.known()
    return await session.library.context(checked_id(context_id, "contextId"))


async def collections_of(session: Session, context: Context) -> list[Content]:
    """The collections of a context that are still published."""
    found = await session.library.contents.load_many(context.collection_ids)
    return [content for content in found if content is not None and content.kind is ContentKind.COLLECTION]


async def contexts_of(
    session: Session,
    collection: Content,
    *,
    joinable: bool | None,
    status: ContextStatus | None,
    first: int,
    after: Sequence[str] | None,
) -> Page[Context]:
    """A page of a collection's contexts, in the order of the last moment at which learners may join them: first those
    that are by invitation alone, last those that no date closes.

    Those that may be joined now are read without the others. With a ``status`` the others are passed over, some
    of them a page: a page may then be short, or empty, although there are more. None of a retired collection may be
    joined.
    """
    session.viewer.known()
    if collection.is_retired:
        if joinable:
            return Page([], False, None)
        joinable = None
    now = session.now()
    # In whole seconds: the collections of a list are read by one statement.
    start = (now.replace(microsecond=0), "") if joinable else None
    begins = [place for place in (_place(after), start) if place is not None]
    is_past = joinable is False or status is ContextStatus.COMPLETED

    def wanted(context: Context) -> bool:
        return joinable in (None, is_joinable(context, now)) and status in (None, context.status_at(now))

    page = await lists.contexts_page(
        session.stores.rows,
        session.library,
        collection.identifier,
        wanted,
        first=checked_first(first),
        after=max(begins, default=None),
        until=now if is_past else None,
    )
    return Page(page.contexts, page.end is not None, None if page.end is None else _cursor(page.end))


def cursor_of(context: Context) -> Sequence[str]:
    """What the cursor of a context in such a list carries."""
    return _cursor(place_of(context))


def _cursor(place: Place) -> Sequence[str]:
    return str(milliseconds(place[0])), place[1]


def _place(cursor: Sequence[str] | None) -> Place | None:
    if cursor is None:
        return None
    try:
        return moment(int(cursor[0])), cursor[1]
    except (ValueError, OverflowError):
        raise InvalidInput("after must be a cursor of this list", field="after") from None


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
