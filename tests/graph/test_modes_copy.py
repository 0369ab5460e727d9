"""What learners see in copy mode (R-MODE-5), case by case, and reads and writes without a context (R-MODE-9)."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from rules.tracking import TrackingMode
from tests.conftest import NOW, Instance
from tests.graph.conftest import data
from tests.graph.test_modes import CLASS_1, CONTENTS, completes, joins, kept, maths, opens, status

SINGLE, DOUBLE, TRIPLE = CONTENTS
RULES = orjson.dumps(
    {
        "match": "any",
        "rules": [
            {"type": "completedWithin", "unit": "months", "value": 3},
            {"type": "withinContextDuration"},
        ],
    }
).decode()
"""Completed in the last three months, or while the context lasts."""


@pytest.fixture
async def rahul(cohort: Instance) -> Instance:
    """He has completed single-digit-addition by itself, joined batch-1 a day later, and completed double-digit-addition
    there. batch-1 ends after 20 days, when batch-2 begins."""
    cohort.track(TrackingMode.COPY, RULES)
    await cohort.publish(maths(CLASS_1, *CONTENTS))
    await cohort.batch("batch-1", CLASS_1, NOW - timedelta(days=10), NOW + timedelta(days=20))
    await cohort.batch("batch-2", CLASS_1, NOW + timedelta(days=20), NOW + timedelta(days=200))
    await completes(cohort, SINGLE)
    cohort.sets_clock(NOW + timedelta(days=1))
    await joins(cohort, CLASS_1, "batch-1")
    await completes(cohort, DOUBLE, CLASS_1, "batch-1")
    return cohort


async def test_what_was_completed_before_is_copied_into_the_course(rahul: Instance) -> None:
    """The rows of views are there as well: that in the course is a copy, as its origin says."""
    view = await opens(rahul, SINGLE, CLASS_1, "batch-1")
    assert view == {
        "status": "COMPLETED",
        "origin": {"kind": "COPIED", "collectionId": SINGLE, "contextId": SINGLE},
        "collectionId": CLASS_1,
        "contextId": "batch-1",
    }
    assert await kept(rahul) == [
        (CLASS_1, "batch-1", DOUBLE, 2),
        (CLASS_1, "batch-1", SINGLE, 2),
        (SINGLE, SINGLE, SINGLE, 2),
    ]


async def test_a_content_found_by_search_stays_complete(rahul: Instance) -> None:
    """Row 2."""
    assert await status(rahul, SINGLE) == "COMPLETED"


async def test_rejoined_after_1_month_it_is_complete(rahul: Instance) -> None:
    """Row 3: batch-1 has expired; 30 days are within the 3 months. The copy in batch-1 is none to copy from: the
    origin is where Rahul completed it."""
    rahul.sets_clock(NOW + timedelta(days=30))
    await joins(rahul, CLASS_1, "batch-2")
    view = await opens(rahul, SINGLE, CLASS_1, "batch-2")
    assert (view["status"], view["origin"]["collectionId"]) == ("COMPLETED", SINGLE)
    assert await status(rahul, DOUBLE, CLASS_1, "batch-2") == "COMPLETED"
    assert await status(rahul, TRIPLE, CLASS_1, "batch-2") == "NOT_STARTED"


async def test_rejoined_after_3_months_it_is_not_started(rahul: Instance) -> None:
    """Row 4: 92 days are more than 3 months of 30, although the copy is younger."""
    rahul.sets_clock(NOW + timedelta(days=92))
    await joins(rahul, CLASS_1, "batch-2")
    await rahul.drain()
    assert await status(rahul, SINGLE, CLASS_1, "batch-2") == "NOT_STARTED"
    assert await status(rahul, SINGLE, CLASS_1, "batch-1") == "COMPLETED"


async def test_what_was_completed_in_the_course_is_not_started_by_itself(rahul: Instance) -> None:
    """Row 5."""
    await rahul.drain()
    assert await status(rahul, DOUBLE) == "NOT_STARTED"


async def test_what_is_completed_by_itself_later_reaches_the_course(rahul: Instance) -> None:
    """Row 6, by a worker; the figures of the enrolment with it."""
    await completes(rahul, TRIPLE)
    await rahul.drain()
    view = await opens(rahul, TRIPLE, CLASS_1, "batch-1")
    assert (view["status"], view["origin"]["kind"]) == ("COMPLETED", "COPIED")
    assert await stands(rahul, "batch-1") == (3, "COMPLETED")


async def test_a_read_without_a_context_finds_the_learners_active_one(rahul: Instance) -> None:
    """Extended Enrolment Consumption, scenario 2: written with the context, read without it. Of two that are open the
    one joined last; without an open one the collection by itself."""
    assert await place(rahul, DOUBLE) == ("COMPLETED", "batch-1")
    assert await progress(rahul) == 2
    rahul.sets_clock(NOW + timedelta(days=20))
    await joins(rahul, CLASS_1, "batch-2")
    assert await place(rahul, DOUBLE) == ("COMPLETED", "batch-2")
    rahul.sets_clock(NOW + timedelta(days=201))
    assert await place(rahul, DOUBLE) == ("NOT_STARTED", CLASS_1)
    assert await progress(rahul) == 0


async def test_a_write_without_a_context_stays_with_the_collection(rahul: Instance) -> None:
    """It is completed there, and reaches the batch as a completion elsewhere does."""
    await completes(rahul, TRIPLE, CLASS_1)
    assert (CLASS_1, CLASS_1, TRIPLE, 2) in await kept(rahul)
    assert await place(rahul, TRIPLE) == ("COMPLETED", CLASS_1)
    assert await status(rahul, TRIPLE, CLASS_1, "batch-1") == "NOT_STARTED"
    await rahul.drain()
    view = await opens(rahul, TRIPLE, CLASS_1)
    assert (view["status"], view["origin"]["contextId"]) == ("COMPLETED", CLASS_1)


async def place(cohort: Instance, content: str) -> tuple[str, str]:
    """How it stands, and under which context, for a read that names the collection alone."""
    view = await opens(cohort, content, CLASS_1)
    return view["status"], view["contextId"]


PROGRESS = """query ($collection: String!) { me { summary(collectionId: $collection) { completedCount } }
    collection(identifier: $collection) { progress { completedCount } } }"""
STANDS = """query ($collection: String!, $context: String!) {
    me { enrolment(collectionId: $collection, contextId: $context) { completedCount status } } }"""


async def progress(cohort: Instance) -> int:
    """The same in the summary and on the tree."""
    found = await data(cohort.session("rahul"), PROGRESS, collection=CLASS_1)
    counts = {
        found["me"]["summary"]["completedCount"],
        found["collection"]["progress"]["completedCount"],
    }
    (count,) = counts
    return int(count)


async def stands(cohort: Instance, context: str) -> tuple[Any, Any]:
    found = await data(cohort.session("rahul"), STANDS, collection=CLASS_1, context=context)
    return found["me"]["enrolment"]["completedCount"], found["me"]["enrolment"]["status"]
