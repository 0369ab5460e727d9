"""`cohort publish`: drafts go live in this process, without a publisher."""

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands import instance, run

if TYPE_CHECKING:
    from ingest.jobs.records import JobRecord, OnProgress


def publish(
    identifiers: Annotated[list[str], typer.Argument(metavar="ID…", help="Collections or contents.")],
    unlisted: Annotated[
        bool, typer.Option("--unlisted", help="Found by those alone who have the identifier.")
    ] = False,
) -> None:
    """Publish drafts, one after the other, and tell of each step; of long ones the rate and the time left, too."""

    async def main() -> None:
        from gateway.commands.progress import publication_progress
        from ingest.publishing.requests import create_publication, run_publication

        async with instance() as cohort:
            for identifier in identifiers:
                job = await create_publication(cohort.operator(), identifier, unlisted=unlisted)
                typer.echo(f"{identifier}: publication {job.id}")
                with publication_progress() as long_steps:
                    told = _Told(long_steps)
                    job = await run_publication(cohort.shared, job.id, told.tell)
                typer.echo(f"{identifier}: {told.outcome(job)}")

    run(main())


class _Told:
    """Prints each step once, when it is done."""

    def __init__(self, long_steps: "OnProgress") -> None:
        self._steps: set[str] = set()
        self._long_steps = long_steps

    def tell(self, job: "JobRecord") -> None:
        from ingest.publishing.job import steps_of

        done = {step.name: step.checkpoint for step in job.steps if step.state.value == "done"}
        for name in steps_of(job.arguments):
            if name in done and name not in self._steps:
                self._steps.add(name)
                report = " ".join(f"{key}={value}" for key, value in done[name].report.items())
                typer.echo(f"  {name:11}{done[name].done:>7}  {report}".rstrip())
        self._long_steps(job)

    def outcome(self, job: "JobRecord") -> str:
        reports = {step.name: step.checkpoint.report for step in job.steps}
        version = reports["validate"].get("version")
        if version is None:
            return "nothing to publish"
        behind = "; not in the search, which is away: `cohort search check --repair`"
        return f"live, version {version}{behind if reports['search'].get('away') else ''}"
