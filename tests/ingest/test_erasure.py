"""What deleting promises: nothing of the learner is left, nothing of others goes, and nothing of before comes back."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.closing import close_own_idle_views
from ingest.commands.content_states import update_states
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.erased_rows import PAGE
from ingest.commands.erasures import ErasureCall, erase
from ingest.commands.group_members import leave_group
from ingest.commands.learner_groups import GroupCall, NewGroup, create_group, update_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view
from ingest.job_kinds import job_kind
from ingest.jobs.erasure import erase_learner
from ingest.jobs.runner import Jobs
from ingest.workers.recompute import recompute
from ingest.workers.refresh import _scope_writes
from ingest.workers.worker import Worker
from loaders.aggregates import aggregates_by_key
from loaders.enrolments import enrolments_page
from rules.content_states import ContentState
from rules.errors import Erased, Forbidden, InvalidInput, StoreUnavailable
from rules.group_changes import AddMember
from rules.identifiers import ProgressKey, ViewKey
from rules.jobs import JobState
from rules.learner_groups import GroupRole
from rules.progress import Status
from rules.tracking import Tracking, TrackingMode
from rules.viewers import Role
from rules.views import View, ViewChange
from stores.columns import Table
from stores.events import Message
from stores.rows import Equal, Row, Write
from stores.tables import (
    ATTEMPTS,
    ATTEMPTS_WITH_QUESTIONS,
    CONTEXTS,
    ENROLMENTS,
    ENROLMENTS_BY_CONTEXT,
    ERASURES,
    GROUP_MEMBERS,
    JOBS,
    LEARNER_SCOPES,
    LEARNERS,
    TABLES,
    VIEWS,
)
from stores.topics import PROFILES, STATES, TRIGGERS
from tests.aggregates import figures_key
from tests.conftest import COURSE, LEAF, NOW, Instance

BEFORE, AFTER = NOW - timedelta(minutes=1), NOW + timedelta(minutes=1)
"""Of the erasure, which is at NOW."""


async def rows_of(cohort: Instance, user: str, *apart: Table) -> list[tuple[str, Row]]:
    """Every row in any table that has this learner in its key."""
    found = []
    for table in TABLES:
        if table in apart:
            continue
        for part in cohort.stores.rows.ranges(1):
            async for page in cohort.stores.rows.walk(table, part):
                found += [(table.name, row) for row in page.rows if user in [row[n] for n in table.key]]
    return found


async def hashes_of(cohort: Instance, user: str) -> list[bytes]:
    """Every key of this learner in the cache."""
    cache: Any = cohort.stores.cache
    if (
        cache._recovery is not None
    ):  # it was too slow for a moment; what was to be deleted meanwhile is deleted then
        await cache._recovery
    names = [name async for name in cache._client.scan_iter(match=f"{cohort.urls['prefix']}:*", count=1000)]
    return [name for name in names if f"views:{user}\n".encode() in name]


async def last_states(cohort: Instance, user: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What group queries know, by activity and context: of each key the highest version."""
    states: dict[tuple[str, str], dict[str, Any]] = {}
    async for record in cohort.stores.events.read(STATES.name):
        state = orjson.loads(record.value)
        place = (state["activity_id"], state["context_id"])
        if state["user_id"] == user and state["version"] >= states.get(place, state)["version"]:
            states[place] = state
    return states


async def finish(
    cohort: Instance, user: str, content: str, collection: str | None = None, context: str | None = None
) -> None:
    session, call = cohort.session(user), ViewCall(content, collection, context)
    await start_view(session, call)
    await end_view(session, call, ViewChange(NOW))


async def attempt(cohort: Instance, user: str, *place: str) -> None:
    times = {"created_on": NOW, "last_attempted_on": NOW, "updated_on": NOW, "total_score": 1.0}
    at = int(NOW.timestamp()) * 1_000_000
    for table in (ATTEMPTS, ATTEMPTS_WITH_QUESTIONS):
        await cohort.stores.rows.write(Write(table, (user, *place, "attempt-1"), times, timestamp=at))


