"""A member of a consumer group in the embedded log's file: heartbeats, owned partitions, reading and committing.

A member owns the partitions whose number, modulo the live members in order of their ids, is its rank. Every
transaction works that out anew from the members' heartbeats. So all processes always agree, and nobody assigns.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stores import log_forgetting
from stores.events import Record
from stores.log_file import LogFile, Place, transaction
from stores.topics import FEEDER_GROUP

LEASE = 3.0
"""Seconds without a heartbeat after which a member counts as dead."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """``position``: where to read on, for each owned partition. ``version``: of the file, as LogFile.version has it."""

    records: list[Record]
    position: Mapping[Place, int]
    version: int


class Member:
    """Every method must run on the log's thread (EmbeddedEvents.run)."""

    def __init__(self, file: LogFile, group: str, topics: Sequence[str]) -> None:
        """``group`` and ``topics`` are full names, with the prefix."""
        self._file = file
        self._group = group
        self._topics = topics
        self._id = uuid.uuid4().hex

    def join(self) -> None:
        """Enters the group. InvalidInput for an unknown topic."""
        db = self._file.db
        with transaction(db):
            for topic in self._topics:
                # From now on retention waits for this group.
                db.executemany(
                    "INSERT OR IGNORE INTO places VALUES (?, ?, ?, 0)",
                    [(topic, partition, self._group) for partition in range(self._file.partitions(topic))],
                )
            self._write_heartbeat()

    def beat(self) -> bool:
        """Keeps the member alive. Whether the file is due to be cleaned."""
        with transaction(self._file.db):
            self._write_heartbeat()
            return log_forgetting.is_cleaning_due(self._file)

    def leave(self) -> None:
        """Leaves the group; its partitions belong to the others at once."""
        with transaction(self._file.db):
            self._file.db.execute("DELETE FROM members WHERE member = ?", (self._id,))

    def fetch(self, most: int, position: Mapping[Place, int], turn: int) -> Fetched:
        """Reads up to ``most`` records of the owned partitions, from ``position`` on.

        ``turn`` counts the fetches: each begins with another partition.
        """
        found: list[Record] = []
        version = self._file.version()
        with transaction(self._file.db, writes=False):
            owned = self._owned()
            # A partition that was lost and came back: the group is then ahead of this member.
            following = {
                place: max(position.get(place, 0), self._file.committed(self._group, place))
                for place in owned
            }
            first = turn % max(1, len(owned))
            for place in owned[first:] + owned[:first]:
                records = self._file.records(place, following[place], most - len(found))
                if records:
                    found += records
                    following[place] = records[-1].offset + 1
                if len(found) >= most:
                    break
        return Fetched(found, following, version)

    def ahead(self, position: Mapping[Place, int]) -> Mapping[tuple[str, int], int] | None:
        """The offset of the last record of each partition that has some from ``position`` on. None unless all partitions are
        owned."""
        with transaction(self._file.db, writes=False):
            owned = self._owned()
            if len(owned) < sum(map(self._file.partitions, self._topics)):
                return None
            found = {}
            for place in owned:
                start = max(position.get(place, 0), self._file.committed(self._group, place))
                if (last := self._file.last(place, start)) is not None:
                    found[self._file.short(place)] = last
            return found

    def commit(self, done: Mapping[Place, int]) -> bool:
        """Commits up to these offsets where the member owns the partition. False where it does not own them all."""
        db = self._file.db
        with transaction(db):
            owned = set(self._owned())
            db.executemany(
                "UPDATE places SET next = max(next, ?) WHERE topic = ? AND partition = ? AND consumers = ?",
                [(end, *place, self._group) for place, end in done.items() if place in owned],
            )
            for place in done:
                log_forgetting.delete_committed(self._file, place, self._file.end(place))
        return done.keys() <= owned

    def _write_heartbeat(self) -> None:
        """Writes that this member lives, and removes dead ones."""
        db, now = self._file.db, time.time()
        db.executemany(
            "INSERT INTO members VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET seen = excluded.seen",
            [(self._group, topic, self._id, now) for topic in self._topics],
        )
        db.execute("DELETE FROM members WHERE seen < ?", (now - LEASE,))

    def _owned(self) -> list[Place]:
        owned = []
        for topic in self._topics:
            rows = self._file.db.execute(
                "SELECT member FROM members WHERE consumers = ? AND topic = ? AND seen >= ? ORDER BY member",
                (self._group, topic, time.time() - LEASE),
            )
            live = [member for (member,) in rows]
            if self._id in live:
                rank, count = live.index(self._id), self._file.partitions(topic)
                owned += [(topic, partition) for partition in range(count) if partition % len(live) == rank]
        return owned


def forget_members(file: LogFile) -> None:
    """Ends every member, and each group that fed a file of group figures: in a copy of the log none of them is there."""
    feeders = f"{file.name(FEEDER_GROUP)}-"
    with transaction(file.db):
        file.db.execute("DELETE FROM members")
        file.db.execute("DELETE FROM places WHERE substr(consumers, 1, ?) = ?", (len(feeders), feeders))
