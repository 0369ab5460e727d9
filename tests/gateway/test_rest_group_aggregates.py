"""The two calls about a group's figures (R-QUERY-1, R-QUERY-2), field by field, and the platform's own (P-2.5)."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from gateway.identity import make_token
from gateway.settings import Settings
from ingest.aggregation import aggregate
from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.group_members import visit_groups
from ingest.commands.learner_groups import GroupCall, NewGroup, create_group, update_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view
from ingest.publishing.direct import publish_collection
from loaders.session import Session
from rules.errors import Busy, StoreUnavailable
from rules.group_changes import AddMember, RemoveMember
from rules.group_figures import ACTIVITY_METRICS
from rules.identifiers import ViewKey
from rules.learner_groups import Activity
from rules.plans import write_token
from rules.viewers import Role
from rules.views import ViewChange
from tests.attempts import store_attempt
from tests.conftest import COURSE, NOW, Instance
from tests.gateway.conftest import ServedAfter, http_scope

Call = Callable[..., Any]
NOW_MS = 1_772_366_400_000
"""2026-03-01T12:00:00Z: 20,513.5 days of 86,400,000 ms."""
AGG, ACTIVITY_AGG = "/data/group/agg", "/data/group/activity/agg"
PLATFORMS = ("/v1/group/activity/agg", "/data/v1/group/activity/agg")
COURSE_OF_G = {"groupId": "g", "activityId": "course", "activityType": "Course"}


async def fill(instance: Instance) -> None:
    """Mo leads Ada and Bob, who have opened the group. Ada has done a, b and c of the course, Bob is enrolled; there is a quiz as well."""
    service: Session = instance.session()
    for user, name in (("ada", "Ada"), ("bob", "Bob")):
        await enrol(service, EnrolmentCall("course", "batch", user, NOW))
        await save_profile(service, ProfileCall(name, {"age_band": "0-35"}, user, NOW))
    for content in "abc":
        view = ViewCall(content, "course", "batch", "ada", NOW)
        await start_view(service, view)
        await end_view(service, view, ViewChange(NOW))
    activities = (Activity("course", "Course"), Activity("quiz", "Quiz"))
    members = (AddMember("ada"), AddMember("bob"))
    await create_group(
        service,
        NewGroup("Class 7", members=members, activities=activities, group_id="g", user_id="mo"),
    )
    for user in ("ada", "bob"):
        await visit_groups(instance.session(user), ["g"])
    await instance.drain()


@pytest.fixture
async def cohort(served_after: ServedAfter) -> AsyncIterator[Any]:
    async with served_after(fill) as instance:
        yield instance


@pytest.fixture
def post(cohort: Any, settings: Settings) -> Call:
    """``await post(AGG, user="ada", groupId=…)``: the answer, of whatever status."""

    async def send(
        path: str, user: str = "mo", *roles: Role, headers: dict[str, str] | None = None, **request: Any
    ) -> httpx.Response:
        token = make_token(settings, user, roles or [Role.LEARNER], timedelta(hours=1))
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        answer: httpx.Response = await cohort.client.post(path, json={"request": request}, headers=sent)
        return answer

    return send


@pytest.fixture
def get(cohort: Any, settings: Settings) -> Call:
    async def send(path: str, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        token = make_token(settings, "mo", [Role.LEARNER], timedelta(hours=1))
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        answer: httpx.Response = await cohort.client.get(path, params=query, headers=sent)
        return answer

    return send


async def result(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def refused(answer: httpx.Response) -> tuple[int, str, str]:
    params = answer.json()["params"]
    return answer.status_code, params["err"], params["errmsg"]


def agg(at: int | None, **values: float | None) -> list[dict[str, object]]:
    return [{"metric": metric, "value": value, "lastUpdatedOn": at} for metric, value in values.items()]


def told_of(found: dict[str, Any], published: str, as_of: int) -> list[dict[str, object]]:
    """What the course says of itself: one of two enrolled has completed it."""
    assert found["agg"][3].keys() == {"metric", "value", "lastUpdatedOn"}
    leaves = {"metric": "leafNodesCount", "value": 4, "lastUpdatedOn": found["agg"][3]["lastUpdatedOn"]}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}\+0000", published)
    assert as_of > leaves["lastUpdatedOn"] > NOW_MS
    counts = agg(NOW_MS, enrolledCount=2, completedCount=1, completionPercentage=50)
    return [*counts, leaves, *agg(None, averageScore=None)]


def published(name: str, value: object) -> dict[str, object]:
    """COURSE without its children, and what Cohort knows of it."""
    return {"identifier": "course", "name": "Course", "status": "Live", "leafNodesCount": 4, name: value}


async def test_group_aggregates_have_every_field_that_is_required(post: Call) -> None:
    """``{groupId, activity: [{id, type, …metadata, agg: [{metric, value, lastUpdatedOn}]}]}``."""
    found = await result(await post(AGG, groupId="g"))
    course = found["activity"][0]
    assert found == {
        "groupId": "g",
        "activity": [
            {
                "id": "course",
                "type": "Course",
                **published("lastPublishedOn", course["lastPublishedOn"]),
                "source": "rows",
                "mode": "query",
                "asOf": course["asOf"],
                "complete": True,
                "agg": told_of(course, course["lastPublishedOn"], course["asOf"]),
            },
            {
                "id": "quiz",
                "type": "Quiz",
                "source": "rows",
                "mode": "query",
                "asOf": course["asOf"],
                # Nothing is published under its id.
                "complete": False,
                "agg": agg(None, **dict.fromkeys(ACTIVITY_METRICS)),
            },
        ],
        "extensions": {
            "plans": [
                {
                    "source": "rows",
                    "reason": "3 keys are cheaper read one by one, up to 500",
                    "estimate": 3,
                    "origin": "computed",
                    "age": found["extensions"]["plans"][0]["age"],
                }
            ]
        },
    }


async def test_activity_aggregates_have_every_field_that_is_required(post: Call) -> None:
    """``{groupId, activity: {id, type, metadata, agg, members: [{id, …profile, agg}]}}``."""
    found = await result(await post(ACTIVITY_AGG, **COURSE_OF_G))
    course = found["activity"]
    metadata = course["metadata"]
    del found["extensions"]

    def member(user: str, name: str, role: str, at: int | None, completed: int, percentage: int) -> object:
        metrics = agg(at, completedCount=completed, completionPercentage=percentage, timeSpent=0)
        return {"id": user, "name": name, "role": role, "agg": metrics}

    assert found == {
        "groupId": "g",
        "activity": {
            "id": "course",
            "type": "Course",
            "metadata": published("lastPublishedOn", metadata["lastPublishedOn"]),
            "source": "rows",
            "mode": "query",
            "asOf": course["asOf"],
            "complete": True,
            "agg": told_of(course, metadata["lastPublishedOn"], course["asOf"]),
            "members": [
                member("ada", "Ada", "member", NOW_MS, 3, 100),
                member("bob", "Bob", "member", NOW_MS, 0, 0),
                member("mo", "", "admin", None, 0, 0),
            ],
        },
    }


@pytest.mark.parametrize("path", PLATFORMS)
async def test_the_platforms_own_call_has_its_shape_and_one_entry_a_member(post: Call, path: str) -> None:
    """Members at result level, enrolmentCount and completedCount; zeros where the platform leaves members out. Mo has sent
    no profile: a name that is not known is an empty text."""
    by = {"status": "active", "createdBy": "mo"}
    assert await result(await post(path, **COURSE_OF_G)) == {
        "groupId": "g",
        "activity": {"id": "course", "type": "Course", "agg": agg(NOW_MS, enrolmentCount=2)},
        "members": [
            {"userId": "ada", "name": "Ada", "role": "member", **by, "agg": agg(NOW_MS, completedCount=3)},
            {"userId": "bob", "name": "Bob", "role": "member", **by, "agg": agg(NOW_MS, completedCount=0)},
            {"userId": "mo", "name": "", "role": "admin", **by, "agg": agg(None, completedCount=0)},
        ],
    }


@pytest.fixture
async def scored(cohort: Any) -> None:
    """Ada has 2 of 3 points and then 1.33 in a; Bob attempted nothing."""
    for minute, points in ((0, 2.0), (1, 1.33)):
        key, on = ViewKey("ada", "course", "batch", "a"), NOW + timedelta(minutes=minute)
        await store_attempt(cohort.shared, key, f"attempt-{minute}", points, 3.0, on)
    await cohort.drain()


@pytest.mark.usefixtures("scored")
async def test_members_have_scores_under_the_platforms_names(post: Call) -> None:
    """Best, its maximum, and the number of attempts (P-4.5), in the platform's call and in Cohort's own."""
    minute = NOW_MS + 60_000
    scores = agg(minute, **{"score:a": 2.0, "max_score:a": 3.0, "attempts_count:a": 2})
    ada, bob, _ = (await result(await post(PLATFORMS[0], **COURSE_OF_G)))["members"]
    assert ada["agg"] == [*agg(NOW_MS, completedCount=3), *scores]
    assert bob["agg"] == agg(NOW_MS, completedCount=0)
    course = (await result(await post(ACTIVITY_AGG, **COURSE_OF_G)))["activity"]
    assert course["members"][0]["agg"][3:] == scores
    # 2 of 3 points are 66 %; on average of one who attempted it.
    assert course["agg"][4:] == agg(minute, **{"averageScore": 66.0, "score:a": 2.0})


@pytest.mark.usefixtures("scored")
async def test_metrics_of_an_assessment_are_fields(post: Call) -> None:
    fields = ["score:a", "attempts_count:a", "role"]
    course = (await result(await post(ACTIVITY_AGG, **COURSE_OF_G, fields=fields)))["activity"]
    assert [one["metric"] for one in course["agg"]] == ["score:a"]
    told = [[one["metric"] for one in member["agg"]] for member in course["members"]]
    assert told == [["score:a", "attempts_count:a"], [], []]
    status, code, message = refused(await post(ACTIVITY_AGG, **COURSE_OF_G, fields=["scores:a"]))
    assert status == 400
    assert "score:<assessment>, max_score:<assessment>, attempts_count:<assessment>" in message, code


async def test_the_call_that_the_platform_has_not_is_also_under_v1(post: Call) -> None:
    answers = [await result(await post(at, **COURSE_OF_G)) for at in (AGG, "/data/v1/group/agg")]
    for found in answers:
        del found["extensions"]
    assert answers[0] == answers[1]


async def test_activities_are_chosen_by_id_and_type(post: Call) -> None:
    quiz = {"id": "quiz", "type": "Quiz"}
    found = await result(await post(AGG, groupId="g", activities=[quiz], fields=["complete"]))
    assert found["activity"] == [{**quiz, "complete": False}]
    for call, request, named in (
        (AGG, {"groupId": "g", "activities": [{"id": "unit-9", "type": "Course"}]}, "Course unit-9"),
        (AGG, {"groupId": "g", "activities": [{"id": "course", "type": "Quiz"}]}, "Quiz course"),
        (ACTIVITY_AGG, {**COURSE_OF_G, "activityType": "Quiz"}, "Quiz course"),
        ("/v1/group/activity/agg", {**COURSE_OF_G, "activityId": "unit-9"}, "Course unit-9"),
    ):
        told = f"group g has no activity {named}, and none with such a unit"
        assert refused(await post(call, **request)) == (404, "RESOURCE_NOT_FOUND", told)


@pytest.mark.parametrize("called", ["Course", "course", "CourseUnit"])
async def test_a_unit_of_a_groups_course_is_an_activity_under_any_of_its_types(
    post: Call, called: str
) -> None:
    """Ada has done unit-1 (a, b), Bob nothing of it; the platform's clients call it a Course."""
    asked = {**COURSE_OF_G, "activityId": "unit-1", "activityType": called}
    found = await result(await post("/v1/group/activity/agg", **asked))
    assert found["activity"]["id"] == "unit-1"
    assert {one["userId"]: one["agg"][0]["value"] for one in found["members"]} == {
        "ada": 2,
        "bob": 0,
        "mo": 0,
    }


