"""`cohort views`: what is done about views of all learners."""

from datetime import timedelta
from typing import Annotated

import typer

from gateway.commands import instance, run

app = typer.Typer(help="End views that never ended.", no_args_is_help=True)

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@app.callback()
def options() -> None:
    """Keeps `close` a command of its own, although it is the only one."""


@app.command()
def close(
    idle: Annotated[str, typer.Option(help="Since when nobody has touched them: 30d, 12h, 90m.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell how many there are; change nothing.")
    ] = False,
    rate: Annotated[float, typer.Option(help="Views to look at in a second, at most.")] = 2000,
) -> None:
    """Complete views that were started and left, at their last access; the workers count them."""
    since = _duration(idle)

    async def main() -> None:
        from gateway.commands.progress import job_progress
        from ingest.jobs.closing import close_idle_views

        async with instance() as cohort:
            with job_progress() as tell:
                closing = await close_idle_views(
                    cohort.shared, since, rate=rate, dry_run=dry_run, on_progress=tell
                )
        done = "would be closed" if dry_run else "closed"
        typer.echo(f"{closing.looked_at} looked at, {closing.closed} {done}")

    run(main())


def _duration(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not number.isascii() or not number.isdigit() or len(number) > 6:
        raise typer.BadParameter(f"{text!r} is no time; write it as 30d, 12h or 90m", param_hint="--idle")
    return timedelta(**{UNITS[unit]: int(number)})
