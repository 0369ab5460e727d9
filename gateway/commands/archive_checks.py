"""`cohort archive verify` and `cohort archive restore`."""

from typing import Annotated

import typer

from gateway.commands import instance, run

Json = Annotated[bool, typer.Option("--json", help="Print what was found or done as JSON.")]


def verify(
    context: Annotated[str | None, typer.Option(help="Files of this context alone. [default: all]")] = None,
    request: Annotated[
        str | None, typer.Option(help="The file of this request alone. [default: all]")
    ] = None,
    rate: Annotated[float, typer.Option(help="Attempts a second, at most.")] = 20_000,
    json: Json = False,
) -> None:
    """Read the archive back and compare it with the catalogue and the rows. Exit code 1 if anything differs."""

    async def main() -> bool:
        from dataclasses import asdict

        import orjson

        from gateway.commands.progress import job_progress
        from ingest.archival.verification import verify

        async with instance() as cohort:
            with job_progress() as tell:
                report = await verify(
                    cohort.shared, context_id=context, request_id=request, rate=rate, on_progress=tell
                )
        if json:
            typer.echo(orjson.dumps(asdict(report)).decode())
            return report.differences == 0
        for example in report.examples:
            typer.echo(example)
        if report.differences > len(report.examples):
            typer.echo(f"… and {report.differences - len(report.examples)} more")
        typer.echo(
            f"{report.files} files with {report.attempts} attempts and {report.rows} slim rows looked at, "
            f"{report.passed_over} passed over: {report.differences} differences"
        )
        return report.differences == 0

    if not run(main()):
        raise typer.Exit(1)


def restore(
    request: Annotated[str | None, typer.Argument(help="As `cohort archive list` shows it.")] = None,
    context: Annotated[str | None, typer.Option(help="All requests of this context.")] = None,
    json: Json = False,
) -> None:
    """Bring the questions of archived attempts back to live rows. The next run archives them again if they are old."""

    async def main() -> None:
        from dataclasses import asdict

        import orjson

        from gateway.commands.progress import job_progress
        from ingest.archival.restoring import restore

        async with instance() as cohort:
            with job_progress() as tell:
                report = await restore(
                    cohort.shared, request_id=request, context_id=context, on_progress=tell
                )
        if json:
            typer.echo(orjson.dumps(asdict(report)).decode())
            return
        typer.echo(
            f"{report.attempts} attempts of {report.requests} requests are live again, {report.left} had newer "
            "versions or are deleted"
        )

    run(main())
