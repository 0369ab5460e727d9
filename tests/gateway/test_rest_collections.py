"""The platform's calls about contents and collections: its paths, envelopes and codes (P-2.1, P-2.8, P-2.9)."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from gateway.identity import make_token
from gateway.rest.routes import ENDPOINTS
from gateway.settings import Settings
from ingest.publishing.direct import publish_collection
from ingest.publishing.publisher import Publisher
from loaders.session import Session, Shared
from resolvers import collections
from resolvers.publications import publication
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.jobs import JobState
from rules.viewers import Role
from tests.conftest import COURSE, LEAF, Instance
from tests.gateway.conftest import Serving
from tests.gateway.rest_calls import RestCalls
from tests.ingest.publications import run_publishers

BY_PUBLISHING = {
    *("status", "versionKey", "pkgVersion", "lastUpdatedOn", "lastUpdatedBy", "lastPublishedOn"),
    *("lastPublishedBy", "leafNodes", "leafNodesCount", "childNodes", "mimeTypesCount", "contentTypesCount"),
    *("totalCompressedSize", "downloadUrl", "variants"),
}
"""What an edit or a publish says anew of the collection and its units (P-2.9)."""
ENDED = (JobState.DONE, JobState.FAILED)
RESULTS = {(one.method, one.api_id): TypeAdapter(one.result) for one in ENDPOINTS}
V3, V4 = "/content/v3", "/collection/v4"

TEXTBOOK: dict[str, Any] = {
    "ownershipType": ["createdBy"],
    "copyright": "NCERT",
    "subject": ["Mathematics"],
    "identifier": "do_book",
    "channel": "0126",
    "mimeType": COLLECTION_MIME_TYPE,
    "lastUpdatedOn": "2021-03-01T05:54:02.345+0000",
    "name": "Ganit",
    "originData": {"identifier": "do_origin", "copyType": "deep"},
    "trackable": {"enabled": "Yes", "autoBatch": "No"},
    "children": [
        {
            "lastStatusChangedOn": "2021-03-01T05:54:02.345+0000",
            "parent": "do_book",
            "identifier": "do_unit1",
            "description": "Numbers — संख्या",
            "index": 1,
            "visibility": "Parent",
            "mimeType": COLLECTION_MIME_TYPE,
            "depth": 1,
            "name": "Unit 1",
            "dialcodes": ["A1B2C3"],
            "children": [
                {
                    "previewUrl": "https://example.org/a.pdf",
                    "identifier": "do_a",
                    "parent": "do_unit1",
                    "relationalMetadata": {"optional": True, "keywords": ["x"]},
                    "name": "A",
                    "mimeType": LEAF,
                    "size": 12345.5,
                    "depth": 2,
                    "index": 1,
                    "visibility": "Default",
                },
                {
                    "identifier": "do_b",
                    "parent": "do_unit1",
                    "name": "B",
                    "mimeType": LEAF,
                    "nothing": None,
                    "depth": 2,
                    "index": 2,
                },
            ],
        },
        {
            "identifier": "do_unit2",
            "parent": "do_book",
            "name": "Unit 2",
            "mimeType": COLLECTION_MIME_TYPE,
            "visibility": "Parent",
            "depth": 1,
            "index": 2,
            "children": [],
        },
    ],
    "status": "Live",
    "depth": 0,
    "index": 0,
    "pkgVersion": 3,
}
"""As the platform's read call answers a live tree: keys in no order that means anything."""


