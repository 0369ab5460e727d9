"""The file of the embedded log: its tables, topics, records and the places that groups have committed."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from rules.errors import InvalidInput
from stores.events import Message, Record, Topic
from stores.private import private_file

LOCKED_WITHIN = 10.0
"""Seconds that a transaction waits for the write lock; other processes hold it for some ms."""

TABLES = """
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
"""A topic's full name, with the prefix, and a partition."""


@contextmanager
def transaction(db: sqlite3.Connection, *, writes: bool = True) -> Iterator[None]:
    """Commits at the end, rolls back after an error. ``writes`` takes the write lock at once."""
    # A transaction that begins by reading and then writes may fail although it would have waited for its turn.
    db.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    try:
        yield
    except BaseException:
        db.rollback()
        raise
    db.commit()


class LogFile:
    """One connection to the file. Every method must run on the log's thread (EmbeddedEvents.run)."""

    def __init__(self, path: str | Path, prefix: str) -> None:
        self.path = path
        self.prefix = prefix
        self._db: sqlite3.Connection | None = None

    @property
    def db(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError("the log is closed")
        return self._db

    @property
    def is_open(self) -> bool:
        return self._db is not None

    def connect(self) -> None:
        """Creates the file and its tables where they are missing, but not the folder."""
        with contextlib.suppress(OSError):  # SQLite says what is wrong
            private_file(Path(self.path))
        db = sqlite3.connect(self.path, timeout=LOCKED_WITHIN, isolation_level=None)
        try:
            _use_wal(db)
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA secure_delete = ON")
            with transaction(db):
                for statement in TABLES.split(";"):
                    db.execute(statement)
        except BaseException:
            db.close()
            raise
        self._db = db

    def disconnect(self) -> None:
        self.db.close()
        self._db = None

    def version(self) -> int:
        """A number that changes with every commit of another connection."""
        return int(self.db.execute("PRAGMA data_version").fetchone()[0])

    # Topics.

    def name(self, name: str) -> str:
        """The full name of a topic or a group, with the prefix."""
        return f"{self.prefix}.{name}"

    def create_topics(self, topics: Sequence[Topic]) -> list[str]:
        """Creates missing topics, a line for each. Expires old records of the others."""
        done = []
        with transaction(self.db):
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

    def partitions(self, topic: str) -> int:
        """How many the topic has. InvalidInput for an unknown topic."""
        row = self.db.execute("SELECT partitions FROM topics WHERE topic = ?", (topic,)).fetchone()
        if row is None:
            raise InvalidInput(f"there is no topic {topic}: run cohort init", field="topic")
        return int(row[0])

    def _expire(self, topic: str, days: int) -> None:
        """Deletes records that are older than ``days`` and that every group has committed."""
        before = time.time_ns() // 1_000_000 - days * 86_400_000
        for partition, end in self.ends(topic).items():
            place = (topic, partition)
            self.db.execute(
                "DELETE FROM records WHERE topic = ? AND partition = ? AND offset < ? AND appended_at < ?",
                (*place, self.committed_by_all(place, end), before),
            )
            self.db.execute(
                "DELETE FROM forgotten WHERE topic = ? AND partition = ? AND offset < ?",
                (*place, self._first(place, end)),
            )

    # Records.

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        """Adds the messages, each to the partition of its key, in one transaction."""
        with transaction(self.db):
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

    def records(self, place: Place, start: int, most: int) -> list[Record]:
        """Up to ``most`` records from the offset ``start`` on, in order."""
        rows = self.db.execute(
            "SELECT offset, appended_at, key, value, headers FROM records "
            "WHERE topic = ? AND partition = ? AND offset >= ? ORDER BY offset LIMIT ?",
            (*place, start, most),
        )
        topic, partition = self.short(place)
        return [
            Record(topic, partition, offset, appended_at, key, value, json.loads(headers) if headers else {})
            for offset, appended_at, key, value, headers in rows
        ]

    def last(self, place: Place, start: int) -> int | None:
        """The offset of the partition's last record from the offset ``start`` on; None where there is none."""
        (offset,) = self.db.execute(
            "SELECT max(offset) FROM records WHERE topic = ? AND partition = ? AND offset >= ?",
            (*place, start),
        ).fetchone()
        return None if offset is None else int(offset)

    def short(self, place: Place) -> tuple[str, int]:
        """The place with the topic's name as callers know it, without the prefix."""
        return place[0].removeprefix(f"{self.prefix}."), place[1]

    def ends(self, topic: str) -> dict[int, int]:
        """By partition: the offset that the next record will get. InvalidInput for an unknown topic."""
        self.partitions(topic)
        rows = self.db.execute("SELECT partition, next FROM partitions WHERE topic = ? ORDER BY 1", (topic,))
        return dict(rows.fetchall())

    def end(self, place: Place) -> int:
        """The offset that the next record of the partition will get."""
        row = self.db.execute(
            "SELECT next FROM partitions WHERE topic = ? AND partition = ?", place
        ).fetchone()
        return int(row[0])

    # Places of groups.

    def committed(self, group: str, place: Place) -> int:
        """The offset at which the group goes on reading; 0 for a group that is new."""
        row = self.db.execute(
            "SELECT next FROM places WHERE topic = ? AND partition = ? AND consumers = ?", (*place, group)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def committed_by_all(self, place: Place, end: int) -> int:
        """The offset up to which every group has committed; ``end`` where there is no group."""
        (done,) = self.db.execute(
            "SELECT min(next) FROM places WHERE topic = ? AND partition = ?", place
        ).fetchone()
        return end if done is None else int(done)

    def lag(self, group: str, topic: str) -> int:
        """How many records of the topic the group has not committed."""
        with transaction(self.db, writes=False):
            return sum(
                self._count_from((topic, partition), self.committed(group, (topic, partition)), end)
                for partition, end in self.ends(topic).items()
            )

    def _count_from(self, place: Place, start: int, end: int) -> int:
        """How many records there are from ``start`` up to ``end``."""
        start = max(start, self._first(place, end))
        (forgotten,) = self.db.execute(
            "SELECT count(*) FROM forgotten WHERE topic = ? AND partition = ? AND offset >= ?",
            (*place, start),
        ).fetchone()
        return max(0, end - start - int(forgotten))

    def _first(self, place: Place, end: int) -> int:
        """The offset of the oldest record that is left; ``end`` where none is."""
        row = self.db.execute(
            "SELECT min(offset) FROM records WHERE topic = ? AND partition = ?", place
        ).fetchone()
        return end if row[0] is None else int(row[0])


def _use_wal(db: sqlite3.Connection) -> None:
    # Two processes that open a new file at once may collide here, where SQLite does not wait by itself.
    for attempt in range(100):
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.02)
