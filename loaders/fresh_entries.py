"""How learners stand in activities with every acknowledged call in it, before any worker ran.

What no worker has seen yet is computed from views and enrolments by the workers' rule; the rest is as they wrote it.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from loaders.aggregates import ENTRY_COLUMNS, Seen, StoredAggregate, aggregates_by_activity
from loaders.enrolments import enrolment_of
from loaders.entries import Entries, Stored, best_entries, entry_of, stored_aggregates
from loaders.library import Library
from loaders.standings import aggregate_context_of
from loaders.views import FIGURE_COLUMNS, changes_by_key, touches_by_key
from rules.aggregates import ACTIVITY_TYPE, aggregates_of
from rules.enrolments import Enrolment
from rules.entries import Entry, stored_type
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey
from rules.learner_groups import Activity
from rules.standings import Touch
from rules.tracking import Tracking
from stores.rows import Rows
from stores.tables import ENROLMENTS, LEARNER_SCOPES, NODE_ROOTS


@dataclass(frozen=True, slots=True)
class _Unseen:
    """A key that changed since its aggregate was written, or that has none yet."""

    key: ProgressKey
    context_id: str
    enrolment: Enrolment | None
    tree: RelationTree

    def wrote(self, stored: Iterable[StoredAggregate]) -> bool:
        """Whether one of these is of this key."""
        return any(
            each.context_id == self.context_id and each.collection_id in (None, self.key.collection_id)
            for each in stored
        )

    def entries(self, touches: Mapping[str, Touch], stored: Collection[str]) -> Iterator[tuple[str, Entry]]:
        """By activity: the collection, the units with a viewed leaf, and those that have a row (``stored``)."""
        for aggregate in aggregates_of(self.tree, touches, dict.fromkeys(stored)):
            yield (
                aggregate.activity_id,
                Entry(
                    self.context_id,
                    self.enrolment is not None and self.enrolment.active,
                    aggregate.progress,
                    aggregate.time_spent,
                    aggregate.last_accessed_on,
                    self.enrolment.enrolled_on if self.enrolment else None,
                ),
            )


async def fresh_entries(
    rows: Rows,
    library: Library,
    tracking: Tracking,
    activities: Sequence[Activity],
    user_ids: Collection[str],
) -> Entries:
    """As loaders/entries.py gives them once the workers have seen everything. An activity that is no published
    collection or unit has its rows alone."""
    ours = {activity.id for activity in activities if stored_type(activity.type) == ACTIVITY_TYPE}
    collections = await _collections_of(rows, ours)
    # The collections before their units, and both before the changes that they are compared with: workers write in
    # the opposite order, so that what is written in between looks older than it is, never newer.
    roots = await aggregates_by_activity(
        rows,
        [(root, user_id) for root in collections for user_id in user_ids],
        columns=ENTRY_COLUMNS,
    )
    others = [a for a in activities if a.id not in ours or a.id not in collections]
    stored = {key: found for key, found in roots.items() if key[0] in ours}
    stored |= await stored_aggregates(rows, others, user_ids)
    entries = {key: {each.context_id: entry_of(each) for each in found} for key, found in stored.items()}
    unseen = await _unseen(rows, library, tracking, collections, user_ids, roots)
    trees = {one.key.collection_id: one.tree for one in unseen}
    touches, _ = await touches_by_key(rows, tracking, [one.key for one in unseen], trees, FIGURE_COLUMNS)
    for one in unseen:
        written = [
            activity_id for activity_id in ours if one.wrote(stored.get((activity_id, one.key.user_id), ()))
        ]
        for activity_id in written:
            del entries[activity_id, one.key.user_id][one.context_id]
        for activity_id, entry in one.entries(touches[one.key], written):
            if activity_id in ours:
                entries[activity_id, one.key.user_id][one.context_id] = entry
    return best_entries({key: by_context.values() for key, by_context in entries.items()})


async def _collections_of(rows: Rows, activity_ids: Collection[str]) -> list[str]:
    """The published collections that these are, or are units of."""
    found = await rows.partitions(NODE_ROOTS, [(activity_id,) for activity_id in activity_ids])
    return sorted({row["root"] for roots in found.values() for row in roots})


async def _unseen(
    rows: Rows,
    library: Library,
    tracking: Tracking,
    collections: Sequence[str],
    user_ids: Collection[str],
    stored: Stored,
) -> list[_Unseen]:
    """Of all that these learners do in these collections. ``stored``: the aggregates of the collections."""
    seen = {(*key, each.context_id): each.seen for key, found in stored.items() for each in found}
    users = [(user_id,) for user_id in user_ids]
    published, enrolments, scopes = await asyncio.gather(
        library.published(collections),
        rows.partitions(ENROLMENTS, users, among=collections),
        rows.partitions(LEARNER_SCOPES, users, ("userid", "collectionid", "contextid"), among=collections),
    )
    trees = {collection: tree for collection, (_, tree) in published.items() if tree is not None}
    enrolled = {
        found.key: found
        for partition in enrolments.values()
        for row in partition
        if (found := enrolment_of(row)) is not None and found.key.collection_id in trees
    }
    viewed = {
        ProgressKey(row["userid"], row["collectionid"], row["contextid"])
        for partition in scopes.values()
        for row in partition
        if row["collectionid"] in trees
    }
    left = {key for key, enrolment in enrolled.items() if enrolment.has_moved}
    keys = sorted((enrolled.keys() | viewed) - left)
    context_ids = list({key.context_id for key in keys if key.has_context})
    contexts, changed = await asyncio.gather(
        library.contexts.load_many(context_ids), changes_by_key(rows, tracking, keys, trees)
    )
    context_by_id = dict(zip(context_ids, contexts, strict=True))
    unseen = []
    for key in keys:
        enrolment, tree = enrolled.get(key), trees[key.collection_id]
        context_id = aggregate_context_of(key, context_by_id.get(key.context_id))
        now = Seen(
            changed[key],
            enrolment.changed_at if enrolment else None,
            tree.version,
        )
        if seen.get((key.collection_id, key.user_id, context_id)) != now:
            unseen.append(_Unseen(key, context_id, enrolment, tree))
    return unseen
