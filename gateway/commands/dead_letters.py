"""`cohort dead-letters`: events that could not be processed."""

from typing import Annotated

import typer

from gateway.commands import instance, run

app = typer.Typer(help="List or replay events that could not be processed.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """What waits, the oldest first: place, time, key and reason."""

    async def main() -> None:
        from ingest.workers.dead_letters import pending

        async with instance() as cohort:
            count = 0
            async for letter in pending(cohort.stores):
                count += 1
                typer.echo(
                    f"{letter.place}  {letter.died_at:%Y-%m-%dT%H:%M:%SZ}  {letter.key}  {letter.reason}"
                )
            typer.echo(f"{count} dead letters", err=True)

    run(main())


@app.command()
def replay(
    place: Annotated[str | None, typer.Argument(help="The one at this place. [default: all of them]")] = None,
) -> None:
    """Send them to the workers again. One that fails again comes back."""

    async def main() -> None:
        from ingest.workers.dead_letters import replay
        from rules.errors import NotFound

        async with instance() as cohort:
            count = await replay(cohort.stores, place)
        if place is not None and not count:
            raise NotFound(f"no dead letter waits at {place}", field="place")
        typer.echo(f"{count} replayed")

    run(main())
