"""Attempts with their questions, as rows have them until they are archived. The archive's files have the same columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from loaders.attempts import attempt_of
from rules.attempts import Question, WholeAttempt
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


def question_of(found: Mapping[str, Any]) -> Question:
    return Question(
        id=found["id"] or "",
        assessed_on=found["assess_ts"],
        score=found["score"],
        max_score=found["max_score"],
        type=found["type"],
        title=found["title"],
        description=found["description"],
        duration=found["duration"],
        options=_texts(found["params"]),
        answers=_texts(found["resvalues"]),
    )


def question_values(question: Question) -> dict[str, Any]:
    """The fields of the user-defined type ``question``."""
    return {
        "id": question.id,
        "assess_ts": question.assessed_on,
        "max_score": question.max_score,
        "score": question.score,
        "type": question.type,
        "title": question.title,
        "resvalues": [dict(each) for each in question.answers],
        "params": [dict(each) for each in question.options],
        "description": question.description,
        "duration": question.duration,
    }


def _texts(found: Sequence[Mapping[str, str]] | None) -> list[dict[str, str]]:
    return [dict(each) for each in found or ()]