@dataclass(frozen=True)
class Calls:
    """``await calls.result("PATCH", f"{V3}/hierarchy/add", rootId=…)`` is an author's call."""

    client: httpx.AsyncClient
    settings: Settings

    @property
    def shared(self) -> Shared:
        shared: Shared = self.client.app.state.cohort.shared  # type: ignore[attr-defined]
        return shared

    def operator(self) -> Session:
        session: Session = self.client.app.state.cohort.operator()  # type: ignore[attr-defined]
        return session

    async def answer(
        self,
        method: str,
        path: str,
        *,
        role: Role | None = Role.CREATOR,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        body: Any = None,
        raw: bytes | None = None,
        **request: Any,
    ) -> httpx.Response:
        """Each answer is checked against what is declared of it."""
        sent = dict(headers or {})
        if role is not None:
            sent["Authorization"] = f"Bearer {make_token(self.settings, 'asha', [role], timedelta(hours=1))}"
        if method != "GET" and body is raw is None and (request or method != "DELETE"):
            body = {"params": {"msgid": "m-1"}, "request": request}
        answer = await self.client.request(method, path, json=body, content=raw, headers=sent, params=query)
        if answer.status_code == 304:
            return answer
        envelope = answer.json()
        assert envelope["ver"] == ("4.0" if "/collection/" in path else "3.0")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", envelope["ts"])
        if answer.status_code == 200:
            assert (envelope["responseCode"], envelope["params"]["status"]) == ("OK", "successful")
            assert envelope["params"]["err"] is envelope["params"]["errmsg"] is None
            RESULTS[method, envelope["id"]].validate_python(envelope["result"])
        else:
            assert envelope["params"]["status"] == "failed"
            assert envelope["result"].keys() <= {"messages"}
        return answer

    async def result(self, method: str, path: str, **more: Any) -> Any:
        answer = await self.answer(method, path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def refusal(self, method: str, path: str, **more: Any) -> tuple[int, str, str]:
        """Status, code and sentence."""
        answer = await self.answer(method, path, **more)
        params = answer.json()["params"]
        return answer.status_code, params["err"], params["errmsg"]

    async def tree(self, path: str, **more: Any) -> Any:
        return (await self.result("GET", path, **more))["content"]

    async def published(self, path: str, **more: Any) -> Any:
        """What is answered to a call that publishes; all publications are at their end then."""
        told = await self.result("POST", path, **more)
        publisher = Publisher(self.shared, wait=0.02)
        running = asyncio.create_task(publisher.run())
        try:
            async with asyncio.timeout(60):
                while (await publication(self.operator(), told["publicationId"])).state not in ENDED:
                    await asyncio.sleep(0.02)
        finally:
            publisher.stop()
            await running
        return told

    async def draft(self, identifier: str) -> Any:
        return await self.tree(f"{V3}/hierarchy/{identifier}", query={"mode": "edit"})


@pytest.fixture
async def calls(settings: Settings, serving: Serving) -> AsyncIterator[Calls]:
    async with serving(settings) as client:
        calls = Calls(client, settings)
        await publish_collection(calls.operator(), COURSE)
        yield calls


def ids(node: dict[str, Any]) -> list[str]:
    return [child["identifier"] for child in node["children"]]


def keys(node: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The keys of each node of a tree, in their order, from the top down."""
    found = [(node["identifier"], list(node))]
    for child in node.get("children", ()):
        found += keys(child)
    return found


def values(node: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Every value of a tree, by the way to it."""
    found: dict[str, Any] = {}
    for name, value in node.items():
        if name == "children":
            for child in value:
                found |= values(child, f"{path}/{child['identifier']}")
        else:
            found[f"{path}.{name}"] = value
    return found


# --- reading


@pytest.mark.parametrize(
    ("prefix", "version", "api_id"),
    [
        ("/content/v3", "3.0", "api.content.hierarchy.get"),
        ("/action/content/v3", "3.0", "api.content.hierarchy.get"),
        ("/course/v1", "3.0", "api.content.hierarchy.get"),
        ("/collection/v4", "4.0", "api.collection.hierarchy.get"),
        ("/collection/v1", "4.0", "api.collection.hierarchy.get"),
        ("/action/collection/v1", "4.0", "api.collection.hierarchy.get"),
    ],
)
async def test_a_live_tree_is_read_under_every_path_that_clients_use(
    calls: Calls, prefix: str, version: str, api_id: str
) -> None:
    answer = await calls.answer("GET", f"{prefix}/hierarchy/course", role=Role.LEARNER)
    envelope = answer.json()
    assert (envelope["id"], envelope["ver"], envelope["result"]) == (api_id, version, {"content": COURSE})


async def test_the_bytes_of_a_live_tree_are_passed_on(calls: Calls) -> None:
    answer = await calls.answer("GET", f"{V3}/hierarchy/course")
    library = calls.shared.library
    stored = (await collections.stored_tree(calls.operator(), await library.collection("course"))).data
    assert stored in answer.content


async def test_a_unit_is_found_below_its_collection_and_by_its_id_alone(calls: Calls) -> None:
    unit = COURSE["children"][1]
    assert await calls.tree(f"{V3}/hierarchy/course/unit-2") == unit
    assert await calls.tree(f"{V3}/hierarchy/unit-2") == unit
    assert (await calls.tree(f"{V3}/hierarchy/unit-2/c"))["name"] == "C"
    assert (
        await calls.tree(f"{V3}/hierarchy/unit-2", query={"mode": "edit"})
        == ((await calls.draft("course"))["children"][1])
    )


@pytest.mark.parametrize("mode", ["live", "edit"])
async def test_what_there_is_not_is_named_in_the_platforms_words(calls: Calls, mode: str) -> None:
    async def refusal(path: str) -> tuple[int, str, str]:
        return await calls.refusal("GET", f"{V3}/hierarchy/{path}", query={"mode": mode})

    assert await refusal("course/nix") == (404, "RESOURCE_NOT_FOUND", "bookmarkId nix does not exist")
    assert await refusal("nix") == (404, "RESOURCE_NOT_FOUND", "rootId nix does not exist")
    assert await refusal("a") == (404, "RESOURCE_NOT_FOUND", "rootId a does not exist")


async def test_a_retired_collection_is_not_read_any_more(calls: Calls) -> None:
    assert await calls.result("DELETE", f"{V3}/retire/course") == {
        "identifier": "course",
        "node_id": "course",
    }
    for path in ("course", "unit-1"):
        status, code, _ = await calls.refusal("GET", f"{V3}/hierarchy/{path}")
        assert (status, code) == (404, "RESOURCE_NOT_FOUND")


async def test_depth_says_how_many_levels_are_told(calls: Calls) -> None:
    path = f"{V3}/hierarchy/course"
    top = await calls.tree(path, query={"depth": "0"})
    assert top == {"identifier": "course", "name": "Course"}
    first = await calls.tree(path, query={"depth": "1"})
    assert first == {**top, "children": [{"identifier": f"unit-{n}", "name": f"Unit {n}"} for n in (1, 2)]}
    assert await calls.tree(path, query={"depth": "2"}) == COURSE
    below = await calls.tree(f"{path}/unit-1", query={"depth": "0", "mode": "edit"})
    assert (below["identifier"], "children" in below) == ("unit-1", False)
    assert (await calls.refusal("GET", path, query={"depth": "-1"}))[:2] == (400, "ERR_BAD_REQUEST")


async def test_learners_read_what_is_live_and_not_what_is_edited(calls: Calls) -> None:
    path = f"{V4}/hierarchy/course"
    status, code, message = await calls.refusal("GET", path, role=Role.LEARNER, query={"mode": "edit"})
    assert (status, code) == (403, "FORBIDDEN")
    assert "creator" in message
    assert (await calls.refusal("GET", path, role=None))[:2] == (401, "UNAUTHORIZED_USER")


async def test_who_has_the_live_version_gets_304_for_one_look_up(cohort: Instance) -> None:
    await cohort.publish()
    path = f"{V3}/hierarchy/course"

    async def asked(path: str = path, tag: str = "", **more: Any) -> httpx.Response:
        """By a process that has read nothing yet."""
        shared = Shared.of(cohort.stores, cohort.shared.now)
        return await RestCalls(cohort).answer(
            "GET", path, shared=shared, headers={"If-None-Match": tag}, **more
        )

    tag = (await asked()).headers["etag"]
    assert tag.startswith("W/"), "an envelope has a time and an id of its own"
    assert (await asked(f"{path}/unit-1")).headers["etag"] != tag
    assert (await asked(query={"depth": "1"})).headers["etag"] != tag
    with cohort.stores.rows.meter.measure() as statements:
        again = await asked(tag=tag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert statements.total() == 1
    await cohort.publish({**COURSE, "name": "Course, second edition"})
    fresh = await asked(tag=tag)
    assert fresh.status_code == 200
    assert fresh.json()["result"]["content"]["name"] == "Course, second edition"
    assert fresh.headers["etag"] != tag


async def test_a_tag_opens_nothing_for_who_has_no_token(calls: Calls) -> None:
    path = f"{V3}/hierarchy/course"
    tag = (await calls.answer("GET", path)).headers["etag"]
    assert (await calls.answer("GET", path, headers={"If-None-Match": tag}, role=None)).status_code == 401


async def test_an_edited_tree_has_a_tag_of_its_bytes(calls: Calls) -> None:
    path, query = f"{V3}/hierarchy/course", {"mode": "edit"}
    tag = (await calls.answer("GET", path, query=query)).headers["etag"]
    again = await calls.answer("GET", path, query=query, headers={"If-None-Match": tag})
    assert again.status_code == 304
    await calls.result("PATCH", f"{V3}/update/a", content={"author": "Ada"})
    changed = await calls.answer("GET", path, query=query, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.json()["result"]["content"]["children"][0]["children"][0]["author"] == "Ada"


# --- authoring from nothing


@pytest.mark.parametrize("prefix", [V4, "/collection/v1", "/action/collection/v1"])
async def test_an_author_makes_a_collection_by_rest_alone(calls: Calls, prefix: str) -> None:
    made = await calls.result(
        "POST",
        f"{prefix}/create",
        collection={"name": "Book", "mimeType": COLLECTION_MIME_TYPE, "code": "book", "subject": ["Maths"]},
    )
    book, key = made["identifier"], made["versionKey"]
    assert made == {"identifier": book, "node_id": book, "versionKey": key}
    leaf = (
        await calls.result(
            "POST", f"{V3}/create", content={"name": "Leaf", "mimeType": LEAF, "identifier": "do_leaf"}
        )
    )["identifier"]
    updated = await calls.result(
        "PATCH",
        f"{prefix}/hierarchy/update",
        data={
            "nodesModified": {
                book: {"root": True, "isNew": False},
                "tmp-1": {"isNew": True, "metadata": {"name": "Unit 1", "mimeType": COLLECTION_MIME_TYPE}},
            },
            "hierarchy": {
                book: {"root": True, "children": ["tmp-1"]},
                "tmp-1": {"name": "Unit 1", "children": [leaf]},
            },
            "lastUpdatedBy": "somebody",
        },
    )
    unit = updated["identifiers"]["tmp-1"]
    assert updated["content_id"] == book
    assert updated["versionKey"] != key
    tree = await calls.tree(f"{prefix}/hierarchy/{book}", query={"mode": "edit"})
    assert (tree["subject"], ids(tree), ids(tree["children"][0])) == (["Maths"], [unit], ["do_leaf"])
    assert tree["versionKey"] == updated["versionKey"]
    read = await calls.result("GET", f"{prefix}/read/{book}", query={"mode": "edit", "fields": "name,code"})
    assert read == {"collection": {"identifier": book, "name": "Book", "code": "book"}}


async def test_a_content_is_created_changed_read_and_retired(calls: Calls) -> None:
    made = await calls.result(
        "POST", f"{V3}/create", content={"name": "One", "mimeType": LEAF, "identifier": "do_one"}
    )
    changed = await calls.result(
        "PATCH",
        f"{V3}/update/do_one",
        content={"versionKey": made["versionKey"], "name": "Two", "board": "CBSE"},
    )
    assert changed["identifier"] == changed["node_id"] == "do_one"
    assert changed["versionKey"] != made["versionKey"]
    told = (await calls.result("GET", f"{V3}/read/do_one", query={"mode": "edit"}))["content"]
    assert (told["name"], told["board"], told["status"]) == ("Two", "CBSE", "Draft")
    assert told["versionKey"] == changed["versionKey"]
    assert (await calls.refusal("GET", f"{V3}/read/do_one"))[:2] == (404, "ERR_CONTENT_NOT_FOUND"), (
        "it is not published"
    )
    await calls.result("DELETE", f"{V3}/retire/do_one")
    told = (await calls.result("GET", f"{V3}/read/do_one", query={"mode": "edit"}))["content"]
    assert told["status"] == "Retired"


async def test_a_published_content_is_read_with_all_that_was_published_of_it(calls: Calls) -> None:
    await publish_collection(calls.operator(), TEXTBOOK)
    leaf = TEXTBOOK["children"][0]["children"][0]
    told = (await calls.result("GET", f"{V3}/read/do_a", role=Role.LEARNER))["content"]
    assert {**leaf, **told} == told
    book = (await calls.result("GET", f"{V4}/read/do_book"))["collection"]
    assert book["trackable"] == TEXTBOOK["trackable"]
    assert "children" not in book
    some = await calls.result("GET", f"{V3}/read/do_a", query={"fields": "size, nix"})
    assert some == {"content": {"identifier": "do_a", "size": 12345.5}}


async def test_wrong_metadata_is_refused_with_the_sentence_in_messages(calls: Calls) -> None:
    answer = await calls.answer("POST", f"{V3}/create", content={"mimeType": LEAF})
    assert answer.status_code == 400
    envelope = answer.json()
    assert (envelope["responseCode"], envelope["params"]["err"]) == ("CLIENT_ERROR", "CLIENT_ERROR")
    assert envelope["result"] == {"messages": ["Required Metadata name not set"]}
    assert envelope["params"]["msgid"] == "m-1"
    for wrong in ({"status": "Live"}, {"mimeType": COLLECTION_MIME_TYPE}, {"name": " "}, {"versionKey": 7}):
        assert (await calls.refusal("PATCH", f"{V3}/update/a", content=wrong))[:2] == (400, "CLIENT_ERROR")
    assert (
        await calls.refusal("POST", f"{V4}/create", collection={"name": "Video", "mimeType": "video/mp4"})
    )[:2] == (400, "CLIENT_ERROR")


# --- editing


async def test_children_are_added_behind_the_others_and_removed_by_a_delete_with_a_body(calls: Calls) -> None:
    edit = {"rootId": "course", "unitId": "unit-1"}
    added = await calls.result(
        "PATCH",
        f"{V3}/hierarchy/add",
        **edit,
        children=["c", "d"],
        relationalMetadata={"c": {"optional": True}},
    )
    assert added == {"rootId": "course", "unit-1": ["c", "d"]}
    unit = (await calls.draft("course"))["children"][0]
    assert ids(unit) == ["a", "b", "c", "d"]
    assert unit["children"][2]["relationalMetadata"] == {"optional": True}
    removed = await calls.result("DELETE", f"{V3}/hierarchy/remove", **edit, children=["a", "c"])
    assert removed == {"rootId": "course"}
    tree = await calls.draft("course")
    assert [ids(unit) for unit in tree["children"]] == [["b", "d"], ["b", "c", "d"]], "siblings stay"
    assert await calls.tree(f"{V3}/hierarchy/course") == COURSE, "learners see it once it is published"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"unitId": "unit-1", "children": ["a"]}, "rootId is mandatory"),
        ({"rootId": " ", "unitId": "unit-1", "children": ["a"]}, "rootId is mandatory"),
        ({"rootId": "course", "children": ["a"]}, "unitId is mandatory"),
        ({"rootId": "course", "unitId": "", "children": ["a"]}, "unitId is mandatory"),
        ({"rootId": "course", "unitId": "unit-1"}, "children are mandatory"),
        ({"rootId": "course", "unitId": "unit-1", "children": []}, "children are mandatory"),
    ],
)
@pytest.mark.parametrize("call", ["PATCH /hierarchy/add", "DELETE /hierarchy/remove"])
async def test_what_is_mandatory_is_said_in_the_platforms_words(
    calls: Calls, call: str, given: dict[str, Any], message: str
) -> None:
    method, path = call.split()
    assert await calls.refusal(method, V4 + path, **given) == (400, "ERR_BAD_REQUEST", message)


