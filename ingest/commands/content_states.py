"""Content state update: what a device did with several contents, in one call (R-LEGACY-1, P-2.2).

As ingest/commands/views.py, for many views: marks on the learner's hashes; the rows, those of a partition in one conditional
write; one send of all triggers. Only then is the caller answered, item by item.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.calls.acknowledgement import acknowledge
from ingest.calls.placing import Ground, Placed, ViewCall, check_details, earned, ground_of, named, placed_on
from ingest.commands.assessments import AssessmentCall, begun_on, submit_assessment
from ingest.writes.announcement import Announcement
from ingest.writes.retrying import Attempts
from ingest.writes.transfers import enter_scopes, put
from ingest.writes.triggers import trigger_of
from loaders.erasures import check_after_erasure, erased_places
from loaders.session import Session
from loaders.views import row_key, shown, view_of
from rules.assessments import Submission
from rules.content_states import ContentState, stated
from rules.contexts import check_contains
from rules.errors import CohortError, Conflict, NotEnrolled, StoreUnavailable
from rules.identifiers import ProgressKey, ViewKey, checked_id
from rules.progress import Status
from rules.triggers import TriggerKind
from rules.viewers import Role
from rules.views import View, ViewChange, checked_change
from stores.rows import MOST_CHANGES, Change
from stores.tables import VIEWS
from stores.topics import TRIGGERS

LARGEST_WRITE = 40_000
"""Bytes of the views in one conditional write, about: servers refuse larger batches."""
_BYTES_A_VIEW = 500
"""Without its details."""

Outcome = View | CohortError


@dataclass(frozen=True, slots=True)
class _Item:
    """A state that may be written. ``place``: which of the call's."""

    place: int
    state: ContentState
    placed: Placed
    since: datetime | None


async def update_states(session: Session, states: Sequence[ContentState]) -> list[Outcome]:
    """For each state the view after the call, or why it was refused; the others are done all the same.

    A learner's are judged by whether the context is open now; a service's by their own time. Either is Erased where it
    tells a time of before what was there was deleted. StoreUnavailable where nothing could be written: the call may be
    sent again, as it may after any answer.

    One statement for the rows of a partition, one write of the scopes that it enters, one conditional write for up to
    MOST_CHANGES rows, one send. Calls that tell times read the erasures and the enrolments of all places once; in move mode
    the enrolments of each place are read twice.
    """
    session.viewer.known()
    found = await _placed(session, states)
    since = await begun_on(
        session,
        [
            one
            for state, one in zip(states, found, strict=True)
            if state.happened_on is not None and isinstance(one, Placed)
        ],
    )
    outcomes: dict[int, Outcome] = {}
    partitions: dict[tuple[str, str], list[_Item]] = {}
    for place, (state, one) in enumerate(zip(states, found, strict=True)):
        if isinstance(one, StoreUnavailable):
            raise one
        if isinstance(one, CohortError):
            outcomes[place] = one
        else:
            item = _Item(place, state, one, since.get(one))
            partitions.setdefault((one.key.user_id, one.key.scope), []).append(item)
    announcement = Announcement(session.shared)
    written = await asyncio.gather(*(_written(session, items, announcement) for items in partitions.values()))
    for of_partition in written:
        outcomes |= of_partition
    items = [item for of_partition in partitions.values() for item in of_partition]
    failures = [error for item in items if isinstance(error := outcomes[item.place], StoreUnavailable)]
    if failures and len(failures) == len(states):
        raise failures[0]
    done = [(item, view) for item in items if isinstance(view := outcomes[item.place], View)]
    views = {item.placed.key: view for item, view in done}
    moved = await acknowledge(session.shared, announcement, list(views.values()))
    session.refresh()
    for item, view in done:
        outcomes[item.place] = moved.get(item.placed.key) or shown(view, item.placed.asked)
    return [outcomes[place] for place in range(len(states))]


async def take(
    session: Session, states: Sequence[ContentState], calls: Sequence[AssessmentCall]
) -> tuple[list[Outcome], list[Submission | CohortError]]:
    """What a device did: contents, and answers in assessments. Of each what became of it.

    Who answers in an assessment has completed its content, at the time of the attempt: a submission that is taken is a
    state as well, and written with the others. It is in the log first, so a call that died between the two is sent again
    as a whole. One without events only has the scores computed anew.
    """
    submitted = list(await asyncio.gather(*(_submitted(session, call) for call in calls)))
    taken = [
        place
        for place, call in enumerate(calls)
        if call.events and not isinstance(submitted[place], CohortError)
    ]
    completions = [_completion(calls[place]) for place in taken]
    wanted = [*states, *completions]
    outcomes = await update_states(session, wanted) if wanted else []
    for place, outcome in zip(taken, outcomes[len(states) :], strict=True):
        if isinstance(outcome, CohortError):
            submitted[place] = outcome
    return outcomes[: len(states)], submitted


async def _submitted(session: Session, call: AssessmentCall) -> Submission | CohortError:
    try:
        return await submit_assessment(session, call)
    except CohortError as error:
        return error


def _completion(call: AssessmentCall) -> ContentState:
    return ContentState(
        call.content_id,
        Status.COMPLETED,
        call.collection_id,
        call.context_id,
        user_id=call.user_id,
        last_accessed_on=call.attempted_on,
        last_completed_on=call.attempted_on,
    )


