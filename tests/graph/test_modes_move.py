"""What learners see in move mode (R-MODE-7), case by case: one copy of a collection that is under way."""

from datetime import timedelta
from typing import Any

import pytest

from ingest.commands.contexts import NewContext, create_context
from resolvers.summaries import read_summary
from rules.identifiers import ContextType
from rules.tracking import TrackingMode
from tests.conftest import NOW, Instance
from tests.graph.conftest import data, record
from tests.graph.test_modes import CLASS_1, CONTENTS, completes, joins, kept, maths, opens, status

SINGLE, DOUBLE, TRIPLE = CONTENTS
PROGRAM = "program-1"
ALWAYS = '{"rules": [{"type": "always"}]}'
"""On top of the rule that the mode is about: the learner is under way in a batch of the collection."""


async def school(cohort: Instance) -> Instance:
    """Rahul has completed single-digit-addition and begun double-digit-addition in batch-1, which ends after 20 days."""
    cohort.track(TrackingMode.MOVE, ALWAYS)
    await cohort.publish(maths(CLASS_1, *CONTENTS))
    await cohort.batch("batch-1", CLASS_1, NOW - timedelta(days=10), NOW + timedelta(days=20))
    await cohort.batch("batch-2", CLASS_1)
    new = NewContext(ContextType.PROGRAM, "Program 1", (CLASS_1,), PROGRAM)
    await create_context(cohort.session(), new)
    await joins(cohort, CLASS_1, "batch-1")
    await completes(cohort, SINGLE, CLASS_1, "batch-1")
    started = {"contentId": DOUBLE, "collectionId": CLASS_1, "contextId": "batch-1"}
    assert (await record(cohort.session("rahul"), "Start", **started))["errors"] == []
    await cohort.drain()
    return cohort


@pytest.fixture
async def rahul(cohort: Instance) -> Instance:
    """He now enrols into Program 1."""
    await school(cohort)
    cohort.sets_clock(NOW + timedelta(days=1))
    await joins(cohort, CLASS_1, PROGRAM)
    return cohort


async def test_progress_is_complete_in_the_course_before_any_worker_ran_and_after(rahul: Instance) -> None:
    """Row 1: whether he goes into the course by the program, by its batch, or by no context at all."""
    for _ in range(2):
        for context in (PROGRAM, "batch-1", None):
            view = await opens(rahul, SINGLE, CLASS_1, context)
            assert view == {
                "status": "COMPLETED",
                "origin": {"kind": "MOVED", "collectionId": CLASS_1, "contextId": "batch-1"},
                "collectionId": CLASS_1,
                "contextId": PROGRAM,
            }
            assert (await opens(rahul, DOUBLE, CLASS_1, context))["status"] == "IN_PROGRESS"
        await rahul.drain()
    assert await kept(rahul) == [(CLASS_1, PROGRAM, DOUBLE, 1), (CLASS_1, PROGRAM, SINGLE, 2)]


async def test_a_content_found_by_search_is_not_started(rahul: Instance) -> None:
    """Row 2: contents by themselves are not moved."""
    await rahul.drain()
    assert await status(rahul, SINGLE) == "NOT_STARTED"


async def test_rejoined_after_the_batch_expired_it_is_not_started(cohort: Instance) -> None:
    """Row 3: batch-1 is no longer on-going, so nothing moves out of it."""
    await school(cohort)
    cohort.sets_clock(NOW + timedelta(days=21))
    await joins(cohort, CLASS_1, "batch-2")
    await cohort.drain()
    for context in ("batch-2", None):
        view = await opens(cohort, SINGLE, CLASS_1, context)
        assert (view["status"], view["contextId"]) == ("NOT_STARTED", "batch-2")
    assert await status(cohort, SINGLE, CLASS_1, "batch-1") == "COMPLETED"


async def test_there_is_one_active_copy(rahul: Instance) -> None:
    """In the list of enrolments, with the figures, as soon as the call is answered."""
    for _ in range(2):
        assert await enrolments(rahul) == [
            ("batch-1", False, 0, "NOT_STARTED"),
            (PROGRAM, True, 1, "IN_PROGRESS"),
        ]
        await rahul.drain()


