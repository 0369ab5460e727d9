"""`cohort documents`: the documents of GraphQL that this instance trusts."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.commands import instance, run

app = typer.Typer(help="Documents of GraphQL that this instance trusts.", no_args_is_help=True)


@app.command()
def load(
    manifest: Annotated[
        Path,
        typer.Argument(
            help="Apollo's persisted query manifest, a JSON object of SHA-256 and text, or a folder of .graphql files."
        ),
    ],
) -> None:
    """Trust the documents of a client: all of them, or none where one does not hold. Those that are there stay."""

    async def main() -> None:
        from gateway.trusted_documents import load_manifest

        async with instance() as cohort:
            loaded = await load_manifest(cohort, manifest)
        typer.echo(f"{len(loaded)} loaded")

    run(main())


@app.command("list")
def list_() -> None:
    """Each trusted document: its id, when it was loaded, and the names of its operations."""

    async def main() -> None:
        async with instance() as cohort:
            documents = await cohort.shared.client_documents.all_trusted()
        for document in documents:
            typer.echo(f"{document.id}  {document.loaded_on:%Y-%m-%dT%H:%M:%SZ}  {document.name}")
        typer.echo(f"{len(documents)} trusted documents", err=True)

    run(main())


@app.command()
def remove(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of documents, as `list` prints them.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Trust these documents no longer: gateways refuse them within half a minute."""
    if bool(ids) == everything:
        raise typer.BadParameter("give the ids of documents, or --all", param_hint="IDS")

    async def main() -> None:
        from ingest.writes.trusted_documents import remove_trusted
        from rules.client_documents import checked_document_id
        from rules.errors import NotFound

        async with instance() as cohort:
            there = {document.id for document in await cohort.shared.client_documents.all_trusted()}
            named = there if everything else {checked_document_id(one, "IDS") for one in ids or ()}
            if unknown := sorted(named - there):
                raise NotFound(f"{unknown[0]} is no trusted document: nothing was removed", field="IDS")
            await remove_trusted(cohort.stores.rows, sorted(named))
        typer.echo(f"{len(named)} removed")

    run(main())