async def live(cohort: Instance, user: str) -> None:
    """Views in all three scenarios, two enrolments, attempts, a profile, three groups, one of them left."""
    session = cohort.session(user)
    await save_profile(session, ProfileCall("Name", {"gender": "female"}))
    for context in ("batch", "batch-2"):
        await enrol(session, EnrolmentCall("course", context))
        await finish(cohort, user, "a", "course", context)
    await finish(cohort, user, "b", "course")
    await finish(cohort, user, "alone")
    await attempt(cohort, user, "course", "batch", "a")
    for group in ("led", "shared", "left"):
        await create_group(
            cohort.session(), NewGroup("Group", group_id=f"{group}-{user}", user_id=f"admin-{user}")
        )
        role = GroupRole.ADMIN if group == "led" else GroupRole.MEMBER
        call = GroupCall(f"{group}-{user}", members=(AddMember(user, role), AddMember(f"friend-{user}")))
        await update_group(cohort.session(), call)
    await leave_group(cohort.session(f"admin-{user}"), f"led-{user}")
    await leave_group(session, f"left-{user}")


async def school_of(course: Instance) -> Instance:
    """With a second batch, a content of its own, and what ann and bob have done, worked in."""
    await course.batch("batch-2")
    await course.publish({"identifier": "alone", "name": "Alone", "mimeType": LEAF})
    for user in ("ann", "bob"):
        await live(course, user)
    await course.drain()
    return course


@pytest.fixture
async def school(course: Instance) -> Instance:
    return await school_of(course)


@pytest.fixture
async def small_school(embedded: Instance) -> Instance:
    """For what does not depend on the engines."""
    await embedded.publish()
    await embedded.batch()
    return await school_of(embedded)


async def figures(cohort: Instance, user: str, context: str = "batch") -> Any:
    key = figures_key("course", user, f"cb:{context}" if context != "course" else "co:course")
    (aggregate,) = await aggregates_by_key(cohort.stores.rows, [key])
    return aggregate


async def test_deleting_a_learner_leaves_no_row_key_or_state_of_theirs(school: Instance) -> None:
    before, states = await rows_of(school, "bob"), await last_states(school, "bob")
    assert len(await rows_of(school, "ann")) > 15
    erased = await erase(school.session("ann"), ErasureCall())
    assert erased.done
    assert sorted(erased.purged) == [("course", "batch"), ("course", "batch-2"), ("course", "course")]
    await school.drain()
    assert await rows_of(school, "ann", ERASURES) == []
    assert await school.stores.rows.get(ERASURES, ("ann", "", "")) == {
        "userid": "ann",
        "collectionid": "",
        "contextid": "",
        "erased_on": NOW,
    }
    # Nor is it left that the partitions of views ever changed.
    assert await school.stores.rows.statics(VIEWS, [("ann", "course")]) == {}
    assert await hashes_of(school, "ann") == []
    known = await last_states(school, "ann")
    # The embedded log forgets them; in Kafka the last ones tell that the keys count for nothing.
    assert {place for place, state in known.items() if place[0] == "course"} == (
        set()
        if school.urls["events"] == "embedded:"
        else {("course", "cb:batch"), ("course", "cb:batch-2"), ("course", "co:course")}
    )
    for state in known.values():
        told = (
            "active",
            "status",
            "completed_count",
            "time_spent",
            "enrolled_on",
            "last_accessed_on",
            "gender",
        )
        assert [state[name] for name in told] == [0, 0, 0, 0, None, None, None]
    assert await rows_of(school, "bob") == before
    assert await last_states(school, "bob") == states


async def test_groups_go_on_without_a_deleted_member_even_the_last_admin(small_school: Instance) -> None:
    await erase(small_school.session("ann"), ErasureCall())
    for group in ("led-ann", "shared-ann", "left-ann"):
        members = await small_school.stores.rows.partition(GROUP_MEMBERS, (group,))
        active = {row["userid"] for row in members if row["status"] == "active"}
        assert "friend-ann" in active
        assert "ann" not in {row["userid"] for row in members}
        assert members[0]["members_count"] == len(active)


