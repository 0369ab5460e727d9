"""What the aggregation keeps of each day, whenever it ran or died."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ingest.aggregation import aggregate
from ingest.aggregation.run import aggregation_status
from ingest.commands.enrolments import EnrolmentCall, unenrol
from ingest.commands.erasures import ErasureCall, erase
from ingest.jobs.reconcile import reconcile
from loaders.activity_histories import recorded_days
from rules.active_days import DayZone, date_of, day_number
from stores.rows import Write
from stores.tables import ACTIVITY_AGGREGATES, ACTIVITY_HISTORIES
from tests.conftest import COURSE, NOW, Instance
from tests.ingest.test_aggregation import Killed, class_at_work, finish, join, kill

# NOW is noon of 1 March 2026, UTC.
TODAY, DAY = date(2026, 3, 1), timedelta(days=1)
COURSE_PLACE, UNIT_1, UNIT_2 = [(a, "course", "cb:batch") for a in ("course", "unit-1", "unit-2")]
MOMENTS = ["announce", "send", "sent", "write", "written"]


@pytest.fixture(autouse=True)
def nobody_reads_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in test_aggregation: Druid has no data source of these instances."""
    monkeypatch.setattr("ingest.aggregation.run.SHOWN_WITHIN", 0.05)


async def kept(cohort: Instance, place: tuple[str, str, str] = COURSE_PLACE) -> dict[date, Any]:
    """Enrolled and completed by day; None for what is gone."""
    last = day_number(date(2030, 1, 1))
    (found,) = await recorded_days(cohort.stores.rows, [place], last=last, most=100)
    return {
        date_of(each.day): each.counts and (each.counts["enrolled"], each.counts.get("completed", 0))
        for each in found
    }


async def test_a_day_has_the_counts_of_its_last_run(course: Instance) -> None:
    # By hand, as in test_aggregation: ada has all of the course, ben a, cleo nothing. Of unit-1 (a, b) ada has all and
    # ben a part; unit-2 ada alone has begun.
    await class_at_work(course)
    await aggregate(course.shared)
    assert await kept(course) == {TODAY: (3, 1)}
    assert await kept(course, UNIT_1) == {TODAY: (2, 1)}
    assert await kept(course, UNIT_2) == {TODAY: (1, 1)}
    await join(course, "fay")
    await course.drain()
    await aggregate(course.shared)
    assert await kept(course) == {TODAY: (4, 1)}
    course.sets_clock(NOW + 2 * DAY)
    await finish(course, "ben", "b", "c")
    await course.drain()
    await aggregate(course.shared)
    assert await kept(course) == {TODAY: (4, 1), TODAY + 2 * DAY: (4, 2)}


async def test_a_day_on_which_nothing_changed_takes_no_row(course: Instance) -> None:
    await class_at_work(course)
    await aggregate(course.shared)
    course.sets_clock(NOW + DAY)
    await finish(course, "ben", "a")  # as it was
    await course.drain()
    await aggregate(course.shared)
    assert await kept(course) == {TODAY: (3, 1)}
    await aggregate(course.shared, everything=True)
    assert await kept(course) == {TODAY: (3, 1), TODAY + DAY: (3, 1)}


