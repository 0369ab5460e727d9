"""Recomputes aggregates and enrolments from rows: the one writer of both (design, section 4, the workers).

From the rows alone, never from what a trigger says, so that duplicates, reordering and replays change nothing.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from zlib import crc32

from loaders.aggregates import AggregateKey, StoredAggregate, aggregates_by_key
from loaders.enrolments import enrolments_by_key
from loaders.session import Shared
from loaders.standings import aggregate_context_of
from loaders.views import touch_of
from rules.aggregates import ACTIVITY_TYPE, Aggregate, aggregates_of, next_version
from rules.contents import Content, ContentKind
from rules.contexts import Context
from rules.enrolments import Enrolment
from rules.errors import NotFound
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey, scope_of
from rules.learners import Learner
from rules.standings import Touch
from rules.states import encode_state, state_of
from stores.events import Message
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS, ENROLMENTS_BY_CONTEXT, VIEWS

FIGURE_COLUMNS = (
    *("contextid", "contentid", "changed_at", "status", "progress", "timespent"),
    *("last_access_time", "last_completed_time"),
)


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What rows should say for one key, and what they say.

    ``figures`` has an aggregate for the root and each touched unit, ``stored`` what is there for each.
    """

    key: ProgressKey
    aggregate_context_id: str
    content: Content
    context: Context | None
    enrolment: Enrolment | None
    changed_at: int | None
    figures: Sequence[Aggregate]
    stored: Mapping[str, StoredAggregate | None]

    @property
    def root(self) -> Aggregate:
        return self.figures[0]

    def seen(self, figure: Aggregate) -> int | None:
        """The change that a row has seen; kept by the root's alone, so that a view does not rewrite every unit."""
        return self.changed_at if figure is self.root else None

    @property
    def drifted(self) -> list[str]:
        """Activities whose row differs from the figures, and ``enrolment`` where that does."""
        changed = [figure.activity_id for figure in self.figures if self.has_changed(figure)]
        return [*changed, "enrolment"] if self.enrolment_has_changed else changed

    def has_changed(self, figure: Aggregate) -> bool:
        stored = self.stored[figure.activity_id]
        return (
            stored is None
            or stored.seen_changed_at != self.seen(figure)
            or stored.completed_count != figure.progress.completed_count
            or stored.required_count != figure.progress.required_count
            or stored.status != figure.progress.status
            or stored.content_status != figure.content_status
            or stored.time_spent != figure.time_spent
            or stored.completed_on != figure.completed_on
            or stored.last_accessed_on != figure.last_accessed_on
        )

    @property
    def enrolment_has_changed(self) -> bool:
        enrolment, root = self.enrolment, self.root
        return enrolment is not None and (
            enrolment.seen_changed_at != enrolment.changed_at
            or enrolment.status != root.progress.status
            or enrolment.completed_count != root.progress.completed_count
            or enrolment.completed_on != root.completed_on
            or enrolment.last_accessed_on != root.last_accessed_on
            or enrolment.last_read_content_id != root.last_content_id
        )

    def next_version(self, appended_at: int, offset: int) -> int:
        """For the rows that a trigger at this place in the log changes."""
        highest = max((stored.version for stored in self.stored.values() if stored), default=None)
        return next_version(highest, appended_at, offset)

    def versions(self, version: int, *, renew: bool) -> dict[str, int]:
        """By activity: ``version`` where the state of it differs from the one sent before, else the stored one.

        The state also holds the enrolment and the learner's profile, so a change of the first, or ``renew`` for the
        second, gives every activity the new version: two different states must never share one.
        """
        renew = renew or self.enrolment_has_changed
        versions = {}
        for figure in self.figures:
            stored = self.stored[figure.activity_id]
            keeps = stored is not None and not renew and not self.has_changed(figure)
            versions[figure.activity_id] = stored.version if stored is not None and keeps else version
        return versions


@dataclass(slots=True)
class Recomputation:
    """Of many keys: those with figures, those that nothing is known of, and those that can't be computed."""

    done: list[Recomputed] = field(default_factory=list)
    failed: dict[ProgressKey, NotFound] = field(default_factory=dict)


