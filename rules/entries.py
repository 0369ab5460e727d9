"""How a member is doing in an activity of a group: one entry a member, in however many places they learn."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rules.progress import Progress, Status
from rules.scores import NO_SCORE, ActivityScore


@dataclass(frozen=True, slots=True)
class Entry:
    """How a learner stands in an activity in one place: the collection that it is looked at in, under one context.

    ``active``: the learner is enrolled there; a single content knows no enrolment. ``tree_version``: the published
    version that the figures were computed from, where it is known. ``time_spent`` is in seconds, moments are in UTC.
    ``score``: in the assessments of the activity that were attempted there.
    """

    collection_id: str
    context_id: str
    active: bool
    progress: Progress
    time_spent: int
    last_accessed_on: datetime | None
    enrolled_on: datetime | None = None
    tree_version: int | None = None
    score: ActivityScore = NO_SCORE

    @property
    def last_updated_on(self) -> datetime | None:
        """When the figures last changed, by the events' own times."""
        return self.last_accessed_on or self.enrolled_on

    @property
    def has_left(self) -> bool:
        """Whether the learner was enrolled there and is no more."""
        return self.enrolled_on is not None and not self.active

    @property
    def says_nothing(self) -> bool:
        """Whether the entry tells nothing. So is that of a key whose row is gone: the groups store still has a state of
        it (rules/states.py)."""
        return not (
            self.active
            or self.progress.status
            or self.time_spent
            or self.last_updated_on
            or self.score.assessed
        )


NO_ENTRY = Entry("", "", False, Progress(Status.NOT_STARTED, 0, 0), 0, None)
"""The entry of a member who has not been in the activity."""


def best_entry(entries: Iterable[Entry]) -> Entry | None:
    """Returns the entry that counts: one of an active enrolment goes first, then the one with most completed, the
    higher status, more time spent, the higher score, the later last access.

    The place decides between equal ones, so that every way to the same rows gives the same answer. Returns None where
    no entry tells anything.
    """
    telling = [entry for entry in entries if not entry.says_nothing]
    if (
        len(telling) < 2
    ):  # Nearly all members have one place. Ranking costs more than the rest of this function.
        return telling[0] if telling else None
    return min(telling, key=_rank)


def _rank(entry: Entry) -> tuple[bool, int, int, int, float, float, str, str]:
    accessed = entry.last_accessed_on.timestamp() if entry.last_accessed_on else 0.0
    return (
        not entry.active,
        -entry.progress.completed_count,
        -entry.progress.status,
        -entry.time_spent,
        -(entry.score.score or 0.0),
        -accessed,
        entry.context_id,
        entry.collection_id,
    )
