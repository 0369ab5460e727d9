"""The funnel of a collection: worked out by hand."""

from datetime import UTC, datetime
from typing import Any

import pytest

from loaders.session import Session
from rules.progress import Status
from rules.states import State
from rules.viewers import Role, Viewer
from tests.conftest import LEAF, Instance
from tests.graph.conftest import BATCH, ask, code, data, record, view_to_end
from tests.loaders.figures import fill

FUNNEL = """query ($collection: String!, $contexts: [String!], $filter: MetricFilterInput, $depth: Int! = 1) {
    activityFunnel(collectionId: $collection, contextIds: $contexts, filter: $filter, depth: $depth) {
        collectionId name requiredCount enrolledCount startedCount completedCount complete
        steps { unitId name depth requiredCount enrolledCount startedCount completedCount startedShare completedShare }
    } }"""


def leaf(identifier: str) -> dict[str, Any]:
    return {"identifier": identifier, "name": identifier, "mimeType": LEAF}


def unit(identifier: str, *children: dict[str, Any]) -> dict[str, Any]:
    return {"identifier": identifier, "name": identifier.title(), "children": [*children]}


TREE = unit(
    "course",
    unit("intro", leaf("a"), leaf("b")),
    unit("body", unit("deep", leaf("c")), leaf("d")),
    unit("shared", leaf("e")),
)
OTHER = unit("other", unit("shared", leaf("e")))
"""Holds one of the units, too."""


def state(user: str, activity: str, status: int, collection: str = "course", **more: Any) -> State:
    return State(
        activity,
        collection,
        f"cb:{more.pop('context', 'spring')}",
        user,
        1,
        status=Status(status),
        active=more.pop("active", True),
        enrolled_on=datetime(2026, 1, 5, tzinfo=UTC),
        last_accessed_on=more.pop("seen", None),
        attributes={"gender": gender} if (gender := more.pop("gender", None)) else {},
    )


SEEN = datetime(2026, 2, 1, tzinfo=UTC)
STATES = [
    *(state("ann", each, 2, gender="F") for each in ("course", "intro", "body", "deep", "shared")),
    *(state("ben", each, status, gender="M") for each, status in (("course", 1), ("intro", 2), ("body", 1))),
    # Viewed what is optional there: in nothing that is required.
    *(state("cleo", each, 0, gender="F", seen=SEEN) for each in ("course", "intro")),
    state("dan", "course", 0, context="autumn"),
    *(state("gone", each, 2, active=False) for each in ("course", "intro")),
    *(state("eve", each, 2, "other") for each in ("other", "shared")),
]
"""Four are enrolled in the course. Eve did the shared unit in the other collection."""


@pytest.fixture
async def filled(embedded: Instance) -> Instance:
    for tree, contexts in ((TREE, ("spring", "autumn")), (OTHER, ())):
        await embedded.publish(tree)
        for context in contexts:
            await embedded.batch(context, tree["identifier"])
    await fill(embedded, STATES)
    return embedded


def reporter(instance: Instance) -> Session:
    return instance.session("rita", Role.REPORTER)


async def funnel(instance: Instance, **asked: Any) -> Any:
    return (await data(reporter(instance), FUNNEL, **{"collection": "course", **asked}))["activityFunnel"]


def reached(found: Any) -> dict[str, list[int]]:
    names = ("enrolledCount", "startedCount", "completedCount")
    return {step["unitId"]: [step[name] for name in names] for step in found["steps"]}


async def test_how_many_got_how_far_in_each_unit(filled: Instance) -> None:
    """Of four Ann, Ben and Cleo began the introduction, and two of them completed it. Dan has no state in any unit."""
    found = await funnel(filled)
    assert {name: value for name, value in found.items() if name != "steps"} == {
        "collectionId": "course",
        "name": "Course",
        "requiredCount": 5,
        "enrolledCount": 4,
        "startedCount": 3,
        "completedCount": 1,
        "complete": True,
    }
    assert found["steps"][0] == {
        "unitId": "intro",
        "name": "Intro",
        "depth": 1,
        "requiredCount": 2,
        "enrolledCount": 4,
        "startedCount": 3,
        "completedCount": 2,
        "startedShare": 75.0,
        "completedShare": 50.0,
    }
    # Eve's is of the other collection.
    assert reached(found) == {"intro": [4, 3, 2], "body": [4, 2, 1], "shared": [4, 1, 1]}


