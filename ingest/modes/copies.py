"""Copy mode: completions elsewhere are written into the contexts where the rules let them count (R-MODE-5).

It happens twice: into an enrolment when it is made, and out of a view when it is completed. Both give the same rows
whenever and however often they run (rules/copies.py). So the workers do both again for each trigger and mend what died
half way. A copy is never copied on: its original reaches the same places by itself.

The attempts at a content come along from each place whose completion counts (ingest/modes/rekeying.py).
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import TypeVar

from ingest.modes.rekeying import arrivals, bring, slim_attempts
from ingest.writes.all_ended import all_ended
from ingest.writes.transfers import Step, put, transfer
from loaders.enrolments import enrolments_by_key, enrolments_in_places
from loaders.session import Shared
from loaders.views import key_of, row_key, view_of
from rules.attempts import Attempt
from rules.copies import Completed, Taker
from rules.enrolments import Enrolment
from rules.identifiers import ProgressKey, ViewKey, scope_of
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.views import View
from stores.rows import Row, Rows
from stores.tables import LEARNER_SCOPES, NODE_ROOTS, VIEWS

AT_ONCE = 16
"""Enrolments that copies are written into at the same time."""

_COLUMNS = (
    *("userid", "collectionid", "contextid", "contentid"),
    *("status", "last_completed_time", "origin"),
)

T = TypeVar("T")

Contents = Set[str] | None
"""The contents of a key that were viewed. None means that it may be any of them."""


async def write_copies(
    shared: Shared,
    keys: Collection[ProgressKey],
    enrolled: Collection[ProgressKey],
    viewed: Mapping[ProgressKey, Contents],
) -> dict[ProgressKey, ProgressKey]:
    """Writes, for the workers, what follows from triggers of these enrolments and views.

    An enrolment whose last change no worker has seen counts as one of ``enrolled``: the trigger of a call that died is
    lost, and after this batch nothing tells of it any more.

    Returns the keys that were copied into, each with the key that it follows from.
    """
    stored = await enrolments_by_key(shared.stores.rows, list({*keys, *enrolled}))
    new = [each for each in stored if each is not None and (each.key in enrolled or each.is_unseen)]
    await copy_into(shared, new)
    return await copy_out_of(shared, viewed)


async def copy_into(shared: Shared, enrolments: Sequence[Enrolment]) -> None:
    """Copies the learner's completions from elsewhere into these enrolments.

    Elsewhere is: the contents alone; the same collection under another context or under none; other collections that
    hold the contents. Only active enrolments get copies.

    Costs for each enrolment, besides what the process remembers of collections and contexts:

    - for 100 leaves, one read of ``node_roots`` and one of the learner's scopes
    - for 100 collections that hold any of them, one read of the views
    - for each bucket of contents taken alone (16 at most, for 100 contents), one read of the views
    - for 50 rows to be written, one read of them and one conditional write
    - for 100 collections where a completion counts, one read of the attempts, and what ``rekeying`` costs to write them

    The length of the learner's history does not matter: nothing else is read.
    """
    takers = await _takers(shared, enrolments)

    async def into(taker: Taker, leaves: Set[str]) -> None:
        completed, rules = await _completed_elsewhere(shared, taker.key, leaves), shared.tracking.rules
        await _write(shared, taker.key, taker.copies(completed, rules))
        await _write_attempts(shared, {taker.key: taker.assessed_at(completed, rules)})

    await all_ended([into(taker, leaves) for taker, leaves in takers], AT_ONCE)


async def copy_out_of(
    shared: Shared, viewed: Mapping[ProgressKey, Contents]
) -> dict[ProgressKey, ProgressKey]:
    """Copies what was completed under these keys into the learner's other active enrolments.

    An enrolment takes it if its collection holds the content. Costs for all keys together:

    - for 100 contents, one read of ``node_roots``
    - for 100 contents, or for each key without contents, one read of views
    - for each learner and collection that holds any, one read of the enrolments
    - then what ``copy_into`` costs to write
    """
    done = await _completed(shared, viewed)
    if not done:
        return {}
    rows = shared.stores.rows
    holders = await _holders(rows, {each.content_id for completed in done.values() for each in completed})
    places = {
        (key.user_id, collection)
        for key, completed in done.items()
        for each in completed
        for collection in holders[each.content_id]
    }
    enrolled = await enrolments_in_places(rows, sorted(places))
    takers = await _takers(shared, [enrolment for found in enrolled for enrolment in found])
    of_learner: dict[str, list[tuple[Taker, frozenset[str]]]] = defaultdict(list)
    for taker, leaves in takers:
        of_learner[taker.key.user_id].append((taker, leaves))
    wanted: dict[ProgressKey, dict[str, View]] = defaultdict(dict)
    assessed: dict[ProgressKey, list[ViewKey]] = defaultdict(list)
    sources: dict[ProgressKey, ProgressKey] = {}
    for key, completed in done.items():
        for taker, leaves in of_learner[key.user_id]:
            if taker.key == key:
                continue
            reaching = [each for each in completed if each.content_id in leaves]
            if counting := taker.assessed_at(reaching, shared.tracking.rules):
                assessed[taker.key] += counting
                sources.setdefault(taker.key, key)
            originals = [each for each in reaching if not each.is_copy]
            wanted[taker.key] |= taker.copies(originals, shared.tracking.rules)
    reached = await all_ended([_write(shared, key, views) for key, views in wanted.items()], AT_ONCE)
    scored = await _write_attempts(shared, assessed)
    changed = scored.union(key for key, here in zip(wanted, reached, strict=True) if here)
    return {key: sources[key] for key in changed}


async def _takers(shared: Shared, enrolments: Iterable[Enrolment]) -> list[tuple[Taker, frozenset[str]]]:
    """Returns the active enrolments whose collection and context exist, each with the collection's leaves."""
    active = [enrolment for enrolment in enrolments if enrolment.active]
    published, contexts = await asyncio.gather(
        shared.library.published(list({e.key.collection_id for e in active})),
        shared.library.contexts.load_many([e.key.context_id for e in active]),
    )
    takers = []
    for enrolment, context in zip(active, contexts, strict=True):
        _, tree = published.get(enrolment.key.collection_id, (None, None))
        if context is not None and tree is not None:
            takers.append((Taker(enrolment.key, enrolment.begun_on, context), tree.leaf_nodes))
    return takers


