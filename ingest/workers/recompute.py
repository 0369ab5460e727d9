"""Computes what aggregates and enrolments should say, from rows alone.

It never uses what a trigger says. So duplicates, reordering and replays change nothing.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from ingest.workers.figures import Recomputed
from ingest.workers.tombstones import Vanished
from loaders.aggregates import StoredAggregate, aggregates_by_place, aggregates_to_compare
from loaders.attempts import attempts_by_key
from loaders.enrolments import enrolments_by_key
from loaders.session import Shared
from loaders.standings import aggregate_context_of
from loaders.views import TouchedLeaves, touched_leaves_by_key
from rules.active_days import NO_DAYS, remembered
from rules.aggregates import COLLECTION_TYPE, AggregateKey, TouchedLeaf, aggregates_of_leaves
from rules.attempts import Attempt
from rules.contents import Content, ContentKind
from rules.contexts import Context
from rules.enrolments import Enrolment
from rules.errors import NotFound
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey, parse_aggregate_context
from rules.scores import AssessmentScores, scores_by_content
from rules.standings import FirstCompletion


@dataclass(slots=True)
class Recomputation:
    """The outcome for many keys: those with figures, erased ones that vanish, and those that can't be computed."""

    done: list[Recomputed] = field(default_factory=list)
    gone: list[Vanished] = field(default_factory=list)
    failed: dict[ProgressKey, NotFound] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Place:
    """The collection, context and relations of a key."""

    content: Content
    context: Context | None
    tree: RelationTree
    aggregate_context_id: str


Places = Mapping[ProgressKey, _Place]


@dataclass(frozen=True, slots=True)
class _Rows:
    """What was read of a key.

    - ``leaves`` and ``scores``: of its views and attempts, by content.
    - ``days``: on which these say that the learner was active.
    - ``stored``: what is stored for the root and for each unit that was read.
    - ``dropped``: what is stored for units that the published version no longer has.
    """

    leaves: Mapping[str, TouchedLeaf]
    scores: Mapping[str, AssessmentScores]
    days: frozenset[int]
    changed_at: int | None
    enrolment: Enrolment | None
    stored: Mapping[str, StoredAggregate | None]
    dropped: Mapping[str, StoredAggregate]

    @property
    def left(self) -> dict[str, StoredAggregate]:
        """Returns the stored aggregates by activity."""
        return {activity: aggregate for activity, aggregate in self.stored.items() if aggregate}


async def recompute(
    shared: Shared,
    keys: Collection[ProgressKey],
    *,
    whole: Set[ProgressKey] = frozenset(),
    erased: Mapping[ProgressKey, datetime] = {},
    days: Mapping[ProgressKey, frozenset[int]] = {},
) -> Recomputation:
    """Reads the rows of each key once and computes what should be stored. Writes nothing.

    Each key has one outcome:

    - done: it has figures.
    - failed: its collection or context does not exist, and the key is not erased.
    - gone: it is in ``erased`` and has no views or attempts of its own and no enrolment, or its collection or context is
      gone.
    - nothing: it has no views, no attempts, no enrolment and no aggregate, or it is a content alone, or its enrolment has
      moved on and left no aggregate.

    Units without a leaf that was viewed or attempted are looked at only in two cases: the key is in ``whole``, or its enrolment or published
    version is not the one seen before. What is stored of keys in ``whole`` is compared status by status, not by digest alone, so that
    a row that was changed by hand is seen. A unit that lost its last viewed leaf to a new version still has a row.

    No unit's row is read where the root has none: it is written last. If a worker died before that, it left units that are written
    again now, at a version that is not below theirs.

    ``erased`` holds the keys that are erased, and when. They are also in ``whole``. If such a key has views, attempts or
    an enrolment again, it keeps nothing of before, not even the date of a completion.

    ``days`` has what no row of a key tells: on which days the learner was active.
    """
    result = Recomputation()
    places = await _places(shared, keys, result)
    rows = await _read(shared, places, whole)
    for key, place in places.items():
        outcome = _outcome(shared, key, place, rows[key], days.get(key, NO_DAYS), erased.get(key))
        if isinstance(outcome, Recomputed):
            result.done.append(outcome)
        elif outcome is not None:
            result.gone.append(outcome)
    for key in result.failed.keys() & erased.keys():
        result.gone.append(await _lost(shared, key))
        del result.failed[key]
    return result


