"""Figures as a sheet: columns and rows that are written as JSON, as CSV or as Parquet."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from resolvers.active_learners import Timeline
from resolvers.funnels import Funnel
from resolvers.metrics import Answered
from rules.exhausts import csv_lines
from rules.metric_columns import Column, ColumnKind, Side
from rules.metrics import Metric
from rules.moments import written
from rules.privacy import CohortRule
from stores.column_files import ColumnKind as Holds
from stores.column_files import FileFormat, write_file


class SheetFormat(Enum):
    """How a sheet is written."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


MEDIA_TYPES: Mapping[SheetFormat, str] = {
    SheetFormat.JSON: "application/json",
    SheetFormat.CSV: "text/csv",
    SheetFormat.PARQUET: "application/vnd.apache.parquet",
}
MANY_ROWS = 1_000
"""Rows beyond which CSV is written in a thread."""


@dataclass(frozen=True, slots=True)
class SheetColumn:
    """``holds``: the type of its values in a file."""

    name: str
    kind: ColumnKind
    holds: Holds


@dataclass(frozen=True, slots=True)
class Sheet:
    """``totals``: a row over everything, or None. ``as_of`` and ``complete`` as tables have them (loaders/metrics).
    ``source``: what it was read from, by GraphQL's name. ``rule``: by which cohorts are withheld, or None."""

    columns: Sequence[SheetColumn]
    rows: Sequence[Sequence[Any]]
    totals: Sequence[Any] | None
    as_of: datetime | None
    complete: bool
    source: str
    rule: CohortRule | None = None

    def told(self) -> dict[str, Any]:
        """The sheet as JSON has it."""
        return {
            "columns": [{"name": column.name, "kind": column.kind.name} for column in self.columns],
            "rows": self.rows,
            "totals": self.totals,
            "asOf": None if self.as_of is None else written(self.as_of),
            "complete": self.complete,
            "source": self.source,
            "privacy": None if self.rule is None else self.rule.told(),
        }


def sheet_of_table(answered: Answered) -> Sheet:
    table = answered.table
    columns = [SheetColumn(column.name, column.kind, _holds(column)) for column in table.columns]
    source = answered.plan.source.name
    return Sheet(columns, table.rows, table.totals, answered.as_of, answered.complete, source, answered.rule)


def sheet_of_active_learners(timeline: Timeline) -> Sheet:
    columns = [SheetColumn(column.name, column.kind, _holds(column)) for column in timeline.columns]
    return Sheet(columns, timeline.rows, None, timeline.found.as_of, timeline.found.complete, "DAYS")


_FUNNEL = [
    SheetColumn("unitId", ColumnKind.DIMENSION, Holds.TEXT),
    SheetColumn("name", ColumnKind.LABEL, Holds.TEXT),
    SheetColumn("depth", ColumnKind.NUMBER, Holds.INTEGER),
    SheetColumn("requiredCount", ColumnKind.NUMBER, Holds.INTEGER),
    SheetColumn("enrolledCount", ColumnKind.NUMBER, Holds.INTEGER),
    SheetColumn("startedCount", ColumnKind.NUMBER, Holds.INTEGER),
    SheetColumn("completedCount", ColumnKind.NUMBER, Holds.INTEGER),
    SheetColumn("startedShare", ColumnKind.PERCENTAGE, Holds.NUMBER),
    SheetColumn("completedShare", ColumnKind.PERCENTAGE, Holds.NUMBER),
]


def sheet_of_funnel(funnel: Funnel) -> Sheet:
    """A row for each unit in the tree's order. The totals are those of the collection, with its id and name."""
    of_collection = (funnel.collection_id, funnel.name, 0, funnel.required_count)
    steps = [
        ((unit.unit_id, unit.name, unit.depth, unit.required_count), reached)
        for unit, reached in funnel.steps
    ]
    totals, *rows = [
        [*told, at.enrolled, at.started, at.completed, at.started_share, at.completed_share]
        for told, at in [(of_collection, funnel.reached), *steps]
    ]
    return Sheet(_FUNNEL, rows, totals, funnel.as_of, funnel.complete, "STATES")


async def sheet_file(sheet: Sheet, form: SheetFormat) -> bytes:
    """The sheet as a file. CSV (RFC 4180) and Parquet have the rows alone, and a distribution in them is JSON. In CSV null
    is nothing, and no text is run by a spreadsheet."""
    match form:
        case SheetFormat.JSON:
            return orjson.dumps(sheet.told())
        case SheetFormat.CSV:
            many = len(sheet.rows) > MANY_ROWS
            return await asyncio.to_thread(_csv, sheet) if many else _csv(sheet)
        case SheetFormat.PARQUET:
            return await _parquet(sheet)


def _csv(sheet: Sheet) -> bytes:
    names, rows = [column.name for column in sheet.columns], sheet.rows
    if any(column.kind is ColumnKind.DISTRIBUTION for column in sheet.columns):
        rows = [[_cell(value) for value in row] for row in rows]
    return csv_lines([names, *rows]).encode()


def _cell(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict) else value


async def _parquet(sheet: Sheet) -> bytes:
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "rows.json"), Path(folder, "rows.parquet")
        await asyncio.to_thread(_write_lines, sheet, source)
        kinds = {column.name: column.holds for column in sheet.columns}
        await write_file(source, target, kinds, FileFormat.PARQUET)
        return await asyncio.to_thread(target.read_bytes)


def _write_lines(sheet: Sheet, to: Path) -> None:
    names = [column.name for column in sheet.columns]
    with to.open("wb") as file:
        for row in sheet.rows:
            cells = dict(zip(names, map(_cell, row), strict=True))
            file.write(orjson.dumps(cells, option=orjson.OPT_APPEND_NEWLINE))


def _holds(column: Column) -> Holds:
    """The same for every table of these columns, whatever is in it."""
    if column.side is Side.SHARE:
        return Holds.NUMBER
    if column.kind is ColumnKind.FLAG:
        return Holds.BOOLEAN
    if column.kind is ColumnKind.DATETIME:
        return Holds.MOMENT
    if column.kind in (ColumnKind.DIMENSION, ColumnKind.LABEL, ColumnKind.DISTRIBUTION):
        return Holds.TEXT
    whole = column.kind in (ColumnKind.NUMBER, ColumnKind.SECONDS)
    return Holds.INTEGER if whole and column.of is not Metric.ATTEMPTS_PER_LEARNER else Holds.NUMBER