async def recompute(
    shared: Shared, keys: Collection[ProgressKey], *, thorough: Collection[ProgressKey] = ()
) -> Recomputation:
    """Reads the rows of each key once and computes what should be stored. Writes nothing.

    A key without views, enrolment and aggregate has no figures; a content alone has none either. A key whose
    collection or context does not exist has failed. Of the ``thorough`` keys, units that lost their last viewed leaf
    to a new version are looked at too; it costs a look-up of every unit.
    """
    result = Recomputation()
    placed = await _placed(shared, keys, result)
    (touches, changed), enrolled = await asyncio.gather(
        _touches(shared, list(placed)), enrolments_by_key(shared.stores.rows, list(placed))
    )
    enrolments = dict(zip(placed, enrolled, strict=True))
    activities: dict[ProgressKey, list[AggregateKey]] = {}
    for key, (_, context, tree) in placed.items():
        context_id = aggregate_context_of(key, context)
        looked_at = tree.collections if key in thorough else tree.touched_by(frozenset(touches[key]))
        activities[key] = [(activity, key.user_id, context_id) for activity in sorted(looked_at)]
    wanted = list(chain.from_iterable(activities.values()))
    found = dict(zip(wanted, await aggregates_by_key(shared.stores.rows, wanted), strict=True))
    for key, (content, context, tree) in placed.items():
        stored = {activity[0]: found[activity] for activity in activities[key]}
        if not touches[key] and enrolments[key] is None and not any(stored.values()):
            continue
        completed_before = {
            activity: aggregate.completed_on for activity, aggregate in stored.items() if aggregate
        }
        result.done.append(
            Recomputed(
                key,
                aggregate_context_of(key, context),
                content,
                context,
                enrolments[key],
                changed.get(key),
                aggregates_of(tree, touches[key], completed_before),
                stored,
            )
        )
    return result


def aggregate_writes(recomputed: Recomputed, versions: Mapping[str, int]) -> Iterator[Write]:
    """The rows that get a new version, each whole, USING TIMESTAMP version: a slow process that lost its partition
    can't overwrite what is newer. To be written before the enrolment's, which marks its change as seen."""
    key, enrolment = recomputed.key, recomputed.enrolment
    for figure in recomputed.figures:
        stored, version = recomputed.stored[figure.activity_id], versions[figure.activity_id]
        if stored is None or stored.version != version:
            yield Write(
                AGGREGATES,
                (ACTIVITY_TYPE, figure.activity_id, key.user_id, recomputed.aggregate_context_id),
                {
                    "aggregates": {
                        "completedCount": float(figure.progress.completed_count),
                        "requiredCount": float(figure.progress.required_count),
                        "timeSpent": float(figure.time_spent),
                    },
                    "content_status": dict(figure.content_status),
                    "agg_last_updated": _last_updated(figure, enrolment),
                    "status": int(figure.progress.status),
                    "completed_on": figure.completed_on,
                    "last_access_time": figure.last_accessed_on,
                    "version": version,
                    "seen_changed_at": recomputed.seen(figure),
                },
                timestamp=version,
            )
    if enrolment is not None and recomputed.enrolment_has_changed:
        buckets = recomputed.context.buckets if recomputed.context else 1
        yield Write(
            ENROLMENTS_BY_CONTEXT,
            (key.context_id, key.collection_id, bucket_of(key.user_id, buckets), key.user_id),
            {"active": enrolment.active, "enrolled_on": enrolment.enrolled_on},
            timestamp=versions[recomputed.root.activity_id],
        )