async def _completed_elsewhere(shared: Shared, key: ProgressKey, leaves: Set[str]) -> list[Completed]:
    rows = shared.stores.rows
    # The scopes say in one statement which of the leaves were taken alone; the views would be asked in every bucket.
    holders, scopes = await asyncio.gather(
        _holders(rows, leaves),
        rows.get_many(LEARNER_SCOPES, [(key.user_id, leaf, leaf) for leaf in leaves], ("collectionid",)),
    )
    collections = {key.collection_id}.union(*holders.values())
    alone = [ViewKey(key.user_id, *(row["collectionid"],) * 3) for row in scopes.values()]
    by_collection, by_content = await asyncio.gather(
        rows.partitions(VIEWS, [(key.user_id, scope_of(each)) for each in collections], _COLUMNS),
        rows.get_many(VIEWS, [row_key(each) for each in alone], _COLUMNS),
    )
    found = [row for partition in by_collection.values() for row in partition] + list(by_content.values())
    return [
        completed
        for row in found
        if row["contentid"] in leaves
        and (row["collectionid"], row["contextid"]) != (key.collection_id, key.context_id)
        and (completed := _completed_of(row)) is not None
    ]


async def _holders(rows: Rows, contents: Collection[str]) -> dict[str, set[str]]:
    """Returns, for each content, the published collections that hold it."""
    found = await rows.partitions(NODE_ROOTS, [(content,) for content in contents], ("root",))
    return {content: {row["root"] for row in of_content} for (content,), of_content in found.items()}


