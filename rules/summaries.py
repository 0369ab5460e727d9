"""A learner's enrolments as they are handed out: one in full, or all of them as a file (R-SUMMARY-2, P-2.7)."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from rules.identifiers import ProgressKey
from rules.moments import written
from rules.progress import Progress
from rules.scores import Score


class SummaryFormat(Enum):
    """What a file of summaries is written in."""

    CSV = "csv"
    JSON = "json"


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
    """A summary of one enrolment, or of what was done in a collection without one: then ``enrolled_on`` is None.

    ``content_status`` is 1 or 2 for each content that was started, ``scores`` are by assessment, ``certificates`` are
    as they were issued. ``collection`` is None where it is gone. ``completed_version`` is None where it is not known.
    """

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
    completed_version: int | None = None


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
"""The columns of the CSV file, which are the platform's. ``progress`` is a count of leaves."""

SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫"
"""The characters that begin a formula in a spreadsheet. Some take those of full width, and small ones, for the same."""
_FORMULA = re.compile(rf"(^|[;\t\r\n])(?=[\s\"']*[{re.escape(SIGNS)}])|^(?=[\t\r\n])")
"""Where a formula may begin: a spreadsheet in a language that writes 1,5 separates cells by semicolons."""


def summary_document(summary: EnrolmentSummary) -> dict[str, Any]:
    """Returns the summary as the JSON file has it: the platform's names, moments in RFC 3339."""
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
        "completedVersion": summary.completed_version,
        "lastContentAccessTime": _moment(summary.last_accessed_on),
        "progress": summary.progress.completed_count,
        "completionPercentage": summary.progress.completion_percentage,
        "status": int(summary.progress.status),
    }


def csv_header() -> str:
    return _lines([COLUMNS])


def csv_lines(summaries: Iterable[EnrolmentSummary]) -> str:
    """Returns lines as RFC 4180 has them: CRLF ends a line, and a cell with a quote, a comma or the end of a line is
    quoted."""
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
    """Returns the text, with an apostrophe before what a spreadsheet would run as a formula, at its beginning or
    behind a semicolon or a tab.

    RFC 4180 says nothing of this, and quotes don't help. An id that begins like a formula could make somebody else's
    spreadsheet send its contents. The platform's ids never begin so, and the JSON file has every id as it is.
    """
    return _FORMULA.sub(r"\1'", text)


def _lines(rows: Iterable[Sequence[object]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue()


def _moment(at: datetime | None) -> str | None:
    return None if at is None else written(at)