async def test_a_delete_by_a_body_needs_one(calls: Calls) -> None:
    status, code, _ = await calls.refusal("DELETE", f"{V3}/hierarchy/remove")
    assert (status, code) == (400, "ERR_BAD_REQUEST")
    status, code, message = await calls.refusal(
        "DELETE", f"{V3}/retire/course", body={"request": {"content": {}}}
    )
    assert (status, code) == (400, "CLIENT_ERROR")
    assert "has no body" in message


async def test_ids_that_there_are_not_are_named_in_the_platforms_words(calls: Calls) -> None:
    async def add(root: str, unit: str, *children: str) -> tuple[int, str, str]:
        path = f"{V4}/hierarchy/add"
        return await calls.refusal("PATCH", path, rootId=root, unitId=unit, children=children)

    assert await add("nix", "unit-1", "a") == (404, "RESOURCE_NOT_FOUND", "rootId nix does not exist")
    assert await add("course", "nix", "a") == (404, "RESOURCE_NOT_FOUND", "unitId nix does not exist")
    assert await add("course", "unit-1", "nix", "x") == (
        400,
        "ERR_BAD_REQUEST",
        "Children which are not available are: [nix, x]",
    )
    status, code, _ = await add("a", "unit-1", "b")
    assert (status, code) == (400, "ERR_INVALID_ROOT_ID"), "a content has no children"


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (None, "ERR_BAD_REQUEST", "Hierarchy data is empty"),
        ({}, "ERR_BAD_REQUEST", "Hierarchy data is empty"),
        ({"nodesModified": {}, "hierarchy": {}}, "ERR_BAD_REQUEST", "Hierarchy data is empty"),
        (
            {"nodesModified": {"unit-1": {"metadata": {"name": "New"}}}},
            "ERR_INVALID_ROOT_ID",
            "Please Provide Valid Root Node Identifier",
        ),
        ({"hierarchy": {"course": {"root": True, "children": ["unit-1", "unit-1"]}}}, None, None),
        ({"hierarchy": {"course": {"root": True}, "a": {"children": ["b"]}}}, "ERR_INVALID_CHILDREN", None),
    ],
)
async def test_updates_that_make_no_sense_are_refused_and_change_nothing(
    calls: Calls, data: Any, code: str | None, message: str | None
) -> None:
    before = await calls.draft("course")
    request = {} if data is None else {"data": data}
    status, got, told = await calls.refusal("PATCH", f"{V3}/hierarchy/update", **request)
    assert status == 400
    assert code is None or got == code
    assert message is None or told == message
    assert await calls.draft("course") == before


