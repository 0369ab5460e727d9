"""Enrolments and their summaries over REST (reference 2.4, 2.7)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.settings import Settings
from ingest.content_states import update_states
from ingest.enrolments import EnrolmentCall, enrol
from rules.content_states import ContentState
from rules.progress import Status
from rules.viewers import Role
from stores.rows import Write
from stores.tables import CONTENTS, ENROLMENTS
from tests.gateway.callers import Calls
from tests.gateway.conftest import Serving

ENROL, UNENROL = "/course/v1/enrol", "/course/v1/unenrol"
LIST = "/course/v1/user/enrollment/list"
PLACE = {"courseId": "course", "batchId": "batch"}


@pytest.fixture
async def calls(settings: Settings, serving: Serving) -> AsyncIterator[Calls]:
    async with serving(settings) as client:
        yield await Calls(client, settings).prepare()


async def listed(calls: Calls, query: str = "") -> tuple[list[tuple[str, str]], str | None]:
    told = await calls.result("GET", f"{LIST}/ada{query}")
    return [(course["courseId"], course["batchId"]) for course in told["courses"]], told["next"]


async def test_an_enrolment_is_made_listed_and_ended(calls: Calls) -> None:
    """a of the required a, b, c is done: floor(100 × 1 / 3) = 33."""
    assert await calls.result("POST", ENROL, **PLACE, userId="ada") == {"response": "SUCCESS"}
    await update_states(calls.session(), [ContentState("a", Status.COMPLETED, "course", "batch")])
    (course,) = (await calls.result("GET", f"{LIST}/ada"))["courses"]
    assert (course["courseName"], course["leafNodesCount"], course["userId"]) == ("Course", 4, "ada")
    assert (course["status"], course["progress"], course["completionPercentage"]) == (1, 1, 33)
    assert (course["contentStatus"], course["active"], course["issuedCertificates"]) == ({"a": 2}, True, [])
    assert (course["content"]["identifier"], course["content"]["leafNodesCount"]) == ("course", 4)
    assert (course["batch"]["name"], course["batch"]["status"], course["batch"]["enrollmentType"]) == (
        "batch",
        1,
        "open",
    )
    narrow = await calls.result(
        "GET", f"{LIST}/ada?fields=name,nothing&batchDetails=name,endDate&cache=false"
    )
    assert narrow["courses"][0]["content"] == {"name": "Course"}
    assert narrow["courses"][0]["batch"] == {"name": "batch", "endDate": None}
    assert await calls.result("POST", UNENROL, collectionId="course", contextId="batch") == {
        "response": "SUCCESS"
    }
    assert await listed(calls) == ([], None)


@pytest.mark.parametrize(
    ("path", "request_", "expected"),
    [
        (ENROL, {}, (400, "COURSE_ID_REQUIRED_ERROR")),
        (ENROL, {"courseId": "course"}, (400, "COURSE_BATCH_ID_MISSING")),
        (ENROL, {"courseId": "course", "batchId": "nowhere"}, (404, "INVALID_COURSE_BATCH_ID")),
        (ENROL, {"courseId": "course", "batchId": "ended"}, (400, "COURSE_BATCH_ALREADY_COMPLETED")),
        (ENROL, {"courseId": "course", "batchId": "full"}, (400, "COURSE_BATCH_ENROLLMENT_DATE_ENDED")),
        (ENROL, {**PLACE, "userId": "bob"}, (401, "UNAUTHORIZED_USER")),
        (
            ENROL,
            {**PLACE, "by": "mo", "roles": (Role.MENTOR,), "userId": "bob"},
            (401, "ENROLLMENT_TYPE_VALIDATION"),
        ),
        (UNENROL, PLACE, (400, "USER_NOT_ENROLLED_COURSE")),
        (ENROL, {**PLACE, "collectionId": "other"}, (400, "INVALID_INPUT")),
    ],
)
async def test_a_refusal_has_the_platforms_code(
    calls: Calls, path: str, request_: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert await calls.refusal("POST", path, **request_) == expected


async def test_who_is_enrolled_is_told_so(calls: Calls) -> None:
    await enrol(
        calls.session("app", Role.SERVICE),
        EnrolmentCall("course", "batch", "ada", datetime(2026, 1, 1, tzinfo=UTC)),
    )
    assert await calls.refusal("POST", ENROL, **PLACE) == (400, "USER_ALREADY_ENROLLED_COURSE")


async def test_the_list_is_by_last_access_and_paged_without_a_cap(calls: Calls) -> None:
    """2,000 enrolments in courses that are gone: each is listed once, under the name it had, at a cost that is the
    same for each page."""
    first = datetime(2026, 1, 1, tzinfo=UTC)
    many = [
        (f"gone-{n:04}", first + timedelta(minutes=n * 7 % 2000) if n % 10 else None) for n in range(2000)
    ]
    await calls.shared.stores.rows.write(
        *(
            Write(
                ENROLMENTS,
                ("ada", course, "batch"),
                {
                    "active": True,
                    "enrolled_on": first,
                    "collection_name": course.title(),
                    "lastcontentaccesstime": at,
                },
            )
            for course, at in many
        )
    )
    seen: list[tuple[str, str]] = []
    after: str | None = ""
    costs = set()
    while after is not None:
        with calls.shared.stores.rows.meter.measure() as rows:
            told = await calls.result("GET", f"{LIST}/ada?limit=200" + (f"&after={after}" if after else ""))
        costs.add(rows.total())
        seen += [(course["courseId"], course["courseName"]) for course in told["courses"]]
        after = told["next"]
    oldest = datetime.min.replace(tzinfo=UTC)
    order = sorted(many, key=lambda one: (-((one[1] or oldest) - oldest).total_seconds(), one[0]))
    assert seen == [(course, course.title()) for course, _ in order]
    assert max(costs) - min(costs) <= 1
    for wrong in ("limit=0", "limit=201", "limit=x", "after=x", "after=WyJ4IiwieSIsInoiXQ"):
        assert (await calls.refusal("GET", f"{LIST}/ada?{wrong}"))[1] == "INVALID_INPUT"


async def test_an_enrolment_stays_in_the_list_when_its_course_goes(calls: Calls) -> None:
    await calls.result("POST", ENROL, **PLACE)
    await calls.shared.stores.rows.write(Write(CONTENTS, ("course",), {}, delete=True))
    calls.shared.library.contents.forget("course")
    (course,) = (await calls.result("GET", f"{LIST}/ada"))["courses"]
    assert (course["courseId"], course["leafNodesCount"], course["batch"]["name"]) == (
        "course",
        None,
        "batch",
    )


async def test_lists_and_summaries_are_the_learners_own(calls: Calls) -> None:
    for method, path in (
        ("GET", f"{LIST}/bob"),
        ("GET", "/v1/summary/list/bob"),
        ("GET", "/v1/summary/download/bob"),
        ("DELETE", "/v1/summary/delete/bob"),
    ):
        assert await calls.refusal(method, path) == (401, "UNAUTHORIZED_USER")
        assert await calls.refusal(method, path, by=None) == (401, "UNAUTHORIZED_USER")
    assert (await calls.result("GET", f"{LIST}/bob", by="mo", roles=(Role.MENTOR,)))["courses"] == []


@pytest.mark.parametrize("prefix", ["/v1/summary", "/summary/v1"])
async def test_summaries_are_read_listed_downloaded_and_deleted(calls: Calls, prefix: str) -> None:
    await calls.result("POST", ENROL, **PLACE)
    await update_states(calls.session(), [ContentState("a", Status.COMPLETED, "course", "batch")])
    one = await calls.result("POST", f"{prefix}/read", collectionId="course", contextId="batch")
    assert (one["userId"], one["progress"], one["status"], one["contentStatus"]) == ("ada", 1, 1, {"a": 2})
    assert (one["collection"]["name"], one["collection"]["leafNodesCount"]) == ("Course", 4)
    listed = await calls.result("GET", f"{prefix}/list/ada?limit=1")
    assert (listed["next"], len(listed["summary"])) == (None, 1)
    for query in ("", "?format=csv"):
        file = await calls.result("GET", f"{prefix}/download/ada{query}")
        assert file["rows"] == 1
        assert file["url"]
    assert await calls.refusal("GET", f"{prefix}/download/ada?format=pdf") == (400, "INVALID_INPUT")
    gone = await calls.result("DELETE", f"{prefix}/delete/ada?courseId=course&batchId=batch")
    assert gone == {
        "ada": "Enrolment Deleted Succesfully",
        "purged": [{"collectionId": "course", "contextId": "batch"}],
        "done": True,
    }
    assert (await calls.result("GET", f"{prefix}/list/ada"))["summary"] == []
    assert (await calls.result("DELETE", f"{prefix}/delete/ada"))["done"]
    assert await calls.refusal("POST", f"{prefix}/read", collectionId="course") == (
        400,
        "COURSE_BATCH_ID_MISSING",
    )
