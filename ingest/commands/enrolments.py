"""Enrol and unenrol (R-ENROL-1). The row is written by condition, then the trigger is sent. A call sent again does no
harm."""

from dataclasses import dataclass, replace
from datetime import datetime

from ingest.modes.strategies import added_by
from ingest.writes.triggers import send_trigger
from loaders.enrolments import as_read, enrolment_of, row_key
from loaders.erasures import check_not_erased
from loaders.session import Session
from rules.access import Access
from rules.contexts import Context, check_contains, check_takes_enrolment
from rules.enrolments import Enrolment
from rules.errors import (
    AlreadyCompleted,
    AlreadyEnrolled,
    Conflict,
    EnrolmentClosed,
    InvalidInput,
    NotEnrolled,
)
from rules.identifiers import ProgressKey, checked_id
from rules.moments import written
from rules.progress import Status
from rules.triggers import TriggerKind
from rules.viewers import Role, Viewer
from stores.rows import Equal
from stores.tables import ENROLMENTS


@dataclass(frozen=True, slots=True)
class EnrolmentCall:
    """What an enrolment call names. ``user_id`` is for mentors, admins and services, ``at`` for services."""

    collection_id: str
    context_id: str
    user_id: str | None = None
    at: datetime | None = None


async def enrol(session: Session, call: EnrolmentCall) -> Enrolment:
    """Enrols and returns the active enrolment. One that had ended is taken up again, and keeps the date of the first.

    In copy and move mode, what counts of the learner's progress elsewhere is there when the call is answered.

    Raises AlreadyEnrolled if there is an active one of another time. Raises NotFound, EnrolmentClosed, Forbidden or
    InvalidInput if the call is refused. If it raises StoreUnavailable, the call may be sent again.
    """
    key, at, context = await _placed(session, call)
    check_takes_enrolment(context, at, invited=_may_invite(session.viewer, context))
    if (await session.library.collection(key.collection_id)).is_retired:
        raise EnrolmentClosed(f"{key.collection_id} is retired", field="collectionId")
    mode = added_by(session.shared.tracking)
    moved = await mode.enrol_taking_along(session, key, at, context)
    if moved is not None:
        session.refresh()
        return moved
    rows, changed_at = session.stores.rows, session.shared.change_moment()
    wanted = Enrolment(key, active=True, enrolled_on=at, changed_at=changed_at)
    values = {"active": True, "enrolled_on": at, "unenrolled_on": None, "changed_at": changed_at}
    applied = await rows.insert_if_absent(ENROLMENTS, {**ENROLMENTS.named(row_key(key)), **values})
    stored = (
        None
        if applied.applied
        else enrolment_of({**ENROLMENTS.named(row_key(key)), **(applied.stored or {})})
    )
    if stored is None:
        if not applied.applied:  # the row has figures but no enrolment: a worker wrote beside a deletion
            applied = await rows.update_if(ENROLMENTS, row_key(key), values, [Equal("enrolled_on", None)])
            _check_applied(applied.applied)
    elif stored.was_begun(at):
        wanted = stored
    elif stored.active:
        await send_trigger(session.stores, TriggerKind.ENROLMENT, key)
        raise AlreadyEnrolled(f"enrolled since {written(stored.begun_on)}", field="contextId")
    else:
        if stored.unenrolled_on is not None and at < stored.unenrolled_on:
            raise InvalidInput(
                f"at must not be before the last unenrolment, {written(stored.unenrolled_on)}", field="at"
            )
        wanted = replace(stored, active=True, reenrolled_on=at, unenrolled_on=None, changed_at=changed_at)
        values = {"active": True, "reenrolled_on": at, "unenrolled_on": None, "changed_at": changed_at}
        if stored.moved_to or stored.moved_from:
            wanted = replace(wanted, moved_to=None, moved_from=None)
            values |= {"moved_to": None, "moved_from": None}
        applied = await rows.update_if(ENROLMENTS, row_key(key), values, as_read(stored))
        _check_applied(applied.applied)
    await mode.copy_into(session.shared, [wanted])
    await send_trigger(session.stores, TriggerKind.ENROLMENT, key)
    session.refresh()
    return wanted


