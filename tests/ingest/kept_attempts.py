"""What is stored of a learner's attempts, for tests of the modes that re-key them."""

from datetime import datetime, timedelta

from ingest.archival.run import ArchivalOrder, archive
from loaders.attempts import attempt_of
from rules.attempts import Attempt, Question
from rules.identifiers import ViewKey
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, SCORES
from tests.attempts import store_attempt
from tests.conftest import NOW, Instance
from tests.ingest.test_sample import rows_of

Kept = tuple[str, str, str, str, float | None]
"""Collection, context, content, attempt and score."""


async def assess(
    cohort: Instance, user: str, place: tuple[str, str, str], attempt: str, score: float, at: datetime = NOW
) -> Attempt:
    """An attempt of 10 points with one question, as the attempt takers write it. ``place``: content, collection, context."""
    content, collection, context = place
    key = ViewKey(user, collection, context, content)
    question = Question(f"{attempt}-1", at, score, 10, answers=[{"1": "{}"}])
    return await store_attempt(cohort.shared, key, attempt, score, 10, at, questions=[question])


async def archive_all(cohort: Instance) -> int:
    """Archives the questions of all attempts of before now, and returns how many."""
    report = await archive(cohort.shared, ArchivalOrder(timedelta()))
    return report.archived


async def slim(cohort: Instance, user: str) -> list[Attempt]:
    return [attempt_of(row) for row in await rows_of(cohort.shared, ATTEMPTS) if row["user_id"] == user]


async def attempts(cohort: Instance, user: str) -> list[Kept]:
    """The slim rows."""
    return sorted(map(_kept, await slim(cohort, user)))


async def questions(cohort: Instance, user: str) -> list[Kept]:
    """The rows with questions. Each has the one question of its attempt, and the write time of its slim row."""
    rows = [row for row in await rows_of(cohort.shared, ATTEMPTS_WITH_QUESTIONS) if row["user_id"] == user]
    times = {(a.key, a.attempt_id): a.written_at for a in await slim(cohort, user)}
    for row in rows:
        (question,) = row["question"]
        whole = attempt_of(row)
        assert (question["id"], question["score"]) == (f"{whole.attempt_id}-1", whole.score)
        assert row["collection_name"] == "Course"
        assert times[whole.key, whole.attempt_id] == whole.written_at
    return sorted(_kept(attempt_of(row)) for row in rows)


def _kept(attempt: Attempt) -> Kept:
    key = attempt.key
    return key.collection_id, key.context_id, key.content_id, attempt.attempt_id, attempt.score


async def scores(cohort: Instance, user: str) -> dict[tuple[str, str, str], tuple[float, int]]:
    """What the workers keep: best score and number of attempts, by collection, context and content."""
    return {
        (row["collection_id"], row["context_id"], row["assessment_id"]): (
            row["best_score"],
            row["attempts_count"],
        )
        for row in await rows_of(cohort.shared, SCORES)
        if row["user_id"] == user
    }
