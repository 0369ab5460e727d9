"""The groups port in Druid with a mirror of its states beside it: a DuckDB file on this machine, for tables over many states.

Druid's own grouping visits every key: 18 s for a million states. The mirror has one row for each key, so that a count over
all of them takes milliseconds. It is exact by the same rule as Druid: of a key the highest version counts.

- It is fed from the topic of states, as the embedded engine is: events that come twice, late or again change nothing, and a
  batch is committed after it is written (stores/duckdb_feed.py).
- What is older than the topic's first record is in Druid alone. So a new file is filled with what Druid has stored, while the feed
  reads the topic. In whatever order both come, the highest version of each key is left.
- A file that slept too long, or that a program with other columns made, begins anew: the other program left its columns as they
  were, or did not know them, beside versions that it wrote.
- With more states than the URL says there is no mirror: no feed, and no file, which no erasure would reach.
- Only if all that was in the log OLDEST seconds ago is in the file, the mirror answers. Otherwise Druid does: while the file is
  filled, while the log is away, and where another process has the file.

The mirror is never the only copy: delete the file, and it is made anew.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import Protocol, Self

import orjson
from duckdb import DuckDBPyConnection as Connection

from druid_specs import ACTIVITY_STATE, DataSource
from rules.errors import CohortError, StoreUnavailable, loggable
from stores.backoff import Backoff
from stores.duckdb_feed import Event, Feed, mark_unclean
from stores.duckdb_file import DuckFile, HeldElsewhere, lay_out, remove_tables
from stores.duckdb_queries import columns
from stores.events import Events
from stores.futures import ended
from stores.groups import Answer, Groups, KeyFilter, Lane, Query
from stores.groups_duckdb import DuckGroups
from stores.meter import Meter
from stores.topics import STATES

log = logging.getLogger(__name__)

OLDEST = 5.0
"""Seconds that what the mirror has may lag behind the log."""
MOST = 2_000
"""Events in a batch of the feed: some milliseconds of Python, which requests of the same process wait for."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before what failed is tried again; doubled each time."""
NOTING = 600.0
"""Seconds from one note of when the file was last up to date to the next."""
_DAY = 86_400
ASLEEP = (STATES.retention_days or 1) * _DAY * 2 / 3
"""Seconds after which a file that was not fed is filled anew: soon the log will have forgotten what it lacks."""


class _TooMany(StoreUnavailable):
    """There are more states than the mirror may have."""


class Original(Groups, Protocol):
    """An engine that can tell all that it has stored."""

    def stored(self, source: DataSource) -> AsyncIterator[list[Event]]:
        """Events, of a key possibly several versions. StoreUnavailable where a part of it is away."""
        ...


