"""What learners see in strict mode and in carry forward of contents and of collections (R-MODE-2 to R-MODE-4). Copy and move
have modules of their own."""

from datetime import timedelta
from typing import Any

import pytest

from ingest.commands.contexts import NewContext, create_context
from rules.identifiers import ContextType
from rules.tracking import TrackingMode
from stores.tables import ENROLMENTS, VIEWS
from tests.conftest import LEAF, NOW, Instance
from tests.graph.conftest import data, record, view_to_end
from tests.ingest.test_sample import rows_of

CONTENTS = ("single-digit-addition", "double-digit-addition", "triple-digit-addition")
SINGLE = CONTENTS[0]
ACTIVE, EXPIRED, REJOINED = "batch-1", "batch-0", "batch-2"
CLASS_1 = "class-1-maths"

VIEW = """
query Opens($content: String!, $collection: String, $context: String) {
  me { view(contentId: $content, collectionId: $collection, contextId: $context) {
    status origin { kind collectionId contextId } collectionId contextId
  } }
}
"""
ENROL = """
mutation Joins($collection: String!, $context: String!) {
  enrol(input: { collectionId: $collection, contextId: $context }) { errors { code message } }
}
"""
ENROLMENT = """
query Stands($collection: String!, $context: String!) {
  me { enrolment(collectionId: $collection, contextId: $context) { completedCount completionPercentage status } }
}
"""


def maths(identifier: str, *contents: str) -> dict[str, Any]:
    leaves = [{"identifier": each, "name": each, "mimeType": LEAF} for each in contents]
    return {"identifier": identifier, "name": identifier, "children": leaves}


async def school(cohort: Instance) -> None:
    """Class 1 with three batches, one of which has ended, and a program; class 2 shares a content with class 1."""
    await cohort.publish(maths(CLASS_1, *CONTENTS))
    await cohort.publish(maths("class-2-maths", SINGLE, "long-division"))
    await cohort.batch(EXPIRED, CLASS_1, NOW - timedelta(days=200), NOW - timedelta(days=1))
    for batch in (ACTIVE, REJOINED):
        await cohort.batch(batch, CLASS_1)
    await cohort.batch("class-2-batch", "class-2-maths")
    program = NewContext(ContextType.PROGRAM, "Program abc", (CLASS_1, "class-2-maths"), "program-abc")
    await create_context(cohort.session(), program)


async def joins(cohort: Instance, collection: str, context: str) -> None:
    payload = (await data(cohort.session("rahul"), ENROL, collection=collection, context=context))["enrol"]
    assert payload["errors"] == []


async def opens(
    cohort: Instance, content: str, collection: str | None = None, context: str | None = None
) -> Any:
    found = await data(cohort.session("rahul"), VIEW, content=content, collection=collection, context=context)
    return found["me"]["view"]


async def status(cohort: Instance, content: str, *place: str) -> Any:
    return (await opens(cohort, content, *place))["status"]


async def completes(cohort: Instance, content: str, *place: str) -> None:
    ids = dict(zip(("collectionId", "contextId"), place, strict=False))
    await view_to_end(cohort, "rahul", content, **ids)


async def kept(cohort: Instance) -> list[tuple[str, str, str, int]]:
    """Which rows of views there are, as (collection, context, content, status)."""
    rows = await rows_of(cohort.shared, VIEWS)
    return sorted((r["collectionid"], r["contextid"], r["contentid"], r["status"]) for r in rows)


@pytest.fixture
async def maths_school(cohort: Instance) -> Instance:
    await school(cohort)
    return cohort


async def _completed_in_batch_1(cohort: Instance, mode: TrackingMode) -> Instance:
    cohort.track(mode)
    await joins(cohort, CLASS_1, ACTIVE)
    await completes(cohort, SINGLE, CLASS_1, ACTIVE)
    for collection, context in (
        (CLASS_1, REJOINED),
        (CLASS_1, "program-abc"),
        ("class-2-maths", "class-2-batch"),
    ):
        await joins(cohort, collection, context)
    return cohort


@pytest.fixture
async def strict(maths_school: Instance) -> Instance:
    return await _completed_in_batch_1(maths_school, TrackingMode.STRICT)


@pytest.fixture
async def full(maths_school: Instance) -> Instance:
    return await _completed_in_batch_1(maths_school, TrackingMode.CARRY_FORWARD_FULL)


