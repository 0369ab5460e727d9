"""On which days a learner was active in a place: what rows and group queries know of it, whatever happens meanwhile."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import orjson
import pytest

from druid_specs import ACTIVITY_DAY
from ingest.calls.placing import ViewCall
from ingest.commands.assessments import AssessmentCall, submit_assessment
from ingest.commands.content_states import update_states
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.erasures import ErasureCall, erase
from ingest.commands.views import end_view, start_view
from ingest.jobs.reconcile import reconcile
from ingest.workers.worker import Worker
from loaders.aggregates import aggregates_by_key
from rules.active_days import DayZone, date_of
from rules.content_states import ContentState
from rules.errors import StoreUnavailable
from rules.progress import Status
from rules.tracking import TrackingMode
from rules.views import ViewChange
from stores.events import Message
from stores.groups import Lane, OneOf, Rows
from stores.rows import Write
from stores.tables import AGGREGATES
from stores.topics import ACTIVE_DAYS, TRIGGERS
from tests.aggregates import figures_key
from tests.conftest import NOW, Instance, stride
from tests.ingest.interruptions import Interruption, dies
from tests.ingest.test_moves import LATER, set_up

DAYS = [NOW + timedelta(days=number) for number in range(5)]


async def visit(cohort: Instance, user: str, content: str, at: datetime, context: str = "batch") -> None:
    """Opens the content at that time; a second visit changes no view."""
    cohort.sets_clock(at)
    await start_view(cohort.session(user), ViewCall(content, "course", context))


async def stored(cohort: Instance, user: str, context: str = "batch") -> list[date]:
    """The days in the row."""
    (root,) = await aggregates_by_key(cohort.stores.rows, [figures_key("course", user, f"cb:{context}")])
    return [date_of(day) for day in sorted(root.active_days)] if root else []


async def told(cohort: Instance, user: str) -> list[tuple[str, str]]:
    """Context and day of the rows in the groups store."""
    await cohort.stores.groups.init([ACTIVITY_DAY])
    await cohort.arrived(ACTIVITY_DAY)
    query = Rows(
        ACTIVITY_DAY,
        ("context_id", "day"),
        keys=(("user_id", (user,)),),
        where=OneOf("active", (1,)),
    )
    return sorted(
        (str(context), str(day))
        for context, day in (await cohort.stores.groups.query(query, Lane.PAGES)).rows
    )


async def sent(cohort: Instance) -> list[tuple[str, int]]:
    """Day and flag of each event, in order."""
    events = [orjson.loads(record.value) async for record in cohort.stores.events.read(ACTIVE_DAYS.name)]
    return [(event["day"], event["active"]) for event in events]


def on(*days: datetime) -> list[date]:
    return [day.date() for day in days]


async def test_every_day_of_a_visit_is_known_also_where_the_visit_changed_nothing(course: Instance) -> None:
    for day in (DAYS[0], DAYS[2], DAYS[3]):
        await visit(course, "ada", "a", day)
        await course.drain()
    # The view has its first day alone.
    assert await stored(course, "ada") == on(DAYS[0], DAYS[2], DAYS[3])
    assert await told(course, "ada") == [("cb:batch", str(day)) for day in on(DAYS[0], DAYS[2], DAYS[3])]


async def test_days_of_one_batch_of_the_log_are_all_known(course: Instance) -> None:
    for day in DAYS:
        await visit(course, "ada", "a", day)
    await course.drain()
    assert await stored(course, "ada") == on(*DAYS)


async def test_a_day_is_sent_once_however_often_the_learner_comes(course: Instance) -> None:
    for content in "abc":
        await visit(course, "ada", content, DAYS[0])
        await course.drain()
    assert await sent(course) == [(str(DAYS[0].date()), 1)]


async def test_a_device_that_was_away_for_days_tells_each_of_them(course: Instance) -> None:
    course.sets_clock(DAYS[0])
    await enrol(course.session("ada"), EnrolmentCall("course", "batch"))
    course.sets_clock(DAYS[4])
    states = [
        ContentState(content, Status.COMPLETED, "course", "batch", user_id="ada", last_accessed_on=day)
        for content, day in (("a", DAYS[1]), ("a", DAYS[2]), ("b", DAYS[3]))
    ]
    await update_states(course.session(), states)
    await course.drain()
    assert await stored(course, "ada") == on(*DAYS[1:4])


async def test_a_submitted_assessment_is_an_active_day(course: Instance) -> None:
    course.sets_clock(DAYS[1])
    answer = {"item": {"id": "q1", "maxscore": 1}, "index": 1, "score": 1, "pass": "Yes"}
    event = {"eid": "ASSESS", "ets": 1, "edata": answer}
    await submit_assessment(
        course.session(),
        AssessmentCall("a", "course", "batch", "ada", attempt_id="one", attempted_on=DAYS[1], events=[event]),
    )
    await course.drain()
    assert await stored(course, "ada") == on(DAYS[1])


async def test_the_zone_of_the_instance_decides(course: Instance) -> None:
    course.shared = replace(course.shared, day_zone=DayZone("Asia/Kolkata"))
    await visit(course, "ada", "a", datetime(2026, 1, 31, 20, tzinfo=UTC))
    await course.drain()
    assert await stored(course, "ada") == [date(2026, 2, 1)]


@pytest.mark.parametrize("after", [False, True])
async def test_a_worker_that_dies_between_any_two_steps_leaves_no_day_out(
    course: Instance, after: bool
) -> None:
    """Each worker is dead a step later than the one before, each with a learner of its own: what is sent and stored is the same in the end."""
    for step in range(0, 12, stride()):
        user = f"user-{step}"
        for day in DAYS[:3]:
            await visit(course, user, "a", day)
        interruption = Interruption(step, dies, after=after)
        worker = Worker(interruption.of(course.shared), wait=0.005)
        with suppress(StoreUnavailable):
            await course.drain(worker)
        await course.drain()
        assert await stored(course, user) == on(*DAYS[:3])
        assert await told(course, user) == [("cb:batch", str(day)) for day in on(*DAYS[:3])]


async def test_triggers_that_come_again_change_nothing(course: Instance) -> None:
    for day in DAYS[:3]:
        await visit(course, "ada", "a", day)
        await course.drain()
    before = await stored(course, "ada"), await sent(course)
    triggers = [record.value async for record in course.stores.events.read(TRIGGERS.name)]
    await course.stores.events.send(TRIGGERS.name, *(Message("ada", value) for value in reversed(triggers)))
    await course.drain()
    assert (await stored(course, "ada"), await sent(course)) == before


async def test_reconcile_brings_what_views_tell_of_the_past(course: Instance) -> None:
    """As an instance has it whose rows are older than these days."""
    await visit(course, "ada", "a", DAYS[0])
    course.sets_clock(DAYS[2])
    await end_view(course.session("ada"), ViewCall("a", "course", "batch"), ViewChange(DAYS[2]))
    await visit(course, "ada", "b", DAYS[3])
    await course.drain()
    (root,) = await aggregates_by_key(course.stores.rows, [figures_key("course", "ada")])
    assert root is not None
    key = ("Course", "course", "ada", root.key.context_id, "course")
    await course.stores.rows.write(Write(AGGREGATES, key, {"active_days": None}, timestamp=root.version + 1))
    assert await stored(course, "ada") == []

    report = await reconcile(course.shared)
    assert report.drifted == 1
    await course.drain()
    assert await stored(course, "ada") == on(DAYS[0], DAYS[2], DAYS[3])
    assert (await reconcile(course.shared)).drifted == 0


async def test_reconcile_of_states_sends_all_days_again(course: Instance) -> None:
    for day in DAYS[:2]:
        await visit(course, "ada", "a", day)
        await course.drain()
    days = await sent(course)
    await reconcile(course.shared, states=True)
    await course.drain()
    assert await sent(course) == [*days, *days]


async def test_an_erasure_takes_the_days_back(course: Instance) -> None:
    for day in DAYS[:2]:
        await visit(course, "ada", "a", day)
        await visit(course, "bob", "a", day)
        await course.drain()
    course.sets_clock(DAYS[2])
    await erase(course.session(), ErasureCall("ada", "course", "batch"))
    await course.drain()
    assert await stored(course, "ada") == []
    assert await told(course, "ada") == []
    assert await told(course, "bob") == [("cb:batch", str(day)) for day in on(*DAYS[:2])]


async def test_who_comes_back_after_an_erasure_has_only_the_days_since(course: Instance) -> None:
    await course.stores.groups.init([ACTIVITY_DAY])
    for day in DAYS[:2]:
        await visit(course, "ada", "a", day)
    await course.drain()
    course.sets_clock(DAYS[2])
    await erase(course.session(), ErasureCall("ada", "course", "batch"))
    # What is forgotten with an erasure must be in the groups store by then, as its own consumer group waits for it.
    assert await told(course, "ada") != []
    await visit(course, "ada", "a", DAYS[3])
    await course.drain()
    assert await stored(course, "ada") == on(DAYS[3])
    assert await told(course, "ada") == [("cb:batch", str(DAYS[3].date()))]


async def test_days_go_along_with_a_move(embedded: Instance) -> None:
    """A worker that dies in between leaves none behind."""
    await set_up(embedded)
    for step in range(0, 24, stride()):  # before and after in turns
        user = f"user-{step}"
        embedded.sets_clock(NOW)
        await enrol(embedded.session(user), EnrolmentCall("course", "batch"))
        for day in (NOW, NOW + timedelta(hours=25)):
            await visit(embedded, user, "a", day)
        await embedded.drain()
        embedded.sets_clock(LATER + timedelta(days=1))
        await enrol(embedded.session(user), EnrolmentCall("course", "other"))
        interruption = Interruption(step, dies, after=step % 2 == 1)
        with suppress(StoreUnavailable):
            await embedded.drain(Worker(interruption.of(embedded.shared), wait=0.005))
        await embedded.drain()
        assert await stored(embedded, user, "batch") == []
        assert await stored(embedded, user, "other") == on(NOW, LATER)
        assert await told(embedded, user) == [("cb:other", str(day)) for day in on(NOW, LATER)]


async def test_what_is_carried_forward_counts_where_it_is_shown(embedded: Instance) -> None:
    embedded.track(TrackingMode.CARRY_FORWARD_COLLECTION)
    await embedded.publish_course()
    await embedded.batch("other")
    for context in ("batch", "other"):
        await enrol(embedded.session("ada"), EnrolmentCall("course", context))
    for day in DAYS[:2]:
        await visit(embedded, "ada", "a", day)
        await embedded.drain()
    assert await stored(embedded, "ada", "other") == on(*DAYS[:2])


async def test_units_have_no_days(course: Instance) -> None:
    await visit(course, "ada", "a", DAYS[0])
    await course.drain()
    (unit,) = await aggregates_by_key(course.stores.rows, [figures_key("unit-1", "ada")])
    assert unit is not None
    assert unit.days is None
