"""`cohort archive`: questions of old attempts as files."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gateway.commands import instance, run

if TYPE_CHECKING:
    from loaders.archives import Archive

app = typer.Typer(help="Move the questions of old attempts into files, or list these.", no_args_is_help=True)


@app.command("run")
def run_(
    older_than: Annotated[
        float | None,
        typer.Option(metavar="DAYS", help="Days since the last update. [default: the setting archive_after]"),
    ] = None,
    format_: Annotated[
        Literal["parquet", "csv.gz"] | None,
        typer.Option("--format", help="Of the files. [default: the setting archive_format]"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Archive what is old enough, and finish what earlier runs left."""

    async def main() -> None:
        from dataclasses import asdict, replace
        from datetime import timedelta

        import orjson

        from gateway.commands.progress import progress
        from gateway.gc_tuning import collect_rarely
        from gateway.wiring import archival_order
        from ingest.archival import archive
        from stores.column_files import FileFormat

        async with instance() as cohort:
            collect_rarely()
            order = archival_order(cohort.settings)
            if older_than is not None:
                order = replace(order, older_than=timedelta(days=older_than))
            if format_ is not None:
                order = replace(order, form=FileFormat(format_))
            with progress() as tell:
                report = await archive(cohort.shared, order, tell)
        if json:
            typer.echo(orjson.dumps(asdict(report)).decode())
            return
        typer.echo(
            f"{report.walked} attempts looked at, {report.due} due: {report.archived} archived in {report.files} files of "
            f"{report.size} bytes, {report.left} left, {report.failed} files failed, {report.settled} of earlier runs"
        )

    run(main())


@app.command("list")
def list_(
    context: Annotated[str | None, typer.Option(help="Of this context alone. [default: all]")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """The requests: each is a file of a context and a week, with its state."""

    async def main() -> None:
        from loaders.archives import all_archives, archives_of

        tell, found = _tell_json if json else _tell, False
        async with instance() as cohort:
            rows = cohort.stores.rows
            if context is None:
                async for archive in all_archives(rows):
                    found = True
                    tell(archive)
            else:
                for archive in await archives_of(rows, context):
                    found = True
                    tell(archive)
        if not found and not json:
            typer.echo("nothing is archived")

    run(main())


def _tell(archive: "Archive") -> None:
    week = f"{archive.part.week.year}-W{archive.part.week.week:02}"
    line = (
        f"{archive.part.context_id:24} {archive.request_id:36} {week} {archive.state.value:9} "
        f"{archive.attempts:6} attempts {archive.size or 0:10} bytes  {archive.blob}  {archive.error or ''}"
    )
    typer.echo(line.rstrip())


def _tell_json(archive: "Archive") -> None:
    import orjson

    told = {
        "contextId": archive.part.context_id,
        "requestId": archive.request_id,
        "year": archive.part.week.year,
        "week": archive.part.week.week,
        "state": archive.state.value,
        "jobId": archive.job_id,
        "attempts": archive.attempts,
        "bytes": archive.size,
        "checksum": archive.checksum,
        "format": archive.form.value,
        "blob": archive.blob,
        "error": archive.error,
        "createdOn": archive.created_on,
        "updatedOn": archive.updated_on,
    }
    typer.echo(orjson.dumps(told).decode())