async def test_the_zone_of_the_instance_says_which_day_it_is(course: Instance) -> None:
    """A quarter of an hour lies between them: in Kolkata it is midnight at 18:30 UTC."""
    course.shared = replace(course.shared, day_zone=DayZone("Asia/Kolkata"))
    course.sets_clock(datetime(2026, 3, 1, 18, 20, tzinfo=UTC))
    await join(course, "ada")
    await course.drain()
    await aggregate(course.shared)
    course.sets_clock(datetime(2026, 3, 1, 18, 35, tzinfo=UTC))
    await join(course, "ben")
    await course.drain()
    await aggregate(course.shared)
    assert await kept(course) == {TODAY: (1, 0), TODAY + DAY: (2, 0)}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_run_that_is_killed_and_repeated_leaves_the_same_days(
    course: Instance, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    await class_at_work(course)
    await aggregate(course.shared)
    await join(course, "fay")
    await course.drain()
    kill(course, monkeypatch, moment)
    with pytest.raises(Killed):
        await aggregate(course.shared)
    monkeypatch.undo()
    await aggregate(course.shared)
    assert await kept(course) == {TODAY: (4, 1)}
    assert await kept(course, UNIT_1) == {TODAY: (2, 1)}
    assert sum((await aggregation_status(course.shared)).lag.values()) == 0


@pytest.mark.parametrize("table", [ACTIVITY_AGGREGATES, ACTIVITY_HISTORIES])
async def test_a_run_that_is_killed_between_two_of_its_first_writes_leaves_no_day_out(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch, table: Any
) -> None:
    """Writes have no order: only those to one of the tables are done. The next run is of the next day."""
    await embedded.publish_course()
    await class_at_work(embedded)
    await aggregate(embedded.shared)
    await join(embedded, "fay")
    await embedded.drain()
    rows, write = embedded.stores.rows, embedded.stores.rows.write

    async def half(*writes: Write) -> None:
        if any(each.table is ACTIVITY_HISTORIES for each in writes):
            await write(*(each for each in writes if each.table is table))
            raise Killed
        await write(*writes)

    monkeypatch.setattr(rows, "write", half)
    with pytest.raises(Killed):
        await aggregate(embedded.shared)
    monkeypatch.undo()
    embedded.sets_clock(NOW + DAY)
    await aggregate(embedded.shared)
    first = (4, 1) if table is ACTIVITY_HISTORIES else (3, 1)
    assert await kept(embedded) == {TODAY: first, TODAY + DAY: (4, 1)}


async def test_a_run_that_lost_its_lease_does_not_overwrite_a_newer_one(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counted three, and writes only once another has counted four."""
    await embedded.publish_course()
    await class_at_work(embedded)
    rows, write = embedded.stores.rows, embedded.stores.rows.write
    late: list[Write] = []

    async def slow(*writes: Write) -> None:
        late.extend(each for each in writes if each.table is ACTIVITY_HISTORIES)
        await write(*(each for each in writes if each.table is not ACTIVITY_HISTORIES))

    monkeypatch.setattr(rows, "write", slow)
    await aggregate(embedded.shared)
    monkeypatch.undo()
    await join(embedded, "fay")
    await embedded.drain()
    await aggregate(embedded.shared)
    assert late
    await rows.write(*late)
    assert await kept(embedded) == {TODAY: (4, 1)}


async def test_a_unit_that_a_new_version_drops_ends_and_its_past_stays(course: Instance) -> None:
    await class_at_work(course)
    await aggregate(course.shared)
    course.sets_clock(NOW + DAY)
    await course.publish({**COURSE, "children": COURSE["children"][:1]})
    await reconcile(course.shared)
    await course.drain()
    await aggregate(course.shared)
    assert await kept(course, UNIT_2) == {TODAY: (1, 1), TODAY + DAY: None}


async def test_an_erasure_changes_no_past_day_and_no_row_names_a_learner(embedded: Instance) -> None:
    await embedded.publish_course()
    await class_at_work(embedded)
    await aggregate(embedded.shared)
    embedded.sets_clock(NOW + DAY)
    await unenrol(embedded.session(), EnrolmentCall("course", "batch", "ada", NOW + DAY))
    await erase(embedded.session(), ErasureCall("ada", "course", "batch"))
    await embedded.drain()
    await aggregate(embedded.shared)
    assert await kept(embedded) == {TODAY: (3, 1), TODAY + DAY: (2, 0)}
    (whole,) = embedded.stores.rows.ranges(1)
    pages = [page async for page in embedded.stores.rows.walk(ACTIVITY_HISTORIES, whole)]
    rows = [row for page in pages for row in page.rows]
    assert rows
    assert not [row for row in rows if "ada" in str(row)]


async def test_a_run_writes_one_row_more_for_what_it_touched_and_reads_nothing_more(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await embedded.publish_course()
    await embedded.batch("other")
    await class_at_work(embedded)
    await join(embedded, "fay", "other")
    await embedded.drain()
    await aggregate(embedded.shared)
    await finish(embedded, "ben", "b")
    await embedded.drain()
    rows, write = embedded.stores.rows, embedded.stores.rows.write
    calls: list[list[str]] = []

    async def counted(*writes: Write) -> None:
        calls.append(sorted(each.table.name for each in writes))
        await write(*writes)

    monkeypatch.setattr(rows, "write", counted)
    with rows.meter.measure() as statements:
        await aggregate(embedded.shared)
    # The course and two units of one batch; nobody touched the other. The history goes with what announces the change.
    announced = [ACTIVITY_AGGREGATES.name] * 3 + [ACTIVITY_HISTORIES.name] * 3
    assert [call for call in calls if call] == [announced, [ACTIVITY_AGGREGATES.name] * 3]
    assert f"select {ACTIVITY_HISTORIES.name}" not in statements
    calls.clear()
    await aggregate(embedded.shared)
    assert not any(calls), "nothing is touched"
