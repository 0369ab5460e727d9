"""What a learner may rely on in copy mode: whatever may count is there, from wherever it was completed, and stays right
when processes die."""

import random
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.views import end_view, start_view, update_view
from ingest.jobs.reconcile import reconcile
from ingest.workers.worker import Worker
from ingest.writes.triggers import send_trigger
from loaders import touches as hashes
from loaders.session import Session
from resolvers.enrolments import enrolments_page
from resolvers.views import view
from rules.errors import AlreadyEnrolled, StoreUnavailable
from rules.identifiers import ProgressKey
from rules.origins import OriginKind
from rules.progress import Status
from rules.tracking import TrackingMode
from rules.triggers import TriggerKind
from rules.views import View, ViewChange
from stores.rows import Write
from stores.tables import AGGREGATES, LEARNER_SCOPES, VIEWS
from stores.topics import TRIGGERS
from tests.conftest import LEAF, NOW, Instance, stride
from tests.ingest.histories import send_again_shuffled
from tests.ingest.interruptions import Interruption, dies
from tests.ingest.test_sample import rows_of

ALWAYS = '{"rules": [{"type": "always"}]}'
DAY = timedelta(days=1)


def leaves(collection: str, *contents: str) -> dict[str, object]:
    children = [{"identifier": each, "name": each, "mimeType": LEAF} for each in contents]
    return {"identifier": collection, "name": collection, "children": children}


async def set_up(cohort: Instance) -> Instance:
    """COURSE (a, b, c, d) with two batches, one of which ends in ten days; another course with a, b and z, and one
    that shares nothing."""
    cohort.track(TrackingMode.COPY, ALWAYS)
    await cohort.publish()
    await cohort.publish(leaves("shares", "a", "b", "z"))
    await cohort.publish(leaves("foreign", "x"))
    await cohort.batch("batch", end_date=NOW + 10 * DAY)
    await cohort.batch("batch-2")
    await cohort.batch("shares-batch", "shares")
    await cohort.batch("foreign-batch", "foreign")
    return cohort


@pytest.fixture
async def copying(embedded: Instance) -> Instance:
    return await set_up(embedded)


def place(*ids: str) -> ViewCall:
    """Content, then collection and context where it is in them."""
    content, collection, context = (*ids, None, None)[:3]
    assert content is not None
    return ViewCall(content, collection, context)


async def completes(cohort: Instance, *ids: str, user: str = "ada") -> None:
    session = cohort.session(user)
    await start_view(session, place(*ids))
    await end_view(session, place(*ids), ViewChange(NOW))


async def joins(cohort: Instance, collection: str, context: str, user: str = "ada") -> None:
    with suppress(AlreadyEnrolled):
        await enrol(cohort.session(user), EnrolmentCall(collection, context))


async def seen(cohort: Instance, content: str, collection: str, context: str, user: str = "ada") -> View:
    return await view(cohort.session(user), user, content, collection, context)


async def completed(
    cohort: Instance, user: str, collection: str, context: str
) -> dict[str, tuple[str, str] | None]:
    """The contents that are, each with where it came from."""
    found: dict[str, tuple[str, str] | None] = {}
    for row in await rows_of(cohort.shared, VIEWS):
        if (row["userid"], row["collectionid"], row["contextid"], row["status"]) == (
            user,
            collection,
            context,
            2,
        ):
            shown = await seen(cohort, row["contentid"], collection, context, user)
            assert shown.status is Status.COMPLETED
            found[row["contentid"]] = shown.origin.place if shown.origin else None
    return found


async def figures(cohort: Instance, user: str) -> dict[tuple[str, str], float]:
    """Completed leaves by activity and context."""
    rows = await rows_of(cohort.shared, AGGREGATES)
    return {
        (r["activity_id"], r["context_id"]): r["aggregates"]["completedCount"]
        for r in rows
        if r["user_id"] == user
    }