async def sync_enrolment(
    session: Session, collection_id: str, context_id: str, user_id: str | None = None
) -> None:
    """Has the workers compute anew how the learner stands, whatever they have seen (P-4.3).

    NotEnrolled where there is no enrolment; NotFound, InvalidInput, Forbidden.
    """
    user_id = session.viewer.acting_for(
        None if user_id is None else checked_id(user_id, "userId"), Role.MENTOR, Role.ADMIN
    )
    collection = await session.library.collection(checked_id(collection_id, "collectionId"))
    context = await session.library.context(checked_id(context_id, "contextId"))
    check_contains(context, collection.identifier)
    key = ProgressKey(user_id, collection.identifier, context.context_id)
    if await session.loaders.enrolments.load(key) is None:
        raise NotEnrolled(
            f"no enrolment of {user_id} in {key.collection_id} under {key.context_id}", field="contextId"
        )
    await session.stores.events.send(TRIGGERS.name, trigger_of(TriggerKind.RECONCILE, key))


async def _placed(session: Session, states: Sequence[ContentState]) -> list[Placed | CohortError]:
    """Of each state the row, or why it is refused: as ``ingest.commands.views.placed``, with one look at what several name."""
    service = session.viewer.has(Role.SERVICE)
    times = [state.happened_on if service else None for state in states]
    names = [_named(session, *each) for each in zip(states, times, strict=True)]
    known = [one[0] for one in names if not isinstance(one, CohortError)]
    places = {_place(key): key for key in known}
    found = await asyncio.gather(*(_ground(session, key) for key in places.values()))
    grounds = dict(zip(places, found, strict=True))
    # By the name that the call has for a place, and where it has moved since.
    under: dict[ProgressKey, ProgressKey] = {}
    for one, state in zip(names, states, strict=True):
        if not isinstance(one, CohortError) and state.happened_on is not None:
            ground, named_key = grounds[_place(one[0])], one[0].progress_key
            under[named_key] = named_key if isinstance(ground, CohortError) else ground.current(named_key)
    erased = await erased_places(session.stores.rows, list(dict.fromkeys((*under, *under.values()))))

    def placed(one: tuple[ViewKey, datetime] | CohortError, told: datetime | None) -> Placed | CohortError:
        if isinstance(one, CohortError):
            return one
        key, at = one
        try:
            if told is not None:
                for place in (key.progress_key, under[key.progress_key]):
                    check_after_erasure(erased.get(place), told)
            ground = grounds[_place(key)]
            return ground if isinstance(ground, CohortError) else placed_on(session, ground, key, at)
        except CohortError as error:
            return error

    return [placed(one, state.happened_on) for one, state in zip(names, states, strict=True)]


def _named(
    session: Session, state: ContentState, at: datetime | None
) -> tuple[ViewKey, datetime] | CohortError:
    try:
        change = ViewChange(session.now(), state.progress, state.progress_details)
        check_details(checked_change(change))
        call = ViewCall(state.content_id, state.collection_id, state.context_id, state.user_id, at)
        return named(session, call)
    except CohortError as error:
        return error


def _place(key: ViewKey) -> tuple[ProgressKey, bool]:
    """Keys of one place have the same ground."""
    return key.progress_key, key.is_content_alone


async def _ground(session: Session, key: ViewKey) -> Ground | CohortError:
    try:
        return await ground_of(session, key)
    except CohortError as error:
        return error


async def _written(
    session: Session, items: Sequence[_Item], announcement: Announcement
) -> dict[int, Outcome]:
    """Of one partition, by the item's place."""
    keys = list({item.placed.key.progress_key: None for item in items})
    try:
        async with announcement.writing(keys):
            views = await _merged(session, items)
    except CohortError as error:
        return {item.place: error for item in items}
    return {item.place: views[item.placed.key] for item in items}


async def _merged(session: Session, items: Sequence[_Item]) -> dict[ViewKey, View]:
    """The views after the call: read, merged by the rules, written if nobody changed them in between."""
    keys = list({item.placed.key: None for item in items})
    rows = session.stores.rows
    async for _ in Attempts():
        found = await rows.get_many(VIEWS, [row_key(key) for key in keys])
        stored = {key: found.get(row_key(key)) for key in keys}
        views = {key: view_of(row) for key, row in stored.items()}
        changed: dict[ViewKey, View] = {}
        for item in items:
            key = item.placed.key
            after = stated(views[key], key, item.state, item.placed.at, item.since)
            if after is not None:
                after = earned(session, item.placed, views[key], after)
                views[key] = changed[key] = after
        begun = {key.progress_key: key.scope for key in changed if stored[key] is None}
        await enter_scopes(session.shared, begun)
        # One moment for all: they are one change of the partition.
        changed_at = session.shared.change_moment()
        changes = [put(view, stored[key], changed_at) for key, view in changed.items()]
        for batch in _batches(changes):
            if not await rows.write_together(VIEWS, batch):
                break
        else:
            return {key: views[key] or View(key, Status.NOT_STARTED) for key in keys}
    raise Conflict("these views are being changed by others; send the call again", field="contentId")


def _batches(changes: Sequence[Change]) -> list[list[Change]]:
    batches: list[list[Change]] = []
    size = LARGEST_WRITE
    for change in changes:
        own = _BYTES_A_VIEW + len(change.values["progressdetails"] or "")
        if not batches or size + own > LARGEST_WRITE or len(batches[-1]) == MOST_CHANGES:
            batches.append([])
            size = 0
        batches[-1].append(change)
        size += own
    return batches
