"""Copies the existing platform's rows into ours as a job: a step for each table, a checkpoint for each page, the ring
in parts.

Every write may be repeated: a page that was interrupted is brought over whole.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from typing import Any

from ingest.importers.legacy.attempts import bring_attempts
from ingest.importers.legacy.batches import bring_batches
from ingest.importers.legacy.comparison import compare, published
from ingest.importers.legacy.enrolments import bring_enrolments
from ingest.importers.legacy.report import MigrationReport, TableReport, count
from ingest.importers.legacy.scores import compare_scores
from ingest.importers.legacy.source import Platform, Source, open_source, without_password
from ingest.importers.legacy.views import bring_views
from ingest.importers.legacy.walking import mark_of, pages, part_of, reading, run_or_resume, still_reading
from ingest.importers.legacy.writing import Migrating
from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import JobRecord
from ingest.jobs.runner import SIGN_OF_LIFE, Pace
from ingest.writes.triggers import trigger_of
from loaders.session import Shared
from rules.errors import InvalidInput
from rules.identifiers import ProgressKey
from rules.legacy.tables import (
    ASSESSMENTS,
    BATCHES,
    CONSUMPTION,
    ENROLMENTS,
    FIGURES,
    LEGACY_TABLES,
    LegacyRow,
)
from rules.triggers import TriggerKind
from stores.topics import TRIGGERS, WORKER_GROUP

RANGES = 16
"""Parts of the ring."""
PAGE = 200
RATE = 5000.0
SAMPLE = 100
"""One enrolment in so many is compared."""
MOST_WAITING = 20_000
"""If more triggers than this wait in the log, the job waits for the workers. Triggers of learners at work wait behind
them."""
LOOK_AGAIN = 1.0
"""Seconds from one look at the log to the next. In this time running workers take triggers away."""
STEPS = (BATCHES, CONSUMPTION, ENROLMENTS, ASSESSMENTS, FIGURES)
"""The steps in their order: a batch comes before its enrolments, and views come before contentstatus fills their gaps.
"""

OnProgress = Callable[[str, int, int], None]
"""Table, finished parts of the ring, all parts."""


def _quiet(phase: str, done: int, total: int) -> None:
    pass


async def migrate_legacy(
    shared: Shared,
    url: str,
    *,
    source: Source | None = None,
    dry_run: bool = False,
    rate: float = RATE,
    every: int = SAMPLE,
    ranges: int = RANGES,
    on_progress: OnProgress = _quiet,
) -> MigrationReport:
    """Copies the keyspace at ``url`` and returns what became of it. An interrupted migration goes on where it stopped.

    - ``rate``: rows a second at most.
    - ``every``: one enrolment in so many is compared.
    - ``source``: is read instead of opening the URL.

    Raises InvalidInput, NotFound or StoreUnavailable if the copy can't be made. Raises Conflict if another process is
    at it.
    """
    if rate <= 0:
        raise InvalidInput("rate must be above 0", field="rate")
    if every < 1:
        raise InvalidInput("sample must be 1 or more", field="sample")
    arguments: dict[str, Any] = {
        "from": without_password(url),
        "dry_run": dry_run,
        "rate": rate,
        "every": every,
        "ranges": ranges,
    }

    def tell(job: JobRecord) -> None:
        begun = {step.name: step for step in job.steps}
        for step in [begun[name] for name in STEPS if name in begun][-1:]:
            on_progress(step.name, part_of(step.checkpoint.resume, ranges), ranges)

    async with reading(source or await open_source(url), LEGACY_TABLES) as platform:
        kind = replace(MIGRATION, plan=partial(_plan, opened=platform))
        job = await run_or_resume(shared, kind, arguments, ("from", "dry_run", "ranges"), tell)
        return report_of(job, platform.missing)


def report_of(job: JobRecord, missing: Sequence[str] = ()) -> MigrationReport:
    reports = {step.name: TableReport.parse(step.checkpoint.report) for step in job.steps}
    return MigrationReport(
        job.id,
        bool(job.arguments["dry_run"]),
        {name: reports[name] for name in STEPS if name in reports},
        missing,
    )


def _plan(shared: Shared, arguments: Mapping[str, Any], opened: Platform | None = None) -> JobPlan:
    return _Migration(shared, arguments, opened)


MIGRATION = JobKind("migrate-legacy", _plan)


class _Migration:
    """The job. ``opened`` is what is read. Without it each step opens the URL, with the environment's password."""

    def __init__(self, shared: Shared, arguments: Mapping[str, Any], opened: Platform | None) -> None:
        self._shared = shared
        self._url: str = arguments["from"]
        self._opened = opened
        self._dry_run: bool = arguments["dry_run"]
        self._every: int = arguments["every"]
        self._ranges: int = arguments["ranges"]
        self._batches: dict[tuple[str, str], bool] = {}
        self._pace = Pace(arguments["rate"], PAGE)

    def steps(self) -> Sequence[str]:
        return STEPS

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        report = TableReport.parse(start.report)
        # It is not known whether the writes of an interrupted page were announced, so all of the page is announced.
        again = start.resume is not None
        if not again:
            yield Checkpoint(mark_of(0), 0, report.document())
        async with still_reading(self._opened, lambda: open_source(self._url), LEGACY_TABLES) as platform:
            table = pages(platform, step, ranges=self._ranges, page_size=self._pace.page, start=start.resume)
            async for rows, mark in table:
                sent = report.triggers
                async with self._pace.of(len(rows)):
                    await self._bring(platform, step, rows, report, again=again)
                again = False
                if report.triggers > sent and not self._dry_run:
                    await self._wait_for_workers()
                if mark is not None:
                    yield Checkpoint(mark, report.read, report.document())
        yield Checkpoint(None, report.read, report.document())

    async def _bring(
        self,
        platform: Platform,
        step: str,
        rows: Sequence[LegacyRow],
        report: TableReport,
        *,
        again: bool,
    ) -> None:
        migrating = Migrating(self._shared, self._shared.now(), self._dry_run)
        touched: Mapping[ProgressKey, bool] = {}
        if step == BATCHES:
            await bring_batches(migrating, rows, report)
        elif step == CONSUMPTION:
            touched = await bring_views(migrating, rows, report)
        elif step == ENROLMENTS:
            enrolments, touched = await bring_enrolments(migrating, platform, rows, report)
            await compare(migrating, platform, enrolments, self._every, report)
        elif step == ASSESSMENTS:
            touched = await bring_attempts(migrating, rows, report)
        else:
            await compare_scores(migrating, platform, rows, report)
        await self._announce(migrating, platform, touched, report, again=again)
        if step != FIGURES:
            await self._note_what_is_missing(migrating, platform, rows, report)

    async def _announce(
        self,
        migrating: Migrating,
        platform: Platform,
        touched: Mapping[ProgressKey, bool],
        report: TableReport,
        *,
        again: bool,
    ) -> None:
        """Sends triggers of what was changed. If a page is brought ``again``, sends them for all of it.

        Only keys that the workers can compute get a trigger.
        """
        changed = [key for key, has_changed in touched.items() if again or has_changed]
        keys = await self._computable(migrating, platform, changed)
        report.triggers += len(keys)
        if keys and not migrating.dry_run:
            messages = [trigger_of(TriggerKind.RECONCILE, key) for key in keys]
            await self._shared.stores.events.send(TRIGGERS.name, *messages)

    async def _computable(
        self, migrating: Migrating, platform: Platform, keys: Sequence[ProgressKey]
    ) -> list[ProgressKey]:
        """Returns the keys that the workers can compute.

        A content by itself has no figures. But if views are kept by content, the figures of collections follow from it.
        """
        library, by_content = self._shared.library, self._shared.tracking.keeps_by_content
        collection_ids = list({key.collection_id for key in keys})
        trees, contents, places = await asyncio.gather(
            published(migrating, collection_ids),
            library.published(collection_ids),
            self._known(platform, {(key.collection_id, key.context_id) for key in keys if key.has_context}),
        )

        def is_computable(key: ProgressKey) -> bool:
            if key.collection_id not in trees:
                return by_content and not key.has_context and key.collection_id in contents
            return not key.has_context or (key.collection_id, key.context_id) in places

        return [key for key in keys if is_computable(key)]

    async def _known(self, platform: Platform, places: Set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Returns those of these collections and contexts whose context is here. In a dry run it may also be one that
        would be here."""
        found = await self._shared.library.contexts.load_many(list({context_id for _, context_id in places}))
        known = {
            (collection_id, context.context_id)
            for context in found
            if context is not None
            for collection_id in context.collection_ids
        }
        for place in places - known if self._dry_run else ():
            if place not in self._batches:
                rows = await platform.rows(BATCHES, collection_id=place[0], context_id=place[1])
                self._batches[place] = bool(rows)
            if self._batches[place]:
                known.add(place)
        return known & places

    async def _note_what_is_missing(
        self, migrating: Migrating, platform: Platform, rows: Sequence[LegacyRow], report: TableReport
    ) -> None:
        """Notes rows of collections and contexts that are not here. The rows wait for them."""
        places = [
            (collection_id, row["context_id"] or collection_id)
            for row in rows
            if (collection_id := row["collection_id"]) and collection_id != row.get("content_id")
        ]
        trees, known = await asyncio.gather(
            published(migrating, list({collection_id for collection_id, _ in places})),
            self._known(platform, {place for place in places if place[0] != place[1]}),
        )
        for collection_id, context_id in places:
            if collection_id not in trees:
                count(report.unpublished, collection_id)
            if context_id != collection_id and (collection_id, context_id) not in known:
                count(report.unknown_contexts, context_id)

    async def _wait_for_workers(self) -> None:
        """Waits while the workers have much to do and are at it.

        It never waits for long: the job's claim must be renewed, and what waits in the log is not lost.
        """
        events, before = self._shared.stores.events, None
        until = time.monotonic() + SIGN_OF_LIFE
        while time.monotonic() < until:
            waiting = (await events.lag(WORKER_GROUP, [TRIGGERS.name]))[TRIGGERS.name]
            if waiting <= MOST_WAITING or (before is not None and waiting >= before):
                return
            before = waiting
            await asyncio.sleep(LOOK_AGAIN)
