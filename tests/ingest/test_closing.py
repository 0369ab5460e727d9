"""What a forced end promises: views that never ended are completed at their last access, and only those."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.closing import close_own_idle_views
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view, update_view
from ingest.job_kinds import job_kind
from ingest.jobs.closing import close_idle_views
from ingest.jobs.runner import Jobs
from loaders.aggregates import aggregates_by_key
from rules.errors import Forbidden, InvalidInput, StoreUnavailable
from rules.identifiers import ProgressKey, ViewKey
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.viewers import Role
from rules.views import View, ViewChange
from tests.aggregates import figures_key
from tests.conftest import NOW, Instance

MONTH = timedelta(days=30)
LONG_AGO, LATELY = NOW - timedelta(days=40), NOW - timedelta(days=20)


async def start(cohort: Instance, user: str, content: str, at: datetime, context: str = "batch") -> None:
    await start_view(cohort.session(), ViewCall(content, "course", context, user, at))


async def view(cohort: Instance, user: str, content: str, context: str = "batch") -> View:
    found = await cohort.session(user).loaders.views.load(ViewKey(user, "course", context, content))
    assert found is not None
    return found


@pytest.fixture
async def begun(course: Instance) -> Instance:
    """Ann began a long ago and b lately, and has ended c; bob began a long ago."""
    for user in ("ann", "bob"):
        await enrol(course.session(), EnrolmentCall("course", "batch", user, LONG_AGO))
        await start(course, user, "a", LONG_AGO)
    await start(course, "ann", "b", LATELY)
    await start(course, "ann", "c", LONG_AGO)
    await end_view(course.session(), ViewCall("c", "course", "batch", "ann", LONG_AGO), ViewChange(LONG_AGO))
    await course.drain()
    return course


async def test_views_that_never_ended_end_at_their_last_access_and_count(begun: Instance) -> None:
    key = ProgressKey("ann", "course", "batch")
    (touches,) = await begun.session("ann").loaders.touches.load_many([key])  # and are in the hash now
    assert touches["a"].status is Status.IN_PROGRESS
    untouched = [await view(begun, "ann", content) for content in ("b", "c")]
    closing = await close_idle_views(begun.shared, MONTH)
    assert (closing.looked_at, closing.closed) == (4, 2)
    for user in ("ann", "bob"):
        closed = await view(begun, user, "a")
        assert (closed.status, closed.progress) == (Status.COMPLETED, 100)
        assert closed.last_accessed_on == closed.completed_on == LONG_AGO
        assert closed.origin == Origin(OriginKind.CLOSED, None, "idle for 30 days", NOW)
    assert [replace(await view(begun, "ann", c), changed_at=None) for c in ("b", "c")] == [
        replace(v, changed_at=None) for v in untouched
    ]
    (touches,) = await begun.session("ann").loaders.touches.load_many([key])
    assert {content: touch.status for content, touch in touches.items()} == {
        "a": Status.COMPLETED,
        "b": Status.IN_PROGRESS,
        "c": Status.COMPLETED,
    }
    await begun.drain()
    (aggregate,) = await aggregates_by_key(begun.stores.rows, [figures_key("course", "ann")])
    assert aggregate is not None
    assert aggregate.completed_count == 2
    later = replace(begun.shared, now=lambda: NOW + timedelta(minutes=1))
    assert (await close_idle_views(later, MONTH)).closed == 0


# --- on the embedded engines alone


@pytest.fixture
async def idle(embedded: Instance) -> Instance:
    """Ann began a and b long ago, and c lately; bob began a long ago."""
    await embedded.publish()
    await embedded.batch()
    for user, content, at in (
        ("ann", "a", LONG_AGO),
        ("ann", "b", LONG_AGO),
        ("ann", "c", LATELY),
        ("bob", "a", LONG_AGO),
    ):
        await start(embedded, user, content, at)
    return embedded


async def test_a_dry_run_tells_and_changes_nothing(idle: Instance) -> None:
    closing = await close_idle_views(idle.shared, MONTH, dry_run=True)
    assert (closing.looked_at, closing.closed) == (4, 3)
    assert (await view(idle, "ann", "a")).status is Status.IN_PROGRESS


async def test_who_comes_back_meanwhile_keeps_the_view_open(
    idle: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view was read as idle; before it is closed its player sends an update."""
    rows, sound = idle.stores.rows, idle.stores.rows.update_if
    back = False

    async def slow(*args: Any, **options: Any) -> Any:
        nonlocal back
        if not back:
            back = True
            call = ViewCall("a", "course", "batch", "ann")
            await update_view(idle.session(), call, ViewChange(NOW, progress=40))
        return await sound(*args, **options)

    monkeypatch.setattr(rows, "update_if", slow)
    await close_own_idle_views(idle.session("ann"), MONTH)
    found = await view(idle, "ann", "a")
    assert (found.status, found.progress, found.last_accessed_on) == (Status.IN_PROGRESS, 40, NOW)
    assert (await view(idle, "ann", "b")).status is Status.COMPLETED


async def test_learners_close_their_own_and_admins_and_services_those_of_others(idle: Instance) -> None:
    for roles in ((Role.LEARNER,), (Role.MENTOR,)):
        with pytest.raises(Forbidden):
            await close_own_idle_views(idle.session("bob", *roles), MONTH, "ann")
    closing = await close_own_idle_views(idle.session("ann"), MONTH)
    assert (closing.looked_at, closing.closed) == (3, 2)
    assert (await view(idle, "bob", "a")).status is Status.IN_PROGRESS
    assert (await close_own_idle_views(idle.session("root", Role.ADMIN), MONTH, "bob")).closed == 1
    with pytest.raises(InvalidInput):
        await close_own_idle_views(idle.session("ann"), timedelta(0))
    with pytest.raises(InvalidInput):
        await close_idle_views(idle.shared, MONTH, rate=0)


async def test_a_closing_that_died_between_a_row_and_its_trigger_is_finished_by_resuming(
    idle: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await idle.drain()
    sound = idle.stores.events.send

    async def away(*_: Any) -> None:
        raise StoreUnavailable("the log is away")

    monkeypatch.setattr(idle.stores.events, "send", away)
    with pytest.raises(StoreUnavailable):
        await close_idle_views(idle.shared, MONTH)
    monkeypatch.setattr(idle.stores.events, "send", sound)
    (job,) = await Jobs(idle.shared).list()
    await Jobs(idle.shared).resume(job_kind(job.kind), job.id)
    await idle.drain()
    for user, count in (("ann", 2), ("bob", 1)):
        (aggregate,) = await aggregates_by_key(idle.stores.rows, [figures_key("course", user)])
        assert aggregate is not None
        assert aggregate.completed_count == count
