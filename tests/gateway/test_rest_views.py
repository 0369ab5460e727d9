"""The viewer's calls about views and assessments (R-LEGACY-3, P-2.7)."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from gateway.settings import Settings
from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import start_view
from ingest.publishing.direct import publish_collection
from rules.identifiers import ContextType
from rules.viewers import Role
from stores.rows import Write
from stores.tables import ATTEMPTS, LEARNER_SCOPES, VIEWS
from stores.topics import ASSESSMENTS
from tests.conftest import LEAF
from tests.gateway.callers import Calls, prepare
from tests.gateway.conftest import Serving, copy_data
from tests.ingest.test_assessments import event

pytestmark = pytest.mark.long

A: dict[str, Any] = {"contentId": "a", "collectionId": "course", "contextId": "batch"}
START, UPDATE, END, READ = (f"/v1/view/{name}" for name in ("start", "update", "end", "read"))
SUBMIT, ATTEMPTS_OF = "/v1/assessment/submit", "/v1/assessment/read"


@pytest.fixture
async def calls(settings: Settings, serving: Serving) -> AsyncIterator[Calls]:
    await copy_data(settings, fill=prepare)
    async with serving(settings) as client:
        yield Calls(client, settings)


@pytest.mark.parametrize("prefix", ["/v1/view", "/view/v1"])
async def test_a_view_goes_from_start_to_end(calls: Calls, prefix: str) -> None:
    assert await calls.result("POST", f"{prefix}/start", **A) == {"a": "Progress started"}
    told = await calls.result(
        "POST", f"{prefix}/update", **A, progress=40, timeSpent=5, progressdetails={"page": 7}
    )
    assert told == {"a": "Progress Updated"}
    read = await calls.result("POST", f"{prefix}/read", **A)
    (view,) = read.pop("contents")
    assert read == {
        "userId": "ada",
        "collectionId": "course",
        "contextId": "batch",
        "type": "content",
        "next": None,
    }
    assert (view["status"], view["progress"], view["timeSpent"], view["progressDetails"]) == (
        1,
        40,
        5,
        {"page": 7},
    )
    assert (view["viewCount"], view["completedCount"], view["lastCompletedTime"]) == (1, 0, None)
    assert await calls.result("POST", f"{prefix}/end", **A) == {"a": "Progress ended"}
    (view,) = (await calls.result("POST", f"{prefix}/read", **A))["contents"]
    assert (view["status"], view["progress"], view["completedCount"]) == (2, 100, 1)


@pytest.mark.parametrize(
    ("path", "request_", "expected"),
    [
        (START, {}, (400, "CONTENT_ID_REQUIRED_ERROR")),
        (START, {**A, "contentId": "nothing"}, (404, "RESOURCE_NOT_FOUND")),
        (START, {**A, "contextId": "ended"}, (400, "NOT_A_ON_GOING_BATCH")),
        (START, {**A, "contextId": "nowhere"}, (400, "BATCH_NOT_EXISTS")),
        (START, {**A, "collectionId": "nowhere"}, (400, "INVALID_REQUEST_DATA")),
        # One code for one cause: no such content, no such course, no such batch, one that is not of the course.
        (START, {**A, "contentId": "course"}, (404, "RESOURCE_NOT_FOUND")),
        (START, {**A, "contentId": "unit-1"}, (404, "RESOURCE_NOT_FOUND")),
        (START, {"contentId": "course"}, (404, "RESOURCE_NOT_FOUND")),
        (START, {**A, "collectionId": "a"}, (400, "INVALID_REQUEST_DATA")),
        (START, {**A, "collectionId": "x" * 257}, (400, "INVALID_REQUEST_DATA")),
        (START, {**A, "contextId": "elsewhere"}, (400, "BATCH_NOT_EXISTS")),
        (READ, {**A, "contextId": "elsewhere"}, (400, "BATCH_NOT_EXISTS")),
        (START, {**A, "contentId": " "}, (400, "CONTENT_ID_REQUIRED_ERROR")),
        (START, {**A, "collectionId": ""}, (400, "COURSE_ID_REQUIRED_ERROR")),
        (START, {**A, "contextId": ""}, (400, "COURSE_BATCH_ID_MISSING")),
        (START, {"contentId": "a", "contextId": "batch"}, (400, "COURSE_ID_REQUIRED_ERROR")),
        (READ, {**A, "contextId": "nowhere"}, (400, "BATCH_NOT_EXISTS")),
        (START, {**A, "userId": "bob"}, (401, "UNAUTHORIZED_USER")),
        (START, {**A, "courseId": "other"}, (400, "INVALID_INPUT")),
        (UPDATE, A, (400, "VIEW_NOT_STARTED")),
        (UPDATE, {**A, "progress": 101}, (400, "INVALID_INPUT")),
        (UPDATE, {**A, "progress": "4"}, (400, "INVALID_INPUT")),
        (UPDATE, {**A, "progressDetails": [1]}, (400, "INVALID_INPUT")),
        (END, A, (400, "VIEW_NOT_STARTED")),
        (READ, {}, (400, "CONTENT_ID_REQUIRED_ERROR")),
        (READ, {**A, "userId": "bob"}, (401, "UNAUTHORIZED_USER")),
        (READ, {**A, "limit": 0}, (400, "INVALID_INPUT")),
        (READ, {"collectionId": "course", "after": "x"}, (400, "INVALID_INPUT")),
        (READ, {"contentId": "a", "context": "all"}, (400, "INVALID_INPUT")),
        (SUBMIT, A, (400, "EVENTS_DATA_MISSING")),
        (SUBMIT, {**A, "events": [7]}, (400, "INVALID_INPUT")),
        (SUBMIT, {**A, "events": [], "assessmentTs": -1}, (400, "INVALID_INPUT")),
        (ATTEMPTS_OF, {}, (400, "CONTENT_ID_REQUIRED_ERROR")),
        ("/v1/view/agg", {"collectionId": "course"}, (400, "COURSE_BATCH_ID_MISSING")),
        ("/v1/view/agg", {"collectionId": "course", "contextId": "batch"}, (400, "INVALID_REQUEST_DATA")),
    ],
)
async def test_what_is_wrong_has_a_code(
    calls: Calls, path: str, request_: dict[str, Any], expected: tuple[int, str]
) -> None:
    service = calls.session("app", Role.SERVICE)
    other = {"identifier": "other", "name": "Other", "children": [{"identifier": "x", "name": "X"}]}
    await publish_collection(service, other)
    await create_context(service, NewContext(ContextType.BATCH, "Elsewhere", ("other",), "elsewhere"))
    assert await calls.refusal("POST", path, **request_) == expected


async def test_a_mentor_reads_what_others_viewed_and_changes_nothing_of_it(calls: Calls) -> None:
    await calls.result("POST", START, **A)
    mentor: dict[str, Any] = {"by": "mo", "roles": (Role.MENTOR,), "userId": "ada"}
    assert len((await calls.result("POST", READ, **A, **mentor))["contents"]) == 1
    assert await calls.refusal("POST", END, **A, **mentor) == (401, "UNAUTHORIZED_USER")
    assert await calls.refusal("POST", START, **A, by=None) == (401, "UNAUTHORIZED_USER")


async def test_a_collection_is_read_page_by_page(calls: Calls) -> None:
    for content in "abcd":
        await calls.result("POST", START, **{**A, "contentId": content})
    place = {"courseId": "course", "batchId": "batch"}
    seen: list[str] = []
    after = None
    while after is not None or not seen:
        page = await calls.result("POST", READ, **place, limit=3, after=after)
        seen += [view["contentId"] for view in page["contents"]]
        after = page["next"]
    assert seen == ["a", "b", "c", "d"]
    named = await calls.result("POST", READ, **place, contentIds=["c", "a"])
    assert [view["contentId"] for view in named["contents"]] == ["a", "c"]


async def test_all_places_of_a_learner_are_read_page_by_page(calls: Calls) -> None:
    """In the batch, in the course by itself, and contents by themselves; each once, at a bounded cost a page."""
    service = calls.session("loader", Role.SERVICE)
    alone = [f"leaf-{n:03}" for n in range(40)]
    leaves = [{"identifier": leaf, "name": leaf, "mimeType": LEAF} for leaf in alone]
    await publish_collection(service, {"identifier": "long", "name": "Long", "children": leaves})
    places = [("a", "course", "batch"), ("b", "course", "batch"), ("a", "course", "course")]
    for content, collection, context in places:
        await start_view(service, ViewCall(content, collection, context, "ada"))
    for leaf in alone:
        await start_view(service, ViewCall(leaf, user_id="ada"))
    seen: list[tuple[str, str, str]] = []
    after, costs = None, []
    while after is not None or not seen:
        with calls.shared.stores.rows.meter.measure() as rows:
            page = await calls.result("POST", READ, context="all", limit=10, after=after)
        costs.append(
            sum(count for name, count in rows.items() if VIEWS.name in name or LEARNER_SCOPES.name in name)
        )
        seen += [(view["contentId"], view["collectionId"], view["contextId"]) for view in page["contents"]]
        assert page["type"] == "contextall"
        after = page["next"]
    assert seen == sorted(
        [*places, *((leaf, leaf, leaf) for leaf in alone)], key=lambda p: (p[1], p[2], p[0])
    )
    assert max(costs) <= 16 + 6
    of_course = await calls.result("POST", READ, context="all", courseId="course")
    assert [(v["contentId"], v["contextId"]) for v in of_course["contents"]] == [
        ("a", "batch"),
        ("b", "batch"),
        ("a", "course"),
    ]


async def test_the_portal_s_name_for_the_events_is_understood(calls: Calls) -> None:
    """It also sends sums of its own, which count for nothing."""
    sums = {"score": 9, "maxScore": 9}
    assert await calls.result("POST", SUBMIT, **A, assessments=[event()], **sums) == {"a": "Score Updated"}
    (sent,) = [orjson.loads(r.value) async for r in calls.shared.stores.events.read(ASSESSMENTS.name)]
    assert sent["events"] == [event()]
    both = {"assessments": [event()], "events": []}
    assert await calls.refusal("POST", SUBMIT, **A, **both) == (400, "INVALID_INPUT")


@pytest.mark.parametrize("prefix", ["/v1/assessment", "/assessment/v1"])
async def test_an_assessment_is_submitted_and_its_attempts_are_read(calls: Calls, prefix: str) -> None:
    told = await calls.result(
        "POST", f"{prefix}/submit", **A, events=[event()], assessmentTs=1_600_000_000_000
    )
    assert told == {"a": "Score Updated"}
    nothing_new = await calls.result("POST", f"{prefix}/submit", **{**A, "contentId": "b"}, events=[])
    assert nothing_new == {"b": "Score Requested"}, "nothing is scored"
    sent, _ = sorted(
        [orjson.loads(r.value) async for r in calls.shared.stores.events.read(ASSESSMENTS.name)],
        key=lambda told: str(told["contentId"]),
    )
    assert (sent["assessmentTs"], sent["events"]) == (1_600_000_000_000, [event()])
    place = {"courseId": "course", "batchId": "batch"}
    empty = await calls.result("POST", f"{prefix}/read", **place)
    assert (empty["userId"], empty["assessments"]) == ("ada", [])
    scores = {"total_score": 1.5, "total_max_score": 3.0}
    await calls.shared.stores.rows.write(
        *(
            Write(ATTEMPTS, ("ada", "course", "batch", content, attempt), scores, timestamp=1)
            for content, attempt in (("a", "1"), ("a", "2"), ("b", "1"))
        )
    )
    first = await calls.result("POST", f"{prefix}/read", **place, limit=2)
    second = await calls.result("POST", f"{prefix}/read", **place, limit=2, after=first["next"])
    found = [(one["contentId"], one["attemptId"]) for page in (first, second) for one in page["assessments"]]
    assert found == [("a", "1"), ("a", "2"), ("b", "1")]
    assert (first["assessments"][0]["score"], first["assessments"][0]["max_score"]) == (1.5, 3.0)
    assert second["next"] is None
    of_b = await calls.result("POST", f"{prefix}/read", **place, contentId="b")
    assert [one["contentId"] for one in of_b["assessments"]] == ["b"]


async def test_figures_are_computed_anew_when_asked(calls: Calls) -> None:
    await enrol(calls.session(), EnrolmentCall("course", "batch"))
    told = await calls.result("POST", "/v1/view/agg", collectionId="course", contextId="batch")
    assert told == {"response": "SUCCESS"}


async def test_a_read_that_did_not_change_is_not_sent_again(calls: Calls) -> None:
    await calls.result("POST", START, **A)
    first = await calls.answer("POST", READ, **A)
    token = first.request.headers["authorization"]
    headers = {"Authorization": token, "If-None-Match": first.headers["etag"]}
    again = await calls.client.post(READ, json={"request": A}, headers=headers)
    assert again.status_code == 304


@pytest.mark.parametrize("status", ["2", True, 2.0, 7])
async def test_a_status_is_a_whole_number_and_its_values_are_named(calls: Calls, status: object) -> None:
    await calls.result("POST", START, **A)
    answer = await calls.answer("POST", UPDATE, **A, status=status)
    assert (answer.status_code, answer.json()["params"]["err"]) == (400, "INVALID_INPUT")
    assert answer.json()["params"]["errmsg"].endswith("one of 0, 1, 2")
    (view,) = (await calls.result("POST", READ, **A))["contents"]
    assert view["status"] == 1


async def test_a_refusal_names_the_field_as_it_was_sent(calls: Calls) -> None:
    for sent, told in (
        (
            {**A, "assessmentTs": 4_102_444_800_000, "events": [], "by": "app", "roles": (Role.SERVICE,)},
            "assessmentTs must not be in the future",
        ),
        ({"contentId": "a", "courseId": " ", "events": []}, "courseId must not be blank"),
        ({"contentId": "a", "collectionId": " ", "events": []}, "collectionId must not be blank"),
    ):
        answer = await calls.answer("POST", SUBMIT, **sent)
        assert (answer.status_code, answer.json()["params"]["errmsg"]) == (400, told)


async def test_calls_that_there_are_not_are_refused_in_the_envelope_too(calls: Calls) -> None:
    for method, path, expected in (
        ("POST", "/v1/view/assess", (404, "RESOURCE_NOT_FOUND")),
        ("GET", "/course/v1/nothing", (404, "RESOURCE_NOT_FOUND")),
        ("GET", START, (405, "METHOD_NOT_ALLOWED")),
        ("POST", "/data/v1/group/nothing", (404, "RESOURCE_NOT_FOUND")),
        ("GET", "/content/v3/bundle", (404, "RESOURCE_NOT_FOUND")),
        ("POST", "/collection/v4/import/do_1", (404, "RESOURCE_NOT_FOUND")),
        ("POST", "/course/v1/batch/create", (404, "RESOURCE_NOT_FOUND")),
        ("POST", "/data/v3/telemetry", (404, "RESOURCE_NOT_FOUND")),
        ("GET", "/user/v1/read/ada", (404, "RESOURCE_NOT_FOUND")),
        ("GET", "/api/collection/v1/hierarchy/do_1", (404, "RESOURCE_NOT_FOUND")),
        ("GET", "/data/v1/group/activity/agg", (405, "METHOD_NOT_ALLOWED")),
    ):
        assert await calls.refusal(method, path) == expected
    assert (await calls.answer("GET", START)).headers["allow"] == "POST"
    assert (await calls.client.get("/nothing")).json()["error"]["code"] == "NOT_FOUND"


async def test_a_body_that_turns_out_too_large_is_refused_in_the_envelope(calls: Calls) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 500_000

    answer = await calls.client.post(START, content=endless())
    assert (answer.status_code, answer.json()["params"]["err"]) == (413, "REQUEST_ENTITY_TOO_LARGE")


@pytest.mark.parametrize(
    "spell",
    [str.lower, str.upper, lambda name: name.replace("Id", "ID"), lambda name: name.title()],
    ids=["lower", "upper", "ID", "title"],
)
async def test_a_viewers_call_may_spell_its_names_in_any_case(
    calls: Calls, spell: Callable[[str], str]
) -> None:
    """The view is in its batch, not under the content by itself; so are attempts, reads and figures."""
    await enrol(calls.session(), EnrolmentCall("course", "batch"))
    named: dict[str, Any] = {spell(name): value for name, value in {**A, "userId": "ada"}.items()}
    place = {name: value for name, value in named.items() if name != spell("contentId")}
    changes: dict[str, Any] = {spell("timeSpent"): 5, spell("progressDetails"): {"page": 7}}
    assert await calls.result("POST", START, **named) == {"a": "Progress started"}
    assert await calls.result("POST", UPDATE, **named, **changes) == {"a": "Progress Updated"}
    assert await calls.result("POST", END, **named) == {"a": "Progress ended"}
    assert await calls.result("POST", SUBMIT, **named, events=[event()]) == {"a": "Score Updated"}
    (sent,) = [orjson.loads(r.value) async for r in calls.shared.stores.events.read(ASSESSMENTS.name)]
    assert (sent["courseId"], sent["batchId"], sent["contentId"]) == ("course", "batch", "a")
    for asked in (named, place):
        read = await calls.result("POST", READ, **asked)
        (view,) = read["contents"]
        assert (view["collectionId"], view["contextId"], view["status"]) == ("course", "batch", 2)
        assert (view["timeSpent"], view["progressDetails"]) == (5, {"page": 7})
    attempts = await calls.result("POST", ATTEMPTS_OF, **place)
    assert (attempts["collectionId"], attempts["contextId"]) == ("course", "batch")
    await calls.result("POST", "/v1/view/agg", **place)
    summary = await calls.result("POST", "/v1/summary/read", **place)
    assert (summary["contextId"], summary["contentStatus"]) == ("batch", {"a": 2})
    assert {(row["collectionid"], row["contextid"]) for row in await every_view(calls)} == {
        ("course", "batch")
    }


async def every_view(calls: Calls) -> list[dict[str, Any]]:
    scopes = await calls.shared.stores.rows.partition(LEARNER_SCOPES, ("ada",))
    return [
        row
        for scope in {scope["scope"] for scope in scopes}
        for row in await calls.shared.stores.rows.partition(VIEWS, ("ada", scope))
    ]


@pytest.mark.parametrize(
    ("path", "more", "told"),
    [
        (START, {"collection_id": "course"}, "collection_id is not known here; is collectionId meant?"),
        (START, {"colectionId": "course"}, "colectionId is not known here; is collectionId meant?"),
        (
            START,
            {"courseID": "course", "cid": 1, "programId": "p"},
            "programId is not known here; there are ",
        ),
        (START, {"courseIds": ["course"]}, "courseIds is not known here; is courseId meant?"),
        (START, {"user_id": "bob"}, "user_id is not known here; is userId meant?"),
        (START, {"contentid": "b"}, "contentid is contentId, which is given with another value"),
        (END, {"progressDetail": {}}, "progressDetail is not known here; is progressDetails meant?"),
        (UPDATE, {"timeSpend": 5}, "timeSpend is not known here; is timeSpent meant?"),
        (READ, {"contentsIds": ["b"]}, "contentsIds is not known here; is contentIds meant?"),
        (SUBMIT, {"events": [], "attempt_id": "1"}, "attempt_id is not known here; is attemptId meant?"),
    ],
)
async def test_what_is_not_understood_is_refused_by_name_and_changes_nothing(
    calls: Calls, path: str, more: dict[str, Any], told: str
) -> None:
    answer = await calls.answer("POST", path, contentId="a", **more)
    assert (answer.status_code, answer.json()["params"]["err"]) == (400, "INVALID_INPUT")
    assert answer.json()["params"]["errmsg"].startswith(told)
    assert await every_view(calls) == []


async def test_what_clients_send_beside_what_is_asked_is_passed_over(calls: Calls) -> None:
    extras: dict[str, Any] = {
        "contentVersion": "1.0",
        "grade": "B",
        "lastUpdatedTime": 1,
        "did": "x",
        "pdata": {},
    }
    assert await calls.result("POST", START, **A, **extras) == {"a": "Progress started"}
    enrolled = await calls.result(
        "POST", "/course/v1/enrol", courseId="course", batchId="batch", contentId="course"
    )
    assert enrolled == {"response": "SUCCESS"}
