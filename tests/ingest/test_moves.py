"""What a learner may rely on in move mode: one place where the progress is, at every moment, whoever dies or writes
meanwhile."""

import random
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.views import end_view, start_view, update_view
from ingest.jobs.reconcile import reconcile
from ingest.workers.worker import Worker
from loaders.fresh_entries import fresh_entries
from loaders.session import Session
from resolvers.enrolments import enrolments_page
from resolvers.views import view
from rules.errors import AlreadyEnrolled, Conflict, StoreUnavailable
from rules.identifiers import ContextType, ProgressKey
from rules.learner_groups import Activity
from rules.origins import OriginKind
from rules.progress import Status
from rules.subjects import subject_of
from rules.tracking import TrackingMode
from rules.viewers import Role, Viewer
from rules.views import View, ViewChange
from stores.tables import AGGREGATES, ENROLMENTS, ENROLMENTS_BY_CONTEXT, VIEWS
from stores.topics import STATES
from tests.conftest import NOW, Instance, stride
from tests.ingest.interruptions import Interruption, dies
from tests.ingest.test_sample import rows_of

ALWAYS = '{"rules": [{"type": "always"}]}'
LATER = NOW + timedelta(days=1)
Place = tuple[str, str, int]


@pytest.fixture
async def moving(embedded: Instance) -> Instance:
    """COURSE with a batch and a program."""
    await set_up(embedded)
    return embedded


async def set_up(cohort: Instance) -> None:
    cohort.track(TrackingMode.MOVE, ALWAYS)
    await cohort.publish()
    await cohort.batch("batch", end_date=NOW + timedelta(days=20))
    await cohort.batch("other")
    new = NewContext(ContextType.PROGRAM, "Program", ("course",), "program")
    await create_context(cohort.session(), new)


async def learn(cohort: Instance, user: str) -> None:
    """a completed and b begun in the batch."""
    session = cohort.session(user)
    await enrol(session, EnrolmentCall("course", "batch"))
    await start_view(session, ViewCall("a", "course", "batch"))
    await end_view(session, ViewCall("a", "course", "batch"), ViewChange(NOW))
    await start_view(session, ViewCall("b", "course", "batch"))
    change = ViewChange(NOW, progress=40, time_spent=30, call_id="one")
    await update_view(session, ViewCall("b", "course", "batch"), change)


async def enters(cohort: Instance, user: str, context: str = "program") -> None:
    """As a client does: again, where the call failed; it may have done what it was to do."""
    with suppress(AlreadyEnrolled):
        await enrol(cohort.session(user), EnrolmentCall("course", context))


async def seen(cohort: Instance, user: str, content: str, context: str | None = None) -> View:
    session = cohort.session(user)
    return await view(session, user, content, "course", context)


async def active(cohort: Instance, user: str) -> list[str]:
    page = await enrolments_page(cohort.session(user), user, first=10, after=None, active=True)
    return [each.enrolment.key.context_id for each in page.members]


async def kept(cohort: Instance, user: str) -> list[Place]:
    rows = await rows_of(cohort.shared, VIEWS)
    return sorted((r["contextid"], r["contentid"], r["status"]) for r in rows if r["userid"] == user)


async def figures(cohort: Instance, user: str) -> dict[tuple[str, str], float]:
    """Completed leaves by activity and context."""
    rows = await rows_of(cohort.shared, AGGREGATES)
    return {
        (r["activity_id"], r["context_id"]): r["aggregates"]["completedCount"]
        for r in rows
        if r["user_id"] == user
    }


