"""The embedded engine of the groups port: one DuckDB file, fed from the topics by the process that has it open.

DuckDB lets one process at a time open a file. So the first query opens it, not the start of the process: `cohort
worker`, `cohort token` and others may then run beside the process that serves.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from druid_specs import DATA_SOURCES, DataSource
from stores.bills import charge
from stores.duckdb_feed import Feed
from stores.duckdb_file import DuckFile, HeldElsewhere, LayOut, answering, lay_out
from stores.duckdb_queries import compiled, extent
from stores.events import Events
from stores.group_queries import answered
from stores.groups import Answer, Groups, KeyFilter, Lane, Query, source_of
from stores.meter import Meter
from stores.timing import timed

log = logging.getLogger(__name__)


@timed("groups", Groups, source_of)
class DuckGroups:
    """The Groups port in DuckDB."""

    lags = False
    pace = 2_000_000
    """Keys a second. Measured: a recount over a million states takes 0.4 s of two threads."""

    def __init__(
        self,
        path: Path,
        events: Events,
        sources: Sequence[DataSource],
        feed: Callable[[DuckFile, Events, Sequence[DataSource]], Feed],
        prepare: LayOut,
    ) -> None:
        self.meter = Meter()
        self._lay_out = prepare
        self._new_feed = feed
        self._path = path
        self._events = events
        self._sources = sources
        self._changing = asyncio.Lock()
        self._file: DuckFile | None = None
        self._feed: Feed | None = None

    @classmethod
    async def open(
        cls,
        path: str | Path,
        events: Events,
        sources: Sequence[DataSource] = DATA_SOURCES,
        feed: Callable[[DuckFile, Events, Sequence[DataSource]], Feed] = Feed,
        prepare: LayOut = lay_out,
    ) -> Self:
        """Opens no file yet. ``events`` must stay open until ``close``. ``feed`` makes the feed of the file, after ``prepare`` has
        created the tables that are missing."""
        return cls(Path(path), events, sources, feed, prepare)

    def pace_of(self, source: DataSource) -> int:
        return self.pace

    async def query(self, query: Query, lane: Lane) -> Answer:
        """The first query opens the file, and waits until it has what is in the topics."""
        statement, parameters = compiled(query)
        file = await self._fed_file()
        self.meter.count(query.source.name)
        rows = await file.read(lane, lambda connection: connection.execute(statement, parameters).fetchall())
        charge(druid_rows=len(rows))
        return Answer(answered(query), rows)

    async def extent(self, source: DataSource, keys: KeyFilter) -> int:
        statement, parameters = extent(source, keys)
        file = await self._fed_file()
        self.meter.count(f"extent of {source.name}")
        rows = await file.read(
            Lane.TABLES, lambda connection: connection.execute(statement, parameters).fetchall()
        )
        return int(rows[0][0])

    async def init(self, sources: Sequence[DataSource]) -> list[str]:
        """Does nothing where another process has the file open: whoever opens it creates the tables first."""
        try:
            async with answering(self._path), self._changing:
                return await (await self._open_file()).write(partial(self._lay_out, sources=sources))
        except HeldElsewhere as held:
            log.info("%s. It lays out the tables itself", held)
            return []

    async def ping(self) -> None:
        await (await self._fed_file()).read(Lane.PAGES, lambda connection: connection.execute("SELECT 1"))

    async def close(self) -> None:
        async with self._changing:
            await self._close()

    async def remove(self) -> None:
        """Closes the file and removes it. The next query makes a new one. No query may be under way. HeldElsewhere where another
        process has the file."""
        async with self._changing:
            if self._file is None and not await asyncio.to_thread(self._path.exists):
                return
            await self._open_file()
            await self._close()
            for one in (self._path, self._path.with_name(f"{self._path.name}.wal")):
                await asyncio.to_thread(one.unlink, missing_ok=True)

    async def _close(self) -> None:
        if self._feed is not None:
            await self._feed.close()
            self._feed = None
        if self._file is not None:
            await self._file.close()
            self._file = None

    async def fed(self) -> tuple[DuckFile, Feed]:
        """The file and its feed. Opens it and starts the feed the first time, and does not wait for that."""
        async with answering(self._path), self._changing:
            file = await self._open_file()
            if self._feed is None:
                await file.write(partial(self._lay_out, sources=self._sources))
                self._feed = self._new_feed(file, self._events, self._sources)
            return file, self._feed

    async def _fed_file(self) -> DuckFile:
        """The file, once its feed has caught up."""
        file, feed = await self.fed()
        await feed.caught_up()
        return file

    async def _open_file(self) -> DuckFile:
        """The file, which the first call opens."""
        if self._file is None:
            self._file = await DuckFile.open(self._path)
        return self._file
