"""Move mode: whoever enrols into a context takes the progress along from where the collection is under way (R-MODE-7).

The enrolments are the pointer, and one write flips both. Attempts go along with the views, in the same steps.

1. ``moved_to`` is set in the enrolment that is left. It stays active. From now on, calls that write there also write to
   the new place before they are answered (``forward``).
2. Views and attempts are written to the new place. Nothing is taken away.
3. One conditional write of the learner's partition makes the new enrolment active and the old one a pointer.
4. The workers take away what is left: views, attempts, aggregates, states (``take_rest``; ingest/workers/moved_places.py).

If the move is cut off before 3, the learner is where they were. After 3 they are at the new place. Any step may be done
again.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ingest.modes.rekeying import arrivals, bring, slim_attempts, take_away
from ingest.writes.retrying import Attempts
from ingest.writes.transfers import Step, put, taken_away, transfer
from ingest.writes.triggers import send_trigger
from loaders import touches
from loaders.enrolments import as_read, enrolment_of, enrolments_by_key, enrolments_in, row_key
from loaders.session import Session, Shared
from loaders.views import view_of, views_by_key
from rules.attempts import Attempt
from rules.contexts import Context
from rules.enrolments import Enrolment, under_way
from rules.errors import Conflict
from rules.identifiers import ProgressKey, ViewKey, scope_of
from rules.moves import Taking, current_place
from rules.origins import OriginKind
from rules.triggers import TriggerKind
from rules.views import View
from stores.rows import Change, Condition, Equal, Row
from stores.tables import ENROLMENTS, VIEWS

ATTEMPTS = 6
"""How often an enrolment is tried while other calls change the learner's enrolments."""


async def current_key(shared: Shared, key: ProgressKey) -> ProgressKey:
    """Returns the key where the progress of this key is now. It is the same key unless the progress has moved.

    It costs one statement, however often the progress moved.
    """
    if not key.has_context:
        return key
    enrolments = await _enrolments(shared, key)
    return key._replace(context_id=current_place(enrolments, key.context_id))


async def current_keys(shared: Shared, keys: Collection[ProgressKey]) -> dict[ProgressKey, ProgressKey]:
    """Returns for each key the one where its progress is now. It costs one read for each collection."""
    learners: dict[str, set[tuple[str]]] = {}
    for key in keys:
        if key.has_context:
            learners.setdefault(key.collection_id, set()).add((key.user_id,))
    found = await asyncio.gather(
        *(
            shared.stores.rows.partitions(ENROLMENTS, sorted(users), prefix=(collection_id,))
            for collection_id, users in learners.items()
        )
    )
    enrolments = {
        (user_id, collection_id): {each.key.context_id: each for each in map(enrolment_of, rows) if each}
        for collection_id, of_users in zip(learners, found, strict=True)
        for (user_id,), rows in of_users.items()
    }
    return {
        key: key._replace(context_id=current_place(enrolments[place], key.context_id))
        if (place := (key.user_id, key.collection_id)) in enrolments
        else key
        for key in keys
    }


async def enrol_taking_along(
    session: Session, key: ProgressKey, at: datetime, context: Context
) -> Enrolment | None:
    """Enrols and brings the progress along. Returns the new enrolment.

    Returns None in these cases:

    - There is nothing to take along, or nothing that the rules let move.
    - ingest/commands/enrolments.py repeats or refuses the enrolment.

    One statement tells whether there is anything. Further costs:

    - for each place that is left, one conditional write and three reads, one more if it has attempts
    - for 50 views, one conditional write; for 50 attempts, what ``rekeying`` costs
    - one conditional write that flips

    Raises Conflict if others keep changing the learner's enrolments.
    """
    shared = session.shared
    if not shared.tracking.rules.rules:
        return None
    taking = Taking(key, at, context, shared.tracking.rules)
    async for _ in Attempts(ATTEMPTS):
        enrolments = await _enrolments(shared, key)
        there = enrolments.pop(key.context_id, None)
        if there is not None and _is_settled(there, at):
            return None
        if there is not None and there.has_moved:
            # The learner comes back. What still stands here was taken along before, so it would be there twice.
            await _take_rest(shared, there.key, {**enrolments, key.context_id: there})
        left = await _under_way(shared, list(enrolments.values()), at)
        if not left:
            return None
        if not all([await _announce_move(shared, enrolment, key.context_id) for enrolment in left]):
            continue
        for enrolment in left:
            await _bring(shared, taking, enrolment.key)
            await _bring_attempts(shared, taking, enrolment.key)
        if (moved := await _flip(shared, taking, there, left)) is not None:
            await send_trigger(shared.stores, TriggerKind.ENROLMENT, key)
            return moved
    raise Conflict("the enrolment was changed by another call; send this one again", field="contextId")


