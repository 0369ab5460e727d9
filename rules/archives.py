"""The archive of attempts: files with the questions, each of one context and one ISO week (R-ASSESS-5, P-4.11)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from rules.attempts import Attempt, Question, WholeAttempt, question_of, write_time_of
from rules.identifiers import ViewKey
from rules.moments import known_milliseconds, known_moment, milliseconds

MOST_IN_A_FILE = 10_000
"""Attempts. So whoever reads one attempt fetches a small file."""

ARCHIVE_COLUMNS: Mapping[str, type] = {
    "course_id": str,
    "batch_id": str,
    "user_id": str,
    "content_id": str,
    "attempt_id": str,
    "created_on": int,
    "grand_total": str,
    "last_attempted_on": int,
    "total_max_score": float,
    "total_score": float,
    "updated_on": int,
    "question": str,
    "course_name": str,
    "batch_name": str,
    "content_hash": str,
    "written_at": int,
}
"""The columns of a file, in order: the platform's twelve (P-4.11), and ours. Moments are milliseconds since 1970.
``question`` is JSON: a list of objects with the fields of the type ``question``. ``written_at`` is the write time of the
row, in microseconds."""

ARCHIVE_ORDER: Sequence[str] = ("user_id", "course_id", "content_id", "attempt_id")
"""The columns that a file is ordered by. So the attempts of a learner are in one place."""

ROOT = "archived-batches/assessment"
"""What the name of every file begins with."""

_LONGEST_CONTEXT = 64
"""Characters of a context's id in a name."""
_KEPT = 30
"""Characters that are left of a longer one, before its hash."""
_UNSAFE = re.compile(rb"[^A-Za-z0-9-]")


class ArchiveState(Enum):
    """How far a request is. The value is what the catalogue has."""

    UPLOADING = "uploading"
    """Its file may be there, or a part of it. All questions are live."""
    VERIFIED = "verified"
    """Its file was read back. All questions are live; slim rows may lead to the file."""
    DELETING = "deleting"
    """Every slim row of the file leads to it. Questions are live or only in the file."""
    ARCHIVED = "archived"
    """The questions are in the file alone."""
    RESTORING = "restoring"
    """Questions are being written as rows again."""
    RESTORED = "restored"
    """All questions that the file has are live again. No slim row leads to it."""
    FAILED = "failed"
    """Given up before anything led to it. There is no file."""


class IsoWeek(NamedTuple):
    """A week by ISO 8601, with the year that it belongs to: 2021-01-01 is in week 53 of 2020."""

    year: int
    week: int


@dataclass(frozen=True, slots=True)
class ArchivedPart:
    """What one file is of. Contexts and weeks may have several."""

    context_id: str
    week: IsoWeek


def iso_week(at: datetime) -> IsoWeek:
    """Returns the week of a moment, in UTC."""
    year, week, _ = at.astimezone(UTC).isocalendar()
    return IsoWeek(year, week)


def request_id(week: IsoWeek, token: str, at: datetime) -> str:
    """Returns the id of a request. ``token``: what no other request has."""
    return f"{week.year:04}-{week.week:02}-{token}-{milliseconds(at)}"


def blob_name(part: ArchivedPart, at: datetime, suffix: str) -> str:
    """Returns the name of a file, such as
    ``archived-batches/assessment/batch-011-2021-week-num-48-1638748800000.parquet``. Different parts and moments (in
    milliseconds) give different names, whatever characters the context's id has."""
    name = f"{_safe(part.context_id)}-{part.week.year:04}-week-num-{part.week.week:02}-{milliseconds(at)}"
    return f"{ROOT}/{name}.{suffix}"


def _safe(context_id: str) -> str:
    """Returns the id with each byte that is no letter, digit or ``-`` as ``_`` and two digits. What is too long is cut,
    and ends with two ``_`` and a hash."""
    raw = context_id.encode()
    name = _UNSAFE.sub(lambda found: b"_%02X" % found[0][0], raw).decode()
    if len(name) <= _LONGEST_CONTEXT:
        return name
    return f"{name[:_KEPT]}__{blake2b(raw, digest_size=16).hexdigest()}"


class AttemptVersion(NamedTuple):
    """What the archive has to know of an attempt: which row it is, and in which version.

    - ``key``: of its row, in both tables. ``written_at``: the write time of the row, in microseconds.
    - ``attempted_on``: milliseconds; None where nobody knows.
    """

    key: tuple[str, str, str, str, str]
    written_at: int
    content_hash: str | None
    attempted_on: int | None


def archive_row(stored: Mapping[str, Any], written_at: int) -> dict[str, Any]:
    """Returns the row of a file for the attempt in a row of ``assessment_aggregator``, which was written then."""
    return {
        "course_id": stored["collection_id"],
        "batch_id": stored["context_id"],
        "user_id": stored["user_id"],
        "content_id": stored["content_id"],
        "attempt_id": stored["attempt_id"],
        "created_on": known_milliseconds(stored["created_on"]),
        "grand_total": stored["grand_total"],
        "last_attempted_on": known_milliseconds(stored["last_attempted_on"]),
        "total_max_score": stored["total_max_score"],
        "total_score": stored["total_score"],
        "updated_on": known_milliseconds(stored["updated_on"]),
        "question": orjson.dumps([*map(_written, stored["question"] or ())]).decode(),
        "course_name": stored["collection_name"],
        "batch_name": stored["context_name"],
        "content_hash": stored["content_hash"],
        "written_at": written_at,
    }


def version_of_archive_row(row: Mapping[str, Any]) -> AttemptVersion:
    """Returns which attempt a row of a file is, and in which version. A row without a write time was written at the attempt's own
    moment."""
    at: int | None = row["last_attempted_on"]
    return AttemptVersion(
        (row["user_id"], row["course_id"], row["batch_id"], row["content_id"], row["attempt_id"]),
        row["written_at"] or write_time_of(at),
        row["content_hash"],
        at,
    )


def attempt_of_archive_row(row: Mapping[str, Any]) -> Attempt:
    """Returns the slim form of the attempt in a row. Its ``archived_in`` is None: the file does not know its request."""
    return Attempt(
        ViewKey(row["user_id"], row["course_id"], row["batch_id"], row["content_id"]),
        row["attempt_id"],
        row["total_score"],
        row["total_max_score"],
        known_moment(row["last_attempted_on"]),
        known_moment(row["created_on"]),
        known_moment(row["updated_on"]),
        row["written_at"],
        row["content_hash"],
    )


def whole_of_archive_row(row: Mapping[str, Any]) -> WholeAttempt:
    """Returns the attempt of which ``archive_row`` has made this row."""
    questions = [_question(found) for found in orjson.loads(row["question"] or "[]")]
    return WholeAttempt(
        attempt_of_archive_row(row), questions, row["grand_total"], row["course_name"], row["batch_name"]
    )


def _written(question: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a question, in the order of every file."""
    return {
        "id": question["id"] or "",
        "assess_ts": known_milliseconds(question["assess_ts"]),
        "max_score": question["max_score"],
        "score": question["score"],
        "type": question["type"],
        "title": question["title"],
        "resvalues": question["resvalues"] or [],
        "params": question["params"] or [],
        "description": question["description"],
        "duration": question["duration"],
    }


def _question(found: Mapping[str, Any]) -> Question:
    return question_of({**found, "assess_ts": known_moment(found["assess_ts"])})
