"""What the batch aggregation promises: figures are those of the rows, whenever it ran, died or met another one."""

import asyncio
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from druid_specs import ACTIVITY_STATE, OWN_COLUMNS
from ingest.aggregation import aggregate, aggregation_status
from ingest.aggregation.activities import DIMENSIONS, Place, aggregate_place
from ingest.aggregation.run import AT_ONCE
from ingest.aggregation.turn import Turn
from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.learner_groups import GroupCall, NewGroup, create_group, delete_group, update_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view, update_view
from ingest.jobs.reconcile import reconcile
from ingest.schedule import Schedule
from loaders.session import Shared
from loaders.totals import (
    OF_GROUP,
    ActivityPlace,
    activity_results,
    group_results,
    last_aggregation,
)
from rules.entries import Entry
from rules.errors import Conflict, StoreUnavailable
from rules.group_changes import AddMember, RemoveMember
from rules.learner_groups import Activity
from rules.metrics import SUMS
from rules.progress import Progress, Status, status_of
from rules.states import State
from rules.totals import ALL, Tally
from rules.views import ViewChange
from stores.events import Consumer
from stores.groups import Answer
from stores.rows import Write
from stores.tables import ACTIVITY_AGGREGATES, AGGREGATES, AGGREGATIONS
from stores.topics import STATES, TOTALS
from tests.conftest import COURSE, NOW, Instance
from tests.ingest.histories import live_through

pytestmark = pytest.mark.usefixtures("nobody_reads_totals")
NOW_MS = 1_772_366_400_000
ENROLLED, COMPLETED = "enrolled", "completed"
NOTHING = dict.fromkeys(SUMS, 0) | {"last_accessed_on": None}
CELL = ("activity_id", "context_id", "dimension", "value")
KEYS = [(activity, "course", "cb:batch") for activity in ("course", "unit-1", "unit-2")]


@pytest.fixture
def nobody_reads_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Druid has no data source of these instances, so that nothing of them is ever shown."""
    monkeypatch.setattr("ingest.aggregation.run.SHOWN_WITHIN", 0.05)


async def join(cohort: Instance, user: str, context: str = "batch") -> None:
    await enrol(cohort.session(), EnrolmentCall("course", context, user, NOW))


async def lives_in(cohort: Instance, user: str, district: str, days: int = 0) -> None:
    at = NOW + timedelta(days=days - 9)
    await save_profile(cohort.session(), ProfileCall(None, {"district": district}, user, at))


async def finish(
    cohort: Instance, user: str, *contents: str, context: str = "batch", seconds: int = 0
) -> None:
    for content in contents:
        session, call = cohort.session(user), ViewCall(content, "course", context)
        await start_view(session, call)
        if seconds:
            await update_view(session, call, ViewChange(NOW, time_spent=seconds, call_id="once"))
        await end_view(session, call, ViewChange(NOW))


async def class_at_work(cohort: Instance) -> None:
    """Ada (Pune) finishes a, b and c; ben (Pune) finishes a in 30 s; cleo (Goa) has not begun; dan finishes a and
    leaves; eve works without being enrolled."""
    for user in ("ada", "ben", "cleo", "dan"):
        await join(cohort, user)
    for user, district in (("ada", "Pune"), ("ben", "Pune"), ("cleo", "Goa")):
        await lives_in(cohort, user, district)
    await finish(cohort, "ada", "a", "b", "c")
    await finish(cohort, "ben", "a", seconds=30)
    await finish(cohort, "dan", "a")
    await finish(cohort, "eve", "a")
    await unenrol(cohort.session(), EnrolmentCall("course", "batch", "dan", NOW))
    await cohort.drain()


# By hand. Required of the course: a, b, c; of unit-1: a, b; of unit-2: b, c.
# course: ada 100 %, ben 1 of 3 = 33 %, cleo 0. unit-1: ada 100, ben 1 of 2 = 50. unit-2: ada 100. A unit counts those
# who have begun it: cleo none, ben unit-1 alone.
EVERYBODY = NOTHING | {"enrolled": 3, "completed": 1, "time_spent": 30, "last_accessed_on": NOW_MS}
IN_COURSE = EVERYBODY | {"progress_sum": 133, "progress_0": 1, "progress_25_49": 1, "progress_100": 1}
IN_UNIT_1 = EVERYBODY | {"enrolled": 2, "progress_sum": 150, "progress_50_74": 1, "progress_100": 1}
IN_UNIT_2 = EVERYBODY | {"enrolled": 1, "progress_sum": 100, "progress_100": 1, "time_spent": 0}
IN_PUNE = IN_COURSE | {"enrolled": 2, "progress_0": 0}
IN_GOA = NOTHING | {"enrolled": 1, "progress_0": 1}


async def told(cohort: Instance) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The latest state of each cell, as a data source that keeps the highest version has it."""
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    async for record in cohort.stores.events.read(TOTALS.name):
        event = orjson.loads(record.value)
        cell = tuple(event[name] for name in CELL)
        known = latest.get(cell)
        if known is not None and known["version"] == event["version"]:
            # The data source could not tell which of two is the newer.
            assert known == event
        if known is None or known["version"] < event["version"]:
            latest[cell] = event
    return latest