async def test_the_type_of_an_activity_compares_without_case(post: Call) -> None:
    found = await result(await post("/v1/group/activity/agg", **{**COURSE_OF_G, "activityType": "COURSE"}))
    assert found["activity"]["agg"][0]["value"] == 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["name", "leafNodesCount"], {"name": "Course", "leafNodesCount": 4}),
        (["status", "agg"], {"status": "Live", "agg": 5}),
        (["agg", "enrolledCount"], {"agg": 1}),
        (["completedCount", "enrolledCount"], {"agg": 2}),
        (["source"], {"source": "rows"}),
    ],
)
async def test_fields_name_what_an_activity_is_sent_with(
    post: Call, fields: list[str], expected: dict[str, object]
) -> None:
    """Beside id and type; ``agg`` here by how many metrics it has. A leaf count is an attribute and a metric."""
    found = (await result(await post(AGG, groupId="g", fields=fields)))["activity"][0]
    metrics = found.pop("agg", None)
    if "leafNodesCount" in fields:
        assert [metric["metric"] for metric in metrics] == ["leafNodesCount"]
    elif metrics is not None:
        found["agg"] = len(metrics)
    assert found == {"id": "course", "type": "Course", **expected}


@pytest.mark.parametrize(
    ("fields", "keys", "member_keys", "metrics"),
    [
        (["metadata"], {"metadata"}, None, []),
        (["agg"], {"agg"}, None, []),
        (
            ["members"],
            {"members"},
            {"name", "role", "agg"},
            ["completedCount", "completionPercentage", "timeSpent"],
        ),
        (["name"], {"metadata", "members"}, {"name"}, []),
        (["status", "trackable"], {"metadata"}, None, []),
        (["leafNodesCount"], {"metadata", "agg"}, None, []),
        (["enrolledCount"], {"agg"}, None, []),
        (["timeSpent", "role"], {"members"}, {"role", "agg"}, ["timeSpent"]),
        (["completedCount"], {"agg", "members"}, {"agg"}, ["completedCount"]),
    ],
)
async def test_fields_name_what_members_are_sent_with(
    post: Call, fields: list[str], keys: set[str], member_keys: set[str] | None, metrics: list[str]
) -> None:
    found = (await result(await post(ACTIVITY_AGG, **COURSE_OF_G, fields=fields)))["activity"]
    assert found.keys() == {"id", "type", *keys}
    for member in found.get("members", []):
        assert member_keys is not None
        assert member.keys() == {"id", *member_keys}
        assert [metric["metric"] for metric in member.get("agg", [])] == metrics


