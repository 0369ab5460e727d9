"""Content state update: what a device did with several contents, in one call (R-LEGACY-1, P-2.2).

It does for many views what ingest/commands/views.py does for one: it marks the learner's hashes, writes the rows, and
sends all triggers in one send. The rows of a partition go in one conditional write. Only then is the caller answered,
item by item.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.calls.acknowledgement import acknowledge
from ingest.calls.placing import (
    Placed,
    ViewableContents,
    ViewCall,
    check_details,
    named,
    placed_on,
    viewable_contents,
    with_origin,
)
from ingest.commands.assessments import AssessmentCall, begun_on, submit_assessment
from ingest.writes.announcement import Announcement
from ingest.writes.retrying import Attempts
from ingest.writes.transfers import enter_scopes, put
from ingest.writes.triggers import trigger_of
from loaders.erasures import check_after_erasure, erased_places
from loaders.session import Session
from loaders.views import row_key, shown, view_of
from rules.access import Access
from rules.assessments import Submission
from rules.content_states import ContentState, stated
from rules.contexts import check_contains
from rules.errors import CohortError, Conflict, NotEnrolled, StoreUnavailable
from rules.identifiers import ProgressKey, ViewKey, checked_id
from rules.moments import counted_on
from rules.progress import Status
from rules.triggers import TriggerKind
from rules.viewers import Role
from rules.views import View, ViewChange, checked_change
from stores.rows import MOST_CHANGES, Change, Row
from stores.tables import VIEWS
from stores.topics import TRIGGERS

LARGEST_WRITE = 40_000
"""About how many bytes of views one conditional write has. Servers refuse larger batches."""
_BYTES_A_VIEW = 500
"""The bytes of a view without its details."""

Outcome = View | CohortError


@dataclass(frozen=True, slots=True)
class _Item:
    """A state that may be written. ``place`` is its place in the call."""

    place: int
    state: ContentState
    placed: Placed
    since: datetime | None


async def update_states(session: Session, states: Sequence[ContentState]) -> list[Outcome]:
    """Returns for each state the view after the call, or why it was refused. If one is refused, the others are still
    done.

    - If a learner calls, the context must be open now.
    - If a service calls, the context must have been open at the state's own time.
    - In both cases, a state whose time is older than an erasure there is Erased.

    Raises StoreUnavailable if nothing could be written. The call may be sent again, also after any answer.

    Costs:

    - for the rows of a partition, one statement
    - for the scopes that it enters, one write
    - for up to MOST_CHANGES rows, one conditional write
    - one send
    - if the call tells times, one read of the erasures and one of the enrolments of all places
    - in move mode, two reads of the enrolments of each place
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
    written = await asyncio.gather(
        *(_write_partition(session, items, announcement) for items in partitions.values())
    )
    for of_partition in written:
        outcomes |= of_partition
    items = [item for of_partition in partitions.values() for item in of_partition]
    failures = [error for item in items if isinstance(error := outcomes[item.place], StoreUnavailable)]
    if failures and len(failures) == len(states):
        raise failures[0]
    done = [(item, view) for item in items if isinstance(view := outcomes[item.place], View)]
    views = {item.placed.key: view for item, view in done}
    done_at: dict[ProgressKey, list[datetime]] = {}
    for item, _ in done:
        at = counted_on(item.state.happened_on, item.placed.at, item.since)
        done_at.setdefault(item.placed.key.progress_key, []).append(at)
    moved = await acknowledge(session.shared, announcement, list(views.values()), done_at)
    session.refresh()
    for item, view in done:
        outcomes[item.place] = moved.get(item.placed.key) or shown(view, item.placed.asked)
    return [outcomes[place] for place in range(len(states))]


