"""The learner's home page and course page in one document each: where they stand, where they go on, in which order."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from loaders.session import Session
from resolvers import enrolment_lists
from resolvers.collections import Tree
from resolvers.learner_trees import LearnerTree
from rules.contents import Content, ContentKind
from rules.hierarchy import checked_hierarchy, relations_of
from rules.identifiers import ViewKey
from rules.progress import Status
from rules.viewers import Role, Viewer
from rules.views import ViewChange
from stores.rows import Write
from stores.tables import CONTENTS
from tests.attempts import store_attempt
from tests.conftest import LEAF, NOW, Instance
from tests.graph.conftest import BATCH, ask, code, data, record, view_to_end

PAGE = """query { me { enrolments { edges { node {
    completedCount timeSpent nextContent { identifier name collection { identifier } }
    contentStatus { contentId name status node { name kind optional } }
    units { status completedCount requiredCount unit { name } } } } } } }"""


async def page_of(session: Any) -> Any:
    (edge,) = (await data(session, PAGE))["me"]["enrolments"]["edges"]
    return edge["node"]


async def test_an_enrolment_tells_where_to_go_on(course: Instance) -> None:
    """COURSE requires a, b, c in this order, and d does not count: the next one is b after a, c after a and b."""
    ann = course.session("ann")
    await record(ann, "Enrol", **BATCH)
    assert (await page_of(ann))["nextContent"] == {
        "identifier": "a",
        "name": "A",
        "collection": {"identifier": "course"},
    }
    await view_to_end(course, "ann", "a", **BATCH)
    await view_to_end(course, "ann", "c", **BATCH)
    await record(ann, "Start", contentId="b", **BATCH)
    for _ in ("before any worker has run", "after"):
        assert (await page_of(ann))["nextContent"]["identifier"] == "b"
        await course.drain()
    await record(ann, "End", contentId="b", **BATCH)
    assert (await page_of(ann))["nextContent"] is None


async def test_an_enrolment_tells_units_leaves_and_time(course: Instance) -> None:
    """Two updates of 30 seconds each, of a and of c. Unit 1 requires a and b, unit 2 b and c."""
    ann = course.session("ann")
    await record(ann, "Enrol", **BATCH)
    for content in ("a", "c"):
        await record(ann, "Start", contentId=content, **BATCH)
        await record(ann, "Update", contentId=content, **BATCH)
    await record(ann, "End", contentId="a", **BATCH)
    for _ in ("before any worker has run", "after"):
        page = await page_of(ann)
        assert page["timeSpent"] == 60
        assert page["units"] == [
            {"status": "IN_PROGRESS", "completedCount": 1, "requiredCount": 2, "unit": {"name": "Unit 1"}},
            {"status": "IN_PROGRESS", "completedCount": 0, "requiredCount": 2, "unit": {"name": "Unit 2"}},
        ]
        assert [(leaf["contentId"], leaf["name"], leaf["status"]) for leaf in page["contentStatus"]] == [
            ("a", "A", "COMPLETED"),
            ("b", "B", "NOT_STARTED"),
            ("c", "C", "IN_PROGRESS"),
            ("d", "D", "NOT_STARTED"),
        ]
        assert page["contentStatus"][3]["node"] == {"name": "D", "kind": "CONTENT", "optional": True}
        summary = await data(
            ann,
            '{ me { summary(collectionId: "course", contextId: "batch") { timeSpent nextContent { identifier } '
            "contentStatus { name } units { unit { name } } } } }",
        )
        assert summary["me"]["summary"] == {
            "timeSpent": 60,
            "nextContent": {"identifier": "b"},
            "contentStatus": [{"name": name} for name in "ABCD"],
            "units": [{"unit": {"name": "Unit 1"}}, {"unit": {"name": "Unit 2"}}],
        }
        await course.drain()


async def test_units_and_the_rest_are_null_where_the_collection_is_gone(published: Instance) -> None:
    ann = published.session("ann")
    await record(ann, "Enrol", **BATCH)
    await record(ann, "Start", contentId="a", **BATCH)
    await record(ann, "Update", contentId="a", **BATCH)
    await published.drain()
    await published.stores.rows.write(Write(CONTENTS, ("course",), {}, delete=True))
    later = Session(Viewer("ann", frozenset({Role.LEARNER})), type(published.shared).of(published.stores))
    assert await page_of(later) == {
        "completedCount": 0,
        "timeSpent": 30,
        "nextContent": None,
        "contentStatus": None,
        "units": None,
    }


LEAVES = [f"l{number}" for number in range(6)]


@given(
    st.dictionaries(st.sampled_from(LEAVES), st.sampled_from(list(Status))), st.sets(st.sampled_from(LEAVES))
)
def test_what_comes_next_is_missing_and_nothing_before_it_is(
    statuses: dict[str, Status], optional: set[str]
) -> None:
    leaves = [
        {
            "identifier": leaf,
            "name": leaf,
            "mimeType": LEAF,
            "relationalMetadata": {"optional": leaf in optional},
        }
        for leaf in LEAVES
    ]
    root = {"identifier": "c", "name": "C", "children": leaves}
    hierarchy = checked_hierarchy(root)
    tree = Tree(
        Content("c", "C", ContentKind.COLLECTION, "Live", None, len(leaves), "c", 1, None),
        hierarchy,
        relations_of(hierarchy),
    )
    found = LearnerTree(tree, statuses).next_content()
    missing = [leaf for leaf in LEAVES if leaf not in optional and statuses.get(leaf) != Status.COMPLETED]
    assert (found and found["identifier"]) == (missing[0] if missing else None)


async def test_the_viewer_s_own_has_a_name_that_says_so(published: Instance) -> None:
    """A mentor looks at Ann's enrolment: the collection in it tells the mentor's progress, by its name and by the older
    one; the enrolment tells Ann's."""
    await record(published.session("ann"), "Enrol", **BATCH)
    await view_to_end(published, "ann", "a", **BATCH)
    query = """{ learner(userId: "ann") { enrolment(collectionId: "course", contextId: "batch") {
        completedCount units { completedCount }
        collection { viewerProgress(contextId: "batch") { completedCount } progress(contextId: "batch") { completedCount }
            children { viewerProgress(contextId: "batch") { completedCount } progress(contextId: "batch") { completedCount }
                children { viewerView(contextId: "batch") { status } view(contextId: "batch") { status } } } } } } }"""
    none, done = {"completedCount": 0}, {"completedCount": 1}
    for session, unit_1, leaf_a in (
        (published.session("mo", Role.MENTOR), none, "NOT_STARTED"),
        (published.session("ann"), done, "COMPLETED"),
    ):
        found = (await data(session, query))["learner"]["enrolment"]
        assert (found["completedCount"], found["units"]) == (1, [done, none])
        assert found["collection"]["viewerProgress"] == found["collection"]["progress"] == unit_1
        unit = found["collection"]["children"][0]
        assert unit["viewerProgress"] == unit["progress"] == unit_1
        assert unit["children"][0] == {"viewerView": {"status": leaf_a}, "view": {"status": leaf_a}}