def counts(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in NOTHING}


async def live_cells(cohort: Instance) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Cells that count somebody, from the data source."""
    return {cell: counts(event) for cell, event in (await told(cohort)).items() if event["enrolled"]}


async def stored_cells(cohort: Instance, keys: Iterable[ActivityPlace]) -> dict[tuple[Any, ...], Any]:
    """Likewise, from the table."""
    found = await activity_results(cohort.stores.rows, list(keys))
    return {
        (activity, context, *cell): counts
        for (activity, _, context), result in found.items()
        if result is not None
        for cell, counts in result.cells.items()
        if counts["enrolled"]
    }


async def test_figures_are_those_of_a_count_by_hand(course: Instance) -> None:
    await class_at_work(course)
    report = await aggregate(course.shared)
    assert (report.everything, report.activities, report.vanished) == (True, 3, 0)
    cells = await live_cells(course)
    assert cells["course", "cb:batch", "all", None] == IN_COURSE
    assert cells["course", "cb:batch", "district", "Pune"] == IN_PUNE
    assert cells["course", "cb:batch", "district", "Goa"] == IN_GOA
    assert cells["course", "cb:batch", "region", None] == IN_COURSE
    assert cells["course", "cb:batch", "enrolled_month", "2026-03"] == IN_COURSE
    assert cells["course", "cb:batch", "completed_month", "2026-03"]["enrolled"] == 1
    assert cells["course", "cb:batch", "completed_month", None]["enrolled"] == 2
    assert ("course", "cb:batch", "district", None) not in cells, "dan has left and eve was never in"
    assert cells["unit-1", "cb:batch", "all", None] == IN_UNIT_1
    assert cells["unit-2", "cb:batch", "all", None] == IN_UNIT_2
    assert await stored_cells(course, KEYS) == cells
    assert len(await told(course)) == report.cells
    row = await course.stores.rows.get(ACTIVITY_AGGREGATES, ("Course", "course", "cb:batch", "course"))
    assert row is not None
    assert row["aggregates"] == {
        "enrolledCount": 3.0,
        "completedCount": 1.0,
        "completionPercentage": 33.0,
        "averageProgress": 44.33,
        "timeSpent": 30.0,
    }
    assert row["agg_last_updated"] == dict.fromkeys(row["aggregates"], NOW)
    assert row["pending"] is None
    assert await last_aggregation(course.stores.rows) == NOW


def test_every_attribute_and_month_that_states_can_be_grouped_by_is_a_dimension() -> None:
    texts = {name for name, type_ in ACTIVITY_STATE.latest.items() if type_ == "string"} - OWN_COLUMNS
    assert {*DIMENSIONS.attributes} == texts
    assert {*DIMENSIONS.months} == {"enrolled_month", "completed_month"}


@pytest.mark.parametrize("activity_id", [activity for activity, _, _ in KEYS])
async def test_an_activity_has_the_figures_that_its_states_have(course: Instance, activity_id: str) -> None:
    """The other path: what the workers sent of each learner, the last of each."""
    await live_through(course)
    await course.drain()
    await aggregate(course.shared)
    latest: dict[str, dict[str, Any]] = {}
    async for record in course.stores.events.read(STATES.name):
        event = orjson.loads(record.value)
        if (
            event["activity_id"] == activity_id
            and event["version"] > latest.get(event["user_id"], event | {"version": 0})["version"]
        ):
            latest[event["user_id"]] = event
    states = [
        State(
            *(activity_id, "course", "cb:batch", user, 1),
            status=status_of(event["status"]),
            completion_percentage=event["completion_percentage"],
            time_spent=event["time_spent"],
            active=bool(event["active"]),
            enrolled_on=NOW,
            completed_on=NOW if event["completed_on"] else None,
            last_accessed_on=NOW if event["last_accessed_on"] else None,
            attributes={name: event[name] for name in DIMENSIONS.attributes if event[name] is not None},
        )
        for user, event in latest.items()
    ]
    key = (activity_id, "course", "cb:batch")
    (result,) = (await activity_results(course.stores.rows, [key])).values()
    assert result is not None
    assert result.cells == Tally(DIMENSIONS).count(states).cells()
    assert result.cells[ALL]["enrolled"] == sum(state.active for state in states) > 5


async def test_a_unit_counts_who_began_it_also_after_a_version_without_what_they_did(
    course: Instance,
) -> None:
    """Gus did c alone, which is in unit-2. The next version has no c any more, so nothing of Gus is left in the course."""
    await join(course, "gus")
    await finish(course, "gus", "c")
    await course.drain()
    children: Any = COURSE["children"]
    unit_1, unit_2 = children
    left = [child for child in unit_2["children"] if child["identifier"] != "c"]
    await course.publish({**COURSE, "children": [unit_1, {**unit_2, "children": left}]})
    await reconcile(course.shared)
    await course.drain()
    await aggregate(course.shared)
    now = await live_cells(course)
    assert {cell[0] for cell in now if cell[2] == "all"} == {"course", "unit-2"}
    assert now["unit-2", "cb:batch", "all", None] == NOTHING | {"enrolled": 1, "progress_0": 1}


async def test_units_of_a_learner_who_has_not_begun_are_not_looked_for(course: Instance) -> None:
    """The course and its contents are read once a run. 250 learners are one page of their enrolments a bucket, and each 100 of
    them one statement of profiles and one of aggregates. Of the two who have begun, units are looked for by one more."""
    for number in range(250):
        await join(course, f"learner-{number:03d}")
    await finish(course, "learner-007", "a")
    await finish(course, "learner-123", "c")
    await course.drain()
    with course.stores.rows.meter.measure() as statements:
        await aggregate(course.shared)
    assert statements["select learner"] == 3
    assert statements[f"select {AGGREGATES.name}"] == 3 + 1
    now = await live_cells(course)
    assert [now[activity, "cb:batch", "all", None]["enrolled"] for activity, _, _ in KEYS] == [250, 1, 1]


async def test_places_are_counted_side_by_side_but_only_so_many(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first failure ends the run, and the next one does what it left."""
    for number in range(9):
        await course.batch(f"batch-{number}")
        await join(course, "ada", f"batch-{number}")
    await course.drain()
    at_work, most, whole = 0, 0, aggregate_place

    async def watched(turn: Turn, place: Place, named: Set[str]) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        try:
            await asyncio.sleep(0)
            if failing and place[1] == "batch-4":
                raise StoreUnavailable("the rows are away")
            await whole(turn, place, named)
        finally:
            at_work -= 1

    monkeypatch.setattr("ingest.aggregation.run.aggregate_place", watched)
    failing = True
    with pytest.raises(StoreUnavailable, match="the rows are away"):
        await aggregate(course.shared)
    assert at_work == 0
    failing, told = False, list[tuple[str, int, int]]()
    report = await aggregate(course.shared, on_progress=lambda *phase: told.append(phase))
    assert (report.everything, report.activities, most) == (True, 9, AT_ONCE)
    assert told == [
        *(("places", done, 9) for done in (0, 0, 0, 0, 1, 2, 3, 4, 5, 9)),
        *(("groups", part, 16) for part in range(1, 17)),
    ]
    await join(course, "bob", "batch-0")
    await course.drain()
    told.clear()
    records = (await aggregate(course.shared, on_progress=lambda *phase: told.append(phase))).records
    assert told[-1] == ("records", records, records)
    now = await live_cells(course)
    assert {cell[1] for cell in now} == {f"cb:batch-{number}" for number in range(9)}


