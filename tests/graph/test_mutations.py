"""What can be changed, and the typed errors of what can't."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rules.viewers import Role
from tests.conftest import Instance
from tests.graph.conftest import BATCH, ask, data, record, view_to_end

CREATE = """mutation ($input: CreateContextInput!) { createContext(input: $input) {
    context { contextId type name description startDate endDate opensOn enrolmentEndDate enrolmentType status mentors
        collections { identifier } }
    errors { code message field } } }"""
UPDATE = CREATE.replace("CreateContextInput", "UpdateContextInput").replace("createContext", "updateContext")
LEARNER = """mutation ($input: UpdateLearnerInput!) { updateLearner(input: $input) {
    learner { userId name state district ageBand } errors { code field } } }"""


async def change(session: Any, query: str, **values: Any) -> Any:
    (payload,) = (await data(session, query, input=values)).values()
    return payload


async def test_a_context_is_created_once(course: Instance) -> None:
    creator = course.session("cleo", Role.CREATOR)
    wanted = {
        "contextId": "spring",
        "type": "BATCH",
        "name": "Spring",
        "collectionIds": ["course"],
        "startDate": "2026-02-01T00:00:00.123456+05:30",
        "endDate": "2026-06-01T00:00:00Z",
        "mentors": ["mo"],
    }
    first = await change(creator, CREATE, **wanted)
    assert first == {
        "context": {
            "contextId": "spring",
            "type": "BATCH",
            "name": "Spring",
            "description": None,
            "startDate": "2026-01-31T18:30:00.123Z",
            "endDate": "2026-06-01T00:00:00.000Z",
            "opensOn": None,
            "enrolmentEndDate": None,
            "enrolmentType": "OPEN",
            "status": "ONGOING",
            "mentors": ["mo"],
            "collections": [{"identifier": "course"}],
        },
        "errors": [],
    }
    assert await change(creator, CREATE, **wanted) == first
    other = await change(creator, CREATE, **{**wanted, "name": "Autumn"})
    assert (other["context"], other["errors"][0]["code"]) == (None, "INVALID_INPUT")


async def test_what_an_update_leaves_out_stays_and_null_clears(published: Instance) -> None:
    creator = published.session("cleo", Role.CREATOR)
    made = {"contextId": "x", "type": "EVENT", "name": "X", "collectionIds": ["course"], "mentors": ["mo"]}
    await change(creator, CREATE, **made, description="long", endDate="2026-02-01T00:00:00Z")
    context = (await change(creator, UPDATE, contextId="x", name=" Y ", endDate=None))["context"]
    assert (context["name"], context["endDate"], context["description"]) == ("Y", None, "long")
    context = (await change(creator, UPDATE, contextId="x", description=None, mentors=None))["context"]
    assert (context["name"], context["description"], context["mentors"]) == ("Y", None, [])
    context = (await change(creator, UPDATE, contextId="x", enrolmentType="INVITE_ONLY"))["context"]
    assert context["enrolmentType"] == "INVITE_ONLY"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"contextId": "nowhere", "name": "X"}, ("NOT_FOUND", "contextId")),
        ({"contextId": " "}, ("INVALID_INPUT", "contextId")),
        ({"contextId": "batch", "name": None}, ("INVALID_INPUT", "name")),
        ({"contextId": "batch", "name": " "}, ("INVALID_INPUT", "name")),
        ({"contextId": "batch", "collectionIds": None}, ("INVALID_INPUT", "collectionIds")),
        ({"contextId": "batch", "collectionIds": ["nowhere"]}, ("NOT_FOUND", "collectionIds")),
        ({"contextId": "batch", "enrolmentType": None}, ("INVALID_INPUT", "enrolmentType")),
        ({"contextId": "batch", "mentors": [""]}, ("INVALID_INPUT", "mentors")),
    ],
)
async def test_updates_that_make_no_sense(
    published: Instance, values: dict[str, Any], expected: tuple[str, str]
) -> None:
    payload = await change(published.session("cleo", Role.CREATOR), UPDATE, **values)
    assert payload["context"] is None
    assert [(error["code"], error["field"]) for error in payload["errors"]] == [expected]


async def test_learners_make_no_contexts(published: Instance) -> None:
    payload = await change(published.session("ann"), CREATE, type="BATCH", name="X", collectionIds=["course"])
    assert payload["errors"][0]["code"] == "FORBIDDEN"


async def test_a_profile_keeps_what_is_left_out(course: Instance) -> None:
    ann = course.session("ann")
    await change(ann, LEARNER, name="Ann", state="Kerala", ageBand="0-35")
    payload = await change(ann, LEARNER, district="Idukki", state=None)
    assert payload == {
        "learner": {"userId": "ann", "name": "Ann", "state": None, "district": "Idukki", "ageBand": "0-35"},
        "errors": [],
    }
    me = await data(course.session("ann"), "{ me { name state district } }")
    assert me["me"] == {"name": "Ann", "state": None, "district": "Idukki"}
    assert (await change(ann, LEARNER, name=None))["learner"]["name"] is None
    refused = await change(ann, LEARNER, state="x" * 257)
    assert refused == {"learner": None, "errors": [{"code": "INVALID_INPUT", "field": "state"}]}


async def test_enrolling_twice_and_leaving_twice(course: Instance) -> None:
    ann = course.session("ann")
    assert (await record(ann, "Enrol", **BATCH))["errors"] == []
    leave = """mutation { unenrol(input: {collectionId: "course", contextId: "batch"}) {
        enrolment { active unenrolledOn completionPercentage } errors { code } } }"""
    left = (await data(ann, leave))["unenrol"]
    assert left["errors"] == []
    assert left["enrolment"] == {
        "active": False,
        "unenrolledOn": "2026-03-01T12:00:00.000Z",
        "completionPercentage": 0,
    }
    none = (await data(course.session("bob"), leave))["unenrol"]
    assert none == {"enrolment": None, "errors": [{"code": "NOT_ENROLLED"}]}
    await course.batch("early")
    service, place = course.session(), {"collectionId": "course", "contextId": "early"}
    enrol = """mutation ($at: DateTime) { enrol(input: {
        collectionId: "course", contextId: "early", userId: "ann", at: $at}) { errors { code field } } }"""
    assert (await data(service, enrol, at="2026-01-01T00:00:00Z"))["enrol"]["errors"] == []
    again = (await record(ann, "Enrol", **place))["errors"]
    assert [(error["code"], error["field"]) for error in again] == [("ALREADY_ENROLLED", "contextId")]


async def test_who_comes_back_keeps_the_first_date_and_a_completed_course(course: Instance) -> None:
    """Enrolled by a service at New Year, left and taken up again now; then the required a, b and c are done."""
    ann, service = course.session("ann"), course.session()
    enrol = """mutation ($at: DateTime) { enrol(input: {
        collectionId: "course", contextId: "batch", userId: "ann", at: $at}) {
            enrolment { active enrolledOn reenrolledOn unenrolledOn } errors { code } } }"""
    leave = """mutation { unenrol(input: {collectionId: "course", contextId: "batch"}) {
        enrolment { enrolledOn } errors { code field } } }"""
    new_year, now = "2026-01-01T00:00:00.000Z", "2026-03-01T12:00:00.000Z"
    first = (await data(service, enrol, at=new_year))["enrol"]
    assert first["enrolment"] == {
        "active": True,
        "enrolledOn": new_year,
        "reenrolledOn": None,
        "unenrolledOn": None,
    }
    assert (await data(ann, leave))["unenrol"] == {"enrolment": {"enrolledOn": new_year}, "errors": []}
    again = (await data(ann, enrol))["enrol"]
    assert again["enrolment"] == {**first["enrolment"], "reenrolledOn": now}
    for content in "abc":
        await view_to_end(course, "ann", content, **BATCH)
    assert (await data(ann, leave))["unenrol"] == {
        "enrolment": None,
        "errors": [{"code": "ALREADY_COMPLETED", "field": "contextId"}],
    }


async def test_closed_contexts(published: Instance) -> None:
    await published.batch("over", end_date=datetime(2026, 2, 1, tzinfo=UTC))
    ann, over = published.session("ann"), {"collectionId": "course", "contextId": "over"}
    assert (await record(ann, "Enrol", **over))["errors"][0]["code"] == "ENROLMENT_CLOSED"
    assert (await record(ann, "Start", contentId="a", **over))["errors"][0]["code"] == "CONTEXT_CLOSED"


async def test_status_never_goes_down(published: Instance) -> None:
    ann = published.session("ann")
    update = """mutation ($status: ProgressStatus, $progress: Int, $spent: Int, $details: JSON, $call: String) {
        updateView(input: {contentId: "a", collectionId: "course", contextId: "batch", status: $status,
            progress: $progress, timeSpent: $spent, progressDetails: $details, callId: $call}) {
          view { status progress timeSpent } errors { code field } } }"""

    async def updated(**values: Any) -> Any:
        return (await data(ann, update, **values))["updateView"]

    assert (await updated(progress=10))["errors"] == [{"code": "VIEW_NOT_STARTED", "field": "contentId"}]
    await record(ann, "Start", contentId="a", **BATCH)
    assert (await updated(status="NOT_STARTED"))["errors"] == [
        {"code": "STATUS_GOES_DOWN", "field": "status"}
    ]
    assert (await updated(progress=101))["errors"] == [{"code": "INVALID_INPUT", "field": "progress"}]
    assert (await updated(spent=-1))["errors"] == [{"code": "INVALID_INPUT", "field": "timeSpent"}]
    assert (await updated(details=[1]))["errors"] == [{"code": "INVALID_INPUT", "field": "progressDetails"}]
    for _ in range(2):
        assert (await updated(progress=10, spent=5, call="once"))["view"] == {
            "status": "IN_PROGRESS",
            "progress": 10,
            "timeSpent": 5,
        }


async def test_an_ended_view_has_what_its_end_did_not_read(course: Instance) -> None:
    ann = course.session("ann")
    await record(ann, "Start", contentId="a", **BATCH)
    await record(ann, "Update", contentId="a", details={"page": 3}, **BATCH)
    end = """mutation { endView(input: {contentId: "a", collectionId: "course", contextId: "batch"}) {
        view { status progress timeSpent progressDetails startedOn lastUpdatedOn completedOn } errors { code } } }"""
    moment = "2026-03-01T12:00:00.000Z"
    expected = {
        "view": {
            "status": "COMPLETED",
            "progress": 100,
            "timeSpent": 30,
            "progressDetails": {"page": 3},
            "startedOn": moment,
            "lastUpdatedOn": moment,
            "completedOn": moment,
        },
        "errors": [],
    }
    assert (await data(ann, end))["endView"] == expected
    assert (await data(ann, end))["endView"] == expected, "sent again"


async def test_json_may_be_a_literal(published: Instance) -> None:
    await record(published.session("ann"), "Start", contentId="a")
    update = """mutation ($n: Int) { updateView(input: {contentId: "a", progressDetails: {page: $n, seen: [1, null]}}) {
        view { progressDetails } errors { code } } }"""
    payload = (await data(published.session("ann"), update, n=4))["updateView"]
    assert payload == {"view": {"progressDetails": {"page": 4, "seen": [1, None]}}, "errors": []}


@pytest.mark.parametrize(
    "at", ["2026-01-31", "2026-01-31T12:00:00", "yesterday", 5, "0001-01-01T00:00:00+14:00"]
)
async def test_a_moment_needs_a_time_zone(published: Instance, at: object) -> None:
    query = 'mutation ($at: DateTime) { startView(input: {contentId: "a", at: $at}) { errors { code } } }'
    answer = await ask(published.session(), query, at=at)
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert "as in 2026-01-31T12:00:00Z" in answer["errors"][0]["message"]
