"""What the rows of exhausts look like, to the letter, and who may have them."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.attempts import Attempt, Question, WholeAttempt
from rules.contexts import Context, check_may_report
from rules.enrolments import Enrolment
from rules.errors import Forbidden, InvalidInput, Unauthenticated
from rules.exhausts import (
    PROGRESS_COLUMNS,
    RESPONSE_COLUMNS,
    ExhaustPlace,
    LearnerReport,
    checked_password,
    csv_lines,
    distinct_names,
    progress_columns,
    progress_row,
    response_rows,
)
from rules.identifiers import ContextType, ProgressKey, ViewKey
from rules.learners import ATTRIBUTES, Learner
from rules.progress import Progress, Status
from rules.scores import ActivityScore, Best
from rules.standings import FirstCompletion
from rules.summaries import SIGNS, csv_text
from rules.viewers import Role, Viewer

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACE = ExhaustPlace("course", "Course", "batch", "Batch")
HEADER = (
    "Collection Id,Collection Name,Batch Id,Batch Name,User UUID,QuestionSet Id,QuestionSet Title,Attempt Id,Attempted On,"
    "Question Id,Question Type,Question Title,Question Description,Question Duration,Question Score,Question Max Score,"
    "Question Options,Question Response"
)


def test_the_columns_of_responses_are_the_platforms_eighteen() -> None:
    assert ",".join(RESPONSE_COLUMNS) == HEADER


def test_an_attempt_has_a_row_for_each_question() -> None:
    attempt = Attempt(ViewKey("ada", "course", "batch", "quiz"), "one", 1.5, 3.0, AT)
    first = Question(
        "q1", AT, 1.0, 1.0, "mcq", "2+2?", "Sum", 4.5, [{"1": "3"}, {"2": "4"}], [{"value": "2"}]
    )
    rows = list(response_rows(PLACE, WholeAttempt(attempt, [first, Question("q2")]), "Quiz"))
    assert [rows[0][column] for column in RESPONSE_COLUMNS] == [
        *("course", "Course", "batch", "Batch", "ada", "quiz", "Quiz", "one", "2026-03-01T12:00:00.000Z"),
        *("q1", "mcq", "2+2?", "Sum", 4.5, 1.0, 1.0, '[{"1":"3"},{"2":"4"}]', '[{"value":"2"}]'),
    ]
    assert [rows[1][column] for column in [*RESPONSE_COLUMNS][9:]] == ["q2", *[None] * 6, "[]", "[]"]
    assert list(response_rows(PLACE, WholeAttempt(attempt, []), "Quiz")) == []


def test_a_learner_has_one_row_with_profile_progress_and_scores() -> None:
    report = LearnerReport(
        Enrolment(ProgressKey("ada", "course", "batch"), True, AT, certificates=({"name": "Done"},)),
        Progress(Status.IN_PROGRESS, 2, 3),
        FirstCompletion(AT),
        AT,
        # 8 of 10 and 1 of 2: 9 of 12 is 75 percent; four attempts.
        ActivityScore({"quiz": Best(8.0, 10.0, 3, AT), "exam": Best(1.0, 2.0, 1, AT)}),
        Learner("ada", "Ada", {"state": "Kerala", "age_band": "0-35"}),
    )
    columns = progress_columns({"quiz", "exam", "other"})
    row = progress_row(PLACE, report)
    assert list(columns) == [*PROGRESS_COLUMNS, "exam - Score", "other - Score", "quiz - Score"]
    assert row.keys() <= columns.keys()
    shown = {name: row.get(name) for name in columns if row.get(name) is not None}
    at = "2026-03-01T12:00:00.000Z"
    assert shown == {
        "Collection Id": "course",
        "Collection Name": "Course",
        "Batch Id": "batch",
        "Batch Name": "Batch",
        "User UUID": "ada",
        "User Name": "Ada",
        "State": "Kerala",
        "Age Band": "0-35",
        "Enrolment Date": at,
        "Active": True,
        "Status": "In Progress",
        "Completion Date": at,
        "Last Access Date": at,
        "Certificate Status": "Issued",
        "Progress": 66,
        "Completed Count": 2,
        "Required Count": 3,
        "Total Score": 9.0,
        "Total Max Score": 12.0,
        "Score Percentage": 75,
        "Attempts": 4,
        "exam - Score": 1.0,
        "quiz - Score": 8.0,
    }


def test_names_that_differ_in_case_alone_get_a_number() -> None:
    told = distinct_names(["do_A - Score", "State", "do_a - Score", "DO_A - Score", "do_a - Score (2)"])
    assert told == ["do_A - Score", "State", "do_a - Score (2)", "DO_A - Score (3)", "do_a - Score (2) (2)"]


def test_every_attribute_of_a_learner_has_a_column() -> None:
    known = Learner("ada", attributes={name: f"its {name}" for name in ATTRIBUTES})
    report = LearnerReport(
        Enrolment(ProgressKey("ada", "course", "batch"), True, AT),
        Progress(Status.NOT_STARTED, 0, 3),
        *(None, None, ActivityScore(), known),
    )
    told = progress_row(PLACE, report).values()
    assert {f"its {name}" for name in ATTRIBUTES} <= {*told}
    assert progress_row(PLACE, replace(report, learner=None))["State"] is None


@given(
    st.lists(st.lists(st.one_of(st.none(), st.text(), st.integers(), st.booleans()), min_size=2, max_size=2))
)
def test_whatever_texts_hold_csv_readers_get_them_back_and_spreadsheets_run_none(
    rows: list[list[object]],
) -> None:
    text = csv_lines(rows)
    read = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert len(read) == len(rows)
    for found, row in zip(read, rows, strict=True):
        for cell, value in zip(found, row, strict=True):
            if isinstance(value, bool):
                assert cell == str(value).lower()
            elif isinstance(value, str):
                assert not cell.startswith((*SIGNS, "\t", "\r"))
                assert cell == csv_text(value)
                assert "".join(cell.split("'")) == "".join(value.split("'")), "apostrophes alone are added"
            else:
                assert cell == ("" if value is None else str(value))


CONTEXT = Context(
    "batch", ContextType.BATCH, "Batch", ("course",), mentors=frozenset({"mo"}), created_by="cleo"
)


@pytest.mark.parametrize(
    "viewer",
    [
        Viewer("mo", frozenset({Role.LEARNER})),
        Viewer("cleo", frozenset({Role.CREATOR})),
        *(Viewer("x", frozenset({role})) for role in (Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE)),
    ],
)
def test_mentors_of_the_context_its_creator_and_who_sees_every_learner_may_have_reports(
    viewer: Viewer,
) -> None:
    check_may_report(viewer, CONTEXT)


@pytest.mark.parametrize("role", [Role.LEARNER, Role.CREATOR])
def test_nobody_else_may_have_reports(role: Role) -> None:
    with pytest.raises(Forbidden) as refused:
        check_may_report(Viewer("x", frozenset({role})), CONTEXT)
    assert refused.value.field == "contextId"
    with pytest.raises(Unauthenticated):
        check_may_report(Viewer(), CONTEXT)


def test_a_password_has_8_to_128_characters() -> None:
    assert (checked_password(None), checked_password("p" * 8), len(checked_password("p" * 128) or "")) == (
        *(None, "p" * 8, 128),
    )
    for wrong in ("", "p" * 7, "p" * 129):
        with pytest.raises(InvalidInput) as refused:
            checked_password(wrong)
        assert refused.value.field == "password"
