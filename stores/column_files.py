"""Files of rows, as Parquet or as CSV: made out of lines of JSON, and read again. DuckDB does the work in a thread, within
a bound of memory; what has no room there goes to its temporary folder.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from duckdb import DuckDBPyConnection as Connection

from rules.errors import StoreUnavailable
from stores.duckdb_errors import told

T = TypeVar("T")

MEMORY = "256MB"
ROWS_A_GROUP = 2048
"""Rows of a Parquet file that are compressed together; no fewer are read."""
ROWS_A_PAGE = 1000
"""Rows that a reader is given at a time."""
LARGEST_LINE = 4 * 1024 * 1024
"""Bytes that a row may have in JSON."""

MOST_IDLE = 4
"""Connections that a process keeps for the next file."""
_AGAIN = 0.01
"""Seconds between two interruptions: one that comes before the statement begins has no effect."""


class FileFormat(Enum):
    """How a file of rows is written. The value is its suffix."""

    PARQUET = "parquet"
    """Compressed with Zstandard."""
    CSV = "csv"
    """RFC 4180, with a line of names; null is nothing, an empty text is ``""``."""
    CSV_GZ = "csv.gz"


class ColumnKind(Enum):
    """What a column holds. The value is DuckDB's type."""

    TEXT = "VARCHAR"
    INTEGER = "BIGINT"
    NUMBER = "DOUBLE"
    BOOLEAN = "BOOLEAN"
    MOMENT = "TIMESTAMP_MS"
    """In UTC. In JSON a text in RFC 3339."""


Columns = Mapping[str, ColumnKind]


class BrokenFile(StoreUnavailable):
    """A file is not what it should be, or has no room."""


@dataclass(frozen=True, slots=True)
class Only:
    """Only rows whose ``column`` has one of these texts. A Parquet file that is ordered by the column is read in part."""

    column: str
    values: Sequence[str]


async def write_file(
    lines: Path,
    to: Path,
    columns: Columns,
    form: FileFormat,
    *,
    order: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> int:
    """Writes ``to`` out of ``lines``, one JSON object each, in this order, and returns the number of rows. What a line does
    not have is null. ``names``: what the columns are called in the file. Two columns must differ in more than case."""
    options = {
        FileFormat.PARQUET: f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROWS_A_GROUP}",
        FileFormat.CSV: "FORMAT csv, HEADER true",
        FileFormat.CSV_GZ: "FORMAT csv, HEADER true, COMPRESSION gzip",
    }[form]
    kinds = ", ".join(f"{_name(name)}: '{kind.value}'" for name, kind in columns.items())
    by = f" ORDER BY {', '.join(map(_name, order))}" if order else ""
    told = names or {name: name for name in columns}
    selected = ", ".join(f"{_name(name)} AS {_name(told[name])}" for name in columns)
    statement = (
        f"COPY (SELECT {selected} FROM read_json($lines, format = 'newline_delimited', "  # noqa: S608
        f"columns = {{{kinds}}}, maximum_object_size = {LARGEST_LINE}){by}) TO {_text(str(to))} ({options})"
    )

    def write(connection: Connection) -> int:
        found = connection.execute(statement, {"lines": str(lines)}).fetchone()
        return int(found[0]) if found else 0

    async with _opened(to.parent) as run:
        written: int = await run(write)
        return written


async def read_file(
    path: Path, columns: Columns, form: FileFormat, *, only: Only | None = None
) -> AsyncGenerator[list[dict[str, Any]], None]:
    """The rows of a file that ``write_file`` made, in its order, a page at a time."""
    kinds = ", ".join(f"{_text(name)}: '{kind.value}'" for name, kind in columns.items())
    source = (
        "read_parquet($path)"
        if form is FileFormat.PARQUET
        else f"read_csv($path, header = true, auto_detect = false, quote = '\"', escape = '\"', "
        f"compression = '{'gzip' if form is FileFormat.CSV_GZ else 'none'}', "
        f"max_line_size = {LARGEST_LINE}, allow_quoted_nulls = false, columns = {{{kinds}}})"
    )
    names = list(columns)
    statement = f"SELECT {', '.join(map(_name, names))} FROM {source}"  # noqa: S608 - names of ours
    arguments: dict[str, Any] = {"path": str(path)}
    if only is not None:
        statement += f" WHERE list_contains($values, {_name(only.column)})"
        arguments["values"] = list(only.values)

    def page(connection: Connection) -> list[tuple[Any, ...]]:
        return connection.fetchmany(ROWS_A_PAGE)

    dated = ColumnKind.MOMENT in columns.values()
    async with _opened(path.parent) as run:
        await run(lambda connection: connection.execute(statement, arguments))
        while rows := await run(page):
            if dated:
                rows = [tuple(map(_value, row)) for row in rows]
            yield [dict(zip(names, row, strict=True)) for row in rows]
            if len(rows) < ROWS_A_PAGE:
                return


@asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[Callable[[Callable[[Connection], T]], Any]]:
    """A connection of its own. Each call runs in a thread, and is interrupted when its caller is cancelled."""
    connection = await asyncio.to_thread(_connection, folder)

    async def run(work: Callable[[Connection], T]) -> T:
        task = asyncio.ensure_future(asyncio.to_thread(work, connection))
        try:
            return await asyncio.shield(task)
        except duckdb.Error as error:
            raise BrokenFile("a file of rows can't be read or written", detail=told(error)) from error
        except asyncio.CancelledError:
            while not task.done():
                connection.interrupt()
                await asyncio.wait({task}, timeout=_AGAIN)
            raise

    try:
        yield run
    except BaseException:
        connection.close()
        raise
    if len(_idle) < MOST_IDLE:
        _idle.append(connection)
    else:
        connection.close()


_idle: list[Connection] = []
"""Connections that others may use: to make one takes longer than to read a small file."""


def _connection(folder: Path) -> Connection:
    place = str(folder / ".duckdb")
    with suppress(IndexError, duckdb.Error):  # the temporary folder can't be changed once it was needed
        connection = _idle.pop()
        connection.execute(f"SET temp_directory = {_text(place)}")
        return connection
    return duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": MEMORY,
            "temp_directory": place,
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )


def _value(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
