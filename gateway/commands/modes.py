"""`cohort modes`: in which mode the rows are kept, and going over to another one."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands import instance, run
from rules.errors import InvalidInput
from rules.tracking import TrackingMode

if TYPE_CHECKING:
    from gateway.wiring import Cohort
    from ingest.jobs.learner_change import ModeChangeReport

app = typer.Typer(help="What a view counts for elsewhere: see the mode, or change it.", no_args_is_help=True)

SETTING = "COHORT_TRACKING_MODE"


@app.command()
def show() -> None:
    """The mode that rows are kept in, the rules, and a change that is under way."""

    async def main() -> None:
        from ingest.modes.agreement import agreed
        from rules.modes import HAVE_RULES, carries_nothing

        async with instance(in_any_mode=True) as cohort:
            there, tracking = await agreed(cohort.stores.rows), cohort.shared.tracking
        if there is None:
            typer.echo("rows are kept   nothing is kept yet: the first start decides")
        elif there.to is None:
            typer.echo(f"rows are kept   {there.mode.value}")
        else:
            typer.echo(
                f"rows are kept   {there.mode.value}, going over to {there.to.value}: "
                f"`cohort modes change --to {there.to.value}` goes on with it"
            )
        typer.echo(f"set to          {tracking.mode.value}")
        if tracking.mode not in HAVE_RULES:
            return
        if (problem := carries_nothing(tracking)) is not None:
            typer.echo(f"rules           none: nothing is carried over ({problem})")
            return
        together = "all of them must hold" if tracking.rules.needs_all else "any one of them lets it count"
        typer.echo(f"rules           {together}")
        for rule in tracking.rules.rules:
            typer.echo(f"                {rule.words}")

    run(main())


@app.command()
def change(
    to: Annotated[TrackingMode, typer.Option("--to", help="The mode to go over to.")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    rate: Annotated[float, typer.Option(help="Learners a second, at most.")] = 500,
) -> None:
    """Go over to another mode: says what it would do, asks, and does it. Nobody loses what they see.

    Stop all servers and workers first. Again after an interruption: it goes on where it stopped. Again after its end: it
    takes what processes of the mode before have written since.
    """

    async def main() -> None:
        from gateway.commands.progress import job_progress
        from ingest.jobs.mode_change import change_mode, survey

        async with instance(in_any_mode=True) as cohort:
            old = await _from(cohort, to)
            if old is None:
                return
            _tell(old, to, await survey(cohort.shared, old, to))
            if not yes:
                _confirm()
            with job_progress() as tell:
                report = await change_mode(cohort.shared, old, to, rate=rate, on_progress=tell)
            told = cohort.settings.tracking_mode
        typer.echo(
            f"done: {report.views} views and {report.attempts} attempts written, "
            f"{report.enrolments} enrolments sent to the workers"
        )
        if told != to.value:
            typer.echo(
                f"set {SETTING}={to.value} before you start servers and workers: they are set to {told}"
            )

    run(main())


async def _from(cohort: "Cohort", to: TrackingMode) -> TrackingMode | None:
    """The mode to go over from; None, with a line printed, if there is nothing to do."""
    from ingest.jobs.mode_change import mode_before
    from ingest.modes.agreement import agree

    there = await agree(cohort.stores.rows, to, cohort.shared.now())
    if there.to is not None:
        if there.to is not to:
            raise InvalidInput(
                f"a change from {there.mode.value} to {there.to.value} is under way; finish it first: "
                f"cohort modes change --to {there.to.value}",
                field="to",
            )
        typer.echo(f"a change from {there.mode.value} to {to.value} was begun and goes on")
        return there.mode
    if there.mode is not to:
        return there.mode
    before = await mode_before(cohort.shared, to)
    if before is None or before is to:
        typer.echo(f"the rows are kept in mode {to.value}: nothing to do")
        return None
    typer.echo(f"the rows are kept in mode {to.value}; what was written in {before.value} since comes over")
    return before


def _tell(old: TrackingMode, new: TrackingMode, report: "ModeChangeReport") -> None:
    from rules.modes import seen_differently

    typer.echo(f"from {old.value} to {new.value}:")
    typer.echo(f"{report.learners:>10} learners have views or attempts")
    typer.echo(f"{report.views:>10} views to write; none is deleted")
    typer.echo(f"{report.attempts:>10} attempts to write; none is deleted")
    typer.echo(f"{report.enrolments:>10} enrolments for the workers to recompute")
    if report.left:
        typer.echo(f"{report.left:>10} enrolments of collections or contexts that are gone stay as they are")
    typer.echo("What learners see differently afterwards:")
    for line in seen_differently(old, new):
        typer.echo(f"  - {line}")


def _is_somebody_there() -> bool:
    return sys.stdin.isatty()


def _confirm() -> None:
    if not _is_somebody_there():
        raise InvalidInput("nobody is there to be asked: say --yes to do it", field="yes")
    if not typer.confirm("All servers and workers are stopped, and this is to be done?"):
        raise typer.Exit(1)
