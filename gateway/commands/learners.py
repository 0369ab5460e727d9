"""`cohort learners`: what is done about learners as a whole."""

from typing import Annotated

import typer

from gateway.commands import instance, run

app = typer.Typer(help="Delete all that a learner has.", no_args_is_help=True)


@app.callback()
def options() -> None:
    """Keeps `erase` a command of its own, although it is the only one."""


@app.command()
def erase(
    user: Annotated[str, typer.Argument(help="The learner's user id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all of a learner, for good: views, attempts, enrolments, figures, groups, profile, files."""
    if not yes:
        typer.confirm(f"Delete all that {user} has, for good?", abort=True, err=True)

    async def main() -> None:
        from gateway.commands.progress import job_progress
        from ingest.jobs.erasure import erase_learner

        async with instance() as cohort:
            with job_progress() as tell:
                report = await erase_learner(cohort.shared, user, tell)
        typer.echo(
            f"{report.places} places with {report.views} views and {report.groups} groups deleted; "
            "the workers delete what they computed"
        )

    run(main())
