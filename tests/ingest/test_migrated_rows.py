"""What becomes of learners' rows of the existing platform when facts, guesses, workers and learners meet (R-MIGRATE-1)."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import combinations
from typing import Any

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.erasures import ErasureCall, erase
from ingest.commands.views import end_view
from ingest.importers.legacy import MigrationReport, migrate_legacy
from ingest.importers.legacy.source import NO_TIMES
from loaders.aggregates import aggregates_by_key
from loaders.views import view_of
from resolvers.enrolments import enrolment as shown_enrolment
from rules.enrolments import Enrolment
from rules.identifiers import ProgressKey, ViewKey
from rules.legacy.comparison import NO_DATE
from rules.legacy.enrolments import WAITS
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.standings import FirstCompletion
from rules.tracking import TrackingMode
from rules.views import View, ViewChange
from stores.columns import Table
from stores.foreign_keyspace import Columns, ForeignTable, Written
from stores.rows import Row, RowPage, TokenRange
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, ENROLMENTS, VIEWS
from tests.aggregates import figures_key
from tests.conftest import NOW, Instance, some_of
from tests.ingest.legacy_platform import CERTIFICATE, OLD, URL, WRITTEN, MemorySource, platform

LEAF = "application/pdf"
FOUR = {
    "identifier": "course",
    "name": "Course",
    "children": [
        {"identifier": leaf, "name": leaf.upper(), "mimeType": LEAF, "visibility": "Default"}
        for leaf in "abcd"
    ],
}
"""A course of four contents."""
KEY = ProgressKey("ada", "course", "batch")
PLACE = {"userid": "ada", "courseid": "course", "batchid": "batch"}
CONSUMPTION, ENROLLED = "user_content_consumption", "user_enrolments"
DONE, GRANTED_ON = datetime(2024, 1, 20, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
BATCH = {"courseid": "course", "batchid": "batch", "name": "B", "enrollmenttype": "open"}


def enrolment(**values: Any) -> Row:
    return {**PLACE, "active": True, "enrolled_date": datetime(2024, 1, 2, tzinfo=UTC), **values}


def completed(*contents: str, on: datetime = DONE) -> list[Row]:
    times = dict.fromkeys(("last_access_time", "last_completed_time", "last_updated_time"), on)
    return [{**PLACE, "contentid": content, "status": 2, "progress": 100, **times} for content in contents]


def lms(
    *enrolments: Row,
    consumption: Sequence[Row] = (),
    batches: Sequence[Row] = (BATCH,),
    attempts: Sequence[Row] = (),
) -> dict[str, Any]:
    """The platform's tables with these rows alone."""
    rows: Mapping[str, Sequence[Row]] = {
        "course_batch": batches,
        CONSUMPTION: consumption,
        ENROLLED: enrolments,
        "assessment_aggregator": attempts,
        "user_activity_agg": (),
    }
    return {name: replace(table, rows=rows[name]) for name, table in platform(OLD).items()}


async def migrate(
    cohort: Instance, tables: Mapping[str, Any], source: MemorySource | None = None, **options: Any
) -> MigrationReport:
    options = {"rate": 1e6, "every": 1, "ranges": 1, **options}
    return await migrate_legacy(cohort.shared, URL, source=source or MemorySource(tables), **options)


async def stored_enrolment(cohort: Instance) -> Enrolment:
    found = await cohort.session().loaders.enrolments.load(KEY)
    assert found is not None
    return found


async def stored_views(cohort: Instance) -> dict[str, View]:
    rows = await cohort.stores.rows.partition(VIEWS, ("ada", ViewKey("ada", "course", "batch", "a").scope))
    views = [view for view in map(view_of, rows) if view is not None]
    return {view.key.content_id: replace(view, changed_at=None) for view in views}


async def rows_of(cohort: Instance) -> list[list[Row]]:
    """Views and enrolments in the order of their keys, without what each write has of its own."""
    own = ("changed_at", "seen_changed_at", "version")
    found = []
    for table in (VIEWS, ENROLMENTS):
        rows = [
            {name: value for name, value in row.items() if name not in own}
            for token_range in cohort.stores.rows.ranges(1)
            async for page in cohort.stores.rows.walk(table, token_range)
            for row in page.rows
        ]
        found.append(sorted(rows, key=partial(_place, table)))
    return found


