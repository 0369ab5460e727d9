"""The existing platform's rows become ours, whatever its layout, once or many times, beside learners at work."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, unenrol
from ingest.commands.erasures import ErasureCall, erase
from ingest.commands.views import end_view, start_view, update_view
from ingest.importers.legacy import MigrationReport, migrate_legacy
from ingest.importers.legacy.source import PASSWORD, open_source
from ingest.job_kinds import job_kind
from ingest.jobs.runner import Jobs
from ingest.workers.dead_letters import pending
from ingest.writes.leases import ABANDONED_AFTER
from loaders.aggregates import aggregates_by_key
from loaders.session import Shared
from loaders.views import view_of
from rules.contexts import NEVER, Context, EnrolmentType
from rules.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from rules.identifiers import ContextType, ProgressKey, ViewKey
from rules.jobs import JobState
from rules.legacy.comparison import OPTIONAL, SHRANK
from rules.legacy.scores import MORE_HERE, MORE_THERE, NO_ATTEMPT, OTHER_BEST, UNSCORED
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.tracking import Tracking, TrackingMode
from rules.views import View, ViewChange
from stores.columns import Table
from stores.foreign_keyspace import Columns, ForeignTable
from stores.rows import Change, Row, RowPage, TokenRange, Write
from stores.tables import (
    ATTEMPTS,
    ATTEMPTS_WITH_QUESTIONS,
    CONTEXTS,
    CONTEXTS_OF_COLLECTIONS,
    CONTEXTS_OF_PEOPLE,
    ENROLMENTS,
    ERASURES,
    JOBS,
    LEARNER_SCOPES,
    VIEWS,
)
from stores.topics import TRIGGERS
from tests.aggregates import figures_key
from tests.conftest import CASSANDRA, NOW, Instance, cluster
from tests.ingest.legacy_platform import (
    ANSWER,
    CERTIFICATE,
    LAYOUTS,
    NEW,
    OLD,
    QUESTION,
    URL,
    LegacyTable,
    MemorySource,
    on,
    platform,
)

FAST = 1e6
OURS = (
    *(VIEWS, LEARNER_SCOPES, ENROLMENTS, CONTEXTS, CONTEXTS_OF_COLLECTIONS),
    *(CONTEXTS_OF_PEOPLE, ATTEMPTS, ATTEMPTS_WITH_QUESTIONS),
)


async def migrate(shared: Shared, layout: str = OLD, **options: Any) -> MigrationReport:
    """From memory."""
    options = {"source": MemorySource(platform(layout)), "rate": FAST, "every": 1, "ranges": 2, **options}
    return await migrate_legacy(shared, URL, **options)


async def stored(cohort: Instance, *tables: Table) -> dict[str, list[Row]]:
    """Every row, without what each run has of its own."""
    found: dict[str, list[Row]] = {}
    rows = cohort.stores.rows
    for table in tables or OURS:
        found[table.name] = [
            {name: value for name, value in row.items() if name not in ("changed_at", "origin")}
            for token_range in rows.ranges(1)
            async for page in rows.walk(table, token_range)
            for row in page.rows
        ]
    return found


async def view(cohort: Instance, *key: str) -> View | None:
    rows = await cohort.stores.rows.partition(VIEWS, (key[0], ViewKey(*key).scope), prefix=key[1:])
    return view_of(rows[0]) if rows else None


def totals(report: MigrationReport) -> dict[str, tuple[int, ...]]:
    """By table: read, written, unchanged, left, skipped."""
    return {
        name: (table.read, table.written, table.unchanged, table.left, sum(table.skipped.values()))
        for name, table in report.tables.items()
    }


FIRST = {
    "course_batch": (2, 2, 0, 0, 0),
    "user_content_consumption": (10, 8, 0, 0, 2),
    "user_enrolments": (6, 5, 0, 0, 1),
    "assessment_aggregator": (3, 2, 0, 0, 1),
    "user_activity_agg": (2, 0, 2, 0, 0),
}
AGAIN = {
    "course_batch": (2, 0, 2, 0, 0),
    "user_content_consumption": (10, 0, 8, 0, 2),
    "user_enrolments": (6, 0, 5, 0, 1),
    "assessment_aggregator": (3, 0, 2, 0, 1),
    "user_activity_agg": (2, 0, 2, 0, 0),
}


class RealKeyspace:
    """One on the real server, laid out in one way after the other: to make and to drop tables takes long."""

    def __init__(self) -> None:
        self._name = f"test_legacy_{uuid4().hex[:10]}"
        self._tables: dict[str, LegacyTable] = {}

    @property
    def url(self) -> str:
        return f"{CASSANDRA}/{self._name}"

    async def lay_out(self, layout: str) -> None:
        await asyncio.to_thread(self._lay_out, platform(layout))

    def _lay_out(self, tables: dict[str, LegacyTable]) -> None:
        with cluster(CASSANDRA) as connected:
            session = connected.connect()

            def run(ddl: str) -> None:
                session.execute(ddl, timeout=60)

            if not self._tables:
                replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
                run(f"CREATE KEYSPACE {self._name} WITH replication = {replication}")
                fields = ", ".join(f"{name} {kind}" for name, kind in QUESTION.items())
                run(f"CREATE TYPE {self._name}.question ({fields})")
            for name, table in tables.items():
                if table == self._tables.get(name):
                    continue
                if name in self._tables:
                    run(f"DROP TABLE {self._name}.{name}")
                run(table.cql(self._name))
                for row in table.rows:
                    columns, marks = ", ".join(row), ", ".join("?" * len(row))
                    text = f"INSERT INTO {self._name}.{name} ({columns}) VALUES ({marks})"
                    session.execute(session.prepare(text), [_bound(value) for value in row.values()])
        self._tables = tables

    async def drop(self) -> None:
        def drop() -> None:
            with cluster(CASSANDRA) as connected:
                connected.connect().execute(f"DROP KEYSPACE IF EXISTS {self._name}", timeout=60)

        if self._tables:
            await asyncio.to_thread(drop)


def _bound(value: Any) -> Any:
    """A question as the driver takes a user-defined type: a tuple."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "assess_ts" in value[0]:
        return [tuple(one[name] for name in QUESTION) for one in value]
    return value


