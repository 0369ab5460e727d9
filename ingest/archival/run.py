"""One run of the archive. One process is at it at a time, by a lease."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from ingest.archival.job import WORK, archival, report_of
from ingest.archival.report import ArchivalReport
from ingest.jobs.runner import Jobs
from ingest.phases import OnProgress, quiet
from ingest.writes.leases import check_free
from loaders.session import Shared
from rules.errors import InvalidInput
from rules.moments import milliseconds
from stores.column_files import FileFormat
from stores.tables import LEASES

FORMATS = (FileFormat.PARQUET, FileFormat.CSV_GZ)
"""Of the files that a run writes."""


@dataclass(frozen=True, slots=True)
class ArchivalOrder:
    """What is to be archived, and how. ``older_than``: since the attempt was last updated."""

    older_than: timedelta
    form: FileFormat = FileFormat.PARQUET


async def archive(shared: Shared, order: ArchivalOrder, on_progress: OnProgress = quiet) -> ArchivalReport:
    """Archives what is old enough, as a job, and returns at its end. Also does what earlier runs left. ``on_progress`` is told how
    many attempts were looked at, then how many of those that are due went through. The total of the former is a guess until its
    end: as many as in the parts of the ring that were walked.

    Raises Conflict if another process is at it. Raises InvalidInput if the order can't be.
    """
    if order.older_than < timedelta():
        raise InvalidInput("the age must be 0 days or more", field="olderThan")
    if order.form not in FORMATS:
        raise InvalidInput(
            f"the format must be one of {', '.join(form.value for form in FORMATS)}", field="format"
        )
    await check_free(shared, WORK)
    job_id = f"{shared.now():%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"
    arguments = {
        "job_id": job_id,
        "before": milliseconds(shared.now() - order.older_than),
        "format": order.form.value,
    }
    jobs, kind = Jobs(shared), archival(on_progress)
    await jobs.create(kind, job_id, arguments)
    return report_of(await jobs.run(kind, job_id))


async def archive_when_due(shared: Shared, order: ArchivalOrder, every: timedelta) -> ArchivalReport | None:
    """As ``archive``, if no process of the instance has come to the end of a run for ``every``; else returns None."""
    lease = await shared.stores.rows.get(LEASES, WORK.key, ["done_on"])
    done_on = lease["done_on"] if lease else None
    if done_on is not None and shared.now() - done_on < every:
        return None
    return await archive(shared, order)
