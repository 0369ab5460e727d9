"""Collections and their nodes: what learners read of the live version, and authors of the draft."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ingest.commands.learner_groups import NewGroup, create_group
from loaders.drafts import draft_values, form_chunks, form_mode
from loaders.session import Session, Shared
from rules.contents import ContentKind
from rules.drafts import Draft, DraftStatus, EditForm
from rules.group_changes import AddMember
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.learner_groups import Activity
from rules.viewers import Role
from stores.rows import Write
from stores.tables import CONTENTS, DRAFTS, HIERARCHIES
from tests.conftest import COURSE, LEAF, Instance
from tests.graph.conftest import BATCH, application, client_of, code, data, view_to_end

UNITS: Any = COURSE["children"]
UNIT_2 = UNITS[1]


# --- leaves, a page at a time

LEAVES = """query ($first: Int, $after: String) { collection(identifier: "course") {
    leafNodes(first: $first, after: $after) { totalCount pageInfo { hasNextPage endCursor }
        edges { node { identifier } } } } }"""


async def leaves_page(session: Session, **variables: object) -> tuple[list[str], dict[str, Any], int]:
    page = (await data(session, LEAVES, **variables))["collection"]["leafNodes"]
    return [edge["node"]["identifier"] for edge in page["edges"]], page["pageInfo"], page["totalCount"]


async def test_leaves_come_page_by_page_each_once(published: Instance) -> None:
    ann = published.session("ann")
    assert (await leaves_page(ann))[0] == ["a", "b", "c", "d"]
    first, info, total = await leaves_page(ann, first=3)
    assert (first, info["hasNextPage"], total) == (["a", "b", "c"], True, 4)
    rest, info, _ = await leaves_page(ann, first=3, after=info["endCursor"])
    assert (rest, info["hasNextPage"]) == (["d"], False)


async def test_a_page_goes_on_where_a_leaf_was_that_a_publish_took_away(published: Instance) -> None:
    """After a, b; then b is gone: c and d are left to be seen."""
    ann = published.session("ann")
    _, info, _ = await leaves_page(ann, first=2)
    units = [
        {**unit, "children": [leaf for leaf in unit["children"] if leaf["identifier"] != "b"]}
        for unit in UNITS
    ]
    await published.publish({**COURSE, "children": units})
    assert (await leaves_page(ann, after=info["endCursor"]))[0] == ["c", "d"]


@pytest.mark.parametrize(
    ("variables", "field"),
    [({"first": 0}, "first"), ({"first": 201}, "first"), ({"after": "WyJhIl0"}, "after")],
)
async def test_a_page_that_cannot_be_is_refused(
    published: Instance, variables: dict[str, object], field: str
) -> None:
    assert await code(published.session("ann"), LEAVES, **variables) == ("INVALID_INPUT", field)


# --- the tree as JSON

HIERARCHY = """query ($node: String, $depth: Int) { collection(identifier: "course") {
    hierarchy(node: $node, depth: $depth) } }"""


async def hierarchy(cohort: Instance, **variables: object) -> Any:
    return (await data(cohort.session("ann"), HIERARCHY, **variables))["collection"]["hierarchy"]


async def test_a_hierarchy_is_what_was_published_whole_or_from_a_node_down(published: Instance) -> None:
    assert await hierarchy(published) == COURSE
    assert await hierarchy(published, node="unit-2") == UNIT_2
    assert await hierarchy(published, node="d") == UNIT_2["children"][2]


async def test_depth_cuts_what_is_below(published: Instance) -> None:
    root = {"identifier": "course", "name": "Course"}
    units = [{"identifier": f"unit-{n}", "name": f"Unit {n}"} for n in (1, 2)]
    assert await hierarchy(published, depth=0) == root
    assert await hierarchy(published, depth=1) == {**root, "children": units}
    assert await hierarchy(published, depth=2) == COURSE
    assert await hierarchy(published, depth=32) == COURSE
    assert await hierarchy(published, node="unit-2", depth=0) == units[1]
    assert await hierarchy(published, node="unit-2", depth=1) == UNIT_2


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"node": "nowhere"}, ("NOT_FOUND", "node")),
        ({"node": "nowhere", "depth": 1}, ("NOT_FOUND", "node")),
        ({"node": " "}, ("INVALID_INPUT", "node")),
        ({"depth": -1}, ("INVALID_INPUT", "depth")),
        ({"depth": 33}, ("INVALID_INPUT", "depth")),
    ],
)
async def test_what_a_hierarchy_does_not_have_is_named(
    published: Instance, variables: dict[str, object], expected: tuple[str, str]
) -> None:
    assert await code(published.session("ann"), HIERARCHY, **variables) == expected


async def test_the_whole_tree_is_answered_without_parsing_it(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("loaders.trees.Hierarchy", parse)
    shared = Shared.of(published.stores, published.shared.now)
    session = Session(published.session("ann").viewer, shared)
    for node, expected in ((None, COURSE), ("unit-2", UNIT_2)):
        assert (await data(session, HIERARCHY, node=node))["collection"]["hierarchy"] == expected


async def test_a_tree_that_was_not_changed_is_not_sent_again(published: Instance) -> None:
    """By GET with the tag of the first answer, also from another process, until the next publish."""
    query = {
        "query": """{ collection(identifier: "course") { name whole: hierarchy unit: hierarchy(node: "unit-2")
        leaf: hierarchy(node: "d") } }"""
    }
    tags = []
    for description in ("old", "new"):
        await published.publish({**COURSE, "description": description})
        async with client_of(application(published.shared)) as client:
            first = await client.get("/graphql", params=query)
            assert first.json()["data"]["collection"] == {
                "name": "Course",
                "whole": {**COURSE, "description": description},
                "unit": UNIT_2,
                "leaf": UNIT_2["children"][2],
            }
            assert int(first.headers["content-length"]) == len(first.content)
            assert (await client.post("/graphql", json=query)).content == first.content
        tags.append(first.headers["etag"])
        other = Shared.of(published.stores, published.shared.now)
        async with client_of(application(other)) as client:
            again = await client.get("/graphql", params=query, headers={"If-None-Match": tags[-1]})
            assert (again.status_code, again.content) == (304, b"")
    assert tags[0] != tags[1]


async def test_a_304_costs_one_look_up(published: Instance) -> None:
    """In a process that has answered before and no longer knows which version is live."""
    query = {"query": '{ collection(identifier: "course") { hierarchy } }'}
    async with client_of(application(published.shared)) as client:
        first = await client.get("/graphql", params=query)
        published.shared.library.contents.forget("course")
        with published.stores.rows.meter.measure() as rows, published.stores.cache.meter.measure() as cache:
            again = await client.get(
                "/graphql", params=query, headers={"If-None-Match": first.headers["etag"]}
            )
        assert again.status_code == 304
        assert dict(rows) == {f"select {CONTENTS.name}": 1}
        assert not cache


# --- a node by its id

NODE = """query ($node: String!, $collection: String, $mode: HierarchyMode! = LIVE) {
    hierarchyNode(identifier: $node, collectionId: $collection, mode: $mode) {
        identifier name kind optional children { identifier } collection { identifier name status } } }"""


async def test_a_units_id_alone_finds_its_collection(published: Instance) -> None:
    for named in ({}, {"collection": "course"}):
        found = (await data(published.session("ann"), NODE, node="unit-2", **named))["hierarchyNode"]
        assert found == {
            "identifier": "unit-2",
            "name": "Unit 2",
            "kind": "UNIT",
            "optional": False,
            "children": [{"identifier": "b"}, {"identifier": "c"}, {"identifier": "d"}],
            "collection": {"identifier": "course", "name": "Course", "status": "Live"},
        }
    root = (await data(published.session("ann"), NODE, node="course"))["hierarchyNode"]
    assert (root["kind"], root["collection"]["identifier"]) == ("COLLECTION", "course")


async def test_a_leaf_is_found_in_a_collection_also_if_it_was_published_by_itself_first(
    cohort: Instance,
) -> None:
    await cohort.publish({"identifier": "d", "name": "D", "mimeType": LEAF})
    query = NODE
    assert await code(cohort.session("ann"), query, node="d") == ("NOT_FOUND", "identifier")
    await cohort.publish()
    found = (await data(cohort.session("ann"), query, node="d"))["hierarchyNode"]
    assert (found["optional"], found["collection"]["identifier"]) == (True, "course")


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({"node": "nowhere"}, "identifier"),
        ({"node": "nowhere", "collection": "course"}, "identifier"),
        ({"node": "unit-1", "collection": "nowhere"}, "collectionId"),
        ({"node": "unit-1", "collection": "unit-2"}, "collectionId"),
    ],
)
async def test_of_a_node_that_is_not_there_is_told_what_is_missing(
    published: Instance, variables: dict[str, str], field: str
) -> None:
    assert await code(published.session("ann"), NODE, **variables) == ("NOT_FOUND", field)


async def test_a_node_shows_the_viewers_own_progress(published: Instance) -> None:
    await view_to_end(published, "ann", "a", **BATCH)
    query = """{ hierarchyNode(identifier: "unit-1") { progress(contextId: "batch") { completedCount }
        children { view(contextId: "batch") { status } } } }"""
    assert (await data(published.session("ann"), query))["hierarchyNode"] == {
        "progress": {"completedCount": 1},
        "children": [{"view": {"status": "COMPLETED"}}, {"view": {"status": "NOT_STARTED"}}],
    }


async def test_a_reader_during_a_publish_sees_one_version(published: Instance) -> None:
    """The collection was read, then two versions were published, and the first is gone: all that follows is of the third."""
    shared = Shared.of(published.stores, published.shared.now)
    session = Session(published.session("ann").viewer, shared)
    await shared.library.collection("course")
    for name in ("Second", "Third"):
        await published.publish({**COURSE, "name": name, "children": [{**UNIT_2, "name": name}]})
    found = (await data(session, NODE, node="unit-2"))["hierarchyNode"]
    assert (found["name"], found["collection"]["name"]) == ("Third", "Third")


async def test_a_retired_collection_is_told_to_those_who_learned_in_it(published: Instance) -> None:
    await view_to_end(published, "ann", "a", **BATCH)
    await published.stores.rows.write(Write(CONTENTS, ("course",), {"status": "Retired"}))
    published.shared.library.contents.forget("course")
    query = """{ collection(identifier: "course") { name status progress(contextId: "batch") { completedCount } } }"""
    assert (await data(published.session("ann"), query))["collection"] == {
        "name": "Course",
        "status": "Retired",
        "progress": {"completedCount": 1},
    }


# --- the draft

META = {"identifier": "course", "name": "Course, drafted", "board": "CBSE"}
FORM = EditForm(
    "course",
    {
        "unit-2": {"identifier": "unit-2", "name": "Unit 2", "mimeType": COLLECTION_MIME_TYPE},
        "unit-3": {
            "identifier": "unit-3",
            "name": "Unit 3",
            "mimeType": COLLECTION_MIME_TYPE,
            "icon": "x.png",
        },
    },
    {"course": ["unit-3", "unit-2"], "unit-3": ["a", "fresh", "gone"], "unit-2": ["c"]},
    {"unit-2": {"c": {"relationalMetadata": {"optional": True}}}},
)
EDIT = """query ($id: String! = "course") { collection(identifier: $id, mode: EDIT) {
    name status version versionKey leafNodesCount publishedOn metadata progress { status }
    children { identifier name leafNodesCount metadata(fields: ["icon"]) progress { status } view { status }
        children { identifier name optional metadata view { status } collection { versionKey } } }
    node(identifier: "c") { name } leafNodes { totalCount edges { node { identifier } } }
    hierarchy part: hierarchy(node: "unit-2") units: hierarchy(depth: 1) } }"""


def draft(identifier: str, metadata: dict[str, Any], **more: Any) -> Draft:
    return Draft(identifier, ContentKind.CONTENT, DraftStatus.DRAFT, metadata, f"key-{identifier}", **more)


async def save(cohort: Instance, drafts: Sequence[Draft], form: EditForm = FORM) -> None:
    chunks = await form_chunks(form)
    await cohort.stores.rows.write(
        *(Write(DRAFTS, (one.identifier,), draft_values(one)) for one in drafts),
        *(
            Write(
                HIERARCHIES,
                (form.root, form_mode("form"), 0, number),
                {"chunks": len(chunks), "data": data_},
            )
            for number, data_ in enumerate(chunks)
        ),
    )


COLLECTION = replace(draft("course", META), kind=ContentKind.COLLECTION, form_key="form")
FRESH = draft("fresh", {"identifier": "fresh", "name": "Fresh", "mimeType": LEAF})
IMPORTED = [
    replace(
        draft(leaf, {"identifier": leaf, "name": leaf.upper(), "mimeType": LEAF}),
        status=DraftStatus.LIVE,
        imported=True,
    )
    for leaf in "ac"
]
"""Of leaves that came with a collection: they have these drafts once an author has opened it."""
GONE = replace(draft("gone", {"identifier": "gone", "name": "Gone"}), status=DraftStatus.RETIRED)


async def test_authors_read_the_draft_and_learners_what_is_live(published: Instance) -> None:
    """Leaves: a is a leaf of the live version, fresh is drafted, gone is retired, c is optional here alone."""
    await save(published, [COLLECTION, FRESH, GONE, *IMPORTED])
    author = published.session("mia", Role.CREATOR)
    found = (await data(author, EDIT))["collection"]
    a = {"identifier": "a", "name": "A", "mimeType": LEAF}
    c = {"identifier": "c", "name": "C", "mimeType": LEAF}
    assert (found["name"], found["status"], found["versionKey"]) == ("Course, drafted", "Draft", "key-course")
    assert (found["version"], found["leafNodesCount"], found["leafNodes"]["totalCount"]) == (1, 3, 3)
    assert [edge["node"]["identifier"] for edge in found["leafNodes"]["edges"]] == ["a", "fresh", "c"]
    assert {name: found["metadata"][name] for name in META} == META
    assert found["progress"] is None
    units = found["children"]
    assert [(unit["identifier"], unit["leafNodesCount"], unit["metadata"]) for unit in units] == [
        ("unit-3", 2, {"icon": "x.png"}),
        ("unit-2", 1, {}),
    ]
    assert [(one["name"], one["optional"]) for one in units[0]["children"]] == [
        ("A", False),
        ("Fresh", False),
    ]
    assert units[0]["children"][0]["metadata"] == {**a, "parent": "unit-3", "index": 1, "depth": 2}
    assert units[0]["children"][1]["metadata"]["status"] == "Draft"
    assert units[1]["children"][0]["optional"] is True
    assert {one["view"] and "a view" for unit in units for one in unit["children"]} == {None}
    assert {one["collection"]["versionKey"] for unit in units for one in unit["children"]} == {"key-course"}
    assert found["part"]["children"][0] == c | {
        "relationalMetadata": {"optional": True},
        "parent": "unit-2",
        "index": 1,
        "depth": 2,
    }
    assert [unit["identifier"] for unit in found["units"]["children"]] == ["unit-3", "unit-2"]
    assert found["hierarchy"]["children"][1] == found["part"]
    live = '{ collection(identifier: "course") { name status versionKey children { identifier } } }'
    assert (await data(published.session("ann"), live))["collection"] == {
        "name": "Course",
        "status": "Live",
        "versionKey": None,
        "children": [{"identifier": "unit-1"}, {"identifier": "unit-2"}],
    }


async def test_a_draft_that_was_never_published_has_version_0(cohort: Instance) -> None:
    new = replace(COLLECTION, identifier="new", metadata={"identifier": "new", "name": "New"}, form_key=None)
    await save(cohort, [new])
    query = """{ collection(identifier: "new", mode: EDIT) { name version publishedOn leafNodesCount children { name } } }"""
    assert (await data(cohort.session("mia", Role.CREATOR), query))["collection"] == {
        "name": "New",
        "version": 0,
        "publishedOn": None,
        "leafNodesCount": 0,
        "children": [],
    }
    assert await code(cohort.session("ann"), '{ collection(identifier: "new") { name } }') == (
        "NOT_FOUND",
        "identifier",
    )


async def test_what_was_only_published_is_edited_from_there(published: Instance) -> None:
    query = """{ collection(identifier: "course", mode: EDIT) { status versionKey hierarchy } }"""
    found = (await data(published.session("mia", Role.CREATOR), query))["collection"]
    assert (found["status"], found["hierarchy"]["status"]) == ("Live", "Live")
    assert found["versionKey"] == found["hierarchy"]["versionKey"]

    def shape(node: Any) -> Any:
        return node["identifier"], node["name"], [shape(child) for child in node.get("children", ())]

    assert shape(found["hierarchy"]) == shape(COURSE)


async def test_a_leaf_that_was_published_by_itself_is_as_it_was_published(cohort: Instance) -> None:
    """Its own draft may say something newer, which no collection shows until that is published."""
    await cohort.publish({"identifier": "a", "name": "Published", "mimeType": LEAF})
    form = EditForm("course", {}, {"course": ["a", "unknown"]})
    await save(cohort, [COLLECTION, draft("a", {"identifier": "a", "name": "Drafted"})], form)
    query = """{ collection(identifier: "course", mode: EDIT) { children { name } } }"""
    found = (await data(cohort.session("mia", Role.CREATOR), query))["collection"]["children"]
    assert found == [{"name": "Published"}], "what is not known is left out"


async def test_several_drafts_keep_the_order_asked_for(published: Instance) -> None:
    await save(published, [replace(COLLECTION, identifier="new", form_key=None), FRESH])
    query = """{ collections(identifiers: ["nowhere", "course", "new", "fresh", "unit-1", "course"], mode: EDIT) {
        name status } }"""
    assert (await data(published.session("mia", Role.ADMIN), query))["collections"] == [
        None,
        {"name": "Course", "status": "Live"},
        {"name": "Course, drafted", "status": "Draft"},
        None,
        None,
        {"name": "Course", "status": "Live"},
    ]


async def test_a_unit_of_a_draft_is_found_by_its_collection_or_by_what_is_live(published: Instance) -> None:
    await save(published, [COLLECTION, FRESH, GONE, *IMPORTED])
    author = published.session("mia", Role.CREATOR)
    for node, collection in (("unit-3", "course"), ("unit-2", None), ("course", None)):
        found = (await data(author, NODE, node=node, collection=collection, mode="EDIT"))["hierarchyNode"]
        assert (found["identifier"], found["collection"]["status"]) == (node, "Draft")
    assert await code(author, NODE, node="unit-3", mode="EDIT") == ("NOT_FOUND", "identifier")
    assert await code(author, NODE, node="x", collection="nowhere", mode="EDIT") == (
        "NOT_FOUND",
        "collectionId",
    )


@pytest.mark.parametrize(
    "query",
    [
        '{ collection(identifier: "course", mode: EDIT) { name } }',
        '{ collections(identifiers: ["course"], mode: EDIT) { name } }',
        '{ hierarchyNode(identifier: "unit-1", mode: EDIT) { name } }',
        '{ hierarchyNode(identifier: "unit-1", collectionId: "course", mode: EDIT) { name } }',
    ],
)
async def test_drafts_are_for_authors_alone(published: Instance, query: str) -> None:
    for role in (Role.LEARNER, Role.MENTOR, Role.REPORTER):
        assert (await code(published.session("ann", role), query))[0] == "FORBIDDEN"
    for role in (Role.CREATOR, Role.ADMIN, Role.SERVICE):
        await data(published.session("mia", role), query)


async def test_a_form_that_an_edit_replaced_meanwhile_is_read_anew(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The draft was read; then another call flipped it to a new form and deleted the old one."""
    await save(published, [COLLECTION, FRESH, GONE, *IMPORTED])
    rows = published.stores.rows
    partition = type(rows).partition
    flipped: list[bool] = []

    async def edited_before(self: Any, table: Any, key: Any, **more: Any) -> Any:
        if table is HIERARCHIES and not flipped:
            flipped.append(True)
            await rows.write(Write(DRAFTS, ("course",), {"form_key": None, "version_key": "newer"}))
            await rows.write(Write(HIERARCHIES, ("course", form_mode("form"), 0, 0), {}, delete=True))
        return await partition(self, table, key, **more)

    monkeypatch.setattr(type(rows), "partition", edited_before)
    query = """{ collection(identifier: "course", mode: EDIT) { versionKey children { name } } }"""
    found = (await data(published.session("mia", Role.CREATOR), query))["collection"]
    assert found == {"versionKey": "newer", "children": []}


