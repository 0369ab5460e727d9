"""What an operator may ask of a migration: only what changed, another time zone, a column that is missing, more processes."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.importers.legacy.job import _sampled
from ingest.jobs.runner import Jobs
from loaders.session import Shared
from rules.errors import InvalidInput
from rules.jobs import JobState
from rules.legacy.comparison import OPTIONAL, SHRANK
from stores.keys import ring
from stores.rows import Row
from tests.conftest import NOW, Instance
from tests.ingest.legacy_platform import OLD, WRITTEN, LegacyTable, MemorySource, on, platform
from tests.ingest.test_migration import AGAIN, FIRST, migrate, stored, totals

CONSUMPTION = "user_content_consumption"


def micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def written_on(at: datetime, changed: Mapping[str, datetime]) -> dict[str, LegacyTable]:
    """The platform, each row written at this time, those of the learners in ``changed`` at another."""

    def row_of(row: Row) -> Row:
        user = row.get("userid") or row.get("user_id") or ""
        time = micros(changed.get(user, at))
        return {**row, WRITTEN: dict.fromkeys(row, time)}

    return {
        name: replace(table, rows=[row_of(row) for row in table.rows])
        for name, table in platform(OLD).items()
    }


async def test_only_what_was_written_there_since_is_looked_at(embedded: Instance) -> None:
    """Bob's rows were written on 20 November, all others on 10 November. Those at the very moment are looked at."""
    await embedded.publish()
    tables = written_on(on(10), {"bob": on(20)})
    for since, read in (("2025-11-20T14:30:00", 2), ("2025-11-20T09:00:00.001Z", 0), ("2025-11-10", 10)):
        dry = await migrate(embedded.shared, source=MemorySource(tables), changed_since=since, dry_run=True)
        consumption = dry.tables[CONSUMPTION]
        # 14:30 in the platform's zone, which is five hours and a half ahead, is 9:00 UTC.
        assert (since, consumption.read, consumption.read - consumption.older) == (since, 10, read)
    report = await migrate(embedded.shared, source=MemorySource(tables), changed_since="2025-11-20T09:00:00Z")
    bob = report.tables[CONSUMPTION]
    assert (bob.written, bob.unchanged, bob.older, bob.skipped) == (2, 0, 8, {})
    assert {row["userid"] for row in (await stored(embedded))[CONSUMPTION]} == {"bob"}


async def test_a_row_whose_time_of_writing_is_not_known_counts_as_changed(embedded: Instance) -> None:
    await embedded.publish()
    report = await migrate(embedded.shared, changed_since="2026-01-01")
    assert totals(report) == FIRST
    assert all(table.older == 0 for table in report.tables.values())


async def test_last_is_an_hour_before_the_last_whole_migration_began(embedded: Instance) -> None:
    """A dry run and one of another keyspace are none."""
    await embedded.publish()

    async def at(hour: int, **options: Any) -> Any:
        shared = replace(embedded.shared, now=lambda: NOW + timedelta(hours=hour))
        return await migrate(shared, **options)

    with pytest.raises(InvalidInput, match="nothing of this keyspace was brought over") as refused:
        await at(0, changed_since="last")
    assert refused.value.field == "changed-since"
    await at(1, dry_run=True)
    with pytest.raises(InvalidInput):
        await at(1, changed_since="last")
    await at(10)
    delta = await at(20, changed_since="last")
    assert delta.arguments["changed_since"] == micros(NOW + timedelta(hours=9)) // 1000
    # That one was whole too: all that was changed before it began has been brought over.
    delta = await at(30, changed_since="last")
    assert delta.arguments["changed_since"] == micros(NOW + timedelta(hours=19)) // 1000


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"changed_since": "yesterday"}, "changed-since"),
        ({"changed_since": ""}, "changed-since"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"zone": "../etc/passwd"}, "zone"),
        ({"zone": ""}, "zone"),
        ({"most_rejected": -1}, "most-rejected"),
    ],
)
async def test_an_option_that_makes_no_sense_is_refused_before_anything_is_read(
    embedded: Instance, options: dict[str, Any], field: str
) -> None:
    source = MemorySource(platform(OLD))
    with pytest.raises(InvalidInput) as refused:
        await migrate(embedded.shared, source=source, **options)
    assert (refused.value.field, source.pages, await Jobs(embedded.shared).list()) == (field, 0, [])


async def test_texts_without_an_offset_are_of_the_zone_that_was_named(embedded: Instance) -> None:
    """The batch ends on 2025-12-31: the last moment of that day is 18:29:59.999 UTC in Kolkata (UTC+05:30), 23:59:59.999
    in UTC, and 04:59:59.999 of the next day in New York (UTC-05:00)."""
    for zone, end in (
        ("Asia/Kolkata", datetime(2025, 12, 31, 18, 29, 59, 999000, UTC)),
        ("UTC", datetime(2025, 12, 31, 23, 59, 59, 999000, UTC)),
        ("America/New_York", datetime(2026, 1, 1, 4, 59, 59, 999000, UTC)),
    ):
        tables = platform(OLD)
        batches = tables["course_batch"]
        row = batches.rows[0] | {"batchid": zone, "courseid": "course"}
        tables["course_batch"] = replace(batches, rows=[row])
        await migrate(embedded.shared, source=MemorySource(tables), zone=zone)
        assert (await embedded.shared.library.context(zone)).end_date == end