def _place(table: Table, row: Row) -> list[Any]:
    return [row[name] for name in table.key]


class Working(MemorySource):
    """A platform beside whose migration a worker runs: before these tables are read."""

    def __init__(self, tables: Mapping[str, Any], cohort: Instance, before: Collection[str]) -> None:
        super().__init__(tables)
        self._cohort = cohort
        self._before = before

    async def walk(
        self,
        table: ForeignTable,
        token_range: TokenRange,
        columns: Columns,
        *,
        page_size: int,
        resume: str | None = None,
        written: Written = NO_TIMES,
    ) -> AsyncIterator[RowPage]:
        if table.name in self._before:
            await self._cohort.drain()
        async for page in super().walk(
            table, token_range, columns, page_size=page_size, resume=resume, written=written
        ):
            yield page


FOUR_DONE = lms(
    enrolment(
        completedon=GRANTED_ON,
        datetime=GRANTED_ON,
        status=2,
        progress=4,
        contentstatus=dict.fromkeys("abcd", 2),
    ),
    consumption=completed(*"abcd"),
)
"""Four contents, the last of them on 20 January 2024; the platform completed the course on the first of February."""
AT_WORK = [
    (first, frozenset(before))
    for first in (None, "course_batch", CONSUMPTION)
    for count in range(3)
    for before in combinations((CONSUMPTION, ENROLLED, "assessment_aggregator"), count)
]


@pytest.mark.parametrize(("first", "before"), some_of(AT_WORK))
async def test_the_date_of_completion_is_the_platform_s_whenever_workers_run(
    embedded: Instance, first: str | None, before: frozenset[str]
) -> None:
    """``before``: the tables before which a worker looks. ``first``: a learner who is enrolled here already, or whose
    contents were brought over by an earlier run, and were computed, too."""
    await embedded.publish(FOUR)
    if first is not None:
        await migrate(embedded, {**FOUR_DONE, ENROLLED: replace(FOUR_DONE[ENROLLED], rows=[])})
        if first == CONSUMPTION:
            service = embedded.session()
            await enrol(service, EnrolmentCall("course", "batch", "ada", at=datetime(2024, 1, 2, tzinfo=UTC)))
        await embedded.drain()
    await migrate(embedded, FOUR_DONE, Working(FOUR_DONE, embedded, before))
    assert (await stored_enrolment(embedded)).completed == FirstCompletion(GRANTED_ON)
    await embedded.drain()
    (figures,) = await aggregates_by_key(embedded.stores.rows, [figures_key("course", "ada")])
    assert figures is not None
    row = await embedded.stores.rows.get(ENROLMENTS, ("ada", "course", "batch"))
    assert row is not None
    assert (figures.completed_on, row["completedon"], row["granted_on"]) == (GRANTED_ON,) * 3
    shown = await shown_enrolment(embedded.session("ada"), "ada", "course", "batch")
    assert (shown.completed_on, shown.progress.completion_percentage) == (GRANTED_ON, 100)


async def test_dates_of_completion_are_compared(cohort: Instance) -> None:
    """On both engines. The first is dated by the platform. It has noted none for the second: Cohort dates that by its
    last content, and says so."""
    await cohort.publish(FOUR)
    dated = await migrate(cohort, FOUR_DONE)
    assert dated.tables[ENROLLED].differences == {}
    assert (await stored_enrolment(cohort)).completed == FirstCompletion(GRANTED_ON)
    bob = {"userid": "bob"}
    undated = lms(
        enrolment(**bob, status=2, progress=4), consumption=[{**row, **bob} for row in completed(*"abcd")]
    )
    dry, real = await migrate(cohort, undated, dry_run=True), await migrate(cohort, undated)
    for report in (dry, real):
        assert report.tables[ENROLLED].differences == {NO_DATE: 1}
        assert report.tables[ENROLLED].examples[NO_DATE] == [
            f"bob course batch completed never there; completed {DONE} here"
        ]