async def _completed(
    shared: Shared, viewed: Mapping[ProgressKey, Contents]
) -> dict[ProgressKey, list[Completed]]:
    """Returns, for each key, its completed views."""
    rows = shared.stores.rows
    named = [
        row_key(ViewKey(key.user_id, key.collection_id, key.context_id, content))
        for key, contents in viewed.items()
        for content in contents or ()
    ]
    whole = [key for key, contents in viewed.items() if contents is None]

    async def all_of(key: ProgressKey) -> list[Row]:
        place = (key.collection_id, key.context_id)
        partitions = {scope_of(key.collection_id)}
        if not key.has_context:
            partitions.add(scope_of(key.collection_id, key.collection_id))  # it may be a content alone
        found = await asyncio.gather(
            *(rows.partition(VIEWS, (key.user_id, s), prefix=place, columns=_COLUMNS) for s in partitions)
        )
        return [row for partition in found for row in partition]

    by_key, by_place = await asyncio.gather(
        rows.get_many(VIEWS, named, _COLUMNS), asyncio.gather(*map(all_of, whole))
    )
    done: dict[ProgressKey, list[Completed]] = defaultdict(list)
    for row in (*by_key.values(), *(row for found in by_place for row in found)):
        completed = _completed_of(row)
        if completed is not None:
            done[ProgressKey(row["userid"], row["collectionid"], row["contextid"])].append(completed)
    return done


async def _write(shared: Shared, key: ProgressKey, views: Mapping[str, View]) -> bool:
    """Writes each view where none is completed. Returns True if a copy is there now.

    The copy may be from an earlier attempt, whose figures may not have been computed.
    """
    if not views:
        return False
    keys = {content: row_key(view.key) for content, view in views.items()}
    ours = False

    async def plan() -> list[Step]:
        nonlocal ours
        found = await shared.stores.rows.get_many(VIEWS, list(keys.values()))
        steps = []
        for content, view in views.items():
            row = found.get(keys[content])
            there = view_of(row)
            if there is None or there.status < Status.COMPLETED:
                steps.append(Step(after := _on_top(there, view), [put(after, row, shared.change_moment())]))
            elif there.origin is not None and there.origin.kind is OriginKind.COPIED:
                ours = True
        return steps

    return bool(await transfer(shared, key, plan)) or ours


async def _write_attempts(
    shared: Shared, assessed: Mapping[ProgressKey, Collection[ViewKey]]
) -> frozenset[ProgressKey]:
    """Copies the attempts that stand under these keys into each enrolment, and returns those that have any now.

    A copy is not copied on, so an attempt reaches an enrolment from where it was made, in whichever order.
    """
    places = {source.progress_key for sources in assessed.values() for source in sources}
    if not places:
        return frozenset()
    found: dict[ViewKey, list[Attempt]] = defaultdict(list)
    for attempts in (await slim_attempts(shared, places)).values():
        for attempt in attempts:
            if not attempt.is_copy:
                found[attempt.key].append(attempt)
    wanted: dict[ViewKey, list[Attempt]] = defaultdict(list)
    for key, sources in assessed.items():
        for source in dict.fromkeys(sources):
            to = ViewKey(key.user_id, key.collection_id, key.context_id, source.content_id)
            wanted[to] += found.get(source, ())
    coming = await arrivals(shared, wanted)
    await bring(shared, coming, OriginKind.COPIED)
    return coming.reached


def _on_top(there: View | None, copy: View) -> View:
    """Returns the copy merged into a view that was begun here. That one keeps its time, details and dates."""
    if there is None:
        return copy
    return replace(
        there,
        status=copy.status,
        progress=copy.progress,
        completed_on=copy.completed_on,
        last_updated_on=max(filter(None, (there.last_updated_on, copy.last_updated_on)), default=None),
        origin=copy.origin,
    )


def _completed_of(row: Row) -> Completed | None:
    """Returns the completion in this row. If it has no date, returns None: no rule about dates can judge it, so it
    stays."""
    if row["status"] != Status.COMPLETED or row["last_completed_time"] is None:
        return None
    return Completed.of(key_of(row), row["last_completed_time"], _origin_of(row))


def _origin_of(row: Row) -> Origin | None:
    return Origin.decode(row["origin"]) if row["origin"] else None
