"""Enrolments and their summaries over REST (P-2.4, P-2.7)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from gateway.identity import make_token
from gateway.settings import Settings
from ingest.commands.content_states import update_states
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.publishing.direct import publish_collection
from rules.content_states import ContentState
from rules.contexts import EnrolmentType
from rules.identifiers import ContextType
from rules.progress import Status
from rules.viewers import Role
from stores.rows import Exists, Write
from stores.tables import ATTEMPTS, CONTENTS, CONTEXTS, ENROLMENTS
from tests.conftest import COURSE
from tests.gateway.callers import Calls, prepare
from tests.gateway.conftest import Serving, copy_data

pytestmark = pytest.mark.long

ENROL, UNENROL = "/course/v1/enrol", "/course/v1/unenrol"
LIST = "/course/v1/user/enrollment/list"
PLACE: dict[str, Any] = {"courseId": "course", "batchId": "batch"}


@pytest.fixture
async def calls(settings: Settings, serving: Serving) -> AsyncIterator[Calls]:
    await copy_data(settings, fill=prepare)
    async with serving(settings) as client:
        yield Calls(client, settings)


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
    named = {"identifier": "batch", "batchId": "batch"}
    assert narrow["courses"][0]["batch"] == {**named, "name": "batch", "endDate": None}
    assert await calls.result("POST", UNENROL, collectionId="course", contextId="batch") == {
        "response": "SUCCESS"
    }
    assert await listed(calls) == ([], None)


@pytest.mark.parametrize(
    ("path", "request_", "expected"),
    [
        (ENROL, {}, (400, "COURSE_ID_REQUIRED_ERROR")),
        (ENROL, {"courseId": "course"}, (400, "COURSE_BATCH_ID_MISSING")),
        (ENROL, {"courseId": "course", "batchId": "nowhere"}, (400, "INVALID_COURSE_BATCH_ID")),
        (ENROL, {"courseId": "nowhere", "batchId": "batch"}, (400, "INVALID_COURSE_BATCH_ID")),
        (UNENROL, {"courseId": "course", "batchId": "nowhere"}, (400, "INVALID_COURSE_BATCH_ID")),
        ("/v1/summary/read", {"courseId": "course", "batchId": "nowhere"}, (400, "INVALID_REQUEST_DATA")),
        (ENROL, {"courseId": "course", "batchId": "ended"}, (400, "COURSE_BATCH_ALREADY_COMPLETED")),
        (ENROL, {"courseId": "course", "batchId": "full"}, (400, "COURSE_BATCH_ENROLLMENT_DATE_ENDED")),
        (ENROL, {**PLACE, "userId": "bob"}, (401, "UNAUTHORIZED_USER")),
        (
            ENROL,
            {**PLACE, "by": "mo", "roles": (Role.MENTOR,), "userId": "bob"},
            (401, "UNAUTHORIZED_USER"),
        ),
        (ENROL, {"courseId": "course", "batchId": "invited"}, (400, "ENROLLMENT_TYPE_VALIDATION")),
        (ENROL, {"courseId": "course", "batchId": "elsewhere"}, (400, "INVALID_COURSE_BATCH_ID")),
        (ENROL, {"courseId": "course", "batchId": " "}, (400, "COURSE_BATCH_ID_MISSING")),
        (ENROL, {"courseId": "", "batchId": "batch"}, (400, "COURSE_ID_REQUIRED_ERROR")),
        ("/v1/summary/read", {"batchId": "batch"}, (400, "COURSE_ID_REQUIRED_ERROR")),
        ("/v1/summary/read", {"courseId": "nowhere"}, (400, "INVALID_REQUEST_DATA")),
        (UNENROL, PLACE, (400, "USER_NOT_ENROLLED_COURSE")),
        (ENROL, {**PLACE, "collectionId": "other"}, (400, "INVALID_INPUT")),
    ],
)
async def test_a_refusal_has_the_platforms_code(
    calls: Calls, path: str, request_: dict[str, Any], expected: tuple[int, str]
) -> None:
    service = calls.session("app", Role.SERVICE)
    other = {"identifier": "other", "name": "Other", "children": [{"identifier": "x", "name": "X"}]}
    await publish_collection(service, other)
    await create_context(service, NewContext(ContextType.BATCH, "Elsewhere", ("other",), "elsewhere"))
    invited = NewContext(
        ContextType.BATCH, "Invited", ("course",), "invited", enrolment_type=EnrolmentType.INVITE_ONLY
    )
    await create_context(service, invited)
    answer = await calls.answer("POST", path, **request_)
    assert (answer.status_code, answer.json()["params"]["err"]) == expected
    assert answer.json()["responseCode"] == "CLIENT_ERROR"


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
    told = await calls.result("GET", f"{LIST}/ada")
    assert [course["courseId"] for course in told["courses"]] == [course for course, _ in order[:1000]]
    rest = await calls.result("GET", f"{LIST}/ada?after={told['next']}&limit=1000")
    assert [course["courseId"] for course in rest["courses"]] == [course for course, _ in order[1000:]]
    assert rest["next"] is None
    for wrong in ("limit=0", "limit=1001", "limit=x", "after=x", "after=WyJ4IiwieSIsInoiXQ"):
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


@pytest.mark.parametrize("prefix", ["/v1/summary", "/summary/v1"])
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("?collection_id=course&contextId=batch", "collection_id is not known here; there are collectionId"),
        ("?userId=ada", "userId is not known here"),
        ("?all=true", "all is not known here"),
        ("?=course", ""),
        ("?courseId=course&courseId=other", "courseId must be given once"),
        ("?courseId=course&collectionId=other", "collectionId and courseId are the same id"),
    ],
)
async def test_nothing_is_deleted_where_the_parameters_are_not_understood(
    calls: Calls, prefix: str, query: str, named: str
) -> None:
    await calls.result("POST", ENROL, **PLACE)
    answer = await calls.answer("DELETE", f"{prefix}/delete/ada{query}")
    assert (answer.status_code, answer.json()["params"]["err"]) == (400, "INVALID_INPUT")
    assert answer.json()["params"]["errmsg"].startswith(named)
    for lacking in ("?collectionId=", "?batchId=batch"):
        refused = await calls.refusal("DELETE", f"{prefix}/delete/ada{lacking}")
        assert refused == (400, "COURSE_ID_REQUIRED_ERROR")
    assert len((await calls.result("GET", f"{prefix}/list/ada"))["summary"]) == 1


@pytest.mark.parametrize("content", [b'{"request": {"collectionId": "course"}}', b"{}", b"x"])
async def test_nothing_is_deleted_for_a_body_that_is_not_read(calls: Calls, content: bytes) -> None:
    enrolled = await calls.answer("POST", ENROL, **PLACE)
    headers = {"Authorization": enrolled.request.headers["authorization"]}
    for query in ("", "?collectionId=course&contextId=batch"):
        path = f"/v1/summary/delete/ada{query}"
        answer = await calls.client.request("DELETE", path, content=content, headers=headers)
        assert (answer.status_code, answer.json()["params"]["err"]) == (400, "INVALID_INPUT")
        assert "query of the URL" in answer.json()["params"]["errmsg"]
    assert len((await calls.result("GET", "/v1/summary/list/ada"))["summary"]) == 1


async def test_who_may_act_for_others_is_said(calls: Calls) -> None:
    """By a learner, who may for nobody."""
    for method, path, who in (
        ("POST", ENROL, "a service, an admin or a mentor of the batch"),
        ("POST", "/v1/view/agg", "a service, an admin or a mentor"),
        ("DELETE", "/v1/summary/delete/bob", "a service or an admin"),
    ):
        answer = await calls.answer(method, path, **PLACE, userId="bob")
        assert (answer.status_code, answer.json()["params"]["errmsg"]) == (
            401,
            f"only {who} may act for another user",
        )


async def test_one_enrolment_is_deleted_by_names_in_any_case(calls: Calls) -> None:
    """And not all that the learner has."""
    await calls.result("POST", ENROL, **PLACE)
    await calls.result("POST", ENROL, courseId="course", batchId="later")
    gone = await calls.result("DELETE", "/v1/summary/delete/ada?collectionid=course&contextid=batch")
    assert gone["purged"] == [{"collectionId": "course", "contextId": "batch"}]
    assert await listed(calls) == ([("course", "later")], None)


PUBLISHED: dict[str, Any] = {
    **COURSE,
    "contentType": "Course",
    "primaryCategory": "Course",
    "trackable": {"enabled": "Yes", "autoBatch": "No"},
    "appIcon": "https://icons/course.png",
    "description": "What one learns.",
    "leafNodesCount": 99,
    "mimeType": "application/vnd.ekstep.content-collection",
}


async def test_what_was_published_of_a_course_is_in_the_list(calls: Calls) -> None:
    """By the names it was published under; Cohort counts leaves itself."""
    await publish_collection(calls.session("app", Role.SERVICE), PUBLISHED)
    await calls.result("POST", ENROL, **PLACE)
    (course,) = (await calls.result("GET", f"{LIST}/ada"))["courses"]
    content = course["content"]
    expected = {name: value for name, value in PUBLISHED.items() if name != "children"}
    assert {**content, "lastPublishedOn": ""} == {
        **expected,
        "leafNodesCount": 4,
        "status": "Live",
        "lastPublishedOn": "",
    }
    assert (course["courseName"], course["description"], course["courseLogoUrl"]) == (
        "Course",
        "What one learns.",
        "https://icons/course.png",
    )
    query = (
        "?orgdetails=orgName&licenseDetails=name&fields=contentType,trackable,license"
        "&batchDetails=name,status,createdBy,mentors,certificates"
    )
    (course,) = (await calls.result("GET", f"{LIST}/ada{query}"))["courses"]
    assert course["content"] == {"contentType": "Course", "trackable": PUBLISHED["trackable"]}
    assert course["batch"] == {
        "identifier": "batch",
        "batchId": "batch",
        "name": "batch",
        "status": 1,
        "createdBy": "cohort",
        "mentors": [],
    }


async def test_what_was_published_costs_a_page_one_statement(calls: Calls) -> None:
    """Of two courses, and of forty."""
    service = calls.session("app", Role.SERVICE)
    costs = []
    for first, count in ((0, 2), (2, 38)):
        for number in range(first, first + count):
            leaf = {"identifier": f"leaf-{number}", "name": "L"}
            document = {
                "identifier": f"c-{number}",
                "name": "C",
                "children": [leaf],
                "appIcon": f"{number}.png",
            }
            await publish_collection(service, document)
            new = NewContext(ContextType.BATCH, "B", (f"c-{number}",), f"b-{number}")
            await create_context(service, new)
            await enrol(service, EnrolmentCall(f"c-{number}", f"b-{number}", "ada"))
        with calls.shared.stores.rows.meter.measure() as rows:
            courses = (await calls.result("GET", f"{LIST}/ada"))["courses"]
        assert {(one["courseId"], one["courseLogoUrl"]) for one in courses} == {
            (f"c-{number}", f"{number}.png") for number in range(first + count)
        }
        costs.append(rows[f"select {CONTENTS.name}"])
    assert costs == [1, 1], "what figures need is in memory by then"


async def test_a_course_published_before_its_row_had_all_is_told_by_its_tree_until_it_is_published_again(
    calls: Calls,
) -> None:
    service = calls.session("app", Role.SERVICE)
    await publish_collection(service, PUBLISHED)
    await calls.result("POST", ENROL, **PLACE)
    rows, library = calls.shared.stores.rows, calls.shared.library
    await rows.update_if(CONTENTS, ("course",), {"metadata": None}, [Exists()])
    await rows.write(Write(CONTENTS, ("unit-1",), {"metadata": None}))
    (course,) = (await calls.result("GET", f"{LIST}/ada?fields=appIcon"))["courses"]
    assert course["content"] == {"appIcon": "https://icons/course.png"}
    again = await publish_collection(service, PUBLISHED)
    assert not again.changed
    for node in ("course", "unit-1"):
        row = await rows.get(CONTENTS, (node,))
        assert row is not None
        assert orjson.loads(row["metadata"])["identifier"] == node
    unit = await library.content("unit-1", "contentId")
    assert (await library.metadata_of([unit]))["unit-1"] == {"identifier": "unit-1", "name": "Unit 1"}


async def test_what_is_a_text_on_the_platform_is_one_in_the_list(calls: Calls) -> None:
    """Of a course and a batch that are there and say little, and of such that are gone."""
    await calls.result("POST", ENROL, **PLACE)
    texts = ("courseName", "description", "courseLogoUrl", "addedBy")
    for _ in range(2):
        (course,) = (await calls.result("GET", f"{LIST}/ada"))["courses"]
        assert all(isinstance(course[name], str) for name in texts)
        assert isinstance(course["content"]["name"], str)
        assert isinstance(course["batch"]["name"], str)
        for table, key, kept in (
            (CONTENTS, "course", calls.shared.library.contents),
            (CONTEXTS, "batch", calls.shared.library.contexts),
        ):
            await calls.shared.stores.rows.write(Write(table, (key,), {}, delete=True))
            kept.forget(key)


async def test_a_completed_course_is_not_left(calls: Calls) -> None:
    await calls.result("POST", ENROL, **PLACE)
    states = [ContentState(content, Status.COMPLETED, "course", "batch") for content in "abc"]
    await update_states(calls.session(), states)
    answer = await calls.answer("POST", UNENROL, **PLACE)
    assert (answer.status_code, answer.json()["params"]["err"]) == (400, "COURSE_BATCH_ALREADY_COMPLETED")
    assert await listed(calls) == ([("course", "batch")], None)
    service: dict[str, Any] = {"by": "app", "roles": (Role.SERVICE,), "userId": "ada"}
    assert await calls.result("POST", UNENROL, **PLACE, **service) == {"response": "SUCCESS"}
    summary = await calls.result("POST", "/v1/summary/read", **PLACE)
    assert (summary["active"], summary["status"], summary["progress"]) == (False, 2, 3)


async def test_who_comes_back_keeps_the_date_of_the_first_enrolment(calls: Calls) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    service = calls.session("app", Role.SERVICE)
    await enrol(service, EnrolmentCall("course", "batch", "ada", first))
    await calls.result("POST", UNENROL, **PLACE)
    await calls.result("POST", ENROL, **PLACE)
    (course,) = (await calls.result("GET", f"{LIST}/ada"))["courses"]
    assert course["enrolledDate"] == "2026-01-01 00:00:00:000+0000"


async def test_a_summary_without_a_context_is_of_the_collection_by_itself(calls: Calls) -> None:
    """a of the required a, b, c: floor(100 × 1 / 3) = 33. What is done in the batch is not in it."""
    await update_states(
        calls.session(),
        [
            ContentState("a", Status.COMPLETED, "course"),
            ContentState("b", Status.COMPLETED, "course", "batch"),
        ],
    )
    scores = {"total_score": 1.5, "total_max_score": 3.0}
    await calls.shared.stores.rows.write(Write(ATTEMPTS, ("ada", "course", "course", "a", "1"), scores))
    told = await calls.result("POST", "/v1/summary/read", collectionId="course")
    assert (told["collectionId"], told["contextId"], told["active"], told["enrolledDate"]) == (
        *("course", "course"),
        *(False, None),
    )
    assert (told["contentStatus"], told["progress"], told["completionPercentage"]) == ({"a": 2}, 1, 33)
    assert told["assessmentStatus"] == {"a": {"score": 1.5, "max_score": 3.0}}
    assert told["collection"]["name"] == "Course"


async def test_years_before_1000_have_four_digits(calls: Calls) -> None:
    early = datetime(987, 6, 5, 4, 3, 2, tzinfo=UTC)
    await enrol(calls.session("app", Role.SERVICE), EnrolmentCall("course", "batch", "ada", early))
    (course,) = (await calls.result("GET", f"{LIST}/ada"))["courses"]
    assert course["enrolledDate"] == "0987-06-05 04:03:02:000+0000"
    headers = {
        "Authorization": f"Bearer {make_token(calls.settings, 'ada', [Role.LEARNER], timedelta(hours=1))}"
    }
    csv = (await calls.client.get("/learners/ada/summary.csv", headers=headers)).text
    assert csv.splitlines()[1].split(",")[6] == "0987-06-05T04:03:02.000Z"