async def test_an_unknown_field_or_mode_is_refused_with_what_there_is(post: Call) -> None:
    status, code, message = refused(await post(AGG, groupId="g", fields=["score"]))
    assert (status, code) == (400, "INVALID_INPUT")
    assert message.startswith("fields: there is no score; there are identifier, name, status, ")
    assert refused(await post(AGG, groupId="g", mode="live"))[2] == "mode must be one of query, batch"
    assert refused(await post(AGG, groupId="g", fields="name"))[2] == "fields must be a list"


async def test_what_is_missing_is_named_by_the_platforms_codes(post: Call) -> None:
    for left_out, code in (
        ("groupId", "GROUP_ID_MISSING"),
        ("activityId", "ACTIVITY_ID_MISSING"),
        ("activityType", "ACTIVITY_TYPE_MISSING"),
    ):
        request = {name: value for name, value in COURSE_OF_G.items() if name != left_out}
        status, found, message = refused(await post("/v1/group/activity/agg", **request))
        assert (status, found, message) == (400, code, f"{left_out} is missing")
        assert refused(await post(ACTIVITY_AGG, **request))[::2] == (400, f"{left_out} is missing")
    assert refused(await post(AGG))[::2] == (400, "groupId is missing")
    missing_type = await post(AGG, groupId="g", activities=[{"id": "course"}])
    assert refused(missing_type)[::2] == (400, "activities[0].type is missing")