def _outcome(
    shared: Shared,
    key: ProgressKey,
    place: _Place,
    rows: _Rows,
    told: frozenset[int],
    erased_on: datetime | None,
) -> Recomputed | Vanished | None:
    """Returns the figures of the key, or that it is to vanish, or None if there is nothing of it."""
    enrolment, left, dropped = rows.enrolment, rows.left, rows.dropped
    is_erased = erased_on is not None
    leaves, scores = rows.leaves, rows.scores
    if is_erased and enrolment is None and _is_carried(shared, key):
        leaves, scores = {}, {}
    if enrolment is not None and enrolment.has_moved and not left and not is_erased:
        return None  # a pointer: the place where it leads has the figures
    if not leaves and not scores and enrolment is None:
        if is_erased:
            return Vanished.of(key, [*left.values(), *dropped.values()], place.context)
        if not left:
            return None
    figures = aggregates_of_leaves(place.tree, leaves, _completed_before(key, rows, erased_on), scores)
    if is_erased:
        shown = {figure.activity_id for figure in figures}
        dropped = {**dropped, **{a: s for a, s in left.items() if a not in shown}}
    return Recomputed(
        key=key,
        aggregate_context_id=place.aggregate_context_id,
        content=place.content,
        context=place.context,
        enrolment=enrolment,
        changed_at=rows.changed_at,
        tree_version=place.tree.version,
        figures=figures,
        stored=rows.stored,
        dropped=dropped,
        days=_days(None if is_erased else left.get(key.collection_id), rows.days | told),
    )


def _days(root: StoredAggregate | None, told: frozenset[int]) -> frozenset[int]:
    """Returns the days on which the learner was active: those that are stored, and those of rows and triggers. So a trigger
    that comes again adds nothing."""
    before = NO_DAYS if root is None else root.active_days
    return before if told <= before else remembered(before | told)


def _completed_before(
    key: ProgressKey, rows: _Rows, erased_on: datetime | None
) -> dict[str, FirstCompletion | None]:
    """Returns the completions that are kept, by activity. None from before an erasure is kept.

    The date of an enrolment from another platform (ingest/importers/legacy) counts before what workers have stored. So it
    is the same whether they ran before it came or after. Its other date is of before there was an aggregate.
    """

    def is_kept(found: FirstCompletion | None) -> bool:
        return found is None or erased_on is None or found.on > erased_on

    completed = {
        activity: aggregate.completed
        for activity, aggregate in rows.left.items()
        if erased_on is None or (aggregate.completed_on and aggregate.completed_on > erased_on)
    }
    root, enrolment = key.collection_id, rows.enrolment
    if enrolment is not None:
        known = (enrolment.granted, completed.get(root), enrolment.computed)
        first = next((found for found in known if found is not None and is_kept(found)), None)
        if first is not None:
            completed[root] = first
    return completed


def _is_carried(shared: Shared, key: ProgressKey) -> bool:
    """True if the views and attempts that count for the key are kept elsewhere. They stay there when the key is erased."""
    return shared.tracking.keeps_by_content or shared.tracking.source(key) != key


async def _read(shared: Shared, places: Places, whole: Set[ProgressKey]) -> dict[ProgressKey, _Rows]:
    # The roots and the dropped units are read before the views and attempts: see Recomputed.next_version.
    by_hand = frozenset(key.user_id for key in whole)
    roots = await _stored(shared, places, {key: {key.collection_id} for key in places}, by_hand)
    dropped = await _dropped(shared, places, roots)
    trees = {key.collection_id: place.tree for key, place in places.items()}
    keys, stores = list(places), shared.stores
    touched, attempts, found = await asyncio.gather(
        touched_leaves_by_key(stores.rows, shared.tracking, keys, trees),
        attempts_by_key(stores.rows, shared.tracking, keys, trees),
        enrolments_by_key(stores.rows, keys),
    )
    enrolments = dict(zip(places, found, strict=True))
    scores = {key: scores_by_content(those) for key, those in attempts.items()}
    units: dict[ProgressKey, Set[str]] = {}
    for key, place in places.items():
        tree, root, enrolment = place.tree, roots[key][key.collection_id], enrolments[key]
        renewed = root is not None and (
            root.seen.tree_version != tree.version
            or root.seen.enrolment != (enrolment.changed_at if enrolment else None)
        )
        units[key] = frozenset()
        if renewed or key in whole:
            units[key] = frozenset(tree.collections) - {key.collection_id}
        elif root is not None:
            seen_now = touched[key].by_content.keys() | scores[key].keys()
            units[key] = tree.touched_by(seen_now) - {key.collection_id}
    stored_units = await _stored(shared, places, units, by_hand)
    return {
        key: _Rows(
            touched[key].by_content,
            scores[key],
            _days_told(shared, touched[key], attempts[key]),
            touched[key].changed_at,
            enrolments[key],
            roots[key] | stored_units[key],
            dropped.get(key, {}),
        )
        for key in places
    }


