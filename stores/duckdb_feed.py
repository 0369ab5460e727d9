"""Feeds a DuckDB file with the events of the data sources' topics, from the time it is opened until it is closed."""

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from contextvars import Context
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import orjson
from duckdb import DuckDBPyConnection as Connection

from druid_specs import VERSION, DataSource
from rules.errors import CohortError, InvalidInput, StoreUnavailable, loggable
from stores.backoff import Backoff
from stores.deadline import remaining
from stores.duckdb_file import PATIENCE, DuckFile
from stores.duckdb_queries import CREATE_GONE, GONE_SINCE, KEY, NAMES, NOTE_GONE, columns, remove, upsert
from stores.events import Consumer, Events, Record
from stores.futures import ended
from stores.topics import FEEDER_GROUP

log = logging.getLogger(__name__)

MOST, WAIT = 10_000, 0.5
"""Events in a batch, and seconds that an idle feed waits for the first one."""
ROUND = 2.0
"""Seconds from one look at the log's end to the next, of a feed whose age is known."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before a feed that failed tries again; doubled each time."""
_LARGEST = 1 << 63

_GONE = "_gone"

Event = dict[str, Any]


class Feed:
    """A background task that runs until ``close``.

    Its consumer group is named after an id in the file. So a new file reads the topics from their beginning, and an old
    one goes on where it was. ``most``: events in a batch. ``aging``: whether its age is to be known, which costs a look at
    the log's end every ROUND seconds.
    """

    def __init__(
        self,
        file: DuckFile,
        events: Events,
        sources: Sequence[DataSource],
        *,
        most: int = MOST,
        aging: bool = False,
    ) -> None:
        self._file = file
        self._most = most
        self._aging = aging
        self._since = -math.inf
        self._unclean = False
        self._others: dict[str, tuple[str, ...]] = {}
        """Columns that a program with more of them left in the sources' tables."""
        self._events = events
        self._sources = {source.topic: source for source in sources}
        self._caught_up = asyncio.Event()
        self._failure: Exception | None = None
        # In a context of its own: the deadline of the query that opened the file is not the feed's.
        self._task = asyncio.create_task(self._run(), name="groups feed", context=Context())

    async def caught_up(self) -> None:
        """Returns once the file has what was in the topics when the feed started. StoreUnavailable where that takes long."""
        try:
            async with asyncio.timeout(remaining(PATIENCE)):
                await self._caught_up.wait()
        except TimeoutError:
            remaining(PATIENCE)  # DeadlineExceeded, where it was that
            raise StoreUnavailable(
                "the group figures are still being read from the log", detail=self._why()
            ) from None

    def _why(self) -> str:
        match self._failure:
            case None:
                return "there is much to read"
            case InvalidInput(field="topic") as missing:  # it names a topic, and what to do
                return missing.message
            case failure:
                return loggable(failure)

    @property
    def age(self) -> float:
        """Seconds since a moment of which everything that was in the log is in the file; infinite before the first one.
        Of a feed that is ``aging``."""
        return time.monotonic() - self._since

    async def merge(self, source: DataSource, events: Sequence[Event]) -> None:
        """Adds events from elsewhere, such as a store that has them from before the log's beginning. As of the log's own,
        the highest version of a key counts, and none that is older than the key's end. So it does not matter which of
        them come first."""
        told = _newest(source, events)
        await self._file.write(lambda connection: self._merge(connection, source, told))

    async def close(self) -> None:
        """Ends the task, then cleans the file where that is due."""
        await ended(self._task)
        with suppress(StoreUnavailable):  # then it is when the file is opened again
            await self._clean()

    async def _run(self) -> None:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            began = time.monotonic()
            try:
                await self._follow()
            except Exception as error:
                self._failure = error
                unexpected = not isinstance(error, CohortError)
                log.warning(
                    "group figures are read on in %.1f s: %s",
                    backoff.seconds,
                    loggable(error),
                    exc_info=unexpected,
                )
            if time.monotonic() - began > LONGEST_PAUSE:
                backoff.reset()
            await backoff.pause()

    async def _follow(self) -> None:
        id_, self._unclean = await self._file.write(_prepare)
        group = f"{FEEDER_GROUP}-{id_}"
        consumer = await self._events.consumer(group, [*self._sources])
        try:
            await self._catch_up(group, consumer)
            while True:
                if self._aging and self.age > ROUND:
                    await self._grow_young(consumer)
                if not await self._take(consumer):
                    await self._clean()
        finally:
            await consumer.close()

    async def _catch_up(self, group: str, consumer: Consumer) -> None:
        """Returns when as many events are in as there were at the start, or none is left: others may write meanwhile."""

        async def left() -> int:
            return sum((await self._events.lag(group, [*self._sources])).values())

        behind, start = await left(), time.time() * 1000
        while behind > 0:
            records = await self._take(consumer)
            behind -= sum(record.appended_at <= start for record in records)
            if not records:
                behind = await left()
        self._caught_up.set()

    async def _grow_young(self, consumer: Consumer) -> None:
        """Takes what is in the log now, and notes that the file has it. Not where the partitions are just shared out, or a batch
        does not come."""
        since = time.monotonic()
        ahead = await consumer.ahead()
        if ahead is None:
            return
        left = dict(ahead)
        while left:
            records = await self._take(consumer)
            if not records:
                return
            for record in records:
                place = record.topic, record.partition
                if place in left and record.offset >= left[place]:
                    del left[place]
        self._since = since

    async def _take(self, consumer: Consumer) -> list[Record]:
        """Writes a batch to the file, then commits it. Killed in between, the same events come again and change nothing."""
        records = await consumer.batch(self._most, WAIT)
        if records:
            await self._file.write(lambda connection: self._write(connection, records))
            await consumer.commit(records)
        return records

    async def _clean(self) -> None:
        """Writes the file anew where rows were removed, so that no bytes of them are left."""
        if self._unclean:
            await self._file.renew(_mark_clean)
            self._unclean = False

    # On the file's thread.

    def _write(self, connection: Connection, records: Sequence[Record]) -> None:
        by_topic: dict[str, list[Record]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        for topic, of_topic in by_topic.items():
            source = self._sources[topic]
            self._merge(connection, source, latest(source, of_topic))

    def _merge(self, connection: Connection, source: DataSource, told: Sequence[Event]) -> None:
        gone = [event for event in told if event[_GONE]]
        events = self._current(connection, source, [event for event in told if not event[_GONE]])
        if events:
            others = self._others_of(connection, source)
            connection.execute(upsert(source, others), [orjson.dumps(events).decode()])
        for event in gone:
            removed = connection.execute(remove(source), [event[KEY], event[VERSION]]).fetchone()
            connection.execute(NOTE_GONE, [source.name, _hash(event), event[VERSION]])
            if removed and removed[0]:
                mark_unclean(connection)
                self._unclean = True

    def _others_of(self, connection: Connection, source: DataSource) -> tuple[str, ...]:
        if source.name not in self._others:
            there = connection.execute(NAMES, [source.stored_as]).fetchall()
            self._others[source.name] = tuple(sorted({name for (name,) in there} - columns(source).keys()))
        return self._others[source.name]

    @staticmethod
    def _current(connection: Connection, source: DataSource, events: Sequence[Event]) -> list[Event]:
        """The events without those that are older than the end of their keys."""
        if connection.execute("SELECT 1 FROM gone LIMIT 1").fetchone() is None:
            return [*events]
        by_hash = {_hash(event): event for event in events}
        since = dict(connection.execute(GONE_SINCE, [source.name, [*by_hash]]).fetchall())
        return [event for hash_, event in by_hash.items() if since.get(hash_, -_LARGEST - 1) < event[VERSION]]


def latest(source: DataSource, records: Iterable[Record]) -> list[Event]:
    """The event of the highest version of each key. A record that is no event of the source is logged and passed over,
    as Druid does (``logParseExceptions``)."""
    found: list[Event] = []
    for record in records:
        try:
            event = orjson.loads(record.value)
            key, version = [event[name] for name in source.key], event[VERSION]
            if not all(isinstance(part, str | None) for part in key) or not _is_version(version):
                raise ValueError("a key is of texts and nulls, a version a number")
        except (ValueError, KeyError, TypeError) as error:
            place = f"{record.topic}/{record.partition}@{record.offset}"
            log.warning(
                "passed over an event that is none of %s, %s: %s", source.name, place, loggable(error)
            )
            continue
        found.append(event | {_GONE: "gone" in record.headers})
    return _newest(source, found)


def _newest(source: DataSource, events: Iterable[Event]) -> list[Event]:
    """The event of the highest version of each key, with its KEY. Events of the same version add to each other what one lacks, as
    ``upsert`` has it."""
    found: dict[tuple[object, ...], Event] = {}
    for event in events:
        key = tuple(event[name] for name in source.key)
        known = found.get(key)
        if known is None or known[VERSION] < event[VERSION]:
            found[key] = {_GONE: False, **event, KEY: orjson.dumps(key).decode()}
        elif known[VERSION] == event[VERSION]:
            found[key] = known | {
                name: value for name, value in event.items() if value is not None and known.get(name) is None
            }
    return [*found.values()]


def _is_version(value: object) -> bool:
    return type(value) is int and -_LARGEST <= value < _LARGEST


def _hash(event: Event) -> str:
    """A hash of the event's key, which can't be read from it."""
    return blake2b(event[KEY].encode(), digest_size=16).hexdigest()


def _prepare(connection: Connection) -> tuple[str, bool]:
    """Creates the feed's tables. The file's id, and whether the file may have bytes of removed rows."""
    connection.execute("CREATE TABLE IF NOT EXISTS feed (id VARCHAR)")
    connection.execute(CREATE_GONE)
    connection.execute(_CREATE_UNCLEAN)
    unclean = connection.execute("SELECT 1 FROM unclean LIMIT 1").fetchone() is not None
    found = connection.execute("SELECT id FROM feed").fetchone()
    if found is None:
        found = (uuid4().hex,)
        connection.execute("INSERT INTO feed VALUES (?)", found)
    return str(found[0]), unclean


_CREATE_UNCLEAN = "CREATE TABLE IF NOT EXISTS unclean (due BOOLEAN)"


def mark_unclean(connection: Connection) -> None:
    """Notes that rows were removed: the file is to be written anew."""
    connection.execute(_CREATE_UNCLEAN)
    connection.execute("INSERT INTO unclean VALUES (TRUE)")


def _mark_clean(connection: Connection) -> None:
    connection.execute("DELETE FROM unclean")
