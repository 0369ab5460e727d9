"""An index in one SQLite file: how it is opened, made anew and written.

Each kind of documents has an engine that builds on this (stores/search_fts5.py, stores/learner_search_sqlite.py). One connection
writes, in a thread of its own; a few others read (stores/sqlite_lane.py). Several processes may use the file.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Self, TypeVar

from stores.meter import Meter
from stores.sqlite_lane import Lane
from stores.sqlite_writes import transaction

W = TypeVar("W")

READERS = 2


class SqliteIndex:
    """Open with ``await Engine.open(path)``. Never use one over a fork."""

    called: ClassVar[str]
    """What errors call the documents."""
    counted: ClassVar[str]
    """What the meter calls them."""
    tables: ClassVar[Sequence[str]]
    """The tables, that of the documents first."""
    created: ClassVar[str]
    """What ``init`` tells of an index that it has made."""

    def __init__(self, path: Path) -> None:
        self.meter = Meter()
        self._writer = Lane(path, 1, "writer", store=self.called)
        self._readers = Lane(path, READERS, "reader", store=self.called)

    @classmethod
    async def open(cls, path: str | Path) -> Self:
        """The file is created where there is none; StoreUnavailable where it can't be."""
        search = cls(Path(path))
        try:
            await search._readers.run(lambda connection: connection.execute("SELECT 1").fetchone())
        except BaseException:
            await search.close()
            raise
        return search

    async def ping(self) -> None:
        await self._readers.run(
            lambda connection: connection.execute(f"SELECT 1 FROM {self.tables[0]} LIMIT 1").fetchone()  # noqa: S608
        )

    async def close(self) -> None:
        await self._readers.close()
        await self._writer.close()

    async def _made_anew(self, version: int, statements: str) -> list[str]:
        """Makes the tables, unless the file has those of this version. A file of another version is emptied."""

        def make(connection: sqlite3.Connection) -> list[str]:
            with transaction(connection):
                if connection.execute("PRAGMA user_version").fetchone()[0] == version:
                    return []
                for table in self.tables:
                    connection.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in statements.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")
            return [self.created]

        return await self._writer.run(make)

    async def _written(
        self, writes: Sequence[W], write: Callable[[sqlite3.Connection, W], bool]
    ) -> Sequence[W]:
        """Writes in one transaction. Returns those whose document was no more as it had been read."""
        if not writes:
            return []
        self.meter.count(f"write {self.counted}", len(writes))

        def write_all(connection: sqlite3.Connection) -> list[W]:
            with transaction(connection):
                return [one for one in writes if not write(connection, one)]

        return await self._writer.run(write_all)

    async def _pages(self, page: Callable[..., list[str]]) -> AsyncIterator[Sequence[str]]:
        """The ids in their order, a page that begins ``after`` one at a time."""
        last = ""
        while found := await self._readers.run(partial(page, after=last)):
            yield found
            last = found[-1]