async def test_a_corrected_attempt_is_never_a_mixture(cohort: Instance) -> None:
    """On both engines. A score of 10 is corrected to 8 by an UPDATE that leaves every time as it was."""
    await cohort.publish(FOUR)
    attempt: Row = {
        "user_id": "ada",
        "course_id": "course",
        "batch_id": "batch",
        "content_id": "a",
        "attempt_id": "one",
        "last_attempted_on": DONE,
        "total_score": 10.0,
        "total_max_score": 10.0,
        "grand_total": "10",
    }
    corrected = {**attempt, "total_score": 8.0, "grand_total": "8"}
    written = []
    for row in (attempt, corrected, corrected):
        report = await migrate(cohort, lms(attempts=[row]))
        written.append(report.tables["assessment_aggregator"].written)
    assert written == [1, 1, 0]
    key = ("ada", "course", "batch", "a", "one")
    slim, whole = [await cohort.stores.rows.get(table, key) for table in (ATTEMPTS, ATTEMPTS_WITH_QUESTIONS)]
    assert slim is not None
    assert whole is not None
    assert (slim["total_score"], whole["total_score"], whole["grand_total"]) == (8.0, 8.0, "8")
    assert slim["content_hash"] == whole["content_hash"]


GRANTED = enrolment(
    completedon=GRANTED_ON, datetime=GRANTED_ON, status=2, progress=4, issued_certificates=[CERTIFICATE]
)
"""Completed with a certificate, of which the platform keeps no details."""


async def test_completed_without_details_stays_completed(cohort: Instance) -> None:
    """On both engines: status 2, progress 4, a certificate, and no row of consumption."""
    await cohort.publish(FOUR)
    dry, report = await migrate(cohort, lms(GRANTED), dry_run=True), await migrate(cohort, lms(GRANTED))
    for each in (dry, report):
        assert (each.tables[ENROLLED].granted, each.tables[ENROLLED].differences) == (4, {})
    origin = Origin(OriginKind.GRANTED, reason="user_enrolments", at=NOW)
    views = await stored_views(cohort)
    assert {
        content: (view.status, view.completed_on, view.origin) for content, view in views.items()
    } == dict.fromkeys("abcd", (Status.COMPLETED, GRANTED_ON, origin))
    shown = await shown_enrolment(cohort.session("ada"), "ada", "course", "batch")
    assert (shown.progress.status, shown.progress.completed_count) == (Status.COMPLETED, 4)
    await cohort.drain()
    (figures,) = await aggregates_by_key(cohort.stores.rows, [figures_key("course", "ada")])
    assert figures is not None
    assert (figures.status, figures.completed_count, figures.completed_on) == (2, 4, GRANTED_ON)
    assert list((await stored_enrolment(cohort)).certificates) == [CERTIFICATE]
    before = await rows_of(cohort)
    again = await migrate(cohort, lms(GRANTED))
    assert (again.tables[ENROLLED].granted, again.tables[ENROLLED].written) == (0, 0)
    assert await rows_of(cohort) == before


async def test_what_is_granted_waits_for_its_collection(embedded: Instance) -> None:
    report = await migrate(embedded, lms(GRANTED))
    assert report.tables[ENROLLED].notes == {WAITS: 1}
    assert await stored_views(embedded) == {}
    found = await stored_enrolment(embedded)
    assert (found.status, found.completed_count) == (Status.COMPLETED, 4)
    assert found.completed == FirstCompletion(GRANTED_ON)
    await embedded.publish(FOUR)
    assert (await migrate(embedded, lms(GRANTED))).tables[ENROLLED].granted == 4
    assert sorted(await stored_views(embedded)) == [*"abcd"]


