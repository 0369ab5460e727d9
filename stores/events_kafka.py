"""The events port in Kafka, over aiokafka. ``kafka_clients.py`` starts and stops its clients, ``kafka_topics.py`` has the
topics."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, MessageSizeTooLargeError

from rules.errors import InvalidInput, StoreUnavailable
from stores.events import PATIENCE, Events, Message, Record, RecordFilter, Topic, with_trace
from stores.futures import looked_at
from stores.kafka_address import KafkaAddress
from stores.kafka_clients import KafkaClients, retried, stop_consumer, stop_producer
from stores.kafka_topics import KafkaTopics, Replication, committed, create_missing, replication
from stores.meter import Meter
from stores.timing import timed

CREATING = 10.0
"""Seconds that creating topics may take."""
QUIET = 5.0
"""Seconds without a record after which a consumer asks whether Kafka is still there; aiokafka does not say."""


@timed("events", Events, str)
class KafkaEvents:
    """The Events port in Kafka. Topics and groups carry ``prefix``.

    aiokafka reconnects by itself while Kafka is away. What can't go on is replaced at the next call.
    """

    def __init__(self, address: KafkaAddress, prefix: str, timeout: float, replicas: int | None) -> None:
        self.meter = Meter()
        self._prefix = prefix
        self._replicas = replicas
        self.clients = KafkaClients(address, timeout)
        self._topics = KafkaTopics(self.clients)
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._members: set[KafkaConsumer] = set()

    @classmethod
    async def open(
        cls,
        url: str,
        prefix: str = "cohort",
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - of each later call
        replicas: int | None = None,
    ) -> Self:
        """``url`` as KafkaAddress.parse has it. ``replicas`` of a new topic: three, or as many as there are brokers.

        InvalidInput for a wrong URL, or certificates that can't be read. Does not need Kafka yet. Each later call waits at most ``timeout`` seconds.
        """
        return cls(KafkaAddress.parse(url), prefix, timeout, replicas)

    async def send(self, topic: str, *messages: Message) -> None:
        """InvalidInput for a message that Kafka will never take (about 1 MB)."""
        if not messages:
            return
        self.meter.count(f"send {topic}", len(messages))
        name = self.name(topic)
        async with self.clients.answers():
            producer = await self._started()
            await self._topics.require(name)
            sent: list[asyncio.Future[Any]] = []
            try:
                for message in with_trace(messages):
                    value, key = message.value, message.key.encode()
                    sent.append(await producer.send(name, value, key, headers=_headers(message)))
                    if len(messages) > 1:
                        sent[-1].add_done_callback(looked_at)  # by the time a later one fails, too
                await (sent[0] if len(sent) == 1 else asyncio.gather(*sent))
            except MessageSizeTooLargeError as error:
                self._retire(producer)
                raise InvalidInput(f"a message to {topic} is too large") from error
            except KafkaError:
                self._retire(producer)
                raise

    async def consumer(
        self, group: str, topics: Sequence[str], *, patience: float = PATIENCE
    ) -> "KafkaConsumer":
        member = KafkaConsumer(self, self.name(group), [self.name(topic) for topic in topics], patience)
        await member.join()
        self._members.add(member)
        return member

    async def read(self, topic: str) -> AsyncIterator[Record]:
        name, answers = self.name(topic), self.clients.answers
        async with self.clients.reader() as reader:
            async with answers():
                places = await self._topics.partitions(name)
                ends = await reader.end_offsets(places)
                firsts = await reader.beginning_offsets(places)
                left = {place for place in places if firsts[place] < ends[place]}
                reader.assign(list(left))
            while left:
                async with answers():
                    found = await _next_records(reader)
                for place, records in found.items():
                    for record in records:
                        if record.offset < ends[place]:
                            yield self.record(record)
                async with answers():
                    left = {place for place in left if await reader.position(place) < ends[place]}

    async def lag(self, group: str, topics: Sequence[str]) -> dict[str, int]:
        name = self.name(group)
        lags = dict.fromkeys(topics, 0)
        clients = self.clients
        async with clients.answers(), clients.reader() as reader, clients.admin() as admin:
            for topic in topics:
                places = await self._topics.partitions(self.name(topic))
                done = await retried(partial(committed, admin, name, places))
                ends, firsts = await reader.end_offsets(places), await reader.beginning_offsets(places)
                lags[topic] = sum(
                    ends[place] - min(ends[place], max(firsts[place], done[place].offset)) for place in places
                )
        return lags

    async def forget(self, topic: str, *subjects: RecordFilter) -> None:
        """Kafka's records go by their topic's retention alone."""

    async def init(self, topics: Sequence[Topic]) -> list[str]:
        """Partitions are never added to a topic: a key would move to another."""
        async with self.clients.answers(), self.clients.admin(CREATING) as admin:
            named = {self.name(topic.name): topic for topic in topics}
            return await create_missing(admin, named, self._replicas)

    async def replication(self, topics: Sequence[Topic]) -> Replication:
        """Of these topics, as far as they are there."""
        async with self.clients.answers(), self.clients.admin() as admin:
            return await replication(admin, [self.name(topic.name) for topic in topics])

    async def ping(self) -> None:
        async with self.clients.answers(), self.clients.admin() as admin:
            await admin.describe_cluster()

    async def close(self) -> None:
        """Its consumers leave their groups."""
        await asyncio.gather(*(member.close() for member in [*self._members]))
        if self._producer is not None:
            self._retire(self._producer)
        await self.clients.stopped()

    # What consumers need.

    def name(self, name: str) -> str:
        """The full name of a topic or a group, with the prefix."""
        return f"{self._prefix}.{name}"

    def short(self, name: str) -> str:
        """The reverse of ``name``."""
        return name.removeprefix(f"{self._prefix}.")

    def record(self, record: Any) -> Record:
        """Our record of aiokafka's."""
        return Record(
            topic=self.short(record.topic),
            partition=record.partition,
            offset=record.offset,
            appended_at=record.timestamp,
            # Other systems write what they like: what is no text must reach the dead letters, not break the reading.
            key=(record.key or b"").decode(errors="replace"),
            value=record.value or b"",
            headers={header: (value or b"").decode(errors="replace") for header, value in record.headers},
        )

    async def start_member(self, group: str, topics: Sequence[str], patience: float) -> AIOKafkaConsumer:
        """A consumer that has joined the group. InvalidInput for an unknown topic."""
        consumer = self.clients.new_member(group, patience)
        try:
            async with self.clients.answers():
                await consumer.start()
                for topic in topics:
                    await self._topics.require(topic)
                # Not at the start, which would wait for the other members to agree.
                consumer.subscribe(list(topics))
        except BaseException:
            await stop_consumer(consumer)
            raise
        return consumer

    def dismiss(self, member: "KafkaConsumer") -> None:
        """Drops a consumer that has closed."""
        self._members.discard(member)

    # The producer.

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        async with self._starting:
            if self._producer is None:
                self._producer = await self.clients.start_producer()
            return self._producer

    def _retire(self, producer: AIOKafkaProducer) -> None:
        """Stops it for good: a batch that failed leaves a gap in its partition's sequence, and Kafka refuses all that
        follow."""
        if self._producer is producer:
            self._producer = None
        self.clients.stop_later(stop_producer(producer))