async def test_a_run_with_nothing_touched_sends_and_writes_nothing(course: Instance) -> None:
    await class_at_work(course)
    await aggregate(course.shared)
    with course.stores.rows.meter.measure() as statements, course.stores.events.meter.measure() as sent:
        report = await aggregate(course.shared)
    assert (report.records, report.activities, report.groups, report.cells) == (0, 0, 0, 0)
    assert not [name for name in statements if ACTIVITY_AGGREGATES.name in name]
    assert not sent


async def test_a_run_recounts_only_what_was_touched_and_sends_only_what_changed(course: Instance) -> None:
    await course.batch("other")
    await class_at_work(course)
    await join(course, "fay", "other")
    await course.drain()
    await aggregate(course.shared)
    before = await told(course)
    await finish(course, "ben", "b")
    await course.drain()
    report = await aggregate(course.shared)
    assert (report.everything, report.activities) == (False, 3)
    after = await told(course)
    changed = {cell[:2] for cell, event in after.items() if event != before.get(cell)}
    assert changed == {(activity, context) for activity, _, context in KEYS}, "nobody touched the other batch"
    # Ben has 2 of 3 now: 66 %, and all of unit-1.
    now = await live_cells(course)
    assert now["course", "cb:batch", "all", None]["progress_sum"] == 166
    assert now["unit-1", "cb:batch", "all", None]["completed"] == 2
    # The same states once more, as after a replay: looked at, and found as they are.
    await finish(course, "ben", "b")
    await course.drain()
    assert (await aggregate(course.shared)).activities == 0
    assert await told(course) == after


