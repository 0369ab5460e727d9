"""How far a learner is in a collection at this moment, from statuses alone (R-VIEW-5). Reads answer this before any
worker ran."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rules.hierarchy import RelationTree
from rules.progress import Progress, Status, progress_of


@dataclass(frozen=True, slots=True)
class Touch:
    """The short form of a view, which is all that figures and pages of many leaves need. ``time_spent`` is in seconds;
    reads of pages leave it out."""

    status: Status
    progress: int
    last_accessed_on: datetime | None = None
    completed_on: datetime | None = None
    time_spent: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A learner's statuses in a collection by content, and the moments that follow from them."""

    statuses: Mapping[str, int]
    completed_on: datetime | None = None
    """When the collection was completed, None where it is not completed."""
    last_accessed_on: datetime | None = None

    def progress(self, relations: RelationTree, node: str | None = None) -> Progress:
        """Returns the progress in the collection, or in one of its units."""
        return progress_of(relations.required(node or relations.root), self.statuses)


def standing_of(touches: Mapping[str, Touch], relations: RelationTree) -> Standing:
    """Returns the standing. Its figures are those that rules/aggregates.py computes for the root."""
    statuses = {leaf: int(touch.status) for leaf, touch in touches.items() if leaf in relations.leaf_nodes}
    required = relations.required(relations.root)
    completed_on = None
    if progress_of(required, statuses).status is Status.COMPLETED:
        completed_on = max(
            (t.completed_on for t in map(touches.get, required) if t and t.completed_on), default=None
        )
    return Standing(
        statuses,
        completed_on,
        max((at for leaf in statuses if (at := touches[leaf].last_accessed_on)), default=None),
    )
