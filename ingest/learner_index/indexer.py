"""The learner indexers: one consumer group, which brings the learner index up to date with changed profiles.

They stand beside the workers, who go on while the search is away. Offsets are committed after the writes. So if an
indexer is killed, wherever it is, the work is only done again and ends the same.
"""

from collections.abc import Sequence

from ingest.learner_index.sync import sync_learners
from ingest.workers.isolation import isolated
from ingest.workers.member import Member
from ingest.workers.watching import watched
from ingest.writes.triggers import LEARNER_ERASED
from loaders.session import Shared
from stores.events import Consumer, Record
from stores.topics import LEARNER_CHANGES, LEARNER_INDEX_GROUP

AT_ONCE = 500
"""Learners that are compared and written together."""


class LearnerIndexer(Member):
    """A member of the group of learner indexers.

    ``most`` is the number of records in a batch. ``wait`` is how many seconds it waits for them.
    """

    def __init__(self, shared: Shared, *, most: int = 2000, wait: float = 0.1) -> None:
        super().__init__(shared, LEARNER_INDEX_GROUP, [LEARNER_CHANGES.name])
        self._most = most
        self._wait = wait

    async def turn(self, consumer: Consumer) -> None:
        records = await self.patiently(lambda: consumer.batch(self._most, self._wait))
        if not records:
            return
        with watched(self._group, records):
            await self.patiently(lambda: isolated(self._shared, records, self._index))
            await self.patiently(lambda: consumer.commit(records))
        self.processed += len(records)

    async def _index(self, records: Sequence[Record]) -> None:
        users = list(dict.fromkeys(record.key for record in records))
        for first in range(0, len(users), AT_ONCE):
            await sync_learners(self._shared, users[first : first + AT_ONCE])
        # Whatever was deleted just now: an indexer that was killed may have done that.
        if any(record.value == LEARNER_ERASED for record in records):
            await self._shared.stores.learner_search.scrub()
