"""What the workers compute from a learner's views and attempts: one aggregate for the collection and for each unit
touched."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from rules.hierarchy import Relations, RelationTree
from rules.moments import known_milliseconds, known_moment, moment
from rules.progress import Progress, Status, progress_of
from rules.scores import NO_SCORE, ActivityScore, AssessmentScores, activity_score
from rules.standings import FirstCompletion, Touch

COLLECTION_TYPE = "Course"
"""The type of a collection's own figures, whatever kind of collection it is."""
UNIT_TYPE = "CourseUnit"
"""The type of a unit's figures. A unit has them in each collection that holds it: a course has figures of its own, and
others as a unit of each program."""

_OFFSET_BITS = 20


def activity_type(activity_id: str, collection_id: str) -> str:
    """Returns the type of the activity's figures in the collection: the collection's own, or those of a unit of it."""
    return COLLECTION_TYPE if activity_id == collection_id else UNIT_TYPE


class AggregateKey(NamedTuple):
    """The key of an aggregate: learner, activity, collection and context. ``context_id`` is as aggregate rows write it
    (``cb:<batchId>``)."""

    activity_id: str
    collection_id: str
    context_id: str
    user_id: str

    @property
    def activity_type(self) -> str:
        return activity_type(self.activity_id, self.collection_id)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A learner's figures in one activity (the collection, or a unit of it) under one context.

    ``content_status`` maps each leaf that was touched below the activity to 1 or 2. Moments are in UTC, ``time_spent``
    is in seconds. ``score``: in the assessments below it. An attempt is no view: it neither begins nor completes one.
    """

    activity_id: str
    progress: Progress
    content_status: Mapping[str, int]
    time_spent: int
    last_accessed_on: datetime | None
    last_content_id: str | None
    completed: FirstCompletion | None
    score: ActivityScore = NO_SCORE

    @property
    def completed_on(self) -> datetime | None:
        return self.completed.on if self.completed else None

    @property
    def completed_version(self) -> int | None:
        return self.completed.version if self.completed else None


TouchedLeaf = tuple[Any, ...]
"""What figures need of a view: a tuple that begins with its status, the seconds spent, when it was last accessed and when it was
completed, in epoch milliseconds; None for what is not known. So a row that begins with these columns is one as it is: workers
read hundreds of each learner."""
_STATUS, _TIME_SPENT, _LAST_ACCESSED, _COMPLETED = range(4)


def touched_leaf(touch: Touch) -> TouchedLeaf:
    moments = map(known_milliseconds, (touch.last_accessed_on, touch.completed_on))
    return int(touch.status), touch.time_spent, *moments


def aggregates_of(
    relations: RelationTree,
    touches: Mapping[str, Touch],
    completed_before: Mapping[str, FirstCompletion | None],
    scores: Mapping[str, AssessmentScores] | None = None,
) -> list[Aggregate]:
    """As ``aggregates_of_leaves``. ``touches`` are by content."""
    leaves = {leaf: touched_leaf(touch) for leaf, touch in touches.items()}
    return aggregates_of_leaves(relations, leaves, completed_before, scores)


def aggregates_of_leaves(
    relations: RelationTree,
    leaves: Mapping[str, TouchedLeaf],
    completed_before: Mapping[str, FirstCompletion | None],
    scores: Mapping[str, AssessmentScores] | None = None,
) -> list[Aggregate]:
    """Returns an aggregate for the root and for each unit above a leaf that was viewed or attempted. ``leaves`` and
    ``scores`` are by content. What is no leaf of the collection counts for nothing.

    Where there are attempts without views, an aggregate has a score and is not started (R-ASSESS-3).

    ``completed_before`` has the stored completions by activity. A completion stays, also when a republished
    collection requires more (R-PROGRESS-3). A new one is on the date of the last leaf that the activity needed.
    Each activity in it gets an aggregate, even where none of its leaves is viewed any more.
    """
    known = relations.leaf_nodes
    scored = {leaf: each for leaf, each in (scores or {}).items() if leaf in known}
    touched = relations.touched_by((leaves.keys() | scored.keys()) & known)
    touched |= completed_before.keys() & relations.nodes.keys()
    return [
        _aggregate(relations, activity, leaves, scored, completed_before.get(activity))
        for activity in relations.collections
        if activity in touched
    ]


def _aggregate(
    relations: RelationTree,
    activity: str,
    leaves: Mapping[str, TouchedLeaf],
    scored: Mapping[str, AssessmentScores],
    completed_before: FirstCompletion | None,
) -> Aggregate:
    node = relations.nodes[activity]
    mine = {leaf: leaves[leaf] for leaf in node.leaves_in_order if leaf in leaves}
    statuses = {leaf: each[_STATUS] for leaf, each in mine.items()}
    accessed = [(at, leaf) for leaf, each in mine.items() if (at := each[_LAST_ACCESSED]) is not None]
    last_accessed, last_content_id = max(accessed, default=(None, None))
    progress = progress_of(node.required, statuses)
    own_scores = {leaf: each for leaf, each in scored.items() if leaf in node.leaf_nodes} if scored else {}
    return Aggregate(
        activity,
        progress,
        statuses,
        sum([each[_TIME_SPENT] or 0 for each in mine.values()]),
        known_moment(last_accessed),
        last_content_id,
        _completion(relations, node, progress, mine, completed_before),
        activity_score(own_scores, relations.pass_marks) if own_scores else NO_SCORE,
    )


def _completion(
    relations: RelationTree,
    node: Relations,
    progress: Progress,
    leaves: Mapping[str, TouchedLeaf],
    before: FirstCompletion | None,
) -> FirstCompletion | None:
    """Returns the stored completion, or else the one that the views have, as ``completion_of`` has it. One of this version is as
    the views have it: a migration may bring the date of a content that it had to guess before."""
    if progress.status is not Status.COMPLETED or (
        before is not None and before.version != relations.version
    ):
        return before
    completed = max(
        [at for leaf in node.required if (at := leaves[leaf][_COMPLETED]) is not None], default=None
    )
    return before if completed is None else FirstCompletion(moment(completed), relations.version)


def next_version(stored: int | None, appended_at: int, offset: int) -> int:
    """Returns the version of a row that is written for a trigger: the larger of stored + 1 and the trigger's place in
    the log.

    ``appended_at`` is the moment when the log took the trigger, in ms. So a later trigger wins, whichever process
    handles it (R-AGG-2).
    """
    return max((stored or 0) + 1, (appended_at << _OFFSET_BITS) | (offset & ((1 << _OFFSET_BITS) - 1)))
