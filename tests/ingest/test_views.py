"""What a player may rely on when it sends starts, updates and ends."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view, update_view
from loaders.aggregates import aggregates_by_key
from loaders.session import Session, Shared
from loaders.touches import hash_key
from loaders.views import views_by_key
from rules.errors import (
    Absent,
    CohortError,
    ContextClosed,
    Forbidden,
    InvalidInput,
    NotFound,
    StatusGoesDown,
    Unauthenticated,
    ViewNotStarted,
)
from rules.identifiers import ProgressKey, view_key
from rules.progress import Status
from rules.tracking import Tracking
from rules.viewers import Role, Viewer
from rules.views import ViewChange
from stores.tables import LEARNER_SCOPES
from stores.topics import TRIGGERS
from tests.aggregates import figures_key
from tests.conftest import LEAF, NOW, Instance


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
        course.stores.rows, [figures_key(a, "ada") for a in ("course", "unit-1", "unit-2")]
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


def service_call(content: str, user: str | None = "ada", at: datetime | None = None) -> ViewCall:
    return ViewCall(content, "course", "batch", user, at)


async def marks(cohort: Instance, user: str = "ada") -> list[str]:
    """Of calls that announced themselves in the learner's hash and did not take that back."""
    await cohort.shared.background.settled()
    key = ProgressKey(user, "course", "batch")
    (fields,) = await cohort.stores.cache.hashes([hash_key(key)])
    return [name for name in fields if name.startswith("!")]


async def triggers(cohort: Instance) -> list[bytes]:
    return [record.value async for record in cohort.stores.events.read(TRIGGERS.name)]


@pytest.mark.parametrize(
    ("call", "error", "field"),
    [
        (ViewCall(""), Absent, "contentId"),
        (ViewCall("a", "  ", "batch"), Absent, "collectionId"),
        (ViewCall("a", "course", ""), Absent, "contextId"),
        (ViewCall("a", None, "batch"), Absent, "collectionId"),
        (ViewCall("a", "nowhere", "batch"), NotFound, "collectionId"),
        (ViewCall("a", "course", "nowhere"), NotFound, "contextId"),
        (ViewCall("nothing", "course", "batch"), NotFound, "contentId"),
        (ViewCall("nothing"), NotFound, "contentId"),
        (ViewCall("unit-1", "course", "batch"), NotFound, "contentId"),
        (ViewCall("a", "unit-1", "batch"), NotFound, "collectionId"),
        (ViewCall("a", "a", "batch"), NotFound, "collectionId"),
        (ViewCall("alone", "course", "batch"), NotFound, "contentId"),
        (ViewCall("course", "course", "batch"), NotFound, "contentId"),
        (ViewCall("course"), NotFound, "contentId"),
        (ViewCall("unit-1"), NotFound, "contentId"),
        (ViewCall("other-leaf", "other", "batch"), InvalidInput, "contextId"),
    ],
)
async def test_a_call_that_names_nothing_leaves_nothing(
    published: Instance, call: ViewCall, error: type[CohortError], field: str
) -> None:
    cohort = published
    await cohort.publish({"identifier": "alone", "name": "Alone", "mimeType": LEAF})
    other = {"identifier": "other-leaf", "name": "Leaf"}
    await cohort.publish({"identifier": "other", "name": "Other", "children": [other]})
    session = cohort.session("ada")
    for command in (
        start_view(session, call),
        update_view(session, call, ViewChange(NOW)),
        end_view(session, call, ViewChange(NOW)),
    ):
        with pytest.raises(error) as refused:
            await command
        assert type(refused.value) is error
        assert refused.value.field == field
    assert await triggers(cohort) == []
    assert await cohort.stores.rows.partition(LEARNER_SCOPES, ("ada",)) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (ViewChange(NOW, progress_details=["page", 3]), "progressDetails"),
        (ViewChange(NOW, progress_details="page 3"), "progressDetails"),
        (ViewChange(NOW, progress_details={"page": "x" * 16 * 1024}), "progressDetails"),
        (ViewChange(NOW, progress_details={"page": {1, 2}}), "progressDetails"),
        (ViewChange(NOW, progress_details={3: "page"}), "progressDetails"),
        (ViewChange(NOW, progress_details={"page": 2**70}), "progressDetails"),
        (ViewChange(NOW, progress=101), "progress"),
        (ViewChange(NOW, time_spent=-1), "timeSpent"),
        (ViewChange(NOW, call_id=" "), "callId"),
    ],
)
async def test_a_change_that_can_never_be_right_is_refused_by_field(
    published: Instance, change: ViewChange, field: str
) -> None:
    session = published.session("ada")
    await start_view(session, in_batch("a"))
    for command in (update_view, end_view):
        with pytest.raises(InvalidInput) as refused:
            await command(session, in_batch("a"), change)
        assert refused.value.field == field
    stored = await session.loaders.views.load(view_key("ada", "a", "course", "batch"))
    assert stored is not None
    assert (stored.status, stored.progress, stored.progress_details) == (Status.IN_PROGRESS, 0, None)


