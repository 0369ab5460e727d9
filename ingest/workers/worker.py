"""The workers: one consumer group, the only writer of aggregates and of the workers' columns of enrolments.

A batch of triggers becomes the set of keys that they are about. Each key is recomputed once, from rows that are read
after the last of its triggers. Offsets are committed after the writes and the sends. So if a worker is killed, wherever
it is, the work is only done again and ends the same.
"""

from collections.abc import Sequence

from ingest.workers.batch import handle
from ingest.workers.handlers import TOPICS
from ingest.workers.isolation import isolated
from ingest.workers.member import Member
from ingest.workers.watching import watched
from ingest.workers.work import Work
from loaders.session import Shared
from stores.events import Consumer, Record
from stores.topics import WORKER_GROUP


class Worker(Member):
    """A member of the group of workers.

    ``most`` is the number of records in a batch. ``wait`` is how many seconds it waits for them.
    """

    def __init__(
        self, shared: Shared, *, most: int = 2000, wait: float = 0.1, group: str = WORKER_GROUP
    ) -> None:
        super().__init__(shared, group, list(TOPICS))
        self._most = most
        self._wait = wait
        self.dead = 0
        """How many of the records that were processed were put away as dead letters."""
        self.ignored = 0
        """How many of these were profiles from before an erasure of their learners."""

    async def turn(self, consumer: Consumer) -> None:
        records = await self.patiently(lambda: consumer.batch(self._most, self._wait))
        if not records:
            return
        with watched(self._group, records):
            done, broken = await self.patiently(lambda: isolated(self._shared, records, self._handle))
            await self.patiently(lambda: consumer.commit(records))
        self.processed += len(records)
        self.dead += broken
        for work in done:
            self.dead += len(work.dead)
            self.ignored += work.ignored

    async def _handle(self, records: Sequence[Record]) -> Work:
        return await handle(self._shared, records)