@pytest.mark.parametrize("path", [AGG, ACTIVITY_AGG, "/v1/group/activity/agg"])
async def test_an_unknown_group_is_not_found_and_a_strangers_closed(post: Call, path: str) -> None:
    assert refused(await post(path, **{**COURSE_OF_G, "groupId": "none"}))[:2] == (404, "RESOURCE_NOT_FOUND")
    assert refused(await post(path, "zoe", **COURSE_OF_G))[:2] == (401, "UNAUTHORIZED_USER")


async def test_a_plain_member_gets_the_own_entry_and_a_mentor_profiles(post: Call) -> None:
    found = (await result(await post(ACTIVITY_AGG, "ada", **COURSE_OF_G)))["activity"]
    assert [(member["id"], member["ageBand"]) for member in found["members"]] == [("ada", "0-35")]
    assert found["agg"][0]["value"] == 2
    mentor = await result(await post(ACTIVITY_AGG, "zoe", Role.MENTOR, **COURSE_OF_G, fields=["ageBand"]))
    assert mentor["activity"]["members"] == [
        {"id": "ada", "ageBand": "0-35"},
        {"id": "bob", "ageBand": "0-35"},
        {"id": "mo"},
    ]


@pytest.mark.parametrize(
    ("role", "ids", "enrolled"), [(Role.LEARNER, ["bob"], 1), (Role.MENTOR, ["ada", "bob"], 2)]
)
async def test_whom_a_fellow_learner_added_is_in_no_figure_and_in_no_list(
    cohort: Any, post: Call, role: Role, ids: list[str], enrolled: int
) -> None:
    """Mo removes Ada and adds her again, as a learner or as a mentor. A mentor who looks sees no more of it."""
    for change in (RemoveMember("ada"), AddMember("ada")):
        await update_group(cohort.session("mo", role), GroupCall("g", members=(change,)))
    for viewer, roles in (("mo", ()), ("zoe", (Role.MENTOR,))):
        found = (await result(await post(ACTIVITY_AGG, viewer, *roles, **COURSE_OF_G)))["activity"]
        assert [member["id"] for member in found["members"] if member["id"] != "mo"] == ids
        assert found["agg"][0] == {"metric": "enrolledCount", "value": enrolled, "lastUpdatedOn": NOW_MS}
        summed = (await result(await post(AGG, viewer, *roles, groupId="g")))["activity"][0]
        assert summed["agg"][0] == found["agg"][0]
        theirs = await result(await post("/v1/group/activity/agg", viewer, *roles, **COURSE_OF_G))
        assert [member["userId"] for member in theirs["members"] if member["userId"] != "mo"] == ids
        assert theirs["activity"]["agg"][0]["value"] == enrolled


