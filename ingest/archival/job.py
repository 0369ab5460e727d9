"""A run of the archive as a job of one step. Whoever goes on with it begins anew: what is archived is not found again."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from ingest.archival.catalogue import Catalogue
from ingest.archival.filing import Filing, NotVerified
from ingest.archival.finishing import UNFINISHED, BrokenArchive, Finishing
from ingest.archival.report import ArchivalReport
from ingest.archival.spool import Spool, SpooledFile
from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import JobRecord
from ingest.phases import OnProgress, quiet
from ingest.writes.all_ended import all_ended
from ingest.writes.archive_files import ArchiveFiles
from ingest.writes.leases import Hold, Task, held
from loaders.archives import Archive, all_archives
from loaders.session import Shared
from rules.archives import ArchiveState, archive_row
from rules.attempts import write_time_of
from rules.errors import CohortError, NotFound, loggable
from rules.moments import known_milliseconds, moment
from stores.column_files import FileFormat
from stores.rows import Row
from stores.tables import ATTEMPTS_WITH_QUESTIONS, LEASES
from stores.workspaces import workspace

log = logging.getLogger(__name__)

RANGES = 256
"""Parts of the ring that are walked one after the other. Cassandra keeps a tombstone for each archived attempt for ten days, and
ends a statement that meets 100,000 of them. So many parts stay below that after 25 million attempts."""
PAGE = 500
"""Attempts that are read together."""
TOLD_EVERY = 10_000
"""Attempts that are walked between two checkpoints."""
LOOKED_AT, THROUGH = "looked at", "due"
"""What is told of: attempts that were looked at, and those that are due."""
FILES_AT_ONCE = 4
"""What one waits for, others use."""
_STEP = "archive"
WORK = Task(LEASES, ("archival",), "the archival", "archiving")


def report_of(job: JobRecord) -> ArchivalReport:
    reports = [step.checkpoint.report for step in job.steps]
    return ArchivalReport(**reports[0]) if reports else ArchivalReport()


def archival(on_progress: OnProgress = quiet) -> JobKind:
    """The kind of job. ``on_progress`` is told how far it is: attempts that were looked at, then those that went through."""

    def plan(shared: Shared, arguments: Mapping[str, Any]) -> JobPlan:
        before, form = moment(arguments["before"]), FileFormat(arguments["format"])
        return _Run(shared, before, form, arguments["job_id"], on_progress)

    return JobKind("archive", plan)


ARCHIVAL = archival()


class _Run:
    """``before``: what was last updated then or earlier is archived."""

    def __init__(
        self, shared: Shared, before: datetime, form: FileFormat, job_id: str, tell: OnProgress
    ) -> None:
        self._shared = shared
        self._rows = shared.stores.rows
        self._before = before
        self._form = form
        self._job_id = job_id
        self._tell = tell
        self._catalogue = Catalogue(shared)
        self._files = ArchiveFiles(shared)
        self._report = ArchivalReport()

    def steps(self) -> Sequence[str]:
        return [_STEP]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        async with (
            held(self._shared, WORK) as hold,
            workspace(self._shared.stores.data, "archival") as folder,
        ):
            async for _ in self._settle(folder):
                yield self._checkpoint(hold)
            spool = Spool.opened(folder)
            try:
                async for _ in self._walk(spool):
                    yield self._checkpoint(hold)
                async for _ in self._archive(spool, folder):
                    yield self._checkpoint(hold)
            finally:
                spool.close()
            await hold.end(done_on=self._shared.now())
        yield Checkpoint(None, self._report.archived, asdict(self._report))

    def _checkpoint(self, hold: Hold) -> Checkpoint:
        """Of what is done. It ends the run if another process has taken over."""
        hold.check()
        return Checkpoint(_STEP, self._report.archived, asdict(self._report))

    async def _settle(self, folder: Path) -> AsyncIterator[None]:
        """Discards or finishes what earlier runs left."""
        finishing = Finishing(self._shared, self._catalogue, folder)
        async for archive in all_archives(self._rows):
            if archive.state is ArchiveState.UPLOADING:
                await self._catalogue.fail(archive, "its run ended before it was verified")
                self._report.settled += 1
                yield
            elif archive.state in UNFINISHED:
                try:
                    self._count(await finishing.finish(archive))
                    self._report.settled += 1
                except (BrokenArchive, NotFound) as error:
                    self._note_failure(error)
                yield
            elif archive.leftovers is not None:
                await self._files.take_out(archive.key, lambda row: False)
                self._report.settled += 1
                yield

    async def _walk(self, spool: Spool) -> AsyncIterator[None]:
        """Puts into the spool what is old enough."""
        report = self._report
        ranges = self._rows.ranges(RANGES)
        for number, token_range in enumerate(ranges, 1):
            async for page in self._rows.walk(ATTEMPTS_WITH_QUESTIONS, token_range, page_size=PAGE):
                due = [row for row in page.rows if self._is_due(row)]
                dated = [(row, row["written_at"] or _own_write_time(row)) for row in due]
                taken = await spool.add([archive_row(row, at) for row, at in dated if at])
                report.due += len(due)
                report.left += len(due) - taken
                report.walked += len(page.rows)
                if report.walked % TOLD_EVERY < len(page.rows):
                    yield
            if report.walked and number < len(ranges):
                # One more than there are: the phase is not at its end.
                self._tell(LOOKED_AT, report.walked, report.walked * len(ranges) // number + 1)
        self._tell(LOOKED_AT, report.walked, report.walked)

    def _is_due(self, row: Row) -> bool:
        at = row["updated_on"] or row["last_attempted_on"]
        return at is not None and at <= self._before

    async def _archive(self, spool: Spool, folder: Path) -> AsyncIterator[None]:
        filing = Filing(self._shared, self._catalogue, self._form, self._job_id)
        finishing = Finishing(self._shared, self._catalogue, folder)
        through, due = 0, self._report.due - self._report.left

        async def archive(spooled: SpooledFile) -> None:
            nonlocal through
            finished = None
            try:
                if (filed := await filing.file(spooled)) is not None:
                    finished = await finishing.finish(filed.archive, filed.attempts)
            except NotVerified as error:
                self._note_failure(error)
            await spooled.remove()
            self._report.left += spooled.attempts - self._count(finished)
            through += spooled.attempts
            self._tell(THROUGH, through, due)

        self._tell(THROUGH, through, due)
        some: list[SpooledFile] = []
        async for spooled in spool.files():
            some.append(spooled)
            if len(some) == FILES_AT_ONCE:
                await all_ended(map(archive, some))
                some = []
                yield
        await all_ended(map(archive, some))

    def _note_failure(self, error: CohortError) -> None:
        self._report.failed += 1
        log.error("not archived: %s", loggable(error))

    def _count(self, archive: Archive | None) -> int:
        """Counts a request that came to its end. Returns how many attempts it has archived."""
        if archive is None or archive.state is not ArchiveState.ARCHIVED:
            return 0
        self._report.archived += archive.attempts
        self._report.files += 1
        self._report.size += archive.size or 0
        return archive.attempts


def _own_write_time(row: Row) -> int:
    """Of a row of before schema 6; 0 if it has no moment of its own."""
    return write_time_of(known_milliseconds(row["last_attempted_on"]))
