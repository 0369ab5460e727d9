"""`cohort aggregate`: batch mode."""

from typing import Annotated

import typer

from gateway.commands import instance, run

app = typer.Typer(
    help="Compute the figures of activities and groups, or see when it was done.", no_args_is_help=True
)


@app.command("run")
def run_(
    everything: Annotated[
        bool, typer.Option("--all", help="Not only what was touched: send and write everything again.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Recompute what was touched since the last run; the first time everything."""

    async def main() -> None:
        from dataclasses import asdict

        import orjson

        from gateway.commands.progress import progress
        from ingest.aggregation import aggregate

        async with instance() as cohort:
            with progress() as tell:
                report = await aggregate(
                    cohort.shared,
                    static=cohort.settings.static,
                    everything=everything,
                    on_progress=tell,
                )
        if json:
            typer.echo(orjson.dumps(asdict(report)).decode())
            return
        looked_at = "everything" if report.everything else f"what {report.records} records touched"
        typer.echo(
            f"{looked_at}: {report.activities} activities, {report.groups} of groups, {report.cells} cells "
            f"({report.vanished} vanished), {report.removed} removed, {report.files} files, {report.seconds:.1f} s"
        )

    run(main())


@app.command()
def status() -> None:
    """When the last run began, who is at it now, and what waits for the next one."""

    async def main() -> None:
        from ingest.aggregation import aggregation_status

        async with instance() as cohort:
            found = await aggregation_status(cohort.shared)
        typer.echo(f"last run   {f'{found.as_of:%Y-%m-%dT%H:%M:%SZ}' if found.as_of else 'none yet'}")
        typer.echo(f"at it now  {found.owner or 'nobody'}")
        for topic, records in found.lag.items():
            typer.echo(f"waiting    {records} of {topic}")

    run(main())
