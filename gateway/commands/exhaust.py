"""`cohort exhaust`: reports of all learners of a context, as files."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gateway.commands import instance, run

if TYPE_CHECKING:
    from gateway.wiring import Cohort
    from ingest.jobs.records import JobRecord
    from resolvers.exhausts import Exhaust

E = TypeVar("E", bound=Enum)

app = typer.Typer(help="Reports of all learners of a context, as files.", no_args_is_help=True)


@app.command("run")
def run_(
    kind: Annotated[str, typer.Option(help="responses or progress.")],
    collection: Annotated[str, typer.Option(help="The collection.")],
    context: Annotated[str, typer.Option(help="One of its contexts.")],
    format_: Annotated[str, typer.Option("--format", help="csv or parquet.")] = "csv",
    password_file: Annotated[
        Path | None, typer.Option(help="Holds the password of an encrypted zip, in its first line.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the file here too.")] = None,
) -> None:
    """Write an exhaust in this process, and print a link to it."""

    async def main() -> None:
        from gateway.commands.progress import progress
        from ingest.exhausts.requests import ExhaustCall, create_exhaust, run_exhaust
        from resolvers.exhausts import Exhaust
        from rules.exhausts import ExhaustFormat, ExhaustKind

        password = None if password_file is None else _first_line(password_file)
        call = ExhaustCall(
            _one_of(ExhaustKind, kind, "--kind"),
            collection,
            context,
            _one_of(ExhaustFormat, format_, "--format"),
            password,
        )
        async with instance() as cohort:
            job = await create_exhaust(cohort.operator(), call)
            with progress() as tell:

                def told(record: "JobRecord") -> None:
                    found = Exhaust.of(record)
                    if found.learners_total:
                        tell("learners", found.learners, found.learners_total)

                job = await run_exhaust(cohort.shared, job.id, told)
            found = Exhaust.of(job)
            if out is not None:
                await _save(cohort, found, out)
            await _print(cohort, found)

    run(main())


@app.command("list")
def list_() -> None:
    """The newest first."""

    async def main() -> None:
        from ingest.commands.exhaust_files import EXHAUST
        from ingest.jobs.runner import Jobs
        from resolvers.exhausts import Exhaust

        async with instance() as cohort:
            for job in await Jobs(cohort.shared).list():
                if job.kind == EXHAUST:
                    typer.echo(_line(Exhaust.of(job)))

    run(main())


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `cohort exhaust list` shows it.")],
) -> None:
    """How far an exhaust is, with a new link to its file."""

    async def main() -> None:
        from resolvers.exhausts import exhaust

        async with instance() as cohort:
            await _print(cohort, await exhaust(cohort.operator(), id_))

    run(main())


def _line(found: "Exhaust") -> str:
    line = (
        f"{found.id}  {found.kind.value:9} {found.format.value:7} {found.collection_id} under {found.context_id}: "
        f"{found.state.value}, {found.learners} of {found.learners_total} learners, {found.rows} rows"
    )
    return line if found.failure is None else f"{line}: {found.failure.message}"


async def _print(cohort: "Cohort", found: "Exhaust") -> None:
    from resolvers.exhausts import exhaust_link
    from rules.errors import StoreUnavailable

    typer.echo(_line(found))
    try:
        link = await exhaust_link(cohort.operator(), found)
    except StoreUnavailable as error:  # as without a signing key
        typer.echo(f"no link: {error}")
        return
    if link is not None:
        typer.echo(f"{link.size} bytes, until {link.expires_on:%Y-%m-%dT%H:%M:%SZ}: {link.url}")


async def _save(cohort: "Cohort", found: "Exhaust", out: Path) -> None:
    from stores.private import private_file

    with private_file(out).open("wb") as file:
        async for chunk in cohort.stores.blobs.get(found.file):
            file.write(chunk)


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")


def _one_of(known: type[E], text: str, option: str) -> E:
    try:
        return known(text)
    except ValueError:
        names = ", ".join(each.value for each in known)
        raise typer.BadParameter(f"{text!r} is none of {names}", param_hint=option) from None