async def test_an_enrolment_finds_what_was_completed_anywhere_else(cohort: Instance) -> None:
    """By itself, in another collection, in the same one by itself and under another context: in both engines, before
    any worker ran and after. Not what is only begun, is in no common collection or is another learner's."""
    await set_up(cohort)
    await completes(cohort, "a")
    await completes(cohort, "b", "shares", "shares-batch")
    await completes(cohort, "c", "course")
    await joins(cohort, "course", "batch")
    expected = {"a": ("a", "a"), "b": ("shares", "shares-batch"), "c": ("course", "course")}
    assert await completed(cohort, "ada", "course", "batch") == expected
    await completes(cohort, "d", "course", "batch")
    await completes(cohort, "x", "foreign", "foreign-batch")
    await start_view(cohort.session("ada"), place("z"))
    await completes(cohort, "a", user="bob")
    await joins(cohort, "course", "batch-2")
    await joins(cohort, "shares", "shares-batch", user="bob")
    for _ in range(2):
        assert await completed(cohort, "ada", "course", "batch-2") == expected | {"d": ("course", "batch")}
        assert await completed(cohort, "bob", "shares", "shares-batch") == {"a": ("a", "a")}
        await cohort.drain()
    assert (await figures(cohort, "ada"))["course", "cb:batch-2"] == 3
    assert (await figures(cohort, "ada"))["unit-2", "cb:batch-2"] == 2
    assert (await reconcile(cohort.shared)).drifted == 0


async def test_an_enrolment_finds_what_a_learner_has_no_list_of(copying: Instance) -> None:
    """Workers enter the scope of a collection again; views that are there count meanwhile."""
    await completes(copying, "b", "shares", "shares-batch")
    place = ("ada", "shares", "shares-batch")
    await copying.stores.rows.write(Write(LEARNER_SCOPES, place, {}, delete=True))
    await joins(copying, "course", "batch")
    assert await completed(copying, "ada", "course", "batch") == {"b": ("shares", "shares-batch")}


async def test_a_completion_reaches_every_active_enrolment_that_holds_it(copying: Instance) -> None:
    """As long as its context has not ended; its figures follow; who is not enrolled gets nothing."""
    for collection, context in (("course", "batch"), ("course", "batch-2"), ("shares", "shares-batch")):
        await joins(copying, collection, context)
    await completes(copying, "a", "shares", "shares-batch")
    await completes(copying, "a", user="bob")
    await copying.drain()
    earned = {"a": ("shares", "shares-batch")}
    assert await completed(copying, "ada", "course", "batch") == earned
    assert await completed(copying, "ada", "course", "batch-2") == earned
    assert await completed(copying, "ada", "course", "course") == {}
    assert await completed(copying, "ada", "a", "a") == {}
    assert await completed(copying, "bob", "shares", "shares-batch") == {}
    assert (await figures(copying, "ada"))["unit-1", "cb:batch"] == 1
    await unenrol(copying.session("ada"), EnrolmentCall("course", "batch-2"))
    copying.sets_clock(NOW + 11 * DAY)
    await completes(copying, "b")
    await copying.drain()
    assert await completed(copying, "ada", "course", "batch") == earned, "its context had ended"
    assert await completed(copying, "ada", "course", "batch-2") == earned, "she had left"
    assert await completed(copying, "ada", "shares", "shares-batch") == {"a": None, "b": ("b", "b")}


async def test_who_comes_back_is_judged_by_when_they_came_back(copying: Instance) -> None:
    """What was completed within a week counts: a day after leaving, and by the return of 29 days later it is too old."""
    copying.track(TrackingMode.COPY, '{"rules": [{"type": "completedWithin", "unit": "days", "value": 7}]}')
    await joins(copying, "course", "batch-2")
    await unenrol(copying.session("ada"), EnrolmentCall("course", "batch-2"))
    copying.sets_clock(NOW + DAY)
    await completes(copying, "a")
    copying.sets_clock(NOW + 26 * DAY)
    await completes(copying, "b")
    copying.sets_clock(NOW + 30 * DAY)
    await joins(copying, "course", "batch-2")
    for _ in range(2):
        assert await completed(copying, "ada", "course", "batch-2") == {"b": ("b", "b")}
        await copying.drain()


