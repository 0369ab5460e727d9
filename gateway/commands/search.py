"""`cohort search`: the search index."""

from typing import Annotated

import typer

from gateway.commands import instance, run

app = typer.Typer(help="Check or repair the search index.", no_args_is_help=True)


@app.callback()
def options() -> None:
    """Keeps `check` a command of its own, although it is the only one."""


@app.command()
def check(
    collection: Annotated[str | None, typer.Option(help="This collection alone. [default: all]")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Bring the index up to date.")] = False,
    rate: Annotated[float, typer.Option(help="Collections a second, at most.")] = 200,
) -> None:
    """Compare the search index with what is published. Exits with 1 if differences remain."""

    async def main() -> int:
        from gateway.commands.progress import job_progress
        from ingest.publishing.search_check import check_search

        async with instance() as cohort:
            with job_progress() as tell:
                report = await check_search(
                    cohort.shared, collection, repair=repair, rate=rate, on_progress=tell
                )
        typer.echo(
            f"{report.collections} collections, {report.missing} documents missing, {report.changed} changed, "
            f"{report.extra} of what is not published, {report.repaired} repaired, {report.failed} collections failed"
        )
        for example in report.examples:
            typer.echo(f"  {example}")
        return report.remaining

    if run(main()):
        raise typer.Exit(1)
