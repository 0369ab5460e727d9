"""Versioned changes of the tables: what is missing from a store, in the order of ``since``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rules.errors import InvalidInput
from stores.columns import INT, TEXT, TIMESTAMP, Table

VERSIONS = Table(
    "schema_version",
    comment="Which versions of the schema were applied, and when; the highest is the current one",
    partition={"component": TEXT},
    clustering={"version": INT},
    columns={"applied_at": TIMESTAMP},
)

COMPONENT = "tables"


@dataclass(frozen=True, slots=True)
class Change:
    """Create the table with all its columns, or add one ``column`` to it."""

    table: Table
    column: str | None = None

    @property
    def since(self) -> int:
        return self.table.since if self.column is None else self.table.values[self.column].since

    def __str__(self) -> str:
        if self.column is None:
            return f"created table {self.table.name}"
        return f"added column {self.column} to {self.table.name}"


def version_of(tables: Sequence[Table]) -> int:
    """Returns the highest ``since`` of the tables and their columns."""
    return max(
        (since for t in tables for since in (t.since, *(c.since for c in t.values.values()))), default=0
    )


def changes(tables: Sequence[Table], stored: int, existing: Mapping[str, set[str]]) -> list[Change]:
    """Returns what ``existing`` (columns by table) lacks. It looks at what is there, not only at the ``stored``
    version: so the next init finishes one that died half way. InvalidInput says that ``stored`` is newer than
    ``tables``."""
    known = version_of(tables)
    if stored > known:
        raise InvalidInput(
            f"the stored schema is at version {stored} and this program knows version {known}; run a newer Cohort",
            field="schema_version",
        )
    missing = []
    for table in tables:
        if table.name not in existing:
            missing.append(Change(table))
        else:
            missing += [Change(table, name) for name in table.values if name not in existing[table.name]]
    return sorted(missing, key=lambda change: change.since)
