"""The existing platform's attempts at assessments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from rules.attempts import Attempt
from rules.identifiers import ProgressKey, ViewKey
from rules.legacy.tables import LegacyRow
from rules.legacy.values import Mapped, Unreadable, first_moment, ids_in, number_in, value_in
from rules.moments import milliseconds


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

    @property
    def asked(self) -> ViewKey:
        """The key by the ids that a client names."""
        return ViewKey(self.key.user_id, self.key.collection_id, self.key.context_id, self.content_id)

    @property
    def updated_on(self) -> datetime:
        """When this version was written there. The time of the attempt if nobody noted it."""
        updated_on: datetime | None = self.figures["updated_on"]
        return updated_on or self.at


def is_newer(attempt: LegacyAttempt, content_hash: str, stored: Attempt | None) -> bool | None:
    """Tells whether the platform's version of an attempt is to be written over the stored one. None if they are the same.

    The later attempt wins. Of two versions of the same moment the one that was updated later wins: the platform corrects a
    row in place. One that was corrected without a new ``updated_on`` wins as well. Where a mode keeps the attempts of
    several places together, the larger hash wins then, so that it is the same each time. A row that an earlier version of
    Cohort brought has no hash, and is written again.
    """
    if stored is None or stored.attempted_on is None:
        return True
    moments = milliseconds(attempt.at), milliseconds(stored.attempted_on)
    if moments[0] != moments[1]:
        return moments[0] > moments[1]
    before = stored.updated_on or stored.attempted_on
    if stored.content_hash == content_hash:
        return True if attempt.updated_on > before else None
    if attempt.updated_on != before or stored.content_hash is None:
        return attempt.updated_on >= before
    return stored.key == attempt.asked or content_hash > stored.content_hash


QUESTION_FIELDS = (
    *("id", "assess_ts", "max_score", "score", "type", "title"),
    *("resvalues", "params", "description", "duration"),
)


def attempt_of_row(row: LegacyRow, zone: tzinfo = UTC) -> Mapped[LegacyAttempt]:
    """A row of assessment_aggregator. ``zone``: of texts without one. Raises Unreadable if a value can't be read."""
    notes: list[str] = []
    user, collection, context, content, attempt = ids_in(
        row, "user_id", "collection_id", "context_id", "content_id", "attempt_id"
    )
    at = first_moment(row, "last_attempted_on", "updated_on", "created_on", notes=notes, zone=zone)
    if at is None:
        raise Unreadable("no time of the attempt", "last_attempted_on")
    if row.get("last_attempted_on") is None:
        notes.append("last_attempted_on: missing, taken from the last update")
    figures = {
        "created_on": first_moment(row, "created_on", notes=notes, zone=zone),
        "last_attempted_on": at,
        "updated_on": first_moment(row, "updated_on", notes=notes, zone=zone),
        "total_score": number_in(row, "total_score"),
        "total_max_score": number_in(row, "total_max_score"),
    }
    questions: Sequence[Mapping[str, Any]] | None = row.get("question")
    found = LegacyAttempt(
        ProgressKey(user, collection, context),
        content,
        attempt,
        at,
        figures,
        value_in(row, "grand_total", str),
        None if questions is None else [_question(one) for one in questions],
    )
    return Mapped(found, notes)


def _question(found: Mapping[str, Any]) -> dict[str, Any]:
    question: dict[str, Any] = {name: found.get(name) for name in QUESTION_FIELDS}
    question["assess_ts"] = first_moment(found, "assess_ts", notes=[])
    for name in ("max_score", "score", "duration"):
        question[name] = number_in(found, name)
    if question["duration"] is not None:
        question["duration"] = float(question["duration"])
    for name in ("resvalues", "params"):
        question[name] = None if question[name] is None else list(map(dict, question[name]))
    return question
