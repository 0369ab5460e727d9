"""`cohort blobs`: files for download."""

import typer

from gateway.commands import instance, run

app = typer.Typer(help="Files for download.", no_args_is_help=True)


@app.callback()
def options() -> None:
    """Keeps `sweep` a command of its own, although it is the only one."""


@app.command()
def sweep() -> None:
    """Delete what has expired: let it run once a day. Each learner's next download deletes their own."""

    async def main() -> int:
        from ingest.commands.exhaust_files import EXHAUSTS
        from ingest.commands.exports import EXPORTS

        async with instance() as cohort:
            blobs, now = cohort.stores.blobs, cohort.shared.now()
            return sum([await files.sweep(blobs, now) for files in (EXPORTS, EXHAUSTS)])

    typer.echo(f"{run(main())} deleted")
