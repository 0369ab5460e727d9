"""`cohort load`: collections and data sets into an instance."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands import instance, run
from rules.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from ingest.publishing.loading import Loaded

app = typer.Typer(help="Load a data set, or collections.", no_args_is_help=True)


@app.command()
def oulad(
    directory: Annotated[Path, typer.Argument(help="Where its CSV files are.", exists=True, file_okay=False)],
) -> None:
    """Load the Open University Learning Analytics Dataset.

    Run again after an interruption: it goes on where it stopped. A worker turns what is loaded into progress.
    """
    from gateway.commands.progress import progress
    from ingest.importers.oulad import OuladReport, load_oulad

    async def main() -> OuladReport:
        async with instance() as cohort:
            with progress() as tell:
                return await load_oulad(cohort.shared, directory, tell)

    for noun, (loaded, there, different) in run(main()).document().items():
        typer.echo(
            f"{noun:14}{loaded:>10} loaded {there:>10} there already {different:>10} left, changed since"
        )


def hierarchy(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="A collection each, as JSON: its tree, or a whole answer of the platform's read call.",
            exists=True,
            dir_okay=False,
        ),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Also over what authors have edited here since.")
    ] = False,
) -> None:
    """Load collections: live at once, and open to edits. Of a new version, the workers recompute the learners.

    One file after the other, so that any number of them fits into memory. Run again, it completes what was interrupted
    and changes nothing else.
    """
    from ingest.publishing.loading import load_hierarchy

    async def main() -> None:
        async with instance() as cohort:
            for file in files:
                document = _document(file)
                try:
                    done = await load_hierarchy(cohort.operator(), document, replace_edits=replace)
                except InvalidInput as error:
                    raise InvalidInput(f"{file}: {error.message}", field=error.field) from None
                except Conflict as error:
                    raise Conflict(
                        f"{file}: {error.message}; --replace does that", field=error.field
                    ) from None
                typer.echo(_told(done))

    run(main())


app.command()(hierarchy)
app.command("collection", help="The former name of `cohort load hierarchy`.")(hierarchy)


def _document(file: Path) -> object:
    import orjson

    try:
        return orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{file} is not JSON: {error}") from None


def _told(done: "Loaded") -> str:
    became = f"live, version {done.version}" if done.changed else "live already"
    told = f"{done.identifier}: {became}, {done.leaf_nodes_count} leaf nodes"
    if done.leaves_kept:
        told += f"; {done.leaves_kept} keep their own draft"
    if done.drifted:
        told += f"; {done.drifted} learners are being recomputed"
    return told
