"""Attempts with their questions, as rows have them until they are archived. The archive's files have the same columns."""

from typing import Any

from loaders.attempts import attempt_of
from rules.attempts import WholeAttempt, question_of, question_values
from stores.rows import Row


def whole_attempt_of(row: Row) -> WholeAttempt:
    """The attempt in a row of ``assessment_aggregator``."""
    return WholeAttempt(
        attempt_of(row),
        [question_of(found) for found in row["question"] or ()],
        row["grand_total"],
        row["collection_name"],
        row["context_name"],
    )


def whole_attempt_values(whole: WholeAttempt) -> dict[str, Any]:
    """The columns of a row of ``assessment_aggregator``, apart from its key."""
    return {
        **slim_values(whole),
        "grand_total": whole.grand_total,
        "question": [question_values(question) for question in whole.questions],
        "collection_name": whole.collection_name,
        "context_name": whole.context_name,
    }


def slim_values(whole: WholeAttempt) -> dict[str, Any]:
    """The columns that both tables have, apart from the key."""
    attempt = whole.attempt
    return {
        "created_on": attempt.created_on,
        "last_attempted_on": attempt.attempted_on,
        "updated_on": attempt.updated_on,
        "total_score": attempt.score,
        "total_max_score": attempt.max_score,
        "content_hash": attempt.content_hash,
        "written_at": attempt.written_at,
    }