class KafkaConsumer:
    """A member of a group; aiokafka keeps it alive in the background."""

    def __init__(self, events: KafkaEvents, group: str, topics: Sequence[str], patience: float) -> None:
        self._events = events
        self._group = group
        self._topics = topics
        self._patience = patience
        self._kafka: AIOKafkaConsumer | None = None
        self._heard = 0.0

    async def join(self) -> None:
        """Enters the group. InvalidInput for an unknown topic."""
        self._kafka = await self._events.start_member(self._group, self._topics, self._patience)
        self._heard = asyncio.get_running_loop().time()

    async def batch(self, most: int, wait: float) -> list[Record]:
        clock = asyncio.get_running_loop().time
        if self._kafka is None:
            await self.join()
        kafka: Any = self._kafka
        found: dict[TopicPartition, list[Any]] = {}
        try:
            # While the group shares out anew, aiokafka waits beyond the time it is given. A cancelled getmany has
            # taken nothing.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait + 0.05):
                    found = await kafka.getmany(timeout_ms=int(wait * 1000), max_records=most)
        except KafkaError as error:
            self._kafka = None
            self._events.clients.stop_later(stop_consumer(kafka))
            raise StoreUnavailable("the event log is away", detail=f"Kafka: {error!r}") from error
        if found:
            self._heard = clock()
        elif clock() - self._heard > QUIET:
            self._heard = clock()
            await self._events.ping()
        return [self._events.record(record) for records in found.values() for record in records]

    async def commit(self, records: Sequence[Record]) -> bool:
        done: dict[TopicPartition, int] = {}
        for record in records:
            place = TopicPartition(self._events.name(record.topic), record.partition)
            done[place] = max(record.offset + 1, done.get(place, 0))
        owned = self._kafka.assignment() if self._kafka else frozenset[TopicPartition]()
        kept = {place: end for place, end in done.items() if place in owned}
        if self._kafka and kept:
            self._events.meter.count("commit")
            async with self._events.clients.answers():
                try:
                    await self._kafka.commit(kept)
                except (CommitFailedError, IllegalStateError):
                    # The group may share out anew at any moment; then these come again, here or elsewhere.
                    return False
        return kept == done

    async def ahead(self) -> Mapping[tuple[str, int], int] | None:
        kafka = self._kafka
        if kafka is None:
            return None
        owned = kafka.assignment()
        if {place for topic in self._topics for place in _places(kafka, topic)} != owned or not owned:
            return None
        async with self._events.clients.answers():
            ends = await kafka.end_offsets(owned)
            positions = {place: await kafka.position(place) for place in owned}
        return {
            (self._events.short(place.topic), place.partition): ends[place] - 1
            for place, position in positions.items()
            if position < ends[place]
        }

    async def close(self) -> None:
        self._events.dismiss(self)
        kafka, self._kafka = self._kafka, None
        if kafka is not None:
            await stop_consumer(kafka)


def _places(kafka: AIOKafkaConsumer, topic: str) -> set[TopicPartition]:
    """The partitions of a topic, as far as the consumer knows."""
    return {TopicPartition(topic, partition) for partition in kafka.partitions_for_topic(topic) or ()}


def _headers(message: Message) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in message.headers.items()]


async def _next_records(reader: AIOKafkaConsumer) -> dict[TopicPartition, list[Any]]:
    """By partition, once there are any. The caller sets the timeout."""
    while True:
        found: dict[TopicPartition, list[Any]] = await reader.getmany(timeout_ms=1000)
        if found:
            return found
