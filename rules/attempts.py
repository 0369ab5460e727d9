"""Attempts at assessments whose answers were scored, in two forms: slim, which stays, and with its questions, which the
archive takes (R-ASSESS-3, P-1.1, P-4.5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from rules.identifiers import ViewKey
from rules.moments import microseconds, milliseconds
from rules.origins import OriginKind

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


def question_of(fields: Mapping[str, Any]) -> Question:
    """Returns the question of these fields, which are named as in the user-defined type ``question`` (P-1.1)."""
    return Question(
        id=fields["id"] or "",
        assessed_on=fields["assess_ts"],
        score=fields["score"],
        max_score=fields["max_score"],
        type=fields["type"],
        title=fields["title"],
        description=fields["description"],
        duration=fields["duration"],
        options=list(fields["params"] or ()),
        answers=list(fields["resvalues"] or ()),
    )


def question_values(question: Question) -> dict[str, Any]:
    """Returns the fields of which ``question_of`` makes this question."""
    return {
        "id": question.id,
        "assess_ts": question.assessed_on,
        "max_score": question.max_score,
        "score": question.score,
        "type": question.type,
        "title": question.title,
        "resvalues": question.answers,
        "params": question.options,
        "description": question.description,
        "duration": question.duration,
    }


@dataclass(frozen=True, slots=True)
class AttemptOrigin:
    """Where an attempt was before it was re-keyed (R-MODE-5, R-MODE-7).

    - ``kind``: why it was: copied, moved, or the instance changed its mode.
    - ``place``: collection and context.
    """

    kind: OriginKind
    place: tuple[str, str]

    def encode(self) -> str:
        """Returns the text of the column ``origin``."""
        return orjson.dumps([self.kind.value, *self.place]).decode()

    @classmethod
    def decode(cls, text: str) -> "AttemptOrigin":
        kind, collection_id, context_id = orjson.loads(text)
        return cls(OriginKind(kind), (collection_id, context_id))


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
    - ``origin``: where it was before, if a tracking mode has re-keyed it. None where it was made.
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
    origin: AttemptOrigin | None = None

    @property
    def version(self) -> tuple[int, str]:
        """What says which of two versions of the same attempt is the newer one."""
        at = 0 if self.attempted_on is None else milliseconds(self.attempted_on)
        return at, self.content_hash or ""

    @property
    def is_copy(self) -> bool:
        """Whether copy mode has written it here. A copy is not copied on."""
        return self.origin is not None and self.origin.kind is OriginKind.COPIED

    @property
    def row_written_at(self) -> int:
        """The write time of its row, in microseconds. Rows of before schema 6 were written at the moment of the attempt."""
        return self.written_at or self.version[0] * _MICROSECONDS

    def rekeyed(self, to: ViewKey, kind: OriginKind, written_at: int) -> "Attempt":
        """Returns the same attempt under another key, where its questions are live. It says where it was."""
        origin = AttemptOrigin(kind, (self.key.collection_id, self.key.context_id))
        return replace(self, key=to, written_at=written_at, archived_in=None, origin=origin)


@dataclass(frozen=True, slots=True)
class WholeAttempt:
    """An attempt with its questions, and what it repeats of its collection and context, for reports (R-ENROL-3)."""

    attempt: Attempt
    questions: Sequence[Question]
    grand_total: str | None = None
    collection_name: str | None = None
    context_name: str | None = None


def rekeyed_at(attempt: Attempt, there: Attempt | None, erased_on: datetime | None) -> int:
    """Returns the write time of an attempt that is re-keyed, in microseconds.

    It is after its own row's, after that of an older version which is ``there``, and after an erasure of the new place.
    So a deletion of before never hides it. It follows from what is stored, so that whoever does it again writes the same.
    """
    after = max(attempt.row_written_at, 0 if there is None else there.row_written_at) + STEP
    return after if erased_on is None else max(after, before_write_times_after(erased_on) + 1)


def taken_away_at(attempt: Attempt) -> int:
    """Returns the time of the deletion of an attempt that is somewhere else by now, in microseconds. It is after what the
    archive wrote of the row, and before each version that came here since."""
    return attempt.row_written_at + (1 if attempt.archived_in is None else STEP)


def write_time(attempted_on: datetime, stored: int | None = None) -> int:
    """Returns the write time of a version of an attempt, in microseconds: its own moment, or if a version of the same
    moment is ``stored``, a little later than that. It is before each version of a later moment."""
    own = microseconds(attempted_on)
    if stored is None or stored < own:
        return own
    return min(stored + STEP, own + _MICROSECONDS - STEP)


def write_time_of(attempted_on: int | None) -> int:
    """Returns the write time of a row that does not say it, as of before schema 6: its own moment's, which is given in
    milliseconds. 0 where nobody knows."""
    return 0 if attempted_on is None else attempted_on * _MICROSECONDS


def before_write_times_after(at: datetime) -> int:
    """Returns a time in microseconds that is after each write time of attempts up to this moment, and before those of later
    ones."""
    return microseconds(at) + _MICROSECONDS - 1
