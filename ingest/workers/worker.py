"""The workers: one consumer group, the only writer of aggregates and of the workers' columns of enrolments.

A batch of triggers becomes the set of keys that they are about. Each key is recomputed once, from rows that are read
after the last of its triggers. Offsets are committed after the writes and the sends. So if a worker is killed, wherever
it is, the work is only done again and ends the same.
"""

import logging
from collections.abc import Sequence

from ingest.workers.batch import handle, send_dead_letters
from ingest.workers.dead_letters import dead_letter
from ingest.workers.handlers import TOPICS
from ingest.workers.member import Member
from loaders.session import Shared
from rules.errors import StoreUnavailable
from stores.events import Consumer, Record
from stores.topics import WORKER_GROUP

log = logging.getLogger(__name__)


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
        await self.patiently(lambda: self._process(records))
        await self.patiently(lambda: consumer.commit(records))
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
