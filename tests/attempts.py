"""Attempts for tests that are about something else than taking them in: written as the attempt takers write them."""

from collections.abc import Sequence
from datetime import datetime

from loaders.attempts import attempt_key, attempts_of_keys
from loaders.questions import slim_values, whole_attempt_values
from loaders.scores import StoredScores, scores_key, scores_values
from loaders.session import Shared
from rules.attempts import Attempt, Question, WholeAttempt, write_time
from rules.identifiers import ViewKey
from rules.scores import assessment_scores
from rules.triggers import Trigger, TriggerKind
from stores.events import Message
from stores.rows import Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, LEARNER_SCOPES, SCORES
from stores.topics import TRIGGERS


async def store_attempt(
    shared: Shared,
    key: ViewKey,
    attempt_id: str,
    score: float | None,
    max_score: float | None,
    at: datetime,
    *,
    questions: Sequence[Question] = (),
    updated_on: datetime | None = None,
) -> Attempt:
    """Writes both rows of an attempt and sends its trigger. ``key`` is where it is kept."""
    attempt = Attempt(
        key, attempt_id, score, max_score, at, at, updated_on or at, write_time(at), f"{score}/{max_score}"
    )
    whole = WholeAttempt(attempt, questions, f"{score}/{max_score}", "Course", "Batch")
    row, place = attempt_key(attempt), (key.user_id, key.collection_id, key.context_id)
    await shared.stores.rows.write(
        Write(LEARNER_SCOPES, place, {"scope": key.scope}),
        Write(ATTEMPTS_WITH_QUESTIONS, row, whole_attempt_values(whole), attempt.written_at),
        Write(ATTEMPTS, row, {**slim_values(whole), "archived_in": None, "origin": None}, attempt.written_at),
    )
    trigger = Trigger(TriggerKind.ATTEMPT, *place, key.content_id)
    await shared.stores.events.send(TRIGGERS.name, Message(key.user_id, trigger.encode()))
    return attempt


async def store_scores(shared: Shared, key: ViewKey) -> None:
    """Writes the scores of what is attempted under a key, as a worker would, which writes them later all the same."""
    (attempts,) = await attempts_of_keys(shared.stores.rows, [key])
    scores = assessment_scores(attempts)
    assert scores is not None
    values = scores_values(StoredScores.of(key, scores, 1))
    await shared.stores.rows.write(Write(SCORES, scores_key(key), values, timestamp=1))