@pytest.mark.parametrize("origin", [{"copyType": "shallow"}, '{"copyType": "shallow"}'])
async def test_a_shallow_copy_refuses_every_change_of_its_tree(calls: Calls, origin: Any) -> None:
    await publish_collection(calls.operator(), {**COURSE, "originData": origin})
    edit = {"rootId": "course", "unitId": "unit-1", "children": ["c"]}
    data = {"hierarchy": {"course": {"root": True, "children": ["unit-1"]}}}
    for method, call, request, code in (
        ("PATCH", "add", edit, "ERR_ADD_HIERARCHY_DENIED"),
        ("DELETE", "remove", edit, "ERR_REMOVE_HIERARCHY_DENIED"),
        ("PATCH", "update", {"data": data}, "ERR_HIERARCHY_UPDATE_DENIED"),
    ):
        assert (await calls.refusal(method, f"{V3}/hierarchy/{call}", **request))[:2] == (400, code)
    assert await calls.tree(f"{V3}/hierarchy/course") == {**COURSE, "originData": origin}
    await calls.result("PATCH", f"{V3}/update/course", content={"board": "CBSE"})


async def test_the_second_of_two_editors_is_told_that_the_draft_is_another_one(calls: Calls) -> None:
    key = (await calls.draft("course"))["versionKey"]
    edit = {"rootId": "course", "unitId": "unit-1", "versionKey": key}
    await calls.result("PATCH", f"{V3}/hierarchy/add", **edit, children=["c"])
    stale = (400, "ERR_STALE_VERSION_KEY")
    assert (await calls.refusal("PATCH", f"{V3}/hierarchy/add", **edit, children=["d"]))[:2] == stale
    changes = {"versionKey": key, "board": "CBSE"}
    assert (await calls.refusal("PATCH", f"{V3}/update/course", content=changes))[:2] == stale
    assert ids((await calls.draft("course"))["children"][0]) == ["a", "b", "c"]


