"""Start, update and end of a content view (R-VIEW-1 to R-VIEW-4).

Each is one conditional write within the protocol of a call (ingest/calls/acknowledgement.py). If a call is sent again,
it changes nothing and sends its trigger again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from ingest.calls.acknowledgement import acknowledge
from ingest.calls.placing import Placed, ViewCall, check_details, placed, with_origin
from ingest.modes.strategies import added_by
from ingest.writes.announcement import Announcement
from ingest.writes.retrying import Attempts
from ingest.writes.transfers import entering_of
from loaders.session import Session
from loaders.views import as_read, row_key, shown, view_of, view_values
from rules.errors import Conflict, InvalidInput, StatusGoesDown, ViewNotStarted
from rules.identifiers import ViewKey
from rules.plans import write_token
from rules.progress import Status
from rules.views import View, ViewChange, checked_change, ended, updated
from stores.rows import Condition, Equal, In
from stores.tables import VIEWS


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The view after the call, and a token for reads that must see it.

    ``whole`` is False if the call changed a view without reading it. Then ``view`` lacks start, time spent and details.
    """

    view: View
    token: str
    whole: bool = True


_Written = tuple[View, bool]
"""The view after a write, and whether it is whole."""


async def start_view(session: Session, call: ViewCall) -> Acknowledged:
    """Starts a view and returns it in progress. If there is one already, a revisit changes nothing.

    Raises NotFound, InvalidInput, ContextClosed or Forbidden if the call is refused. If it raises StoreUnavailable, the
    call may be sent again.
    """
    place = await placed(session, call)
    key, at = place.key, place.at
    started = with_origin(
        session,
        place,
        None,
        View(key, Status.IN_PROGRESS, started_on=at, last_accessed_on=at, last_updated_on=at),
    )

    async def insert(changed_at: int) -> _Written:
        row = {**VIEWS.named(row_key(key)), **view_values(started), "changed_at": changed_at}
        applied = await session.stores.rows.insert_if_absent(VIEWS, row)
        if applied.applied:
            session.shared.written_views.keep(started)
            return started, True
        return view_of({**row, **(applied.stored or {}), **VIEWS.named(row_key(key))}) or started, True

    entering = entering_of(session.shared, {key.progress_key: key.scope})
    return await _write_and_acknowledge(session, place, insert, entering)


async def update_view(session: Session, call: ViewCall, change: ViewChange) -> Acknowledged:
    """Updates progress, details and time spent of a started view.

    Neither status nor progress goes down. A completed view stays as it is. Raises ViewNotStarted, StatusGoesDown,
    Conflict, and what start_view raises.
    """
    change = checked_change(change)
    check_details(change)
    if change.status is Status.COMPLETED:
        raise InvalidInput("an update completes nothing; end the view", field="status")
    place = await placed(session, call)

    async def write(changed_at: int) -> _Written:
        return await _merge(session, place, replace(change, at=place.at), changed_at, end=False)

    return await _write_and_acknowledge(session, place, write)


async def end_view(session: Session, call: ViewCall, change: ViewChange) -> Acknowledged:
    """Completes a view and returns it. Raises ViewNotStarted if there is none, Conflict, and what start_view raises."""
    change = checked_change(change)
    check_details(change)
    place = await placed(session, call)
    key, at = place.key, place.at

    async def merge(changed_at: int) -> _Written:
        return await _merge(session, place, replace(change, at=at, progress=None), changed_at, end=True)

    async def write(changed_at: int) -> _Written:
        # A call that is of now and only ends the view need not read the row. One of another time must not set it back.
        if change.time_spent or change.progress_details is not None or change.call_id or call.at is not None:
            return await merge(changed_at)
        session.shared.written_views.guess(key)  # it is completed now, or soon by somebody else
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
        conditions: list[Condition] = [In("status", (int(Status.NOT_STARTED), int(Status.IN_PROGRESS)))]
        if tracking.carries:
            view = replace(view, origin=tracking.origin(place.asked, at))
            values["origin"] = view.origin.encode() if view.origin else None
        else:
            # What the origin becomes depends on what it was, so that view must be read.
            conditions.append(Equal("origin", None))
        applied = await session.stores.rows.update_if(VIEWS, row_key(key), values, conditions)
        if not applied.applied:
            return await merge(changed_at)
        return view, False

    return await _write_and_acknowledge(session, place, write)