async def cut_off_at_every_turn(cohort: Instance, call: ErasureCall, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ann's call again and again until it comes to its end: each write, deletion and send of it has failed once."""
    rows, events = cohort.stores.rows, cohort.stores.events
    turn = cut = 0

    def cutting(name: str, of: Any) -> None:
        sound = getattr(of, name)

        async def cutting_call(*args: Any, **options: Any) -> Any:
            nonlocal turn
            turn += 1
            if turn == cut:
                raise StoreUnavailable("cut off")
            return await sound(*args, **options)

        monkeypatch.setattr(of, name, cutting_call)

    for name in ("write", "write_together", "delete_if", "update_if", "insert_if_absent"):
        cutting(name, rows)
    cutting("send", events)
    while True:
        turn, cut = 0, cut + 1
        try:
            await erase(cohort.session("ann"), call)
        except StoreUnavailable:
            continue
        break
    assert cut > 5
    monkeypatch.undo()


async def test_deleting_again_finishes_what_was_cut_off_anywhere(
    small_school: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cut_off_at_every_turn(small_school, ErasureCall(), monkeypatch)
    await small_school.drain()
    assert await rows_of(small_school, "ann", ERASURES) == []


async def test_one_enrolment_is_deleted_with_its_views_and_the_others_stay(school: Instance) -> None:
    others = {place: s for place, s in (await last_states(school, "ann")).items() if place[1] != "cb:batch"}
    erased = await erase(school.session("ann"), ErasureCall(collection_id="course", context_id="batch"))
    assert erased.purged == [("course", "batch")]
    listed, _ = await enrolments_page(school.stores.rows, "ann", after=None, limit=10, active=None)
    assert [enrolment.key.context_id for enrolment in listed] == ["batch-2"]
    session = school.session("ann")
    assert await session.loaders.standings.load(ProgressKey("ann", "course", "batch")) is not None
    (standing,) = await session.loaders.figures_of_page(
        [ProgressKey("ann", "course", "batch")], statuses=True
    )
    assert standing is not None
    assert standing.statuses == {}
    await school.drain()
    assert await figures(school, "ann") is None
    assert [row for _, row in await rows_of(school, "ann") if "batch" in row.values()] == [
        {"userid": "ann", "collectionid": "course", "contextid": "batch", "erased_on": NOW}
    ]
    for context in ("batch-2", "course"):
        assert (await figures(school, "ann", context)).completed_count == 1
    assert await session.loaders.views.load(ViewKey("ann", "course", "batch-2", "a")) is not None
    assert await session.loaders.views.load(ViewKey("ann", "alone", "alone", "alone")) is not None
    after = await last_states(school, "ann")
    assert {place: after[place]["completed_count"] for place in others} == {
        place: state["completed_count"] for place, state in others.items()
    }
    assert (await erase(school.session("ann"), ErasureCall("ann", "course", "batch"))).purged == []


async def test_who_enrols_again_begins_anew_and_is_listed(school: Instance) -> None:
    session = school.session("ann")
    for content in ("b", "c"):
        await finish(school, "ann", content, "course", "batch")
    await school.drain()
    assert (await figures(school, "ann")).completed_on == NOW
    await erase(session, ErasureCall())
    await enrol(session, EnrolmentCall("course", "batch"))
    await finish(school, "ann", "b", "course", "batch")
    # In the workers' eyes the erasure and what follows are one: they see only rows.
    await school.drain()
    for _ in range(2):
        aggregate = await figures(school, "ann")
        assert (aggregate.completed_count, aggregate.completed_on) == (1, None)
        assert aggregate.content_status == {"b": 2}
        # Nothing of unit-1 but what b gives it, nothing under the other batch.
        assert await figures(school, "ann", "batch-2") is None
        places = await school.stores.rows.partition(LEARNER_SCOPES, ("ann",), columns=["contextid"])
        assert places == [{"contextid": "batch"}]
        listed, _ = await enrolments_page(school.stores.rows, "ann", after=None, limit=10, active=True)
        assert [(e.key.context_id, e.completed_count) for e in listed] == [("batch", 1)]
        await erase(session, ErasureCall(collection_id="course", context_id="batch"))
        await school.drain()
        await enrol(session, EnrolmentCall("course", "batch"))
        await finish(school, "ann", "b", "course", "batch")
        await school.drain()


async def test_triggers_of_before_that_arrive_late_bring_nothing_back(small_school: Instance) -> None:
    old = [record async for record in small_school.stores.events.read(TRIGGERS.name)]
    await erase(small_school.session("ann"), ErasureCall())
    again = [Message(record.key or "", record.value) for record in old]
    await small_school.stores.events.send(TRIGGERS.name, *again)
    await small_school.drain()
    assert await rows_of(small_school, "ann", ERASURES) == []
    assert all(state["active"] == 0 for state in (await last_states(small_school, "ann")).values())


async def test_calls_from_before_the_erasure_are_refused_and_later_ones_are_not(
    small_school: Instance,
) -> None:
    await erase(small_school.session("ann"), ErasureCall())
    service = small_school.session()
    view, enrolment = ViewCall("a", "course", "batch", "ann"), EnrolmentCall("course", "batch", "ann")
    for at in (BEFORE, NOW):
        for call in (
            start_view(service, replace(view, at=at)),
            enrol(service, replace(enrolment, at=at)),
            save_profile(service, ProfileCall("Ann", user_id="ann", at=at)),
        ):
            with pytest.raises(Erased) as error:
                await call
            assert (error.value.code, error.value.field) == ("ERASED", "at")
    assert await rows_of(small_school, "ann", ERASURES) != []  # what the workers have yet to take away
    await small_school.drain()
    assert await rows_of(small_school, "ann", ERASURES) == []
    await enrol(service, replace(enrolment, at=AFTER))
    await start_view(service, replace(view, at=AFTER))
    await start_view(small_school.session("ann"), ViewCall("b", "course", "batch"))


async def test_a_watermark_is_of_one_place_and_only_grows(small_school: Instance) -> None:
    one = ErasureCall("ann", "course", "batch")
    await erase(small_school.session("ann"), one)
    late = replace(small_school.shared, now=lambda: NOW - timedelta(days=1))
    await erase(replace(small_school.session("ann"), shared=late), one)
    service, view = small_school.session(), ViewCall("a", "course", "batch-2", "ann", BEFORE)
    await start_view(service, view)
    with pytest.raises(Erased):
        await start_view(service, replace(view, context_id="batch"))


async def test_profiles_of_before_are_ignored_and_counted(small_school: Instance) -> None:
    await erase(small_school.session("ann"), ErasureCall())

    async def told(at: Any, name: str) -> None:
        event = {"userId": "ann", "updatedOn": at.isoformat(), "name": name}
        await small_school.stores.events.send(PROFILES.name, Message("ann", orjson.dumps(event)))

    await told(BEFORE, "Old")
    worker = await small_school.drain(Worker(small_school.shared, wait=0.005))
    assert (worker.ignored, worker.dead) == (1, 0)
    assert await small_school.stores.rows.get(LEARNERS, ("ann",)) is None
    await told(AFTER, "New")
    worker = await small_school.drain(Worker(small_school.shared, wait=0.005))
    assert (worker.ignored, worker.dead) == (0, 0)
    assert await small_school.stores.rows.get(LEARNERS, ("ann",), ["name"]) == {"name": "New"}


async def test_ordinary_calls_do_not_look_for_a_watermark(small_school: Instance) -> None:
    with small_school.stores.rows.meter.measure() as cost:
        await enrol(small_school.session("eve"), EnrolmentCall("course", "batch"))
        await finish(small_school, "eve", "a", "course", "batch")
    assert f"select {ERASURES.name}" not in cost


async def test_learners_delete_what_is_theirs_and_admins_and_services_anything(
    small_school: Instance,
) -> None:
    for roles in ((Role.LEARNER,), (Role.MENTOR,), (Role.REPORTER,)):
        with pytest.raises(Forbidden):
            await erase(small_school.session("eve", *roles), ErasureCall("ann"))
    with pytest.raises(InvalidInput):
        await erase(small_school.session("ann"), ErasureCall(context_id="batch"))
    await erase(small_school.session("root", Role.ADMIN), ErasureCall("ann", "course", "batch"))
    assert (await erase(small_school.session(), ErasureCall("bob", "course", "batch"))).user_id == "bob"


# --- on the embedded engines alone


@pytest.fixture
async def published(published: Instance) -> Instance:
    await published.batch("batch-2")
    return published


def tracking(cohort: Instance, mode: TrackingMode) -> None:
    cohort.shared = replace(cohort.shared, tracking=Tracking(mode))


async def test_carried_views_stay_while_another_active_enrolment_shows_them(published: Instance) -> None:
    """Shared rows are kept while another active batch of that learner uses them (P-4.7)."""
    tracking(published, TrackingMode.CARRY_FORWARD_COLLECTION)
    session = published.session("ann")
    for context in ("batch", "batch-2"):
        await enrol(session, EnrolmentCall("course", context))
    await finish(published, "ann", "a", "course", "batch")
    await published.drain()
    await erase(session, ErasureCall(collection_id="course", context_id="batch"))
    await published.drain()
    assert await figures(published, "ann") is None
    assert (await figures(published, "ann", "batch-2")).completed_count == 1
    assert await session.loaders.views.load(ViewKey("ann", "course", "batch-2", "a")) is not None
    await erase(session, ErasureCall(collection_id="course", context_id="batch-2"))
    await published.drain()
    assert await published.stores.rows.partition(VIEWS, ("ann", "course")) == []
    assert await figures(published, "ann", "batch-2") is None


async def test_an_enrolment_that_has_ended_does_not_keep_carried_views(published: Instance) -> None:
    tracking(published, TrackingMode.CARRY_FORWARD_COLLECTION)
    session = published.session("ann")
    for context in ("batch", "batch-2"):
        await enrol(session, EnrolmentCall("course", context))
    await finish(published, "ann", "a", "course", "batch")
    await unenrol(session, EnrolmentCall("course", "batch-2"))
    await erase(session, ErasureCall(collection_id="course", context_id="batch"))
    assert await published.stores.rows.partition(VIEWS, ("ann", "course")) == []


async def test_views_kept_by_content_go_only_with_the_learner(published: Instance) -> None:
    tracking(published, TrackingMode.CARRY_FORWARD_FULL)
    session = published.session("ann")
    await enrol(session, EnrolmentCall("course", "batch"))
    await finish(published, "ann", "a", "course", "batch")
    await published.drain()
    assert (await figures(published, "ann")).completed_count == 1
    await erase(session, ErasureCall(collection_id="course", context_id="batch"))
    await published.drain()
    assert await figures(published, "ann") is None
    assert await session.loaders.views.load(ViewKey("ann", "a", "a", "a")) is not None
    await erase(session, ErasureCall())
    await published.drain()
    assert await rows_of(published, "ann", ERASURES) == []


CARRYING = (TrackingMode.CARRY_FORWARD_FULL, TrackingMode.CARRY_FORWARD_COLLECTION)


async def listed(cohort: Instance, user: str) -> list[tuple[str, str]]:
    rows = await cohort.stores.rows.partition(LEARNER_SCOPES, (user,))
    return [(row["collectionid"], row["contextid"]) for row in rows]


@pytest.mark.parametrize("mode", CARRYING)
async def test_kept_views_are_still_found_by_whatever_goes_by_the_list(
    published: Instance, mode: TrackingMode
) -> None:
    """The place that they are kept under is deleted, and nothing goes."""
    tracking(published, mode)
    place = ("a", "a") if mode is TrackingMode.CARRY_FORWARD_FULL else ("course", "course")
    session = published.session("ann")
    await enrol(session, EnrolmentCall("course", "batch"))
    await finish(published, "ann", "a", "course", "batch")
    for _ in range(2):
        await published.drain()
        assert place in await listed(published, "ann")
        erased = await erase(session, ErasureCall(None, *place))
        assert erased.purged == []
    assert (await close_own_idle_views(session, timedelta(days=1))).looked_at == 1
    await erase(session, ErasureCall())
    await published.drain()
    assert await rows_of(published, "ann", ERASURES) == []


@pytest.mark.parametrize(
    "mode", [mode for mode in TrackingMode if mode is not TrackingMode.CARRY_FORWARD_FULL]
)
async def test_a_content_by_itself_is_deleted_where_views_are_not_kept_by_content(
    published: Instance, mode: TrackingMode
) -> None:
    tracking(published, mode)
    await published.publish({"identifier": "alone", "name": "Alone", "mimeType": LEAF})
    await finish(published, "ann", "alone")
    await finish(published, "ann", "a", "course")
    erased = await erase(published.session("ann"), ErasureCall(collection_id="alone"))
    assert erased.purged == [("alone", "alone")]
    assert await listed(published, "ann") == [("course", "course")]
    rows = [row for name, row in await rows_of(published, "ann") if name == VIEWS.name]
    assert [row["contentid"] for row in rows] == ["a"]


@pytest.mark.parametrize("mode", CARRYING)
async def test_a_carried_call_under_way_when_a_learner_was_erased_leaves_nothing(
    published: Instance, monkeypatch: pytest.MonkeyPatch, mode: TrackingMode
) -> None:
    tracking(published, mode)
    sound, session = published.stores.rows.insert_if_absent, published.session("ann")
    then = replace(published.shared, now=lambda: AFTER)

    async def late(*args: Any) -> Any:
        monkeypatch.undo()
        await erase(replace(session, shared=then), ErasureCall())
        return await sound(*args)

    monkeypatch.setattr(published.stores.rows, "insert_if_absent", late)
    await start_view(session, ViewCall("a", "course", "batch"))
    await published.drain()
    assert await rows_of(published, "ann", ERASURES) == []


async def test_late_replays_of_a_learners_own_device_bring_nothing_back(published: Instance) -> None:
    """A device sends what it recorded before the deletion; each item by the latest time that it tells."""
    session = published.session("ann")
    await erase(session, ErasureCall(collection_id="course", context_id="batch"))

    async def sent(*times: tuple[Any, Any], context: str = "batch") -> list[str]:
        states = [
            ContentState("a", Status.COMPLETED, "course", context, None, None, None, *each) for each in times
        ]
        outcomes = await update_states(replace(session, shared=later), states)
        return ["kept" if isinstance(outcome, View) else outcome.code for outcome in outcomes]

    later = replace(published.shared, now=lambda: AFTER)
    with published.stores.rows.meter.measure() as cost:
        assert await sent((BEFORE, None), (None, NOW), (BEFORE, NOW)) == ["ERASED"] * 3
    assert cost[f"select {ERASURES.name}"] == 1
    assert await rows_of(published, "ann", ERASURES) == []
    assert await sent((BEFORE, None), context="batch-2") == ["kept"]
    await erase(session, ErasureCall())
    assert await sent((BEFORE, BEFORE), context="batch-2") == ["ERASED"]
    assert await sent((BEFORE, AFTER), (BEFORE, BEFORE)) == ["kept", "ERASED"]
    with published.stores.rows.meter.measure() as cost:
        assert await sent((None, None)) == ["kept"]
    assert f"select {ERASURES.name}" not in cost


# --- where progress moves

ALWAYS = '{"rules": [{"type": "always"}]}'


async def moved(cohort: Instance, *, worked_in: bool) -> None:
    """a is completed in batch, and has gone along to batch-2 and on to batch-3."""
    cohort.track(TrackingMode.MOVE, ALWAYS)
    await cohort.batch("batch-3")
    await enrol(cohort.session("ann"), EnrolmentCall("course", "batch"))
    await finish(cohort, "ann", "a", "course", "batch")
    for context in ("batch-2", "batch-3"):
        await enrol(cohort.session("ann"), EnrolmentCall("course", context))
        if worked_in:
            await cohort.drain()


@pytest.mark.parametrize("worked_in", [True, False])
async def test_nothing_leads_to_a_deleted_place_and_nothing_comes_back_by_its_old_names(
    published: Instance, *, worked_in: bool
) -> None:
    await moved(published, worked_in=worked_in)
    session, service = published.session("ann"), published.session()
    erased = await erase(session, ErasureCall(collection_id="course", context_id="batch-3"))
    assert erased.purged == [("course", "batch-3")]
    for _ in range(2):
        assert await published.stores.rows.partition(VIEWS, ("ann", "course")) == []
        pointers = await published.stores.rows.partition(ENROLMENTS, ("ann",))
        assert {r["contextid"]: (r["active"], r["moved_to"]) for r in pointers if r["enrolled_on"]} == {
            "batch": (False, None),
            "batch-2": (False, None),
        }
        await published.drain()
    for context in ("batch", "batch-2", "batch-3"):
        with pytest.raises(Erased):
            await start_view(service, ViewCall("a", "course", context, "ann", NOW))
        stated = ContentState("a", Status.COMPLETED, "course", context, "ann", last_completed_on=NOW)
        for viewer in (service, session):
            (outcome,) = await update_states(viewer, [stated])
            assert isinstance(outcome, Erased)
    began = await start_view(session, ViewCall("b", "course", "batch"))
    assert began.view.key.context_id == "batch"
    await published.drain()
    states = await last_states(published, "ann")
    assert {place[1] for place, state in states.items() if state["active"]} == set()
    for context, status in (("batch", {"b": 1}), ("batch-3", None)):
        aggregate = await figures(published, "ann", context)
        assert (aggregate and aggregate.content_status) == status


async def test_a_call_by_the_old_name_is_of_before_if_the_new_place_was_deleted(published: Instance) -> None:
    """By whatever process: the watermark is of the new place alone."""
    await moved(published, worked_in=True)
    place = ("ann", "course", "batch-3")
    await published.stores.rows.write(Write(ERASURES, place, {"erased_on": NOW}))
    service = published.session()
    with pytest.raises(Erased):
        await start_view(service, ViewCall("b", "course", "batch", "ann", NOW))
    stated = ContentState("b", Status.COMPLETED, "course", "batch", "ann", last_completed_on=NOW)
    for viewer in (service, published.session("ann")):
        (outcome,) = await update_states(viewer, [stated])
        assert isinstance(outcome, Erased)


async def test_deleting_by_an_old_name_finishes_what_was_cut_off_anywhere(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await moved(published, worked_in=False)
    call = ErasureCall(collection_id="course", context_id="batch")
    await cut_off_at_every_turn(published, call, monkeypatch)
    await published.drain()
    enrolled = await published.stores.rows.partition(ENROLMENTS, ("ann",))
    assert [(r["contextid"], r["active"], r["moved_to"]) for r in enrolled if r["enrolled_on"]] == [
        ("batch-2", False, None)
    ]
    assert await published.stores.rows.partition(VIEWS, ("ann", "course")) == []


async def test_a_move_under_way_to_a_deleted_place_is_called_off(published: Instance) -> None:
    """Its process died before the flip: what is written goes on staying where the learner is enrolled."""
    published.track(TrackingMode.MOVE, ALWAYS)
    session = published.session("ann")
    await enrol(session, EnrolmentCall("course", "batch"))
    await published.stores.rows.update_if(
        ENROLMENTS, ("ann", "course", "batch"), {"moved_to": "batch-2"}, [Equal("active", True)]
    )
    await finish(published, "ann", "a", "course", "batch")
    await erase(session, ErasureCall(collection_id="course", context_id="batch-2"))
    await finish(published, "ann", "b", "course", "batch")
    await published.drain()
    rows = await published.stores.rows.partition(VIEWS, ("ann", "course"))
    assert [(row["contextid"], row["contentid"]) for row in rows] == [("batch", "a"), ("batch", "b")]


async def test_what_a_collection_has_left_behind_goes_too(published: Instance) -> None:
    """Units that the published version dropped, under a collection that was published again before the erasure."""
    await finish(published, "ann", "d", "course", "batch")
    await published.drain()
    await published.publish({**COURSE, "children": COURSE["children"][:1]})
    # Whoever reads the states has yet to do so.
    await (await published.stores.events.consumer("late", [STATES.name])).close()
    await erase(published.session("ann"), ErasureCall())
    await published.drain()
    assert await rows_of(published, "ann", ERASURES) == []
    assert {place[0] for place in await last_states(published, "ann")} == {"course", "unit-2"}
    assert all(s["completed_count"] == 0 for s in (await last_states(published, "ann")).values())


async def test_figures_without_a_context_any_more_go_too(published: Instance) -> None:
    await enrol(published.session("ann"), EnrolmentCall("course", "batch"))
    await published.drain()
    await published.stores.rows.write(Write(CONTEXTS, ("batch",), {}, delete=True))
    async with published.opened() as shared:
        other = replace_shared(published, shared)
        await erase(other.session("ann"), ErasureCall())
        await other.drain()
        # Which part of the context's list names the learner, only the context knew.
        assert await rows_of(other, "ann", ERASURES, ENROLMENTS_BY_CONTEXT) == []


def replace_shared(cohort: Instance, shared: Any) -> Instance:
    other = Instance(cohort.urls, cohort.data)
    other.shared = shared
    return other


async def test_a_learner_with_more_than_a_page_of_everything_goes_page_by_page(embedded: Instance) -> None:
    """More views in one place than a conditional write takes, more places than a page has, as a job."""
    leaves = [{"identifier": f"leaf-{i}", "name": "L", "mimeType": LEAF} for i in range(120)]
    await embedded.publish({"identifier": "long", "name": "Long", "children": leaves})
    rows = embedded.stores.rows
    for i in range(120):
        await finish(embedded, "ann", f"leaf-{i}", "long")
    places = [("ann", f"gone-{i:03}", f"batch-{i:03}") for i in range(PAGE + 5)]
    for place in places:
        values = {"active": True, "enrolled_on": NOW, "changed_at": 1}
        await rows.insert_if_absent(ENROLMENTS, {**ENROLMENTS.named(place), **values})
    with rows.meter.measure() as cost:
        report = await erase_learner(embedded.shared, "ann")
    assert (report.places, report.views) == (PAGE + 6, 120)
    assert cost[f"conditional batch {VIEWS.name}"] == 3  # of 50, 50 and 20
    await embedded.drain()
    assert await rows_of(embedded, "ann", ERASURES) == []
    (job,) = await Jobs(embedded.shared).list()
    assert "ann" not in job.arguments.values()
    # The jobs tell how much there was, and nothing of what it was.
    walked = [row async for p in rows.walk(JOBS, rows.ranges(1)[0]) for row in p.rows]
    assert "long" not in repr(walked)


async def test_a_job_that_was_cut_off_is_finished_by_resuming(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its first trigger: the rows are gone, and nobody was told."""
    await enrol(published.session("ann"), EnrolmentCall("course", "batch"))
    await finish(published, "ann", "a", "course", "batch")
    await published.drain()

    async def away(*_: Any) -> None:
        raise StoreUnavailable("the log is away")

    monkeypatch.setattr(published.stores.events, "send", away)
    with pytest.raises(StoreUnavailable):
        await erase_learner(published.shared, "ann")
    monkeypatch.undo()
    (job,) = await Jobs(published.shared).list()
    assert job.state is JobState.INTERRUPTED
    done = await Jobs(published.shared).resume(job_kind(job.kind), job.id)
    assert done.state is JobState.DONE
    await published.drain()
    assert await rows_of(published, "ann", ERASURES) == []


async def test_an_erasure_that_takes_long_goes_on_without_its_caller(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ingest.commands.erasures as module

    await finish(published, "ann", "a", "course", "batch")
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    assert not (await erase(published.session("ann"), ErasureCall())).done
    await published.shared.background.settled()
    await published.drain()
    assert await rows_of(published, "ann", ERASURES) == []
    monkeypatch.undo()
    assert (await erase(published.session("ann"), ErasureCall())).done


async def test_a_gateway_that_remembers_a_deleted_entry_loses_no_view(published: Instance) -> None:
    """It entered the scope before another process erased it, and does not write it again."""
    await finish(published, "ann", "a", "course")
    await published.drain()
    async with published.opened() as shared:
        await erase(replace_shared(published, shared).session("ann"), ErasureCall())
    await finish(published, "ann", "a", "course")
    assert await published.stores.rows.partition(LEARNER_SCOPES, ("ann",)) == []
    await published.drain()
    scopes = await published.stores.rows.partition(
        LEARNER_SCOPES, ("ann",), columns=["collectionid", "scope"]
    )
    assert scopes == [{"collectionid": "course", "scope": "course"}]
    assert (await figures(published, "ann", "course")).completed_count == 1


async def test_a_content_by_itself_enters_its_scope_with_every_start(published: Instance) -> None:
    await published.publish({"identifier": "alone", "name": "Alone", "mimeType": LEAF})
    await finish(published, "ann", "alone")
    async with published.opened() as shared:
        await erase(replace_shared(published, shared).session("ann"), ErasureCall())
    await finish(published, "ann", "alone")
    scopes = await published.stores.rows.partition(LEARNER_SCOPES, ("ann",), columns=["collectionid"])
    assert scopes == [{"collectionid": "alone"}]


async def test_a_call_under_way_when_the_erasure_began_leaves_nothing(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is written when the others are gone already."""
    sound, session = published.stores.rows.insert_if_absent, published.session("ann")
    then = replace(published.shared, now=lambda: AFTER)

    async def late(*args: Any) -> Any:
        monkeypatch.undo()
        await erase(replace(session, shared=then), ErasureCall())
        return await sound(*args)

    monkeypatch.setattr(published.stores.rows, "insert_if_absent", late)
    await start_view(session, ViewCall("a", "course", "batch"))
    await published.drain()
    assert await rows_of(published, "ann", ERASURES) == []


async def test_an_erasure_beside_workers_at_work_leaves_nothing(published: Instance) -> None:
    """Triggers in flight, several workers, calls in between."""

    async def busy() -> None:
        for content in ("a", "b", "c"):
            for context in ("batch", "batch-2"):
                await finish(published, "ann", content, "course", context)

    session = published.session("ann")
    for context in ("batch", "batch-2"):
        await enrol(session, EnrolmentCall("course", context))
    workers = [Worker(published.shared, most=3, wait=0.005) for _ in range(2)]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    await busy()
    await erase(session, ErasureCall())
    await asyncio.sleep(0)
    for worker in workers:
        worker.stop()
    await asyncio.gather(*running)
    await published.drain()
    assert await rows_of(published, "ann", ERASURES) == []


async def test_a_worker_that_was_slow_does_not_list_a_place_again_that_was_erased_meanwhile(
    cohort: Instance,
) -> None:
    """It had read the views, and writes what follows from them after the erasure."""
    await cohort.publish_course()
    await start_view(cohort.session("ann"), ViewCall(content_id="a", collection_id="course"))
    key = ProgressKey("ann", "course", "course")
    (item,) = (await recompute(cohort.shared, [key])).done
    await erase_learner(cohort.shared, "ann")
    await cohort.stores.rows.write(*_scope_writes(item, ()))
    assert await rows_of(cohort, "ann", ERASURES, JOBS) == []