def _days_told(shared: Shared, touched: TouchedLeaves, attempts: Sequence[Attempt]) -> frozenset[int]:
    """Returns the days that views and attempts have a date of."""
    zone = shared.day_zone
    days = zone.days_of_milliseconds(touched.moments)
    return days | zone.days_of(one.attempted_on for one in attempts) if attempts else days


async def _lost(shared: Shared, key: ProgressKey) -> Vanished:
    """Returns what is stored of the root of an erased key whose collection or context is gone."""
    place = (COLLECTION_TYPE, key.collection_id, key.user_id)
    stored = (await aggregates_by_place(shared.stores.rows, [place]))[place]
    (context,) = await shared.library.contexts.load_many([key.context_id])
    ours = [each for each in stored if parse_aggregate_context(each.key.context_id)[1] == key.context_id]
    return Vanished.of(key, ours, context)


async def _dropped(
    shared: Shared,
    places: Places,
    roots: Mapping[ProgressKey, Mapping[str, StoredAggregate | None]],
) -> dict[ProgressKey, dict[str, StoredAggregate]]:
    """Returns what is stored of units that were in the version a root has seen and are not in the live one.

    It is nothing in two cases: the relations of the seen version are gone, or that version is newer than the one that
    this process knows.
    """
    before = {
        key: (key.collection_id, root.seen.tree_version)
        for key, place in places.items()
        if (root := roots[key][key.collection_id]) is not None
        and root.seen.tree_version is not None
        and root.seen.tree_version < place.tree.version
    }
    if not before:
        return {}
    versions = list(set(before.values()))
    trees = dict(zip(versions, await shared.library.relations.load_many(versions), strict=True))
    wanted = {
        key: frozenset(old.collections).difference(places[key].tree.collections)
        for key, version in before.items()
        if (old := trees[version]) is not None
    }
    found = await _stored(shared, places, wanted)
    return {
        key: {activity: stored for activity, stored in by_activity.items() if stored is not None}
        for key, by_activity in found.items()
    }


async def _stored(
    shared: Shared,
    places: Places,
    activities: Mapping[ProgressKey, Set[str]],
    with_statuses: Set[str] = frozenset(),
) -> dict[ProgressKey, dict[str, StoredAggregate | None]]:
    """Returns what is stored, by key and activity. The statuses of leaves are read where a digest does not do, and of the
    learners ``with_statuses``."""
    wanted = {
        key: [
            AggregateKey(activity, key.collection_id, places[key].aggregate_context_id, key.user_id)
            for activity in ids
        ]
        for key, ids in activities.items()
    }
    flat = list(chain.from_iterable(wanted.values()))
    found = dict(zip(flat, await aggregates_to_compare(shared.stores.rows, flat, with_statuses), strict=True))
    return {
        key: {aggregate.activity_id: found[aggregate] for aggregate in keys} for key, keys in wanted.items()
    }


async def _places(
    shared: Shared, keys: Collection[ProgressKey], result: Recomputation
) -> dict[ProgressKey, _Place]:
    """Returns collection, context and relations of each key with something to compute. Notes the others as failed.

    Which versions are live is read anew, and so are contexts. Whoever publishes or changes them tells each learner once: a
    process that remembers what was before would take the trigger and compute for that.
    """
    collection_ids = list({key.collection_id for key in keys})
    context_ids = list({key.context_id for key in keys if key.has_context})
    await shared.library.current(collection_ids)
    published, contexts = await asyncio.gather(
        shared.library.published(collection_ids),
        shared.library.current_contexts(context_ids),
    )
    context_by_id = dict(zip(context_ids, contexts, strict=True))
    places: dict[ProgressKey, _Place] = {}
    for key in keys:
        content, tree = published.get(key.collection_id, (None, None))
        context = context_by_id.get(key.context_id)
        if content is not None and content.kind is ContentKind.CONTENT and not key.has_context:
            continue
        if content is None or content.kind is not ContentKind.COLLECTION or tree is None:
            result.failed[key] = NotFound(f"there is no collection {key.collection_id}", field="collectionId")
        elif key.has_context and context is None:
            result.failed[key] = NotFound(f"there is no context {key.context_id}", field="contextId")
        else:
            places[key] = _Place(content, context, tree, aggregate_context_of(key, context))
    return places