class MirroredGroups:
    """The Groups port: ``original``, and in front of it the mirror for tables of states. ``most``: with more states than
    that, no mirror is made."""

    lags = True

    def __init__(self, original: Original, mirror: DuckGroups, most: int) -> None:
        self.original = original
        self.meter: Meter = original.meter
        mirror.meter = original.meter
        self._mirror = mirror
        self._most = most
        self._keeping: asyncio.Task[None] | None = None
        self._feed: Feed | None = None
        """Of a file that is filled."""
        self._is_told = False
        """Whether the log has that there are too many states."""
        self._asking = 0
        self._unasked = asyncio.Event()
        self._unasked.set()

    @classmethod
    async def open(cls, original: Original, events: Events, path: Path, *, most: int) -> Self:
        """Opens no file yet: the first query does. ``events`` must stay open until ``close``, which closes ``original``."""
        feed = partial(Feed, most=MOST, aging=True)
        mirror = await DuckGroups.open(path, events, (ACTIVITY_STATE,), feed, _lay_out)
        return cls(original, mirror, most)

    @property
    def is_current(self) -> bool:
        """Whether the mirror answers for states."""
        return self._feed is not None and self._feed.age <= OLDEST

    def pace_of(self, source: DataSource) -> int:
        engine: Groups = self._mirror if self._answers(source) else self.original
        return engine.pace_of(source)

    async def query(self, query: Query, lane: Lane) -> Answer:
        if lane is Lane.TABLES and self._is_mirrored(query.source):
            try:
                with self._asks():
                    return await self._mirror.query(query, lane)
            except StoreUnavailable as error:
                log.warning("the mirror of states did not answer, so Druid is asked: %s", loggable(error))
        return await self.original.query(query, lane)

    async def extent(self, source: DataSource, keys: KeyFilter) -> int:
        if self._is_mirrored(source):
            with suppress(StoreUnavailable), self._asks():
                return await self._mirror.extent(source, keys)
        return await self.original.extent(source, keys)

    async def init(self, sources: Sequence[DataSource]) -> list[str]:
        return await self.original.init(sources)

    async def ping(self) -> None:
        await self.original.ping()

    async def close(self) -> None:
        if self._keeping is not None:
            await ended(self._keeping)
        await self._mirror.close()
        await self.original.close()

    def _is_mirrored(self, source: DataSource) -> bool:
        """Whether the mirror answers for the source. The first who asks has it made."""
        if source is not ACTIVITY_STATE:
            return False
        if self._keeping is None:
            # In a context of its own: it has nothing to do with this request's deadline, bill and traces.
            self._keeping = asyncio.create_task(self._keep(), name="mirror of states", context=Context())
        return self._answers(source)

    def _answers(self, source: DataSource) -> bool:
        """Whether the mirror answers for the source now."""
        return source is ACTIVITY_STATE and self.is_current

    @contextmanager
    def _asks(self) -> Iterator[None]:
        """Within, the mirror is not removed."""
        self._asking += 1
        self._unasked.clear()
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                self._unasked.set()

    async def _keep(self) -> None:
        """Keeps the mirror. Tries again whatever fails."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                await self._kept(backoff)
            except _TooMany as error:
                if not self._is_told:
                    log.warning("the mirror of states is not kept: %s", loggable(error))
                self._is_told = True
                await asyncio.sleep(NOTING)
                continue
            except HeldElsewhere:
                log.info("another process has the mirror of states: this one asks Druid")
            except Exception as error:
                expected = isinstance(error, CohortError)
                log.warning("the mirror of states is not kept: %s", loggable(error), exc_info=not expected)
            await backoff.pause()

    async def _kept(self, backoff: Backoff) -> None:
        """Makes the mirror, and notes now and then that it is up to date. _TooMany once it is removed."""
        try:
            file, feed = await self._made()
            self._feed = feed
            backoff.reset()
            while True:
                if feed.age <= OLDEST:
                    self._check_size(await self._mirror.extent(ACTIVITY_STATE, ()))
                    self._is_told = False
                    await file.write(_note)
                await asyncio.sleep(NOTING if feed.age <= OLDEST else OLDEST)
        except _TooMany:
            self._feed = None
            await self._unasked.wait()
            await self._mirror.remove()
            raise

    def _check_size(self, states: int) -> None:
        """_TooMany where there are more states than may be."""
        if states > self._most:
            raise _TooMany(
                "there are too many states for a mirror",
                detail=f"{states:,}, and the URL says at most {self._most:,}",
            )

    async def _made(self) -> tuple[DuckFile, Feed]:
        """The file, filled, and its feed."""
        self._check_size(await self.original.extent(ACTIVITY_STATE, ()))
        file, feed = await self._mirror.fed()
        if await file.write(_is_to_be_filled):
            began, count = time.monotonic(), 0
            async for events in self.original.stored(ACTIVITY_STATE):
                await feed.merge(ACTIVITY_STATE, events)
                count += len(events)
            await file.write(_note)
            log.info(
                "the mirror has the %d states that were stored, after %.0f s", count, time.monotonic() - began
            )
        return file, feed


def _lay_out(connection: Connection, /, sources: Sequence[DataSource]) -> list[str]:
    """As ``lay_out`` in duckdb_file.py. Before that it removes everything, the feed's place in the log as well, if what the file has
    can't be gone on with: it was never filled, not fed for long, or made with other columns."""
    there = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    made_with = orjson.dumps({source.stored_as: columns(source) for source in sources}).decode()
    if not {"made", "fed"} <= there or not _goes_on(connection, made_with):
        remove_tables(connection)
        if there:
            mark_unclean(connection)
        connection.execute("CREATE TABLE fed (noted DOUBLE)")
        connection.execute("CREATE TABLE made (columns VARCHAR)")
        connection.execute("INSERT INTO made VALUES (?)", [made_with])
    return lay_out(connection, sources)


def _goes_on(connection: Connection, made_with: str) -> bool:
    made = connection.execute("SELECT columns FROM made").fetchone()
    return made == (made_with,) and not _is_to_be_filled(connection)


def _is_asleep(connection: Connection) -> bool:
    last = _last_noted(connection)
    return last is not None and time.time() - last > ASLEEP


def _is_to_be_filled(connection: Connection) -> bool:
    """Whether the file lacks what the log may no longer have: a new one, and one that was not fed for long."""
    return _last_noted(connection) is None or _is_asleep(connection)


def _last_noted(connection: Connection) -> float | None:
    (last,) = connection.execute("SELECT max(noted) FROM fed").fetchone() or (None,)
    return None if last is None else float(last)


def _note(connection: Connection) -> None:
    """Notes that the file is filled, and was up to date at this moment."""
    connection.execute("DELETE FROM fed")
    connection.execute("INSERT INTO fed VALUES (?)", [time.time()])