async def test_a_copy_keeps_what_was_begun_and_never_replaces_what_was_completed(copying: Instance) -> None:
    session = copying.session("ada")
    await joins(copying, "course", "batch")
    await start_view(session, place("a", "course", "batch"))
    change = ViewChange(NOW, progress=40, progress_details={"page": 3}, time_spent=30)
    await update_view(session, place("a", "course", "batch"), change)
    await completes(copying, "b", "course", "batch")
    copying.sets_clock(NOW + DAY)
    await completes(copying, "a")
    await completes(copying, "b")
    await copying.drain()
    a, b = [await seen(copying, content, "course", "batch") for content in "ab"]
    assert (a.status, a.progress, a.time_spent, a.progress_details) == (2, 100, 30, {"page": 3})
    assert (a.started_on, a.last_accessed_on, a.completed_on) == (NOW, NOW, NOW + DAY)
    assert a.origin is not None
    assert (a.origin.kind, a.origin.reason, a.origin.at) == (OriginKind.COPIED, "always", NOW + DAY)
    assert (b.completed_on, b.origin) == (NOW, None)


async def test_what_was_copied_is_not_time_spent_here(copying: Instance) -> None:
    session = copying.session("ada")
    await start_view(session, place("a"))
    await end_view(session, place("a"), ViewChange(NOW, time_spent=60))
    await joins(copying, "course", "batch")
    copy = await seen(copying, "a", "course", "batch")
    assert (copy.time_spent, copy.last_accessed_on, copy.completed_on) == (0, None, NOW)
    await copying.drain()
    page = await enrolments_page(session, "ada", first=10, after=None, active=True)
    assert [each.last_accessed_on for each in page.members] == [None]


