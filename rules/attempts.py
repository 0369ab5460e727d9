"""Attempts at assessments whose answers were scored, in two forms: slim, which stays, and with its questions, which the
archive takes (R-ASSESS-3, P-1.1, P-4.5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rules.identifiers import ViewKey
from rules.moments import milliseconds

STEP = 2
"""Microseconds between two write times of one attempt: archiving and restoring take the one in between."""
_MICROSECONDS = 1000
"""In a millisecond, which is as fine as attempts are dated."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question of an attempt, and what was answered. ``duration`` is in seconds. ``options`` are what the question
    offered, ``answers`` what the learner chose; each is a list of names and values, as the player sent them."""

    id: str
    assessed_on: datetime | None = None
    score: float | None = None
    max_score: float | None = None
    type: str | None = None
    title: str | None = None
    description: str | None = None
    duration: float | None = None
    options: Sequence[Mapping[str, str]] = ()
    answers: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """The slim form of an attempt.

    - ``key``: where it is kept.
    - ``score`` and ``max_score``: sums over its questions. None where nobody knows.
    - ``attempted_on``: by which the newest version of an attempt counts.
    - ``written_at``: the write time of its row, in microseconds.
    - ``content_hash``: of score, maximum and questions (None in rows of before schema 6). Between versions of the same
      moment the larger one counts, so that the order of their arrival decides nothing.
    - ``archived_in``: the request of the archive that has its questions (``archive``, by context). None while they are
      live.
    """

    key: ViewKey
    attempt_id: str
    score: float | None
    max_score: float | None
    attempted_on: datetime | None
    created_on: datetime | None = None
    updated_on: datetime | None = None
    written_at: int = 0
    content_hash: str | None = None
    archived_in: str | None = None

    @property
    def version(self) -> tuple[int, str]:
        """What says which of two versions of the same attempt is the newer one."""
        at = 0 if self.attempted_on is None else milliseconds(self.attempted_on)
        return at, self.content_hash or ""


@dataclass(frozen=True, slots=True)
class WholeAttempt:
    """An attempt with its questions, and what it repeats of its collection and context, for reports (R-ENROL-3)."""

    attempt: Attempt
    questions: Sequence[Question]
    grand_total: str | None = None
    collection_name: str | None = None
    context_name: str | None = None


def write_time(attempted_on: datetime, stored: int | None = None) -> int:
    """Returns the write time of a version of an attempt, in microseconds: its own moment, or if a version of the same
    moment is ``stored``, a little later than that. It is before each version of a later moment."""
    own = milliseconds(attempted_on) * _MICROSECONDS
    if stored is None or stored < own:
        return own
    return min(stored + STEP, own + _MICROSECONDS - STEP)


def before_write_times_after(at: datetime) -> int:
    """Returns a time in microseconds that is after each write time of attempts up to this moment, and before those of later
    ones."""
    return milliseconds(at) * _MICROSECONDS + _MICROSECONDS - 1
