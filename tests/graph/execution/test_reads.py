"""What fields answer, beside the examples."""

import pytest

from loaders.session import Session
from rules.viewers import Role, Viewer
from stores.rows import Write
from stores.tables import CONTENTS, ENROLMENTS, VIEWS
from tests.conftest import COURSE, LEAF, NOW, Instance
from tests.graph.conftest import BATCH, ask, code, data, document, record, view_to_end

TREE = """query ($node: String!) { collection(identifier: "course") {
    mimeType version publishedOn
    leafNodes { edges { node { identifier kind optional view { status } } } }
    node(identifier: $node) { identifier kind optional leafNodesCount primaryCategory metadata
        progress { completedCount requiredCount } view { status } children { identifier } } } }"""


async def test_nodes_of_a_tree(published: Instance) -> None:
    await view_to_end(published, "ann", "d", collectionId="course")
    found = (await data(published.session("ann"), TREE, node="d"))["collection"]
    assert found["version"] == 1
    leaves = [edge["node"] for edge in found["leafNodes"]["edges"]]
    assert [(leaf["identifier"], leaf["optional"]) for leaf in leaves] == [
        ("a", False),
        ("b", False),
        ("c", False),
        ("d", True),
    ]
    assert found["node"] == {
        "identifier": "d",
        "kind": "CONTENT",
        "optional": True,
        "leafNodesCount": 0,
        "primaryCategory": None,
        "metadata": COURSE["children"][1]["children"][2],  # type: ignore[index]
        "progress": {"completedCount": 1, "requiredCount": 1},
        "view": {"status": "COMPLETED"},
        "children": [],
    }
    root = (await data(published.session("ann"), TREE, node="course"))["collection"]["node"]
    assert (root["kind"], root["leafNodesCount"], root["view"]) == ("COLLECTION", 4, None)
    assert root["progress"] == {"completedCount": 0, "requiredCount": 3}
    assert [child["identifier"] for child in root["children"]] == ["unit-1", "unit-2"]


async def test_collections_keep_the_order_asked_for(published: Instance) -> None:
    query = "query ($ids: [String!]!) { collections(identifiers: $ids) { identifier } }"
    found = await data(published.session("ann"), query, ids=["nowhere", "course", "unit-1"])
    assert found["collections"] == [None, {"identifier": "course"}, None]


async def test_fragments_and_aliases_show_progress_under_several_contexts(published: Instance) -> None:
    await view_to_end(published, "ann", "a", **BATCH)
    query = """query ($with: String = "batch", $without: String) { collection(identifier: "course") {
        children { ...unit ... on HierarchyNode { own: progress(contextId: $with) { completedCount } } } } }
      fragment unit on HierarchyNode { progress(contextId: $without) { completedCount }
        children { literal: view(contextId: "batch") { contextId status } } }"""
    unit = (await data(published.session("ann"), query))["collection"]["children"][0]
    assert unit == {
        "progress": {"completedCount": 0},
        "children": [
            {"literal": {"contextId": "batch", "status": "COMPLETED"}},
            {"literal": {"contextId": "batch", "status": "NOT_STARTED"}},
        ],
        "own": {"completedCount": 1},
    }


VIEW = """query ($content: String!, $collection: String, $context: String) { me {
    view(contentId: $content, collectionId: $collection, contextId: $context) {
        collectionId contextId contentId status progress timeSpent progressDetails startedOn lastUpdatedOn } } }"""


async def test_a_view_in_each_scenario(published: Instance) -> None:
    ann = published.session("ann")
    places = [("a", "a", {}), ("course", "course", {"collectionId": "course"}), ("course", "batch", BATCH)]
    for collection, context, place in places:
        await record(ann, "Start", contentId="a", **place)
        await record(ann, "Update", contentId="a", details={"page": [1, {"at": context}]}, **place)
        found = await data(
            ann, VIEW, content="a", collection=place.get("collectionId"), context=place.get("contextId")
        )
        assert found["me"]["view"] == {
            "collectionId": collection,
            "contextId": context,
            "contentId": "a",
            "status": "IN_PROGRESS",
            "progress": 40,
            "timeSpent": 30,
            "progressDetails": {"page": [1, {"at": context}]},
            "startedOn": "2026-03-01T12:00:00.000Z",
            "lastUpdatedOn": "2026-03-01T12:00:00.000Z",
        }


