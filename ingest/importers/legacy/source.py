"""Where legacy rows are read: a Protocol for it, and the platform's tables as a deployment has laid them out."""

import os
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from rules.errors import InvalidInput, NotFound
from rules.legacy.tables import LegacyTable, TableColumns, check_needed, check_without, columns_of, names_of
from stores.foreign_keyspace import Columns, ForeignKeyspace, ForeignTable, Written
from stores.rows import Row, RowPage, TokenRange

PASSWORD = "COHORT_LEGACY_PASSWORD"  # noqa: S105 - its name, not one
"""The variable that has the password if the URL has none. Jobs don't store it, and a process list doesn't show it."""


NO_TIMES: Written = MappingProxyType({})


class Source(Protocol):
    """The rows of one keyspace, as stores.foreign_keyspace.ForeignKeyspace reads them."""

    async def tables(self) -> Mapping[str, ForeignTable]: ...

    def walk(
        self,
        table: ForeignTable,
        token_range: TokenRange,
        columns: Columns,
        *,
        page_size: int,
        resume: str | None = None,
        written: Written = NO_TIMES,
    ) -> AsyncIterator[RowPage]: ...

    async def rows(
        self,
        table: ForeignTable,
        equal: Mapping[str, Any],
        columns: Columns,
        written: Written = NO_TIMES,
    ) -> list[Row]: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Layout:
    """A table of the platform as this deployment has it. ``names`` maps our names to its columns."""

    table: LegacyTable
    found: ForeignTable
    names: Mapping[str, str]

    def written(self, *, clocks: bool) -> Written:
        return self.table.written(self.names) if clocks else NO_TIMES


class Platform:
    """The platform's tables that a source has.

    Rows are by the names of rules/legacy/tables.py, their timestamps in milliseconds since the epoch. With ``clocks`` a
    row also has ``written_at`` and what else its table says (LegacyTable.written), in microseconds since the epoch.
    """

    def __init__(self, source: Source, layouts: Mapping[str, Layout], missing: Sequence[str]) -> None:
        self._source = source
        self._layouts = layouts
        self.missing = missing
        """The tables that only some deployments have, and this one has not."""

    @classmethod
    async def of(
        cls, source: Source, tables: Sequence[LegacyTable], without: Collection[str] = ()
    ) -> "Platform":
        """Finds these tables of a source.

        ``without``: TABLE.COLUMN that may be missing although results are wrong then.

        Raises NotFound if a table is missing that every platform has. Raises InvalidInput if a table is laid out
        otherwise, or lacks a column without which results are wrong.
        """
        check_without(tables, without)
        found = await source.tables()
        missing = [table.name for table in tables if table.name not in found]
        if required := [table.name for table in tables if table.is_required and table.name in missing]:
            raise NotFound(f"the keyspace has no table {', '.join(required)}", field="from")
        there = [(table, found[table.name]) for table in tables if table.name in found]
        layouts = {
            table.name: Layout(table, laid_out, names_of(table, laid_out.key, laid_out.columns))
            for table, laid_out in there
        }
        for layout in layouts.values():
            check_needed(layout.table, layout.names, without)
        return cls(source, layouts, missing)

    def columns(self) -> dict[str, TableColumns]:
        """Returns for each table what it has, and what follows from what it has not."""
        return {
            name: columns_of(layout.table, layout.names, layout.found.columns)
            for name, layout in self._layouts.items()
        }

    async def walk(
        self,
        table: str,
        token_range: TokenRange,
        *,
        page_size: int,
        resume: str | None,
        clocks: bool = False,
    ) -> AsyncIterator[RowPage]:
        """Walks like the rows port. Gives nothing if there is no such table."""
        layout = self._layouts.get(table)
        if layout is None:
            return
        async for page in self._source.walk(
            layout.found,
            token_range,
            layout.names,
            page_size=page_size,
            resume=resume,
            written=layout.written(clocks=clocks),
        ):
            yield page

    async def rows(self, table: str, *, clocks: bool = False, **equal: str) -> list[Row]:
        """Returns the rows with these values in columns of the key."""
        layout = self._layouts.get(table)
        if layout is None:
            return []
        return await self._source.rows(layout.found, equal, layout.names, layout.written(clocks=clocks))


async def open_source(url: str) -> Source:
    """Opens ``cassandra://user:password@host,host:9042/keyspace?dc=…``.

    Raises the errors of ForeignKeyspace.open, with ``from`` as their field.
    """
    parts = urlsplit(url)
    who, at, where = parts.netloc.rpartition("@")
    password = os.environ.get(PASSWORD)
    if at and ":" not in who and password:
        url = parts._replace(netloc=f"{who}:{quote(password, safe='')}@{where}").geturl()
    return await ForeignKeyspace.open(url, field="from")


def without_password(url: str) -> str:
    """Returns the URL for jobs and reports. Raises InvalidInput if the URL is of another kind."""
    parts = urlsplit(url)
    if parts.scheme not in ("cassandra", "cassandras"):
        raise InvalidInput("from takes cassandra://user:password@host,host:9042/keyspace", field="from")
    who, at, where = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{who.partition(':')[0]}{at}{where}").geturl()
