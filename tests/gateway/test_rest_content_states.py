"""Content state update and read as the platform's clients know them (P-2.2, P-2.3)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from gateway.rest.framework.moments import moment
from gateway.settings import Settings
from ingest.attempts.taking import take
from ingest.commands.enrolments import EnrolmentCall, enrol
from loaders.attempts import MOST_ATTEMPTS
from resolvers.views import view
from rules.moments import milliseconds
from rules.moments import moment as of_milliseconds
from rules.progress import Status
from rules.viewers import Role
from stores.rows import Write
from stores.tables import ATTEMPTS, VIEWS
from stores.topics import ASSESSMENTS, TRIGGERS
from tests.gateway.callers import Calls, prepare
from tests.gateway.conftest import Serving, copy_data
from tests.graph.conftest import view_to_end
from tests.ingest.test_assessments import event

UPDATE, READ = "/course/v1/content/state/update", "/course/v1/content/state/read"
SERVICE: dict[str, Any] = {"by": "app", "roles": (Role.SERVICE,)}


@pytest.fixture
async def calls(settings: Settings, serving: Serving) -> AsyncIterator[Calls]:
    await copy_data(settings, fill=prepare)
    async with serving(settings) as client:
        yield Calls(client, settings)


def item(content: str, batch: str | None = "batch", status: int = 2, **more: Any) -> dict[str, Any]:
    return {"contentId": content, "batchId": batch, "courseId": "course", "status": status, **more}


def assessment(**more: Any) -> dict[str, Any]:
    named = {"contentId": "a", "batchId": "batch", "courseId": "course", "attemptId": "try-1"}
    return {**named, "assessmentTs": 1_600_000_000_000, "events": [event()], **more}


async def test_contents_and_assessments_go_in_one_call(calls: Calls) -> None:
    told = await calls.result(
        "PATCH",
        UPDATE,
        userId="ada",
        contents=[
            item("a", lastAccessTime="2026-01-31 17:30:00:250+0530"),
            item("b", status=1, progress=40.9),
        ],
        assessments=[assessment()],
    )
    assert told == {"a": "SUCCESS", "b": "SUCCESS", "batch": "SUCCESS"}
    a = await view(calls.session(), "ada", "a", "course", "batch")
    b = await view(calls.session(), "ada", "b", "course", "batch")
    assert (a.status, a.last_accessed_on) == (Status.COMPLETED, datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC))
    assert (b.status, b.progress) == (Status.IN_PROGRESS, 40)
    (sent,) = [orjson.loads(r.value) async for r in calls.shared.stores.events.read(ASSESSMENTS.name)]
    assert (sent["userId"], sent["batchId"], sent["attemptId"]) == ("ada", "batch", "try-1")


async def test_a_partial_failure_is_in_the_platforms_lists_and_item_by_item(calls: Calls) -> None:
    """a is done in one batch and refused in two others: that is not one SUCCESS, and not one error."""
    answer = await calls.answer(
        "PATCH",
        UPDATE,
        contents=[item("a"), item("a", "ended"), item("a", "nowhere"), item("b"), item("c", userId="bob")],
        assessments=[assessment(batchId="ended"), assessment(events=[{"eid": "START"}])],
    )
    result = answer.json()["result"]
    errors = result.pop("errors")
    assert result == {"b": "SUCCESS", "NOT_A_ON_GOING_BATCH": ["ended"], "BATCH_NOT_EXISTS": ["nowhere"]}
    assert [(e["contentId"], e["batchId"], e["userId"], e["code"]) for e in errors] == [
        ("a", "ended", None, "NOT_A_ON_GOING_BATCH"),
        ("a", "nowhere", None, "BATCH_NOT_EXISTS"),
        ("c", "batch", "bob", "UNAUTHORIZED_USER"),
        ("a", "ended", None, "NOT_A_ON_GOING_BATCH"),
        ("a", "batch", None, "INVALID_INPUT"),
    ]
    assert "ended on" in errors[0]["message"]
    assert (await view(calls.session(), "ada", "a", "course", "batch")).status is Status.COMPLETED


@pytest.mark.parametrize(
    ("request_", "code", "field"),
    [
        (
            {"contents": [{"batchId": "batch", "courseId": "course", "status": 2}]},
            "CONTENT_ID_REQUIRED_ERROR",
            "contents[0].contentId",
        ),
        ({"contents": [item("a"), {"contentId": "b"}]}, "CONTENT_STATUS_MISSING_ERROR", "contents[1].status"),
        ({"contents": [item("a", status=7)]}, "INVALID_INPUT", "contents[0].status must be one of 0, 1, 2"),
        ({"contents": [{**item("a"), "status": "2"}]}, "INVALID_INPUT", "contents[0].status must be a whole"),
        (
            {"contents": [{**item("a"), "status": True}]},
            "INVALID_INPUT",
            "contents[0].status must be a whole",
        ),
        ({"contents": [{**item("a"), "status": 2.0}]}, "INVALID_INPUT", "contents[0].status must be a whole"),
        (
            {"contents": [item("a", lastAccessTime="2026-01-31")]},
            "DATE_FORMAT_ERRROR",
            "contents[0].lastAccessTime",
        ),
        (
            {"contents": [item("a", lastCompletedTime=7)]},
            "DATE_FORMAT_ERRROR",
            "contents[0].lastCompletedTime",
        ),
        ({"contents": [item("a", collectionId="other")]}, "INVALID_INPUT", "collectionId"),
        ({"contents": [item("a", contextId="other")]}, "INVALID_INPUT", "contextId"),
        ({"contents": item("a")}, "INVALID_INPUT", "contents"),
        ({"contents": [item("a")] * 201}, "INVALID_INPUT", "contents"),
        (
            {"assessments": [assessment(attemptId=None)]},
            "ATTEMPT_ID_REQUIRED_ERROR",
            "assessments[0].attemptId",
        ),
        ({"assessments": [assessment(events=None)]}, "EVENTS_DATA_MISSING", "assessments[0].events"),
        (
            {"assessments": [assessment(assessmentTs=None)]},
            "ATTEMPTED_DATE_REQUIRED",
            "assessments[0].assessmentTs",
        ),
        ({}, "COURSE_ID_REQUIRED_ERROR", "courseId"),
        ({"courseId": "course"}, "COURSE_BATCH_ID_MISSING", "batchId"),
        ({"courseId": "course", "batchId": "batch"}, "USERID_MISSING", "userId"),
        (
            {"courseId": "course", "batchId": "batch", "userId": "ada"},
            "INVALID_REQUEST_DATA",
            "no enrolment of ada",
        ),
    ],
)
async def test_what_is_missing_or_wrong_has_the_platforms_code(
    calls: Calls, request_: dict[str, Any], code: str, field: str
) -> None:
    answer = await calls.answer("PATCH", UPDATE, **request_)
    assert (answer.status_code, answer.json()["params"]["err"]) == (400, code)
    assert answer.json()["params"]["errmsg"].startswith(field)


async def test_a_body_without_a_request_is_told_so(calls: Calls) -> None:
    answer = await calls.client.patch(UPDATE, json={})
    assert (answer.status_code, answer.json()["params"]["err"]) == (400, "MANDATORY_PARAMETER_MISSING")


async def test_without_contents_and_assessments_the_enrolment_is_computed_anew(calls: Calls) -> None:
    await enrol(calls.session(), EnrolmentCall("course", "batch"))
    told = await calls.result("PATCH", UPDATE, userId="ada", courseId="course", batchId="batch")
    assert told == {"response": "SUCCESS"}
    kinds = [orjson.loads(r.value)["kind"] async for r in calls.shared.stores.events.read(TRIGGERS.name)]
    assert kinds == ["enrolment", "reconcile"]


async def test_only_a_service_acts_for_others(calls: Calls) -> None:
    contents = [item("a")]
    for refused in ({"userId": "bob"}, {"headers": {"X-Authenticated-For": "bob"}}):
        assert await calls.refusal("PATCH", UPDATE, contents=contents, **refused) == (
            401,
            "UNAUTHORIZED_USER",
        )
    assert await calls.refusal("PATCH", UPDATE, by=None, contents=contents) == (401, "UNAUTHORIZED_USER")
    others: dict[str, dict[str, Any]] = {
        "bob": {"userId": "bob"},
        "eve": {"headers": {"X-Authenticated-For": "eve"}},
    }
    for user, named in others.items():
        assert await calls.result("PATCH", UPDATE, contents=contents, **SERVICE, **named) == {"a": "SUCCESS"}
        assert (await view(calls.session(user), user, "a", "course", "batch")).status is Status.COMPLETED
    both: dict[str, Any] = {"userId": "bob", "headers": {"X-Authenticated-For": "eve"}}
    assert await calls.refusal("PATCH", UPDATE, contents=contents, **SERVICE, **both) == (
        401,
        "UNAUTHORIZED_USER",
    )


async def test_a_write_under_one_name_is_read_back_under_the_other(calls: Calls) -> None:
    await calls.result("PATCH", UPDATE, contents=[item("a", progressdetails={"page": 7})])
    new = [{"contentId": "b", "collectionId": "course", "contextId": "batch", "status": 1}]
    await calls.result("PATCH", UPDATE, contents=new)
    asked: list[dict[str, Any]] = [
        {"courseId": "course", "batchId": "batch"},
        {"collectionId": "course", "contextId": "batch"},
        {"courseIds": ["course", "other"], "batchId": "batch"},
        {"courseId": "course", "collectionId": "course", "contextId": "batch", "batchId": "batch"},
    ]
    told = [await calls.result("POST", READ, userId="ada", **names) for names in asked]
    assert all(one == told[0] for one in told)
    a, b = told[0]["contentList"]
    assert (a["contentId"], a["courseId"], a["batchId"], a["status"], a["progress"]) == (
        "a",
        "course",
        "batch",
        2,
        100,
    )
    assert (a["viewCount"], a["completedCount"], a["progressdetails"], a["score"]) == (1, 1, {"page": 7}, [])
    assert (b["contentId"], b["status"], b["completedCount"], b["progressdetails"]) == ("b", 1, 0, {})
    differing = {"courseId": "course", "collectionId": "other", "batchId": "batch"}
    assert await calls.refusal("POST", READ, **differing) == (400, "INVALID_INPUT")


async def test_a_read_has_what_was_started_and_what_was_attempted(calls: Calls) -> None:
    """30 attempts at b, which was never viewed: the latest 25 are told, the latest first."""
    await calls.result("PATCH", UPDATE, contents=[item("a"), item("c", status=1)])
    first = datetime(2026, 1, 1, tzinfo=UTC)
    times = [first + timedelta(hours=n) for n in range(30)]
    await calls.shared.stores.rows.write(
        *(
            Write(
                ATTEMPTS,
                ("ada", "course", "batch", "b", f"try-{n * 7 % 30:02}"),
                {"last_attempted_on": at, "total_score": float(n), "total_max_score": 30.0},
                timestamp=milliseconds(at),
            )
            for n, at in enumerate(times)
        )
    )
    place = {"courseId": "course", "batchId": "batch"}
    a, b, c = (await calls.result("POST", READ, **place))["contentList"]
    assert (a["score"], b["status"], c["status"]) == ([], 0, 1)
    assert len(b["score"]) == MOST_ATTEMPTS == 25
    assert [score["totalScore"] for score in b["score"]] == [float(n) for n in range(29, 4, -1)]
    assert b["score"][0] == {
        "attemptId": "try-23",
        "lastAttemptedOn": "2026-01-02 05:00:00:000+0000",
        "totalMaxScore": 30.0,
        "totalScore": 29.0,
    }
    named = await calls.result("POST", READ, **place, contentIds=["c", "b", "nothing"], fields=["progress"])
    assert [(one["contentId"], "score" in one) for one in named["contentList"]] == [("c", False)]


async def test_contents_by_themselves_are_read_by_their_ids(calls: Calls) -> None:
    assert await calls.refusal("POST", READ) == (400, "COURSE_ID_REQUIRED_ERROR")
    assert await calls.refusal("POST", READ, contentIds=["a"], batchId="batch") == (
        400,
        "COURSE_ID_REQUIRED_ERROR",
    )
    assert await calls.result("POST", READ, contentIds=["a"]) == {"contentList": []}
    assert await calls.refusal("POST", READ, courseId="nowhere", batchId="batch") == (
        400,
        "INVALID_REQUEST_DATA",
    )
    assert await calls.refusal("POST", READ, courseId="course", batchId="nowhere") == (
        400,
        "BATCH_NOT_EXISTS",
    )
    assert await calls.refusal("POST", READ, courseId="course", userId="bob") == (401, "UNAUTHORIZED_USER")


async def test_a_read_of_a_course_costs_the_same_however_much_else_there_is(calls: Calls) -> None:
    place = {"courseId": "course", "batchId": "batch", "fields": ["progress"]}
    await calls.result("PATCH", UPDATE, contents=[item("a"), item("b")])
    costs = []
    for _ in range(2):
        with calls.shared.stores.rows.meter.measure() as rows:
            told = await calls.result("POST", READ, **place)
        assert [one["contentId"] for one in told["contentList"]] == ["a", "b"]
        costs.append({name: count for name, count in rows.items() if VIEWS.name in name})
        others = [item(content, None) for content in "abcd"]
        await calls.result("PATCH", UPDATE, contents=others)
    assert costs[0] == costs[1]


async def test_rest_and_graphql_leave_the_same_rows(calls: Calls) -> None:
    """Ada by REST, Bob by GraphQL: a and b viewed to their end in the batch, c in the course alone."""
    for content in "ab":
        await calls.result("POST", "/v1/view/start", contentId=content, courseId="course", batchId="batch")
        await calls.result("PATCH", UPDATE, contents=[item(content)])
    await calls.result("PATCH", UPDATE, contents=[item("c", None)])
    for content in "ab":
        await view_to_end(calls, "bob", content, collectionId="course", contextId="batch")  # type: ignore[arg-type]
    await view_to_end(calls, "bob", "c", collectionId="course")  # type: ignore[arg-type]
    times = {"started_on", "last_access_time", "last_updated_time", "last_completed_time", "changed_at"}
    rows = [
        [
            {name: value for name, value in row.items() if name not in {"userid", *times}}
            for row in await calls.shared.stores.rows.partition(VIEWS, (user, "course"))
        ]
        for user in ("ada", "bob")
    ]
    assert len(rows[0]) == 3
    assert rows[0] == rows[1]


async def test_an_items_refusal_names_its_time_as_it_was_sent(calls: Calls) -> None:
    far = "2099-01-31 12:00:00:000+0000"
    answer = await calls.answer(
        "PATCH",
        UPDATE,
        userId="ada",
        contents=[item("a", lastAccessTime=far), item("b", lastCompletedTime=far)],
        assessments=[assessment(assessmentTs=4_102_444_800_000)],
        **SERVICE,
    )
    assert [error["message"] for error in answer.json()["result"]["errors"]] == [
        "lastAccessTime must not be in the future",
        "lastCompletedTime must not be in the future",
        "assessmentTs must not be in the future",
    ]


async def test_an_assessment_alone_completes_its_content(calls: Calls) -> None:
    """At the time of the attempt, which is after the enrolment."""
    await enrol(calls.session(), EnrolmentCall("course", "batch"))
    at = milliseconds(calls.shared.now())
    told = await calls.result(
        "PATCH", UPDATE, userId="ada", assessments=[assessment(contentId="c", assessmentTs=at, userId="ada")]
    )
    assert told == {"batch": "SUCCESS", "c": "SUCCESS"}
    (c,) = (await calls.result("POST", READ, courseId="course", batchId="batch"))["contentList"]
    assert (c["contentId"], c["status"], c["progress"], c["completedCount"]) == ("c", 2, 100, 1)
    assert c["lastCompletedTime"] == moment(of_milliseconds(at))
    assert c["score"] == [], "it is scored behind the call"
    await take(calls.shared, [r async for r in calls.shared.stores.events.read(ASSESSMENTS.name)])
    (c,) = (await calls.result("POST", READ, courseId="course", batchId="batch"))["contentList"]
    told = {"attemptId": "try-1", "totalScore": 2.0, "totalMaxScore": 2.0}
    assert c["score"] == [{**told, "lastAttemptedOn": moment(of_milliseconds(at))}], "as portals read it"


async def test_a_score_is_asked_for_by_its_name_and_an_unknown_one_is_refused(calls: Calls) -> None:
    """By the name that it had here before, too."""
    await calls.result("PATCH", UPDATE, contents=[item("a")])
    place: dict[str, Any] = {"courseId": "course", "batchId": "batch"}
    for fields, has in (
        (["score"], {"score"}),
        (["assessmentScore"], {"score"}),
        (["progress", "score"], {"score", "progressdetails"}),
        (["progress"], {"progressdetails"}),
        ([], set()),
    ):
        (a,) = (await calls.result("POST", READ, **place, fields=fields))["contentList"]
        assert a.keys() & {"score", "progressdetails"} == has
    answer = await calls.answer("POST", READ, **place, fields=["progress", "scores"])
    assert (answer.status_code, answer.json()["params"]["err"]) == (400, "INVALID_INPUT")
    assert answer.json()["params"]["errmsg"] == "fields: there is no scores; there are progress, score"


@pytest.mark.parametrize("blank", ["", " ", "null", "NULL"])
async def test_a_time_that_is_blank_is_as_good_as_left_out(calls: Calls, blank: str) -> None:
    """So the item counts now; an assessment must have one."""
    before = calls.shared.now()
    times: dict[str, Any] = {"lastAccessTime": blank, "lastCompletedTime": blank}
    assert await calls.result("PATCH", UPDATE, contents=[item("a", **times)]) == {"a": "SUCCESS"}
    a = await view(calls.session(), "ada", "a", "course", "batch")
    assert a.completed_on is not None
    assert a.completed_on >= before.replace(microsecond=before.microsecond // 1000 * 1000)
    refused = await calls.refusal("PATCH", UPDATE, assessments=[assessment(assessmentTs=blank)])
    assert refused == (400, "ATTEMPTED_DATE_REQUIRED")
    viewers: dict[str, Any] = {
        "contentId": "a",
        "collectionId": "course",
        "contextId": "batch",
        "events": [event()],
    }
    submitted = await calls.result("POST", "/v1/assessment/submit", **viewers, assessmentTs=blank)
    assert submitted == {"a": "Score Updated"}


async def test_an_item_of_what_is_no_content_is_not_called_a_missing_batch(calls: Calls) -> None:
    """The course itself, a unit of it and what there is not have one code; a batch that there is not has another."""
    contents = [
        *(item(content) for content in ("course", "unit-1", "nothing")),
        item("a", "nowhere"),
        item("a", courseId="a"),
        item("a", courseId="nowhere"),
        item("a", ""),
        item("a", courseId=""),
    ]
    result = await calls.result("PATCH", UPDATE, contents=contents)
    assert result["BATCH_NOT_EXISTS"] == ["nowhere"]
    assert [error["code"] for error in result["errors"]] == [
        *["RESOURCE_NOT_FOUND"] * 3,
        "BATCH_NOT_EXISTS",
        *["INVALID_REQUEST_DATA"] * 2,
        "COURSE_BATCH_ID_MISSING",
        "COURSE_ID_REQUIRED_ERROR",
    ]
    assert await calls.refusal("PATCH", UPDATE, userId="ada", courseId="course", batchId=" ") == (
        400,
        "COURSE_BATCH_ID_MISSING",
    )


async def test_no_access_lies_before_the_enrolment(calls: Calls) -> None:
    await enrol(
        calls.session("app", Role.SERVICE),
        EnrolmentCall("course", "batch", "ada", datetime(2026, 1, 1, tzinfo=UTC)),
    )
    old = "1970-01-02 10:00:00:000+0000"
    states = [item("a", lastAccessTime=old, lastCompletedTime=old)]
    await calls.result("PATCH", UPDATE, contents=states, assessments=[assessment(assessmentTs=1)])
    (a,) = (await calls.result("POST", READ, courseId="course", batchId="batch"))["contentList"]
    assert (a["lastAccessTime"], a["lastCompletedTime"]) == ("2026-01-01 00:00:00:000+0000",) * 2
    (sent,) = [orjson.loads(r.value) async for r in calls.shared.stores.events.read(ASSESSMENTS.name)]
    assert sent["assessmentTs"] == 1_767_225_600_000, "2026-01-01: 20,454 days of 86,400,000 ms"


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"content": [item("a")]}, "content is not known here; is contents meant?"),
        ({"assesments": [assessment()]}, "assesments is not known here; is assessments meant?"),
        (
            {"contents": [{"contentId": "a", "course_id": "course", "batchId": "batch", "status": 2}]},
            "contents[0].course_id is not known here; is courseId meant?",
        ),
        (
            {"contents": [item("a", lastAccessedTime="2026-01-31 12:00:00:000+0000")]},
            "contents[0].lastAccessedTime is not known here; is lastAccessTime meant?",
        ),
        (
            {"assessments": [assessment(programId="p")]},
            "assessments[0].programId is not known here; there are ",
        ),
    ],
)
async def test_what_is_not_understood_is_refused_by_name(
    calls: Calls, request_: dict[str, Any], told: str
) -> None:
    """Rather than that the state counts elsewhere, or that the enrolment is computed anew and nothing stored."""
    answer = await calls.answer("PATCH", UPDATE, userId="ada", courseId="course", batchId="batch", **request_)
    assert (answer.status_code, answer.json()["params"]["err"]) == (400, "INVALID_INPUT")
    assert answer.json()["params"]["errmsg"].startswith(told)
    assert await calls.shared.stores.rows.partition(VIEWS, ("ada", "course")) == []


async def test_a_states_names_may_be_spelled_in_any_case(calls: Calls) -> None:
    state = {
        "contentid": "a",
        "courseid": "course",
        "BATCHID": "batch",
        "Status": 2,
        "progressDetails": {"page": 7},
        "lastaccesstime": "2026-01-31 12:00:00:000+0000",
    }
    told = await calls.result("PATCH", UPDATE, userid="ada", contents=[state])
    assert told == {"a": "SUCCESS"}
    asked: dict[str, Any] = {"userid": "ada", "courseid": "course", "batchid": "batch", "contentids": ["a"]}
    (a,) = (await calls.result("POST", READ, **asked))["contentList"]
    assert (a["batchId"], a["status"], a["progressdetails"]) == ("batch", 2, {"page": 7})
    assert a["lastAccessTime"] == "2026-01-31 12:00:00:000+0000"
