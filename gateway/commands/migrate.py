"""`cohort migrate`: from the platform that Cohort takes over from."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands import instance, run

if TYPE_CHECKING:
    from ingest.importers.legacy import MigratedCollections, MigrationReport

app = typer.Typer(help="Bring over what another platform has stored.", no_args_is_help=True)

LOOK = 3
"""The exit code of a migration that left rows behind or found differences without a known reason."""
SHOWN = 20
"""Collections that are named on the console. The report names more."""


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
    Path | None, typer.Option(help="Where the report goes. [default: migration-JOB.json]", dir_okay=False)
]


@app.command()
def legacy(
    from_: From,
    dry_run: DryRun = False,
    rate: Annotated[float, typer.Option(help="Rows a second, at most.")] = 5000,
    sample: Annotated[
        int, typer.Option(help="Compare one enrolment in so many with what the platform shows; 1 for all.")
    ] = 100,
    report: ReportFile = None,
) -> None:
    """Copy the existing platform's enrolments, consumption, attempts and batches; the workers compute the figures.

    Run again after an interruption it goes on where it stopped, and after its end it brings over what is new. Exit code
    3: done, but there are rows that could not be taken or differences without a known reason.
    """
    from gateway.commands.progress import progress
    from ingest.importers.legacy import migrate_legacy

    async def main() -> "MigrationReport":
        async with instance() as cohort:
            with progress() as tell:
                return await migrate_legacy(
                    cohort.shared, from_, dry_run=dry_run, rate=rate, every=sample, on_progress=tell
                )

    done = run(main())
    _show(done)
    _finish(done.job, done.document(), report)


@app.command()
def collections(
    from_: From,
    dry_run: DryRun = False,
    rate: Annotated[float, typer.Option(help="Hierarchies a second, at most.")] = 100,
    report: ReportFile = None,
) -> None:
    """Copy the existing platform's hierarchies: what is live is published, what authors are at work on waits as drafts.

    Run again after an interruption it goes on where it stopped, and after its end it brings over what is new. Exit code
    3: done, but there are collections that were edited here since or could not be taken.
    """
    from gateway.commands.progress import progress
    from ingest.importers.legacy import MigratedCollections, migrate_collections

    async def main() -> MigratedCollections:
        async with instance() as cohort:
            with progress() as tell:
                return await migrate_collections(
                    cohort.shared, from_, dry_run=dry_run, rate=rate, on_progress=tell
                )

    done = run(main())
    _show_collections(done)
    _finish(done.job, done.document(), report)


def _show_collections(done: "MigratedCollections") -> None:
    told = done.report
    typer.echo(
        f"{'dry run, nothing written: ' if done.dry_run else ''}{told.read} collections: {told.loaded} brought over "
        f"({told.published} live, {told.drafts} with changes that are not published), {told.unchanged} unchanged, "
        f"{told.kept} edited here since, {told.refused} refused"
    )
    for kind, reasons in (("skipped", told.skipped), ("note", told.notes)):
        for reason, count in reasons.items():
            _tell(f"{kind}: {reason}", count, ())
    for root, why in list(told.why.items())[:SHOWN]:
        typer.echo(f"  {root}: {why}")
    if len(told.why) > SHOWN:
        typer.echo(f"  and {len(told.why) - SHOWN} more in the report")


def _finish(job: str, document: Mapping[str, Any], report: Path | None) -> None:
    """Writes the report, and ends with LOOK if there is something to look at."""
    path = report or Path(f"migration-{job}.json")
    _write(document, path)
    typer.echo(f"report: {path}")
    if not document["whole"]:
        raise typer.Exit(LOOK)


def _show(report: "MigrationReport") -> None:
    """Prints a line for each table, and below it what to look at."""
    columns = ("read", "written", "unchanged", "left", "skipped", "filled", "triggers")
    typer.echo(
        f"{'dry run, nothing written' if report.dry_run else '':24}" + "".join(f"{c:>11}" for c in columns)
    )
    for name, table in report.tables.items():
        counts = (
            *(table.read, table.written, table.unchanged, table.left),
            *(sum(table.skipped.values()), table.filled, table.triggers),
        )
        typer.echo(f"{name:24}" + "".join(f"{count:>11}" for count in counts))
        for kind, reasons in (("skipped", table.skipped), ("note", table.notes)):
            for reason, count in reasons.items():
                _tell(f"{kind}: {reason}", count, table.examples.get(reason, ()))
        for kind, names in (
            ("collections not published here", table.unpublished),
            ("contexts not known here", table.unknown_contexts),
        ):
            if names:
                _tell(f"rows of {len(names)} {kind}", sum(names.values()), list(names)[:5])
        if table.compared or table.not_compared:
            typer.echo(
                f"  compared {table.compared}: {table.same} the same, {table.compared - table.same} differ; "
                f"{table.not_compared} not comparable"
            )
            for reason, count in table.differences.items():
                _tell(reason, count, table.examples.get(reason, ()))
    for name in report.missing:
        typer.echo(f"{name:24} is not there")


def _tell(what: str, count: int, examples: "list[str] | tuple[()]") -> None:
    typer.echo(f"  {what}: {count}")
    for example in examples:
        typer.echo(f"    {example}")


def _write(document: Mapping[str, Any], path: Path) -> None:
    import orjson

    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