@pytest.mark.parametrize("mode", [TrackingMode.STRICT, TrackingMode.CARRY_FORWARD_FULL])
async def test_a_fact_that_comes_late_makes_the_row_that_it_makes_first(
    embedded: Instance, mode: TrackingMode
) -> None:
    """Contents out of contentstatus (a, b) and granted ones (c, d) are dated by the course, until consumption tells."""
    await embedded.publish(FOUR)
    embedded.track(mode)
    enrolled = enrolment(
        completedon=GRANTED_ON,
        datetime=GRANTED_ON,
        status=2,
        progress=4,
        contentstatus={"a": 2, "b": 2},
        lastreadcontentid="b",
        lastcontentaccesstime=DONE,
    )
    guessed = await migrate(embedded, lms(enrolled))
    assert (guessed.tables[ENROLLED].filled, guessed.tables[ENROLLED].granted) == (2, 2)
    whole = lms(enrolled, consumption=completed(*"abcd"))
    late = await migrate(embedded, whole)
    assert late.tables[CONSUMPTION].written == 4
    after = await rows_of(embedded)
    assert {row["last_completed_time"] for row in after[0]} == {DONE}
    await erase(embedded.session(), ErasureCall("ada"))
    await embedded.drain()
    bob = {
        name: replace(
            table, rows=[{**row, **({"userid": "bob"} if "userid" in row else {})} for row in table.rows]
        )
        for name, table in whole.items()
    }
    await migrate(embedded, bob)
    first = [
        [{**row, "userid": "ada"} for row in rows if row["userid"] == "bob"]
        for rows in await rows_of(embedded)
    ]
    assert first == after


async def test_who_completes_here_what_was_in_progress_there_completed_it_here(cohort: Instance) -> None:
    """On both engines, and whatever the platform tells of the content later."""
    await cohort.publish(FOUR)
    under_way = [{**completed("a")[0], "status": 1, "progress": 40, "last_completed_time": None}]
    await migrate(cohort, lms(enrolment(), consumption=under_way))
    await end_view(cohort.session("ada"), ViewCall("a", "course", "batch"), ViewChange(NOW))
    done = (await stored_views(cohort))["a"]
    assert (done.status, done.completed_on, done.origin) == (Status.COMPLETED, NOW, None)
    told = lms(enrolment(contentstatus={"a": 2}), consumption=completed("a"))
    assert (await migrate(cohort, told)).tables[CONSUMPTION].written == 0
    assert (await stored_views(cohort))["a"] == done


async def test_enrolments_without_dates_are_dated_as_there(embedded: Instance) -> None:
    """By the first completion; else by the start of the batch; else by the first time known. What is missing is taken for
    active, and the report says all of it. A dry run says the same."""
    await embedded.publish(FOUR)
    started = datetime(2024, 1, 5, tzinfo=UTC)
    undated = {**PLACE, "datetime": datetime(2024, 3, 1, tzinfo=UTC)}
    tables = lms(
        {**undated, "completedon": GRANTED_ON, "status": 2, "issued_certificates": [CERTIFICATE]},
        {**undated, "userid": "bob"},
        {**undated, "userid": "cleo", "batchid": "elsewhere"},
        consumption=[*completed("a", on=datetime(2024, 1, 9, tzinfo=UTC)), *completed("b")],
        batches=[{**BATCH, "start_date": started}],
    )
    for dry_run in (True, False):
        report = (await migrate(embedded, tables, dry_run=dry_run)).tables[ENROLLED]
        assert (report.written, report.skipped) == (3, {})
        assert {note: count for note, count in report.notes.items() if note != WAITS} == {
            "active: missing, taken for true": 3,
            "enrolled_date: missing, taken from the first completion": 1,
            "enrolled_date: missing, taken from the start of its batch": 1,
            "enrolled_date: missing, taken from the first time known": 1,
        }
    found = {row["userid"]: row for row in (await rows_of(embedded))[1]}
    assert {user: (row["active"], row["enrolled_on"]) for user, row in found.items()} == {
        "ada": (True, datetime(2024, 1, 9, tzinfo=UTC)),
        "bob": (True, started),
        "cleo": (True, datetime(2024, 3, 1, tzinfo=UTC)),
    }
    assert found["ada"]["certificates"] == [CERTIFICATE]
    again = (await migrate(embedded, tables)).tables[ENROLLED]
    assert (again.written, again.unchanged) == (0, 3)


