"""How a member is doing in an activity of a group: one entry a member, in however many places they learn."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, Self

from rules.moments import known_milliseconds, known_moment
from rules.progress import Progress, percentage, status_of
from rules.scores import NO_SCORE, ActivityScore
from rules.states import decode_scores, encode_scores


class Entry(NamedTuple):
    """How a learner stands in an activity in one place: the collection that it is looked at in, under one context.

    ``active``: the learner is enrolled there; a single content knows no enrolment. ``tree_version``: the published
    version that the figures were computed from, where it is known. ``time_spent`` is in seconds.

    It is a tuple of what the groups store and the cache have, moments in epoch milliseconds and scores as their JSON (None
    where nothing was attempted), so that a page of thousands is neither parsed nor written out again: what a page does not
    show is never made. ``of`` makes one of progress, moments and a score.
    """

    collection_id: str
    context_id: str
    active: bool
    status: int
    completed_count: int
    required_count: int
    time_spent: int
    accessed_at: int | None = None
    enrolled_at: int | None = None
    tree_version: int | None = None
    scores: str | None = None
    right_first: int = 0
    passable: int = 0
    passed: int = 0

    @classmethod
    def of(
        cls,
        collection_id: str,
        context_id: str,
        active: bool,
        progress: Progress,
        time_spent: int,
        last_accessed_on: datetime | None,
        enrolled_on: datetime | None = None,
        tree_version: int | None = None,
        score: ActivityScore = NO_SCORE,
    ) -> Self:
        """Moments are aware; what is finer than a millisecond is cut off."""
        return cls(
            collection_id,
            context_id,
            active,
            int(progress.status),
            progress.completed_count,
            progress.required_count,
            time_spent,
            known_milliseconds(last_accessed_on),
            known_milliseconds(enrolled_on),
            tree_version,
            *(
                (encode_scores(score), score.right_first, score.passable, score.passed)
                if score.assessed
                else ()
            ),
        )

    @property
    def progress(self) -> Progress:
        return Progress(status_of(self.status), self.completed_count, self.required_count)

    @property
    def completion_percentage(self) -> int:
        return percentage(self.completed_count, self.required_count)

    @property
    def score(self) -> ActivityScore:
        """In the assessments of the activity that were attempted there. It is read each time: keep it."""
        if self.scores is None:
            return NO_SCORE
        return decode_scores(self.scores, self.right_first, self.passable, self.passed)

    @property
    def last_accessed_on(self) -> datetime | None:
        return known_moment(self.accessed_at)

    @property
    def enrolled_on(self) -> datetime | None:
        return known_moment(self.enrolled_at)

    @property
    def updated_at(self) -> int | None:
        """When the figures last changed, by the events' own times."""
        return self.enrolled_at if self.accessed_at is None else self.accessed_at

    @property
    def has_left(self) -> bool:
        """Whether the learner was enrolled there and is no more."""
        return self.enrolled_at is not None and not self.active

    @property
    def says_nothing(self) -> bool:
        """Whether the entry tells nothing. So is that of a key whose row is gone: the groups store still has a state of
        it (rules/states.py)."""
        return not (
            self.active
            or self.status
            or self.time_spent
            or self.accessed_at is not None
            or self.enrolled_at is not None
            or self.scores is not None
        )


NO_ENTRY = Entry("", "", active=False, status=0, completed_count=0, required_count=0, time_spent=0)
"""The entry of a member who has not been in the activity."""


def best_entry(entries: Iterable[Entry]) -> Entry | None:
    """Returns the entry that counts: one of an active enrolment goes first, then the one with most completed, the
    higher status, more time spent, the higher score, the later last access.

    The place decides between equal ones, so that every way to the same rows gives the same answer. Returns None where
    no entry tells anything.
    """
    telling = [entry for entry in entries if entry.active or not entry.says_nothing]
    if (
        len(telling) < 2
    ):  # Nearly all members have one place. Ranking costs more than the rest of this function.
        return telling[0] if telling else None
    return min(telling, key=_rank)


def _rank(entry: Entry) -> tuple[bool, int, int, int, float, int, str, str]:
    return (
        not entry.active,
        -entry.completed_count,
        -entry.status,
        -entry.time_spent,
        -(entry.score.score or 0.0),
        -(entry.accessed_at or 0),
        entry.context_id,
        entry.collection_id,
    )