async def test_a_view_on_a_tree_has_the_rest_of_itself_too(published: Instance) -> None:
    await record(published.session("ann"), "Start", contentId="a", **BATCH)
    await record(published.session("ann"), "Update", contentId="a", details={"page": 1}, **BATCH)
    query = """{ collection(identifier: "course") { node(identifier: "unit-1") { children {
        view(contextId: "batch") { timeSpent progressDetails } } } } }"""
    found = await data(published.session("ann"), query)
    assert [leaf["view"] for leaf in found["collection"]["node"]["children"]] == [
        {"timeSpent": 30, "progressDetails": {"page": 1}},
        {"timeSpent": 0, "progressDetails": None},
    ]


async def test_a_view_that_was_not_started_says_so(published: Instance) -> None:
    found = await data(published.session("ann"), VIEW, content="a")
    assert (found["me"]["view"]["status"], found["me"]["view"]["timeSpent"]) == ("NOT_STARTED", 0)
    under = await data(published.session("ann"), VIEW, content="a", collection="course", context="batch")
    assert under["me"]["view"]["status"] == "NOT_STARTED"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({"content": "nowhere"}, ("NOT_FOUND", "contentId")),
        ({"content": " "}, ("INVALID_INPUT", "contentId")),
        ({"content": "unit-1"}, ("NOT_FOUND", "contentId")),
        ({"content": "nowhere", "collection": "course"}, ("NOT_FOUND", "contentId")),
        ({"content": "a", "collection": "nowhere"}, ("NOT_FOUND", "collectionId")),
        ({"content": "a", "collection": "unit-1"}, ("NOT_FOUND", "collectionId")),
        ({"content": "a", "collection": ""}, ("INVALID_INPUT", "collectionId")),
        ({"content": "a", "collection": "course", "context": "nowhere"}, ("NOT_FOUND", "contextId")),
        ({"content": "a", "context": "batch"}, ("INVALID_INPUT", "collectionId")),
    ],
)
async def test_ids_that_lead_nowhere_are_named(
    published: Instance, place: dict[str, str], expected: tuple[str, str]
) -> None:
    assert await code(published.session("ann"), VIEW, **place) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('{ collection(identifier: "nowhere") { name } }', ("NOT_FOUND", "identifier")),
        ('{ collection(identifier: "unit-1") { name } }', ("NOT_FOUND", "identifier")),
        ('{ collection(identifier: "") { name } }', ("INVALID_INPUT", "identifier")),
        (
            '{ collection(identifier: "course") { node(identifier: "x") { name } } }',
            ("NOT_FOUND", "identifier"),
        ),
        (
            '{ collection(identifier: "course") { progress(contextId: "x") { status } } }',
            ("NOT_FOUND", "contextId"),
        ),
        ('{ collections(identifiers: ["course", " "]) { name } }', ("INVALID_INPUT", "identifiers")),
        ('{ context(contextId: "nowhere") { name } }', ("NOT_FOUND", "contextId")),
        ('{ context(contextId: "\\u0000") { name } }', ("INVALID_INPUT", "contextId")),
        ('{ learner(userId: "") { name } }', ("INVALID_INPUT", "userId")),
        ('{ node(id: "") { id } }', ("INVALID_INPUT", "id")),
        ('{ node(id: "é") { id } }', ("INVALID_INPUT", "id")),
        ('{ node(id: "bm90IGpzb24") { id } }', ("INVALID_INPUT", "id")),
        ('{ node(id: "WyJRdWVyeSIsImEiXQ") { id } }', ("INVALID_INPUT", "id")),
        (
            '{ me { enrolment(collectionId: "course", contextId: "batch") { id } } }',
            ("NOT_FOUND", "contextId"),
        ),
        ('{ me { summary(collectionId: "nowhere") { status } } }', ("NOT_FOUND", "collectionId")),
        ("{ me { enrolments(first: 0) { edges { cursor } } } }", ("INVALID_INPUT", "first")),
        ("{ me { enrolments(first: 201) { edges { cursor } } } }", ("INVALID_INPUT", "first")),
        ('{ me { enrolments(after: "x") { edges { cursor } } } }', ("INVALID_INPUT", "after")),
        ('{ me { enrolments(after: "WyJhIl0") { edges { cursor } } } }', ("INVALID_INPUT", "after")),
    ],
)
async def test_what_was_wrong_with_a_question_is_named(
    published: Instance, query: str, expected: tuple[str, str]
) -> None:
    assert await code(published.session("ann"), query) == expected


