"""`cohort migrate`: from the platform that Cohort takes over from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands import instance, run

if TYPE_CHECKING:
    from ingest.importers.legacy import MigrationReport

app = typer.Typer(help="Bring over what another platform has stored.", no_args_is_help=True)

LOOK = 3
"""The exit code of a migration that left rows behind or found differences without a known reason."""


@app.callback()
def options() -> None:
    """Keeps `legacy` a command of its own, although it is the only one."""


@app.command()
def legacy(
    from_: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="URL",
            help="The keyspace: cassandra://USER:PASSWORD@HOST,HOST:PORT/KEYSPACE?dc=DATACENTER. "
            "Without a password that of COHORT_LEGACY_PASSWORD is taken.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and map everything, write nothing, say what it would do.")
    ] = False,
    rate: Annotated[float, typer.Option(help="Rows a second, at most.")] = 5000,
    sample: Annotated[
        int, typer.Option(help="Compare one enrolment in so many with what the platform shows; 1 for all.")
    ] = 100,
    report: Annotated[
        Path | None, typer.Option(help="Where the report goes. [default: migration-JOB.json]", dir_okay=False)
    ] = None,
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
    path = report or Path(f"migration-{done.job}.json")
    _write(done, path)
    typer.echo(f"report: {path}")
    if not done.is_whole:
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


def _write(report: "MigrationReport", path: Path) -> None:
    import orjson

    path.write_bytes(orjson.dumps(report.document(), option=orjson.OPT_INDENT_2) + b"\n")
