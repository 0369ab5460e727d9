"""`cohort load`: collections and data sets into an instance."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.commands import instance, run
from rules.errors import InvalidInput

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


@app.command()
def collection(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="A hierarchy each, as nested JSON.", exists=True, dir_okay=False
        ),
    ],
) -> None:
    """Publish collections: they are live at once. Of a new version, the workers recompute all its learners."""
    import orjson

    from ingest.jobs.reconcile import reconcile
    from ingest.publishing.direct import publish_collection

    documents = {}
    for file in files:
        try:
            documents[file] = orjson.loads(file.read_bytes())
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"{file} is not JSON: {error}") from None

    async def main() -> None:
        async with instance() as cohort:
            for file, document in documents.items():
                try:
                    done = await publish_collection(cohort.operator(), document)
                except InvalidInput as error:
                    raise InvalidInput(f"{file}: {error.message}", field=error.field) from None
                became = f"live, version {done.version}" if done.changed else "live already"
                typer.echo(f"{done.identifier}: {became}, {done.leaf_nodes_count} leaf nodes")
                if done.changed and done.version > 1:
                    report = await reconcile(cohort.shared, collection_id=done.identifier)
                    typer.echo(f"{done.identifier}: {report.drifted} learners are being recomputed")

    run(main())
