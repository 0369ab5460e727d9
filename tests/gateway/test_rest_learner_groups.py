"""The platform's calls about groups: its paths, envelopes and codes (P-2.1, P-2.6)."""

import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.identity import make_token
from gateway.rest.nouns.learner_groups.answers import ACTIVITY_CODES, MEMBER_CODES
from gateway.rest.nouns.learner_groups.endpoints import CODES
from gateway.settings import Settings, load_settings
from ingest.publishing.direct import publish_collection
from rules.errors import StoreUnavailable
from rules.viewers import Role
from tests.conftest import COURSE
from tests.gateway.conftest import KEY, Serving

Caller = Callable[..., Any]


def token(settings: Settings, user: str, *roles: Role) -> str:
    return make_token(settings, user, roles or [Role.LEARNER], timedelta(hours=1))


@pytest.fixture
async def client(settings: Settings, serving: Serving) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings) as client:
        await publish_collection(client.app.state.cohort.operator(), COURSE)  # type: ignore[attr-defined]
        yield client


@pytest.fixture
def call(client: httpx.AsyncClient, settings: Settings) -> Caller:
    """``await call("POST", "create", user="ada", name=…)``: the answer, of whatever status."""

    async def send(
        method: str, path: str, user: str | None = "ada", prefix: str = "/v1/group", **request: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token(settings, user)}"} if user else {}
        body = None if method == "GET" else {"params": {"msgid": "m-1"}, "request": request}
        return await client.request(method, f"{prefix}/{path}", json=body, headers=headers)

    return send


