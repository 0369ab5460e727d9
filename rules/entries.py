"""A member's standing in an activity of a group: one entry a member, however many places they learn in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rules.progress import Progress, Status


@dataclass(frozen=True, slots=True)
class Entry:
    """How a learner stands in an activity in one place: the collection that it is looked at in, under one context.

    ``active``: enrolled there; a single content knows no enrolment. ``tree_version``: the published version of the
    collection that it was computed from, where it is known. Time in seconds, UTC.
    """

    collection_id: str
    context_id: str
    active: bool
    progress: Progress
    time_spent: int
    last_accessed_on: datetime | None
    enrolled_on: datetime | None = None
    tree_version: int | None = None

    @property
    def last_updated_on(self) -> datetime | None:
        """When the figures last changed, by the events' own times."""
        return self.last_accessed_on or self.enrolled_on

    @property
    def says_nothing(self) -> bool:
        """As of a key whose row is gone, of which the groups store has a state all the same (rules/states.py)."""
        return not (self.active or self.progress.status or self.time_spent or self.last_updated_on)


NO_ENTRY = Entry("", "", False, Progress(Status.NOT_STARTED, 0, 0), 0, None)
"""Of a member who has not been in the activity."""


def best_entry(entries: Iterable[Entry]) -> Entry | None:
    """Those of an active enrolment first; of these the one with most completed, then status, time spent, last access.

    The place decides the rest, so that every path to the same rows has the same answer. None where none of them says
    anything.
    """
    telling = [entry for entry in entries if not entry.says_nothing]
    if len(telling) < 2:  # as nearly all have it: ranking costs more than all the rest here
        return telling[0] if telling else None
    return min(telling, key=_rank)


def _rank(entry: Entry) -> tuple[bool, int, int, int, float, str, str]:
    accessed = entry.last_accessed_on.timestamp() if entry.last_accessed_on else 0.0
    return (
        not entry.active,
        -entry.progress.completed_count,
        -entry.progress.status,
        -entry.time_spent,
        -accessed,
        entry.context_id,
        entry.collection_id,
    )