@pytest.fixture
async def keyspace() -> AsyncIterator[RealKeyspace]:
    made = RealKeyspace()
    yield made
    await made.drop()


async def test_each_layout_gives_the_same_rows_and_the_workers_compute_the_rest(
    cohort: Instance, keyspace: RealKeyspace
) -> None:
    """The first layout is brought over; the others then have nothing new to say."""
    await cohort.publish()
    real = cohort.urls["rows"].startswith("cassandra:")
    for layout in LAYOUTS:
        if real:
            await keyspace.lay_out(layout)
            report = await migrate_legacy(cohort.shared, keyspace.url, rate=FAST, every=1, ranges=2)
        else:
            report = await migrate(cohort.shared, layout)
        assert (layout, totals(report)) == (layout, FIRST if layout == OLD else AGAIN)
        assert report.missing == []
        if layout == OLD:
            first = await stored(cohort)
            assert [report.tables[name].triggers for name in FIRST] == [0, 4, 3, 1, 0]
            await cohort.drain()
        else:
            assert sum(table.triggers for table in report.tables.values()) == 0
    assert [letter async for letter in pending(cohort.stores)] == []
    assert (await stored(cohort, VIEWS, ATTEMPTS))["assessment_attempt"] == first["assessment_attempt"]

    figures = await aggregates_by_key(
        cohort.stores.rows, [figures_key("course", user) for user in ("ada", "bob", "fay")]
    )
    counts = [found and (found.completed_count, found.required_count, found.active) for found in figures]
    assert counts == [(3, 3, True), (1, 3, True), (2, 3, True)]
    enrolments = await cohort.session().loaders.enrolments.load_many(
        [ProgressKey("ada", "course", "batch"), ProgressKey("eve", "other", "b2")]
    )
    ada, eve = (one for one in enrolments if one is not None)
    assert (ada.status, ada.completed_on, ada.enrolled_on) == (Status.COMPLETED, on(20), on(1))
    # What nobody can compute yet is as the platform had it.
    assert (eve.status, eve.completed_count, eve.completed_on) == (Status.COMPLETED, 1, on(9))


async def test_views_have_the_place_the_status_and_the_times_of_the_platform(embedded: Instance) -> None:
    """Ada's b has texts for times (+05:30); her c is in contentstatus alone, completed when the course was."""
    await embedded.publish()
    await migrate(embedded.shared)
    origin = Origin(OriginKind.MIGRATED, reason="user_content_consumption", at=NOW)
    a = await view(embedded, "ada", "course", "batch", "a")
    assert a is not None
    assert replace(a, changed_at=None) == View(
        ViewKey("ada", "course", "batch", "a"),
        Status.COMPLETED,
        100,
        last_accessed_on=on(6),
        last_updated_on=on(6),
        completed_on=on(5),
        origin=origin,
    )
    b = await view(embedded, "ada", "course", "batch", "b")
    assert b is not None
    assert b.last_accessed_on == datetime(2025, 11, 8, 9, 0, 0, 250_000, UTC)
    assert b.completed_on == on(7)
    c = await view(embedded, "ada", "course", "batch", "c")
    assert c is not None
    assert (c.status, c.progress, c.completed_on, c.last_accessed_on) == (2, 100, on(20), on(20, 8))
    assert c.origin == Origin(OriginKind.MIGRATED, reason="user_enrolments.contentstatus", at=NOW)
    bob = await view(embedded, "bob", "course", "batch", "b")
    assert bob is not None
    assert (bob.status, bob.progress, bob.progress_details) == (1, 40, {"page": 4})
    # Scenarios 1 and 2.
    alone = await view(embedded, "cleo", "x", "x", "x")
    assert alone is not None
    assert (alone.status, alone.completed_on) == (2, on(2))
    without = await view(embedded, "cleo", "course", "course", "a")
    assert without is not None
    assert (without.status, without.progress) == (1, 55)