async def forward(shared: Shared, keys: Sequence[ViewKey]) -> dict[ViewKey, View]:
    """Looks whether the enrolments moved after these views were written. If so, writes the views there too.

    A move that is about to happen counts as well. Returns, by key, the view at the new place, if that is now the one to
    read. It costs one statement for each learner, collection and context.
    """
    places = list(dict.fromkeys(key.progress_key for key in keys if key.progress_key.has_context))
    found = await asyncio.gather(*(_enrolments(shared, place) for place in places))
    enrolments = dict(zip(places, found, strict=True))
    leaving: dict[ProgressKey, list[ViewKey]] = {}
    for key in keys:
        here = enrolments.get(key.progress_key, {}).get(key.progress_key.context_id)
        if here is not None and here.moved_to is not None:
            leaving.setdefault(key.progress_key, []).append(key)
    moved = await asyncio.gather(
        *(_forward_views(shared, place, of, enrolments[place]) for place, of in leaving.items())
    )
    return {key: view for views in moved for key, view in views.items()}


async def _forward_views(
    shared: Shared, place: ProgressKey, keys: Sequence[ViewKey], enrolments: Mapping[str, Enrolment]
) -> dict[ViewKey, View]:
    """Brings these views of one place together. All of the place comes along if there are several."""
    here = enrolments[place.context_id]
    context_id = current_place(enrolments, place.context_id) if here.has_moved else here.moved_to or ""
    there = enrolments.get(context_id)
    # If the enrolment is about to be made, its time is now.
    begun_on = there.begun_on if here.has_moved and there is not None else shared.now()
    taking = await _taking(shared, place, context_id, begun_on)
    if taking is None:
        return {}
    await _bring(shared, taking, place, keys[0].content_id if len(keys) == 1 else None)
    if not here.has_moved:
        return {}
    there_now = [key._replace(context_id=context_id) for key in keys]
    views = await views_by_key(shared.stores.rows, shared.tracking, there_now)
    return {key: view for key, view in zip(keys, views, strict=True) if view is not None}


@dataclass(frozen=True, slots=True)
class Moved:
    """An enrolment that is a pointer, the key where it leads, and the key whose trigger tells of it."""

    enrolment: Enrolment
    to: ProgressKey
    cause: ProgressKey


async def take_rest(
    shared: Shared, keys: Collection[ProgressKey], enrolled: Collection[ProgressKey]
) -> list[Moved]:
    """Brings along and takes away what still stands at places that were left. It is for the workers.

    These are the places of ``keys`` that have moved, and the places that one of ``enrolled`` has moved on from, or one
    whose last change no worker has seen: the trigger of a call that died is lost.

    It costs one read of the enrolments for 100 keys, and one for each learner and collection that has moved.
    """
    stored = await enrolments_by_key(shared.stores.rows, list(keys))
    places: dict[tuple[str, str], dict[str, ProgressKey]] = {}
    for key, enrolment in zip(keys, stored, strict=True):
        if enrolment is not None and (
            enrolment.has_moved
            or (enrolment.moved_from is not None and (key in enrolled or enrolment.is_unseen))
        ):
            places.setdefault((key.user_id, key.collection_id), {})[key.context_id] = key
    found: list[Moved] = []
    for causes in places.values():
        key = next(iter(causes.values()))
        enrolments = await _enrolments(shared, key)
        for enrolment in enrolments.values():
            cause = causes.get(enrolment.key.context_id) or causes.get(enrolment.moved_to or "")
            if enrolment.has_moved and cause is not None:
                to = key._replace(context_id=current_place(enrolments, enrolment.key.context_id))
                await _take_rest(shared, enrolment.key, enrolments)
                found.append(Moved(enrolment, to, cause))
    return found


def _is_settled(there: Enrolment, at: datetime) -> bool:
    """True if the enrolment must not begin anew: it is active, this call made it, or the call is older than its end."""
    before_end = there.unenrolled_on is not None and at < there.unenrolled_on
    return there.active or there.was_begun(at) or before_end


async def _enrolments(shared: Shared, key: ProgressKey) -> dict[str, Enrolment]:
    """Returns the learner's enrolments in the collection, by context."""
    found = await enrolments_in(shared.stores.rows, key.user_id, key.collection_id)
    return {enrolment.key.context_id: enrolment for enrolment in found}


async def _under_way(shared: Shared, enrolments: Sequence[Enrolment], at: datetime) -> list[Enrolment]:
    contexts = await shared.library.contexts.load_many([each.key.context_id for each in enrolments])
    return under_way(zip(enrolments, contexts, strict=True), at)


async def _announce_move(shared: Shared, enrolment: Enrolment, context_id: str) -> bool:
    """Sets ``moved_to``: from now on calls forward what they write. Returns False if another call has changed the
    enrolment."""
    if enrolment.moved_to == context_id:
        return True
    applied = await shared.stores.rows.update_if(
        ENROLMENTS,
        row_key(enrolment.key),
        {"moved_to": context_id},
        as_read(enrolment),
    )
    return applied.applied


