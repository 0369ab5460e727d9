"""`cohort search`: the search indexes, of collections and of learners."""

from typing import Annotated

import typer

from gateway.commands import instance, run

app = typer.Typer(help="Check or repair the search indexes.", no_args_is_help=True)


@app.callback()
def options() -> None:
    """Keeps `check` a command of its own, although it is the only one."""


@app.command()
def check(
    collection: Annotated[
        str | None, typer.Option(help="This collection alone. [default: all, and all learners]")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Bring the indexes up to date.")] = False,
    rate: Annotated[
        float, typer.Option(help="Collections a second, at most, and a hundred times as many learners.")
    ] = 200,
) -> None:
    """Compare the search indexes with what is published and with the profiles. Exits with 1 if differences remain."""

    async def main() -> int:
        from gateway.commands.progress import job_progress
        from ingest.learner_index.check import LearnerCheckReport, check_learners
        from ingest.publishing.search_check import check_search

        async with instance() as cohort:
            with job_progress() as tell:
                report = await check_search(
                    cohort.shared, collection, repair=repair, rate=rate, on_progress=tell
                )
            learners = LearnerCheckReport()
            if collection is None:
                with job_progress() as tell:
                    learners = await check_learners(
                        cohort.shared, repair=repair, rate=100 * rate, on_progress=tell
                    )
        typer.echo(
            f"{report.collections} collections, {report.missing} documents missing, {report.changed} changed, "
            f"{report.extra} of what is not published, {report.repaired} repaired, {report.failed} collections failed"
        )
        for example in report.examples:
            typer.echo(f"  {example}")
        if collection is None:
            counts = learners.found
            typer.echo(
                f"{learners.learners} learners, {counts.missing} missing, {counts.changed} changed, {counts.extra} without a "
                f"profile, {learners.repaired} repaired"
            )
        return report.remaining + learners.remaining

    if run(main()):
        raise typer.Exit(1)
