"""How far a learner is in a collection at this moment, from statuses alone (R-VIEW-5). Reads answer this before any
worker ran."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from rules.hierarchy import RelationTree
from rules.progress import Progress, Status, progress_of


@dataclass(frozen=True, slots=True)
class Touch:
    """The short form of a view, which is all that figures and pages of many leaves need. ``time_spent`` is in seconds;
    a learner's hash leaves it out, and reads of pages leave ``started_on`` out."""

    status: Status
    progress: int
    last_accessed_on: datetime | None = None
    completed_on: datetime | None = None
    time_spent: int = 0
    started_on: datetime | None = None


@dataclass(frozen=True, slots=True)
class FirstCompletion:
    """When all that a collection or unit required was first completed, and of which published version that was.

    ``version`` is None where nobody noted it: the completion was brought by a migration, or is older than the notes.
    Both stay when a later version requires more (R-PROGRESS-3).
    """

    on: datetime
    version: int | None = None

    @classmethod
    def of(cls, on: datetime | None, version: int | None) -> Self | None:
        """Of what is stored. None without a date."""
        return None if on is None else cls(on, version)


@dataclass(frozen=True, slots=True)
class Standing:
    """A learner's statuses in a collection by content, and the moments that follow from them.

    ``completed``: when the collection was first completed, None where it was not. ``time_spent``: seconds in all of its
    leaves.
    """

    statuses: Mapping[str, int]
    completed: FirstCompletion | None = None
    last_accessed_on: datetime | None = None
    time_spent: int = 0

    @property
    def completed_on(self) -> datetime | None:
        return self.completed.on if self.completed else None

    def progress(self, relations: RelationTree, node: str | None = None) -> Progress:
        """Returns the progress in the collection, or in one of its units."""
        return progress_of(relations.required(node or relations.root), self.statuses)


@dataclass(frozen=True, slots=True)
class Figures:
    """How far a learner is in a collection. ``statuses`` by content, None where they were not read: workers count them, so
    a page shows figures without. The others are as in Standing."""

    progress: Progress
    completed: FirstCompletion | None = None
    last_accessed_on: datetime | None = None
    time_spent: int = 0
    statuses: Mapping[str, int] | None = None

    @classmethod
    def of(cls, standing: Standing, relations: RelationTree) -> Self:
        return cls(
            standing.progress(relations),
            standing.completed,
            standing.last_accessed_on,
            standing.time_spent,
            standing.statuses,
        )


def standing_of(
    touches: Mapping[str, Touch], relations: RelationTree, before: FirstCompletion | None = None
) -> Standing:
    """Returns the standing. Its figures are those that rules/aggregates.py computes for the root. ``before``: the
    completion that is stored."""
    statuses = {leaf: int(touch.status) for leaf, touch in touches.items() if leaf in relations.leaf_nodes}
    return Standing(
        statuses,
        before or completion_of(relations, relations.root, touches),
        max((at for leaf in statuses if (at := touches[leaf].last_accessed_on)), default=None),
        sum(touches[leaf].time_spent for leaf in statuses),
    )


def completion_of(relations: RelationTree, node: str, touches: Mapping[str, Touch]) -> FirstCompletion | None:
    """Returns the completion of a collection or unit, if it is complete in this version. It is on the day of the last
    leaf that it needed; None also if no leaf has a date."""
    required = relations.required(node)
    done = [touch for leaf in required if (touch := touches.get(leaf)) and touch.status == Status.COMPLETED]
    if not required or len(done) < len(required):
        return None
    on = max((touch.completed_on for touch in done if touch.completed_on), default=None)
    return None if on is None else FirstCompletion(on, relations.version)