async def test_enrolments_batches_and_attempts_are_as_the_platform_had_them(embedded: Instance) -> None:
    await embedded.publish()
    await migrate(embedded.shared)
    rows = await stored(embedded)
    enrolments = {(row["userid"], row["contextid"]): row for row in rows["user_enrolments"]}
    assert sorted(enrolments) == [
        ("ada", "batch"),
        ("bob", "batch"),
        ("dan", "gone"),
        ("eve", "b2"),
        ("fay", "batch"),
    ]
    assert enrolments["ada", "batch"]["certificates"] == [CERTIFICATE]
    assert enrolments["bob", "batch"]["enrolled_on"] == on(2)
    dan = enrolments["dan", "gone"]
    assert (dan["active"], dan["enrolled_on"], dan["unenrolled_on"]) == (False, on(1), on(2))

    assert await embedded.shared.library.context("batch") == Context(
        "batch",
        ContextType.BATCH,
        "Autumn",
        ("course",),
        on(1),
        datetime(2025, 12, 31, 18, 29, 59, 999000, UTC),
        enrolment_type=EnrolmentType.INVITE_ONLY,
        mentors=frozenset({"mia", "max"}),
        created_by="mia",
        created_on=datetime(2025, 10, 20, 2, 30, tzinfo=UTC),
        updated_on=datetime(2025, 10, 20, 2, 30, tzinfo=UTC),
    )
    assert (await embedded.shared.library.context("b2")).name == "b2"

    slim = {row["attempt_id"]: row for row in rows["assessment_attempt"]}
    assert (slim["one"]["total_score"], slim["one"]["last_attempted_on"]) == (2.0, on(5))
    assert (slim["two"]["total_score"], slim["two"]["created_on"]) == (1.33, None)
    whole = {row["attempt_id"]: row for row in rows["assessment_aggregator"]}
    assert whole["one"]["grand_total"] == "2.0/3.0"
    (question,) = whole["one"]["question"]
    assert (question["id"], question["assess_ts"], question["duration"]) == ("q1", on(5), 3.5)
    assert (question["resvalues"], question["params"]) == ([{"1": "two"}], [{"answer": "2"}])
    assert not whole["two"]["question"]
    assert (whole["one"]["collection_name"], whole["one"]["context_name"]) == ("Course", "Autumn")
    for table in (slim, whole):
        assert table["one"]["written_at"] == int(on(5).timestamp()) * 1_000_000
        assert len(table["one"]["content_hash"]) == 24


async def test_the_report_names_what_was_left_behind_and_why_figures_differ(embedded: Instance) -> None:
    await embedded.publish()
    report = await migrate(embedded.shared)
    tables = report.tables
    assert not report.is_whole
    consumption = tables["user_content_consumption"]
    assert consumption.skipped == {"a status other than 0, 1, 2": 1, "not started": 1}
    assert consumption.notes == {
        "viewcount, completedcount: above 1, not brought over": 1,
        "last_completed_time: missing, taken from the last update": 1,
        "lastaccesstime: a time in an unknown form": 1,
        "progressdetails: no JSON object": 1,
    }
    assert consumption.examples["a status other than 0, 1, 2"] == ["hal course batch a"]
    assert consumption.unpublished == {"other": 1}
    enrolments = tables["user_enrolments"]
    assert enrolments.skipped == {"no time of enrolment": 1}
    assert (enrolments.filled, enrolments.unknown_contexts, enrolments.unpublished) == (
        4,
        {"gone": 1, "nowhere": 1},
        {"other": 1},
    )
    # Required are a, b, c of four leaves. Ada has all three, Bob one, Fay two and one that is gone; Dan has nothing.
    assert (enrolments.compared, enrolments.same, enrolments.not_compared) == (4, 1, 1)
    assert enrolments.differences == {OPTIONAL: 2, SHRANK: 1}
    assert sorted(enrolments.examples[OPTIONAL]) == [
        "ada course batch status 1, 75 % there; status 2, 100 % here",
        "bob course batch status 1, 25 % there; status 1, 33 % here",
    ]
    assert enrolments.examples[SHRANK] == ["fay course batch status 1, 75 % there; status 1, 66 % here"]
    scores = tables["user_activity_agg"]
    assert (scores.compared, scores.same, scores.differences) == (2, 1, {NO_ATTEMPT: 1})
    assert scores.examples == {NO_ATTEMPT: ["ada course batch q 1 there; nothing here"]}
    assert json.loads(orjson.dumps(report.document()))["tables"]["user_enrolments"]["filled"] == 4


async def test_a_dry_run_says_the_same_and_writes_nothing(embedded: Instance) -> None:
    await embedded.publish()
    empty = await stored(embedded)
    dry = await migrate(embedded.shared, dry_run=True)
    assert await stored(embedded) == empty
    assert await embedded.lag() == 0
    real = await migrate(embedded.shared)
    assert (totals(dry), dry.dry_run, real.dry_run) == (FIRST, True, False)
    assert [table.document() for table in dry.tables.values()] == [
        table.document() for table in real.tables.values()
    ]


