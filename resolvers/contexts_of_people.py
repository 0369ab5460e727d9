"""The contexts that somebody mentors or created."""

from dataclasses import dataclass
from datetime import datetime

from loaders.contexts_of_people import contexts_of_person, contexts_page_of_person
from loaders.session import Session
from resolvers.context_orders import ContextOrder, ordering_of
from resolvers.ordering import MOST_ORDERED, Ordering, too_many
from resolvers.paging import Asked, Page
from rules.access import Access
from rules.contexts import Context, ContextRelation, ContextStatus
from rules.identifiers import ContextType, checked_id


@dataclass(frozen=True, slots=True)
class ContextsWanted:
    """Which contexts of somebody, and in which order. None: whatever it is.

    ``starts_after`` and the others take in the moment itself. What has no such date is not between any two.
    """

    relation: ContextRelation | None = None
    type: ContextType | None = None
    status: ContextStatus | None = None
    collection_id: str | None = None
    starts_after: datetime | None = None
    starts_before: datetime | None = None
    ends_after: datetime | None = None
    ends_before: datetime | None = None
    by: ContextOrder = ContextOrder.CONTEXT_ID
    descending: bool = False

    @property
    def ordering(self) -> Ordering[Context]:
        return ordering_of(self.by, descending=self.descending)

    def has(self, context: Context, now: datetime) -> bool:
        return (
            self.type in (None, context.type)
            and self.status in (None, context.status_at(now))
            and (self.collection_id is None or self.collection_id in context.collection_ids)
            and _is_between(self.starts_after, context.start_date, self.starts_before)
            and _is_between(self.ends_after, context.end_date, self.ends_before)
        )


async def contexts_of_learner(
    session: Session, user_id: str, wanted: ContextsWanted, asked: Asked
) -> Page[Context]:
    """A page of the contexts that somebody mentors or created. For themself, admins and services.

    Of more than MOST_ORDERED the store gives those of one relation in the order of ids. A page may then be short, or
    empty, although there are more. Forbidden, Unauthenticated, InvalidInput.
    """
    user_id = _checked(session, user_id)
    now, ordering = session.now(), wanted.ordering
    found = await _whole(session, user_id, wanted)
    if found is not None:
        return ordering.page([context for context in found if wanted.has(context, now)], asked)
    as_stored = wanted.by is ContextOrder.CONTEXT_ID and not wanted.descending and not asked.backward
    if wanted.relation is None or not as_stored:
        raise too_many("contexts", "name one relation, and order by CONTEXT_ID, ascending")
    contexts, end = await contexts_page_of_person(
        *(session.stores.rows, session.library, user_id, wanted.relation),
        lambda context: wanted.has(context, now),
        first=asked.limit,
        after=ordering.id_of_place(asked),
    )
    return Page(contexts, end is not None, None if end is None else ordering.place_of("", end))


async def contexts_count(session: Session, user_id: str, wanted: ContextsWanted) -> int | None:
    """How many there are in all; None where there are too many to count."""
    found = await _whole(session, _checked(session, user_id), wanted)
    return None if found is None else sum(wanted.has(context, session.now()) for context in found)


async def _whole(session: Session, user_id: str, wanted: ContextsWanted) -> list[Context] | None:
    rows, library = session.stores.rows, session.library
    return await contexts_of_person(rows, library, user_id, wanted.relation, most=MOST_ORDERED)


def _checked(session: Session, user_id: str) -> str:
    user_id = checked_id(user_id, "userId")
    session.viewer.check(Access.PERSON, named=session.viewer.user_id == user_id, field="userId")
    return user_id


def _is_between(first: datetime | None, moment: datetime | None, last: datetime | None) -> bool:
    if moment is None:
        return first is None and last is None
    return (first is None or moment >= first) and (last is None or moment <= last)