async def _flip(
    shared: Shared, taking: Taking, there: Enrolment | None, left: Sequence[Enrolment]
) -> Enrolment | None:
    """Writes both sides of the pointer in one write. Returns None if another call has changed one of the enrolments."""
    to, at = taking.to, taking.begun_on
    after = Enrolment(
        to, active=True, enrolled_on=at, changed_at=shared.change_moment(), moved_from=left[0].key.context_id
    )
    conditions: list[Condition] = [Equal("enrolled_on", None)]
    if there is not None:
        after = replace(after, enrolled_on=there.enrolled_on, reenrolled_on=at)
        conditions = as_read(there)
    values = {
        "active": True,
        "enrolled_on": after.enrolled_on,
        "reenrolled_on": after.reenrolled_on,
        "unenrolled_on": None,
        "changed_at": after.changed_at,
        "moved_from": after.moved_from,
        "moved_to": None,
    }
    changes = [Change(row_key(to), values, conditions)]
    for enrolment in left:
        ending = {"active": False, "unenrolled_on": at, "changed_at": shared.change_moment()}
        announced = replace(enrolment, moved_to=to.context_id)
        changes.append(Change(row_key(enrolment.key), ending, as_read(announced)))
    return after if await shared.stores.rows.write_together(ENROLMENTS, changes) else None


async def _taking(shared: Shared, key: ProgressKey, context_id: str, begun_on: datetime) -> Taking | None:
    """Returns the rule for what goes along from the key to that context. Returns None if the context is gone."""
    context = await shared.library.contexts.load(context_id)
    if context is None:
        return None
    return Taking(key._replace(context_id=context_id), begun_on, context, shared.tracking.rules)


async def _bring(shared: Shared, taking: Taking, source: ProgressKey, content_id: str | None = None) -> None:
    """Writes the views of that key, or one of them, to the new place. They also stay where they were."""

    async def plan() -> list[Step]:
        there = await _rows(shared, taking.to, content_id)
        return [
            Step(after, [put(after, there.get(content), shared.change_moment())])
            for content, row in (await _rows(shared, source, content_id)).items()
            if (view := view_of(row)) is not None
            and (after := taking.merged(view_of(there.get(content)), view)) is not None
        ]

    await transfer(shared, taking.to, plan)


async def _bring_attempts(shared: Shared, taking: Taking, source: ProgressKey) -> Sequence[Attempt]:
    """Writes the attempts of that key to the new place, and returns them. They also stay where they were.

    Attempts at a content whose view the rules leave behind stay with it.
    """
    attempts = (await slim_attempts(shared, [source]))[source]
    if not attempts:
        return attempts
    views = {content: view_of(row) for content, row in (await _rows(shared, source)).items()}
    left = {content for content, view in views.items() if view is not None and not taking.takes(view)}
    going = [attempt for attempt in attempts if attempt.key.content_id not in left]
    wanted: dict[ViewKey, list[Attempt]] = {}
    for attempt in going:
        to = attempt.key._replace(context_id=taking.to.context_id)
        wanted.setdefault(to, []).append(attempt)
    await bring(shared, await arrivals(shared, wanted), OriginKind.MOVED)
    return going


async def _take_rest(shared: Shared, source: ProgressKey, enrolments: Mapping[str, Enrolment]) -> None:
    """Moves what is still at the old place. One write adds a view there and deletes it here. Attempts are written there,
    then deleted here.

    What the rules leave behind stays, for a learner who comes back.
    """
    context_id = current_place(enrolments, source.context_id)
    there = enrolments.get(context_id)
    if there is None or context_id == source.context_id:
        return
    taking = await _taking(shared, source, context_id, there.begun_on)
    if taking is None:
        return

    async def plan() -> list[Step]:
        left = await _rows(shared, source)
        there = await _rows(shared, taking.to) if left else {}
        steps = []
        for content, row in left.items():
            view = view_of(row)
            if view is None or not taking.takes(view):
                continue
            after = taking.merged(view_of(there.get(content)), view)
            gone = taken_away(view.key, row, shared.change_moment())
            steps.append(
                Step(
                    after,
                    [gone]
                    if after is None
                    else [put(after, there.get(content), shared.change_moment()), gone],
                )
            )
        return steps

    await transfer(shared, taking.to, plan)
    await take_away(shared, await _bring_attempts(shared, taking, source))
    await touches.forget(shared.stores.cache, [source])


async def _rows(shared: Shared, key: ProgressKey, content_id: str | None = None) -> dict[str, Row]:
    """Returns the rows by content."""
    place = (key.collection_id, key.context_id)
    found = await shared.stores.rows.partition(
        VIEWS,
        (key.user_id, scope_of(key.collection_id)),
        prefix=place if content_id is None else (*place, content_id),
    )
    return {row["contentid"]: row for row in found}
