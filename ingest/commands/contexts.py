"""Create and update a batch or another context."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from ingest.writes.context_lists import list_contexts, unlist_context
from loaders.library import context_values
from loaders.session import Session
from rules.access import Access
from rules.contexts import Context, EnrolmentType, checked_context
from rules.errors import Conflict, InvalidInput
from rules.identifiers import ContextType, checked_id
from stores.rows import Equal
from stores.tables import CONTEXTS

_TICK = timedelta(milliseconds=1)
"""The least time between two changes of a context: stores keep whole milliseconds."""


@dataclass(frozen=True, slots=True)
class NewContext:
    """A context to be created. Without ``context_id`` it gets one."""

    type: ContextType
    name: str
    collection_ids: tuple[str, ...]
    context_id: str | None = None
    description: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    opens_on: datetime | None = None
    enrolment_end_date: datetime | None = None
    enrolment_type: EnrolmentType = EnrolmentType.OPEN
    mentors: frozenset[str] = frozenset()


async def create_context(session: Session, new: NewContext) -> Context:
    """Creates the context and returns it. The same call sent again returns it too.

    Needs the role creator, admin or service. Raises InvalidInput if a different context has the id. Raises NotFound if
    the collection is unknown.
    """
    viewer = session.viewer
    viewer.check(Access.AUTHORS)
    now = viewer.time_of_call(None, session.now())
    context = checked_context(
        Context(
            context_id=uuid4().hex if new.context_id is None else checked_id(new.context_id, "contextId"),
            type=new.type,
            name=new.name.strip(),
            collection_ids=tuple(sorted({checked_id(c, "collectionIds") for c in new.collection_ids})),
            start_date=new.start_date,
            end_date=new.end_date,
            opens_on=new.opens_on,
            enrolment_end_date=new.enrolment_end_date,
            enrolment_type=new.enrolment_type,
            description=new.description,
            mentors=frozenset(checked_id(m, "mentors") for m in new.mentors),
            buckets=session.shared.context_buckets,
            created_by=viewer.known(),
            created_on=now,
            updated_on=now,
        )
    )
    for collection_id in context.collection_ids:
        await session.library.collection(collection_id, "collectionIds")
    await list_contexts(session.stores.rows, [context])
    row = {"contextid": context.context_id, **context_values(context)}
    applied = await session.stores.rows.insert_if_absent(CONTEXTS, row)
    session.library.contexts.forget(context.context_id)
    if applied.applied:
        return context
    stored = await session.library.context(context.context_id)
    if stored != replace(
        context, buckets=stored.buckets, created_on=stored.created_on, updated_on=stored.updated_on
    ):
        raise InvalidInput(f"context {context.context_id} exists and is different", field="contextId")
    return stored


async def update_context(session: Session, context_id: str, changes: dict[str, Any]) -> Context:
    """Changes the context. ``changes`` are by the names of rules.contexts.Context; what is left out stays.

    Type and id never change. Needs the role creator, admin or service. Raises NotFound, InvalidInput. Raises Conflict
    if another call changed the context meanwhile.
    """
    viewer = session.viewer
    viewer.check(Access.AUTHORS)
    context_id = checked_id(context_id, "contextId")
    session.library.contexts.forget(context_id)
    stored = await session.library.context(context_id)
    now = viewer.time_of_call(None, session.now())
    # Later than the last change, whichever clock made that: rows of the lists go by it.
    updated_on = max(now, stored.updated_on + _TICK) if stored.updated_on else now
    context = checked_context(replace(stored, **changes, updated_on=updated_on))
    for collection_id in context.collection_ids:
        await session.library.collection(collection_id, "collectionIds")
    await list_contexts(session.stores.rows, [context])
    applied = await session.stores.rows.update_if(
        CONTEXTS, (context_id,), context_values(context), [Equal("updated_on", stored.updated_on)]
    )
    session.library.contexts.forget(context_id)
    session.refresh()
    if not applied.applied:
        raise Conflict(
            f"context {context_id} was changed by another call; send this one again", field="contextId"
        )
    await unlist_context(session.stores.rows, stored, context)
    return context
