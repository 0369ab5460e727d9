"""A learner's enrolments as they are handed out: one in full, or all of them as a file (R-SUMMARY-2, P-2.7)."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from rules.identifiers import ProgressKey
from rules.moments import written
from rules.progress import Progress


class SummaryFormat(Enum):
    """What a file of summaries is written in."""

    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Score:
    """Of a learner's best attempt at an assessment."""

    score: float
    max_score: float


@dataclass(frozen=True, slots=True)
class CollectionNote:
    """What a summary tells of its collection."""

    identifier: str
    name: str
    leaf_nodes_count: int
    logo: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class EnrolmentSummary:
    """One enrolment, or what was done in a collection without one: then ``enrolled_on`` is None. ``content_status``: of what was started, by content, 1 or 2; ``scores`` by assessment;
    ``certificates`` as they were issued. ``collection`` None: it is gone."""

    key: ProgressKey
    active: bool
    enrolled_on: datetime | None
    progress: Progress
    completed_on: datetime | None
    last_accessed_on: datetime | None
    certificates: Sequence[Mapping[str, str]] = ()
    content_status: Mapping[str, int] | None = None
    scores: Mapping[str, Score] | None = None
    collection: CollectionNote | None = None


COLUMNS = (
    "courseid",
    "batchid",
    "status",
    "completionpercentage",
    "progress",
    "completedon",
    "enrolleddate",
    "lastcontentaccesstime",
    "certificatescount",
)
"""Of the CSV file, as the platform has them. ``progress`` is a count of leaves."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def summary_document(summary: EnrolmentSummary) -> dict[str, Any]:
    """As the JSON file has it: the platform's names, moments in RFC 3339."""
    collection = summary.collection
    return {
        "userId": summary.key.user_id,
        "collectionId": summary.key.collection_id,
        "contextId": summary.key.context_id,
        "enrolledDate": _moment(summary.enrolled_on),
        "active": summary.active,
        "contentStatus": summary.content_status or {},
        "assessmentStatus": {
            content_id: {"score": score.score, "max_score": score.max_score}
            for content_id, score in (summary.scores or {}).items()
        },
        "collection": collection
        and {
            "identifier": collection.identifier,
            "name": collection.name,
            "leafNodesCount": collection.leaf_nodes_count,
            **({"logo": collection.logo} if collection.logo else {}),
            **({"description": collection.description} if collection.description else {}),
        },
        "issuedCertificates": list(summary.certificates),
        "completedOn": _moment(summary.completed_on),
        "lastContentAccessTime": _moment(summary.last_accessed_on),
        "progress": summary.progress.completed_count,
        "completionPercentage": summary.progress.completion_percentage,
        "status": int(summary.progress.status),
    }


def csv_header() -> str:
    return _lines([COLUMNS])


def csv_lines(summaries: Iterable[EnrolmentSummary]) -> str:
    """RFC 4180: CRLF after each line, a cell in quotes where it has a quote, a comma or a line's end in it."""
    return _lines(
        (
            csv_text(summary.key.collection_id),
            csv_text(summary.key.context_id),
            int(summary.progress.status),
            summary.progress.completion_percentage,
            summary.progress.completed_count,
            _moment(summary.completed_on) or "",
            _moment(summary.enrolled_on) or "",
            _moment(summary.last_accessed_on) or "",
            len(summary.certificates),
        )
        for summary in summaries
    )


def csv_text(text: str) -> str:
    """With an apostrophe before what a spreadsheet would run as a formula.

    RFC 4180 says nothing of it, and quotes don't help. The ids of the platform never begin so, whoever makes an id that
    does could make others' spreadsheets send what is in them, and the JSON file has every id as it is.
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def best_scores(attempts: Iterable[tuple[str, float | None, float | None]]) -> dict[str, Score]:
    """By content, out of (content, score, maximum) of each attempt; one that has no score counts for nothing."""
    best: dict[str, Score] = {}
    for content_id, score, maximum in attempts:
        if score is None:
            continue
        one = Score(score, maximum or 0.0)
        known = best.get(content_id)
        if known is None or (one.score, one.max_score) > (known.score, known.max_score):
            best[content_id] = one
    return best


def _lines(rows: Iterable[Sequence[object]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue()


def _moment(at: datetime | None) -> str | None:
    return None if at is None else written(at)
