"""Start, update and end of a content view (design, section 4; seed 001, content view lifecycle).

Each call is: a mark on the learner's hash; one conditional write of the row, with the partition's ``changed_at``; the
trigger. Only then is the caller answered, so an acknowledged call is never lost; the hash gets the view right after. A call sent again changes nothing and sends
its trigger again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

import orjson

from ingest.modes.moves import current_key, forwarded
from ingest.writes.retrying import pause_before
from ingest.writes.transfers import enter_scope
from ingest.writes.triggers import change_moment, send_trigger
from loaders import touches
from loaders.erasures import check_not_erased
from loaders.session import Session
from loaders.views import row_key, shown, view_of, view_values
from rules.contents import ContentKind
from rules.contexts import Context, check_contains, check_open
from rules.errors import CohortError, Conflict, InvalidInput, NotFound, StoreUnavailable, ViewNotStarted
from rules.identifiers import ProgressKey, ViewKey, checked_id, view_key
from rules.plans import write_token
from rules.progress import Status
from rules.triggers import TriggerKind
from rules.views import LARGEST_DETAILS, View, ViewChange, checked_change, ended, updated
from stores.rows import Equal, In
from stores.tables import VIEWS

ATTEMPTS = 12
"""How often a change is tried against other processes that change the same view, before it is a Conflict."""


@dataclass(frozen=True, slots=True)
class ViewCall:
    """What every call names. ``user_id`` and ``at`` are for services; ids left out default as the scenarios have it."""

    content_id: str
    collection_id: str | None = None
    context_id: str | None = None
    user_id: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The view after the call, and a token for reads that must see it.

    ``whole`` is False where the call only completed a view without reading it: start, time spent and details are
    then not in ``view``.
    """

    view: View
    token: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Placed:
    """``asked``: as the caller names it; ``key``: where the instance's mode keeps it; ``at``: when it happened;
    ``opened_on``: since when one may work there, where that is known."""

    asked: ViewKey
    key: ViewKey
    at: datetime
    opened_on: datetime | None = None


async def start_view(session: Session, call: ViewCall) -> Acknowledged:
    """A view in progress, unless there is one: a revisit changes nothing.

    NotFound, InvalidInput, ContextClosed or Forbidden where the call can't be; StoreUnavailable where it may be
    sent again.
    """
    place = await placed(session, call)
    key, at = place.key, place.at
    started = earned(
        session,
        place,
        None,
        View(key, Status.IN_PROGRESS, started_on=at, last_accessed_on=at, last_updated_on=at),
    )

    async def insert(changed_at: int) -> View:
        row = {**VIEWS.named(row_key(key)), **view_values(started), "changed_at": changed_at}
        await enter_scope(session.shared, key.progress_key, key.scope)
        applied = await session.stores.rows.insert_if_absent(VIEWS, row)
        stored = (
            None
            if applied.applied
            else view_of({**row, **(applied.stored or {}), **VIEWS.named(row_key(key))})
        )
        return stored or started

    return await _acknowledged(session, place, insert)


async def update_view(session: Session, call: ViewCall, change: ViewChange) -> Acknowledged:
    """Progress, details and time spent of a started view. Neither status nor progress goes down; a completed view
    stays as it is. ViewNotStarted, StatusGoesDown, Conflict, and what start_view raises."""
    change = checked_change(change)
    check_details(change)
    if change.status is Status.COMPLETED:
        raise InvalidInput("an update completes nothing; end the view", field="status")
    place = await placed(session, call)

    async def write(changed_at: int) -> View:
        return await _merged(session, place, replace(change, at=place.at), changed_at, end=False)

    return await _acknowledged(session, place, write)