async def unenrol(session: Session, call: EnrolmentCall) -> Enrolment:
    """Ends the enrolment at the time of the call and returns it. Its progress and its date of completion are kept.

    In move mode it ends the enrolment of the place where it has moved to. Raises NotEnrolled if no enrolment is active.
    Raises AlreadyCompleted if nothing required is missing, except for a service. Otherwise it raises what enrol raises.
    """
    key, at, _ = await _placed(session, call)
    key = await added_by(session.shared.tracking).current_key(session.shared, key)
    rows, changed_at = session.stores.rows, session.shared.change_moment()
    stored = enrolment_of(await rows.get(ENROLMENTS, row_key(key)))
    if stored is None:
        raise NotEnrolled(f"no enrolment in {key.collection_id} under {key.context_id}", field="contextId")
    if stored.active:
        if at < stored.begun_on:
            raise InvalidInput(f"at must not be before the enrolment, {written(stored.begun_on)}", field="at")
        if not session.viewer.has(Role.SERVICE):
            await _check_not_completed(session, key)
        # The condition includes moved_to: a move that is under way would make a pointer of it.
        values: dict[str, object] = {"active": False, "unenrolled_on": at, "changed_at": changed_at}
        if stored.moved_to:
            values["moved_to"] = None
        applied = await rows.update_if(ENROLMENTS, row_key(key), values, as_read(stored))
        _check_applied(applied.applied)
    await send_trigger(session.stores, TriggerKind.ENROLMENT, key)
    if not stored.active and stored.unenrolled_on != at:
        raise NotEnrolled(
            f"unenrolled since {stored.unenrolled_on and written(stored.unenrolled_on)}", field="contextId"
        )
    session.refresh()
    return replace(stored, active=False, unenrolled_on=at, changed_at=changed_at, moved_to=None)


async def _check_not_completed(session: Session, key: ProgressKey) -> None:
    """Checks by the views as they are, whatever the workers have seen. Reads tell it in the same way."""
    standing = await session.loaders.standings.load(key)
    tree = await session.library.relation_tree(await session.library.collection(key.collection_id))
    if standing is not None and standing.progress(tree).status is Status.COMPLETED:
        raise AlreadyCompleted(
            f"{key.collection_id} is completed; only a service ends a completed enrolment", field="contextId"
        )


async def _placed(session: Session, call: EnrolmentCall) -> tuple[ProgressKey, datetime, Context]:
    viewer = session.viewer
    user_id = viewer.acting_for(
        None if call.user_id is None else checked_id(call.user_id, "userId"), Access.RECOUNTER
    )
    at = viewer.time_of_call(call.at, session.now())
    collection = await session.library.collection(checked_id(call.collection_id, "collectionId"))
    context = await session.library.context(checked_id(call.context_id, "contextId"))
    check_contains(context, collection.identifier)
    may_name = user_id == viewer.user_id or _is_mentor(viewer, context)
    viewer.check(Access.ENROLLER, named=may_name, may="enrol or unenrol them here", field="userId")
    key = ProgressKey(user_id, collection.identifier, context.context_id)
    if call.at is not None:
        await check_not_erased(session.stores.rows, key, at)
    return key, at, context


def _is_mentor(viewer: Viewer, context: Context) -> bool:
    """True for a mentor of this context, by their token too."""
    return viewer.has(Role.MENTOR) and viewer.user_id in context.mentors


def _may_invite(viewer: Viewer, context: Context) -> bool:
    return _is_mentor(viewer, context) or viewer.has(*Access.ENROLLER.value.roles)


def _check_applied(applied: bool) -> None:
    if not applied:
        raise Conflict("the enrolment was changed by another call; send this one again", field="contextId")
