"""Rows of the existing platform that can't be read: which they are, and the file that they can be tried again from."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from rules.errors import InvalidInput
from rules.legacy.tables import LEGACY_TABLES, LegacyRow
from rules.legacy.values import Unreadable

LONGEST = 200
"""Characters of a value that are kept."""
_KEYS = {table.name: table.key for table in LEGACY_TABLES}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that can't be read, and why.

    - ``key``: its primary key, by our names of the columns.
    - ``column`` and ``value``: what is wrong, where that is one value. The value is a text, and cut if it is long.
    """

    table: str
    key: Mapping[str, Any]
    column: str | None
    value: str | None
    why: str

    @classmethod
    def of(cls, table: str, row: LegacyRow, error: Unreadable) -> "Rejected":
        value = None if error.column is None else repr(error.value)[:LONGEST]
        return cls(table, {name: row[name] for name in _KEYS[table]}, error.column, value, error.reason)

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def name(self) -> tuple[Any, ...]:
        """What the row is known by among those of all tables."""
        return (self.table, *(self.key[name] for name in _KEYS[self.table]))


def rejects_path(report: Path) -> Path:
    """Returns where the rejected rows of a report go: beside ``migration-1.json`` it is ``migration-1-rejected.jsonl``."""
    return report.with_name(f"{report.stem}-rejected.jsonl")


class RejectsFile:
    """A file of JSON lines, one for each rejected row. Several processes of a machine may append to it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds the rows in one write, so that lines of several processes don't mix, and waits until they are on disk."""
        lines = b"".join(orjson.dumps(dict(row)) + b"\n" for row in rows)
        with self.path.open("ab", buffering=0) as file:
            file.write(lines)
            os.fsync(file.fileno())


def read_rejects(paths: Sequence[Path]) -> list[Rejected]:
    """Returns the rows that these files name, each once: the last line of a row counts. Raises InvalidInput for a line
    that names no row."""
    found: dict[tuple[Any, ...], Rejected] = {}
    for path in paths:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                row = Rejected(**orjson.loads(line))
                found[row.name] = row
            except (orjson.JSONDecodeError, TypeError, KeyError):
                raise InvalidInput(
                    f"line {number} of {path} names no rejected row; a migration writes such files beside its report",
                    field="only-rejected",
                ) from None
    return list(found.values())
