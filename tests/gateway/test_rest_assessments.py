"""Attempts and scores as the platform's clients read them (R-ASSESS-2, R-ASSESS-4, P-2.7)."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from gateway.rest.nouns.assessments import AttemptsTold, ScoresTold
from ingest.commands.enrolments import EnrolmentCall, enrol
from rules.attempts import Question
from rules.identifiers import ViewKey
from rules.moments import milliseconds
from rules.tracking import TrackingMode
from rules.viewers import Role
from tests.archived_files import archive_questions
from tests.attempts import store_attempt
from tests.conftest import NOW, Instance
from tests.gateway.rest_calls import RestCalls

READ, ATTEMPTS = "/v2/view/assess/read", "/v1/assessment/read"
A = ViewKey("ada", "course", "batch", "a")
FIRST, SECOND, THIRD = NOW - timedelta(days=3), NOW - timedelta(days=2), NOW - timedelta(days=1)
ASKED = [Question("q1", FIRST, 1.0, 2.0, "mcq", "Which?", None, 12.5, [{"1": "A"}], [{"1": "A"}])]
PLACE: dict[str, Any] = {"courseId": "course", "batchId": "batch"}


async def attempted(course: Instance, key: ViewKey = A) -> None:
    """2.0 of 3.0, then 1.33 of 3.0 (P-4.5); the workers have seen it."""
    await store_attempt(course.shared, key, "t1", 2.0, 3.0, FIRST, questions=ASKED)
    await store_attempt(course.shared, key, "t2", 1.33, 3.0, SECOND)
    await course.drain()


def told(result: dict[str, Any]) -> tuple[Any, ...]:
    TypeAdapter(ScoresTold).validate_python(result)
    return result["courseId"], result["batchId"], result["bestScore"]


async def test_scores_are_read_as_the_document_has_them(course: Instance) -> None:
    await attempted(course)
    for path in (READ, "/view/v2/assess/read"):
        answer = await RestCalls(course).answer("POST", path, userId="ada", assessmentId="a", **PLACE)
        envelope = answer.json()
        assert answer.status_code == 200
        assert (envelope["id"], envelope["ver"], envelope["responseCode"]) == (
            "api.view.assessment.read",
            "1.0",
            "OK",
        )
        assert envelope["ts"].endswith("Z")
        assert datetime.fromisoformat(envelope["ts"]).isoformat(timespec="milliseconds")[19] == "."
        assert (envelope["params"]["status"], envelope["params"]["err"], envelope["params"]["errmsg"]) == (
            "successful",
            None,
            None,
        )
        assert envelope["params"]["resmsgid"]
        assert envelope["result"] == {
            "userId": "ada",
            "batchId": "batch",
            "courseId": "course",
            "assessmentId": "a",
            "bestScore": 2.0,
            "totalMaxScore": 3.0,
            "lastAttemptedScore": 1.33,
            "updated_on": milliseconds(SECOND),
        }


async def test_either_name_of_an_id_is_understood_and_ids_may_be_left_out(course: Instance) -> None:
    """What was updated last answers: batch-2, attempted a day after batch."""
    await course.batch("batch-2")
    await attempted(course)
    await store_attempt(course.shared, ViewKey("ada", "course", "batch-2", "a"), "t1", 1.0, 3.0, THIRD)
    await course.drain()
    calls = RestCalls(course)
    for names in (
        {"assessmentId": "a", **PLACE},
        {"contentId": "a", "collectionId": "course", "contextId": "batch", "userId": "ada"},
        {"assessmentid": "a", "batchid": "batch"},
    ):
        assert told(await calls.result("POST", READ, **names)) == ("course", "batch", 2.0)
    for names in ({"assessmentId": "a"}, {"assessmentId": "a", "courseId": "course"}):
        assert told(await calls.result("POST", READ, **names)) == ("course", "batch-2", 1.0)


async def test_one_statement_reads_scores_however_many_attempts_there_are(course: Instance) -> None:
    await attempted(course)
    for names in ({"assessmentId": "a"}, {"assessmentId": "a", **PLACE}):
        with course.stores.rows.meter.measure() as statements:
            await RestCalls(course).result("POST", READ, **names)
        assert sum(statements.values()) == 1, statements


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, (400, "CONTENT_ID_REQUIRED_ERROR", "CLIENT_ERROR")),
        ({"assessmentId": " "}, (400, "CONTENT_ID_REQUIRED_ERROR", "CLIENT_ERROR")),
        ({"assessmentId": "a", "courseId": ""}, (400, "COURSE_ID_REQUIRED_ERROR", "CLIENT_ERROR")),
        ({"assessmentId": "a", "batchId": " "}, (400, "COURSE_BATCH_ID_MISSING", "CLIENT_ERROR")),
        ({"assessmentId": "a", "userId": " "}, (400, "USERID_MISSING", "CLIENT_ERROR")),
        ({"assessmentId": "a", "contentId": "b"}, (400, "INVALID_INPUT", "CLIENT_ERROR")),
        ({"assessmentId": "a", "courseId": "x", "collectionId": "y"}, (400, "INVALID_INPUT", "CLIENT_ERROR")),
        ({"assessment": "a"}, (400, "INVALID_INPUT", "CLIENT_ERROR")),
        ({"assessmentId": "b"}, (404, "RESOURCE_NOT_FOUND", "RESOURCE_NOT_FOUND")),
        ({"assessmentId": "a", "batchId": "nowhere"}, (404, "RESOURCE_NOT_FOUND", "RESOURCE_NOT_FOUND")),
        ({"assessmentId": "a", "courseId": "other"}, (404, "RESOURCE_NOT_FOUND", "RESOURCE_NOT_FOUND")),
        ({"assessmentId": "a", "userId": "bob"}, (401, "UNAUTHORIZED_USER", "CLIENT_ERROR")),
    ],
)
async def test_what_is_wrong_has_a_code(
    embedded: Instance, request_: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    await store_attempt(embedded.shared, A, "t1", 2.0, 3.0, FIRST)
    await embedded.drain()
    answer = await RestCalls(embedded).answer("POST", READ, **request_)
    envelope = answer.json()
    assert (answer.status_code, envelope["params"]["err"], envelope["responseCode"]) == expected
    assert (envelope["id"], envelope["ver"], envelope["result"]) == ("api.view.assessment.read", "1.0", {})


@pytest.mark.parametrize("role", [Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE])
async def test_who_answers_for_learners_reads_their_scores_and_attempts(
    embedded: Instance, role: Role
) -> None:
    await embedded.publish()
    await embedded.batch()
    await attempted(embedded)
    calls, who = RestCalls(embedded), {"user": "someone", "role": role, "userId": "ada"}
    assert (await calls.result("POST", READ, assessmentId="a", **who))["bestScore"] == 2.0
    assert len((await calls.result("POST", ATTEMPTS, **PLACE, **who))["assessments"]) == 2


@pytest.mark.parametrize("role", [Role.LEARNER, Role.CREATOR])
async def test_others_read_neither(embedded: Instance, role: Role) -> None:
    await embedded.publish()
    await embedded.batch()
    await attempted(embedded)
    for path, names in ((READ, {"assessmentId": "a"}), (ATTEMPTS, {**PLACE, "questions": True})):
        answer = await RestCalls(embedded).answer("POST", path, user="eve", role=role, userId="ada", **names)
        assert (answer.status_code, answer.json()["params"]["err"]) == (401, "UNAUTHORIZED_USER")


@pytest.mark.parametrize(
    ("mode", "kept"),
    [
        (TrackingMode.CARRY_FORWARD_FULL, ViewKey("ada", "a", "a", "a")),
        (TrackingMode.CARRY_FORWARD_COLLECTION, ViewKey("ada", "course", "course", "a")),
    ],
)
async def test_carried_scores_answer_by_the_ids_that_were_asked(
    course: Instance, mode: TrackingMode, kept: ViewKey
) -> None:
    """So do attempts, content states and summaries."""
    course.track(mode)
    await course.batch("batch-2")
    await enrol(course.session("ada"), EnrolmentCall("course", "batch-2"))
    await attempted(course, kept)
    calls, there = RestCalls(course), {"courseId": "course", "batchId": "batch-2"}
    for names in (there, {"batchId": "batch-2"}):
        assert told(await calls.result("POST", READ, assessmentId="a", **names)) == ("course", "batch-2", 2.0)
    for path, names in ((ATTEMPTS, there), (ATTEMPTS, {**there, "contentId": "a"})):
        read = await calls.result("POST", path, **names)
        assert (read["collectionId"], read["contextId"]) == ("course", "batch-2")
        assert [one["attemptId"] for one in read["assessments"]] == ["t1", "t2"]
    first = await calls.result("POST", ATTEMPTS, **there, limit=1)
    second = await calls.result("POST", ATTEMPTS, **there, limit=1, after=first["next"])
    assert [one["assessments"][0]["attemptId"] for one in (first, second)] == ["t1", "t2"]
    assert second["next"] is None
    states = await calls.result("POST", "/course/v1/content/state/read", userId="ada", **there)
    (state,) = states["contentList"]
    assert [score["attemptId"] for score in state["score"]] == ["t2", "t1"]
    summary = await calls.result("POST", "/v1/summary/read", **there)
    assert summary["assessmentStatus"] == {"a": {"score": 2.0, "max_score": 3.0}}
    (listed,) = (await calls.result("GET", "/v1/summary/list/ada"))["summary"]
    assert listed["assessmentStatus"] == summary["assessmentStatus"]


async def test_attempts_without_a_score_are_told_with_none_and_count_nowhere(course: Instance) -> None:
    await attempted(course)
    await store_attempt(course.shared, A, "t3", None, None, THIRD)
    calls = RestCalls(course)
    read = await calls.result("POST", ATTEMPTS, **PLACE)
    assert [(one["attemptId"], one["score"], one["max_score"]) for one in read["assessments"]] == [
        ("t1", 2.0, 3.0),
        ("t2", 1.33, 3.0),
        ("t3", None, None),
    ]
    assert {name for one in read["assessments"] for name in one} == {
        "contentId",
        "attemptId",
        "score",
        "max_score",
        "lastAttemptedOn",
    }
    await enrol(course.session("ada"), EnrolmentCall("course", "batch"))
    await store_attempt(course.shared, ViewKey("ada", "course", "batch", "b"), "t1", None, 3.0, THIRD)
    summary = await calls.result("POST", "/v1/summary/read", **PLACE)
    assert summary["assessmentStatus"] == {"a": {"score": 2.0, "max_score": 3.0}}


async def test_questions_come_where_they_are_asked_for_live_or_archived(course: Instance) -> None:
    await attempted(course)
    calls = RestCalls(course)
    before = await calls.result("POST", ATTEMPTS, **PLACE, questions=True)
    TypeAdapter(AttemptsTold).validate_python(before)
    archive = await archive_questions(course.shared)
    after = await calls.result("POST", ATTEMPTS, **PLACE, questions=True)
    sources = [
        [(one.pop("questionsSource"), one.pop("archiveId")) for one in read["assessments"]]
        for read in (before, after)
    ]
    assert sources == [[("live", None)] * 2, [("archive", archive.request_id)] * 2]
    assert after == before
    assert [one["questions"] for one in after["assessments"]] == [
        [
            {
                "id": "q1",
                "type": "mcq",
                "title": "Which?",
                "description": None,
                "score": 1.0,
                "max_score": 2.0,
                "duration": 12.5,
                "assess_ts": milliseconds(FIRST),
                "params": [{"1": "A"}],
                "resvalues": [{"1": "A"}],
            }
        ],
        [],
    ]


async def test_a_page_with_questions_is_short_and_leads_on(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    for number in range(25):
        await store_attempt(embedded.shared, A, f"t{number:02}", 1.0, 3.0, FIRST, questions=ASKED)
    calls = RestCalls(embedded)
    first = await calls.result("POST", ATTEMPTS, **PLACE, questions=True)
    second = await calls.result("POST", ATTEMPTS, **PLACE, questions=True, after=first["next"])
    assert [len(page["assessments"]) for page in (first, second)] == [20, 5]
    assert second["next"] is None
    found = [one["attemptId"] for page in (first, second) for one in page["assessments"]]
    assert found == [f"t{number:02}" for number in range(25)]