async def test_the_largest_details_are_kept_as_they_were_sent(published: Instance) -> None:
    session = published.session("ada")
    details = {"page": "x" * (16 * 1024 - len('{"page":""}'))}
    await start_view(session, in_batch("a"))
    await update_view(session, in_batch("a"), ViewChange(NOW, progress_details=details))
    stored = await session.loaders.views.load(view_key("ada", "a", "course", "batch"))
    assert stored is not None
    assert stored.progress_details == details


@pytest.mark.parametrize("change", [ViewChange(NOW), ViewChange(NOW, time_spent=5, call_id="one")])
async def test_an_update_or_an_end_without_a_start_is_refused(
    published: Instance, change: ViewChange
) -> None:
    session = published.session("ada")
    await start_view(session, in_batch("b"))
    for command in (update_view, end_view):
        with pytest.raises(ViewNotStarted) as refused:
            await command(session, in_batch("a"), change)
        assert refused.value.field == "contentId"
    assert await session.loaders.views.load(view_key("ada", "a", "course", "batch")) is None
    assert await marks(published) == []
    assert len(await triggers(published)) == 1


async def test_a_status_that_goes_down_is_refused_and_leaves_no_mark(published: Instance) -> None:
    await finish(published, "ada", "a")
    session = published.session("ada")
    for status in (Status.NOT_STARTED, Status.IN_PROGRESS):
        with pytest.raises(StatusGoesDown):
            await update_view(session, in_batch("a"), ViewChange(NOW, status=status))
    assert await marks(published) == []
    stored = await session.loaders.views.load(view_key("ada", "a", "course", "batch"))
    assert stored is not None
    assert stored.status is Status.COMPLETED


async def test_a_smaller_progress_is_ignored(published: Instance) -> None:
    session = published.session("ada")
    await start_view(session, in_batch("a"))
    await update_view(session, in_batch("a"), ViewChange(NOW, progress=60))
    assert (await update_view(session, in_batch("a"), ViewChange(NOW, progress=20))).view.progress == 60
    assert (await end_view(session, in_batch("a"), ViewChange(NOW, progress=20))).view.progress == 100


async def test_a_batch_that_was_open_then_is_open(embedded: Instance) -> None:
    """Closed since June 2025: a learner is late, a service that brings what happened in May is not."""
    await embedded.publish()
    may, june = datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)
    await embedded.batch(start_date=may, end_date=june)
    for command in (
        start_view(embedded.session("ada"), in_batch("a")),
        start_view(embedded.session(), service_call("a", at=may - timedelta(milliseconds=1))),
        start_view(embedded.session(), service_call("a", at=june + timedelta(milliseconds=1))),
    ):
        with pytest.raises(ContextClosed):
            await command
    service = embedded.session()
    await start_view(service, service_call("a", at=may))
    done = await end_view(service, service_call("a", at=june), ViewChange(NOW))
    assert (done.view.completed_on, done.view.key.user_id) == (june, "ada")
    with pytest.raises(ContextClosed):
        await update_view(embedded.session("ada"), in_batch("a"), ViewChange(NOW, progress=5))