# --- names wherever an id of a unit is shown


async def test_a_summary_names_leaves_and_units(published: Instance) -> None:
    query = """{ me { summary(collectionId: "course") { contentStatus { contentId name }
        units { unit { identifier name } } } } }"""
    found = (await data(published.session("ann"), query))["me"]["summary"]
    assert [(one["contentId"], one["name"]) for one in found["contentStatus"]] == [
        ("a", "A"),
        ("b", "B"),
        ("c", "C"),
        ("d", "D"),
    ]
    assert [one["unit"]["name"] for one in found["units"]] == ["Unit 1", "Unit 2"]


async def test_an_activity_of_a_group_has_a_name_whatever_it_is(published: Instance) -> None:
    activities = (Activity("course", "Course"), Activity("unit-2", "CourseUnit"), Activity("d", "Quiz"))
    strange = Activity("strange", "Link")
    members = (AddMember("ann"),)
    new = NewGroup("Class", members=members, activities=(*activities, strange), group_id="class")
    await create_group(published.session(), new)
    query = """{ group(groupId: "class") { activities { activityId name } } }"""
    assert (await data(published.session("ann"), query))["group"]["activities"] == [
        {"activityId": "course", "name": "Course"},
        {"activityId": "unit-2", "name": "Unit 2"},
        {"activityId": "d", "name": "D"},
        {"activityId": "strange", "name": None},
    ]
