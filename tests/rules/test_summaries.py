"""What a file of summaries looks like, to the letter."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.identifiers import ProgressKey
from rules.progress import Progress, Status
from rules.scores import Score
from rules.summaries import (
    COLUMNS,
    SIGNS,
    CollectionNote,
    EnrolmentSummary,
    csv_header,
    csv_lines,
    csv_text,
    summary_document,
)

AT = datetime(2026, 1, 31, 12, 0, 0, 5_000, UTC)


def summary(collection_id: str = "course", context_id: str = "batch", **values: object) -> EnrolmentSummary:
    given = {
        "active": True,
        "enrolled_on": AT,
        "progress": Progress(Status.IN_PROGRESS, 2, 3),
        "completed_on": None,
        "last_accessed_on": None,
    }
    return EnrolmentSummary(ProgressKey("ada", collection_id, context_id), **{**given, **values})  # type: ignore[arg-type]


def test_the_header_is_the_platforms() -> None:
    assert csv_header() == (
        "courseid,batchid,status,completionpercentage,progress,completedon,enrolleddate,"
        "lastcontentaccesstime,certificatescount\r\n"
    )


def test_a_line_has_figures_and_moments_and_ends_as_rfc_4180_has_it() -> None:
    done = summary(
        "b",
        "b",
        progress=Progress(Status.COMPLETED, 3, 3),
        completed_on=AT,
        last_accessed_on=AT,
        certificates=({"identifier": "c1"}, {"identifier": "c2"}),
    )
    assert csv_lines([summary(), done]) == (
        "course,batch,1,66,2,,2026-01-31T12:00:00.005Z,,0\r\n"
        "b,b,2,100,3,2026-01-31T12:00:00.005Z,2026-01-31T12:00:00.005Z,2026-01-31T12:00:00.005Z,2\r\n"
    )
    assert csv_lines([]) == ""


def test_quotes_commas_and_ends_of_lines_are_quoted() -> None:
    assert csv_lines([summary('a,"b"', "c\nd")]).startswith('"a,""b""","c\nd",1,')


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "＋1", "－1", "＠SUM(A1)", " =1", '"=1', "\t1", "\r1"]
)
def test_what_a_spreadsheet_would_run_is_a_text_to_it(text: str) -> None:
    assert csv_text(text) == f"'{text}"
    assert csv_text(f"do_{text}") == f"do_{text}"


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1))))
def test_any_reader_of_csv_gets_the_ids_back(ids: list[tuple[str, str]]) -> None:
    written = csv_header() + csv_lines(summary(*pair) for pair in ids)
    header, *rows = csv.reader(io.StringIO(written, newline=""))
    assert tuple(header) == COLUMNS
    assert [(row[0], row[1]) for row in rows] == [(csv_text(a), csv_text(b)) for a, b in ids]
    assert not any(cell.startswith((*SIGNS, "\t", "\r")) for row in rows for cell in row)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (";=1", ";'=1"),
        ("a;=1", "a;'=1"),
        ("a; ＝1", "a;' ＝1"),
        ("a\t+1", "a\t'+1"),
        ("a\n@B", "a\n'@B"),
        ("a;b-1", "a;b-1"),
    ],
)
def test_a_text_runs_nothing_where_semicolons_separate_cells(text: str, written: str) -> None:
    """Excel opens a CSV file by the list separator of its language, whatever separates the cells in it."""
    assert csv_text(text) == written


def test_a_document_has_the_platforms_names() -> None:
    whole = summary(
        content_status={"a": 2, "b": 1},
        scores={"quiz": Score(7.5, 10)},
        certificates=[{"identifier": "c1", "name": "Course done"}],
        collection=CollectionNote("course", "Course", 4, logo="logo.png"),
    )
    assert summary_document(whole) == {
        "userId": "ada",
        "collectionId": "course",
        "contextId": "batch",
        "enrolledDate": "2026-01-31T12:00:00.005Z",
        "active": True,
        "contentStatus": {"a": 2, "b": 1},
        "assessmentStatus": {"quiz": {"score": 7.5, "max_score": 10}},
        "collection": {
            "identifier": "course",
            "name": "Course",
            "leafNodesCount": 4,
            "logo": "logo.png",
        },
        "issuedCertificates": [{"identifier": "c1", "name": "Course done"}],
        "completedOn": None,
        "completedVersion": None,
        "lastContentAccessTime": None,
        "progress": 2,
        "completionPercentage": 66,
        "status": 1,
    }
    gone = summary_document(summary())
    assert (gone["collection"], gone["contentStatus"], gone["issuedCertificates"]) == (None, {}, [])
