"""What authors do through GraphQL, and the typed errors of what they can't."""

from typing import Any

import pytest

from loaders.session import Session
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.viewers import Role
from tests.conftest import LEAF, Instance
from tests.graph.conftest import code, data
from tests.ingest.drafting import children, tree_of, write_leaves
from tests.ingest.publications import run_publishers

CONTENT = """content { identifier name kind status versionKey version mimeType createdBy createdOn updatedBy updatedOn metadata }
    errors { code field message }"""
TREE = (
    "content { status versionKey } identifiers { temporary identifier } removed errors { code field message }"
)
ANSWERS = {
    **dict.fromkeys(("createContent", "createCollection", "updateContent"), CONTENT),
    **dict.fromkeys(
        ("updateHierarchy", "addChildren", "removeChildren", "updateRelation", "reorderChildren"), TREE
    ),
}


async def call(session: Session, name: str, /, **given: Any) -> Any:
    kind = f"{name[0].upper()}{name[1:]}Input"
    document = f"mutation ($input: {kind}!) {{ {name}(input: $input) {{ {ANSWERS[name]} }} }}"
    return (await data(session, document, input=given))[name]


def cleo(instance: Instance) -> Session:
    return instance.session("cleo", Role.CREATOR)


async def test_a_content_is_created_changed_and_retired(course: Instance) -> None:
    session = cleo(course)
    wanted = {
        "identifier": "quiz",
        "name": " Quiz ",
        "mimeType": LEAF,
        "gradeLevel": ["Class 8"],
        "license": None,
        "metadata": {"maxScore": 10},
    }
    made = await call(session, "createContent", **wanted)
    key = made["content"]["versionKey"]
    assert made == {
        "content": {
            "identifier": "quiz",
            "name": "Quiz",
            "kind": "CONTENT",
            "status": "Draft",
            "versionKey": key,
            "version": None,
            "mimeType": LEAF,
            "createdBy": "cleo",
            "createdOn": "2026-03-01T12:00:00.000Z",
            "updatedBy": None,
            "updatedOn": None,
            "metadata": {
                "identifier": "quiz",
                "name": "Quiz",
                "mimeType": LEAF,
                "gradeLevel": ["Class 8"],
                "maxScore": 10,
                "visibility": "Default",
            },
        },
        "errors": [],
    }
    assert await call(session, "createContent", **wanted) == made
    changed = await call(
        session,
        "updateContent",
        identifier="quiz",
        versionKey=key,
        gradeLevel=None,
        appIcon="https://cdn.example/i.png",
    )
    assert changed["content"]["metadata"] == {
        "identifier": "quiz",
        "name": "Quiz",
        "mimeType": LEAF,
        "maxScore": 10,
        "visibility": "Default",
        "appIcon": "https://cdn.example/i.png",
    }
    late = await call(session, "updateContent", identifier="quiz", versionKey=key, name="Late")
    assert (late["content"], late["errors"][0]["code"], late["errors"][0]["field"]) == (
        None,
        "CONFLICT",
        "versionKey",
    )
    retired = await data(
        session, 'mutation { retireContent(identifier: "quiz") { content { status } errors { code } } }'
    )
    assert retired["retireContent"] == {"content": {"status": "Retired"}, "errors": []}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": None}, "name"),
        ({"metadata": {"status": "Live"}}, "status"),
        ({"metadata": [1]}, "metadata"),
        ({"name": "A", "metadata": {"name": "B"}}, "metadata"),
        ({"appIcon": "ftp://x"}, "appIcon"),
    ],
)
async def test_a_change_that_can_t_be_right_names_its_field(
    published: Instance, given: dict[str, Any], field: str
) -> None:
    payload = await call(cleo(published), "updateContent", identifier="course", **given)
    assert (payload["content"], [(e["code"], e["field"]) for e in payload["errors"]]) == (
        None,
        [("INVALID_INPUT", field)],
    )