async def end_view(session: Session, call: ViewCall, change: ViewChange) -> Acknowledged:
    """A completed view. ViewNotStarted where there is none, Conflict, and what start_view raises."""
    change = checked_change(change)
    check_details(change)
    place = await placed(session, call)
    key, at = place.key, place.at
    whole = True

    async def write(changed_at: int) -> View:
        nonlocal whole
        # A call of now, of nothing but the end, needs no look at the row; one of another time must not set it back.
        if change.time_spent or change.progress_details is not None or change.call_id or call.at is not None:
            return await _merged(session, place, replace(change, at=at, progress=None), changed_at, end=True)
        view = View(key, Status.COMPLETED, 100, last_accessed_on=at, last_updated_on=at, completed_on=at)
        values = {
            "status": int(view.status),
            "progress": view.progress,
            "last_access_time": at,
            "last_updated_time": at,
            "last_completed_time": at,
            "changed_at": changed_at,
        }
        tracking = session.shared.tracking
        if tracking.carries:
            view = replace(view, origin=tracking.origin(place.asked, at))
            values["origin"] = view.origin.encode() if view.origin else None
        applied = await session.stores.rows.update_if(
            VIEWS, row_key(key), values, [In("status", (int(Status.NOT_STARTED), int(Status.IN_PROGRESS)))]
        )
        if not applied.applied:
            return await _stored(session, key)
        whole = False
        return view

    acknowledged = await _acknowledged(session, place, write)
    return replace(acknowledged, whole=whole)


async def _merged(session: Session, place: Placed, change: ViewChange, changed_at: int, *, end: bool) -> View:
    """Read, merge by the rules, write if nobody changed it in between. Calls of this process go one by one."""
    lock = session.shared.changing.setdefault(place.key, asyncio.Lock())
    async with lock:
        return await _merged_alone(session, place, change, changed_at, end=end)


async def _merged_alone(
    session: Session, place: Placed, change: ViewChange, changed_at: int, *, end: bool
) -> View:
    key = place.key
    for attempt in range(ATTEMPTS):
        await pause_before(attempt, ATTEMPTS)
        view = await _stored(session, key)
        after = ended(view, change) if end else updated(view, change)
        if after is None:
            return view
        after = earned(session, place, view, after)
        before, wanted = view_values(view), view_values(after)
        changed = {name: value for name, value in wanted.items() if value != before[name]}
        if not changed:
            return view
        applied = await session.stores.rows.update_if(
            VIEWS,
            row_key(key),
            {**changed, "changed_at": changed_at},
            [Equal(name, before[name]) for name in ("status", "progress", "timespent", "last_updated_time")],
        )
        if applied.applied:
            return after
    raise Conflict(
        f"the view of {key.content_id} is being changed by others; send the call again", field="contentId"
    )


async def _stored(session: Session, key: ViewKey) -> View:
    view = view_of(await session.stores.rows.get(VIEWS, row_key(key)))
    if view is None:
        raise ViewNotStarted(
            f"no view of {key.content_id} was started here; start it first", field="contentId"
        )
    return view


def earned(session: Session, place: Placed, before: View | None, after: View) -> View:
    """With its origin, where the mode keeps it elsewhere: the place where it was begun, then where it was completed."""
    tracking = session.shared.tracking
    completed = after.status is Status.COMPLETED and (before is None or before.status is not Status.COMPLETED)
    if not tracking.carries or not (before is None or completed):
        return after
    return replace(after, origin=tracking.origin(place.asked, place.at))


async def placed(session: Session, call: ViewCall, happened_on: datetime | None = None) -> Placed:
    """The row and the time of a call, once all that it names exists and is open. ``happened_on``: by a learner's device;
    nothing is judged by it but whether what was there then has been erased since."""
    key, at = named(session, call)
    told = at if call.at is not None else happened_on
    if told is not None:
        await check_not_erased(session.stores.rows, key.progress_key, told)
    place = placed_on(session, await ground_of(session, key), key, at)
    if told is not None and place.asked != key:
        await check_not_erased(session.stores.rows, place.asked.progress_key, told)
    return place


def named(session: Session, call: ViewCall) -> tuple[ViewKey, datetime]:
    """The key and the time that the call names; InvalidInput or Forbidden where it may not."""
    viewer = session.viewer
    user_id = viewer.acting_for(None if call.user_id is None else checked_id(call.user_id, "userId"))
    at = viewer.time_of_call(call.at, session.now())
    return view_key(user_id, call.content_id, call.collection_id, call.context_id), at