async def test_who_moves_leaves_and_comes_back_is_counted_where_they_are(course: Instance) -> None:
    await class_at_work(course)
    await aggregate(course.shared)
    await lives_in(course, "cleo", "Pune", days=1)
    await unenrol(course.session(), EnrolmentCall("course", "batch", "ada", NOW))
    await course.drain()
    report = await aggregate(course.shared)
    cells = await told(course)
    assert counts(cells["course", "cb:batch", "district", "Goa"]) == NOTHING, "a vanished cell is zero"
    assert counts(cells["course", "cb:batch", "completed_month", "2026-03"]) == NOTHING
    # These two of the collection; of unit-1 the month; of unit-2, which nobody else has begun, all 13 of its cells:
    # everybody's, one for each of ten attributes, and two months.
    assert report.vanished == 2 + 1 + 13
    assert counts(cells["course", "cb:batch", "district", "Pune"]) == NOTHING | {
        "enrolled": 2,
        "progress_sum": 33,
        "progress_0": 1,
        "progress_25_49": 1,
        "time_spent": 30,
        "last_accessed_on": NOW_MS,
    }
    assert await stored_cells(course, KEYS) == await live_cells(course)
    await enrol(course.session(), EnrolmentCall("course", "batch", "ada", NOW + timedelta(seconds=1)))
    await lives_in(course, "cleo", "Goa", days=2)
    await course.drain()
    await aggregate(course.shared)
    cells = await told(course)
    assert counts(cells["course", "cb:batch", "all", None]) == IN_COURSE
    assert counts(cells["course", "cb:batch", "district", "Goa"]) == IN_GOA


async def test_where_the_last_learner_leaves_zeros_stay(course: Instance) -> None:
    await join(course, "ada")
    await course.drain()
    await aggregate(course.shared)
    await unenrol(course.session(), EnrolmentCall("course", "batch", "ada", NOW))
    await course.drain()
    await aggregate(course.shared)
    assert {event["enrolled"] for event in (await told(course)).values()} == {0}
    (result, *_) = (await activity_results(course.stores.rows, KEYS)).values()
    assert result is not None
    assert result.cells == {ALL: NOTHING}


@pytest.fixture
def static(tmp_path: Path) -> Path:
    return tmp_path / "static"


class Killed(Exception):
    """Where it is raised the process is gone."""


