"""The file of an exhaust: rows are put aside on this machine, and go from there to the blob store, whole.

So columns that follow from the rows stand before them, and a store that takes the file waits for nothing but its bytes,
however long the rows take to read.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path

import orjson

from rules.exhausts import Cells, Columns, ExhaustFormat, csv_lines, distinct_names
from stores.column_files import ColumnKind, FileFormat, write_file
from stores.zip_files import zipped

ROWS_AT_ONCE = 1_000
"""Rows that are written as CSV at a time."""
READ = 256 * 1024
"""Bytes that are read at a time."""

_KINDS = {
    str: ColumnKind.TEXT,
    int: ColumnKind.INTEGER,
    float: ColumnKind.NUMBER,
    bool: ColumnKind.BOOLEAN,
    datetime: ColumnKind.MOMENT,
}


class Spool:
    """Rows that are put aside in a folder. A column goes by a number there: two names may differ in case alone, which
    DuckDB takes for one."""

    def __init__(self, folder: Path) -> None:
        self._lines = folder / "rows.json"
        self._parquet = folder / "rows.parquet"
        self._lines.touch()
        self._numbers: dict[str, str] = {}
        self.rows = 0

    async def add(self, rows: Sequence[Cells]) -> None:
        await asyncio.to_thread(self._write, rows)
        self.rows += len(rows)

    async def content(
        self,
        name: str,
        columns: Columns,
        form: ExhaustFormat,
        *,
        written_on: datetime,
        password: str | None = None,
    ) -> AsyncIterator[bytes]:
        """Gives the file, with all rows; with a password a zip that has it under ``name``."""
        if form is ExhaustFormat.PARQUET:
            kinds = {self._number(column): _KINDS[kind] for column, kind in columns.items()}
            names = dict(zip(kinds, distinct_names(columns), strict=True))
            await write_file(self._lines, self._parquet, kinds, FileFormat.PARQUET, names=names)
            plain = _bytes_of(self._parquet)
        else:
            plain = _as_csv(self._lines, {column: self._number(column) for column in columns})
        blocks = plain if password is None else zipped(name, written_on, plain, password)
        while block := await asyncio.to_thread(next, blocks, b""):
            yield block

    def _write(self, rows: Sequence[Cells]) -> None:
        numbered = ({self._number(name): value for name, value in row.items()} for row in rows)
        with self._lines.open("ab") as file:
            file.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in numbered)

    def _number(self, column: str) -> str:
        return self._numbers.setdefault(column, str(len(self._numbers)))


def _as_csv(lines: Path, columns: Mapping[str, str]) -> Iterator[bytes]:
    yield csv_lines([list(columns)]).encode()
    with lines.open("rb") as file:
        while some := list(islice(file, ROWS_AT_ONCE)):
            rows = (orjson.loads(line) for line in some)
            yield csv_lines([row.get(number) for number in columns.values()] for row in rows).encode()


def _bytes_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(READ):
            yield block