async def test_a_learner_acts_for_themself_now(published: Instance) -> None:
    ada = published.session("ada", Role.LEARNER, Role.MENTOR, Role.ADMIN)
    with pytest.raises(Forbidden) as refused:
        await start_view(ada, service_call("a", "bob"))
    assert refused.value.field == "userId"
    with pytest.raises(Forbidden) as refused:
        await start_view(ada, service_call("a", "ada", NOW - timedelta(days=1)))
    assert refused.value.field == "at"
    with pytest.raises(InvalidInput) as refused_future:
        await start_view(published.session(), service_call("a", "ada", NOW + timedelta(hours=1)))
    assert refused_future.value.field == "at"
    with pytest.raises(Unauthenticated):
        await start_view(Session(Viewer(), published.shared), in_batch("a"))
    with pytest.raises(InvalidInput):
        await start_view(published.session(), service_call("a", " "))
    assert await triggers(published) == []


async def test_learners_do_not_share_views_even_where_their_ids_run_together(embedded: Instance) -> None:
    """ "a:b" in "c" and "a" in "b:c" must not meet in one hash."""
    leaf = {"identifier": "x", "name": "X"}
    for collection in ("c", "b:c"):
        await embedded.publish({"identifier": collection, "name": "C", "children": [leaf]})
    await start_view(embedded.session("a:b"), ViewCall("x", "c"))
    session = embedded.session("a")
    for _ in range(2):
        assert await session.loaders.touches.load(ProgressKey("a", "b:c", "b:c")) == {}
        session.refresh()


async def test_each_scenario_is_read_back_from_its_own_place(course: Instance) -> None:
    """The three scenarios in strict mode (R-VIEW-3): what was done in one place is not started in another."""
    session = course.session("ada")
    scenarios = [ViewCall("a"), ViewCall("a", "course"), ViewCall("a", "course", "batch")]
    keys = [view_key("ada", call.content_id, call.collection_id, call.context_id) for call in scenarios]
    for number, call in enumerate(scenarios):
        await start_view(session, call)
        await end_view(session, call, ViewChange(NOW, time_spent=number))
        found = await session.loaders.views.load_many(keys)
        assert [view is not None for view in found] == [place <= number for place in range(3)]
    stored = [view for view in await session.loaders.views.load_many(keys) if view]
    assert [(v.key, v.status, v.time_spent) for v in stored] == [(k, 2, n) for n, k in enumerate(keys)]
    for key in keys[1:]:
        assert set(await session.loaders.touches.load(key.progress_key)) == {"a"}
    await course.drain()
    found_aggregates = await aggregates_by_key(
        course.stores.rows, [figures_key("course", "ada", "co:course"), figures_key("course", "ada")]
    )
    assert [f and f.completed_count for f in found_aggregates] == [1, 1]


async def test_fifty_updates_at_once_from_two_devices_lose_nothing(course: Instance) -> None:
    """Progress 1 … 50, one second each, half of them through another process: 50 at the end, never lower, 50 s."""
    call, seen = in_batch("a"), [0]
    await start_view(course.session("ada"), call)
    async with course.opened() as other:

        async def device(shared: Shared, numbers: range) -> None:
            async def send(number: int) -> None:
                session = Session(course.session("ada").viewer, shared)
                change = ViewChange(NOW, progress=number, time_spent=1, call_id=f"call-{number}")
                seen.append((await update_view(session, call, change)).view.progress)

            await asyncio.gather(*map(send, numbers))

        async def watch() -> None:
            while max(seen) < 50:
                stored = await views_by_key(
                    course.stores.rows, Tracking(), [view_key("ada", "a", "course", "batch")]
                )
                watched.append(stored[0].progress if stored[0] else 0)
                await asyncio.sleep(0.02)

        watched: list[int] = []
        watching = asyncio.create_task(watch())
        await asyncio.gather(device(course.shared, range(1, 51, 2)), device(other, range(2, 51, 2)))
        await watching
    (stored,) = await views_by_key(course.stores.rows, Tracking(), [view_key("ada", "a", "course", "batch")])
    assert stored is not None
    assert (stored.progress, stored.time_spent) == (50, 50)
    assert watched == sorted(watched)


