"""Copies the existing platform's rows into ours as a job of parts: the ring of each table in 64, a checkpoint for each
page. Any number of processes on any machines take its parts.

Every write may be repeated: a page that was interrupted is brought over whole.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence, Set
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ingest.importers.legacy.backlog import Backlog
from ingest.importers.legacy.bringing import Bringing
from ingest.importers.legacy.rejects import RejectsFile, rejects_path
from ingest.importers.legacy.report import MigrationReport, TableReport
from ingest.importers.legacy.source import Platform, Source, open_source, without_password
from ingest.importers.legacy.walking import columns_of, reading
from ingest.jobs.parts import JOB, OnWait, join
from ingest.jobs.plans import Checkpoint, JobKind, Part, PartedPlan
from ingest.jobs.records import JobRecord, OnProgress
from ingest.jobs.runner import Jobs, Pace
from loaders.session import Shared
from rules.errors import InvalidInput
from rules.jobs import JobState
from rules.legacy.tables import (
    ASSESSMENTS,
    BATCHES,
    CONSUMPTION,
    ENROLMENTS,
    FIGURES,
    LEGACY_TABLES,
)
from rules.legacy.values import Unreadable, moment_of
from rules.moments import milliseconds, moment
from stores.keys import ring
from stores.rows import TokenRange

RANGES = 64
"""Parts of the ring of a table."""
PAGE = 1000
RATE = 5000.0
SAMPLE = 100
"""One enrolment in so many is compared."""
MOST_REJECTED = 1000
ZONE = "Asia/Kolkata"
"""The platform's own default."""
LAST = "last"
"""The time to go on from that stands for the start of the last whole migration."""
MARGIN = timedelta(hours=1)
"""So much earlier than that start: clocks differ, and a row may come to another replica late."""
Number = TypeVar("Number", int, float)
COMPARISON = "comparison"
"""The parts that compare enrolments. What they count is told with the enrolments."""
PHASES = ((BATCHES,), (CONSUMPTION,), (ENROLMENTS,), (ASSESSMENTS,), (FIGURES, COMPARISON))
"""What is read, phase by phase: a batch comes before its enrolments, views before contentstatus fills their gaps, and
everything before figures are compared."""
TABLES = (BATCHES, CONSUMPTION, ENROLMENTS, ASSESSMENTS, FIGURES)
SAME = ("from", "dry_run", "ranges", "zone", "changed_since", "every", "without")
"""Arguments of a job that another process must have too, to join it or to go on with it."""


async def migrate_legacy(
    shared: Shared,
    url: str,
    *,
    source: Source | None = None,
    dry_run: bool = False,
    rate: float = RATE,
    every: int = SAMPLE,
    ranges: int = RANGES,
    zone: str = ZONE,
    without: Collection[str] = (),
    changed_since: str | None = None,
    most_rejected: int = MOST_REJECTED,
    report: Path | None = None,
    on_opened: OnProgress | None = None,
    on_progress: OnProgress | None = None,
    on_wait: OnWait | None = None,
) -> MigrationReport:
    """Copies the keyspace at ``url`` and returns what became of it. Joins a migration with the same arguments (SAME) that
    is not done, and goes on with it where it stopped.

    - ``source``: is read instead of opening the URL.
    - ``rate``: rows a second that this process reads, at most. ``every``: one enrolment in so many is compared.
    - ``zone``: IANA name of the time zone of times there that name no offset.
    - ``without``: columns, as TABLE.COLUMN, that are known to be missing though results are wrong without them.
    - ``changed_since``: reads what was changed there since this time, or LAST; all if it is None.
    - ``most_rejected``: beyond so many rows that can't be read, all together, it stops.
    - ``report``: where the report will go, as an absolute path; rejected rows go to a file beside it. ``JOB`` in its name is the job's id.
    - ``on_opened`` is told the job before its first row is read, ``on_progress`` how far it is.

    Raises InvalidInput, NotFound or StoreUnavailable if the copy can't be made.
    """
    earlier = await _migrations(shared, without_password(url))
    arguments: dict[str, Any] = {
        "from": without_password(url),
        "dry_run": dry_run,
        "rate": _above(0, rate, "rate"),
        "every": _above(0, every, "sample"),
        "ranges": ranges,
        "zone": zone_of(zone).key,
        "without": sorted(set(without)),
        "changed_since": _since(earlier, changed_since, zone),
        "most_rejected": _above(-1, most_rejected, "most-rejected"),
        "report": None if report is None else str(report),
    }
    async with reading(source or await open_source(url), LEGACY_TABLES, arguments["without"]) as platform:
        found = {"missing": list(platform.missing), "columns": columns_of(platform)}
        job = await Jobs(shared).open(MIGRATION, {**arguments, **found}, SAME)
        own = {**arguments, "brought_before": any(other.id != job.id for other in earlier)}
        kind = replace(MIGRATION, plan=partial(_plan, own=own, opened=platform))
        if on_opened is not None:
            on_opened(job)
        return report_of(await join(shared, kind, job.id, on_progress, on_wait))


