"""The reports of `cohort migrate`: on the console, and as a file."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rules.errors import InvalidInput
from rules.jobs import JobState

if TYPE_CHECKING:
    from ingest.importers.legacy import MigratedCollections, MigrationReport, TableReport

SHOWN = 20
"""Collections that are named on the console. The report names more."""
COLUMNS = ("read", "written", "unchanged", "left", "older", "skipped", "filled", "granted", "triggers")


def check_writable(report: Path) -> None:
    """Raises InvalidInput if the report, or a file beside it, could not be written."""
    folder = report.absolute().parent
    if not folder.is_dir():
        raise InvalidInput(f"there is no folder {folder} for the report", field="report")
    if not os.access(folder, os.W_OK | os.X_OK) or (report.exists() and not os.access(report, os.W_OK)):
        raise InvalidInput(f"the report {report} can't be written", field="report")


def write_report(document: Mapping[str, Any], path: Path) -> None:
    import orjson

    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    typer.echo(f"report: {path}")


def show(report: "MigrationReport") -> None:
    """Prints a line for each table, and below it what to look at."""
    state = "" if report.state is JobState.DONE else f"so far, {report.state.value}"
    title = ", ".join(filter(None, ("dry run, nothing written" if report.dry_run else "", state)))
    typer.echo(f"{title:24}" + "".join(f"{column:>11}" for column in COLUMNS))
    for name, table in report.tables.items():
        counts = (
            *(table.read, table.written, table.unchanged, table.left, table.older),
            *(sum(table.skipped.values()), table.filled, table.granted, table.triggers),
        )
        typer.echo(f"{name:24}" + "".join(f"{count:>11}" for count in counts))
        for column, follows in report.columns.get(name, {}).get("missing", {}).items():
            typer.echo(f"  no column {column}: {follows}")
        _show_reasons(table)
    for name in report.missing:
        typer.echo(f"{name:24} is not there")


def _show_reasons(table: "TableReport") -> None:
    for kind, reasons in (("skipped", table.skipped), ("note", table.notes)):
        for reason, count in reasons.items():
            _tell(f"{kind}: {reason}", count, table.examples.get(reason, ()))
    for kind, names in (
        ("collections not published here", table.unpublished),
        ("contexts not known here", table.unknown_contexts),
    ):
        if names:
            _tell(f"rows of {len(names)} {kind}", sum(names.values()), list(names)[:5])
    if table.compared or table.not_compared:
        typer.echo(
            f"  compared {table.compared}: {table.same} the same, {table.compared - table.same} differ; "
            f"{table.not_compared} not comparable"
        )
        for reason, count in table.differences.items():
            _tell(reason, count, table.examples.get(reason, ()))


def show_collections(done: "MigratedCollections") -> None:
    told = done.report
    typer.echo(
        f"{'dry run, nothing written: ' if done.dry_run else ''}{told.read} collections: {told.loaded} brought over "
        f"({told.published} live, {told.drafts} with changes that are not published), {told.unchanged} unchanged, "
        f"{told.kept} edited here since, {told.refused} refused"
    )
    for kind, reasons in (("skipped", told.skipped), ("note", told.notes)):
        for reason, count in reasons.items():
            _tell(f"{kind}: {reason}", count, ())
    for root, why in list(told.why.items())[:SHOWN]:
        typer.echo(f"  {root}: {why}")
    if len(told.why) > SHOWN:
        typer.echo(f"  and {len(told.why) - SHOWN} more in the report")


def _tell(what: str, count: int, examples: Iterable[str]) -> None:
    typer.echo(f"  {what}: {count}")
    for example in examples:
        typer.echo(f"    {example}")
