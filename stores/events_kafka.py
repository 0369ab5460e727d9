"""The event log in Kafka, over aiokafka."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from functools import partial
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    CommitFailedError,
    GroupCoordinatorNotAvailableError,
    IllegalStateError,
    KafkaError,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.structs import OffsetAndMetadata

from rules.errors import InvalidInput, StoreUnavailable
from stores.deadline import remaining
from stores.events import PATIENCE, Message, Record, Subject, Topic
from stores.meter import Meter

T = TypeVar("T")

SESSION = 10.0
"""The seconds without a heartbeat after which a member counts as dead, and its partitions go to others."""
BEAT = 3.0
BATCH_BYTES = 256 * 1024
"""The bytes of a batch. When it is full, a sender's messages to that partition wait for a round trip."""
QUIET = 5.0
"""The seconds without a record after which a consumer asks whether Kafka is still there. aiokafka does not say."""
CLOSING = 5.0
"""The seconds that closing may take: sending what is unsent, and leaving the group."""


class KafkaEvents:
    """The Events port in Kafka. Topics and groups carry ``prefix``.

    aiokafka reconnects by itself while Kafka is away; what can't go on is replaced at the next call. Each call waits
    at most ``timeout`` seconds.
    """

    def __init__(self, bootstrap: str, prefix: str, timeout: float, replicas: int | None) -> None:
        self.meter = Meter()
        self._servers = bootstrap.split(",")
        self._prefix = prefix
        self._timeout = timeout
        self._replicas = replicas
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._known: set[str] = set()
        self._members: set[KafkaConsumer] = set()
        self._closing: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        bootstrap: str,
        prefix: str = "cohort",
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - of each later call
        replicas: int | None = None,
    ) -> Self:
        """``bootstrap`` is host:port,host:port. ``replicas`` of a new topic: three, or as many as there are brokers.

        Does not need Kafka yet.
        """
        return cls(bootstrap, prefix, timeout, replicas)

    async def send(self, topic: str, *messages: Message) -> None:
        """Sends messages. InvalidInput says that Kafka will never take one of them (more than about 1 MB)."""
        if not messages:
            return
        self.meter.count(f"send {topic}", len(messages))
        name = self.name(topic)
        async with self.answers():
            producer = await self._started()
            await self._require(name)
            try:
                sent = [
                    await producer.send(name, message.value, message.key.encode(), headers=_headers(message))
                    for message in messages
                ]
                await asyncio.gather(*sent)
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
        name = self.name(topic)
        async with self._reader() as reader:
            async with self.answers():
                places = await self._places(name)
                ends = await reader.end_offsets(places)
                firsts = await reader.beginning_offsets(places)
                left = {place for place in places if firsts[place] < ends[place]}
                reader.assign(list(left))
            while left:
                async with self.answers():
                    found = await self._first_of(reader)
                for place, records in found.items():
                    for record in records:
                        if record.offset < ends[place]:
                            yield self.record(record)
                async with self.answers():
                    left = {place for place in left if await reader.position(place) < ends[place]}

    async def lag(self, group: str, topics: Sequence[str]) -> dict[str, int]:
        name = self.name(group)
        lags = dict.fromkeys(topics, 0)
        async with self.answers(), self._reader() as reader, self._admin() as admin:
            for topic in topics:
                places = await self._places(self.name(topic))
                committed = await self._retried(partial(self._committed, admin, name, places))
                ends, firsts = await reader.end_offsets(places), await reader.beginning_offsets(places)
                lags[topic] = sum(
                    ends[place] - min(ends[place], max(firsts[place], committed[place].offset))
                    for place in places
                )
        return lags

    async def forget(self, topic: str, *subjects: Subject) -> None:
        """Does nothing: Kafka's records go by their topic's retention alone."""

    async def init(self, topics: Sequence[Topic]) -> list[str]:
        """Creates missing topics. Partitions are never added to one, since keys would move to other partitions."""
        async with self.answers(), self._admin() as admin:
            there = set(await admin.list_topics())
            missing = {self.name(topic.name): topic for topic in topics if self.name(topic.name) not in there}
            if not missing:
                return []
            brokers = len((await admin.describe_cluster())["brokers"])
            replicas = self._replicas or min(3, brokers)
            answer = await admin.create_topics(
                [
                    NewTopic(name, topic.partitions, replicas, topic_configs=_configs(topic, replicas))
                    for name, topic in missing.items()
                ]
            )
            done = []
            for name, code, *reason in answer.topic_errors:
                error = for_code(code)
                if code == 0:
                    done.append(f"created topic {name} with {missing[name].partitions} partitions")
                elif error is not TopicAlreadyExistsError:
                    raise InvalidInput(
                        f"Kafka refused topic {name}: {error.__name__} {reason}", field="topic"
                    )
            # The controller has them; wait until the brokers know as well.
            await self._retried(partial(self._led, admin, missing))
            return done

    async def ping(self) -> None:
        async with self.answers(), self._admin() as admin:
            await admin.describe_cluster()

    async def close(self) -> None:
        """Its consumers leave their groups."""
        await asyncio.gather(*(member.close() for member in [*self._members]))
        if self._producer is not None:
            self._retire(self._producer)
        await asyncio.gather(*self._closing, return_exceptions=True)

    # What consumers need.

    def name(self, name: str) -> str:
        return f"{self._prefix}.{name}"

    def record(self, record: Any) -> Record:
        return Record(
            topic=record.topic.removeprefix(f"{self._prefix}."),
            partition=record.partition,
            offset=record.offset,
            appended_at=record.timestamp,
            # Other systems write what they like: what is no text must reach the dead letters, not break the reading.
            key=(record.key or b"").decode(errors="replace"),
            value=record.value or b"",
            headers={header: (value or b"").decode(errors="replace") for header, value in record.headers},
        )

    @asynccontextmanager
    async def answers(self) -> AsyncIterator[None]:
        """Turns Kafka's errors and its silence into StoreUnavailable."""
        try:
            async with asyncio.timeout(remaining(self._timeout)):
                yield
        except TimeoutError as error:
            remaining(self._timeout)  # DeadlineExceeded, where it was that
            raise StoreUnavailable(
                f"the event log did not answer within {self._timeout:g} s", detail="Kafka"
            ) from error
        except (KafkaError, OSError) as error:
            raise StoreUnavailable("the event log is away", detail=f"Kafka: {error!r}") from error

    async def start_member(self, group: str, topics: Sequence[str], patience: float) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(SESSION * 1000),
            heartbeat_interval_ms=int(BEAT * 1000),
            max_poll_interval_ms=int(patience * 1000),
            request_timeout_ms=self._milliseconds,
        )
        try:
            async with self.answers():
                await consumer.start()
                for topic in topics:
                    await self._require(topic)
                # Not at the start, which would wait for the other members to agree.
                consumer.subscribe(list(topics))
        except BaseException:
            await _stop_consumer(consumer)
            raise
        return consumer

    def dismiss(self, member: "KafkaConsumer") -> None:
        self._members.discard(member)

    def later(self, closing: Coroutine[Any, Any, None]) -> None:
        """Closes something while other calls go on. ``close`` waits for it."""
        # In a context of its own: the deadline of this call is not for closing.
        task = asyncio.get_running_loop().create_task(closing, context=Context())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # The producer.

    @property
    def _milliseconds(self) -> int:
        return int(self._timeout * 1000)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._servers,
                    acks="all",
                    enable_idempotence=True,
                    # Messages of one moment share a request anyway, while the one before is under way.
                    linger_ms=0,
                    max_batch_size=BATCH_BYTES,
                    request_timeout_ms=self._milliseconds,
                )
                try:
                    await producer.start()
                except BaseException:
                    await _stop_producer(producer)
                    raise
                self._producer = producer
            return self._producer

    def _retire(self, producer: AIOKafkaProducer) -> None:
        """Replaces the producer. A batch that failed leaves a gap in its partition's sequence, and Kafka refuses all
        that follow."""
        if self._producer is producer:
            self._producer = None
        self.later(_stop_producer(producer))

    # Short-lived clients, so that nothing needs repair when Kafka was away.

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers, request_timeout_ms=self._milliseconds)
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        reader = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=self._milliseconds,
        )
        try:
            async with self.answers():
                await reader.start()
            yield reader
        finally:
            await _stop_consumer(reader)

    async def _require(self, name: str) -> None:
        """Raises an error for a topic that there is not. aiokafka would wait for it to appear."""
        if name not in self._known:
            await self._places(name)

    async def _places(self, name: str) -> list[TopicPartition]:
        # All topics are asked for, since asking for one may create it.
        async with self._admin() as admin:
            topics = {topic["topic"]: topic for topic in await admin.describe_topics()}
        if name not in topics:
            raise InvalidInput(f"there is no topic {name}: run cohort init", field="topic")
        self._known.add(name)
        return [TopicPartition(name, partition["partition"]) for partition in topics[name]["partitions"]]

    async def _led(self, admin: AIOKafkaAdminClient, names: Collection[str]) -> None:
        """Raises an error that may be retried, until every partition of these topics has a leader."""
        topics = {topic["topic"]: topic for topic in await admin.describe_topics()}
        for name in names:
            if name not in topics or any(place["error_code"] for place in topics[name]["partitions"]):
                raise LeaderNotAvailableError(name)

    async def _committed(
        self, admin: AIOKafkaAdminClient, group: str, places: list[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """An error that may be retried where partitions are missing: aiokafka passes over an error of the whole
        group, such as a coordinator that is still loading."""
        committed: dict[TopicPartition, OffsetAndMetadata] = await admin.list_consumer_group_offsets(
            group, partitions=places
        )
        if committed.keys() < set(places):
            raise GroupCoordinatorNotAvailableError(group)
        return committed

    async def _retried(self, call: Callable[[], Awaitable[T]]) -> T:
        """Tries again while Kafka says that it may do a moment later, within the caller's timeout."""
        while True:
            try:
                return await call()
            except KafkaError as error:
                if not error.retriable:
                    raise
            await asyncio.sleep(0.1)

    async def _first_of(self, reader: AIOKafkaConsumer) -> dict[TopicPartition, list[Any]]:
        while True:
            found: dict[TopicPartition, list[Any]] = await reader.getmany(timeout_ms=1000)
            if found:
                return found


class KafkaConsumer:
    """A member of a group. aiokafka keeps it alive in the background."""

    def __init__(self, events: KafkaEvents, group: str, topics: Sequence[str], patience: float) -> None:
        self._events = events
        self._group = group
        self._topics = topics
        self._patience = patience
        self._kafka: AIOKafkaConsumer | None = None
        self._heard = 0.0

    async def join(self) -> None:
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
            self._events.later(_stop_consumer(kafka))
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
            async with self._events.answers():
                try:
                    await self._kafka.commit(kept)
                except (CommitFailedError, IllegalStateError):
                    # The group may share out anew at any moment; then these come again, here or elsewhere.
                    return False
        return kept == done

    async def close(self) -> None:
        self._events.dismiss(self)
        kafka, self._kafka = self._kafka, None
        if kafka is not None:
            await _stop_consumer(kafka)


def _configs(topic: Topic, replicas: int) -> dict[str, str]:
    days = topic.retention_days
    return {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "-1" if days is None else str(days * 86_400_000),
        # acks from all would mean from one, where all but one are away.
        "min.insync.replicas": "2" if replicas > 2 else "1",
    }


def _headers(message: Message) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in message.headers.items()]


async def _stop_producer(producer: AIOKafkaProducer) -> None:
    """Sends what is left if Kafka takes it in time."""
    if not await _ended(producer.stop()):
        # stop() has no end while Kafka is away, and a second one does nothing.
        producer._message_accumulator.fail_all(KafkaError("closed before Kafka took it"))
        await _ended(producer._sender.close())
        await producer.client.close()


async def _stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leaves the group if Kafka answers in time."""
    if not await _ended(consumer.stop()):
        await consumer._client.close()


async def _ended(closing: Coroutine[Any, Any, None]) -> bool:
    """Returns whether something ended well and in time. It runs in a task, because aiokafka may raise a CancelledError
    that nobody asked for."""
    task = asyncio.create_task(closing)
    await asyncio.wait({task}, timeout=CLOSING)
    if not task.done():
        task.cancel()
        return False
    return not task.cancelled() and task.exception() is None
