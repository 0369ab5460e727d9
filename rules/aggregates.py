"""What the workers compute from a learner's views: one aggregate for the collection and for each unit touched."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rules.hierarchy import RelationTree
from rules.progress import Progress, Status, progress_of
from rules.views import View

ACTIVITY_TYPE = "Course"
"""The platform's type of every collection and unit (reference 1.1)."""

_OFFSET_BITS = 20


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A learner's figures in one activity (the collection, or a unit of it) under one context.

    ``content_status`` maps the leaves below the activity that were touched to 1 or 2. Times in UTC, time in seconds.
    """

    activity_id: str
    progress: Progress
    content_status: Mapping[str, int]
    time_spent: int
    last_accessed_on: datetime | None
    last_content_id: str | None
    completed_on: datetime | None


def aggregates_of(
    relations: RelationTree, views: Iterable[View], completed_before: Mapping[str, datetime | None]
) -> list[Aggregate]:
    """An aggregate for the root and for every unit above a viewed leaf, by the one rule.

    ``completed_before`` has the stored completion dates by activity: a date once given stays, also when a
    republished collection asks for more (design, section 4). A new one is the time of the last completion that
    the activity needed.
    """
    by_leaf = {view.key.content_id: view for view in views if view.key.content_id in relations.leaf_nodes}
    touched = relations.touched_by(frozenset(by_leaf)) | (completed_before.keys() & relations.nodes.keys())
    return [
        _aggregate(relations, activity, by_leaf, completed_before.get(activity))
        for activity in relations.collections
        if activity in touched
    ]


def _aggregate(
    relations: RelationTree, activity: str, by_leaf: Mapping[str, View], completed_before: datetime | None
) -> Aggregate:
    views = [by_leaf[leaf] for leaf in relations.nodes[activity].leaf_nodes if leaf in by_leaf]
    statuses = {view.key.content_id: int(view.status) for view in views}
    required = relations.required(activity)
    progress = progress_of(required, statuses)
    completed_on = completed_before
    if completed_on is None and progress.status == Status.COMPLETED:
        completed_on = max(
            (view.completed_on for view in views if view.key.content_id in required and view.completed_on),
            default=None,
        )
    last = max(
        (view for view in views if view.last_accessed_on is not None),
        key=lambda view: (view.last_accessed_on, view.key.content_id),
        default=None,
    )
    return Aggregate(
        activity,
        progress,
        statuses,
        sum(view.time_spent for view in views),
        last.last_accessed_on if last else None,
        last.key.content_id if last else None,
        completed_on,
    )


def next_version(stored: int | None, appended_at: int, offset: int) -> int:
    """The version of a row written for a trigger: the larger of stored + 1 and its place in the log.

    ``appended_at`` is the log-append time in ms, so that a later trigger wins whichever process handles it
    (design, section 4).
    """
    return max((stored or 0) + 1, (appended_at << _OFFSET_BITS) | (offset & ((1 << _OFFSET_BITS) - 1)))
