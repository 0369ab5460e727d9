"""`cohort migrate`: from the platform that Cohort takes over from."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands import instance, run
from gateway.commands.companions import companions
from gateway.commands.migration_reports import check_writable, show, show_collections, write_report
from rules.errors import CohortError, StoreUnavailable

if TYPE_CHECKING:
    from gateway.wiring import Cohort
    from ingest.importers.legacy import MigrationReport
    from ingest.jobs.records import JobRecord

app = typer.Typer(help="Bring over what another platform has stored.", no_args_is_help=True)

LOOK = 3
"""The exit code of a migration that left rows behind or found differences without a known reason."""
REPORT = Path("migration-JOB.json")


From = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="URL",
        help="The keyspace: cassandra://USER:PASSWORD@HOST,HOST:PORT/KEYSPACE?dc=DATACENTER. "
        "Without a password that of COHORT_LEGACY_PASSWORD is taken.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Read and map everything, write nothing, say what it would do.")
]
ReportFile = Annotated[
    Path, typer.Option(help="Where the report goes. JOB in its name stands for the job's id.", dir_okay=False)
]
Rate = Annotated[float, typer.Option(help="Rows a second, at most, of each process.")]
Processes = Annotated[int, typer.Option(min=1, help="So many processes on this machine.")]
Zone = Annotated[str, typer.Option(help="The time zone of times there that name no offset.")]
ChangedSince = Annotated[
    str | None,
    typer.Option(
        metavar="last|TIME",
        help="Only rows that were written there since. last: since the last whole migration began.",
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(metavar="TABLE.COLUMN", help="Go on though this column is missing there. May be repeated."),
]
Sample = Annotated[
    int, typer.Option(help="Compare one enrolment in so many with what the platform shows; 1 for all.")
]
MostRejected = Annotated[int, typer.Option(help="Stop if more rows than this can't be read.", min=0)]
OnlyRejected = Annotated[
    list[Path] | None,
    typer.Option(
        help="Only the rows that this file names, which an earlier run could not read. May be repeated.",
        exists=True,
        dir_okay=False,
    ),
]
Companion = Annotated[bool, typer.Option("--companion", hidden=True)]
"""It was started by another process on this machine, which tells what becomes of the job."""


@app.command()
def legacy(
    from_: From,
    dry_run: DryRun = False,
    rate: Rate = 5000,
    processes: Processes = 1,
    zone: Zone = "Asia/Kolkata",
    changed_since: ChangedSince = None,
    without: Without = None,
    sample: Sample = 100,
    most_rejected: MostRejected = 1000,
    only_rejected: OnlyRejected = None,
    report: ReportFile = REPORT,
    companion: Companion = False,
) -> None:
    """Copy the existing platform's enrolments, consumption, attempts and batches; the workers compute the figures.

    The same command on more machines joins. Run again after an interruption it goes on where it stopped, and after its
    end it brings over what is new. Exit code 3: done, but there are rows that could not be taken or differences without
    a known reason.
    """
    from ingest.importers.legacy import rejects_path, report_path

    check_writable(report)
    options: dict[str, Any] = {"dry_run": dry_run, "zone": zone, "without": without or ()}
    options["report"] = report.absolute()
    if only_rejected:
        done = run(_retry(from_, only_rejected, options))
    else:
        options |= {"rate": rate, "every": sample, "most_rejected": most_rejected}
        done = run(_migrate(from_, options | {"changed_since": changed_since}, processes - 1, companion))
    if not companion:
        show(done)
        file = report_path(done.job, report)
        if done.rejected:
            typer.echo(f"rejected: {rejects_path(file)}")
        _finish(done.document(), file)


async def _retry(url: str, files: Sequence[Path], options: Mapping[str, Any]) -> "MigrationReport":
    from ingest.importers.legacy import retry_rejected

    async with instance() as cohort:
        return await retry_rejected(cohort.shared, url, files, **options)


async def _migrate(url: str, options: Mapping[str, Any], more: int, companion: bool) -> "MigrationReport":
    """Takes part in the migration, with so many ``more`` processes. If it fails, writes the report of what was done."""
    from gateway.commands.progress import job_progress
    from gateway.gc_tuning import collect_rarely
    from ingest.importers.legacy import migrate_legacy

    begun: list[str] = []
    async with instance() as cohort:
        collect_rarely()
        with companions() as others, job_progress() as tell:

            def begin(job: "JobRecord") -> None:
                begun.append(job.id)
                others.start(more, *_companion(url, options, job.arguments))

            try:
                return await migrate_legacy(
                    cohort.shared, url, **options, on_opened=begin, on_progress=tell, on_wait=tell.waits
                )
            except CohortError:
                if begun and not companion:
                    await _write_so_far(cohort, begun[0], options["report"])
                raise


async def _write_so_far(cohort: "Cohort", job_id: str, report: Path) -> None:
    from ingest.importers.legacy import MIGRATION, report_of, report_path
    from ingest.jobs.runner import Jobs

    with suppress(StoreUnavailable):
        so_far = report_of(await Jobs(cohort.shared).get(MIGRATION.name, job_id))
        write_report(so_far.document(), report_path(job_id, report))


def _companion(
    url: str, options: Mapping[str, Any], arguments: Mapping[str, Any]
) -> tuple[list[str], dict[str, str]]:
    """Returns the arguments and the environment of a process that joins a job with these arguments. The password is in
    the environment, as others can read a command line."""
    from urllib.parse import unquote, urlsplit

    from ingest.importers.legacy.source import PASSWORD
    from rules.moments import moment, written

    password, since = urlsplit(url).password, arguments["changed_since"]
    environment = {**os.environ, **({PASSWORD: unquote(password)} if password is not None else {})}
    return [
        *("migrate", "legacy", "--companion", "--from", arguments["from"]),
        *("--report", str(options["report"]), "--rate", str(options["rate"])),
        *("--zone", arguments["zone"], "--sample", str(arguments["every"])),
        *("--most-rejected", str(options["most_rejected"])),
        *(("--dry-run",) if arguments["dry_run"] else ()),
        *(word for column in arguments["without"] for word in ("--without", column)),
        *(("--changed-since", written(moment(since))) if since is not None else ()),
    ], environment


@app.command()
def collections(
    from_: From,
    dry_run: DryRun = False,
    rate: Annotated[float, typer.Option(help="Hierarchies a second, at most.")] = 100,
    report: ReportFile = REPORT,
) -> None:
    """Copy the existing platform's hierarchies: what is live is published, what authors are at work on waits as drafts.

    Run again after an interruption it goes on where it stopped, and after its end it brings over what is new. Exit code
    3: done, but there are collections that were edited here since or could not be taken.
    """
    from gateway.commands.progress import progress
    from ingest.importers.legacy import MigratedCollections, migrate_collections, report_path

    check_writable(report)

    async def main() -> MigratedCollections:
        async with instance() as cohort:
            with progress() as tell:
                return await migrate_collections(
                    cohort.shared, from_, dry_run=dry_run, rate=rate, on_progress=tell
                )

    done = run(main())
    show_collections(done)
    _finish(done.document(), report_path(done.job, report))


@app.command("report")
def report_(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="As `cohort jobs list` shows it.")],
    report: ReportFile = REPORT,
) -> None:
    """Tell what a migration has done so far, also while it runs and after it failed."""
    from ingest.importers.legacy import MIGRATION, report_of, report_path
    from ingest.jobs.runner import Jobs

    check_writable(report)

    async def main() -> "MigrationReport":
        async with instance(in_any_mode=True) as cohort:
            return report_of(await Jobs(cohort.shared).get(MIGRATION.name, job_id))

    found = run(main())
    show(found)
    write_report(found.document(), report_path(job_id, report))


def _finish(document: Mapping[str, Any], report: Path) -> None:
    """Writes the report, and ends with LOOK if there is something to look at."""
    write_report(document, report)
    if not document["whole"]:
        raise typer.Exit(LOOK)