async def test_a_view_leads_to_its_content_place_and_scores(course: Instance) -> None:
    """Attempts of 2 and of 4 of 5 points: the best is 4, the mean 3."""
    ann = course.session("ann")
    await record(ann, "Enrol", **BATCH)
    await record(ann, "Start", contentId="a", **BATCH)
    await record(ann, "Start", contentId="a")
    key = ViewKey("ann", "course", "batch", "a")
    await store_attempt(course.shared, key, "t1", 2.0, 5.0, NOW)
    await store_attempt(course.shared, key, "t2", 4.0, 5.0, NOW + timedelta(minutes=1))
    await course.drain()
    view = """content { name mimeType } collection { name } context { name }
        assessmentScores { best { score percentage } averageScore attemptsCount lastAttempt { attemptId } }"""
    query = f"""{{ me {{
        under: view(contentId: "a", collectionId: "course", contextId: "batch") {{ {view} }}
        alone: view(contentId: "a") {{ {view} }}
        assessments {{ edges {{ node {{ attemptsCount }} }} }}
        enrolments {{ edges {{ node {{ score {{ score }}
            assessments {{ edges {{ node {{ assessment {{ name }} averageScore }} }} }} }} }} }} }} }}"""
    me = (await data(ann, query))["me"]
    assert me["under"] == {
        "content": {"name": "A", "mimeType": LEAF},
        "collection": {"name": "Course"},
        "context": {"name": "Batch batch"},
        "assessmentScores": {
            "best": {"score": 4.0, "percentage": 80},
            "averageScore": 3.0,
            "attemptsCount": 2,
            "lastAttempt": {"attemptId": "t2"},
        },
    }
    assert me["alone"] == {
        "content": {"name": "A", "mimeType": LEAF},
        "collection": None,
        "context": None,
        "assessmentScores": None,
    }
    assert me["assessments"]["edges"] == [{"node": {"attemptsCount": 2}}]
    (enrolment,) = me["enrolments"]["edges"]
    assert enrolment["node"] == {
        "score": {"score": 4.0},
        "assessments": {"edges": [{"node": {"assessment": {"name": "A"}, "averageScore": 3.0}}]},
    }


# --- lists

LIST = """query ($first: Int, $after: String, $last: Int, $before: String, $filter: EnrolmentFilter, $orderBy: EnrolmentOrder) {
    me { enrolments(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        edges { cursor node { collectionId contextId status } } } } }"""
