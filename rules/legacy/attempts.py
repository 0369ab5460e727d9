"""The existing platform's attempts at assessments, and the scores that only its aggregates have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rules.identifiers import ContextType, ProgressKey, parse_aggregate_context
from rules.legacy.tables import LegacyRow
from rules.legacy.values import Mapped, Unreadable, first_moment, ids_in, moment_of


@dataclass(frozen=True, slots=True)
class LegacyAttempt:
    """A row of assessment_aggregator. ``figures``: the columns that both of our tables have."""

    key: ProgressKey
    content_id: str
    attempt_id: str
    at: datetime
    figures: Mapping[str, Any]
    grand_total: str | None = None
    questions: Sequence[Mapping[str, Any]] | None = None


QUESTION_FIELDS = (
    *("id", "assess_ts", "max_score", "score", "type", "title"),
    *("resvalues", "params", "description", "duration"),
)


def attempt_of_row(row: LegacyRow) -> Mapped[LegacyAttempt]:
    notes: list[str] = []
    user, collection, context, content, attempt = ids_in(
        row, "user_id", "collection_id", "context_id", "content_id", "attempt_id"
    )
    at = first_moment(row, "last_attempted_on", "updated_on", "created_on", notes=notes)
    if at is None:
        raise Unreadable("no time of the attempt")
    if row.get("last_attempted_on") is None:
        notes.append("last_attempted_on: missing, taken from the last update")
    figures = {
        "created_on": first_moment(row, "created_on", notes=notes),
        "last_attempted_on": at,
        "updated_on": first_moment(row, "updated_on", notes=notes),
        "total_score": row.get("total_score"),
        "total_max_score": row.get("total_max_score"),
    }
    questions: Sequence[Mapping[str, Any]] | None = row.get("question")
    found = LegacyAttempt(
        ProgressKey(user, collection, context),
        content,
        attempt,
        at,
        figures,
        row.get("grand_total"),
        None if questions is None else [_question(one) for one in questions],
    )
    return Mapped(found, notes)


def _question(found: Mapping[str, Any]) -> dict[str, Any]:
    question: dict[str, Any] = {name: found.get(name) for name in QUESTION_FIELDS}
    if question["assess_ts"] is not None:
        question["assess_ts"] = moment_of(question["assess_ts"])
    if question["duration"] is not None:
        question["duration"] = float(question["duration"])
    for name in ("resvalues", "params"):
        question[name] = None if question[name] is None else list(map(dict, question[name]))
    return question


_SCORE = "score:"


@dataclass(frozen=True, slots=True)
class LegacyScores:
    """A row of user_activity_agg: the contents that it has a score of, under one batch."""

    key: ProgressKey
    content_ids: frozenset[str]


def scores_of_row(row: LegacyRow) -> LegacyScores | None:
    """The scores in a row; None if it has none, as rows of units. Unreadable if its context is no batch."""
    figures = {**(row.get("agg") or {}), **(row.get("aggregates") or {})}
    scored = frozenset(name.removeprefix(_SCORE) for name in figures if name.startswith(_SCORE))
    if not scored:
        return None
    user_id, collection_id, context = ids_in(row, "user_id", "activity_id", "context_id")
    try:
        kind, context_id = parse_aggregate_context(context)
    except ValueError:
        raise Unreadable("a context that is no cb:<batchId>") from None
    if kind is not ContextType.BATCH or not context_id:
        raise Unreadable("a context that is no cb:<batchId>")
    return LegacyScores(ProgressKey(user_id, collection_id, context_id), scored)