async def test_what_learners_did_here_since_stays(embedded: Instance) -> None:
    """Bob completes b and leaves; then the platform is brought over again, and in the other names."""
    await embedded.publish()
    await migrate(embedded.shared)
    bob, call = embedded.session("bob"), ViewCall("b", "course", "batch", at=None)
    late = replace(embedded.shared, now=lambda: on(30))
    bob = type(bob)(bob.viewer, late)
    await start_view(bob, call)
    await end_view(bob, call, ViewChange(on(30)))
    await unenrol(bob, EnrolmentCall("course", "batch"))
    before = await stored(embedded)
    report = await migrate(embedded.shared, NEW)
    assert report.tables["user_enrolments"].left == 1
    assert report.tables["user_enrolments"].examples["changed here since, left as it is"] == [
        "bob course batch"
    ]
    assert await stored(embedded) == before
    done = await view(embedded, "bob", "course", "batch", "b")
    assert done is not None
    assert (done.status, done.completed_on, done.progress_details) == (2, on(30), {"page": 4})


async def test_what_the_platform_has_new_is_brought_over_the_next_time(embedded: Instance) -> None:
    """Bob completes b there and takes attempt three, Ada leaves, and the batch ends later."""
    await embedded.publish()
    await migrate(embedded.shared)
    await embedded.drain()
    tables = platform(OLD)

    def changed(name: str, changes: dict[str, Any], **of: str) -> None:
        rows = [row | changes if of.items() <= row.items() else row for row in tables[name].rows]
        tables[name] = replace(tables[name], rows=rows)

    done = {"status": 2, "progress": 100, "last_completed_time": on(21), "last_updated_time": on(21)}
    changed("user_content_consumption", done, userid="bob", contentid="b")
    changed("user_enrolments", {"active": False, "datetime": on(22)}, userid="ada")
    changed("course_batch", {"enddate": "2026-01-31", "updateddate": "2025-11-21"}, batchid="batch")
    attempts = tables["assessment_aggregator"]
    three = attempts.rows[1] | {"attempt_id": "three", "user_id": "bob"}
    tables["assessment_aggregator"] = replace(attempts, rows=[*attempts.rows, three])
    report = await migrate(embedded.shared, source=MemorySource(tables))
    assert {name: counts[1] for name, counts in totals(report).items() if counts[1]} == {
        "course_batch": 1,
        "user_content_consumption": 1,
        "user_enrolments": 1,
        "assessment_aggregator": 1,
    }
    await embedded.drain()
    b = await view(embedded, "bob", "course", "batch", "b")
    assert b is not None
    assert (b.status, b.completed_on) == (2, on(21))
    ada = await embedded.session().loaders.enrolments.load(ProgressKey("ada", "course", "batch"))
    assert ada is not None
    assert (ada.active, ada.unenrolled_on, ada.completed_on) == (False, on(22), on(20))
    batch = await embedded.shared.library.context("batch")
    assert batch.end_date == datetime(2026, 1, 31, 18, 29, 59, 999000, UTC)


async def test_batches_are_in_the_lists_of_their_courses_and_move_there_as_their_dates_do(
    embedded: Instance,
) -> None:
    """The platform's batch is by invitation alone; then it is opened, to the end of January there (UTC+05:30)."""
    await embedded.publish()
    await migrate(embedded.shared)

    async def lists() -> dict[str, list[tuple[datetime, str]]]:
        found: dict[str, list[tuple[datetime, str]]] = {}
        for row in (await stored(embedded, CONTEXTS_OF_COLLECTIONS))["context_by_collection"]:
            found.setdefault(row["collectionid"], []).append((row["joinable_until"], row["contextid"]))
        return found

    b2 = await embedded.shared.library.context("b2")
    assert await lists() == {"course": [(NEVER, "batch")], "other": [(b2.joinable_until, "b2")]}
    tables = platform(OLD)
    opened = {"enrollmenttype": "open", "enddate": "2026-01-31", "updateddate": "2025-11-21"}
    batches = tables["course_batch"]
    rows = [row | opened if row["batchid"] == "batch" else row for row in batches.rows]
    tables["course_batch"] = replace(batches, rows=rows)
    await migrate(embedded.shared, source=MemorySource(tables))
    closes = datetime(2026, 1, 31, 18, 29, 59, 999000, UTC)
    assert (await lists())["course"] == [(closes, "batch")]


async def test_batches_are_in_the_lists_of_who_mentors_and_who_created_them(embedded: Instance) -> None:
    """Another mentor in a later row: the one who left has it no more."""
    await embedded.publish()

    async def lists() -> set[tuple[str, str, str]]:
        rows = (await stored(embedded, CONTEXTS_OF_PEOPLE))["context_by_person"]
        return {(row["userid"], row["relation"], row["contextid"]) for row in rows}

    async def named() -> set[tuple[str, str, str]]:
        rows = (await stored(embedded, CONTEXTS))["context"]
        return {
            *((mentor, "mentor", row["contextid"]) for row in rows for mentor in row["mentors"] or ()),
            *((row["created_by"], "creator", row["contextid"]) for row in rows if row["created_by"]),
        }

    tables = platform(OLD)
    batches = tables["course_batch"]
    for mentors, updated in ((["mo", "ada"], "2025-11-20"), (["ada", "new"], "2025-11-21")):
        rows = [
            row | {"mentors": mentors, "createdby": "cleo", "updateddate": updated}
            if row["batchid"] == "batch"
            else row
            for row in batches.rows
        ]
        tables["course_batch"] = replace(batches, rows=rows)
        await migrate(embedded.shared, source=MemorySource(tables))
        assert await lists() == await named()
        assert {
            user for user, relation, context in await lists() if (relation, context) == ("mentor", "batch")
        } == {*mentors}
    assert ("cleo", "creator", "batch") in await lists()