async def _merge(
    session: Session, place: Placed, change: ViewChange, changed_at: int, *, end: bool
) -> _Written:
    """Merges by the rules into the stored view, and writes if nobody changed it in between. Calls of this process go one by
    one."""
    lock = session.shared.changing.setdefault(place.key, asyncio.Lock())
    async with lock:
        guessed = await _merge_into_guess(session, place, change, changed_at, end=end)
        if guessed is not None:
            return guessed, False
        return await _merge_into_stored(session, place, change, changed_at, end=end), True


async def _merge_into_guess(
    session: Session, place: Placed, change: ViewChange, changed_at: int, *, end: bool
) -> View | None:
    """Does it without reading the view, if this process wrote it last. Returns None, and has changed nothing, if it did not, or if
    the call changes nothing: only the row itself tells that."""
    written = session.shared.written_views
    guess = written.guess(place.key)
    if guess is None:
        return None
    try:
        after = _merged(session, place, guess, change, end=end)
    except StatusGoesDown:
        return None
    if after is None:
        return None
    # Beside what every change of a call changes: ids of calls that this process does not know must not be overwritten, nor
    # a later access, which an import may bring alone.
    known = view_values(guess)
    alike = [Equal(name, known[name]) for name in ("last_call", "last_access_time")]
    right = await _put(session, guess, after, changed_at, *alike)
    written.tell(right=right)
    return after if right else None


async def _merge_into_stored(
    session: Session, place: Placed, change: ViewChange, changed_at: int, *, end: bool
) -> View:
    key = place.key
    async for _ in Attempts():
        view = await _stored(session, key)
        after = _merged(session, place, view, change, end=end)
        if after is None:
            return view
        if await _put(session, view, after, changed_at):
            return after
    raise Conflict(
        f"the view of {key.content_id} is being changed by others; send the call again", field="contentId"
    )


def _merged(session: Session, place: Placed, view: View, change: ViewChange, *, end: bool) -> View | None:
    """Returns the view after the call; None where it changes nothing."""
    after = ended(view, change) if end else updated(view, change)
    if after is None:
        return None
    after = with_origin(session, place, view, after)
    return None if view_values(after) == view_values(view) else after


async def _put(session: Session, before: View, after: View, changed_at: int, *conditions: Condition) -> bool:
    """Writes what differs, if the row is as it was before and the conditions hold. Returns whether it was."""
    then, wanted = view_values(before), view_values(after)
    changed = {name: value for name, value in wanted.items() if value != then[name]}
    applied = await session.stores.rows.update_if(
        VIEWS, row_key(before.key), {**changed, "changed_at": changed_at}, [*as_read(then), *conditions]
    )
    if applied.applied and after.status is not Status.COMPLETED:
        session.shared.written_views.keep(after)
    return applied.applied


async def _stored(session: Session, key: ViewKey) -> View:
    view = view_of(await session.stores.rows.get(VIEWS, row_key(key)))
    if view is None:
        raise ViewNotStarted(
            f"no view of {key.content_id} was started here; start it first", field="contentId"
        )
    return view


async def _write_and_acknowledge(
    session: Session,
    place: Placed,
    write: Callable[[int], Awaitable[_Written]],
    before: Awaitable[None] | None = None,
) -> Acknowledged:
    """Runs the write within the protocol of a call (ingest/calls/acknowledgement.py). ``before``: what must be done before it."""
    shared, key = session.shared, place.key.progress_key
    announcement = Announcement(shared)
    try:
        async with announcement.writing([key], before):
            view, whole = await write(shared.change_moment())
    except ViewNotStarted:
        if await added_by(shared.tracking).current_key(shared, key) != key:
            raise Conflict("the enrolment has moved meanwhile; send it again", field="contextId") from None
        raise
    moved = await acknowledge(shared, announcement, [view], {key: [place.at]})
    session.refresh()
    shown_view = moved.get(view.key) or shown(view, place.asked)
    return Acknowledged(shown_view, write_token(session.now()), whole)
