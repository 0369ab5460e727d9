"""The event log in one SQLite file, for one machine: any number of processes may share it.

A member of a group owns the partitions whose number, modulo the live members in order of their ids, is its rank. Every
transaction works that out anew from the members' heartbeats, so all processes always agree, and nobody assigns.
"""

import asyncio
import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import Self, TypeVar
from zlib import crc32

from rules.errors import InvalidInput, StoreUnavailable
from stores.deadline import remaining
from stores.events import PATIENCE as WORK
from stores.events import Message, Record, Subject, Topic
from stores.meter import Meter
from stores.private import private_file
from stores.sqlite_file import write_anew

T = TypeVar("T")

PATIENCE = 10.0
"""The seconds that a call may take. Other processes hold the write lock for some milliseconds."""
LEASE = 3.0
"""The seconds without a heartbeat after which a member counts as dead."""
BEAT = 1.0
POLL = 0.05
"""The seconds between looks for what other processes wrote. Sends of this process wake its consumers at once."""
LOOK_ANEW = 0.5
"""The seconds after which a waiting consumer fetches anyway, since a member that dies writes nothing."""
PAGE = 1000
QUIET = 2.0
"""The seconds between the last deletion of records that are to be forgotten, and writing the file anew without them."""
CLEANED_WITHIN = 600.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (topic TEXT PRIMARY KEY, partitions INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partitions (
  topic TEXT, partition INTEGER, next INTEGER NOT NULL, appended_at INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
  topic TEXT, partition INTEGER, offset INTEGER, appended_at INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
  headers TEXT NOT NULL, PRIMARY KEY (topic, partition, offset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS places (
  topic TEXT, partition INTEGER, consumers TEXT, next INTEGER NOT NULL, PRIMARY KEY (topic, partition, consumers)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (
  consumers TEXT, topic TEXT, member TEXT, seen REAL NOT NULL, PRIMARY KEY (consumers, topic, member)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forgetting (
  topic TEXT, partition INTEGER, subject TEXT, next INTEGER NOT NULL, until INTEGER NOT NULL,
  PRIMARY KEY (topic, partition, subject)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forgotten (
  topic TEXT, partition INTEGER, offset INTEGER, PRIMARY KEY (topic, partition, offset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unclean (since REAL NOT NULL);
"""

Place = tuple[str, int]
"""A topic, with the prefix, and a partition."""


@contextmanager
def _transaction(db: sqlite3.Connection, *, writes: bool = True) -> Iterator[None]:
    # A transaction that begins by reading and then writes may fail although it would have waited for its turn.
    db.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    try:
        yield
    except BaseException:
        db.rollback()
        raise
    db.commit()


class EmbeddedEvents:
    """The Events port in SQLite.

    ``send`` survives the death of every process; of the machine, all but the last moments (WAL, synchronous=NORMAL).
    Other processes see a send within 50 ms. The database is used on one thread of its own, never on the event loop.
    """

    def __init__(self, path: str | Path, prefix: str) -> None:
        self.meter = Meter()
        self._path = path
        self._prefix = prefix
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="events")
        self._changed = asyncio.Event()
        self._members: set[EmbeddedConsumer] = set()
        self._db: sqlite3.Connection | None = None

    @classmethod
    async def open(cls, path: str | Path, prefix: str = "cohort") -> Self:
        """Opens the log, and creates the file if it is missing, but not its folder. StoreUnavailable says that this
        failed."""
        events = cls(path, prefix)
        try:
            await events.run(events._connect)
        except BaseException:
            events._thread.shutdown(wait=False)
            raise
        return events

    async def send(self, topic: str, *messages: Message) -> None:
        if not messages:
            return
        self.meter.count(f"send {topic}", len(messages))
        await self.run(lambda: self._append(self.name(topic), messages))
        self.wake()

    async def consumer(
        self, group: str, topics: Sequence[str], *, patience: float = WORK
    ) -> "EmbeddedConsumer":
        """Returns a new member. It is never taken for dead while it works, however long that takes."""
        member = EmbeddedConsumer(self, self.name(group), [self.name(topic) for topic in topics])
        await member.join()
        self._members.add(member)
        return member

    async def read(self, topic: str) -> AsyncIterator[Record]:
        ends = await self.run(lambda: self._ends(self.name(topic)))
        for partition, end in ends.items():
            place, start = (self.name(topic), partition), 0
            while start < end:
                page = await self.run(partial(self.records, place, start, PAGE))
                for record in page:
                    if record.offset < end:
                        yield record
                start = page[-1].offset + 1 if page else end

    async def lag(self, group: str, topics: Sequence[str]) -> dict[str, int]:
        return await self.run(
            lambda: {topic: self._lag(self.name(group), self.name(topic)) for topic in topics}
        )

    async def forget(self, topic: str, *subjects: Subject) -> None:
        """Notes what to delete. The file says it until the last of these records is gone."""
        if subjects:
            await self.run(lambda: self._forget(self.name(topic), subjects))

    async def clean(self) -> None:
        """Writes the file anew where that is due, so that nothing of what was forgotten is left."""
        if await self.run(self._is_unclean):
            await self.run(self._clean, CLEANED_WITHIN)

    async def init(self, topics: Sequence[Topic]) -> list[str]:
        """Also deletes records older than their topic's retention that every group has committed."""
        return await self.run(lambda: self._init(topics))

    async def ping(self) -> None:
        await self.run(lambda: self.db.execute("SELECT count(*) FROM topics").fetchone())

    async def close(self) -> None:
        """Its consumers leave their groups."""
        if self._db is None:
            return
        for member in [*self._members]:
            await member.close()
        with contextlib.suppress(StoreUnavailable):
            await self.clean()
        await self.run(self._disconnect)
        self._thread.shutdown(wait=False)

    # What consumers need of the log.

    @property
    def db(self) -> sqlite3.Connection:
        """For functions given to ``run`` only."""
        if self._db is None:
            raise sqlite3.OperationalError("the log is closed")
        return self._db

    def name(self, name: str) -> str:
        return f"{self._prefix}.{name}"

    async def run(self, work: Callable[[], T], patience: float = PATIENCE) -> T:
        """Does ``work`` as one transaction on the log's thread. A cancelled call may still be carried out."""
        try:
            async with asyncio.timeout(remaining(patience)):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError as error:
            remaining(patience)  # DeadlineExceeded, where it was that
            raise StoreUnavailable(
                f"the event log was not free for {patience:g} s", detail=str(self._path)
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreUnavailable("the event log is away", detail=f"{self._path}: {error}") from error

    def wake(self) -> None:
        """Has every consumer that waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self, version: int, wait: float) -> None:
        """Waits until there may be something that a fetch at data ``version`` did not see, ``wait`` seconds at most."""
        changed, until = self._changed, time.monotonic() + min(wait, LOOK_ANEW)
        while (left := until - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, POLL)):
                    await changed.wait()
                    return
            if await self.run(self.version) != version:
                return

    def dismiss(self, member: "EmbeddedConsumer") -> None:
        self._members.discard(member)

    # On the log's thread.

    def _connect(self) -> None:
        with contextlib.suppress(OSError):  # SQLite says what is wrong
            private_file(Path(self._path))
        db = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)
        try:
            # Two processes that open a new file at once may collide here, where SQLite does not wait by itself.
            for attempt in range(100):
                try:
                    db.execute("PRAGMA journal_mode = WAL")
                    break
                except sqlite3.OperationalError:
                    if attempt == 99:
                        raise
                    time.sleep(0.02)
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA secure_delete = ON")
            with _transaction(db):
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
        except BaseException:
            db.close()
            raise
        self._db = db

    def _disconnect(self) -> None:
        self.db.close()
        self._db = None

    def version(self) -> int:
        """Returns a number that changes with every commit of another connection."""
        return int(self.db.execute("PRAGMA data_version").fetchone()[0])

    def partitions(self, topic: str) -> int:
        row = self.db.execute("SELECT partitions FROM topics WHERE topic = ?", (topic,)).fetchone()
        if row is None:
            raise InvalidInput(f"there is no topic {topic}: run cohort init", field="topic")
        return int(row[0])

    def records(self, place: Place, start: int, most: int) -> list[Record]:
        rows = self.db.execute(
            "SELECT offset, appended_at, key, value, headers FROM records "
            "WHERE topic = ? AND partition = ? AND offset >= ? ORDER BY offset LIMIT ?",
            (*place, start, most),
        )
        topic, partition = place[0].removeprefix(f"{self._prefix}."), place[1]
        return [
            Record(topic, partition, offset, appended_at, key, value, json.loads(headers) if headers else {})
            for offset, appended_at, key, value, headers in rows
        ]

    def _append(self, topic: str, messages: Sequence[Message]) -> None:
        with _transaction(self.db):
            count = self.partitions(topic)
            ends = {
                partition: (following, appended_at)
                for partition, following, appended_at in self.db.execute(
                    "SELECT partition, next, appended_at FROM partitions WHERE topic = ?", (topic,)
                )
            }
            now = time.time_ns() // 1_000_000
            rows, changed = [], set()
            for message in messages:
                partition = crc32(message.key.encode()) % count
                # The clock may be set back; the order within a partition must not be.
                offset, appended_at = ends[partition][0], max(now, ends[partition][1])
                headers = json.dumps(dict(message.headers)) if message.headers else ""
                rows.append((topic, partition, offset, appended_at, message.key, message.value, headers))
                ends[partition] = (offset + 1, appended_at)
                changed.add(partition)
            self.db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self.db.executemany(
                "UPDATE partitions SET next = ?, appended_at = ? WHERE topic = ? AND partition = ?",
                [(*ends[partition], topic, partition) for partition in changed],
            )

    def _ends(self, topic: str) -> dict[int, int]:
        self.partitions(topic)
        rows = self.db.execute("SELECT partition, next FROM partitions WHERE topic = ? ORDER BY 1", (topic,))
        return dict(rows.fetchall())

    def end(self, place: Place) -> int:
        row = self.db.execute(
            "SELECT next FROM partitions WHERE topic = ? AND partition = ?", place
        ).fetchone()
        return int(row[0])

    def _lag(self, group: str, topic: str) -> int:
        with _transaction(self.db, writes=False):
            return sum(
                self._left((topic, partition), self.committed(group, (topic, partition)), end)
                for partition, end in self._ends(topic).items()
            )

    def _left(self, place: Place, start: int, end: int) -> int:
        """Returns records from ``start`` on."""
        start = max(start, self._first(place, end))
        (forgotten,) = self.db.execute(
            "SELECT count(*) FROM forgotten WHERE topic = ? AND partition = ? AND offset >= ?",
            (*place, start),
        ).fetchone()
        return max(0, end - start - int(forgotten))

    def _first(self, place: Place, end: int) -> int:
        """Returns the offset of the oldest record that retention has left."""
        row = self.db.execute(
            "SELECT min(offset) FROM records WHERE topic = ? AND partition = ?", place
        ).fetchone()
        return end if row[0] is None else int(row[0])

    def committed(self, group: str, place: Place) -> int:
        row = self.db.execute(
            "SELECT next FROM places WHERE topic = ? AND partition = ? AND consumers = ?", (*place, group)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _init(self, topics: Sequence[Topic]) -> list[str]:
        done = []
        with _transaction(self.db):
            for topic in topics:
                name = self.name(topic.name)
                created = self.db.execute(
                    "INSERT OR IGNORE INTO topics VALUES (?, ?)", (name, topic.partitions)
                ).rowcount
                if created:
                    rows = [(name, partition, 0, 0) for partition in range(topic.partitions)]
                    self.db.executemany("INSERT INTO partitions VALUES (?, ?, ?, ?)", rows)
                    done.append(f"created topic {name} with {topic.partitions} partitions")
                elif topic.retention_days is not None:
                    self._expire(name, topic.retention_days)
        return done

    def _expire(self, topic: str, days: int) -> None:
        before = time.time_ns() // 1_000_000 - days * 86_400_000
        for partition, end in self._ends(topic).items():
            place = (topic, partition)
            self.db.execute(
                "DELETE FROM records WHERE topic = ? AND partition = ? AND offset < ? AND appended_at < ?",
                (*place, self._done(place, end), before),
            )
            self.db.execute(
                "DELETE FROM forgotten WHERE topic = ? AND partition = ? AND offset < ?",
                (*place, self._first(place, end)),
            )

    def _done(self, place: Place, end: int) -> int:
        """Returns the offset up to which every group has committed."""
        (done,) = self.db.execute(
            "SELECT min(next) FROM places WHERE topic = ? AND partition = ?", place
        ).fetchone()
        return end if done is None else int(done)

    def _forget(self, topic: str, subjects: Sequence[Subject]) -> None:
        with _transaction(self.db):
            for partition, end in self._ends(topic).items():
                for subject in subjects:
                    self.db.execute(
                        "INSERT INTO forgetting VALUES (?, ?, ?, 0, ?) "
                        "ON CONFLICT DO UPDATE SET next = 0, until = excluded.until",
                        (topic, partition, json.dumps([subject.key, *subject.holding]), end),
                    )
                self.let_go((topic, partition), end)

    def let_go(self, place: Place, end: int) -> None:
        """Deletes what is to be forgotten of what every group has committed by now. Each record is looked at once."""
        pending = self.db.execute(
            "SELECT subject, next, until FROM forgetting WHERE topic = ? AND partition = ?", place
        ).fetchall()
        done = self._done(place, end) if pending else 0
        for text, following, until in pending:
            upto = min(done, until)
            if upto > following:
                key, *holding = json.loads(text)
                about = "" if key is None else " AND (key = ? OR substr(key, -?) = ?)"
                bound = () if key is None else (key, len(key) + 1, f"|{key}")
                about += " AND instr(value, ?) > 0" * len(holding)
                found = self.db.execute(
                    f"DELETE FROM records WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ?{about} "  # noqa: S608
                    "RETURNING offset",
                    (*place, following, upto, *bound, *(part.encode() for part in holding)),
                ).fetchall()
                self.db.executemany(
                    "INSERT INTO forgotten VALUES (?, ?, ?)", [(*place, at) for (at,) in found]
                )
            if upto >= until:
                self.db.execute(
                    "DELETE FROM forgetting WHERE topic = ? AND partition = ? AND subject = ?", (*place, text)
                )
                self.db.execute("DELETE FROM unclean")
                self.db.execute("INSERT INTO unclean VALUES (?)", (time.time(),))
            else:
                self.db.execute(
                    "UPDATE forgetting SET next = max(next, ?) WHERE topic = ? AND partition = ? AND subject = ?",
                    (upto, *place, text),
                )

    def _is_unclean(self) -> bool:
        return self.db.execute("SELECT 1 FROM unclean").fetchone() is not None

    def rests(self) -> bool:
        """Returns whether the file is due to be written anew."""
        return (
            self.db.execute("SELECT 1 FROM unclean WHERE since < ?", (time.time() - QUIET,)).fetchone()
            is not None
        )

    def _clean(self) -> None:
        self.db.execute("DELETE FROM unclean")
        try:
            write_anew(self.db)
        except sqlite3.Error:
            self.db.execute("INSERT INTO unclean VALUES (?)", (time.time(),))
            raise


class EmbeddedConsumer:
    """A member of a group. A task of its own keeps it alive while its records are worked on."""

    def __init__(self, events: EmbeddedEvents, group: str, topics: Sequence[str]) -> None:
        self._events = events
        self._group = group
        self._topics = topics
        self._id = uuid.uuid4().hex
        self._next: Mapping[Place, int] = {}
        """The offset to read on from, for each partition owned at the last fetch."""
        self._turn = 0
        self._heart: asyncio.Task[None] | None = None

    async def join(self) -> None:
        await self._events.run(self._join)
        self._events.wake()
        # In a context of its own: the deadline of the call that joins is not the member's.
        self._heart = asyncio.create_task(self._beat(), context=Context())

    async def batch(self, most: int, wait: float) -> list[Record]:
        until = time.monotonic() + wait
        while True:
            # Positions move only once the records are on their way to the caller: a cancelled call loses none.
            found, position, version = await self._events.run(lambda: self._fetch(most))
            left = until - time.monotonic()
            if found or left <= 0:
                self._next = position
                self._turn += 1
                return found
            await self._events.change(version, left)

    async def commit(self, records: Sequence[Record]) -> bool:
        done: dict[Place, int] = {}
        for record in records:
            place = (self._events.name(record.topic), record.partition)
            done[place] = max(record.offset + 1, done.get(place, 0))
        if not done:
            return True
        self._events.meter.count("commit")
        return await self._events.run(lambda: self._commit(done))

    async def close(self) -> None:
        if self._heart is None:
            return
        self._heart.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._heart
        self._heart = None
        self._events.dismiss(self)
        await self._events.run(self._leave)
        self._events.wake()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            # The log being away for a moment is for those to report who asked it for something.
            with contextlib.suppress(StoreUnavailable):
                if await self._events.run(self._live):
                    await self._events.clean()

    # On the log's thread.

    def _join(self) -> None:
        db = self._events.db
        with _transaction(db):
            for topic in self._topics:
                # From now on retention waits for this group.
                db.executemany(
                    "INSERT OR IGNORE INTO places VALUES (?, ?, ?, 0)",
                    [(topic, partition, self._group) for partition in range(self._events.partitions(topic))],
                )
            self._seen()

    def _live(self) -> bool:
        """Whether the log's file is due to be cleaned."""
        with _transaction(self._events.db):
            self._seen()
            return self._events.rests()

    def _seen(self) -> None:
        db, now = self._events.db, time.time()
        db.executemany(
            "INSERT INTO members VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET seen = excluded.seen",
            [(self._group, topic, self._id, now) for topic in self._topics],
        )
        db.execute("DELETE FROM members WHERE seen < ?", (now - LEASE,))

    def _leave(self) -> None:
        with _transaction(self._events.db):
            self._events.db.execute("DELETE FROM members WHERE member = ?", (self._id,))

    def _owned(self) -> list[Place]:
        owned = []
        for topic in self._topics:
            rows = self._events.db.execute(
                "SELECT member FROM members WHERE consumers = ? AND topic = ? AND seen >= ? ORDER BY member",
                (self._group, topic, time.time() - LEASE),
            )
            live = [member for (member,) in rows]
            if self._id in live:
                rank, count = live.index(self._id), self._events.partitions(topic)
                owned += [(topic, partition) for partition in range(count) if partition % len(live) == rank]
        return owned

    def _fetch(self, most: int) -> tuple[list[Record], Mapping[Place, int], int]:
        found: list[Record] = []
        version = self._events.version()
        with _transaction(self._events.db, writes=False):
            owned = self._owned()
            # A place regained was lost in between if the group is ahead of us.
            position = {
                place: max(self._next.get(place, 0), self._events.committed(self._group, place))
                for place in owned
            }
            turn = self._turn % max(1, len(owned))
            for place in owned[turn:] + owned[:turn]:
                records = self._events.records(place, position[place], most - len(found))
                if records:
                    found += records
                    position[place] = records[-1].offset + 1
                if len(found) >= most:
                    break
        return found, position, version

    def _commit(self, done: Mapping[Place, int]) -> bool:
        db = self._events.db
        with _transaction(db):
            owned = set(self._owned())
            db.executemany(
                "UPDATE places SET next = max(next, ?) WHERE topic = ? AND partition = ? AND consumers = ?",
                [(end, *place, self._group) for place, end in done.items() if place in owned],
            )
            for place in done:
                self._events.let_go(place, self._events.end(place))
        return done.keys() <= owned