@pytest.mark.parametrize("moment", ["announce", "send", "sent", "write", "written"])
async def test_a_run_that_is_killed_anywhere_is_repeated_to_the_same_end(
    course: Instance, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """And what changed in between leaves no trace: fay moves while the run is down, out of a district that only the
    killed run may have told of."""
    await class_at_work(course)
    await aggregate(course.shared)
    await join(course, "fay")
    await lives_in(course, "fay", "Agra")
    await course.drain()
    kill(course, monkeypatch, moment)
    with pytest.raises(Killed):
        await aggregate(course.shared)
    monkeypatch.undo()
    await lives_in(course, "fay", "Goa", days=1)
    await course.drain()
    await aggregate(course.shared)
    cells = await live_cells(course)
    assert ("course", "cb:batch", "district", "Agra") not in cells
    assert cells["course", "cb:batch", "district", "Goa"] == IN_GOA | {"enrolled": 2, "progress_0": 2}
    assert cells["course", "cb:batch", "all", None] == IN_COURSE | {"enrolled": 4, "progress_0": 2}
    assert await stored_cells(course, KEYS) == cells
    assert sum((await aggregation_status(course.shared)).lag.values()) == 0
    assert (await aggregate(course.shared)).records == 0


def kill(cohort: Instance, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Before or after the events are sent, before or after the rows are written."""
    rows, events = cohort.stores.rows, cohort.stores.events
    write, send = rows.write, events.send

    async def deadly_write(*writes: Write) -> None:
        rows_of_ours = [w for w in writes if w.table is ACTIVITY_AGGREGATES]
        announces = bool(rows_of_ours) and all("cells" not in w.values for w in rows_of_ours)
        if rows_of_ours and (moment == "announce") == announces and moment in ("announce", "write"):
            raise Killed
        await write(*writes)
        if rows_of_ours and not announces and moment == "written":
            raise Killed

    async def deadly_send(topic: str, *messages: Any) -> None:
        if topic == TOTALS.name and moment == "send":
            await send(topic, *messages[: len(messages) // 2])
            raise Killed
        await send(topic, *messages)
        if topic == TOTALS.name and moment == "sent":
            raise Killed

    monkeypatch.setattr(rows, "write", deadly_write)
    monkeypatch.setattr(events, "send", deadly_send)


async def test_a_change_that_is_taken_back_while_a_run_is_down_leaves_no_trace(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are as the last whole run had them, and the data source has what the killed one told: cleo in Agra."""
    await class_at_work(course)
    await aggregate(course.shared)
    await lives_in(course, "cleo", "Agra", days=1)
    await course.drain()
    kill(course, monkeypatch, "sent")
    with pytest.raises(Killed):
        await aggregate(course.shared)
    monkeypatch.undo()
    assert counts((await told(course))["course", "cb:batch", "district", "Agra"]) == IN_GOA
    await lives_in(course, "cleo", "Goa", days=2)
    await course.drain()
    await aggregate(course.shared)
    cells = await live_cells(course)
    assert ("course", "cb:batch", "district", "Agra") not in cells
    assert cells["course", "cb:batch", "district", "Goa"] == IN_GOA
    assert await stored_cells(course, KEYS) == cells


async def test_one_run_at_a_time_and_who_is_at_it_is_told(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await class_at_work(course)
    entered, go_on, send = asyncio.Event(), asyncio.Event(), course.stores.events.send

    async def slow(topic: str, *messages: Any) -> None:
        entered.set()
        await go_on.wait()
        await send(topic, *messages)

    monkeypatch.setattr(course.stores.events, "send", slow)
    first = asyncio.create_task(aggregate(course.shared))
    await entered.wait()
    owner = (await aggregation_status(course.shared)).owner
    assert owner is not None
    with pytest.raises(Conflict, match=owner):
        await aggregate(course.shared)
    go_on.set()
    assert (await first).activities == 3
    assert (await aggregation_status(course.shared)).owner is None


async def test_a_dead_owner_holds_nobody_up_for_long(course: Instance) -> None:
    dead = {"name": "activities", "owner": "dead", "expires_on": NOW + timedelta(seconds=1)}
    await course.stores.rows.insert_if_absent(AGGREGATIONS, dead)
    with pytest.raises(Conflict, match="dead"):
        await aggregate(course.shared)
    object.__setattr__(course.shared, "now", lambda: NOW + timedelta(seconds=2))
    assert (await aggregate(course.shared)).everything


async def test_who_lost_the_lease_stops_and_what_it_still_writes_loses(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It pauses before it sends; the log and the lease take it for dead, and another run counts a learner more."""
    await class_at_work(course)
    await aggregate(course.shared)
    await lives_in(course, "ben", "Goa", days=1)
    await course.drain()
    send, paused = course.stores.events.send, False

    async def slow(topic: str, *messages: Any) -> None:
        nonlocal paused
        if topic == TOTALS.name and not paused:
            paused = True
            with pytest.MonkeyPatch.context() as later:
                later.setattr(course.stores.events, "send", send)
                await asyncio.gather(*(m.close() for m in [*course.stores.events._members]))  # type: ignore[attr-defined]
                await join(course, "fay")
                await course.drain()
                row = await course.stores.rows.get(AGGREGATIONS, ("activities",))
                assert row is not None
                object.__setattr__(course.shared, "now", lambda: row["expires_on"] + timedelta(seconds=1))
                await aggregate(course.shared)
        await send(topic, *messages)

    monkeypatch.setattr(course.stores.events, "send", slow)
    with pytest.raises((Conflict, StoreUnavailable), match=r"taken over|gave activity-states-2"):
        await aggregate(course.shared)
    cells = await live_cells(course)
    assert cells["course", "cb:batch", "all", None]["enrolled"] == 4
    assert await stored_cells(course, KEYS) == cells


async def test_everything_is_told_again_where_it_is_asked_for_or_a_run_of_it_was_broken_off(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await class_at_work(course)
    await aggregate(course.shared)
    before = await told(course)
    again = await aggregate(course.shared, everything=True)
    after = await told(course)
    assert (again.everything, again.cells) == (True, len(before))
    assert {cell: counts(event) for cell, event in after.items()} == {c: counts(e) for c, e in before.items()}
    assert all(event["version"] > before[cell]["version"] for cell, event in after.items())
    kill(course, monkeypatch, "send")
    with pytest.raises(Killed):
        await aggregate(course.shared, everything=True)
    monkeypatch.undo()
    assert (await aggregate(course.shared)).everything
    assert not (await aggregate(course.shared)).everything


async def test_a_log_that_may_have_forgotten_what_was_touched_is_not_trusted(embedded: Instance) -> None:
    await aggregate(embedded.shared)
    object.__setattr__(embedded.shared, "now", lambda: NOW + timedelta(days=7))
    assert (await aggregate(embedded.shared)).everything


@pytest.mark.parametrize("everything", [False, True])
async def test_a_unit_that_a_new_version_drops_vanishes(
    course: Instance, static: Path, *, everything: bool
) -> None:
    """Another process publishes it than the one that aggregates."""
    await class_at_work(course)
    other = Shared.of(course.stores, lambda: NOW)
    await aggregate(other, static=static)
    assert (static / "activities/course/units/unit-2/cb:batch.json").exists()
    await course.publish({**COURSE, "children": COURSE["children"][:1]})
    await reconcile(course.shared)
    await course.drain()
    report = await aggregate(other, static=static, everything=everything)
    assert report.removed == 1
    assert not [cell for cell in await live_cells(course) if cell[0] == "unit-2"]
    assert await activity_results(course.stores.rows, KEYS[2:]) == {KEYS[2]: None}
    assert not (static / "activities/course/units/unit-2").exists()


def files_in(folder: Path) -> dict[str, int]:
    """By name the file itself: one that is replaced is another one."""
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


COURSE_ACTIVITY, UNIT_ACTIVITY = Activity("course", "Course"), Activity("unit-1", "CourseUnit")
OTHER_ACTIVITY = Activity("quiz", "Quiz")


async def group_of(cohort: Instance, group: str, *members: str, activities: tuple[Activity, ...]) -> None:
    new = NewGroup(
        f"Group {group}", members=tuple(map(AddMember, members)), activities=activities, group_id=group
    )
    assert not (await create_group(cohort.session(), new)).item_errors


async def test_members_of_groups_have_their_best_entry(course: Instance) -> None:
    """Ben is in two batches: in the other one he finished a and b. Gus has never been in the course."""
    await course.batch("other")
    await class_at_work(course)
    await join(course, "ben", "other")
    await finish(course, "ben", "a", "b", context="other")
    await course.drain()
    await group_of(
        course, "g", "ada", "ben", "gus", activities=(COURSE_ACTIVITY, UNIT_ACTIVITY, OTHER_ACTIVITY)
    )
    await aggregate(course.shared)
    activities = (COURSE_ACTIVITY, UNIT_ACTIVITY, OTHER_ACTIVITY)
    found = await group_results(course.stores.rows, "g", activities)
    of_course, of_unit, of_quiz = (found[activity] for activity in activities)
    assert of_course is not None
    assert of_course.entries == {
        "ada": Entry.of("course", "cb:batch", True, Progress(Status.COMPLETED, 3, 3), 0, NOW, NOW, 1),
        "ben": Entry.of("course", "cb:other", True, Progress(Status.IN_PROGRESS, 2, 3), 0, NOW, NOW, 1),
    }
    assert of_unit is not None
    assert of_unit.entries["ben"].progress == Progress(Status.COMPLETED, 2, 2)
    assert of_quiz is None, "nothing is published under its id, so nobody can tell"
    row = await course.stores.rows.get(ACTIVITY_AGGREGATES, ("Course", "course", "gr:g", OF_GROUP))
    assert row is not None
    # Two are enrolled and one of them has completed; gus is not.
    assert row["aggregates"] == {"enrolledCount": 2.0, "completedCount": 1.0, "completionPercentage": 50.0}
    assert not [cell for cell in await told(course) if cell[1] == "gr:g"], (
        "they are counted where they are enrolled"
    )


async def test_a_group_follows_its_members_and_activities(course: Instance) -> None:
    await class_at_work(course)
    await group_of(course, "g", "ada", "ben", activities=(COURSE_ACTIVITY, UNIT_ACTIVITY))
    await group_of(course, "idle", "cleo", activities=(COURSE_ACTIVITY,))
    await aggregate(course.shared)
    rows, both = course.stores.rows, (COURSE_ACTIVITY, UNIT_ACTIVITY)

    await finish(course, "ben", "c")
    await course.drain()
    report = await aggregate(course.shared)
    assert report.groups == 1, (
        "c is in the course and not in unit-1, and nobody of the other group did anything"
    )
    found = await group_results(rows, "g", both)
    result = found[COURSE_ACTIVITY]
    assert result is not None
    assert result.entries["ben"].progress.completed_count == 2

    await update_group(course.session(), GroupCall("g", members=(RemoveMember("ada"), AddMember("cleo"))))
    await aggregate(course.shared)
    found = await group_results(rows, "g", both)
    assert [sorted(result.entries) for result in found.values() if result] == [["ben", "cleo"], ["ben"]]

    await update_group(course.session(), GroupCall("g", remove_activities=("unit-1",)))
    assert (await aggregate(course.shared)).removed == 1
    assert (await group_results(rows, "g", both))[UNIT_ACTIVITY] is None
    await update_group(course.session(), GroupCall("g", add_activities=(UNIT_ACTIVITY,)))
    await aggregate(course.shared)
    assert (await group_results(rows, "g", both))[UNIT_ACTIVITY] is not None

    await delete_group(course.session(), "g")
    assert (await aggregate(course.shared)).removed == 2
    assert await group_results(rows, "g", both) == dict.fromkeys(both)


async def test_static_files_have_the_figures_and_no_learner_but_by_id(course: Instance, static: Path) -> None:
    await class_at_work(course)
    await save_profile(course.session(), ProfileCall("Ada Lovelace", {"district": "Pune"}, "ada", NOW))
    await course.drain()
    await group_of(course, "g", "ada", "gus", activities=(COURSE_ACTIVITY,))
    report = await aggregate(course.shared, static=static)
    assert report.files == 4
    assert files_in(static).keys() == {
        "index.json",
        "groups/g.json",
        "activities/course/cb:batch.json",
        *(f"activities/course/units/{unit}/cb:batch.json" for unit in ("unit-1", "unit-2")),
    }
    assert orjson.loads((static / "index.json").read_bytes()) == {
        "asOf": NOW_MS,
        "groups": 1,
        "activities": 3,
    }
    group = orjson.loads((static / "groups/g.json").read_bytes())
    ((activity, members),) = [(one, one.pop("members")) for one in group["activity"]]
    assert (group["groupId"], activity["id"], activity["type"]) == ("g", "course", "Course")
    figures = {figure["metric"]: (figure["value"], figure["lastUpdatedOn"]) for figure in activity["agg"]}
    assert figures["enrolledCount"] == figures["completedCount"] == (1, NOW_MS)
    assert figures["completionPercentage"] == (100, NOW_MS)
    assert [member["id"] for member in members] == ["ada", "gus"]
    assert {figure["metric"]: figure["value"] for figure in members[0]["agg"]} == {
        "completedCount": 3,
        "completionPercentage": 100,
        "timeSpent": 0,
    }
    assert {figure["lastUpdatedOn"] for figure in members[1]["agg"]} == {None}
    text = (static / "groups/g.json").read_text()
    assert "Lovelace" not in text
    assert "Pune" not in text
    document = orjson.loads((static / "activities/course/cb:batch.json").read_bytes())
    (everybody,) = [cell for cell in document["cells"] if cell["dimension"] == "all"]
    assert everybody == {"dimension": "all", "value": None, **IN_COURSE}
    assert {"metric": "completionPercentage", "value": 33.0, "lastUpdatedOn": NOW_MS} in document["agg"]


async def test_a_file_stays_as_it_is_until_its_figures_change_and_goes_with_its_group(
    course: Instance, static: Path
) -> None:
    await class_at_work(course)
    await group_of(course, "g", "ada", "ben", activities=(COURSE_ACTIVITY,))
    await aggregate(course.shared, static=static)
    before = files_in(static)
    await aggregate(course.shared, static=static, everything=True)
    assert files_in(static) == before
    await finish(course, "ben", "c")
    await course.drain()
    await aggregate(course.shared, static=static)
    changed = {name for name, file in files_in(static).items() if file != before[name]}
    # c is in unit-2 and not in unit-1; the index has the clock of the tests, which stands still.
    course_files = ("activities/course/cb:batch.json", "activities/course/units/unit-2/cb:batch.json")
    assert changed == {"groups/g.json", *course_files}
    await delete_group(course.session(), "g")
    await aggregate(course.shared, static=static)
    assert files_in(static).keys() == before.keys() - {"groups/g.json"}


async def test_somebody_new_who_has_done_nothing_is_counted_by_the_next_run(course: Instance) -> None:
    """Nothing of the figures changes, but who they are of."""
    await class_at_work(course)
    await group_of(course, "g", "ada", activities=(COURSE_ACTIVITY,))
    await aggregate(course.shared)
    await update_group(course.session(), GroupCall("g", members=(AddMember("gus"),)))
    for report_groups, counted in ((1, {"ada", "gus"}), (0, {"ada", "gus"})):
        assert (await aggregate(course.shared)).groups == report_groups
        result = (await group_results(course.stores.rows, "g", [COURSE_ACTIVITY]))[COURSE_ACTIVITY]
        assert result is not None
        assert (result.counted, list(result.entries)) == (counted, ["ada"])


@pytest.mark.parametrize("everything", [False, True])
async def test_a_run_that_lost_its_place_in_the_log_does_not_say_that_it_came_to_its_end(
    course: Instance, monkeypatch: pytest.MonkeyPatch, everything: bool
) -> None:
    """As one whose portion took longer than Kafka waits: what it read will come again."""
    await class_at_work(course)
    await aggregate(course.shared)
    await finish(course, "ben", "b")
    await course.drain()
    engine, patiences = course.stores.events, list[float]()

    class Lost:
        def __init__(self, consumer: Consumer) -> None:
            self.batch, self.close = consumer.batch, consumer.close

        async def commit(self, _records: object) -> bool:
            return False

    real = engine.consumer

    async def lost(group: str, topics: Sequence[str], *, patience: float) -> Any:
        patiences.append(patience)
        return Lost(await real(group, topics, patience=patience))

    later = Shared.of(course.stores, lambda: NOW + timedelta(minutes=1))
    with monkeypatch.context() as losing:
        losing.setattr(engine, "consumer", lost)
        with pytest.raises(
            StoreUnavailable, match="gave activity-states-2, group-changes, triggers to another consumer"
        ):
            await aggregate(later, everything=everything)
    assert await last_aggregation(course.stores.rows) == NOW
    assert patiences == [3600], "a portion has an hour"
    assert (await aggregate(later)).records > 0
    assert await last_aggregation(course.stores.rows) == NOW + timedelta(minutes=1)


class Slow:
    """A groups store that shows what was sent at the third look, or never: of the cells, some in each partition."""

    lags = True

    def __init__(self, cohort: Instance, look: int) -> None:
        self.cohort, self.look, self.looks = cohort, look, 0
        self.claimed: list[datetime | None] = []

    async def query(self, query: Any, _lane: object) -> Answer:
        self.looks += 1
        self.claimed.append(await last_aggregation(self.cohort.stores.rows))
        (_, (activity,)), _, (_, (context,)) = query.keys
        cells = [cell for cell in (await told(self.cohort)).items() if cell[0][:2] == (activity, context)]
        shown = cells if self.looks >= self.look else cells[1:]
        return Answer(query.columns, [[*key[2:], event["as_of"]] for key, event in shown])


async def test_a_run_ends_once_the_groups_store_shows_what_it_sent(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no table is said to be of a time that it does not show yet."""
    await embedded.publish()
    await embedded.batch()
    await class_at_work(embedded)
    monkeypatch.setattr("ingest.aggregation.run.LOOK_AGAIN", 0)
    monkeypatch.setattr("ingest.aggregation.run.SHOWN_WITHIN", 100)  # the machine may be busy
    store: Any = Slow(embedded, look=3)
    shared = Shared.of(replace(embedded.stores, groups=store), lambda: NOW)
    assert (await aggregate(shared)).shown
    assert store.claimed == [None, None, None]
    assert await last_aggregation(embedded.stores.rows) == NOW
    await aggregate(shared)
    assert store.looks == 3, "nothing was sent"


async def test_a_run_ends_although_the_groups_store_is_away_or_slow_and_says_so(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await embedded.publish()
    await embedded.batch()
    await class_at_work(embedded)
    monkeypatch.setattr("ingest.aggregation.run.SHOWN_WITHIN", 0.2)
    slow: Any = Slow(embedded, look=1_000_000)
    away: Any = Slow(embedded, look=1)

    async def refuse(*_: object) -> Answer:
        raise StoreUnavailable("the broker does not answer")

    away.query = refuse
    for store in (slow, away):
        shared = Shared.of(replace(embedded.stores, groups=store), lambda: NOW)
        assert not (await aggregate(shared, everything=True)).shown
        assert await last_aggregation(embedded.stores.rows) == NOW


async def test_what_can_not_be_read_is_passed_over(course: Instance) -> None:
    from stores.events import Message
    from stores.topics import GROUP_CHANGES

    await class_at_work(course)
    await aggregate(course.shared)
    nowhere = orjson.dumps(
        {"activity_id": "gone", "context_id": "cb:gone", "user_id": "ada", "collection_id": "gone"}
    )
    strange = orjson.dumps(
        {"activity_id": "course", "context_id": "??", "user_id": "a", "collection_id": "course"}
    )
    events = course.stores.events
    await events.send(STATES.name, *(Message("x", value) for value in (b"no json", b"{}", strange, nowhere)))
    await events.send(GROUP_CHANGES.name, Message("x", b'{"groupId":"no-such-group"}'))
    await finish(course, "ben", "c")
    await course.drain()
    assert (await aggregate(course.shared)).activities == 2, "the course and unit-2"


async def test_a_schedule_runs_again_and_again_and_leaves_out_its_turn_where_another_is_at_it() -> None:
    ends: list[Exception | None] = [Conflict("another is at it"), StoreUnavailable("away"), None, None]
    four = asyncio.Event()

    async def counted() -> None:
        if len(ends) == 1:
            four.set()
        error = ends.pop(0) if ends else None
        if error is not None:
            raise error

    schedule = Schedule(counted, 0.001, "aggregation")
    running = asyncio.create_task(schedule.run())
    async with asyncio.timeout(60):
        await four.wait()
        schedule.stop()
        await running


async def test_a_schedule_that_is_stopped_gives_its_lease_back(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await class_at_work(course)
    entered = asyncio.Event()

    async def endless(*_: object) -> None:
        entered.set()
        await asyncio.sleep(3600)

    schedule = Schedule(partial(aggregate, course.shared), 3600, "aggregation")
    with monkeypatch.context() as stuck:
        stuck.setattr(course.stores.events, "send", endless)
        running = asyncio.create_task(schedule.run())
        async with asyncio.timeout(60):
            await entered.wait()
            schedule.stop()
            await running
    assert (await aggregation_status(course.shared)).owner is None
    assert (await aggregate(course.shared)).activities == 3