async def test_a_relation_is_changed_and_published_ones_are_looked_for(calls: Calls) -> None:
    path = f"{V4}/hierarchy/update/relation"
    changed = await calls.result(
        "POST", f"{path}/course", unitId="unit-2", childId="c", relationalMetadata={"optional": True}
    )
    assert changed == {"rootId": "course"}
    unit = (await calls.draft("course"))["children"][1]
    assert unit["children"][1]["relationalMetadata"] == {"optional": True}
    assert await calls.result("POST", f"{path}/course") == {"rootId": "course"}
    for empty in (b"", b"{}", b'{"request": null}'):
        answer = await calls.answer("POST", f"{path}/course", raw=empty)
        assert answer.json()["result"] == {"rootId": "course"}
    assert (await calls.answer("POST", f"{path}/course", raw=b"[]")).status_code == 400
    assert await calls.refusal("POST", f"{path}/nix") == (
        404,
        "RESOURCE_NOT_FOUND",
        "Hierarchy is empty for rootId: nix",
    )
    status, code, _ = await calls.refusal("POST", f"{path}/course", unitId="unit-1", childId="nix")
    assert (status, code) == (404, "RESOURCE_NOT_FOUND")


async def test_learners_change_nothing(calls: Calls) -> None:
    edit = {"rootId": "course", "unitId": "unit-1", "children": ["a"]}
    for method, path, request in (
        ("POST", f"{V3}/create", {"content": {"name": "X", "mimeType": LEAF}}),
        ("PATCH", f"{V3}/update/a", {"content": {"name": "X"}}),
        ("DELETE", f"{V3}/retire/a", {}),
        ("POST", f"{V3}/publish/course", {"content": {}}),
        ("PATCH", f"{V3}/hierarchy/add", edit),
        ("DELETE", f"{V3}/hierarchy/remove", edit),
        ("PATCH", f"{V3}/hierarchy/update", {"data": {"hierarchy": {"course": {"root": True}}}}),
        ("POST", f"{V4}/hierarchy/update/relation/course", {"childId": "unit-1"}),
    ):
        refusal = await calls.refusal(method, path, role=Role.LEARNER, **request)
        assert refusal[:2] == (403, "FORBIDDEN"), path


