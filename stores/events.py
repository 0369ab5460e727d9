"""The events port: topics of keyed records, read by consumer groups. Engines: a log in SQLite and Kafka.

What both engines promise (tests/stores/test_events_contract.py runs against each):

- Records with the same key are in one partition, in the order of sending. A record's ``appended_at`` is the log's
  own time (ms), not the sender's.
- ``send`` returns when the record can't be lost (Kafka: acks from all).
- A topic's partitions are shared among the live consumers of a group; a consumer that leaves or dies hands over.
  What was not committed is delivered again, so records come at least once.
- StoreUnavailable where the engine can't be reached or does not answer within the deadline.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stores.meter import Meter

PATIENCE = 300.0
"""The seconds that a consumer may work on a batch."""


@dataclass(frozen=True, slots=True)
class Message:
    """A record that is to be sent."""

    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A record that was read. ``appended_at`` is in epoch milliseconds."""

    topic: str
    partition: int
    offset: int
    appended_at: int
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic. Its name has no prefix; the engine adds its own. ``retention_days`` None: records are kept for good."""

    name: str
    partitions: int = 4
    retention_days: int | None = 7


@dataclass(frozen=True, slots=True)
class Subject:
    """What records are about. Their key is ``key``, or ends with it after a ``|``; None stands for every key. Their
    value has each of the texts in ``holding``."""

    key: str | None = None
    holding: Sequence[str] = ()


class Consumer(Protocol):
    """One member of a group."""

    async def batch(self, most: int, wait: float) -> list[Record]:
        """Returns up to ``most`` records. After ``wait`` seconds it returns what there is, which may be nothing.

        Records of a partition come in order. Partitions may come and go between calls.
        """
        ...

    async def commit(self, records: Sequence[Record]) -> bool:
        """Marks these records, and all before them in their partitions, as done. A partition that belongs to another
        member by now is left out, and that member sees its records again: then it returns False."""
        ...

    async def close(self) -> None:
        """Leaves the group at once, so that other members take over without waiting."""
        ...


class Events(Protocol):
    """One cluster. Every method is safe to call concurrently."""

    meter: Meter

    async def send(self, topic: str, *messages: Message) -> None:
        """Sends messages. All are in the log when it returns; where it raises, some may be."""
        ...

    async def consumer(self, group: str, topics: Sequence[str], *, patience: float = PATIENCE) -> Consumer:
        """Returns a new member of the group. A group without a committed place starts at the first record.

        ``patience`` is in seconds: an engine may take a member for dead that needs longer from one batch to the next.
        """
        ...

    def read(self, topic: str) -> AsyncIterator[Record]:
        """Yields every record that is in the topic now, in order within each partition. It belongs to no group."""
        ...

    async def lag(self, group: str, topics: Sequence[str]) -> dict[str, int]:
        """Returns how many records of each topic the group has not committed."""
        ...

    async def forget(self, topic: str, *subjects: Subject) -> None:
        """Deletes the records about these subjects that are in the topic now, each as soon as every group has committed
        it. Some seconds later they are in no file of the engine. An engine of servers leaves them to the topic's
        retention."""
        ...

    async def init(self, topics: Sequence[Topic]) -> list[str]:
        """Creates the missing topics and returns what it did, a line for each topic. The second time that is
        nothing."""
        ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...
