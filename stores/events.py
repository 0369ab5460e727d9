"""The events port: topics of keyed records, read by consumer groups. Engines: a log in SQLite and Kafka.

What both engines promise (tests/stores/test_events_contract.py runs against each):

- Records with the same key are in one partition, in the order of sending. A record's ``appended_at`` is the log's
  own time (ms), not the sender's.
- ``send`` returns when the record can't be lost (in Kafka: when all replicas have it).
- The live consumers of a group share a topic's partitions. When one leaves or dies, the others take over its partitions.
  Records that were not committed are delivered again, so each comes at least once.
- StoreUnavailable where the engine can't be reached or does not answer within the deadline.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from stores.meter import Meter
from telemetry import traces

PATIENCE = 300.0
"""Seconds that a consumer may work on a batch."""


@dataclass(frozen=True, slots=True)
class Message:
    """A record to send."""

    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A record that was read. ``appended_at`` in epoch ms."""

    topic: str
    partition: int
    offset: int
    appended_at: int
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic. The engine puts its prefix before the name. ``retention_days``: None keeps records for good."""

    name: str
    partitions: int = 4
    retention_days: int | None = 7


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Says which records are about somebody: those that match ``key`` and whose value contains every text in ``holding``.

    A record matches ``key`` where its key is the same, or ends with ``|`` and this. None matches every key.
    """

    key: str | None = None
    holding: Sequence[str] = ()


def with_trace(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages, as they are sent: each says which span it comes from, if there is one."""
    parent = traces.traceparent()
    if parent is None:
        return messages
    return [replace(one, headers={**one.headers, traces.TRACEPARENT: parent}) for one in messages]


class Consumer(Protocol):
    """One member of a group."""

    async def batch(self, most: int, wait: float) -> list[Record]:
        """Up to ``most`` records. After ``wait`` seconds those that there are, possibly none.

        Records of a partition come in order. Partitions may come and go between calls.
        """
        ...

    async def commit(self, records: Sequence[Record]) -> bool:
        """Marks these records, and all before them in their partitions, as done.

        False where a partition belongs to another member by now: that partition is passed over, and its member sees the
        records again.
        """
        ...

    async def ahead(self) -> Mapping[tuple[str, int], int] | None:
        """What is in the log now that this member was not given yet: by topic and partition, the offset of the last such
        record. None unless all partitions of its topics are this member's at the moment."""
        ...

    async def close(self) -> None:
        """Leaves the group at once, so that others take over without waiting."""
        ...


class Events(Protocol):
    """One log. Every method is safe to call concurrently."""

    meter: Meter

    async def send(self, topic: str, *messages: Message) -> None:
        """Sends the messages. All are in the log when it returns; where it raises, some may be."""
        ...

    async def consumer(self, group: str, topics: Sequence[str], *, patience: float = PATIENCE) -> Consumer:
        """A new member of the group. A group that has committed nothing starts at the first record.

        ``patience``: seconds from one batch to the next. An engine may take a slower member for dead.
        """
        ...

    def read(self, topic: str) -> AsyncIterator[Record]:
        """Every record now in the topic, in order within each partition. Belongs to no group."""
        ...

    async def lag(self, group: str, topics: Sequence[str]) -> dict[str, int]:
        """How many records of each topic the group has not committed."""
        ...

    async def forget(self, topic: str, *subjects: RecordFilter) -> None:
        """Deletes the records about these subjects that are in the topic now, each once every group has committed it.

        Some seconds later no file of the engine contains them. An engine on servers leaves them to the topic's retention.
        """
        ...

    async def init(self, topics: Sequence[Topic]) -> list[str]:
        """Creates the missing topics, and returns a line for each; none the second time."""
        ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...