async def test_a_date_of_before_an_erasure_does_not_come_back(embedded: Instance) -> None:
    """The learner is erased in March 2024, and enrols there again in April."""
    await embedded.publish(FOUR)
    await migrate(embedded, FOUR_DONE)
    await embedded.drain()
    embedded.sets_clock(datetime(2024, 3, 1, tzinfo=UTC))
    await erase(embedded.session(), ErasureCall("ada", "course", "batch"))
    await embedded.drain()
    april = {"enrolled_date": datetime(2024, 4, 1, tzinfo=UTC), "datetime": datetime(2024, 4, 1, tzinfo=UTC)}
    (row,) = FOUR_DONE[ENROLLED].rows
    again = {**FOUR_DONE, ENROLLED: replace(FOUR_DONE[ENROLLED], rows=[{**row, **april}])}
    await migrate(embedded, again)
    await embedded.drain()
    found = await stored_enrolment(embedded)
    assert (found.enrolled_on, found.granted_on) == (april["enrolled_date"], None)
    assert found.completed != FirstCompletion(GRANTED_ON)


async def test_who_comes_back_there_is_back_here_and_who_leaves_here_stays_away(cohort: Instance) -> None:
    """On both engines. On the platform only ``active`` goes to and fro; its write time says when. What is brought after
    several runs is what one run brings."""
    await cohort.publish(FOUR)

    def at(day: int, *, active: bool) -> dict[str, Any]:
        changed = datetime(2024, 1, day, tzinfo=UTC)
        written = {WRITTEN: {"active": int(changed.timestamp()) * 1_000_000}}
        return lms(enrolment(active=active, datetime=changed, **written))

    left, back = at(5, active=False), at(9, active=True)
    for tables, written in ((at(2, active=True), 1), (left, 1), (left, 0), (back, 1), (back, 0)):
        assert (await migrate(cohort, tables)).tables[ENROLLED].written == written
    (several,) = (await rows_of(cohort))[1]
    assert (several["active"], several["unenrolled_on"], several["reenrolled_on"]) == (True, None, None)
    await erase(cohort.session(), ErasureCall("ada", "course", "batch"))
    bob = {**back, ENROLLED: replace(back[ENROLLED], rows=[{**back[ENROLLED].rows[0], "userid": "bob"}])}
    await migrate(cohort, bob)
    (once,) = (row for row in (await rows_of(cohort))[1] if row["userid"] == "bob")
    assert once == {**several, "userid": "bob"}
    # Bob leaves here, later than anything that was written there.
    await unenrol(cohort.session("bob"), EnrolmentCall("course", "batch"))
    report = (await migrate(cohort, bob)).tables[ENROLLED]
    assert (report.written, report.left) == (0, 1)


async def test_what_was_granted_is_copied_as_what_was_brought(embedded: Instance) -> None:
    """A granted completion counts in another batch as one with details does, by its date."""
    embedded.track(TrackingMode.COPY, '{"match": "any", "rules": [{"type": "always"}]}')
    await embedded.publish(FOUR)
    await migrate(embedded, lms(GRANTED))
    await embedded.batch("second")
    await enrol(embedded.session("ada"), EnrolmentCall("course", "second"))
    shown = await shown_enrolment(embedded.session("ada"), "ada", "course", "second")
    assert (shown.progress.completed_count, shown.completed_on) == (4, GRANTED_ON)
    await embedded.drain()
    assert (await embedded.session().loaders.enrolments.load(KEY._replace(context_id="second"))) is not None
    copied = await embedded.stores.rows.partition(
        VIEWS, ("ada", ViewKey("ada", "course", "second", "a").scope), prefix=("course", "second")
    )
    origins = [view.origin for view in map(view_of, copied) if view is not None]
    assert [origin and (origin.kind, origin.place) for origin in origins] == [
        (OriginKind.COPIED, ("course", "batch"))
    ] * 4
