"""How learners stand in activities with every acknowledged call in it, before any worker ran.

What no worker has seen yet is computed from views, attempts and enrolments by the workers' rule; the rest is as they
wrote it.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from loaders.aggregates import ENTRY_COLUMNS, Place, Seen, StoredAggregate, aggregates_by_place
from loaders.attempts import attempts_by_key
from loaders.enrolments import enrolment_of
from loaders.entries import EntryKey, Found, counted_of, entry_of, places_of
from loaders.library import Library
from loaders.standings import aggregate_context_of, root_key
from loaders.views import FIGURE_COLUMNS, changes_by_key, touches_by_key
from rules.aggregates import COLLECTION_TYPE, Aggregate, aggregates_of
from rules.enrolments import Enrolment
from rules.entries import Entry
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey
from rules.scores import NO_SCORE, AssessmentScores, activity_score, scores_by_content
from rules.standings import Touch
from rules.subjects import Subject
from rules.tracking import Tracking
from stores.rows import Rows
from stores.tables import ENROLMENTS, LEARNER_SCOPES, NODE_ROOTS
from stores.turns import breathe, in_turns

Stored = Mapping[Place, Sequence[StoredAggregate]]


@dataclass(frozen=True, slots=True)
class _Unseen:
    """A key that changed since its aggregate was written, or that has none yet."""

    key: ProgressKey
    context_id: str
    enrolment: Enrolment | None
    tree: RelationTree
    scores: Mapping[str, AssessmentScores]

    def aggregates(self, touches: Mapping[str, Touch], stored: Iterable[str]) -> list[Aggregate]:
        """The aggregates of the collection, of units with a leaf that was viewed or attempted, and of the activities that
        have a row (``stored``)."""
        return aggregates_of(self.tree, touches, dict.fromkeys(stored), self.scores)

    def entry(self, aggregate: Aggregate) -> Entry:
        return Entry.of(
            self.key.collection_id,
            self.context_id,
            self.enrolment is not None and self.enrolment.active,
            aggregate.progress,
            aggregate.time_spent,
            aggregate.last_accessed_on,
            self.enrolment.enrolled_on if self.enrolment else None,
            self.tree.version,
            aggregate.score,
        )


async def fresh_entries(
    rows: Rows,
    library: Library,
    tracking: Tracking,
    subjects: Iterable[Subject],
    user_ids: Collection[str],
) -> Found:
    """The entries that loaders/entries.py gives once the workers have seen everything."""
    subjects = [subject for subject in subjects if subject.types]
    collections = await _collections_of(rows, subjects)
    roots = [(COLLECTION_TYPE, root, user_id) for root in collections for user_id in user_ids]
    # The collections before their units, and both before the changes that they are compared with: workers write in
    # the opposite order, so that what is written in between looks older than it is, never newer.
    stored: dict[Place, list[StoredAggregate]] = {}
    stored |= await aggregates_by_place(rows, roots, ENTRY_COLUMNS)
    others = [place for place in places_of(subjects, user_ids) if place not in stored]
    stored |= await aggregates_by_place(rows, others, ENTRY_COLUMNS)
    unseen = await _unseen(rows, library, tracking, collections, user_ids, stored)
    trees = {one.key.collection_id: one.tree for one in unseen}
    touches, _ = await touches_by_key(rows, tracking, [one.key for one in unseen], trees, FIGURE_COLUMNS)
    entries = await _written(subjects, user_ids, stored)
    for one in unseen:
        await breathe()
        place, user_id = (one.key.collection_id, one.context_id), one.key.user_id
        ours = [subject.activity.id for subject in subjects if subject.counts(one.key.collection_id)]
        with_row = [activity for activity in ours if entries[activity, user_id].pop(place, None) is not None]
        for aggregate in one.aggregates(touches[one.key], with_row):
            if aggregate.activity_id in ours:
                entries[aggregate.activity_id, user_id][place] = one.entry(aggregate)
    return {key: list(by_place.values()) for key, by_place in entries.items()}


async def _written(
    subjects: Iterable[Subject], user_ids: Collection[str], stored: Stored
) -> dict[EntryKey, dict[tuple[str, str], Entry]]:
    """Entries as the workers wrote them, by collection and context."""
    written: dict[EntryKey, dict[tuple[str, str], Entry]] = {}
    for subject in subjects:
        for user_id in user_ids:
            await breathe()
            written[subject.activity.id, user_id] = {
                (aggregate.key.collection_id, aggregate.key.context_id): entry_of(aggregate)
                for aggregate in counted_of(subject, user_id, stored)
            }
    return written


async def _collections_of(rows: Rows, subjects: Sequence[Subject]) -> list[str]:
    """The published collections that are subjects, or have subjects as units."""
    ids = {subject.activity.id for subject in subjects}
    found = await rows.partitions(NODE_ROOTS, [(activity_id,) for activity_id in ids])
    return sorted(
        {
            row["root"]
            for subject in subjects
            for row in found[subject.activity.id,]
            if subject.counts(row["root"])
        }
    )


async def _unseen(
    rows: Rows,
    library: Library,
    tracking: Tracking,
    collections: Sequence[str],
    user_ids: Collection[str],
    stored: Stored,
) -> list[_Unseen]:
    """The keys of these learners in these collections that no worker has seen as they are now. ``stored``: the
    aggregates of the collections."""
    before = {each.key: each for found in stored.values() for each in found}
    users = [(user_id,) for user_id in user_ids]
    published, enrolments, scopes = await asyncio.gather(
        library.published(collections),
        rows.partitions(ENROLMENTS, users, among=collections),
        rows.partitions(LEARNER_SCOPES, users, ("userid", "collectionid", "contextid"), among=collections),
    )
    trees = {collection: tree for collection, (_, tree) in published.items() if tree is not None}
    of_learners = [row for partition in enrolments.values() for row in partition]
    enrolled = {
        found.key: found
        for found in await in_turns(enrolment_of, of_learners)
        if found is not None and found.key.collection_id in trees
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
    contexts, changed, attempts = await asyncio.gather(
        library.contexts.load_many(context_ids),
        changes_by_key(rows, tracking, keys, trees),
        attempts_by_key(rows, tracking, keys, trees),
    )
    context_by_id = dict(zip(context_ids, contexts, strict=True))
    unseen = []
    for key in keys:
        await breathe()
        enrolment, tree = enrolled.get(key), trees[key.collection_id]
        context_id = aggregate_context_of(key, context_by_id.get(key.context_id))
        scores = scores_by_content(one for one in attempts[key] if one.key.content_id in tree.leaf_nodes)
        root = before.get(root_key(key, context_id))
        seen, score = (root.seen, root.score) if root else (Seen(), NO_SCORE)
        now = (changed[key], enrolment.changed_at if enrolment else None)
        if (
            (seen.changed_at, seen.enrolment) != now
            or not tree.covers(seen.tree_version)
            # Attempts mark no change of the views: what they come to is compared itself.
            or score != activity_score(scores, tree.pass_marks)
        ):
            unseen.append(_Unseen(key, context_id, enrolment, tree, scores))
    return unseen