@dataclass(frozen=True, slots=True)
class Ground:
    """What the views of a place stand on: the contents that may be viewed there and, where a context was named, the one
    that the progress is under by now, or why nothing may be viewed under it."""

    contents: Set[str]
    context: Context | CohortError | None = None

    def current(self, key: ProgressKey) -> ProgressKey:
        """Where the progress is by now of this key of its own."""
        return replace(key, context_id=self.context.context_id) if isinstance(self.context, Context) else key


def placed_on(session: Session, ground: Ground, key: ViewKey, at: datetime) -> Placed:
    """Of the key's own ground. NotFound, ContextClosed, and what is the matter with the context."""
    if key.content_id not in ground.contents:
        raise NotFound(f"collection {key.collection_id} has no content {key.content_id}", field="contentId")
    if isinstance(ground.context, CohortError):
        raise ground.context
    opened_on = None
    if ground.context is not None:
        key = replace(key, context_id=ground.context.context_id)
        check_open(ground.context, at)
        opened_on = ground.context.opened_on
    return Placed(key, session.shared.tracking.stored(key), at, opened_on)


async def ground_of(session: Session, key: ViewKey) -> Ground:
    """The same one for all contents of a collection that are viewed under one context, or under none. NotFound where
    there is none."""
    if key.is_content_alone:
        content = await session.library.content(key.content_id, "contentId")
        if content.kind is not ContentKind.CONTENT:
            raise NotFound(f"{key.content_id} is a {content.kind.value}, not a content", field="contentId")
        if key.progress_key.has_context:
            raise NotFound(
                f"{key.content_id} is a content, not a collection; a context is of a collection",
                field="collectionId",
            )
        return Ground({key.content_id})
    collection = await session.library.collection(key.collection_id)
    tree = await session.library.relation_tree(collection)
    if not key.progress_key.has_context:
        return Ground(tree.leaf_nodes)
    try:
        return Ground(tree.leaf_nodes, await _current_context(session, key.progress_key))
    except CohortError as error:
        return Ground(tree.leaf_nodes, error)


async def _current_context(session: Session, key: ProgressKey) -> Context:
    check_contains(await session.library.context(key.context_id), key.collection_id)
    current = await current_key(session.shared, key)
    return await session.library.context(current.context_id)


async def _acknowledged(
    session: Session, place: Placed, write: Callable[[int], Awaitable[View]]
) -> Acknowledged:
    """Runs the write between its announcement and its trigger. A refusal takes the announcement back.

    The hash is settled behind the caller's back: until then its mark sends readers to the rows.
    """
    changed_at = change_moment()
    cache, progress_key, call = session.stores.cache, place.key.progress_key, uuid4().hex
    await touches.announce(cache, progress_key, call, session.now())
    try:
        view = await write(changed_at)
    except StoreUnavailable:
        raise  # the row may have been written: the mark stays until a reader has looked
    except CohortError as error:
        await touches.withdraw(cache, progress_key, call)
        not_here = isinstance(error, ViewNotStarted)
        if not_here and await current_key(session.shared, progress_key) != progress_key:
            raise Conflict("the enrolment has moved meanwhile; send it again", field="contextId") from None
        raise
    moved = await forwarded(session.shared, place.key)
    await send_trigger(session.stores, TriggerKind.VIEW, progress_key, place.key.content_id)
    session.shared.background.start(touches.settle(cache, view, call))
    session.refresh()
    return Acknowledged(moved or shown(view, place.asked), write_token(session.now()))


def check_details(change: ViewChange) -> None:
    details = change.progress_details
    if details is None:
        return
    if not isinstance(details, dict):
        raise InvalidInput("progressDetails must be a JSON object", field="progressDetails")
    try:
        size = len(orjson.dumps(details))
    except (TypeError, orjson.JSONEncodeError) as error:
        raise InvalidInput(f"progressDetails must be JSON: {error}", field="progressDetails") from None
    if size > LARGEST_DETAILS:
        raise InvalidInput(
            f"progressDetails must have at most {LARGEST_DETAILS} bytes, not {size}", field="progressDetails"
        )
