"""The workers: one consumer group, the only writer of aggregates and of the workers' columns of enrolments.

A batch of triggers becomes the set of keys that they are about. Each key is recomputed once, from rows that are read
after the last of its triggers. Offsets are committed after the writes and the sends. So if a worker is killed, wherever
it is, the work is only done again and ends the same.
"""

import asyncio
import logging
from collections.abc import Sequence

from ingest.workers.batch import handle, send_dead_letters
from ingest.workers.dead_letters import dead_letter
from ingest.workers.handlers import TOPICS
from loaders.session import Shared
from rules.errors import StoreUnavailable
from stores.backoff import Stopped, patiently
from stores.events import Consumer, Record
from stores.topics import WORKER_GROUP

log = logging.getLogger(__name__)


class Worker:
    """One member of the group. It runs from ``run`` to ``stop``. Several may run in one process or in many.

    ``most`` is the number of records in a batch. ``wait`` is how many seconds it waits for them.
    """

    def __init__(
        self, shared: Shared, *, most: int = 2000, wait: float = 0.1, group: str = WORKER_GROUP
    ) -> None:
        self._shared = shared
        self._most = most
        self._wait = wait
        self._group = group
        self._stopping = asyncio.Event()
        self.processed = 0
        """Records done since the start."""
        self.dead = 0
        """How many of these were put away as dead letters."""
        self.ignored = 0
        """How many of these were profiles from before an erasure of their learners."""

    def stop(self) -> None:
        """Finishes and commits the batch at hand. Then ``run`` returns."""
        self._stopping.set()

    async def run(self) -> None:
        """Processes batches until ``stop`` or cancellation, and leaves the group in either case. Waits while a store is
        away."""
        try:
            consumer = await patiently(self._join, self._stopping)
        except Stopped:
            return
        try:
            while not self._stopping.is_set():
                await self._turn(consumer)
        except Stopped:
            pass
        finally:
            await consumer.close()

    async def _join(self) -> Consumer:
        return await self._shared.stores.events.consumer(self._group, list(TOPICS))

    async def _turn(self, consumer: Consumer) -> None:
        records = await patiently(lambda: consumer.batch(self._most, self._wait), self._stopping)
        if not records:
            return
        await patiently(lambda: self._process(records), self._stopping)
        await patiently(lambda: consumer.commit(records), self._stopping)
        self.processed += len(records)

    async def _process(self, records: Sequence[Record]) -> None:
        """Processes the records. If one breaks the batch, processes each alone, and puts away the one that breaks."""
        try:
            work = await handle(self._shared, records)
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(records) == 1:
                log.exception("could not process %s", records[0])
                await send_dead_letters(self._shared, [dead_letter(records[0], f"internal error: {error!r}")])
                self.dead += 1
                return
            for record in records:
                await self._process([record])
        else:
            self.dead += len(work.dead)
            self.ignored += work.ignored
