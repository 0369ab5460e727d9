"""The documents that clients hold validate and answer as they stand."""

import os
from pathlib import Path
from typing import Any

import pytest

from ingest.aggregation.run import aggregate
from ingest.commands.learner_groups import NewGroup, create_group
from ingest.commands.learners import ProfileCall, save_profile
from resolvers.opaque_texts import encode
from rules.attempts import Question
from rules.group_changes import AddMember
from rules.identifiers import ViewKey
from rules.learner_groups import Activity
from rules.viewers import Role
from tests.attempts import store_attempt
from tests.conftest import COURSE, NOW, Instance
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
    assert ended["token"]


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


async def test_my_assessments(published: Instance) -> None:
    """By hand: 2.0 and 1.33 of 3.0 are 1.665 on average, the best is 66 %."""
    key = ViewKey("ann", "course", "batch", "a")
    for attempt, score in (("t1", 2.0), ("t2", 1.33)):
        asked = [Question("q1", NOW, score, 3.0, title="Which?", answers=[{"1": "A"}])]
        await store_attempt(published.shared, key, attempt, score, 3.0, NOW, questions=asked)
    await published.drain()
    found = await data(published.session("ann"), document("my_assessments"), collection="course")
    (edge,) = found["me"]["assessments"]["edges"]
    assert edge["node"].pop("averageScore") == pytest.approx(1.665)
    assert edge["node"] == {
        "assessment": {"identifier": "a", "name": "A"},
        "context": {"contextId": "batch", "name": "Batch batch"},
        "best": {"score": 2.0, "maxScore": 3.0, "percentage": 66},
        "lastScore": 1.33,
        "attemptsCount": 2,
        "updatedOn": NOW_TEXT,
        "lastAttempt": {
            "attemptedOn": NOW_TEXT,
            "score": {"score": 1.33, "maxScore": 3.0},
            "questionsSource": "LIVE",
            "questions": [
                {
                    "questionId": "q1",
                    "title": "Which?",
                    "score": 1.33,
                    "maxScore": 3.0,
                    "answers": [[{"name": "1", "value": "A"}]],
                }
            ],
        },
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


async def bob_completes(course: Instance) -> None:
    assert (await record(course.session("bob"), "Enrol", **BATCH))["errors"] == []
    for content in ("a", "b", "c"):
        await view_to_end(course, "bob", content, **BATCH)


def figures(updated: str | None = NOW_TEXT, **values: int) -> list[dict[str, Any]]:
    return [{"metric": metric, "value": value, "lastUpdatedOn": updated} for metric, value in values.items()]


async def test_group_page(published: Instance) -> None:
    """Ann has 1 of 3 required leaves, bob all, cas never came: one of the two enrolled has completed it."""
    await ann_at_work(published)
    await bob_completes(published)
    members = (AddMember("bob"), AddMember("cas"))
    new = NewGroup(
        "Team", members=members, activities=(Activity("course", "Course"),), group_id="team", user_id="ann"
    )
    await create_group(published.session(), new)
    await save_profile(published.session(), ProfileCall("Bob", user_id="bob"))
    await published.drain()
    mentor = published.session("mira", Role.MENTOR)
    found = await data(mentor, document("group_page"), group="team")

    def member(
        user_id: str, name: str | None, role: str, done: int, percentage: int, updated: str | None = NOW_TEXT
    ) -> dict[str, Any]:
        agg = figures(updated, completedCount=done, completionPercentage=percentage, timeSpent=0)
        node = {"learner": {"userId": user_id, "name": name}, "role": role}
        return {"node": {**node, "completionPercentage": percentage, "agg": agg}}

    assert found == {
        "group": {
            "groupId": "team",
            "name": "Team",
            "activities": [
                {
                    "id": encode("GroupActivity", "team", "course", "Course", "query"),
                    "type": "Course",
                    "collection": {"name": "Course", "leafNodesCount": 4},
                    "agg": [
                        *figures(
                            enrolledCount=2, completedCount=1, completionPercentage=50, leafNodesCount=4
                        ),
                        {"metric": "averageScore", "value": None, "lastUpdatedOn": None},
                    ],
                    "source": "ROWS",
                    "asOf": NOW_TEXT,
                    "complete": True,
                    "members": {
                        "edges": [
                            member("ann", None, "ADMIN", 1, 33),
                            member("bob", "Bob", "MEMBER", 3, 100),
                            member("cas", None, "MEMBER", 0, 0, None),
                        ]
                    },
                }
            ],
        }
    }


async def test_dashboard(published: Instance) -> None:
    """Ann and dee are women at 33 % and 0 %, bob is a man at 100 %."""
    await ann_at_work(published)
    await bob_completes(published)
    assert (await record(published.session("dee"), "Enrol", **BATCH))["errors"] == []
    for user, gender in (("ann", "F"), ("bob", "M"), ("dee", "F")):
        await save_profile(published.session(), ProfileCall(None, {"gender": gender}, user))
    await published.drain()
    await aggregate(published.shared)
    found = await data(published.session("mira", Role.REPORTER), document("dashboard"), activity="course")

    def table(source: str, kinds: dict[str, str], *rows: list[Any]) -> dict[str, Any]:
        columns = [{"name": name, "kind": kind} for name, kind in kinds.items()]
        return {
            "columns": columns,
            "rows": list(rows),
            "source": source,
            "asOf": NOW_TEXT,
            "complete": True,
        }

    counts = {"enrolledCount": "NUMBER", "completedCount": "NUMBER"}
    percentages = {"completionPercentage": "PERCENTAGE", "averageProgress": "PERCENTAGE"}
    assert found["totals"] == table("STATES", counts | percentages, [3, 1, 33, round(133 / 3, 2)])
    assert found["byGender"] == table(
        "STATES",
        {"gender": "DIMENSION", "enrolledCount": "NUMBER", "averageProgress": "PERCENTAGE"},
        ["F", 2, 16.5],
        ["M", 1, 100],
    )
    assert found["courses"] == table("STATES", {"collection": "DIMENSION", **counts}, ["course", 3, 1])


def test_the_copies_here_are_identical_to_the_originals() -> None:
    """Where COHORT_EXAMPLES names the folder that has them; the project itself needs only its copies. The first line
    of each names what it needs. Beside them there are documents that begin here."""
    originals = Path(os.environ.get("COHORT_EXAMPLES", DOCUMENTS))
    texts = {path.name: path.read_text() for path in originals.glob("*.graphql")}
    answered = {
        name: text for name, text in texts.items() if text.startswith(("# foundation", "# group query"))
    }
    copies = {path.name: path.read_text() for path in DOCUMENTS.glob("*.graphql")}
    assert {name: copies.get(name) for name in answered} == answered