def report_of(job: JobRecord) -> MigrationReport:
    """Returns what became of the rows so far."""
    parts: dict[str, list[TableReport]] = {name: [] for name in TABLES}
    for step in job.steps:
        group = Part(step.name, 0).group
        table = ENROLMENTS if group == COMPARISON else group
        parts[table].append(TableReport.parse(table, step.checkpoint.report))
    arguments = {name: value for name, value in job.arguments.items() if name not in ("missing", "columns")}
    return MigrationReport(
        job.id,
        job.state,
        arguments,
        {name: TableReport(name).merged(those) for name, those in parts.items()},
        job.arguments["columns"],
        job.arguments["missing"],
        job.error,
    )


def report_path(job_id: str, report: str | Path) -> Path:
    """Returns where the report of this job goes: ``JOB`` in the file's name stands for the job's id."""
    path = Path(report)
    return path.with_name(path.name.replace("JOB", job_id))


def zone_of(name: str) -> ZoneInfo:
    """Returns the time zone of this name. Raises InvalidInput if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(f"there is no time zone {name}; write it as {ZONE}", field="zone") from None


def _above(least: int, number: Number, field: str) -> Number:
    if not number > least:
        raise InvalidInput(f"{field} must be above {least}", field=field)
    return number


async def _migrations(shared: Shared, url: str) -> list[JobRecord]:
    """Returns the jobs that have brought rows of this keyspace over, or begun to, the newest first."""
    return [
        job
        for job in await Jobs(shared).list()
        if job.kind == MIGRATION.name and job.arguments["from"] == url and not job.arguments["dry_run"]
    ]


def _since(earlier: Sequence[JobRecord], given: str | None, zone: str) -> int | None:
    """Returns the milliseconds of the time that was given, or MARGIN before the start of the last whole one of the
    ``earlier`` migrations."""
    if given is None:
        return None
    if given != LAST:
        try:
            at = moment_of(given, zone_of(zone))
        except Unreadable:
            at = None
        if at is None:
            raise InvalidInput(
                f"changed-since must be {LAST} or a time like 2026-01-31T22:00:00", field="changed-since"
            )
        return milliseconds(at)
    whole = [job.started_on for job in earlier if job.state is JobState.DONE]
    if not whole:
        raise InvalidInput(
            "nothing of this keyspace was brought over to its end yet: run it without changed-since",
            field="changed-since",
        )
    return milliseconds(whole[0] - MARGIN)


def _plan(
    shared: Shared,
    arguments: Mapping[str, Any],
    own: Mapping[str, Any] | None = None,
    opened: Platform | None = None,
) -> PartedPlan:
    return _Migration(shared, {**arguments, **(own or {})}, opened)


MIGRATION = JobKind("migrate-legacy", _plan, parted=True)


class _Migration:
    """The job. ``opened`` is what is read. Without it ``open`` opens the URL, with the environment's password."""

    def __init__(self, shared: Shared, arguments: Mapping[str, Any], opened: Platform | None) -> None:
        self._shared = shared
        self._arguments = arguments
        self._opened = opened
        self._closing = AsyncExitStack()
        self._ranges: int = arguments["ranges"]
        self._pace = Pace(arguments["rate"], PAGE)
        since = arguments["changed_since"]
        self._options: dict[str, Any] = {
            "zone": zone_of(arguments["zone"]),
            "since": None if since is None else moment(since),
            "dry_run": arguments["dry_run"],
            "brought_before": arguments.get("brought_before", True),
            "backlog": Backlog(shared.stores.events),
        }
        self._changed_contexts: Set[str] | None = None

    def parts(self) -> Sequence[Part]:
        return [
            Part(f"{group} {number:02}", phase)
            for phase, groups in enumerate(PHASES)
            for group in groups
            for number in range(self._ranges)
        ]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        group, _, number = step.rpartition(" ")
        token_range = ring(self._ranges)[int(number)]
        if group == COMPARISON:
            table, token_range = ENROLMENTS, _sampled(token_range, self._arguments["every"])
        else:
            table = group
        report = TableReport.parse(table, start.report)
        # It is not known whether the writes of an interrupted page were announced, so all of the page is announced.
        again = start.resume is not None
        if not again:
            yield Checkpoint("", 0, report.document())
        platform = await self._platform()
        contexts = frozenset[str]() if table == BATCHES else await self._contexts()
        bringing = Bringing(self._shared, platform, **self._options, contexts=contexts)
        # Nobody asks when a row was written there, but of enrolments, and of all for what changed since.
        clocks = table == ENROLMENTS or self._options["since"] is not None
        async for page in platform.walk(
            table, token_range, page_size=self._pace.page, resume=start.resume or None, clocks=clocks
        ):
            async with self._pace.of(len(page.rows)):
                if group == COMPARISON:
                    brought = await bringing.compare(page.rows)
                else:
                    brought = await bringing.bring(table, page.rows, again=again)
            again = False
            if brought.rejected:
                await self._keep(step, report, brought)
            report = report.merged([brought])
            if page.resume is not None:
                yield Checkpoint(page.resume, report.read, report.document())
        yield Checkpoint(None, report.read, report.document())

    async def _contexts(self) -> Set[str]:
        """Returns the contexts that the parts of the batches changed. They are done before any other part begins."""
        if self._changed_contexts is None:
            job = await Jobs(self._shared).get(MIGRATION.name, self._arguments[JOB])
            steps = [step for step in job.steps if Part(step.name, 0).group == BATCHES]
            reports = [TableReport.parse(BATCHES, step.checkpoint.report) for step in steps]
            self._changed_contexts = {name for report in reports for name in report.changed_contexts}
        return self._changed_contexts

    async def _platform(self) -> Platform:
        if self._opened is None:
            self._opened = await self._closing.enter_async_context(
                reading(await open_source(self._arguments["from"]), LEGACY_TABLES, self._arguments["without"])
            )
        return self._opened

    async def open(self) -> None:
        await self._platform()

    async def close(self) -> None:
        await self._closing.aclose()

    async def _keep(self, step: str, before: TableReport, brought: TableReport) -> None:
        """Writes the rejected rows of a page to the file. Raises InvalidInput if the job has too many of them."""
        where = "the report names some"
        job_id, most = self._arguments[JOB], self._arguments["most_rejected"]
        if self._arguments["report"] is not None:
            file = RejectsFile(rejects_path(report_path(job_id, self._arguments["report"])))
            await asyncio.to_thread(file.append, brought.rejected)
            where = f"they are in {file.path}"
        job = await Jobs(self._shared).get(MIGRATION.name, job_id)
        others = [TableReport.parse("", other.checkpoint.report) for other in job.steps if other.name != step]
        rejected = sum(each.unreadable for each in (*others, before, brought))
        if rejected > most:
            raise InvalidInput(
                f"{rejected} rows can't be read, which is more than {most}; {where}. Run it again with more "
                "most-rejected to go on",
                field="most-rejected",
            )


def _sampled(token_range: TokenRange, every: int) -> TokenRange:
    """Returns one part in ``every`` of a part of the ring, the same one each time: the learners of the sample."""
    return TokenRange(token_range.start, token_range.start + (token_range.end - token_range.start) // every)