async def test_a_call_is_in_the_figures_of_who_sends_its_token(cohort: Any, post: Call) -> None:
    """Bob completes a, and no worker runs: 1 of 3."""
    await post(ACTIVITY_AGG, **COURSE_OF_G)
    bob, view = cohort.session("bob"), ViewCall("a", "course", "batch")
    await start_view(bob, view)
    token = (await end_view(bob, view, ViewChange(bob.now()))).token
    request = {**COURSE_OF_G, "fields": ["completedCount"]}
    for fresh, completed in (({}, 0), ({"fresh": token}, 1)):
        found = await result(await post(ACTIVITY_AGG, **request, **fresh))
        assert found["activity"]["members"][1]["agg"][0]["value"] == completed


async def test_batch_mode_is_asked_for_and_named(post: Call) -> None:
    """Nothing was aggregated yet."""
    found = await result(await post(AGG, groupId="g", mode="batch"))
    told = [(each["source"], each["mode"], each["asOf"], each["complete"]) for each in found["activity"]]
    assert told == [("batch", "batch", None, False)] * 2


async def test_an_answer_that_a_client_has_is_not_sent_again(post: Call, get: Call) -> None:
    """By GET for the edge and by POST, as long as the result is the same; the envelope never is."""
    query = {"groupId": "g", "activityId": "course", "activityType": "Course"}
    for send, path, request in (
        (post, AGG, {"groupId": "g"}),
        (post, ACTIVITY_AGG, COURSE_OF_G),
        (post, "/v1/group/activity/agg", COURSE_OF_G),
        (get, AGG, {"groupId": "g"}),
        (get, ACTIVITY_AGG, query),
    ):
        first = await send(path, **request)
        assert first.status_code == 200, first.text
        assert first.headers["cache-control"] in ("private, max-age=60", "private, max-age=59")
        assert {"Authorization", "X-Authenticated-User-Token"} <= {*first.headers["vary"].split(", ")}
        again = await send(path, headers={"If-None-Match": first.headers["etag"]}, **request)
        assert (again.status_code, again.content) == (304, b"")
        other = await send(path, headers={"If-None-Match": '"other"'}, **request)
        assert other.status_code == 200
        assert other.headers["etag"] == first.headers["etag"]