@pytest.fixture
async def by_collection(maths_school: Instance) -> Instance:
    return await _completed_in_batch_1(maths_school, TrackingMode.CARRY_FORWARD_COLLECTION)


async def test_strict_a_view_counts_where_it_was_taken_and_nowhere_else(strict: Instance) -> None:
    assert await kept(strict) == [(CLASS_1, ACTIVE, SINGLE, 2)]
    assert await status(strict, SINGLE, CLASS_1, ACTIVE) == "COMPLETED"
    assert await status(strict, SINGLE) == "NOT_STARTED"
    assert await status(strict, SINGLE, CLASS_1, REJOINED) == "NOT_STARTED"
    # Inverse: completed after searching for it, later opened via the ToC of the course.
    double = CONTENTS[1]
    await completes(strict, double)
    assert await status(strict, double) == "COMPLETED"
    assert await status(strict, double, CLASS_1, ACTIVE) == "NOT_STARTED"


async def test_full_carry_forward_a_completed_content_is_completed_everywhere(full: Instance) -> None:
    assert await kept(full) == [(SINGLE, SINGLE, SINGLE, 2)]
    assert await status(full, SINGLE, CLASS_1, ACTIVE) == "COMPLETED"
    assert await status(full, SINGLE) == "COMPLETED"
    assert await status(full, SINGLE, CLASS_1, REJOINED) == "COMPLETED"
    assert await status(full, SINGLE, "class-2-maths", "class-2-batch") == "COMPLETED"


async def test_collection_carry_forward_it_is_completed_in_each_context_of_the_collection(
    by_collection: Instance,
) -> None:
    assert await kept(by_collection) == [(CLASS_1, CLASS_1, SINGLE, 2)]
    assert await status(by_collection, SINGLE, CLASS_1, ACTIVE) == "COMPLETED"
    assert await status(by_collection, SINGLE) == "NOT_STARTED"
    assert await status(by_collection, SINGLE, CLASS_1, REJOINED) == "COMPLETED"
    assert await status(by_collection, SINGLE, "class-2-maths", "class-2-batch") == "NOT_STARTED"
    assert await status(by_collection, SINGLE, CLASS_1, "program-abc") == "COMPLETED"


async def test_a_carried_view_says_where_it_was_completed(by_collection: Instance) -> None:
    view = await opens(by_collection, SINGLE, CLASS_1, REJOINED)
    assert (view["collectionId"], view["contextId"]) == (CLASS_1, REJOINED)
    assert view["origin"] == {"kind": "CARRIED", "collectionId": CLASS_1, "contextId": ACTIVE}
    assert (await opens(by_collection, SINGLE, CLASS_1, ACTIVE))["origin"] is None


async def test_also_where_it_is_kept_by_content(full: Instance) -> None:
    from_batch_1 = {"kind": "CARRIED", "collectionId": CLASS_1, "contextId": ACTIVE}
    assert (await opens(full, SINGLE, CLASS_1, ACTIVE))["origin"] is None
    for place in ((), (CLASS_1, REJOINED), ("class-2-maths", "class-2-batch")):
        assert (await opens(full, SINGLE, *place))["origin"] == from_batch_1
    # Begun in the batch and completed after a search: the latter is what counts.
    double = CONTENTS[1]
    batch = {"collectionId": CLASS_1, "contextId": ACTIVE}
    assert (await record(full.session("rahul"), "Start", contentId=double, **batch))["errors"] == []
    assert (await record(full.session("rahul"), "End", contentId=double))["errors"] == []
    assert (await opens(full, double))["origin"] is None
    shown = await opens(full, double, CLASS_1, ACTIVE)
    assert shown["origin"] == {"kind": "CARRIED", "collectionId": double, "contextId": double}