# --- publishing


@pytest.mark.parametrize("prefix", [V3, "/content/v1", "/action/content/v3", V4, "/collection/v1"])
async def test_a_collection_is_published_and_learners_read_it(calls: Calls, prefix: str) -> None:
    edit = {"rootId": "course", "unitId": "unit-1", "children": ["c"]}
    await calls.result("PATCH", f"{V3}/hierarchy/add", **edit)
    key = (await calls.draft("course"))["versionKey"]
    noun = "collection" if "/collection/" in prefix else "content"
    told = await calls.published(
        f"{prefix}/publish/course", **{noun: {"lastPublishedBy": "asha", "publishChecklist": ["Checked"]}}
    )
    assert told == {
        "identifier": "course",
        "node_id": "course",
        "content_id": "course",
        "versionKey": key,
        "publishStatus": "Publish Operation for Content Id 'course' Started Successfully!",
        "publicationId": told["publicationId"],
    }
    live = await calls.tree(f"{V3}/hierarchy/course", role=Role.LEARNER)
    assert (live["status"], ids(live["children"][0])) == ("Live", ["a", "b", "c"])


async def test_an_author_publishes_what_was_made_by_rest_alone(calls: Calls) -> None:
    leaf = {"name": "Leaf", "mimeType": LEAF, "identifier": "do_leaf"}
    await calls.result("POST", f"{V3}/create", content=leaf)
    await calls.published(f"{V3}/publish/do_leaf")
    assert (await calls.result("GET", f"{V3}/read/do_leaf", role=Role.LEARNER))["content"]["name"] == "Leaf"
    book = {"name": "Book", "mimeType": COLLECTION_MIME_TYPE, "identifier": "do_new"}
    await calls.result("POST", f"{V4}/create", collection=book)
    await calls.result("PATCH", f"{V4}/hierarchy/add", rootId="do_new", unitId="do_new", children=["do_leaf"])
    await calls.published(f"{V4}/unlisted/publish/do_new")
    live = await calls.tree(f"{V4}/hierarchy/do_new", role=Role.LEARNER)
    assert (live["status"], ids(live)) == ("Unlisted", ["do_leaf"])


