"""Attempts with their questions, wherever these are by now: live in a row, or in a file of the archive (R-ASSESS-5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from loaders.archived_questions import ArchivedQuestions
from loaders.attempts import attempt_key, attempt_of
from loaders.questions import whole_attempt_of
from rules.attempts import Attempt, Question, WholeAttempt
from rules.errors import StoreUnavailable
from stores.rows import Key, Rows
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS


class QuestionsSource(Enum):
    """Where the questions of an attempt were read."""

    LIVE = "live"
    ARCHIVE = "archive"
    NONE = "none"
    """Nobody has them: only the scores were brought along, or they were erased."""


@dataclass(frozen=True, slots=True)
class Questioned:
    """An attempt with its questions, and where they were read. ``archive_id``: the request of the archive, if there."""

    whole: WholeAttempt
    source: QuestionsSource
    archive_id: str | None = None

    @property
    def questions(self) -> Sequence[Question]:
        return self.whole.questions


async def whole_attempts(
    rows: Rows, archived: ArchivedQuestions, attempts: Sequence[Attempt]
) -> dict[Key, Questioned | StoreUnavailable]:
    """The attempts with their questions, by row key. ``attempts`` are slim ones. Each comes once, in its newest version.

    One statement reads the live rows. For the others the slim rows say which file has them; those that named none are
    read again, as the archive may have taken their questions meanwhile. Where the archive is away, StoreUnavailable
    stands for the attempts that it has; the live ones are answered.
    """
    slim = {attempt_key(attempt): attempt for attempt in attempts}
    live = await rows.get_many(ATTEMPTS_WITH_QUESTIONS, list(slim)) if slim else {}
    found: dict[Key, Questioned | StoreUnavailable] = {}
    for key, row in live.items():
        whole = whole_attempt_of(row)
        # Questions are written first. So a row that is newer than the slim one is the newest version.
        if whole.attempt.version >= slim[key].version:
            found[key] = Questioned(whole, QuestionsSource.LIVE)
    left = {key: attempt for key, attempt in slim.items() if key not in found}
    if not left:
        return found
    unnamed = [key for key, attempt in left.items() if attempt.archived_in is None]
    again = await rows.get_many(ATTEMPTS, unnamed) if unnamed else {}
    named = [
        attempt
        for attempt in (attempt_of(again[key]) if key in again else slim[key] for key in left)
        if attempt.archived_in is not None
    ]
    try:
        from_archive = await archived.load(named) if named else {}
    except StoreUnavailable as error:
        found |= {attempt_key(attempt): error for attempt in named}
    else:
        found |= {key: _of_archive(whole) for key, whole in from_archive.items()}
    nothing = {
        key: Questioned(WholeAttempt(attempt, ()), QuestionsSource.NONE) for key, attempt in left.items()
    }
    return nothing | found


def _of_archive(whole: WholeAttempt) -> Questioned:
    """What the archive gave: if it was restored meanwhile, it is live."""
    archive_id = whole.attempt.archived_in
    source = QuestionsSource.LIVE if archive_id is None else QuestionsSource.ARCHIVE
    return Questioned(whole, source, archive_id)