async def test_a_collection_is_built_from_nothing(published: Instance) -> None:
    session = cleo(published)
    made = (await call(session, "createCollection", name="Book", board="CBSE"))["content"]
    book = made["identifier"]
    assert (made["kind"], made["mimeType"], made["metadata"]["board"]) == (
        "COLLECTION",
        COLLECTION_MIME_TYPE,
        "CBSE",
    )
    await write_leaves(published.shared, "e", "f")
    built = await call(
        session,
        "updateHierarchy",
        rootId=book,
        versionKey=made["versionKey"],
        nodesModified=[
            {"identifier": "new", "isNew": True, "name": "Unit", "primaryCategory": "Textbook Unit"}
        ],
        hierarchy=[
            {"identifier": book, "children": ["new"]},
            {"identifier": "new", "children": ["e", "a"], "relations": [{"childId": "a", "optional": True}]},
        ],
    )
    ((temporary, unit),) = [(one["temporary"], one["identifier"]) for one in built["identifiers"]]
    assert (temporary, built["removed"], built["errors"]) == ("new", [], [])
    place = {"rootId": book, "unitId": unit}
    parent = {"rootId": book, "parentId": unit}
    assert (await call(session, "addChildren", **place, children=["f"], position=0))["errors"] == []
    assert (await call(session, "removeChildren", **place, children=["e"]))["removed"] == ["e"]
    assert (await call(session, "updateRelation", **parent, childId="a", optional=None, relName="Start"))[
        "errors"
    ] == []
    assert (await call(session, "updateRelation", rootId=book, parentId=book, childId=unit, name="One"))[
        "errors"
    ] == []
    assert (await call(session, "reorderChildren", **parent, children=["a", "f"]))["errors"] == []
    assert await children(published, book) == {book: [unit], unit: ["a", "f"]}
    (node,) = (await tree_of(published, book))["children"]
    assert (node["name"], node["primaryCategory"], node["visibility"]) == ("One", "Textbook Unit", "Parent")
    assert node["children"][0]["relationalMetadata"] == {"relName": "Start"}


async def test_a_refused_edit_says_what_would_be_right(published: Instance) -> None:
    session = cleo(published)
    payload = await call(
        session, "addChildren", rootId="course", unitId="unit-1", children=["x"], relations=[{"childId": "x"}]
    )
    assert payload == {
        "content": None,
        "identifiers": [],
        "removed": [],
        "errors": [
            {"code": "INVALID_INPUT", "field": "children", "message": "children which are not available: x"}
        ],
    }
    twice = [{"identifier": "unit-1"}, {"identifier": "unit-1"}]
    payload = await call(session, "updateHierarchy", rootId="course", hierarchy=twice)
    assert [(e["code"], e["field"]) for e in payload["errors"]] == [("INVALID_INPUT", "hierarchy")]


async def test_learners_read_what_is_published_and_authors_the_draft(published: Instance) -> None:
    live = '{ content(identifier: "%s") { name status version versionKey kind metadata(fields: ["name", "mimeType"]) } }'
    draft = '{ content(identifier: "course", mode: EDIT) { name status version versionKey metadata(fields: ["name"]) } }'
    await call(cleo(published), "updateContent", identifier="course", name="Next")
    assert (await data(published.session("ann"), live % "course"))["content"] == {
        "name": "Course",
        "status": "Live",
        "version": 1,
        "versionKey": None,
        "kind": "COLLECTION",
        "metadata": {"name": "Course"},
    }
    assert (await data(published.session("ann"), live % "a"))["content"]["metadata"] == {
        "name": "A",
        "mimeType": LEAF,
    }
    read = (await data(cleo(published), draft))["content"]
    assert (read["name"], read["status"], read["version"], read["metadata"]) == (
        "Next",
        "Draft",
        None,
        {"name": "Next"},
    )
    assert read["versionKey"]
    assert await code(published.session("ann"), draft) == ("FORBIDDEN", None)
    assert await code(published.session("ann"), live % "nothing") == ("NOT_FOUND", "identifier")


async def test_a_learner_changes_nothing(published: Instance) -> None:
    calls: dict[str, dict[str, Any]] = {
        "createContent": {"name": "C", "mimeType": LEAF},
        "createCollection": {"name": "C"},
        "updateContent": {"identifier": "course", "name": "C"},
        "updateHierarchy": {"rootId": "course", "hierarchy": [{"identifier": "unit-1"}]},
        "addChildren": {"rootId": "course", "unitId": "unit-1", "children": ["c"]},
        "removeChildren": {"rootId": "course", "unitId": "unit-1", "children": ["a"]},
        "updateRelation": {"rootId": "course", "parentId": "unit-1", "childId": "a", "optional": True},
        "reorderChildren": {"rootId": "course", "parentId": "unit-1", "children": ["b", "a"]},
    }
    for name, given in calls.items():
        payload = await call(published.session("ann"), name, **given)
        assert [error["code"] for error in payload["errors"]] == ["FORBIDDEN"]
    await call(cleo(published), "updateContent", identifier="course")
    assert (await children(published))["unit-1"] == ["a", "b"]


async def test_a_retired_content_leaves_the_collections_that_learners_see(published: Instance) -> None:
    retire = 'mutation { retireContent(identifier: "b") { content { status } errors { code } } }'
    assert (await data(cleo(published), retire))["retireContent"] == {
        "content": {"status": "Retired"},
        "errors": [],
    }
    await run_publishers(published)
    read = '{ collection(identifier: "course") { version leafNodes { edges { node { identifier } } } } }'
    course = (await data(published.session("ann"), read))["collection"]
    leaves = [edge["node"]["identifier"] for edge in course["leafNodes"]["edges"]]
    assert (course["version"], leaves) == (2, ["a", "c", "d"])
