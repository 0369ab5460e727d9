"""The workers: one consumer group, the only writer of aggregates and of the workers' columns of enrolments.

A batch of triggers becomes the set of keys that they are about. Each key is recomputed once, from rows that are read
after the last of its triggers. Offsets are committed after the writes and the sends. So if a worker is killed, wherever
it is, the work is only done again and ends the same.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ingest.workers.batch import handle, send_dead_letters
from ingest.workers.dead_letters import dead_letter
from ingest.workers.handlers import TOPICS
from loaders.session import Shared
from rules.errors import StoreUnavailable
from stores.backoff import Backoff
from stores.events import Consumer, Record
from stores.topics import WORKER_GROUP

log = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds between attempts while a store is away."""


class _Stopped(Exception):
    """``stop`` was called while a store was away."""


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
            consumer = await self._patiently(self._join)
        except _Stopped:
            return
        try:
            while not self._stopping.is_set():
                await self._turn(consumer)
        except _Stopped:
            pass
        finally:
            await consumer.close()

    async def _join(self) -> Consumer:
        return await self._shared.stores.events.consumer(self._group, list(TOPICS))

    async def _turn(self, consumer: Consumer) -> None:
        records = await self._patiently(lambda: consumer.batch(self._most, self._wait))
        if not records:
            return
        await self._patiently(lambda: self._process(records))
        await self._patiently(lambda: consumer.commit(records))
        self.processed += len(records)

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Tries again and again, with growing pauses, while a store is away. Meanwhile it reads nothing: back-pressure."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                return await attempt()
            except StoreUnavailable as error:
                log.warning("a store is away, trying again in %.1f s: %s", backoff.seconds, error)
            if await backoff.pause(self._stopping):
                raise _Stopped

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
