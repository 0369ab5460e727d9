"""Contexts: batches, programs, events. Any authenticated viewer may read them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ingest.commands.contexts import create_context, update_context
from loaders import contexts as lists
from loaders.enrolments import enrolment_places
from loaders.session import Session
from resolvers.context_orders import ContextOrder, ordering_of
from resolvers.ordering import MOST_ORDERED, Ordering, too_many
from resolvers.paging import Asked, Page
from rules.contents import Content, ContentKind
from rules.contexts import Context, ContextStatus, is_joinable
from rules.errors import InvalidInput
from rules.identifiers import checked_id

__all__ = [
    "CollectionContexts",
    "CollectionContextsWanted",
    "change_context",
    "collections_of",
    "context",
    "create_context",
]


async def context(session: Session, context_id: str) -> Context:
    """One context. NotFound, InvalidInput, Unauthenticated."""
    session.viewer.known()
    return await session.library.context(checked_id(context_id, "contextId"))


async def collections_of(session: Session, context: Context) -> list[Content]:
    """The collections of a context that are still published."""
    found = await session.library.contents.load_many(context.collection_ids)
    return [content for content in found if content is not None and content.kind is ContentKind.COLLECTION]


@dataclass(frozen=True, slots=True)
class CollectionContextsWanted:
    """Which contexts of a collection, and in which order. None: whatever it is.

    - ``open``: whether learners may join it now without an invitation.
    - ``not_mine``: without those where the viewer is enrolled.
    """

    open: bool | None = None
    not_mine: bool = False
    status: ContextStatus | None = None
    by: ContextOrder = ContextOrder.JOINABLE_UNTIL
    descending: bool = False

    @property
    def ordering(self) -> Ordering[Context]:
        return ordering_of(self.by, descending=self.descending)


class CollectionContexts:
    """The contexts of a collection. None of a retired collection may be joined."""

    def __init__(self, session: Session, collection: Content, wanted: CollectionContextsWanted) -> None:
        session.viewer.known()
        self._session = session
        self._collection_id = collection.identifier
        self._wanted = wanted
        self._now = session.now()
        self._none = collection.is_retired and wanted.open is True
        self._open = None if collection.is_retired else wanted.open
        # In whole seconds: the collections of a list are read by one statement.
        self._start = (self._now.replace(microsecond=0), "") if self._open else None

    async def page(self, asked: Asked) -> Page[Context]:
        """A page of them. In the order of the last moment to join, forward, those that may be joined now are read without
        the others, and with a ``status`` the others are passed over, some of them a page: a page may then be short, or
        empty, although there are more. Else InvalidInput where there are more than MOST_ORDERED.
        """
        wanted, ordering = self._wanted, self._wanted.ordering
        if self._none:
            return ordering.page([], asked)
        if wanted.by is not ContextOrder.JOINABLE_UNTIL or wanted.descending or asked.backward:
            found = await self._whole()
            if found is None:
                raise too_many("contexts", "order by JOINABLE_UNTIL, ascending")
            return ordering.page(found, asked)
        begins = [place for place in (ordering.moment_of_place(asked), self._start) if place is not None]
        is_past = self._open is False or wanted.status is ContextStatus.COMPLETED
        page = await lists.contexts_page(
            *(self._session.stores.rows, self._session.library, self._collection_id),
            await self._filter(),
            first=asked.limit,
            after=max(begins, default=None),
            until=self._now if is_past else None,
        )
        end = None if page.end is None else ordering.place_of(*page.end)
        return Page(page.contexts, page.end is not None, end)

    async def count(self) -> int | None:
        """How many there are in all; None where there are too many to count."""
        found = [] if self._none else await self._whole()
        return None if found is None else len(found)

    async def _whole(self) -> list[Context] | None:
        rows, library = self._session.stores.rows, self._session.library
        found = await lists.contexts_whole(
            rows, library, self._collection_id, after=self._start, most=MOST_ORDERED
        )
        return None if found is None else [*filter(await self._filter(), found)]

    async def _filter(self) -> Callable[[Context], bool]:
        mine: set[str] = set()
        if self._wanted.not_mine:
            user_id, rows = self._session.viewer.known(), self._session.stores.rows
            mine = {
                place.context_id
                for place in await enrolment_places(rows, user_id)
                if place.active and place.collection_id == self._collection_id
            }

        def wanted(context: Context) -> bool:
            return (
                self._open in (None, is_joinable(context, self._now))
                and self._wanted.status in (None, context.status_at(self._now))
                and context.context_id not in mine
            )

        return wanted


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