@pytest.mark.parametrize(
    ("mode", "elsewhere"),
    [
        # 1 of 3 in class 1, 1 of 2 in class 2: floor(100/3) and 100/2.
        (
            TrackingMode.CARRY_FORWARD_FULL,
            {
                (CLASS_1, REJOINED): (1, 33),
                (CLASS_1, "program-abc"): (1, 33),
                ("class-2-maths", "class-2-batch"): (1, 50),
            },
        ),
        (
            TrackingMode.CARRY_FORWARD_COLLECTION,
            {
                (CLASS_1, REJOINED): (1, 33),
                (CLASS_1, "program-abc"): (1, 33),
                ("class-2-maths", "class-2-batch"): (0, 0),
            },
        ),
    ],
)
async def test_carried_progress_is_in_every_enrolment_before_and_after_the_workers(
    maths_school: Instance, mode: TrackingMode, elsewhere: dict[tuple[str, str], tuple[int, int]]
) -> None:
    """Enrolments that were there before the view as well: a worker finds all that it counts for."""
    maths_school.track(mode)
    for place in elsewhere:
        await joins(maths_school, *place)
    await maths_school.drain()
    await joins(maths_school, CLASS_1, ACTIVE)
    await completes(maths_school, SINGLE, CLASS_1, ACTIVE)

    async def standings() -> dict[tuple[str, str], tuple[int, int]]:
        found = {}
        for collection, context in elsewhere:
            answer = await data(
                maths_school.session("rahul"), ENROLMENT, collection=collection, context=context
            )
            enrolment = answer["me"]["enrolment"]
            found[collection, context] = (enrolment["completedCount"], enrolment["completionPercentage"])
        return found

    assert await standings() == elsewhere
    await maths_school.drain()
    assert await standings() == elsewhere
    stored = {
        (row["collectionid"], row["contextid"]): row["progress"]
        for row in await rows_of(maths_school.shared, ENROLMENTS)
    }
    assert {place: stored[place] for place in elsewhere} == {
        place: completed for place, (completed, _) in elsewhere.items()
    }


async def test_views_that_are_carried_are_listed_page_by_page(maths_school: Instance) -> None:
    for mode in (TrackingMode.CARRY_FORWARD_FULL, TrackingMode.CARRY_FORWARD_COLLECTION):
        maths_school.track(mode)
        for content in CONTENTS:
            await completes(maths_school, content, CLASS_1, ACTIVE)
        query = """
        query Listed($after: String) { me {
          views(collectionId: "class-1-maths", contextId: "batch-2", first: 2, after: $after) {
            pageInfo { hasNextPage endCursor } edges { node { contentId status contextId } }
          } } }
        """
        first = (await data(maths_school.session("rahul"), query))["me"]["views"]
        assert first["pageInfo"]["hasNextPage"]
        after = first["pageInfo"]["endCursor"]
        second = (await data(maths_school.session("rahul"), query, after=after))["me"]["views"]
        assert not second["pageInfo"]["hasNextPage"]
        nodes = [edge["node"] for page in (first, second) for edge in page["edges"]]
        assert nodes == [
            {"contentId": content, "status": "COMPLETED", "contextId": REJOINED}
            for content in sorted(CONTENTS)
        ]


async def test_an_older_name_of_an_id_is_the_same_id(maths_school: Instance) -> None:
    """A write under one name is read back under the other (P-2.7)."""
    start = """
    mutation Starts { startView(input: { contentId: "single-digit-addition", courseId: "class-1-maths", batchId: "batch-1" }) {
      view { collectionId contextId } errors { code field }
    } }
    """
    started = (await data(maths_school.session("rahul"), start))["startView"]
    assert started == {"view": {"collectionId": CLASS_1, "contextId": ACTIVE}, "errors": []}
    assert await status(maths_school, SINGLE, CLASS_1, ACTIVE) == "IN_PROGRESS"
    join = """
    mutation { enrol(input: { courseId: "class-1-maths", batchId: "batch-1" }) {
      enrolment { collectionId contextId } errors { code field }
    } }
    """
    joined = (await data(maths_school.session("rahul"), join))["enrol"]
    assert joined == {"enrolment": {"collectionId": CLASS_1, "contextId": ACTIVE}, "errors": []}
    nowhere = join.replace('courseId: "class-1-maths", ', "")
    refused = (await data(maths_school.session("rahul"), nowhere))["enrol"]
    assert refused == {"enrolment": None, "errors": [{"code": "INVALID_INPUT", "field": "collectionId"}]}
    both = start.replace("courseId:", 'collectionId: "class-2-maths", courseId:')
    refused = (await data(maths_school.session("rahul"), both))["startView"]
    assert refused == {"view": None, "errors": [{"code": "INVALID_INPUT", "field": "courseId"}]}