async def test_a_page_limit_is_named(published: Instance) -> None:
    answer = await ask(published.session("ann"), "{ me { enrolments(first: 1000) { edges { cursor } } } }")
    assert answer["errors"][0]["message"] == "first must be from 1 to 200"
    many = await ask(
        published.session("ann"),
        "query ($ids: [String!]!) { collections(identifiers: $ids) { name } }",
        ids=["x"] * 201,
    )
    assert many["errors"][0]["message"] == "identifiers must name at most 200, not 201"


async def test_nobody_knows_this_learner(published: Instance) -> None:
    mentor = published.session("someone", Role.MENTOR)
    query = "query ($user: String!) { learner(userId: $user) { userId name } }"
    assert await code(mentor, query, user="ann") == ("NOT_FOUND", "userId")
    await record(published.session("ann"), "Start", contentId="a")
    assert (await data(mentor, query, user="ann"))["learner"] == {"userId": "ann", "name": None}


async def test_paging_visits_each_enrolment_once(course: Instance) -> None:
    ann = course.session("ann")
    for number in range(7):
        await course.batch(f"batch-{number}")
        await record(ann, "Enrol", collectionId="course", contextId=f"batch-{number}")
    await data(
        ann,
        'mutation { unenrol(input: {collectionId: "course", contextId: "batch-3"}) { errors { code } } }',
    )
    query = """query ($after: String) { me { enrolments(first: 2, after: $after, filter: {active: true}) {
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { contextId active } } } } }"""
    seen: list[str] = []
    after = None
    while True:
        page = (await data(ann, query, after=after))["me"]["enrolments"]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
        seen += [edge["node"]["contextId"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [f"batch-{number}" for number in range(7) if number != 3]
    ended = await data(
        ann, "{ me { enrolments(filter: {active: false}) { edges { node { contextId active } } } } }"
    )
    assert ended["me"]["enrolments"]["edges"] == [{"node": {"contextId": "batch-3", "active": False}}]


async def test_views_page_by_page_and_by_content(course: Instance) -> None:
    ann = course.session("ann")
    for content in ("c", "a", "b"):
        await record(ann, "Start", contentId=content, **BATCH)
    query = """query ($after: String, $only: [String!]) { me {
        views(collectionId: "course", contextId: "batch", first: 2, after: $after, contentIds: $only) {
            pageInfo { hasNextPage endCursor } edges { node { contentId } } } } }"""

    async def contents(**variables: object) -> tuple[list[str], dict[str, object]]:
        page = (await data(ann, query, **variables))["me"]["views"]
        return [edge["node"]["contentId"] for edge in page["edges"]], page["pageInfo"]

    first, info = await contents()
    assert (first, info["hasNextPage"]) == (["a", "b"], True)
    assert (await contents(after=info["endCursor"]))[0] == ["c"]
    assert (await contents(only=["d", "c", "a"]))[0] == ["a", "c"]
    assert await code(ann, query, only=["x"] * 201) == ("INVALID_INPUT", "contentIds")


async def test_an_enrolment_stays_in_the_list_when_its_collection_is_gone(published: Instance) -> None:
    await record(published.session("ann"), "Enrol", **BATCH)
    await view_to_end(published, "ann", "a", **BATCH)
    await published.drain()
    await published.stores.rows.write(Write(CONTENTS, ("course",), {}, delete=True))
    session = Session(Viewer("ann", frozenset({Role.LEARNER})), type(published.shared).of(published.stores))
    (edge,) = (await data(session, document("my_courses")))["me"]["enrolments"]["edges"]
    assert edge["node"]["collection"] is None
    assert edge["node"]["context"]["contextId"] == "batch"
    assert (edge["node"]["status"], edge["node"]["completedCount"]) == ("IN_PROGRESS", 1)
    assert edge["node"]["completionPercentage"] == 33


async def test_a_lost_trigger_of_an_enrolment_is_sent_again_by_the_next_read(course: Instance) -> None:
    await record(course.session("ann"), "Enrol", **BATCH)
    await course.drain()
    await data(course.session("ann"), document("my_courses"))
    assert await course.lag() == 0, "what a worker has seen needs no trigger"
    lost = {"changed_at": 1, "active": True}
    await course.stores.rows.write(Write(ENROLMENTS, ("ann", "course", "batch"), lost, insert=False))
    await data(course.session("ann"), document("my_courses"))
    await course.shared.background.settled()
    assert await course.lag() == 1
    await course.drain()
    await data(course.session("ann"), document("my_courses"))
    assert await course.lag() == 0


async def test_what_no_worker_can_compute_is_not_asked_for_by_each_read(course: Instance) -> None:
    """As after a migration: the course of one is not published, the batch of the other is unknown."""
    for collection, context in (("unpublished", "batch"), ("course", "unknown")):
        values = {"active": True, "enrolled_on": NOW, "changed_at": 1, "status": 1, "progress": 1}
        await course.stores.rows.write(Write(ENROLMENTS, ("ann", collection, context), values))
        view = {"status": 2, "progress": 100, "changed_at": 1}
        await course.stores.rows.write(Write(VIEWS, ("ann", collection, collection, context, "a"), view))
    listed = (await data(course.session("ann"), document("my_courses")))["me"]["enrolments"]["edges"]
    assert len(listed) == 2
    await course.shared.background.settled()
    assert await course.lag() == 0


async def test_summaries_without_an_enrolment_or_a_context(published: Instance) -> None:
    await view_to_end(published, "ann", "a", collectionId="course")
    query = """{ me { summary(collectionId: "course") { userId collectionId contextId completedCount
        completedOn lastAccessedOn units { status unit { progress { completedCount } } } } } }"""
    assert (await data(published.session("ann"), query))["me"]["summary"] == {
        "userId": "ann",
        "collectionId": "course",
        "contextId": "course",
        "completedCount": 1,
        "completedOn": None,
        "lastAccessedOn": "2026-03-01T12:00:00.000Z",
        "units": [
            {"status": "IN_PROGRESS", "unit": {"progress": {"completedCount": 1}}},
            {"status": "NOT_STARTED", "unit": {"progress": {"completedCount": 0}}},
        ],
    }


async def test_one_enrolment(published: Instance) -> None:
    await record(published.session("ann"), "Enrol", **BATCH)
    query = '{ me { enrolment(collectionId: "course", contextId: "batch") { active requiredCount context { name } } } }'
    assert (await data(published.session("ann"), query))["me"]["enrolment"] == {
        "active": True,
        "requiredCount": 3,
        "context": {"name": "Batch batch"},
    }


async def test_what_was_published_is_the_metadata_of_a_collection_and_of_its_nodes(
    published: Instance,
) -> None:
    """Without children, and narrowed by names; one that was not published is left out."""
    more = {"contentType": "Course", "trackable": {"enabled": "Yes"}, "appIcon": "icon.png"}
    await published.publish({**COURSE, **more})
    text = """{ collections(identifiers: ["course"]) {
        metadata
        narrow: metadata(fields: ["trackable", "license"])
        node(identifier: "d") { metadata(fields: ["name", "mimeType"]) }
    } }"""
    (course,) = (await data(published.session("ada"), text))["collections"]
    assert course == {
        "metadata": {"identifier": "course", "name": "Course", **more},
        "narrow": {"trackable": {"enabled": "Yes"}},
        "node": {"metadata": {"name": "D", "mimeType": LEAF}},
    }
