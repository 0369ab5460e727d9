"""Forced end as a job. Views that nobody has touched for long are completed (ingest/commands/closing.py)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from ingest.commands.closing import COLUMNS, PAGE, RANGES, Closer, Closing, checked_idle
from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import JobRecord, OnProgress
from ingest.jobs.runner import Jobs, Pace
from loaders.session import Shared
from rules.errors import InvalidInput
from rules.moments import milliseconds, moment
from stores.tables import VIEWS


async def close_idle_views(
    shared: Shared,
    idle: timedelta,
    *,
    rate: float = 2000,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
) -> Closing:
    """Closes the idle views of all learners, as a job, and returns at its end.

    ``rate`` is how many views are looked at in a second, at most.
    """
    if rate <= 0:
        raise InvalidInput("rate must be above 0", field="rate")
    arguments = {
        "idle": checked_idle(idle).total_seconds(),
        "at": milliseconds(shared.now()),
        "rate": rate,
        "dry_run": dry_run,
    }
    return report_of(await Jobs(shared).start(CLOSING, arguments, on_progress))


def report_of(job: JobRecord) -> Closing:
    """Returns the report of all steps together."""
    reports = [step.checkpoint.report for step in job.steps]
    return Closing(*(sum(report.get(name, 0) for report in reports) for name in ("looked_at", "closed")))


def _plan(shared: Shared, arguments: Mapping[str, Any]) -> JobPlan:
    idle, at = timedelta(seconds=arguments["idle"]), moment(arguments["at"])
    return _Job(Closer(shared, idle, at, dry_run=arguments["dry_run"]), shared, arguments["rate"])


CLOSING = JobKind("close-views", _plan)


class _Job:
    def __init__(self, closer: Closer, shared: Shared, rate: float) -> None:
        self._closer = closer
        self._rows = shared.stores.rows
        self._pace = Pace(rate, PAGE)

    def steps(self) -> Sequence[str]:
        return [str(number) for number in range(RANGES)]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        report = {"looked_at": 0, "closed": 0, **start.report}
        token_range = self._rows.ranges(RANGES)[int(step)]
        async for page in self._rows.walk(
            VIEWS, token_range, columns=COLUMNS, page_size=self._pace.page, resume=start.resume
        ):
            async with self._pace.of(len(page.rows)):
                report["looked_at"] += len(page.rows)
                report["closed"] += await self._closer.close(page.rows)
            yield Checkpoint(page.resume, report["looked_at"], report)
