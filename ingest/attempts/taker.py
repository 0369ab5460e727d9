"""The attempt takers: one consumer group, the only writer of the rows of attempts that learners submit.

They stand beside the workers. A taker writes an attempt, then sends the trigger by which the workers compute the scores
(``take``), then commits. So if it is killed, wherever it is, the work is only done again and ends the same.
"""

from collections.abc import Iterator, Sequence

from ingest.attempts.taking import ALL, Taking, take
from ingest.workers.isolation import isolated
from ingest.workers.member import Member
from ingest.workers.watching import watched
from loaders.session import Shared
from rules.assessments import AttemptRules
from stores.events import Consumer, Record
from stores.topics import ASSESSMENTS, ATTEMPT_TAKER_GROUP

LARGEST_CHUNK = 4 * 1024 * 1024
"""Bytes of records that are taken together. It bounds the memory: parsed, they take some ten times as many."""


class AttemptTaker(Member):
    """A member of the group of attempt takers.

    ``rules`` say which attempts are taken. ``most`` is the number of records in a batch. ``wait`` is how many seconds it
    waits for them.
    """

    def __init__(
        self, shared: Shared, rules: AttemptRules = ALL, *, most: int = 500, wait: float = 0.1
    ) -> None:
        super().__init__(shared, ATTEMPT_TAKER_GROUP, [ASSESSMENTS.name])
        self._rules = rules
        self._most = most
        self._wait = wait
        self.written = 0
        """How many attempts were written."""
        self.dead = 0
        """How many of the records that were processed were put away as dead letters."""
        self.ignored = 0
        """How many of these were from before an erasure."""

    async def turn(self, consumer: Consumer) -> None:
        records = await self.patiently(lambda: consumer.batch(self._most, self._wait))
        if not records:
            return
        with watched(self._group, records):
            for chunk in chunks(records):
                await self._process(chunk)
            await self.patiently(lambda: consumer.commit(records))
        self.processed += len(records)

    async def _process(self, records: Sequence[Record]) -> None:
        done, broken = await self.patiently(lambda: isolated(self._shared, records, self._take))
        self.dead += broken
        for taking in done:
            self.written += taking.written
            self.ignored += taking.erased
            self.dead += len(taking.dead)

    async def _take(self, records: Sequence[Record]) -> Taking:
        return await take(self._shared, records, self._rules)


def chunks(records: Sequence[Record], largest: int = LARGEST_CHUNK) -> Iterator[list[Record]]:
    """Gives the records in their order, together as many as have at most ``largest`` bytes, or one that has more."""
    chunk: list[Record] = []
    size = 0
    for record in records:
        if chunk and size + len(record.value) > largest:
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += len(record.value)
    if chunk:
        yield chunk