async def check_all_is_in_the_program(cohort: Instance, user: str) -> None:
    """Rows, figures, lists and states of the batch are gone; the program has them, as a recount would."""
    assert await active(cohort, user) == ["program"]
    assert await kept(cohort, user) == [("program", "a", 2), ("program", "b", 1)]
    assert await figures(cohort, user) == {
        ("course", "pr:program"): 1,
        ("unit-1", "pr:program"): 1,
        ("unit-2", "pr:program"): 0,
    }
    enrolled = {r["contextid"]: r for r in await rows_of(cohort.shared, ENROLMENTS) if r["userid"] == user}
    assert (enrolled["batch"]["active"], enrolled["batch"]["moved_to"]) == (False, "program")
    assert (enrolled["program"]["active"], enrolled["program"]["moved_from"]) == (True, "batch")
    assert (enrolled["batch"]["progress"], enrolled["program"]["progress"]) == (None, 1)
    assert all(r["seen_changed_at"] == r["changed_at"] for r in enrolled.values())
    listed = [r for r in await rows_of(cohort.shared, ENROLMENTS_BY_CONTEXT) if r["userid"] == user]
    assert [r["contextid"] for r in listed if r["active"]] == ["program"]
    states: dict[str, dict[str, object]] = {}
    async for record in cohort.stores.events.read(STATES.name):
        state = orjson.loads(record.value)
        if state["user_id"] == user and state["version"] >= states.get(record.key, state)["version"]:
            states[record.key] = state
    counted = {key: (s["active"], s["completed_count"]) for key, s in states.items()}
    assert counted.pop(f"course|course|pr:program|{user}") == (1, 1)
    assert {counted[key] for key in counted if "|cb:batch|" in key} <= {(0, 0)}
    assert (await reconcile(cohort.shared, user_id=user)).drifted == 0


async def test_progress_moves_whole(cohort: Instance) -> None:
    """On both engines: time, details and dates too, with where it came from and why."""
    await set_up(cohort)
    await learn(cohort, "ada")
    before = await seen(cohort, "ada", "b")
    cohort.sets_clock(LATER)
    await enters(cohort, "ada")
    after = await seen(cohort, "ada", "b")
    assert after.origin is not None
    assert (after.origin.kind, after.origin.place, after.origin.reason, after.origin.at) == (
        *(OriginKind.MOVED, ("course", "batch"), "under way in an open context", LATER),
    )
    same = {"key": before.key, "origin": None, "recent_calls": (), "changed_at": None}
    assert replace(after, **same) == replace(before, **same)  # type: ignore[arg-type]
    assert (await seen(cohort, "ada", "a", "batch")).origin.reason == "always"  # type: ignore[union-attr]
    await cohort.drain()
    await check_all_is_in_the_program(cohort, "ada")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_step_the_learner_is_in_one_place(moving: Instance, *, after: bool) -> None:
    """Not in both and not in none; then the call is sent again, or the learner merely looks."""
    step, reached = 0, True
    while reached:
        for again in (True, False):
            user = f"learner-{step}-{again}"
            await learn(moving, user)
            interruption = Interruption(step, dies, after=after)
            session = Session(moving.session(user).viewer, interruption.of(moving.shared))
            with suppress(StoreUnavailable):
                await enrol(session, EnrolmentCall("course", "program"))
            reached = interruption.happened
            (place,) = await active(moving, user)
            for context in (place, "batch", None):
                found = await seen(moving, user, "a", context)
                assert (found.key.context_id, found.status) == (place, Status.COMPLETED)
            if again:
                await enters(moving, user)
                place = "program"
            await moving.drain()
            assert await active(moving, user) == [place]
            await moving.shared.background.settled()
            await moving.drain()
            if place == "program":
                await check_all_is_in_the_program(moving, user)
        step += 1
    # An announcement, the scope, two views in one write, the pointer, the trigger.
    assert step == 6


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_worker_killed_at_any_step_comes_to_the_same_end(moving: Instance, *, after: bool) -> None:
    step, reached = 0, True
    while reached:
        user = f"learner-{step}"
        await learn(moving, user)
        await moving.drain()
        await enters(moving, user)
        interruption = Interruption(step, dies, after=after)
        await moving.drain(Worker(interruption.of(moving.shared), wait=0.005))
        reached = interruption.happened
        await check_all_is_in_the_program(moving, user)
        step += stride()
    assert step > 6