async def test_units_within_units_come_with_a_greater_depth_in_the_trees_order(filled: Instance) -> None:
    found = await funnel(filled, depth=2)
    assert [(step["unitId"], step["depth"], step["startedCount"]) for step in found["steps"]] == [
        ("intro", 1, 3),
        ("body", 1, 2),
        ("deep", 2, 1),
        ("shared", 1, 1),
    ]


async def test_contexts_and_attributes_say_whose_funnel_it_is(filled: Instance) -> None:
    autumn = await funnel(filled, contexts=["autumn"])
    assert reached(autumn) == {"intro": [1, 0, 0], "body": [1, 0, 0], "shared": [1, 0, 0]}
    women = await funnel(filled, filter={"dimension": {"dimension": "GENDER", "in": ["F"]}})
    assert reached(women) == {"intro": [2, 2, 1], "body": [2, 1, 1], "shared": [2, 1, 1]}
    other = await funnel(filled, collection="other")
    assert (reached(other), other["requiredCount"]) == ({"shared": [1, 1, 1]}, 1)


async def test_of_nobody_there_is_no_share(filled: Instance) -> None:
    await filled.publish(unit("empty", unit("alone", leaf("z"))))
    (step,) = (await funnel(filled, collection="empty"))["steps"]
    assert (step["enrolledCount"], step["startedShare"], step["completedShare"]) == (0, None, None)


async def test_all_of_it_is_one_query(filled: Instance) -> None:
    with filled.stores.groups.meter.measure() as queries:
        await funnel(filled, depth=2)
    assert queries == {"activity-state": 1}


async def test_a_view_moves_the_funnel(published: Instance) -> None:
    """Two enrol. Ann ends a and b of unit-1, and so begins unit-2, which shares b; Bob does nothing."""
    for user in ("ann", "bob"):
        assert (await record(published.session(user), "Enrol", **BATCH))["errors"] == []
    for content in ("a", "b"):
        await view_to_end(published, "ann", content, **BATCH)
    await published.drain()
    assert reached(await funnel(published)) == {"unit-1": [2, 1, 1], "unit-2": [2, 1, 0]}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"collection": "nowhere"}, ("NOT_FOUND", "collectionId")),
        ({"collection": "unit-1"}, ("NOT_FOUND", "collectionId")),
        ({"contexts": ["never"]}, ("NOT_FOUND", "contextIds")),
        ({"contexts": []}, ("INVALID_INPUT", "contextIds")),
        ({"depth": 0}, ("INVALID_INPUT", "depth")),
        ({"depth": 33}, ("INVALID_INPUT", "depth")),
        ({"filter": {"status": ["COMPLETED"]}}, ("INVALID_INPUT", "filter")),
        (
            {"filter": {"not": {"measure": {"measure": "TIME_SPENT", "isNull": True}}}},
            ("INVALID_INPUT", "filter"),
        ),
    ],
)
async def test_what_can_never_be_right_names_the_field(
    published: Instance, asked: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert await code(reporter(published), FUNNEL, **{"collection": "course", **asked}) == expected


async def test_a_funnel_has_at_most_200_units(embedded: Instance) -> None:
    await embedded.publish(unit("wide", *(unit(f"u{n}", leaf(f"l{n}")) for n in range(201))))
    answer = await ask(reporter(embedded), FUNNEL, collection="wide")
    assert answer["errors"][0]["message"].startswith("a funnel has at most 200 units, this one 201")


async def test_who_sees_a_funnel(published: Instance) -> None:
    """Who sees figures does; a creator by no attribute of learners."""
    for role in (Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE, Role.CREATOR):
        await data(published.session("x", role), FUNNEL, collection="course")
    by_gender = {"collection": "course", "filter": {"dimension": {"dimension": "GENDER", "in": ["F"]}}}
    creator = published.session("cleo", Role.CREATOR)
    assert await code(creator, FUNNEL, **by_gender) == ("FORBIDDEN", "filter")
    assert (await code(published.session("ann"), FUNNEL, collection="course"))[0] == "FORBIDDEN"
    nobody = Session(Viewer(), published.shared)
    assert (await code(nobody, FUNNEL, collection="course"))[0] == "UNAUTHENTICATED"