NAMES = {"c1": "beta", "c2": "Alpha", "c3": "gamma"}


async def three_courses(instance: Instance) -> Any:
    """Ann is in three courses of one leaf, c1, c2 and c3, enrolled on the 3rd, 1st and 2nd day. She has completed c3, then
    begun c1, and not looked at c2. She has left c2's second batch."""
    for number, (identifier, name) in enumerate(NAMES.items()):
        leaf = {"identifier": f"{identifier}-a", "name": "A", "mimeType": LEAF}
        await instance.publish({"identifier": identifier, "name": name, "children": [leaf]})
        await instance.batch(f"of-{identifier}", identifier)
        at = NOW - timedelta(days=(5, 7, 6)[number])
        await enrol(instance.session(), EnrolmentCall(identifier, f"of-{identifier}", "ann", at))
    await instance.batch("left", "c2")
    await enrol(instance.session(), EnrolmentCall("c2", "left", "ann", NOW - timedelta(days=4)))
    ann = instance.session("ann")
    await data(
        ann, 'mutation { unenrol(input: {collectionId: "c2", contextId: "left"}) { errors { code } } }'
    )
    for identifier, hours in (("c3", 2), ("c1", 1)):
        call = ViewCall(
            f"{identifier}-a", identifier, f"of-{identifier}", "ann", NOW - timedelta(hours=hours)
        )
        await start_view(instance.session(), call)
    call = ViewCall("c3-a", "c3", "of-c3", "ann", NOW - timedelta(hours=2))
    await end_view(instance.session(), call, ViewChange(at=NOW - timedelta(hours=2)))
    return ann


async def listed(session: Any, **variables: Any) -> list[str]:
    found = (await data(session, LIST, **variables))["me"]["enrolments"]
    return [edge["node"]["contextId"] for edge in found["edges"]]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (None, ["of-c1", "left", "of-c2", "of-c3"]),
        ({"by": "COLLECTION"}, ["of-c1", "left", "of-c2", "of-c3"]),
        ({"by": "COLLECTION", "direction": "DESC"}, ["of-c3", "of-c2", "left", "of-c1"]),
        ({"by": "NAME"}, ["left", "of-c2", "of-c1", "of-c3"]),
        ({"by": "NAME", "direction": "DESC"}, ["of-c3", "of-c1", "of-c2", "left"]),
        # c1 an hour ago, c3 two; what was never looked at is before all that was
        ({"by": "LAST_ACCESSED_ON"}, ["of-c1", "of-c3", "of-c2", "left"]),
        ({"by": "LAST_ACCESSED_ON", "direction": "ASC"}, ["left", "of-c2", "of-c3", "of-c1"]),
        ({"by": "ENROLLED_ON"}, ["left", "of-c1", "of-c3", "of-c2"]),
        ({"by": "ENROLLED_ON", "direction": "ASC"}, ["of-c2", "of-c3", "of-c1", "left"]),
    ],
)
async def test_enrolments_in_each_order_forwards_and_backwards(
    embedded: Instance, order: dict[str, str] | None, expected: list[str]
) -> None:
    ann = await three_courses(embedded)
    await embedded.drain()
    assert await listed(ann, orderBy=order) == expected
    forwards: list[str] = []
    after = None
    while True:
        page = (await data(ann, LIST, first=1, after=after, orderBy=order))["me"]["enrolments"]
        assert page["totalCount"] == 4
        forwards += [edge["node"]["contextId"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert forwards == expected
    page = (await data(ann, LIST, last=2, orderBy=order))["me"]["enrolments"]
    assert [edge["node"]["contextId"] for edge in page["edges"]] == expected[2:]
    assert (page["pageInfo"]["hasPreviousPage"], page["pageInfo"]["hasNextPage"]) == (True, False)
    assert await listed(ann, before=page["pageInfo"]["startCursor"], orderBy=order) == expected[:2]


async def test_orders_filters_and_counts_are_those_of_either_store(cohort: Instance) -> None:
    ann = await three_courses(cohort)
    await cohort.drain()
    assert await listed(ann, orderBy={"by": "LAST_ACCESSED_ON"}) == ["of-c1", "of-c3", "of-c2", "left"]
    assert await listed(ann, orderBy={"by": "NAME"}, last=2) == ["of-c1", "of-c3"]
    chosen = {"status": ["NOT_STARTED", "IN_PROGRESS"], "active": True, "collectionIds": ["c1", "c2"]}
    found = (await data(ann, LIST, filter=chosen, first=1))["me"]["enrolments"]
    assert ([edge["node"]["contextId"] for edge in found["edges"]], found["totalCount"]) == (["of-c1"], 2)


async def test_a_cursor_of_another_order_is_refused(embedded: Instance) -> None:
    ann = await three_courses(embedded)
    page = (await data(ann, LIST, first=1, orderBy={"by": "NAME"}))["me"]["enrolments"]
    cursor = page["pageInfo"]["endCursor"]
    for order in (None, {"by": "ENROLLED_ON"}, {"by": "NAME", "direction": "DESC"}):
        assert await code(ann, LIST, after=cursor, orderBy=order) == ("INVALID_INPUT", "after")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"status": ["COMPLETED"]}, ["of-c3"]),
        ({"status": ["IN_PROGRESS", "NOT_STARTED"], "active": True}, ["of-c1", "of-c2"]),
        ({"status": []}, []),
        ({"active": False}, ["left"]),
        ({"collectionIds": ["c2", "nowhere"]}, ["left", "of-c2"]),
        ({"contextIds": ["left", "of-c1"], "active": True}, ["of-c1"]),
        ({"collectionIds": []}, []),
    ],
)
async def test_enrolments_are_filtered_and_counted(
    embedded: Instance, chosen: dict[str, Any], expected: list[str]
) -> None:
    """Before any worker has run, and after: a status is the one that is shown."""
    ann = await three_courses(embedded)
    for _ in range(2):
        found = (await data(ann, LIST, filter=chosen))["me"]["enrolments"]
        assert [edge["node"]["contextId"] for edge in found["edges"]] == expected
        assert found["totalCount"] == len(expected)
        await embedded.drain()


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({"filter": {"collectionIds": ["x"] * 201}}, "collectionIds"),
        ({"filter": {"contextIds": [" "]}}, "contextIds"),
        ({"first": 201}, "first"),
        ({"last": 0}, "last"),
        ({"first": 2, "last": 2}, "last"),
        ({"after": "x"}, "after"),
    ],
)
async def test_what_is_wrong_with_a_list_is_named(
    embedded: Instance, variables: dict[str, Any], field: str
) -> None:
    answer = await ask(embedded.session("ann"), LIST, **variables)
    assert ("INVALID_INPUT", field) in [
        (error["extensions"]["code"], error["extensions"].get("field")) for error in answer["errors"]
    ]