async def test_a_call_that_comes_in_at_any_step_of_a_move_is_not_lost(moving: Instance) -> None:
    """Answered in the middle of the move, it is to be read from then on, wherever the learner looks."""
    step, reached = 0, True
    while reached:
        user = f"learner-{step}"
        await learn(moving, user)
        session = moving.session(user)

        async def meanwhile(session: Session = session, user: str = user) -> None:
            change = ViewChange(NOW, progress=70, time_spent=5, call_id="two")
            await update_view(session, ViewCall("b", "course", "batch"), change)
            await start_view(session, ViewCall("c", "course", "batch"))
            await end_view(session, ViewCall("c", "course", "batch"), ViewChange(NOW))
            assert (await seen(moving, user, "c", "batch")).status is Status.COMPLETED
            assert (await seen(moving, user, "c")).status is Status.COMPLETED

        interruption = Interruption(step, meanwhile)
        entering = Session(session.viewer, interruption.of(moving.shared))
        await enrol(entering, EnrolmentCall("course", "program"))
        reached = interruption.happened
        for _ in range(2):
            if reached:
                assert (await seen(moving, user, "c")).status is Status.COMPLETED
                found = await seen(moving, user, "b")
                assert (found.progress, found.time_spent) == (70, 35)
            await moving.drain()
        last = [("program", "c", 2)] if reached else []
        assert await kept(moving, user) == [("program", "a", 2), ("program", "b", 1), *last]
        step += 1
    assert step == 6


@pytest.mark.parametrize("swept", [False, True], ids=["before the worker", "after it"])
async def test_a_move_that_comes_in_at_any_step_of_a_call_loses_nothing(
    moving: Instance, *, swept: bool
) -> None:
    """The call is answered once it is where the learner has moved to, or asks to be sent again: it does so where the
    worker has taken its row away already."""
    step, reached, conflicts = 0, True, 0
    while reached:
        user = f"learner-{step}"
        await learn(moving, user)

        async def meanwhile(user: str = user) -> None:
            await enters(moving, user)
            if swept:
                await moving.drain()

        interruption = Interruption(step, meanwhile)
        session = Session(moving.session(user).viewer, interruption.of(moving.shared))
        call = ViewCall("b", "course", "batch")
        change = ViewChange(NOW, time_spent=5, call_id="two")
        try:
            await end_view(session, call, change)
        except Conflict:
            conflicts += 1
            await end_view(moving.session(user), call, change)
        reached = interruption.happened
        await enters(moving, user)
        for _ in range(2):
            found = await seen(moving, user, "b")
            assert (found.key.context_id, found.status, found.time_spent) == (
                *("program", Status.COMPLETED, 35),
            )
            await moving.drain()
        assert await kept(moving, user) == [("program", "a", 2), ("program", "b", 2)]
        step += 1
    assert (step, conflicts) == (3, int(swept))


async def shown(cohort: Instance, context: str) -> dict[str, Status]:
    """As pages of a tree have it, from the cache where that is whole."""
    key = ProgressKey("ada", "course", context)
    touches = await cohort.session("ada").loaders.touches.load(key)
    return {content: touch.status for content, touch in touches.items()}


async def test_pages_that_were_kept_in_the_cache_show_the_move_at_once(moving: Instance) -> None:
    """What was there of the new place before, and of the old one once the learner is back with nothing."""
    await learn(moving, "ada")
    everything = {"a": Status.COMPLETED, "b": Status.IN_PROGRESS}
    await moving.shared.background.settled()
    assert (await shown(moving, "batch"), await shown(moving, "program")) == (everything, {})
    assert (await shown(moving, "batch"), await shown(moving, "program")) == (everything, {})
    await enters(moving, "ada")
    assert await shown(moving, "program") == everything
    await moving.drain()
    assert await shown(moving, "program") == everything
    await unenrol(moving.session("ada"), EnrolmentCall("course", "program"))
    moving.sets_clock(LATER)
    await enters(moving, "ada", "batch")
    await moving.drain()
    assert [await shown(moving, "batch"), await shown(moving, "batch")] == [{}, {}]


