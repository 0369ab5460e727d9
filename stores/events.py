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
"""Seconds that a consumer may work on a batch."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent."""

    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """What was read. ``appended_at`` in epoch ms."""

    topic: str
    partition: int
    offset: int
    appended_at: int
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topic:
    """``retention_days`` None: records are kept for good. Names carry no prefix; the engine adds its own."""

    name: str
    partitions: int = 4
    retention_days: int | None = 7


@dataclass(frozen=True, slots=True)
class Subject:
    """What records are about: those with this ``key`` or whose key ends with it after a ``|``, of all keys for None; and
    of these the ones whose value holds each of the texts in ``holding``."""

    key: str | None = None
    holding: Sequence[str] = ()


class Consumer(Protocol):
    """One member of a group."""

    async def batch(self, most: int, wait: float) -> list[Record]:
        """Up to ``most`` records, after at most ``wait`` seconds what there is, possibly nothing.

        Records of a partition come in order. Partitions may come and go between calls.
        """
        ...

    async def commit(self, records: Sequence[Record]) -> bool:
        """These and all before them in their partitions are done. Partitions that meanwhile belong to another
        member are passed over: it will see those records again. False where there are any."""
        ...

    async def close(self) -> None:
        """Leaves the group at once, so that others take over without waiting."""
        ...


class Events(Protocol):
    """One cluster. Every method is safe to call concurrently."""

    meter: Meter

    async def send(self, topic: str, *messages: Message) -> None:
        """All are in the log when it returns; where it raises, some may be."""
        ...

    async def consumer(self, group: str, topics: Sequence[str], *, patience: float = PATIENCE) -> Consumer:
        """A new member of the group; a group without a committed place starts at the first record.

        ``patience``: seconds that it may take from one batch to the next; an engine may take one that is slower for
        dead."""
        ...

    def read(self, topic: str) -> AsyncIterator[Record]:
        """Every record now in the topic, in order within each partition, then ends. Belongs to no group."""
        ...

    async def lag(self, group: str, topics: Sequence[str]) -> dict[str, int]:
        """Records in each topic that the group has not committed."""
        ...

    async def forget(self, topic: str, *subjects: Subject) -> None:
        """Records about these that are in the topic now go, each as soon as every group has committed it, and are in no
        file of the engine any more some seconds later. An engine of servers leaves them to the topic's retention."""
        ...

    async def init(self, topics: Sequence[Topic]) -> list[str]:
        """Creates the missing ones and says so, a line each; the second time nothing."""
        ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...