async def test_what_was_erased_here_does_not_come_back(embedded: Instance) -> None:
    await embedded.publish()
    await migrate(embedded.shared)
    await erase(embedded.session(), ErasureCall("ada"))
    await erase(embedded.session(), ErasureCall("bob", "course", "batch"))
    await embedded.drain()
    before = await stored(embedded, *OURS, ERASURES)
    report = await migrate(embedded.shared)
    erased = [table.skipped.get("erased here since", 0) for table in report.tables.values()]
    assert erased == [0, 4, 2, 2, 1]
    assert await stored(embedded, *OURS, ERASURES) == before
    assert {row["userid"] for row in before["user_enrolments"]} == {"dan", "eve", "fay"}


async def test_views_go_where_the_mode_of_the_instance_keeps_them(embedded: Instance) -> None:
    """By content: of a completed in two places the learner has one row, with the place that it is from."""
    await embedded.publish()
    full = replace(embedded.shared, tracking=Tracking(TrackingMode.CARRY_FORWARD_FULL))
    report = await migrate(full)
    assert report.tables["user_content_consumption"].written == 8
    assert await view(embedded, "ada", "course", "batch", "a") is None
    a = await view(embedded, "ada", "a", "a", "a")
    assert a is not None
    assert (a.status, a.origin) == (
        Status.COMPLETED,
        Origin(OriginKind.MIGRATED, ("course", "batch"), "user_content_consumption", NOW),
    )
    assert report.tables["user_enrolments"].differences == {OPTIONAL: 2, SHRANK: 1}
    assert {name: counts[1] for name, counts in totals(await migrate(full, NEW)).items()} == dict.fromkeys(
        FIRST, 0
    )


class Breaking(MemorySource):
    """Away after some rows."""

    def __init__(self, tables: Mapping[str, LegacyTable], rows: int) -> None:
        super().__init__(tables)
        self.left = rows

    async def walk(
        self,
        table: ForeignTable,
        token_range: TokenRange,
        columns: Columns,
        **how: Any,
    ) -> AsyncIterator[RowPage]:
        async for page in super().walk(table, token_range, columns, **how):
            if self.left < len(page.rows):
                raise StoreUnavailable("away")
            self.left -= len(page.rows)
            yield page