async def test_a_call_sent_again_adds_no_time_but_its_trigger(course: Instance) -> None:
    session, call = course.session("ada"), in_batch("a")
    await start_view(session, call)
    for call_id in ("phone-1", "laptop-1", "phone-1", "laptop-1"):
        change = ViewChange(NOW, progress=30, time_spent=10, call_id=call_id)
        view = (await update_view(session, call, change)).view
    assert (view.progress, view.time_spent) == (30, 20)
    unchanged = (await update_view(session, call, ViewChange(NOW, progress=20))).view
    assert unchanged == view
    for _ in range(2):
        await end_view(session, call, ViewChange(NOW, time_spent=5, call_id="phone-2"))
    await start_view(session, call)
    stored = await session.loaders.views.load(view_key("ada", "a", "course", "batch"))
    assert stored is not None
    assert (stored.status, stored.time_spent) == (Status.COMPLETED, 25)
    assert len(await triggers(course)) == 1 + 4 + 1 + 2 + 1


async def test_an_end_keeps_what_updates_noted(published: Instance) -> None:
    session, call = published.session("ada"), in_batch("a")
    await start_view(session, call)
    await update_view(session, call, ViewChange(NOW, time_spent=30, progress_details={"page": 3}))
    ended = await end_view(session, call, ViewChange(NOW))
    assert not ended.whole
    stored = await session.loaders.views.load(ended.view.key)
    assert stored is not None
    assert (stored.status, stored.progress, stored.time_spent) == (Status.COMPLETED, 100, 30)
    assert (stored.progress_details, stored.started_on, stored.completed_on) == ({"page": 3}, NOW, NOW)
    assert (await end_view(session, call, ViewChange(NOW))).whole


async def test_the_scope_is_listed_before_the_first_view(published: Instance) -> None:
    session = published.session("ada")
    await start_view(session, in_batch("a"))
    await start_view(session, ViewCall("a"))
    rows = await published.stores.rows.partition(LEARNER_SCOPES, ("ada",))
    assert [(row["collectionid"], row["contextid"], row["scope"]) for row in rows] == [
        ("a", "a", view_key("ada", "a").scope),
        ("course", "batch", "course"),
    ]


async def test_an_end_at_a_past_time_sets_no_time_back(embedded: Instance) -> None:
    """A service loads old data: the view was accessed today and ended, as it now turns out, two days before."""
    await embedded.publish()
    await embedded.batch()
    past = NOW - timedelta(days=2)
    service = embedded.session()
    await start_view(service, ViewCall("a", "course", "batch", "ada", NOW))
    await end_view(service, ViewCall("a", "course", "batch", "ada", past), ViewChange(past))
    (view,) = await views_by_key(embedded.stores.rows, Tracking(), [view_key("ada", "a", "course", "batch")])
    assert view is not None
    assert (view.status, view.completed_on, view.last_accessed_on) == (Status.COMPLETED, past, NOW)


async def test_an_update_that_asks_for_completion_is_told_to_end_the_view(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    session, call = embedded.session("ada"), ViewCall("a", "course", "batch")
    await start_view(session, call)
    with pytest.raises(InvalidInput) as refused:
        await update_view(session, call, ViewChange(NOW, status=Status.COMPLETED))
    assert refused.value.field == "status"