async def test_what_the_rules_leave_behind_does_not_show_and_is_not_deleted(moving: Instance) -> None:
    moving.track(TrackingMode.MOVE, '{"rules": [{"type": "completedWithin", "unit": "days", "value": 7}]}')
    await learn(moving, "ada")
    moving.sets_clock(NOW + timedelta(days=8))
    await enters(moving, "ada")
    await moving.drain()
    assert (await seen(moving, "ada", "a")).status is Status.NOT_STARTED
    assert (await seen(moving, "ada", "b")).status is Status.IN_PROGRESS
    assert await kept(moving, "ada") == [("batch", "a", 2), ("program", "b", 1)]
    assert {context for _, context in await figures(moving, "ada")} == {"pr:program"}
    shared, activity = moving.shared, Activity("course", "Course")
    subject = subject_of(activity, await shared.library.collection("course"))
    fresh = await fresh_entries(shared.stores.rows, shared.library, shared.tracking, [subject], {"ada"})
    assert [entry.progress.completed_count for (entry,) in fresh.values()] == [0]
    await enters(moving, "ada", "batch")  # and there it is again
    assert (await seen(moving, "ada", "a")).status is Status.COMPLETED
    assert (await seen(moving, "ada", "b")).status is Status.IN_PROGRESS


@pytest.mark.parametrize("rules", [None, "{", '{"rules": []}'])
async def test_without_rules_nothing_moves(moving: Instance, rules: str | None) -> None:
    moving.track(TrackingMode.MOVE, rules)
    await learn(moving, "ada")
    await enters(moving, "ada")
    await moving.drain()
    assert await active(moving, "ada") == ["batch", "program"]
    assert await kept(moving, "ada") == [("batch", "a", 2), ("batch", "b", 1)]


async def test_on_and_back_again(moving: Instance) -> None:
    """From batch to program to another batch, and back to the first: the pointers lead to where the learner is."""
    await learn(moving, "ada")
    been: set[str | None] = {"batch", None}
    for day, context in enumerate(("program", "other", "batch"), 1):
        been.add(context)
        moving.sets_clock(NOW + timedelta(days=day))
        await enters(moving, "ada", context)
        for _ in range(2):
            assert await active(moving, "ada") == [context]
            for named in been:
                found = await seen(moving, "ada", "b", named)
                assert (found.key.context_id, found.progress, found.time_spent) == (context, 40, 30)
                assert found.origin is not None
                assert found.origin.place == ("course", "batch")
            await moving.drain()
        assert {place for place, _, _ in await kept(moving, "ada")} == {context}
    enrolled = {row["contextid"]: row for row in await rows_of(moving.shared, ENROLMENTS)}
    first, last = enrolled["other"], enrolled["batch"]
    assert (first["enrolled_on"], first["reenrolled_on"]) == (NOW + timedelta(days=2), None)
    assert (last["enrolled_on"], last["reenrolled_on"]) == (NOW, NOW + timedelta(days=3))


async def test_who_leaves_by_the_old_name_leaves_the_new_place(moving: Instance) -> None:
    await learn(moving, "ada")
    moving.sets_clock(LATER)
    await enters(moving, "ada")
    left = await unenrol(moving.session("ada"), EnrolmentCall("course", "batch"))
    assert left.key.context_id == "program"
    assert await active(moving, "ada") == []
    moving.sets_clock(LATER + timedelta(days=1))
    await enters(moving, "ada", "batch")  # nothing is under way any more, so nothing comes back
    await moving.drain()
    assert (await seen(moving, "ada", "a", "batch")).status is Status.NOT_STARTED
    assert await active(moving, "ada") == ["batch"]


