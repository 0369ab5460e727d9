"""`cohort jobs` and the jobs that have a command of their own."""

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands import instance, run

if TYPE_CHECKING:
    from datetime import datetime

    from ingest.jobs.records import JobRecord

app = typer.Typer(help="List or resume long jobs.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """The newest first."""

    async def main() -> None:
        from ingest.jobs.runner import Jobs

        # Also while a change of the mode is under way, which is one of them.
        async with instance(in_any_mode=True) as cohort:
            for job in await Jobs(cohort.shared).list():
                what = ": ".join(filter(None, (job.arguments.get("identifier"), job.error)))
                line = (
                    f"{job.kind:14} {job.id:24} {job.state.value:12} {_how_far(job, cohort.shared.now())}  "
                    f"{job.updated_on:%Y-%m-%dT%H:%M:%SZ}  {what}"
                )
                typer.echo(line.rstrip())

    run(main())


def _how_far(job: "JobRecord", at: "datetime") -> str:
    """Returns steps and things done; of a parted job parts and rows, and of a running one how fast it is."""
    from ingest.job_kinds import JOB_KINDS
    from ingest.jobs.speed import is_held, progress_of
    from rules.jobs import JobState

    if not any(kind.name == job.kind and kind.parted for kind in JOB_KINDS):
        return f"step {job.steps_done} of {job.total}, {job.done} done"
    told = f"part {job.steps_done} of {job.total}, {job.done:,} rows"
    if job.state is not JobState.RUNNING:
        return told
    held = sum(is_held(step, at) for step in job.steps)
    rate = sum(group.rate or 0 for group in progress_of(job, at))
    return f"{told}, {rate:,.0f} a second, {held} held" if held else f"{told}, no process is at it"


@app.command()
def resume(
    kind: Annotated[str, typer.Argument(help="As `cohort jobs list` shows it.")],
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `cohort jobs list` shows it.")],
) -> None:
    """Go on with a job where it stopped."""

    async def main() -> None:
        from gateway.commands.progress import job_progress
        from ingest.job_kinds import job_kind
        from ingest.jobs.runner import Jobs

        async with instance() as cohort:
            with job_progress() as tell:
                job = await Jobs(cohort.shared).resume(job_kind(kind), id_, tell, tell.waits)
        typer.echo(f"{job.kind} {job.id}: {job.state.value}, {job.done} done")

    run(main())


def reconcile(
    user: Annotated[str | None, typer.Option(help="This learner alone. [default: all]")] = None,
    collection: Annotated[str | None, typer.Option(help="This collection alone. [default: all]")] = None,
    rate: Annotated[float, typer.Option(help="Enrolments a second, at most.")] = 500,
    states: Annotated[
        bool,
        typer.Option("--states", help="Send every state again, to refill a lost data source."),
    ] = False,
) -> None:
    """Compare what is stored with what the rows say; the workers mend what differs."""

    async def main() -> None:
        from gateway.commands.progress import job_progress
        from ingest.jobs.reconcile import reconcile

        async with instance() as cohort:
            with job_progress() as tell:
                report = await reconcile(
                    cohort.shared,
                    user_id=user,
                    collection_id=collection,
                    rate=rate,
                    states=states,
                    on_progress=tell,
                )
        typer.echo(f"{report.checked} checked, {report.drifted} drifted, {report.failed} failed")
        for example in report.examples:
            typer.echo(f"  {example}")

    run(main())