async def test_a_learner_of_more_than_the_limit_is_listed_by_the_store_alone(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment_lists, "MOST_ORDERED", 3)
    ann = await three_courses(embedded)
    query = "query ($orderBy: EnrolmentOrder, $filter: EnrolmentFilter, $last: Int) { me { enrolments(orderBy: $orderBy, "
    query += "filter: $filter, last: $last) { edges { node { contextId } } } } }"
    assert len((await data(ann, query, filter={"active": True}))["me"]["enrolments"]["edges"]) == 3
    assert await code(ann, query, orderBy={"by": "NAME"}) == ("INVALID_INPUT", "orderBy")
    assert await code(ann, query, filter={"status": ["COMPLETED"]}) == ("INVALID_INPUT", "filter")
    assert await code(ann, query, last=1) == ("INVALID_INPUT", "last")
    assert await code(ann, LIST) == ("INVALID_INPUT", "totalCount")


async def test_another_learner_s_list_is_not_told(embedded: Instance) -> None:
    await three_courses(embedded)
    for order in ("{by: NAME}", "{by: COLLECTION}"):
        query = f'{{ learner(userId: "ann") {{ enrolments(orderBy: {order}) {{ totalCount }} }} }}'
        assert (await code(embedded.session("bob"), query))[0] == "FORBIDDEN"


# --- what an error in a document tells


@pytest.mark.parametrize(
    ("query", "field", "column"),
    [
        ('mutation { startView(input: {contentId: "a", at: "yesterday"}) { token } }', "at", 50),
        ("mutation { startView(input: {contentId: 1, at: 2}) { token } }", "at", 48),
        ('{ me { enrolments(first: "x") { totalCount } } }', "first", 26),
        ("{ me { enrolments(filter: {status: [DONE]}) { totalCount } } }", "status", 37),
    ],
)
async def test_a_value_in_the_document_that_cannot_be_read_has_a_place_and_a_field(
    embedded: Instance, query: str, field: str, column: int
) -> None:
    errors = (await ask(embedded.session("ann"), query))["errors"]
    told = [error for error in errors if error["extensions"].get("field") == field]
    assert [(error["extensions"]["code"], error["locations"]) for error in told] == [
        ("BAD_REQUEST", [{"line": 1, "column": column}])
    ]
    assert told[0]["message"].startswith(f"{field}: ")


async def test_moments_in_messages_are_as_in_values(published: Instance) -> None:
    call = EnrolmentCall("course", "batch", "ann", NOW - timedelta(hours=1))
    await enrol(published.session(), call)
    again = await record(published.session("ann"), "Enrol", **BATCH)
    assert again["errors"][0]["message"] == "enrolled since 2026-03-01T11:00:00.000Z"