async def test_an_enrolment_of_another_time_moves_what_was_under_way_then(moving: Instance) -> None:
    """Old data may be loaded: the batch ended before the call, but not before the time that the call is of."""
    service = Viewer("service", frozenset({Role.SERVICE}))
    await learn(moving, "ada")
    moving.sets_clock(NOW + timedelta(days=100))
    await enrol(Session(service, moving.shared), EnrolmentCall("course", "program", "ada", LATER))
    await enrol(Session(service, moving.shared), EnrolmentCall("course", "program", "ada", LATER))
    await moving.drain()
    await check_all_is_in_the_program(moving, "ada")


async def lives(cohort: Instance, user: str, dice: random.Random) -> None:
    """Moves about and learns, under whatever context the learner has ever been in; some calls die on the way and are sent
    again, and workers come and go. After every call the progress is what the calls made it."""
    statuses: dict[str, Status] = {}
    spent: dict[str, int] = {}
    been = ["batch"]
    await enters(cohort, user, "batch")
    for number in range(14):
        cohort.sets_clock(cohort.shared.now() + timedelta(minutes=1))
        interruption = Interruption(dice.randrange(8), dies, after=dice.random() < 0.5)
        shared = interruption.of(cohort.shared) if dice.random() < 0.5 else cohort.shared
        calls = [Session(cohort.session(user).viewer, each) for each in (shared, cohort.shared)]
        if dice.random() < 0.3:
            context = dice.choice(["batch", "program", "other"])
            been.append(context)
            for session in calls:
                with suppress(AlreadyEnrolled, StoreUnavailable):
                    await enrol(session, EnrolmentCall("course", context))
        else:
            content, call_id = dice.choice("abcd"), f"call-{number}"
            call = ViewCall(content, "course", dice.choice(been))
            ends = dice.random() < 0.4
            for session in calls:
                with suppress(StoreUnavailable):
                    await start_view(session, call)
                    change = ViewChange(NOW, time_spent=number, call_id=call_id)
                    await (end_view if ends else update_view)(session, call, change)
            before = statuses.get(content, Status.NOT_STARTED)
            if before is not Status.COMPLETED:
                spent[content] = spent.get(content, 0) + number
                statuses[content] = Status.COMPLETED if ends else Status.IN_PROGRESS
        if dice.random() < 0.3:
            await cohort.drain()
        assert len(await active(cohort, user)) == 1
        for content in statuses:
            for named in (None, dice.choice(been)):
                found = await seen(cohort, user, content, named)
                assert (found.status, found.time_spent) == (statuses[content], spent[content])
    await cohort.drain()
    (place,) = await active(cohort, user)
    assert await kept(cohort, user) == sorted(
        (place, content, status) for content, status in statuses.items()
    )
    done = sum(status is Status.COMPLETED for content, status in statuses.items() if content != "d")
    counted = {k: n for k, n in (await figures(cohort, user)).items() if k[0] == "course"}
    prefix = "pr" if place == "program" else "cb"
    assert counted == {("course", f"{prefix}:{place}"): done}


async def test_whatever_a_learner_does_the_progress_is_in_one_place_and_whole(moving: Instance) -> None:
    """Drawn with fixed seeds."""
    for number in range(5):
        await lives(moving, f"learner-{number}", random.Random(number))


async def test_a_move_costs_no_more_for_more_views(moving: Instance) -> None:
    """One look at the enrolments, one announcement, two reads of views, one write of up to 50 of them, one look for
    attempts, the pointer."""
    await learn(moving, "ada")
    await moving.shared.library.contexts.load_many(["batch", "program"])
    with moving.stores.rows.meter.measure() as counts:
        await enters(moving, "ada")
    assert counts == {
        "select user_enrolments": 1,
        "conditional update user_enrolments": 1,
        "select user_content_consumption": 2,
        "select assessment_attempt": 1,
        "insert learner_scope": 1,
        "conditional batch user_content_consumption": 1,
        "conditional batch user_enrolments": 1,
    }