async def test_a_column_without_which_results_are_wrong_stops_it_unless_it_is_named(
    embedded: Instance,
) -> None:
    """And the report tells what follows, and which columns nobody looks at."""
    await embedded.publish()
    tables = platform(OLD)
    enrolments = tables["user_enrolments"]
    columns = {name: kind for name, kind in enrolments.columns.items() if name != "contentstatus"}
    rows = [{name: value for name, value in row.items() if name in columns} for row in enrolments.rows]
    tables[enrolments.name] = replace(enrolments, columns=columns | {"oldbatch": "text"}, rows=rows)
    with pytest.raises(InvalidInput, match="contents without a consumption row are lost") as refused:
        await migrate(embedded.shared, source=MemorySource(tables))
    assert "--without user_enrolments.contentstatus" in refused.value.message
    report = await migrate(
        embedded.shared, source=MemorySource(tables), without=["user_enrolments.contentstatus"]
    )
    told = report.document()["columns"]["user_enrolments"]
    assert told["missing"]["contentstatus"] == "contents without a consumption row are lost"
    assert told["ignored"] == ["completionpercentage", "oldbatch"]
    assert "completedon" in told["used"]
    assert set(told["used"]) | set(told["ignored"]) == set(told["found"])


async def test_another_argument_is_another_migration_and_the_same_goes_on_with_it(embedded: Instance) -> None:
    await embedded.publish()

    async def job(**options: Any) -> str:
        report = await migrate(embedded.shared, **options)
        assert report.state is JobState.DONE
        return report.job.rpartition("-")[0]

    first = await job()
    others = [
        await job(**options)
        for options in ({"dry_run": True}, {"zone": "UTC"}, {"every": 2}, {"changed_since": "2025-11-01"})
    ]
    assert len({first, *others}) == 5
    # How fast it is and where the report goes makes no difference.
    assert await job(rate=2e6, most_rejected=7) == first


async def test_three_at_once_bring_over_what_one_does(embedded: Instance) -> None:
    """The same job, each part once, and the same report for all."""
    await embedded.publish()
    reports = await asyncio.gather(*(migrate(embedded.shared, ranges=8) for _ in range(3)))
    assert len({report.job for report in reports}) == 1
    assert all(totals(report) == FIRST for report in reports)
    assert all(report.document() == reports[0].document() for report in reports)
    assert len(await Jobs(embedded.shared).list()) == 1
    together = await stored(embedded)
    assert totals(await migrate(embedded.shared)) == AGAIN
    assert await stored(embedded) == together


async def test_figures_are_compared_when_all_is_there_whatever_was_brought_first(embedded: Instance) -> None:
    """Ada's consumption is in another part of the ring than her attempts; with one enrolment in one all are compared, and
    that of Hal, which can't be read, is not."""
    await embedded.publish()
    for ranges in (1, 5, 64):
        dry = await migrate(embedded.shared, ranges=ranges, dry_run=True)
        enrolments = dry.tables["user_enrolments"]
        assert (enrolments.read, enrolments.compared, enrolments.not_compared) == (6, 4, 1)
        assert enrolments.differences == {OPTIONAL: 2, SHRANK: 1}


@pytest.mark.parametrize("every", [1, 3, 100])
def test_the_sample_is_a_part_of_the_ring_of_the_size_that_was_asked_for(every: int) -> None:
    """The same learners each time, and with one in one everybody."""
    for part in ring(4):
        sampled = _sampled(part, every)
        assert sampled.start == part.start
        share = (sampled.end - sampled.start) / (part.end - part.start)
        assert share == pytest.approx(1 / every)
    if every == 1:
        assert [_sampled(part, 1) for part in ring(4)] == ring(4)


async def test_cancelled_it_gives_its_part_back_and_another_goes_on_at_once(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SIGTERM and SIGINT do. Nobody has to wait until the claim ends."""
    await embedded.publish()
    monkeypatch.setattr("ingest.importers.legacy.job.PAGE", 1)
    reached = asyncio.Event()

    class Halting(MemorySource):
        async def walk(self, table: Any, *given: Any, **named: Any) -> Any:
            async for page in super().walk(table, *given, **named):
                yield page
                if table.name == CONSUMPTION and page.rows:
                    reached.set()
                    await asyncio.Event().wait()

    def begin(shared: Shared, source: MemorySource) -> Any:
        return asyncio.create_task(migrate(shared, source=source))

    halted = begin(embedded.shared, Halting(platform(OLD)))
    await reached.wait()
    halted.cancel()
    with pytest.raises(asyncio.CancelledError):
        await halted
    (job,) = await Jobs(embedded.shared).list()
    assert job.state is JobState.INTERRUPTED
    assert all(step.owner is None for step in job.steps)
    report = await asyncio.wait_for(migrate(embedded.shared), 60)
    assert (report.job, totals(report)) == (job.id, FIRST)