async def test_what_may_not_be_published_is_refused(calls: Calls) -> None:
    async def refusal(path: str, **more: Any) -> tuple[int, str]:
        return (await calls.refusal("POST", f"{V4}/{path}", **more))[:2]

    assert await refusal("publish/nix") == (404, "ERR_CONTENT_NOT_FOUND")
    assert await refusal("publish/course", role=Role.LEARNER) == (403, "FORBIDDEN")
    stale = {"collection": {"versionKey": "older"}}
    assert await refusal("publish/course", **stale) == (400, "ERR_STALE_VERSION_KEY")
    await calls.result("DELETE", f"{V4}/retire/course")
    assert await refusal("publish/course") == (400, "ERR_BAD_REQUEST")


# --- the other way round


async def test_a_tree_of_the_platform_keeps_every_key_through_an_edit_and_a_publish(cohort: Instance) -> None:
    """Loaded, edited in part, published, read back: what was not edited is still there, in its order."""
    await cohort.publish(TEXTBOOK)
    author = partial(RestCalls(cohort).result, user="asha", role=Role.CREATOR)
    changes = {"do_unit1": {"metadata": {"description": "Counting", "theme": "numbers"}}}
    await author(
        "PATCH",
        f"{V3}/hierarchy/update",
        data={"nodesModified": {"do_book": {"root": True}, **changes}, "hierarchy": {}},
    )
    await author("POST", f"{V3}/publish/do_book", content={"lastPublishedBy": "asha"})
    await run_publishers(cohort)
    read = (await RestCalls(cohort).result("GET", f"{V3}/hierarchy/do_book"))["content"]

    before, after = values(TEXTBOOK), values(read)
    edited = {"/do_unit1.description": "Counting", "/do_unit1.theme": "numbers"}

    def kept(way: str) -> bool:
        """Whether neither the edit nor a publish writes it."""
        return way not in edited and way.rpartition(".")[2] not in BY_PUBLISHING

    assert {way: after.get(way) for way in filter(kept, before)} == {
        way: value for way, value in before.items() if kept(way)
    }
    assert {way: after[way] for way in edited} == edited
    assert [way for way in after.keys() - before.keys() if kept(way)] == []
    was, now = dict(keys(TEXTBOOK)), dict(keys(read))
    assert list(now) == list(was)
    for node, names in was.items():
        assert [name for name in now[node] if name in names] == names, "in their order"
    assert read["children"][0]["children"] == TEXTBOOK["children"][0]["children"], "leaves are as they were"
