"""The documents that clients hold validate and answer as they stand."""

import os
from pathlib import Path

from tests.conftest import COURSE, Instance
from tests.graph.conftest import BATCH, DOCUMENTS, data, document, record, view_to_end

NOW_TEXT = "2026-03-01T12:00:00.000Z"


async def ann_at_work(course: Instance) -> None:
    """Enrolled, a completed, b begun. No worker runs."""
    assert (await record(course.session("ann"), "Enrol", **BATCH))["errors"] == []
    await view_to_end(course, "ann", "a", **BATCH)
    await record(course.session("ann"), "Start", contentId="b", **BATCH)


async def test_a_player_records_a_view_from_start_to_end(course: Instance) -> None:
    ann = course.session("ann")
    assert await record(ann, "Enrol", **BATCH) == {
        "enrolment": {"status": "NOT_STARTED", "completionPercentage": 0},
        "errors": [],
    }
    started = await record(ann, "Start", contentId="a", **BATCH)
    assert started["view"] == {"contentId": "a", "status": "IN_PROGRESS"}
    assert started["errors"] == []
    assert started["token"]
    updated = await record(ann, "Update", contentId="a", details={"page": 3}, **BATCH)
    assert updated == {"view": {"contentId": "a", "status": "IN_PROGRESS", "progress": 40}, "errors": []}
    ended = await record(ann, "End", contentId="a", **BATCH)
    assert ended["view"] == {"contentId": "a", "status": "COMPLETED", "progress": 100}
    assert ended["token"] != started["token"]


async def test_my_courses(published: Instance) -> None:
    await ann_at_work(published)
    me = (await data(published.session("ann"), document("my_courses")))["me"]
    assert me == {
        "userId": "ann",
        "name": None,
        "enrolments": {
            "pageInfo": {"hasNextPage": False, "endCursor": me["enrolments"]["pageInfo"]["endCursor"]},
            "edges": [
                {
                    "node": {
                        "collection": {"identifier": "course", "name": "Course", "leafNodesCount": 4},
                        "context": {
                            "contextId": "batch",
                            "type": "BATCH",
                            "name": "Batch batch",
                            "startDate": None,
                            "endDate": None,
                        },
                        "status": "IN_PROGRESS",
                        "completedCount": 1,
                        "completionPercentage": 33,
                        "enrolledOn": NOW_TEXT,
                        "completedOn": None,
                        "lastAccessedOn": NOW_TEXT,
                    }
                }
            ],
        },
    }


async def test_course_tree(published: Instance) -> None:
    found = await data(published.session("ann"), document("course_tree"), collection="course")
    assert found == {"collection": {"identifier": "course", "hierarchy": COURSE}}


async def test_course_page(published: Instance) -> None:
    await ann_at_work(published)
    page = await data(published.session("ann"), document("course_page"), collection="course", context="batch")
    found = page["collection"]
    assert (found["identifier"], found["status"], found["leafNodesCount"]) == ("course", "Live", 4)
    assert [(unit["identifier"], unit["leafNodesCount"], unit["progress"]) for unit in found["children"]] == [
        (
            "unit-1",
            2,
            {"status": "IN_PROGRESS", "completedCount": 1, "requiredCount": 2, "completionPercentage": 50},
        ),
        (
            "unit-2",
            3,
            {"status": "IN_PROGRESS", "completedCount": 0, "requiredCount": 2, "completionPercentage": 0},
        ),
    ]
    assert [leaf for unit in found["children"] for leaf in unit["children"]][:3] == [
        {
            "identifier": "a",
            "name": "A",
            "mimeType": "application/pdf",
            "view": {"status": "COMPLETED", "progress": 100, "lastAccessedOn": NOW_TEXT},
        },
        {
            "identifier": "b",
            "name": "B",
            "mimeType": "application/pdf",
            "view": {"status": "IN_PROGRESS", "progress": 0, "lastAccessedOn": NOW_TEXT},
        },
        {
            "identifier": "b",
            "name": "B",
            "mimeType": "application/pdf",
            "view": {"status": "IN_PROGRESS", "progress": 0, "lastAccessedOn": NOW_TEXT},
        },
    ]
    alone = await data(published.session("ann"), document("course_page"), collection="course")
    assert {unit["progress"]["status"] for unit in alone["collection"]["children"]} == {"NOT_STARTED"}


async def test_my_summary(published: Instance) -> None:
    await ann_at_work(published)
    found = await data(published.session("ann"), document("my_summary"), collection="course", context="batch")
    assert found["me"]["summary"] == {
        "status": "IN_PROGRESS",
        "completedCount": 1,
        "requiredCount": 3,
        "completionPercentage": 33,
        "contentStatus": [
            {"contentId": "a", "status": "COMPLETED"},
            {"contentId": "b", "status": "IN_PROGRESS"},
            {"contentId": "c", "status": "NOT_STARTED"},
            {"contentId": "d", "status": "NOT_STARTED"},
        ],
        "units": [
            {
                "unit": {"identifier": "unit-1", "name": "Unit 1"},
                "completedCount": 1,
                "requiredCount": 2,
                "completionPercentage": 50,
            },
            {
                "unit": {"identifier": "unit-2", "name": "Unit 2"},
                "completedCount": 0,
                "requiredCount": 2,
                "completionPercentage": 0,
            },
        ],
    }


async def test_figures_stay_the_same_once_a_worker_has_run(course: Instance) -> None:
    await ann_at_work(course)
    ann = course.session("ann")
    asked = [
        (document("my_courses"), {}),
        (document("my_summary"), {"collection": "course", "context": "batch"}),
        (document("course_page"), {"collection": "course", "context": "batch"}),
    ]
    before = [await data(ann, query, **variables) for query, variables in asked]
    await course.drain()
    ann.refresh()
    assert [await data(ann, query, **variables) for query, variables in asked] == before


async def test_a_completed_course_says_when(published: Instance) -> None:
    await ann_at_work(published)
    await view_to_end(published, "ann", "c", **BATCH)
    await record(published.session("ann"), "End", contentId="b", **BATCH)
    me = (await data(published.session("ann"), document("my_courses")))["me"]
    (edge,) = me["enrolments"]["edges"]
    assert (edge["node"]["status"], edge["node"]["completedOn"]) == ("COMPLETED", NOW_TEXT)


def test_the_copies_here_are_identical_to_the_originals() -> None:
    """Where COHORT_EXAMPLES names the folder that has them; the project itself needs only its copies."""
    originals = Path(os.environ.get("COHORT_EXAMPLES", DOCUMENTS))
    texts = {path.name: path.read_text() for path in originals.glob("*.graphql")}
    foundation = {name: text for name, text in texts.items() if text.startswith("# foundation")}
    assert {path.name: path.read_text() for path in DOCUMENTS.glob("*.graphql")} == foundation