async def test_pages_that_were_kept_in_the_cache_show_the_copies_at_once(copying: Instance) -> None:
    """Also what a reader puts there that had read the rows before the copies were written."""
    key = ProgressKey("ada", "course", "batch")

    async def shown() -> set[str]:
        return set(await copying.session("ada").loaders.touches.load(key))

    await completes(copying, "a")
    assert [await shown(), await shown()] == [set(), set()]
    await joins(copying, "course", "batch")
    assert await shown() == {"a"}
    await hashes.fill(copying.stores.cache, key, {})
    assert await shown() == {"a"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_an_enrolment_killed_at_any_step_is_healed_by_a_look(copying: Instance, *, after: bool) -> None:
    step, reached = 0, True
    while reached:
        user = f"learner-{step}"
        for content in "ab":
            await completes(copying, content, user=user)
        interruption = Interruption(step, dies, after=after)
        session = Session(copying.session(user).viewer, interruption.of(copying.shared))
        with suppress(StoreUnavailable):
            await enrol(session, EnrolmentCall("course", "batch"))
        reached = interruption.happened
        if step == 0 and not after:
            await joins(copying, "course", "batch", user)
        await enrolments_page(copying.session(user), user, first=10, after=None, active=True)
        await copying.shared.background.settled()
        await copying.drain()
        assert await completed(copying, user, "course", "batch") == {"a": ("a", "a"), "b": ("b", "b")}
        assert (await figures(copying, user))["course", "cb:batch"] == 2
        step += 1
    # The enrolment, the scope, the copies, the trigger.
    assert step == 5


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_worker_killed_at_any_step_leaves_no_copy_out(copying: Instance, *, after: bool) -> None:
    step, reached = 0, True
    while reached:
        user = f"learner-{step}"
        await joins(copying, "course", "batch", user)
        await joins(copying, "shares", "shares-batch", user)
        await copying.drain()
        await completes(copying, "a", user=user)
        interruption = Interruption(step, dies, after=after)
        await copying.drain(Worker(interruption.of(copying.shared), wait=0.005))
        reached = interruption.happened
        assert await completed(copying, user, "course", "batch") == {"a": ("a", "a")}
        counted = await figures(copying, user)
        assert (counted["course", "cb:batch"], counted["shares", "cb:shares-batch"]) == (1, 1)
        assert (await reconcile(copying.shared, user_id=user)).drifted == 0
        step += stride()
    assert step > 5


async def test_copies_do_not_go_round(copying: Instance) -> None:
    """Two enrolments that share contents: the log has the triggers of the calls and no others."""
    await joins(copying, "course", "batch")
    await joins(copying, "shares", "shares-batch")
    await completes(copying, "a", "course", "batch")
    sent = [record async for record in copying.stores.events.read(TRIGGERS.name)]
    await copying.drain()
    await send_again_shuffled(copying)
    await copying.drain()
    assert len([record async for record in copying.stores.events.read(TRIGGERS.name)]) == len(sent) * 3
    assert await completed(copying, "ada", "shares", "shares-batch") == {"a": ("course", "batch")}
    assert (await seen(copying, "a", "course", "batch")).origin is None


@pytest.mark.parametrize("kind", [TriggerKind.VIEW, TriggerKind.RECONCILE])
async def test_a_trigger_that_names_no_content_copies_all_of_the_key(
    copying: Instance, kind: TriggerKind
) -> None:
    """As a read or reconcile sends it for a call that died: also of a content taken by itself."""
    copying.track(TrackingMode.STRICT)
    await joins(copying, "course", "batch")
    for ids in (("a",), ("b", "course"), ("c", "course")):
        await completes(copying, *ids)
    await copying.drain()
    copying.track(TrackingMode.COPY, ALWAYS)
    for collection in ("a", "course"):
        await send_trigger(copying.stores, kind, ProgressKey("ada", collection, collection))
    await copying.drain()
    assert set(await completed(copying, "ada", "course", "batch")) == {"a", "b", "c"}
    assert (await figures(copying, "ada"))["course", "cb:batch"] == 3


@pytest.mark.parametrize("rules", [None, "{", '{"rules": []}'])
async def test_without_rules_nothing_is_copied(copying: Instance, rules: str | None) -> None:
    copying.track(TrackingMode.COPY, rules)
    await completes(copying, "a")
    await joins(copying, "course", "batch")
    await completes(copying, "b")
    await copying.drain()
    assert await completed(copying, "ada", "course", "batch") == {}


async def test_a_republished_collection_without_the_content_gets_no_copy(copying: Instance) -> None:
    await completes(copying, "z")
    await copying.publish(leaves("shares", "a", "b"))
    await joins(copying, "shares", "shares-batch")
    await copying.drain()
    assert await completed(copying, "ada", "shares", "shares-batch") == {}


async def history(cohort: Instance, user: str, dice: random.Random) -> None:
    """Enrolments and views of one learner in an order of its own, some of them sent twice, workers in between."""
    moves: list[tuple[str, ...]] = [
        *(
            ("join", *where)
            for where in (("course", "batch"), ("course", "batch-2"), ("shares", "shares-batch"))
        ),
        *(
            ("view", *ids)
            for ids in (("a",), ("b", "shares"), ("c", "course", "batch"), ("b", "course", "batch"))
        ),
    ]
    dice.shuffle(moves)
    for kind, *ids in moves + dice.sample(moves, 2):
        if kind == "join":
            collection, context = ids
            await joins(cohort, collection, context, user)
        else:
            await completes(cohort, *ids, user=user)
        if dice.random() < 0.3:
            await cohort.drain()


async def test_in_whatever_order_things_happen_the_same_is_completed(copying: Instance) -> None:
    """Drawn with fixed seeds; the figures count what is there."""
    for number in range(8):
        user = f"learner-{number}"
        await history(copying, user, random.Random(number))
        await copying.drain()
        for context in ("batch", "batch-2"):
            assert set(await completed(copying, user, "course", context)) == {"a", "b", "c"}
        assert set(await completed(copying, user, "shares", "shares-batch")) == {"a", "b"}
        counted = await figures(copying, user)
        assert [counted["course", "cb:batch"], counted["course", "cb:batch-2"]] == [3, 3]
        assert counted["shares", "cb:shares-batch"] == 2


def copy_of(collection: str, size: int) -> dict[str, object]:
    return leaves(collection, *(f"{size}-{number}" for number in range(size)))


async def cost(cohort: Instance, size: int) -> dict[str, int]:
    """Statements of an enrolment into a collection of that size, all of it completed in another one."""
    for name in ("first", "second"):
        await cohort.publish(copy_of(f"{name}-{size}", size))
        await cohort.batch(f"{name}-batch-{size}", f"{name}-{size}")
    for number in range(size):
        await completes(cohort, f"{size}-{number}", f"first-{size}", f"first-batch-{size}", user="cy")
    with cohort.stores.rows.meter.measure() as counts:
        await joins(cohort, f"second-{size}", f"second-batch-{size}", "cy")
    found = await completed(cohort, "cy", f"second-{size}", f"second-batch-{size}")
    assert len(found) == size
    return dict(counts)


async def test_an_enrolment_costs_the_same_for_2_and_50_copies(copying: Instance) -> None:
    """Each read and write of rows once, for up to 50 copies."""
    small, large = await cost(copying, 2), await cost(copying, 50)
    assert small == large
    assert {name: n for name, n in large.items() if "content_consumption" in name or "scope" in name} == {
        "select learner_scope": 1,
        "insert learner_scope": 1,
        "select user_content_consumption": 2,
        "conditional batch user_content_consumption": 1,
    }


async def test_a_copy_beside_a_call_of_the_learner_loses_neither(copying: Instance) -> None:
    """A call comes in at every step of a worker that copies into the same view."""
    step, reached = 0, True
    while reached:
        user = f"learner-{step}"
        await joins(copying, "course", "batch", user)
        session = copying.session(user)
        await start_view(session, place("a", "course", "batch"))
        await copying.drain()
        await completes(copying, "a", user=user)

        async def meanwhile(session: Session = session) -> None:
            change = ViewChange(NOW, progress=40, time_spent=30, call_id="one")
            await update_view(session, place("a", "course", "batch"), change)

        interruption = Interruption(step, meanwhile)
        await copying.drain(Worker(interruption.of(copying.shared), wait=0.005))
        reached = interruption.happened
        found = await seen(copying, "a", "course", "batch", user)
        assert (found.status, found.progress) == (Status.COMPLETED, 100)
        # Completed views are not changed by a revisit: the call counts where it was before the copy.
        assert found.time_spent in ((30,) if step == 0 else (0, 30))
        step += stride()
    assert step > 3


def at(number: int) -> datetime:
    return NOW + number * DAY


async def test_a_later_enrolment_judges_by_its_own_time(copying: Instance) -> None:
    copying.track(TrackingMode.COPY, '{"rules": [{"type": "completedWithin", "unit": "days", "value": 5}]}')
    await completes(copying, "a")
    copying.sets_clock(at(6))
    await joins(copying, "course", "batch")
    assert await completed(copying, "ada", "course", "batch") == {}
    service = replace(copying.session(), shared=copying.shared)
    await enrol(service, EnrolmentCall("course", "batch-2", "ada", at(5)))
    await copying.drain()
    assert await completed(copying, "ada", "course", "batch-2") == {"a": ("a", "a")}
    assert await completed(copying, "ada", "course", "batch") == {}