async def take(
    session: Session, states: Sequence[ContentState], calls: Sequence[AssessmentCall]
) -> tuple[list[Outcome], list[Submission | CohortError]]:
    """Takes what a device did: contents, and answers in assessments. Returns what became of each.

    Whoever answers in an assessment has completed its content, at the time of the attempt. So a submission that is
    taken is a state as well, and is written with the others. It is in the log first, so a call that died between the
    two is sent again as a whole. A submission without events only makes the scores be computed anew.
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
    """Makes the workers compute anew how the learner stands, whatever they have seen (P-4.3).

    Raises NotEnrolled if there is no enrolment. Raises NotFound, InvalidInput, Forbidden.
    """
    user_id = session.viewer.acting_for(
        None if user_id is None else checked_id(user_id, "userId"), Access.RECOUNTER
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
    """Returns for each state the row, or why it is refused.

    It does what ``ingest.calls.placing.placed`` does, but looks only once at what several states name.
    """
    service = session.viewer.has(Role.SERVICE)
    times = [state.happened_on if service else None for state in states]
    names = [_named(session, *each) for each in zip(states, times, strict=True)]
    known = [one[0] for one in names if not isinstance(one, CohortError)]
    places = {_place(key): key for key in known}
    found = await asyncio.gather(*(_viewable(session, key) for key in places.values()))
    viewables = dict(zip(places, found, strict=True))
    # This holds, by the name that the call has for a place, where the place has moved since.
    under: dict[ProgressKey, ProgressKey] = {}
    for one, state in zip(names, states, strict=True):
        if not isinstance(one, CohortError) and state.happened_on is not None:
            viewable, named_key = viewables[_place(one[0])], one[0].progress_key
            under[named_key] = named_key if isinstance(viewable, CohortError) else viewable.current(named_key)
    erased = await erased_places(session.stores.rows, list(dict.fromkeys((*under, *under.values()))))

    def placed(one: tuple[ViewKey, datetime] | CohortError, told: datetime | None) -> Placed | CohortError:
        if isinstance(one, CohortError):
            return one
        key, at = one
        try:
            if told is not None:
                for place in (key.progress_key, under[key.progress_key]):
                    check_after_erasure(erased.get(place), told)
            viewable = viewables[_place(key)]
            return viewable if isinstance(viewable, CohortError) else placed_on(session, viewable, key, at)
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
    """Returns the place of a key. Keys of one place have the same viewable contents."""
    return key.progress_key, key.is_content_alone


async def _viewable(session: Session, key: ViewKey) -> ViewableContents | CohortError:
    try:
        return await viewable_contents(session, key)
    except CohortError as error:
        return error


async def _write_partition(
    session: Session, items: Sequence[_Item], announcement: Announcement
) -> dict[int, Outcome]:
    """Writes the items of one partition. Returns the outcomes by the item's place."""
    keys = dict.fromkeys(item.placed.key.progress_key for item in items)
    wanted = dict.fromkeys(item.placed.key for item in items)
    try:
        async with announcement.writing(keys, _stored(session, wanted)) as stored:
            views = await _merge(session, items, stored)
    except CohortError as error:
        return {item.place: error for item in items}
    return {item.place: views[item.placed.key] for item in items}


async def _stored(session: Session, keys: Iterable[ViewKey]) -> dict[ViewKey, Row | None]:
    """Returns the rows of the views, which are in one partition."""
    places = {key: row_key(key) for key in keys}
    found = await session.stores.rows.get_many(VIEWS, list(places.values()))
    return {key: found.get(place) for key, place in places.items()}


async def _merge(
    session: Session, items: Sequence[_Item], stored: dict[ViewKey, Row | None]
) -> dict[ViewKey, View]:
    """Merges by the rules into the stored views, and writes if nobody changed them in between. Returns the views after the
    call."""
    rows, has_written = session.stores.rows, False
    async for attempt in Attempts():
        if attempt:
            stored = await _stored(session, stored)
        views = {key: view_of(row) for key, row in stored.items()}
        changed: dict[ViewKey, View] = {}
        for item in items:
            key = item.placed.key
            after = stated(views[key], key, item.state, item.placed.at, item.since)
            if after is not None:
                after = with_origin(session, item.placed, views[key], after)
                views[key] = changed[key] = after
        begun = {key.progress_key: key.scope for key in changed if stored[key] is None}
        await enter_scopes(session.shared, begun)
        # All get one moment: they are one change of the partition.
        changed_at = session.shared.change_moment()
        changes = [put(view, stored[key], changed_at) for key, view in changed.items()]
        for batch in _batches(changes):
            if not await rows.write_together(VIEWS, batch):
                break
            has_written = True
        else:
            return {key: views[key] or View(key, Status.NOT_STARTED) for key in stored}
    refusal = "these views are being changed by others; send the call again"
    if has_written:
        raise StoreUnavailable(refusal)  # the marks stay: some of the rows have changed
    raise Conflict(refusal, field="contentId")


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