async def test_deleted_by_the_name_of_the_batch_the_progress_in_the_program_is_gone(rahul: Instance) -> None:
    delete = """
    mutation { deleteSummary(input: { collectionId: "class-1-maths", contextId: "batch-1" }) {
      purged { contextId } done errors { code }
    } }
    """
    deleted = (await data(rahul.session("rahul"), delete))["deleteSummary"]
    assert deleted == {
        "purged": [{"contextId": PROGRAM}, {"contextId": "batch-1"}], "done": True, "errors": []
    }  # fmt: skip
    await rahul.drain()
    assert await kept(rahul) == []
    for context in (PROGRAM, "batch-1"):
        assert await status(rahul, SINGLE, CLASS_1, context) == "NOT_STARTED"


async def test_a_summary_by_the_name_of_the_batch_is_the_program_s(rahul: Instance) -> None:
    summary = await read_summary(rahul.session("rahul"), "rahul", CLASS_1, "batch-1")
    assert (summary.key.context_id, summary.active) == (PROGRAM, True)
    assert summary.content_status == {SINGLE: 2, DOUBLE: 1}


async def test_what_is_begun_without_a_context_is_read_back_without_one(rahul: Instance) -> None:
    """It stays where it was begun; the context's own views come first."""
    started = {"contentId": TRIPLE, "collectionId": CLASS_1}
    assert (await record(rahul.session("rahul"), "Start", **started))["errors"] == []
    assert await status(rahul, TRIPLE, CLASS_1) == "IN_PROGRESS"
    assert await status(rahul, TRIPLE, CLASS_1, PROGRAM) == "NOT_STARTED"
    query = """
    query { me { views(collectionId: "class-1-maths", first: 10) { edges { node { contentId contextId status } } } } }
    """
    edges = (await data(rahul.session("rahul"), query))["me"]["views"]["edges"]
    assert [tuple(edge["node"].values()) for edge in edges] == [
        (DOUBLE, PROGRAM, "IN_PROGRESS"),
        (SINGLE, PROGRAM, "COMPLETED"),
        (TRIPLE, CLASS_1, "IN_PROGRESS"),
    ]


async def test_both_enrolments_say_where_the_progress_went(rahul: Instance) -> None:
    query = """
    query { me { enrolments(first: 5) { edges { node { contextId active movedTo movedFrom timeSpent
        nextContent { identifier } contentStatus { status } } } } } }
    """
    edges = (await data(rahul.session("rahul"), query))["me"]["enrolments"]["edges"]
    none, begun, done = ({"status": status} for status in ("NOT_STARTED", "IN_PROGRESS", "COMPLETED"))
    assert [edge["node"] for edge in edges] == [
        {
            "contextId": "batch-1",
            "active": False,
            "movedTo": PROGRAM,
            "movedFrom": None,
            "timeSpent": 0,
            "nextContent": None,
            "contentStatus": [none, none, none],
        },
        {
            "contextId": PROGRAM,
            "active": True,
            "movedTo": None,
            "movedFrom": "batch-1",
            "timeSpent": 0,
            "nextContent": {"identifier": DOUBLE},
            "contentStatus": [done, begun, none],
        },
    ]


async def test_calls_that_name_the_batch_go_on_in_the_program(rahul: Instance) -> None:
    """Also once the batch has ended: the learner is at work in the program."""
    for days in (1, 30):
        rahul.sets_clock(NOW + timedelta(days=days))
        ended = {"contentId": DOUBLE, "collectionId": CLASS_1, "contextId": "batch-1"}
        payload = await record(rahul.session("rahul"), "End", **ended)
        assert payload["errors"] == []
        assert payload["view"]["status"] == "COMPLETED"
    assert (await opens(rahul, DOUBLE, CLASS_1, PROGRAM))["status"] == "COMPLETED"
    await rahul.drain()
    assert await kept(rahul) == [(CLASS_1, PROGRAM, DOUBLE, 2), (CLASS_1, PROGRAM, SINGLE, 2)]


ENROLMENTS = """{ me { enrolments(first: 10) { edges { node {
    contextId active completedCount status } } } } }"""


async def enrolments(cohort: Instance) -> list[tuple[Any, ...]]:
    found = await data(cohort.session("rahul"), ENROLMENTS)
    return [tuple(edge["node"].values()) for edge in found["me"]["enrolments"]["edges"]]
