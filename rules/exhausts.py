"""Exhausts: reports of a collection under a context, as files with a row for each question or learner (R-ASSESS-6,
P-4.12)."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import orjson

from rules.attempts import WholeAttempt
from rules.enrolments import Enrolment
from rules.errors import InvalidInput
from rules.learners import ATTRIBUTES, Learner
from rules.moments import written
from rules.progress import Progress, Status
from rules.scores import ActivityScore
from rules.standings import FirstCompletion
from rules.summaries import csv_text

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 128


class ExhaustKind(Enum):
    RESPONSES = "responses"
    """A row for each question of each attempt."""
    PROGRESS = "progress"
    """A row for each learner."""


class ExhaustFormat(Enum):
    """What an exhaust is written in. The value is the file's suffix."""

    CSV = "csv"
    PARQUET = "parquet"


Columns = Mapping[str, type]
"""Names in order, each with what the column holds: str, int, float, bool or datetime."""
Cells = Mapping[str, Any]
"""A row by names of columns. What it leaves out is not known. Moments are texts in RFC 3339."""


@dataclass(frozen=True, slots=True)
class ExhaustPlace:
    """What an exhaust is of, as each of its rows repeats it."""

    collection_id: str
    collection_name: str
    context_id: str
    context_name: str

    def cells(self, user_id: str) -> dict[str, Any]:
        return {
            "Collection Id": self.collection_id,
            "Collection Name": self.collection_name,
            "Batch Id": self.context_id,
            "Batch Name": self.context_name,
            "User UUID": user_id,
        }


_PLACE: Columns = dict.fromkeys(
    ("Collection Id", "Collection Name", "Batch Id", "Batch Name", "User UUID"), str
)
RESPONSE_COLUMNS: Columns = {
    **_PLACE,
    "QuestionSet Id": str,
    "QuestionSet Title": str,
    "Attempt Id": str,
    "Attempted On": datetime,
    "Question Id": str,
    "Question Type": str,
    "Question Title": str,
    "Question Description": str,
    "Question Duration": float,
    "Question Score": float,
    "Question Max Score": float,
    "Question Options": str,
    "Question Response": str,
}
"""The columns of a responses exhaust, which are the platform's (P-4.12). Options and response are JSON: lists of objects
as the player sent them. The duration is in seconds."""

_HEADERS = {"block": "Block Name", "school": "School Name", "type": "User Type"}
_ATTRIBUTES = {name: _HEADERS.get(name, name.replace("_", " ").title()) for name in ATTRIBUTES}
PROGRESS_COLUMNS: Columns = {
    **_PLACE,
    "User Name": str,
    **dict.fromkeys(_ATTRIBUTES.values(), str),
    "Enrolment Date": datetime,
    "Re-enrolment Date": datetime,
    "Unenrolment Date": datetime,
    "Active": bool,
    "Status": str,
    "Completion Date": datetime,
    "Last Access Date": datetime,
    "Certificate Status": str,
    "Progress": int,
    "Completed Count": int,
    "Required Count": int,
    "Total Score": float,
    "Total Max Score": float,
    "Score Percentage": int,
    "Attempts": int,
}
"""The columns of a progress exhaust: the platform's as far as Cohort has what they tell, and others (D-EXHAUST). After
them comes a score column for each assessment that somebody attempted. ``Progress`` is the completion percentage."""

_STATUSES = {
    Status.NOT_STARTED: "Not Started",
    Status.IN_PROGRESS: "In Progress",
    Status.COMPLETED: "Completed",
}


@dataclass(frozen=True, slots=True)
class LearnerReport:
    """What a progress exhaust tells of a learner."""

    enrolment: Enrolment
    progress: Progress
    completed: FirstCompletion | None
    last_accessed_on: datetime | None
    score: ActivityScore
    learner: Learner | None


def score_column(content_id: str) -> str:
    """Returns the name of the column with the best score in an assessment, which is the platform's."""
    return f"{content_id} - Score"


def progress_columns(assessments: Iterable[str]) -> Columns:
    """Returns the columns of a progress exhaust in which these assessments were attempted."""
    return {**PROGRESS_COLUMNS, **{score_column(each): float for each in sorted(assessments)}}


def distinct_names(columns: Iterable[str]) -> list[str]:
    """Returns the names for readers to whom case is nothing: of several that are the same so, all but the first get a
    number."""
    names: list[str] = []
    taken: set[str] = set()
    for column in columns:
        name, number = column, 1
        while name.casefold() in taken:
            number += 1
            name = f"{column} ({number})"
        taken.add(name.casefold())
        names.append(name)
    return names


def response_rows(place: ExhaustPlace, whole: WholeAttempt, title: str | None) -> Iterator[Cells]:
    """Returns a row for each question of the attempt. ``title``: of the assessment."""
    attempt = whole.attempt
    of_attempt = {
        **place.cells(attempt.key.user_id),
        "QuestionSet Id": attempt.key.content_id,
        "QuestionSet Title": title,
        "Attempt Id": attempt.attempt_id,
        "Attempted On": _moment(attempt.attempted_on),
    }
    for question in whole.questions:
        yield {
            **of_attempt,
            "Question Id": question.id,
            "Question Type": question.type,
            "Question Title": question.title,
            "Question Description": question.description,
            "Question Duration": question.duration,
            "Question Score": question.score,
            "Question Max Score": question.max_score,
            "Question Options": _json(question.options),
            "Question Response": _json(question.answers),
        }


def progress_row(place: ExhaustPlace, report: LearnerReport) -> Cells:
    """Returns the row of a learner."""
    enrolment, score = report.enrolment, report.score
    attributes = report.learner.attributes if report.learner else {}
    return {
        **place.cells(enrolment.key.user_id),
        "User Name": report.learner.name if report.learner else None,
        **{header: attributes.get(name) for name, header in _ATTRIBUTES.items()},
        "Enrolment Date": _moment(enrolment.enrolled_on),
        "Re-enrolment Date": _moment(enrolment.reenrolled_on),
        "Unenrolment Date": _moment(enrolment.unenrolled_on),
        "Active": enrolment.active,
        "Status": _STATUSES[report.progress.status],
        "Completion Date": _moment(report.completed.on if report.completed else None),
        "Last Access Date": _moment(report.last_accessed_on),
        "Certificate Status": "Issued" if enrolment.certificates else "",
        "Progress": report.progress.completion_percentage,
        "Completed Count": report.progress.completed_count,
        "Required Count": report.progress.required_count,
        "Total Score": score.score,
        "Total Max Score": score.max_score,
        "Score Percentage": score.percentage,
        "Attempts": score.attempts,
        **{score_column(content): best.score for content, best in score.assessments.items()},
    }


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Returns lines as RFC 4180 has them. No text in them is run by a spreadsheet."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return lines.getvalue()


def checked_password(password: str | None) -> str | None:
    """Returns the password of an encrypted file, None for a file that is not. InvalidInput says that it is too short or
    too long."""
    if password is not None and not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidInput(
            f"password must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters", field="password"
        )
    return password


def _cell(value: object) -> object:
    if value.__class__ is int or value is None:
        return value
    if isinstance(value, str):
        return csv_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _json(found: Sequence[Mapping[str, str]]) -> str:
    return orjson.dumps([dict(each) for each in found]).decode()


def _moment(at: datetime | None) -> str | None:
    return None if at is None else written(at)
