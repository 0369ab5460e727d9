"""`cohort backup` and `cohort restore`: the embedded stores of an instance, in a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands import run

if TYPE_CHECKING:
    from gateway.settings import Settings
    from stores.backup import EmbeddedFiles

AFTERWARDS = (
    "cohort init",
    "cohort learners erase --listed FILE   # who was erased since; FILE is of `cohort learners erased`",
    "cohort worker &                       # from here on; or cohort serve, where it is all of the instance",
    "cohort reconcile --states",
    "cohort search check --repair",
    "cohort aggregate run --all",
)
"""What is to be done after a restore, in order."""


def backup(folder: Annotated[Path, typer.Argument(help="A new folder for the backup.")]) -> None:
    """Back up what is in files here: log, rows, blobs. Everything may run on meanwhile. docs/backup.md has the servers."""
    from gateway.settings import load_settings

    settings = load_settings()

    async def main() -> None:
        from datetime import UTC, datetime

        from gateway.wiring import opened
        from rules.moments import written
        from stores.backup import back_up

        began = written(datetime.now(UTC))
        async with opened(settings) as stores:
            schema = await stores.rows.schema_version()
        files = _files(settings)
        manifest = await back_up(files, folder, began=began, schema=schema)
        size = sum(copied["bytes"] for copied in manifest["files"].values())
        typer.echo(
            f"{', '.join(manifest['stores'])} as of {began}: {len(manifest['files'])} files, {size / 1e6:,.1f} MB"
        )
        if files.elsewhere:
            typer.echo(f"on servers, and not in it: {', '.join(files.elsewhere)}")

    run(main())


def restore(folder: Annotated[Path, typer.Argument(help="A folder that `cohort backup` has made.")]) -> None:
    """Bring a backup back to where nothing is, while nothing runs. Says what is to be done then."""
    from gateway.settings import load_settings

    settings = load_settings()

    async def main() -> None:
        from stores.backup import restore
        from stores.schema import version_of
        from stores.tables import TABLES

        manifest = await restore(_files(settings), folder, known=version_of(TABLES))
        typer.echo(
            f"{', '.join(manifest['stores'])} as of {manifest['began']}: {len(manifest['files'])} files. Now, in order:"
        )
        for line in AFTERWARDS:
            typer.echo(f"  {line}")

    run(main())


def _files(settings: "Settings") -> "EmbeddedFiles":
    from stores.backup import EmbeddedFiles

    return EmbeddedFiles(settings.stores, settings.prefix, settings.data)