async def created(call: Caller, *others: str) -> str:
    answer = await call("POST", "create", name="Class 7", members=[{"userId": other} for other in others])
    assert answer.status_code == 200, answer.text
    group_id: str = answer.json()["result"]["groupId"]
    return group_id


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error that is one in every part of its envelope."""
    envelope = answer.json()
    assert envelope["params"]["err"] == envelope["params"]["status"]
    assert envelope["params"]["errmsg"]
    assert envelope["result"] == {}
    assert envelope["responseCode"] == {
        404: "RESOURCE_NOT_FOUND",
        500: "SERVER_ERROR",
        503: "SERVER_ERROR",
    }.get(answer.status_code, "CLIENT_ERROR")
    return answer.status_code, envelope["params"]["err"]


async def test_answers_come_in_the_platforms_envelope(call: Caller) -> None:
    answer = (await call("POST", "create", name="Class 7")).json()
    assert set(answer) == {"id", "ver", "ts", "params", "responseCode", "result"}
    assert (answer["id"], answer["ver"], answer["responseCode"]) == ("api.group.create", "v1", "OK")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}\+0000", answer["ts"])
    params = answer["params"]
    assert params == {
        "resmsgid": params["resmsgid"],
        "msgid": "m-1",
        "err": None,
        "status": "success",
        "errmsg": None,
    }
    assert list(answer["result"]) == ["groupId"]


@pytest.mark.parametrize("prefix", ["/v1/group", "/group/v1"])
async def test_a_group_is_created_read_listed_and_deleted_under_both_prefixes(
    call: Caller, prefix: str
) -> None:
    made = await call(
        "POST",
        "create",
        prefix=prefix,
        name="Class 7",
        description="All of us",
        membershipType="invite_only",
        members=[{"userId": "bob", "role": "member"}],
        activities=[{"id": "course", "type": "Course"}, {"id": "q", "type": "Quiz"}],
    )
    group_id = made.json()["result"]["groupId"]
    told = (await call("GET", f"read/{group_id}?fields=members,activities", prefix=prefix)).json()["result"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}\+0000", told["createdOn"])
    base = {
        "id": group_id,
        "name": "Class 7",
        "description": "All of us",
        "status": "active",
        "membershipType": "invite_only",
        "createdBy": "ada",
        "createdOn": told["createdOn"],
        "updatedBy": "",
        "updatedOn": None,
    }
    joined = told["members"][0]["createdOn"]
    published = told["activities"][0]["activityInfo"]["lastPublishedOn"]
    assert told == {
        **base,
        "members": [
            {
                "userId": user,
                "groupId": group_id,
                "role": role,
                "status": "active",
                "createdBy": "ada",
                "createdOn": joined,
                "updatedBy": "",
                "updatedOn": None,
                "visited": False,
                "invited": user == "bob",
                "name": "",
            }
            for user, role in (("ada", "admin"), ("bob", "member"))
        ],
        "activities": [
            {
                "id": "course",
                "type": "Course",
                "activityInfo": {
                    "identifier": "course",
                    "name": "Course",
                    "status": "Live",
                    "leafNodesCount": 4,
                    "lastPublishedOn": published,
                },
            },
            {"id": "q", "type": "Quiz"},
        ],
    }
    assert (await call("GET", f"read/{group_id}", prefix=prefix)).json()["result"] == base
    listed = await call("POST", "list", prefix=prefix, user="bob", filters={"userId": "bob"})
    assert listed.json()["result"] == {
        "group": [{**base, "memberRole": "member", "visited": False, "invited": True}]
    }
    assert (await call("POST", "delete", prefix=prefix, groupId=group_id)).json()["result"] == {
        "response": "success"
    }
    assert refused(await call("GET", f"read/{group_id}", prefix=prefix)) == (404, "GS_RED07")


async def test_what_was_published_of_an_activity_is_its_information(
    call: Caller, client: httpx.AsyncClient
) -> None:
    more = {"contentType": "Course", "primaryCategory": "Course", "appIcon": "icon.png"}
    operator = client.app.state.cohort.operator()  # type: ignore[attr-defined]
    await publish_collection(operator, {**COURSE, **more})
    made = await call("POST", "create", name="Class 7", activities=[{"id": "course", "type": "Course"}])
    group_id = made.json()["result"]["groupId"]
    told = (await call("GET", f"read/{group_id}?fields=activities")).json()["result"]
    info = told["activities"][0]["activityInfo"]
    assert {name: info[name] for name in more} == more
    assert "children" not in info
    wrong = await call("GET", f"read/{group_id}?fields=members,activity")
    assert refused(wrong) == (400, "GS_RED02")
    assert wrong.json()["params"]["errmsg"] == "fields: there is no activity; there are members, activities"


async def test_groups_that_a_learner_leads_come_first(call: Caller) -> None:
    theirs, own = [await created(call, "bob") for _ in range(3)], "Bob's"
    await call("POST", "create", user="bob", name=own)
    listed = (await call("POST", "list", user="bob", filters={"userId": "bob"})).json()["result"]["group"]
    assert [group["memberRole"] for group in listed] == ["admin", "member", "member", "member"]
    assert listed[0]["name"] == own
    assert {group["id"] for group in listed[1:]} == set(theirs)


async def test_an_update_says_item_by_item_what_was_refused(call: Caller) -> None:
    group_id = await created(call, "bob")
    answer = await call(
        "PATCH",
        "update",
        groupId=group_id,
        name="Class 8",
        members={
            "add": [{"userId": "eve"}, {"userId": "bob", "role": "admin"}],
            "edit": [{"userId": "zoe", "role": "admin"}],
            "remove": ["bob"],
        },
        activities={"add": [{"id": "nowhere", "type": "Course"}, {"id": "q", "type": "Quiz"}], "remove": []},
    )
    assert answer.status_code == 200
    result = answer.json()["result"]
    errors = {
        kind: [{key: value for key, value in item.items() if key != "errorMessage"} for item in items]
        for kind, items in result["error"].items()
    }
    assert result["response"] == "success"
    assert errors == {
        "members": [
            {"userId": "bob", "errorCode": "MEMBER_EXISTS"},
            {"userId": "zoe", "errorCode": "MEMBER_NOT_FOUND"},
        ],
        "activities": [{"id": "nowhere", "errorCode": "NOT_FOUND"}],
    }
    told = (await call("GET", f"read/{group_id}?fields=members,activities")).json()["result"]
    assert [member["userId"] for member in told["members"]] == ["ada", "eve"]
    assert (told["name"], told["activities"]) == ("Class 8", [{"id": "q", "type": "Quiz"}])
    fine = await call("PATCH", "update", groupId=group_id, members={"remove": ["eve"]})
    assert fine.json()["result"] == {"response": "success"}


async def test_a_status_suspends_reactivates_and_deletes(call: Caller) -> None:
    group_id = await created(call)
    for status in ("suspended", "active"):
        assert (await call("PATCH", "update", groupId=group_id, status=status)).status_code == 200
        assert (await call("GET", f"read/{group_id}")).json()["result"]["status"] == status
    await call("PATCH", "update", groupId=group_id, status="suspended")
    assert refused(await call("PATCH", "update", groupId=group_id, name="New")) == (400, "GS_UDT08")
    renamed = await call("PATCH", "update", groupId=group_id, status="active", name="New")
    assert renamed.status_code == 200
    assert (await call("PATCH", "update", groupId=group_id, status="inactive")).status_code == 200
    assert refused(await call("GET", f"read/{group_id}")) == (404, "GS_RED07")


async def test_a_member_leaves_by_removing_themselves(call: Caller) -> None:
    group_id = await created(call, "bob")
    left = await call("PATCH", "update", user="bob", groupId=group_id, members={"remove": ["bob"]})
    assert left.status_code == 200
    assert refused(await call("GET", f"read/{group_id}", user="bob")) == (401, "GS_RED01")


async def test_a_member_marks_their_groups_as_visited(call: Caller) -> None:
    group_id = await created(call, "bob")
    groups = [{"groupId": group_id, "visited": True}]
    marked = await call("PATCH", "membership/update", user="bob", userId="bob", groups=groups)
    assert (marked.status_code, marked.json()["result"]) == (200, {"response": "success"})
    listed = (await call("POST", "list", user="bob", filters={"userId": "bob"})).json()["result"]["group"]
    assert listed[0]["visited"]
    for user_id, what in (("ada", groups), ("bob", [{"groupId": group_id, "role": "admin"}])):
        answer = await call("PATCH", "membership/update", user="bob", userId=user_id, groups=what)
        assert refused(answer) == (401, "GS_MBRSHP_UDT01")
    for wrong in ([{"visited": True}], groups * 501):
        answer = await call("PATCH", "membership/update", user="bob", userId="bob", groups=wrong)
        assert refused(answer) == (400, "GS_MBRSHP_UDT02")


@pytest.mark.parametrize(
    ("method", "path", "request_", "field"),
    [
        ("POST", "create", {}, "name"),
        ("POST", "create", {"name": 7}, "name"),
        ("POST", "create", {"name": "x", "members": {}}, "members"),
        ("POST", "create", {"name": "x", "members": ["bob"]}, "members[0]"),
        ("POST", "create", {"name": "x", "members": [{"role": "admin"}]}, "members[0].userId"),
        ("POST", "create", {"name": "x", "members": [{"userId": "b", "role": "boss"}]}, "members[0].role"),
        ("POST", "create", {"name": "x", "membershipType": "open"}, "membershipType"),
        ("POST", "list", {}, "filters"),
        ("POST", "list", {"filters": {}}, "filters.userId"),
        ("POST", "list", {"filters": []}, "filters"),
        ("PATCH", "update", {}, "groupId"),
        ("PATCH", "update", {"groupId": "g", "status": "gone"}, "status"),
        ("PATCH", "update", {"groupId": "g", "members": {"remove": [1]}}, "members.remove"),
        ("PATCH", "update", {"groupId": "g", "members": {"edit": [{"userId": "b"}]}}, "members.edit[0].role"),
        ("PATCH", "update", {"groupId": "g", "activities": {"add": [{"id": "x"}]}}, "activities.add[0].type"),
        ("POST", "delete", {}, "groupId"),
    ],
)
async def test_a_field_that_is_missing_or_wrong_is_named(
    call: Caller, method: str, path: str, request_: dict[str, Any], field: str
) -> None:
    codes = {"create": "GS_CRT02", "list": "GS_LST02", "update": "GS_UDT02", "delete": "GS_DLT02"}
    answer = await call(method, path, **request_)
    assert refused(answer) == (400, codes[path])
    assert answer.json()["params"]["errmsg"].startswith(field)


async def test_a_body_must_be_an_object_with_a_request(client: httpx.AsyncClient, settings: Settings) -> None:
    headers = {"Authorization": f"Bearer {token(settings, 'ada')}"}
    for body in (b"", b"[]", b"{}", b'{"request": []}', b"{"):
        answer = await client.post("/v1/group/create", content=body, headers=headers)
        assert refused(answer) == (400, "GS_CRT02")


async def test_who_asks_is_told_by_either_token(client: httpx.AsyncClient, settings: Settings) -> None:
    async def create(**headers: str) -> httpx.Response:
        return await client.post("/v1/group/create", json={"request": {"name": "x"}}, headers=headers)

    assert refused(await create()) == (401, "GS_UNAUTHORIZED")
    assert refused(await create(Authorization="Bearer broken")) == (401, "GS_UNAUTHORIZED")
    ada, app = token(settings, "ada"), f"Bearer {token(settings, 'app')}"
    both = await create(**{"Authorization": app, "x-authenticated-user-token": ada})
    group_id = both.json()["result"]["groupId"]
    read = await client.get(f"/v1/group/read/{group_id}", headers={"x-authenticated-user-token": ada})
    assert read.json()["result"]["createdBy"] == "ada", "the user's own token goes before the application's"


async def test_who_may_not_gets_the_code_of_the_call(call: Caller) -> None:
    group_id = await created(call, "bob")
    assert refused(await call("PATCH", "update", user="bob", groupId=group_id, name="x")) == (401, "GS_UDT09")
    assert refused(await call("POST", "delete", user="bob", groupId=group_id)) == (401, "GS_DLT10")
    assert refused(await call("GET", f"read/{group_id}", user="eve")) == (401, "GS_RED01")
    assert refused(await call("POST", "list", user="eve", filters={"userId": "bob"})) == (401, "GS_LST01")
    assert refused(await call("PATCH", "update", groupId="unknown", name="x")) == (404, "GS_UDT07")
    assert refused(await call("POST", "delete", groupId="unknown")) == (404, "GS_DLT07")


async def test_limits_are_those_of_the_settings_and_have_codes(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, group_members=2, group_activities=1, groups_per_learner=1)
    headers = {"Authorization": f"Bearer {token(settings, 'ada')}"}
    async with serving(settings) as client:

        async def send(method: str, path: str, **request: Any) -> httpx.Response:
            return await client.request(
                method, f"/v1/group/{path}", json={"request": request}, headers=headers
            )

        three = [{"userId": "bob"}, {"userId": "eve"}]
        two = [{"id": "p", "type": "Quiz"}, {"id": "q", "type": "Quiz"}]
        assert refused(await send("POST", "create", name="x", members=three)) == (400, "GS_CRT05")
        assert refused(await send("POST", "create", name="x", activities=two)) == (400, "GS_CRT06")
        group_id = (await send("POST", "create", name="x")).json()["result"]["groupId"]
        assert refused(await send("POST", "create", name="y")) == (400, "GS_CRT04")
        update = {"groupId": group_id, "members": {"add": three}, "activities": {"add": two}}
        error = (await send("PATCH", "update", **update)).json()["result"]["error"]
    assert [(item["userId"], item["errorCode"]) for item in error["members"]] == [("eve", "GS_UDT05")]
    assert [(item["id"], item["errorCode"]) for item in error["activities"]] == [("q", "GS_UDT06")]


async def test_a_store_that_is_away_and_a_fault_show_nothing_of_the_inside(
    call: Caller, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id = await created(call)
    for error, expected in ((StoreUnavailable("rows are away"), 503), (RuntimeError("a secret"), 500)):

        async def broken(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr("resolvers.learner_groups.group", broken)
        answer = await call("GET", f"read/{group_id}")
        assert refused(answer) == (expected, "GS_RED03")
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text


async def test_a_group_that_did_not_change_is_not_sent_again(
    call: Caller, client: httpx.AsyncClient, settings: Settings
) -> None:
    group_id = await created(call)
    first = await call("GET", f"read/{group_id}")
    headers = {"Authorization": f"Bearer {token(settings, 'ada')}", "If-None-Match": first.headers["etag"]}
    assert (await client.get(f"/v1/group/read/{group_id}", headers=headers)).status_code == 304
    await call("PATCH", "update", groupId=group_id, name="New")
    changed = await client.get(f"/v1/group/read/{group_id}", headers=headers)
    assert changed.json()["result"]["name"] == "New"


def test_the_page_about_the_calls_has_every_code_and_no_other() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    page = text.split("### Groups over REST")[1].split("## Changing")[0]
    codes = {code for of_call in CODES.values() for code in of_call.values()}
    codes |= {
        *MEMBER_CODES.values(),
        *ACTIVITY_CODES.values(),
        "GS_UDT01",
        "GS_DLT01",
    }  # those it does without
    assert set(re.findall(r"`((?:GS|MEMBER)_\w+)`", page)) == codes
