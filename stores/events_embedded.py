"""The events port in one SQLite file, for one machine: any number of processes may share it.

``log_file.py`` has the tables and the records, ``log_members.py`` the members of consumer groups, and
``log_forgetting.py`` the deletion of records about a subject. All of these run on one thread of the log.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from rules.errors import StoreUnavailable
from stores import log_forgetting
from stores.deadline import remaining
from stores.events import PATIENCE as WORK
from stores.events import Events, Message, Record, RecordFilter, Topic, with_trace
from stores.futures import ended
from stores.log_file import LogFile, Place
from stores.log_members import Member
from stores.meter import Meter
from stores.timing import timed

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a call may take."""
BEAT = 1.0
"""Seconds between a member's heartbeats."""
POLL = 0.05
"""Seconds between looks for what other processes wrote; this process's own sends wake its consumers at once."""
LOOK_ANEW = 0.5
"""Seconds after which a waiting consumer fetches anyway: a member's death writes nothing."""
PAGE = 1000
"""Records that ``read`` takes at a time."""
CLEANED_WITHIN = 600.0
"""Seconds that writing the file anew may take."""


@timed("events", Events, str)
class EmbeddedEvents:
    """The Events port in SQLite.

    ``send`` survives the death of every process. If the machine dies, the last moments may be lost (WAL,
    synchronous=NORMAL). Other processes see a send within 50 ms. The database is used on one thread of its own, never
    on the event loop.
    """

    def __init__(self, path: str | Path, prefix: str) -> None:
        self.meter = Meter()
        self._file = LogFile(path, prefix)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="events")
        self._changed = asyncio.Event()
        self._members: set[EmbeddedConsumer] = set()

    @classmethod
    async def open(cls, path: str | Path, prefix: str = "cohort") -> Self:
        """Creates the file if it is missing, but not its folder. StoreUnavailable where that fails."""
        events = cls(path, prefix)
        try:
            await events.run(events._file.connect)
        except BaseException:
            events._thread.shutdown(wait=False)
            raise
        return events

    async def send(self, topic: str, *messages: Message) -> None:
        if not messages:
            return
        self.meter.count(f"send {topic}", len(messages))
        traced = with_trace(messages)
        await self.run(lambda: self._file.append(self.name(topic), traced))
        self.wake()

    async def consumer(
        self, group: str, topics: Sequence[str], *, patience: float = WORK
    ) -> "EmbeddedConsumer":
        """A member that works is never taken for dead, however long it takes."""
        member = Member(self._file, self.name(group), [self.name(topic) for topic in topics])
        consumer = EmbeddedConsumer(self, member)
        await consumer.join()
        self._members.add(consumer)
        return consumer

    async def read(self, topic: str) -> AsyncIterator[Record]:
        ends = await self.run(lambda: self._file.ends(self.name(topic)))
        for partition, end in ends.items():
            place, start = (self.name(topic), partition), 0
            while start < end:
                page = await self.run(partial(self._file.records, place, start, PAGE))
                for record in page:
                    if record.offset < end:
                        yield record
                start = page[-1].offset + 1 if page else end

    async def lag(self, group: str, topics: Sequence[str]) -> dict[str, int]:
        return await self.run(
            lambda: {topic: self._file.lag(self.name(group), self.name(topic)) for topic in topics}
        )

    async def forget(self, topic: str, *subjects: RecordFilter) -> None:
        """The file keeps the list of subjects until their records are gone."""
        if subjects:
            await self.run(lambda: log_forgetting.note_subjects(self._file, self.name(topic), subjects))

    async def clean(self) -> None:
        """Writes the file anew where it may hold bytes of deleted records."""
        if await self.run(lambda: log_forgetting.is_unclean(self._file)):
            await self.run(lambda: log_forgetting.clean(self._file), CLEANED_WITHIN)

    async def init(self, topics: Sequence[Topic]) -> list[str]:
        """Also deletes records that are older than their topic's retention and that every group has committed."""
        return await self.run(lambda: self._file.create_topics(topics))

    async def ping(self) -> None:
        await self.run(lambda: self._file.db.execute("SELECT count(*) FROM topics").fetchone())

    async def close(self) -> None:
        """Its consumers leave their groups."""
        if not self._file.is_open:
            return
        for member in [*self._members]:
            await member.close()
        with contextlib.suppress(StoreUnavailable):
            await self.clean()
        await self.run(self._file.disconnect)
        self._thread.shutdown(wait=False)

    # What consumers need of the log.

    def name(self, name: str) -> str:
        return self._file.name(name)

    async def run(self, work: Callable[[], T], patience: float = PATIENCE) -> T:
        """Runs ``work``, one transaction, on the log's thread. A cancelled call may still be carried out."""
        try:
            async with asyncio.timeout(remaining(patience)):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError as error:
            remaining(patience)  # DeadlineExceeded, where it was that
            raise StoreUnavailable(
                f"the event log was not free for {patience:g} s", detail=str(self._file.path)
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreUnavailable("the event log is away", detail=f"{self._file.path}: {error}") from error

    def wake(self) -> None:
        """Lets every consumer that waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for_change(self, version: int, wait: float) -> None:
        """Returns once there may be something that a fetch at file ``version`` did not see, or after ``wait`` seconds."""
        changed, until = self._changed, time.monotonic() + min(wait, LOOK_ANEW)
        while (left := until - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, POLL)):
                    await changed.wait()
                    return
            if await self.run(self._file.version) != version:
                return

    def dismiss(self, member: "EmbeddedConsumer") -> None:
        """Drops a consumer that has closed."""
        self._members.discard(member)


class EmbeddedConsumer:
    """A member of a group. A task of its own keeps it alive while its records are worked on."""

    def __init__(self, events: EmbeddedEvents, member: Member) -> None:
        self._events = events
        self._member = member
        self._next: Mapping[Place, int] = {}
        """Where to read on, in the partitions owned at the last fetch."""
        self._turn = 0
        self._heart: asyncio.Task[None] | None = None

    async def join(self) -> None:
        """Enters the group and starts the heartbeat."""
        await self._events.run(self._member.join)
        self._events.wake()
        # In a context of its own: the deadline of the call that joins is not the member's.
        self._heart = asyncio.create_task(self._beat(), context=Context())

    async def batch(self, most: int, wait: float) -> list[Record]:
        until = time.monotonic() + wait
        while True:
            # Positions move only once the records are on their way to the caller: a cancelled call loses none.
            fetched = await self._events.run(lambda: self._member.fetch(most, self._next, self._turn))
            left = until - time.monotonic()
            if fetched.records or left <= 0:
                self._next = fetched.position
                self._turn += 1
                return fetched.records
            await self._events.wait_for_change(fetched.version, left)

    async def commit(self, records: Sequence[Record]) -> bool:
        done: dict[Place, int] = {}
        for record in records:
            place = (self._events.name(record.topic), record.partition)
            done[place] = max(record.offset + 1, done.get(place, 0))
        if not done:
            return True
        self._events.meter.count("commit")
        return await self._events.run(lambda: self._member.commit(done))

    async def ahead(self) -> Mapping[tuple[str, int], int] | None:
        return await self._events.run(lambda: self._member.ahead(self._next))

    async def close(self) -> None:
        if self._heart is None:
            return
        await ended(self._heart)
        self._heart = None
        self._events.dismiss(self)
        await self._events.run(self._member.leave)
        self._events.wake()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            # The log being away for a moment is for those to report who asked it for something.
            with contextlib.suppress(StoreUnavailable):
                if await self._events.run(self._member.beat):
                    await self._events.clean()
