"""Rows of the workers, read by whole partitions."""

import pytest

from ingest.enrolments import EnrolmentCall, enrol
from ingest.views import ViewCall, end_view, start_view
from loaders.aggregates import aggregates_by_activity
from rules.progress import Status
from rules.views import ViewChange
from tests.conftest import NOW, Instance


async def finish(cohort: Instance, user: str, content: str, context: str) -> None:
    call = ViewCall(content, "course", context)
    await start_view(cohort.session(user), call)
    await end_view(cohort.session(user), call, ViewChange(NOW, time_spent=7))


async def test_a_learners_rows_of_all_contexts_with_all_that_a_state_says(course: Instance) -> None:
    """Ada completed a in the batch that she is enrolled in, a and b in another: of the required a, b, c."""
    await course.batch("other")
    await enrol(course.session("ada"), EnrolmentCall("course", "batch"))
    for content, context in (("a", "batch"), ("a", "other"), ("b", "other")):
        await finish(course, "ada", content, context)
    await course.drain()
    asked = [("course", "ada"), ("unit-2", "ada"), ("course", "bob"), ("course", "ada")]
    found = await aggregates_by_activity(course.stores.rows, asked)
    assert found.keys() == set(asked)
    assert found["course", "bob"] == []
    assert [
        (a.context_id, a.completed_count, a.required_count, a.status, a.time_spent, a.active, a.enrolled_on)
        for a in found["course", "ada"]
    ] == [
        ("cb:batch", 1, 3, Status.IN_PROGRESS, 7, True, NOW),
        ("cb:other", 2, 3, Status.IN_PROGRESS, 14, False, None),
    ]
    (unit,) = found["unit-2", "ada"]
    assert (unit.activity_id, unit.user_id, unit.context_id) == ("unit-2", "ada", "cb:other")
    assert (unit.collection_id, unit.completed_count, unit.required_count) == ("course", 1, 2)


@pytest.mark.parametrize("activity_type", ["Quiz", "CourseUnit"])
async def test_of_another_type_of_activity_there_is_nothing(embedded: Instance, activity_type: str) -> None:
    await embedded.publish()
    await embedded.batch()
    await finish(embedded, "ada", "a", "batch")
    await embedded.drain()
    rows = embedded.stores.rows
    assert len((await aggregates_by_activity(rows, [("course", "ada")]))["course", "ada"]) == 1
    found = await aggregates_by_activity(rows, [("course", "ada")], activity_type)
    assert found == {("course", "ada"): []}


async def test_a_hundred_learners_of_an_activity_are_one_statement(course: Instance) -> None:
    keys = [("course", f"user-{number}") for number in range(100)]
    with course.stores.rows.meter.measure() as counted:
        assert await aggregates_by_activity(course.stores.rows, keys) == {key: [] for key in keys}
    assert counted == {"select user_activity_agg": 1}