async def test_after_an_interruption_it_goes_on_where_it_stopped(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.importers.legacy.job.PAGE", 2)
    await embedded.publish()
    with pytest.raises(StoreUnavailable):
        await migrate(embedded.shared, source=Breaking(platform(OLD), 15))
    (job,) = await Jobs(embedded.shared).list()
    assert job.state is JobState.INTERRUPTED
    seen: list[tuple[int, int]] = []
    rest = MemorySource(platform(OLD))
    report = await migrate(
        embedded.shared, source=rest, on_progress=lambda job: seen.append((job.steps_done, job.total))
    )
    (job,) = await Jobs(embedded.shared).list()
    assert (job.state, totals(report)) == (JobState.DONE, FIRST)
    # Batches, consumption and a part of the enrolments were done. There are five tables and the comparison, in two
    # parts each.
    assert (seen[0], seen[-1]) == ((5, 12), (12, 12))
    assert rest.closed
    once = await stored(embedded)
    assert totals(await migrate(embedded.shared)) == AGAIN
    assert await stored(embedded) == once


async def test_killed_in_the_middle_it_is_resumed_and_nothing_is_missing(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL when a page is written, before its triggers and its checkpoint; another process takes the job over."""
    await embedded.publish()
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "tests.ingest.migration_process",
            json.dumps(embedded.urls),
            str(embedded.data),
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"hanging\n"
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    opened: list[MemorySource] = []

    async def in_memory(_: str) -> MemorySource:
        opened.append(MemorySource(platform(OLD)))
        return opened[-1]

    monkeypatch.setattr("ingest.importers.legacy.job.open_source", in_memory)
    later = replace(embedded.shared, now=lambda: datetime.now(UTC) + ABANDONED_AFTER + timedelta(seconds=1))
    (job,) = await Jobs(later).list()
    assert job.state is JobState.RUNNING
    # As `cohort jobs resume` does.
    resumed = await Jobs(later).resume(job_kind(job.kind), job.id)
    assert (resumed.state, resumed.done) == (JobState.DONE, 23)
    assert [source.closed for source in opened] == [True], "one for all parts"
    await embedded.drain()
    keys = [figures_key("course", user) for user in ("ada", "bob", "fay")]
    figures = await aggregates_by_key(
        embedded.stores.rows, [*keys, figures_key("course", "cleo", "co:course")]
    )
    assert [found and (found.status, found.completed_count) for found in figures] == [
        (Status.COMPLETED, 3),
        (Status.IN_PROGRESS, 1),
        (Status.IN_PROGRESS, 2),
        (Status.IN_PROGRESS, 0),
    ]
    assert totals(await migrate(later)) == AGAIN


async def test_the_password_is_stored_nowhere(embedded: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(embedded.shared)
    rows = (await stored(embedded, JOBS))["job"]
    assert "secret" not in str(rows)
    assert "cassandra://sunbird@lms/sunbird_courses" in str(rows)
    opened: list[str] = []

    async def opening(_: type, url: str, *, field: str) -> None:
        opened.append(url)

    monkeypatch.setattr("stores.foreign_keyspace.ForeignKeyspace.open", classmethod(opening))
    monkeypatch.setenv(PASSWORD, "pass/word")
    await open_source("cassandra://sunbird@lms/sunbird_courses")
    await open_source(URL)
    assert opened == ["cassandra://sunbird:pass%2Fword@lms/sunbird_courses", URL]


async def test_a_keyspace_that_is_not_the_platform_s_is_refused(embedded: Instance) -> None:
    tables = platform(OLD)
    without = {name: table for name, table in tables.items() if name != "user_enrolments"}
    with pytest.raises(NotFound, match="has no table user_enrolments"):
        await migrate(embedded.shared, source=MemorySource(without))
    consumption = tables["user_content_consumption"]
    own = replace(consumption, columns={**consumption.columns, "scope": "text"})
    with pytest.raises(InvalidInput, match="a table of Cohort's own"):
        await migrate(embedded.shared, source=MemorySource({**tables, own.name: own}))
    keyless = replace(consumption, clustering=("batchid", "contentid"))
    with pytest.raises(InvalidInput, match="has no courseid or collectionid"):
        await migrate(embedded.shared, source=MemorySource({**tables, keyless.name: keyless}))
    with pytest.raises(InvalidInput, match="takes cassandra://") as refused:
        await migrate_legacy(embedded.shared, "mysql://user:secret@host/db")
    assert refused.value.field == "from"
    assert await Jobs(embedded.shared).list() == []


async def test_a_platform_without_assessments_is_one_too(embedded: Instance) -> None:
    tables = platform(OLD)
    del tables["assessment_aggregator"]
    report = await migrate(embedded.shared, source=MemorySource(tables))
    assert report.missing == ["assessment_aggregator"]
    assert totals(report)["assessment_aggregator"] == (0, 0, 0, 0, 0)
    assert report.tables["user_activity_agg"].differences == {NO_ATTEMPT: 2}


@pytest.mark.parametrize(("options", "field"), [({"rate": 0}, "rate"), ({"every": 0}, "sample")])
async def test_numbers_that_make_no_sense_are_refused(
    embedded: Instance, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await migrate(embedded.shared, **options)
    assert refused.value.field == field


@pytest.mark.stack
async def test_what_is_wrong_with_the_url_is_told_without_the_password(embedded: Instance) -> None:
    host = CASSANDRA.rpartition("@")[2]
    for url, kind, told in (
        (f"cassandra://cohort:wrongpass@{host}/test_none", InvalidInput, "user and password are refused"),
        (f"{CASSANDRA}/test_none", NotFound, "there is no keyspace test_none"),
        (CASSANDRA, InvalidInput, "name the keyspace"),
        ("cassandra://cohort:wrongpass@127.0.0.1:1/test_none", StoreUnavailable, "can't be reached"),
    ):
        with pytest.raises(kind, match=told) as refused:
            await migrate_legacy(embedded.shared, url)
        assert refused.value.field == "from"
        assert "wrongpass" not in str(refused.value)


@pytest.mark.parametrize(
    ("waiting", "looks"), [([50_000, 30_000, 10_000, 0], 3), ([50_000, 50_000, 0], 2), ([10, 0], 1)]
)
async def test_it_waits_for_workers_that_run_and_not_for_others(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch, waiting: list[int], looks: int
) -> None:
    """What learners do meanwhile waits in the log behind the triggers of the migration."""
    looked: list[int] = []

    async def lag(*_: object) -> dict[str, int]:
        looked.append(1)
        return {TRIGGERS.name: waiting.pop(0) if waiting else 0}

    class OnePage(MemorySource):
        """A page of one table, so that the job looks once."""

        async def walk(
            self,
            table: ForeignTable,
            token_range: TokenRange,
            columns: Columns,
            **how: Any,
        ) -> AsyncIterator[RowPage]:
            if table.name == "user_content_consumption":
                async for page in super().walk(table, token_range, columns, **how):
                    yield page

    await embedded.publish()
    await embedded.batch()
    monkeypatch.setattr("ingest.importers.legacy.backlog.LOOK_AGAIN", 0.0)
    monkeypatch.setattr(embedded.stores.events, "lag", lag)
    await migrate(embedded.shared, source=OnePage(platform(OLD)), ranges=1)
    assert len(looked) == looks


async def test_a_row_that_is_changed_meanwhile_is_merged_anew(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob reaches 70 % of b when the migration has read that there is nothing; another time others never stop."""
    await embedded.publish()
    await migrate(
        embedded.shared, source=MemorySource({**platform(OLD), **_empty("user_content_consumption")})
    )
    rows, bob = embedded.stores.rows, embedded.session("bob")
    bob = type(bob)(bob.viewer, replace(embedded.shared, now=lambda: on(15)))
    together = rows.write_together

    async def beside(table: Table, changes: Sequence[Change]) -> bool:
        if table is VIEWS and any(change.key[0] == "bob" for change in changes):
            monkeypatch.setattr(rows, "write_together", together)
            await update_view(bob, ViewCall("b", "course", "batch"), ViewChange(on(15), progress=70))
        return await together(table, changes)

    monkeypatch.setattr(rows, "write_together", beside)
    await migrate(embedded.shared)
    b = await view(embedded, "bob", "course", "batch", "b")
    assert b is not None
    assert (b.progress, b.progress_details, b.last_updated_on) == (70, {"page": 4}, on(15))

    async def never(table: Table, changes: Sequence[Change]) -> bool:
        return table is JOBS and await together(table, changes)

    monkeypatch.setattr(rows, "write_together", never)
    monkeypatch.setattr("ingest.writes.retrying.LONGEST_PAUSE", 0.0)
    tables = platform(OLD)
    batches = tables["course_batch"]
    tables["course_batch"] = replace(batches, rows=[batches.rows[0] | {"batchid": "another"}])
    with pytest.raises(Conflict, match="run the migration again"):
        await migrate(embedded.shared, source=MemorySource(tables))


def _empty(name: str) -> dict[str, LegacyTable]:
    return {name: replace(platform(OLD)[name], rows=[])}


async def test_a_newer_attempt_here_stays_and_a_batch_without_an_id_of_its_own_is_told(
    embedded: Instance,
) -> None:
    key = ("ada", "course", "batch", "a", "one")
    newer = Write(ATTEMPTS, key, {"last_attempted_on": on(28), "total_score": 3.0}, timestamp=2**60)
    await embedded.stores.rows.write(newer)
    tables = platform(OLD)
    batches = tables["course_batch"]
    own = batches.rows[0] | {"batchid": "course"}
    tables["course_batch"] = replace(batches, rows=[*batches.rows, own])
    report = await migrate(embedded.shared, source=MemorySource(tables))
    assert totals(report)["assessment_aggregator"] == (3, 1, 0, 1, 1)
    assert report.tables["course_batch"].skipped == {"a batch with the id of its course": 1}
    stored_one = await embedded.stores.rows.get(ATTEMPTS, key)
    assert stored_one is not None
    assert stored_one["total_score"] == 3.0


async def test_the_date_of_completion_is_the_platform_s(embedded: Instance) -> None:
    """Ada's contents were completed again later, or are dated otherwise: the course was completed on 20 November."""
    await embedded.publish()
    tables = platform(OLD)
    consumption = tables["user_content_consumption"]
    c = consumption.rows[0] | {"contentid": "c", "last_completed_time": on(25), "last_updated_time": on(25)}
    tables[consumption.name] = replace(consumption, rows=[*consumption.rows, c])
    await migrate(embedded.shared, source=MemorySource(tables))
    await embedded.drain()
    ada = await embedded.session().loaders.enrolments.load(ProgressKey("ada", "course", "batch"))
    assert ada is not None
    assert (ada.status, ada.completed_on) == (Status.COMPLETED, on(20))
    assert ada.completed_version is None, "nobody there noted the version"
    (figures,) = await aggregates_by_key(embedded.stores.rows, [figures_key("course", "ada")])
    assert figures is not None
    assert figures.completed_on == on(20)


def with_attempts(*rows: Mapping[str, Any], scores: Mapping[str, float] | None = None) -> MemorySource:
    """The platform in its new layout with these attempts of Ada's, and with these figures of hers."""
    tables = platform(NEW)
    attempts, aggregates = tables["assessment_aggregator"], tables["user_activity_agg"]
    common = {"user_id": "ada", "collection_id": "course", "context_id": "batch", "content_id": "a"}
    tables[attempts.name] = replace(attempts, rows=[{**common, **row} for row in rows])
    if scores is not None:
        row = {**aggregates.rows[0], "aggregates": dict(scores)}
        tables[aggregates.name] = replace(aggregates, rows=[row])
    return MemorySource(tables)


def attempt(name: str, day: int, score: float | None, **more: Any) -> dict[str, Any]:
    maximum = None if score is None else 3.0
    values = {"last_attempted_on": on(day), "total_score": score, "total_max_score": maximum}
    return {"attempt_id": name, **values, **more}


async def slim_of(cohort: Instance, *key: str) -> Row:
    found = await cohort.stores.rows.get(ATTEMPTS, key)
    assert found is not None
    return found


async def test_a_corrected_attempt_is_written_whole_and_a_rerun_changes_nothing(cohort: Instance) -> None:
    """On both engines. The platform corrects in place: the moment of the attempt stays, ``updated_on`` grows."""
    await cohort.publish()
    key = ("ada", "course", "batch", "a", "one")
    first = attempt("one", 5, 2.0, updated_on=on(5, 10), question=[ANSWER])
    corrected = attempt(
        "one", 5, 1.0, updated_on=on(7), question=[{**ANSWER, "id": "q2"}], grand_total="1.0/3.0"
    )
    seen = []
    for rows in (first, corrected, corrected, first):
        report = await migrate(cohort.shared, source=with_attempts(rows))
        told = report.tables["assessment_aggregator"]
        seen.append((told.written, told.unchanged, told.left))
        if rows is corrected:
            whole = await cohort.stores.rows.get(ATTEMPTS_WITH_QUESTIONS, key)
            assert whole is not None
            assert (whole["total_score"], whole["grand_total"]) == (1.0, "1.0/3.0")
            assert [question["id"] for question in whole["question"]] == ["q2"]
            slim = await slim_of(cohort, *key)
            assert (slim["total_score"], slim["updated_on"]) == (1.0, on(7))
            assert (slim["content_hash"], slim["written_at"]) == (whole["content_hash"], whole["written_at"])
    # What the platform had before the correction is older, and left.
    assert seen == [(1, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    await cohort.drain()
    (figures,) = await aggregates_by_key(cohort.stores.rows, [figures_key("course", "ada")])
    assert figures is not None
    assert (figures.score.score, figures.score.max_score, figures.score.attempts) == (1.0, 3.0, 1)


async def test_a_row_that_an_earlier_version_brought_gets_its_hash(embedded: Instance) -> None:
    key = ("ada", "course", "batch", "a", "one")
    values = {"last_attempted_on": on(5), "total_score": 2.0, "total_max_score": 3.0}
    await embedded.stores.rows.write(
        Write(ATTEMPTS, key, values, timestamp=int(on(5).timestamp()) * 1_000_000)
    )
    for written in (1, 0):
        report = await migrate(embedded.shared, source=with_attempts(attempt("one", 5, 2.0)))
        assert report.tables["assessment_aggregator"].written == written
    assert (await slim_of(embedded, *key))["content_hash"] is not None


async def test_a_score_that_is_null_stays_null_and_counts_as_none(embedded: Instance) -> None:
    await embedded.publish()
    source = with_attempts(
        attempt("one", 5, None), attempt("two", 6, 1.0), scores={"score:a": 1.0, "attempts_count:a": 2.0}
    )
    report = await migrate(embedded.shared, source=source)
    assert report.tables["user_activity_agg"].differences == {UNSCORED: 1}
    slim = await slim_of(embedded, "ada", "course", "batch", "a", "one")
    assert (slim["total_score"], slim["total_max_score"]) == (None, None)
    await embedded.drain()
    (figures,) = await aggregates_by_key(embedded.stores.rows, [figures_key("course", "ada")])
    assert figures is not None
    assert (figures.score.score, figures.score.attempts) == (1.0, 1)


@pytest.mark.parametrize(
    ("mode", "place"),
    [
        (TrackingMode.CARRY_FORWARD_FULL, ("a", "a")),
        (TrackingMode.CARRY_FORWARD_COLLECTION, ("course", "course")),
    ],
)
async def test_attempts_are_kept_where_the_mode_keeps_them(
    embedded: Instance, mode: TrackingMode, place: tuple[str, str]
) -> None:
    """And they count in the enrolment, which the workers are told of; the scores of it are the same there and here."""
    await embedded.publish()
    embedded.track(mode)
    source = with_attempts(
        *(attempt("one", 5, 2.0), attempt("two", 6, 1.33)),
        scores={"score:a": 2.0, "max_score:a": 3.0, "attempts_count:a": 2.0},
    )
    report = await migrate(embedded.shared, source=source)
    scores = report.tables["user_activity_agg"]
    assert (scores.compared, scores.same) == (1, 1)
    assert (await slim_of(embedded, "ada", *place, "a", "one"))["total_score"] == 2.0
    await embedded.drain()
    (figures,) = await aggregates_by_key(embedded.stores.rows, [figures_key("course", "ada")])
    assert figures is not None
    assert (figures.score.score, figures.score.max_score, figures.score.attempts) == (2.0, 3.0, 2)
    assert (await migrate(embedded.shared, source=source)).tables["assessment_aggregator"].unchanged == 2


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"score:a": 2.0, "max_score:a": 3.0, "attempts_count:a": 2.0}, None),
        ({"score:a": 1.33, "max_score:a": 3.0, "attempts_count:a": 1.0}, MORE_HERE),
        ({"score:a": 2.0, "max_score:a": 3.0, "attempts_count:a": 3.0}, MORE_THERE),
        ({"score:a": 2.5, "max_score:a": 3.0, "attempts_count:a": 2.0}, OTHER_BEST),
    ],
)
async def test_scores_there_are_compared_with_those_that_the_attempts_give_here(
    embedded: Instance, scores: Mapping[str, float], reason: str | None, *, dry_run: bool
) -> None:
    """In a dry run too. 2.0 and 1.33 of 3.0: the best is 2.0, of two attempts (P-4.5)."""
    await embedded.publish()
    source = with_attempts(attempt("one", 5, 2.0), attempt("two", 6, 1.33), scores=scores)
    report = await migrate(embedded.shared, source=source, dry_run=dry_run)
    compared = report.tables["user_activity_agg"]
    assert (compared.compared, compared.same) == (1, int(reason is None))
    assert compared.differences == ({} if reason is None else {reason: 1})