def told_to_keep(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.headers["cache-control"]


async def test_a_client_may_use_an_answer_for_what_is_left_of_its_time(
    cohort: Any, post: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept for 60 s here; what was kept 20 s ago may be used for 40 s more."""
    assert told_to_keep(await post(AGG, groupId="g")) == "private, max-age=60"
    later = cohort.shared.now() + timedelta(seconds=20)
    monkeypatch.setattr(cohort.shared.answers, "_now", lambda: later)
    found = re.fullmatch(r"private, max-age=(\d+)", told_to_keep(await post(AGG, groupId="g")))
    assert found is not None
    assert 35 <= int(found[1]) <= 40, "the call itself takes a moment"


async def test_what_may_be_another_answer_by_now_is_asked_for_again(
    cohort: Any, post: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer for a token, one that lacks something, one older than it should be."""
    token = write_token(cohort.shared.now())
    assert told_to_keep(await post(AGG, groupId="g", fresh=token)) == "private, no-cache"
    assert told_to_keep(await post(AGG, groupId="g", mode="batch")) == "private, no-cache"
    await aggregate(cohort.shared)
    assert told_to_keep(await post(AGG, groupId="g", mode="batch")) == "private, max-age=60"

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr("rules.plans.CHEAP_KEYS", 0)
    await post(AGG, groupId="g")
    later = cohort.shared.now() + timedelta(seconds=100)
    monkeypatch.setattr(cohort.shared.answers, "_now", lambda: later)
    monkeypatch.setattr(cohort.stores.groups, "query", away)
    stale = await post(AGG, groupId="g")
    assert stale.json()["result"]["extensions"]["plans"][0]["origin"] == "stale"
    assert told_to_keep(stale) == "private, no-cache"


async def test_a_list_of_a_call_is_bounded_and_named(post: Call, get: Call) -> None:
    many = [{"id": f"c{n}", "type": "Course"} for n in range(201)]
    expected = (400, "INVALID_INPUT", "activities must have at most 200 items, not 201")
    assert refused(await post(AGG, groupId="g", activities=many)) == expected
    assert refused(await post(AGG, groupId="g", activities=many[:200]))[0] == 404
    fields = ",".join(["name"] * 201)
    assert (
        refused(await get(AGG, groupId="g", fields=fields))[2]
        == "fields must have at most 200 items, not 201"
    )


async def test_a_call_that_reads_ends_with_its_client(
    cohort: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As GraphQL's queries do: nobody waits for it."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def endless(*_: object) -> None:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    monkeypatch.setattr("rules.plans.CHEAP_KEYS", 0)
    monkeypatch.setattr(cohort.stores.groups, "query", endless)
    await left_behind(cohort, settings, "POST", AGG, {"groupId": "g"}, began)
    assert ended.is_set()


async def test_a_call_that_changes_something_is_finished_although_its_client_left(
    cohort: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, real = asyncio.Event(), cohort.stores.events.send

    async def slow(*sent: Any) -> None:
        began.set()
        await asyncio.sleep(0.1)
        await real(*sent)

    monkeypatch.setattr(cohort.stores.events, "send", slow)
    request = {"groupId": "g", "name": "Class 8"}
    await left_behind(cohort, settings, "PATCH", "/v1/group/update", request, began)
    assert (await cohort.session("mo").loaders.groups.load("g")).name == "Class 8"
    assert sum((await cohort.stores.events.lag("nobody", ["group-changes"])).values()) == 4, (
        "created, opened by two, renamed"
    )


async def left_behind(
    cohort: Any, settings: Settings, method: str, path: str, request: object, began: asyncio.Event
) -> None:
    """Sends the call and leaves once ``began``; returns when the application is done with it."""
    token = make_token(settings, "mo", [Role.LEARNER], timedelta(hours=1))
    body = orjson.dumps({"request": request})
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await began.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        pass

    scope = http_scope(method, path, host="test", authorization=f"Bearer {token}")
    async with asyncio.timeout(60):
        await cohort.client.app(scope, receive, send)


async def test_a_get_answers_as_the_post_does(post: Call, get: Call) -> None:
    query = {"activities": "Course:course,Quiz:quiz", "fields": "name,enrolledCount"}
    body = {
        "activities": [{"id": "course", "type": "Course"}, {"id": "quiz", "type": "Quiz"}],
        "fields": ["name", "enrolledCount"],
    }
    for path, asked, sent in (
        (AGG, query, body),
        (ACTIVITY_AGG, {**COURSE_OF_G, "fields": "members"}, {**COURSE_OF_G, "fields": ["members"]}),
    ):
        by_get = await result(await get(path, **{"groupId": "g", **asked}))
        by_post = await result(await post(path, **{"groupId": "g", **sent}))
        assert by_get["activity"] == by_post["activity"]
    assert refused(await get(AGG, fields="name"))[::2] == (400, "groupId is missing")
    assert refused(await get(AGG))[::2] == (400, "groupId is missing")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreUnavailable("the groups store is away", detail="broker.internal:8082"), "SERVER_ERROR"),
        (Busy("enough", detail="broker.internal:8082"), "GROUPS_BUSY"),
    ],
)
async def test_with_the_groups_store_away_the_envelope_says_so(
    cohort: Any,
    post: Call,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: StoreUnavailable,
    code: str,
) -> None:
    """Where the store is stands in the log alone."""

    async def away(*_: object) -> None:
        raise error

    monkeypatch.setattr("rules.plans.CHEAP_KEYS", 0)
    monkeypatch.setattr(cohort.stores.groups, "query", away)
    answer = await post(AGG, groupId="g")
    assert refused(answer) == (503, code, error.message)
    assert "broker.internal:8082" not in answer.text
    assert "broker.internal:8082" in caplog.text
    assert answer.json()["responseCode"] == "SERVER_ERROR"


async def test_what_was_published_of_an_activity_is_its_metadata(cohort: Any, post: Call) -> None:
    """In full, and narrowed by its names; figures go before what was published under their names."""
    more = {"contentType": "Course", "trackable": {"enabled": "Yes"}, "appIcon": "icon.png", "complete": "no"}
    await publish_collection(cohort.session(), {**COURSE, **more, "leafNodesCount": 99})
    for path in (AGG, ACTIVITY_AGG):
        found = (await result(await post(path, **COURSE_OF_G)))["activity"]
        metadata = found["metadata"] if path == ACTIVITY_AGG else found[0]
        assert {name: metadata[name] for name in ("contentType", "trackable", "appIcon")} == {
            name: more[name] for name in ("contentType", "trackable", "appIcon")
        }
        assert metadata["leafNodesCount"] == 4
    of_group = await result(await post(AGG, groupId="g", fields=["trackable", "complete"]))
    assert of_group["activity"] == [
        {"id": "course", "type": "Course", "trackable": {"enabled": "Yes"}, "complete": True},
        {"id": "quiz", "type": "Quiz", "complete": False},  # which Cohort knows nothing of
    ]
    of_one = await result(await post(ACTIVITY_AGG, **COURSE_OF_G, fields=["appIcon", "name"]))
    assert of_one["activity"]["metadata"] == {"name": "Course", "appIcon": "icon.png"}
    assert of_one["activity"]["members"][0] == {"id": "ada", "name": "Ada"}
    wrong = await post(AGG, groupId="g", fields=["appicon"])
    assert refused(wrong)[2].startswith("fields: there is no appicon; there are identifier, name, ")
