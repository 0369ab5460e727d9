"""What a player may rely on when it sends starts, updates and ends."""

import pytest

from ingest.enrolments import EnrolmentCall, enrol
from ingest.views import ViewCall, end_view, start_view, update_view
from loaders.aggregates import aggregates_by_key
from rules.identifiers import ProgressKey
from rules.progress import Status
from rules.views import ViewChange
from tests.conftest import NOW, Instance


def in_batch(content: str) -> ViewCall:
    return ViewCall(content, "course", "batch")


async def finish(cohort: Instance, user: str, *contents: str) -> None:
    session = cohort.session(user)
    for content in contents:
        await start_view(session, in_batch(content))
        await end_view(session, in_batch(content), ViewChange(NOW))


async def test_progress_is_right_before_any_worker_ran_and_after(course: Instance) -> None:
    """a and b of the required a, b, c: floor(100 × 2 / 3) = 66; unit-1 (a, b) is complete, unit-2 (b, c) half."""
    session = course.session("ada")
    await enrol(session, EnrolmentCall("course", "batch"))
    await finish(course, "ada", "a", "b")
    key = ProgressKey("ada", "course", "batch")

    for _ in range(2):
        content = await course.shared.library.collection("course")
        tree = await course.shared.library.relation_tree(content)
        standing = await course.session("ada").loaders.standings.load(key)
        assert standing is not None
        root, unit_1, unit_2 = (standing.progress(tree, node) for node in ("course", "unit-1", "unit-2"))
        assert (root.status, root.completed_count, root.required_count) == (Status.IN_PROGRESS, 2, 3)
        assert root.completion_percentage == 66
        assert (unit_1.status, unit_1.completion_percentage) == (Status.COMPLETED, 100)
        assert (unit_2.status, unit_2.completion_percentage) == (Status.IN_PROGRESS, 50)
        await course.drain()

    found = await aggregates_by_key(
        course.stores.rows, [(a, "ada", "cb:batch") for a in ("course", "unit-1", "unit-2")]
    )
    assert [(f.completed_count, f.required_count) for f in found if f] == [(2, 3), (2, 2), (1, 2)]


@pytest.mark.parametrize("ending", [ViewChange(NOW), ViewChange(NOW, time_spent=5)])
async def test_a_revisit_of_a_completed_content_changes_nothing(course: Instance, ending: ViewChange) -> None:
    await finish(course, "ada", "a")
    session = course.session("ada")
    again = await start_view(session, in_batch("a"))
    assert again.view.status is Status.COMPLETED
    updated = await update_view(session, in_batch("a"), ViewChange(NOW, progress=10))
    assert (updated.view.status, updated.view.progress) == (Status.COMPLETED, 100)
    assert (await end_view(session, in_batch("a"), ending)).view.time_spent == 0