def enrolment_writes(recomputed: Recomputed, versions: Mapping[str, int]) -> Iterator[Write]:
    """The workers' columns of the enrolment. Never of one that does not exist: that would be a phantom."""
    enrolment, key = recomputed.enrolment, recomputed.key
    if enrolment is None or not recomputed.enrolment_has_changed:
        return
    root, context, version = recomputed.root, recomputed.context, versions[recomputed.root.activity_id]
    yield Write(
        ENROLMENTS,
        (key.user_id, key.collection_id, key.context_id),
        {
            "status": int(root.progress.status),
            "progress": root.progress.completed_count,
            "completedon": root.completed_on,
            "lastreadcontentid": root.last_content_id,
            "lastcontentaccesstime": root.last_accessed_on,
            "collection_name": recomputed.content.name,
            "context_name": context.name if context else None,
            "context_start_date": context.start_date if context else None,
            "context_end_date": context.end_date if context else None,
            "seen_changed_at": enrolment.changed_at,
            "version": version,
        },
        timestamp=version,
        insert=False,
    )


def state_messages(
    recomputed: Recomputed, versions: Mapping[str, int], learner: Learner | None
) -> Iterator[Message]:
    """A whole state for every figure, changed or not: a crash between the rows and the topic leaves nothing out."""
    key = recomputed.key
    for figure in recomputed.figures:
        state = state_of(
            figure,
            user_id=key.user_id,
            collection_id=key.collection_id,
            aggregate_context_id=recomputed.aggregate_context_id,
            enrolment=recomputed.enrolment,
            learner=learner,
            version=versions[figure.activity_id],
        )
        name = f"{figure.activity_id}|{recomputed.aggregate_context_id}|{key.user_id}"
        yield Message(name, encode_state(state))


def bucket_of(user_id: str, buckets: int) -> int:
    """Of ``enrolment_by_context``; the context says how many it has."""
    return crc32(user_id.encode()) % buckets


Placed = dict[ProgressKey, tuple[Content, Context | None, RelationTree]]


async def _placed(shared: Shared, keys: Collection[ProgressKey], result: Recomputation) -> Placed:
    """Collection, context and relations of each key that has something to compute."""
    library = shared.library
    collections = list({key.collection_id for key in keys})
    context_ids = list({key.context_id for key in keys if key.has_context})
    contents, contexts = await asyncio.gather(
        library.contents.load_many(collections), library.contexts.load_many(context_ids)
    )
    content_by_id = dict(zip(collections, contents, strict=True))
    context_by_id = dict(zip(context_ids, contexts, strict=True))
    known = [content for content in contents if content is not None]
    trees = await library.relations.load_many([(c.root, c.live_version) for c in known])
    tree_by_id = {content.identifier: tree for content, tree in zip(known, trees, strict=True)}
    placed: Placed = {}
    for key in keys:
        content, context = content_by_id[key.collection_id], context_by_id.get(key.context_id)
        if content is not None and content.kind is ContentKind.CONTENT and not key.has_context:
            continue
        tree = tree_by_id.get(key.collection_id)
        if content is None or content.kind is not ContentKind.COLLECTION or tree is None:
            result.failed[key] = NotFound(f"there is no collection {key.collection_id}", field="collectionId")
        elif key.has_context and context is None:
            result.failed[key] = NotFound(f"there is no context {key.context_id}", field="contextId")
        else:
            placed[key] = (content, context, tree)
    return placed


async def _touches(
    shared: Shared, keys: Sequence[ProgressKey]
) -> tuple[Mapping[ProgressKey, dict[str, Touch]], Mapping[ProgressKey, int | None]]:
    """The views of each key in short, by content, and the last change of the partition that the key is in."""
    partitions = {key: (key.user_id, scope_of(key.collection_id)) for key in keys}
    found = await shared.stores.rows.partitions(VIEWS, list(set(partitions.values())), FIGURE_COLUMNS)
    touches = {
        key: {
            row["contentid"]: touch_of(row)
            for row in found[partition]
            if row["contextid"] == key.context_id and row["status"] is not None
        }
        for key, partition in partitions.items()
    }
    changed = {key: rows[0]["changed_at"] for key, at in partitions.items() if (rows := found[at])}
    return touches, changed


def _last_updated(figure: Aggregate, enrolment: Enrolment | None) -> dict[str, datetime]:
    """By the events' own times, so that a recount gives the same."""
    at = figure.last_accessed_on or (enrolment.enrolled_on if enrolment else None)
    return {} if at is None else {"completedCount": at}
