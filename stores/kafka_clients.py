"""Clients of Kafka, over aiokafka: how producers, consumers, readers and admins are started and stopped."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError, UnsupportedSaslMechanismError

from rules.errors import StoreUnavailable
from stores.cutoffs import Cutoff
from stores.deadline import remaining
from stores.futures import looked_at
from stores.kafka_address import KafkaAddress
from stores.kafka_upstream import cut_consumer, end_sending, refuse_unsent, watch_failures

T = TypeVar("T")

SESSION = 10.0
"""Seconds without a heartbeat after which a member counts as dead and its partitions go to others."""
BEAT = 3.0
"""Seconds between a member's heartbeats."""
BATCH_BYTES = 256 * 1024
"""A sender's messages to one partition wait for a round trip whenever this much is full."""
REPLY = 3.0
"""Seconds that one broker may take to answer. After that another is asked, within the same call: the leader may be cut off
from the others, and they have chosen a new one."""
METADATA_AGE = 2.0
"""Seconds after which a client asks again who leads what. A leader that is cut off does not know that it leads no longer:
it takes messages that it can't have acknowledged, and has no new ones to read."""
CLOSING = 5.0
"""Seconds that closing may take: what is unsent is sent, the group is left."""


class KafkaClients:
    """Starts clients of one cluster. Each call waits at most ``timeout`` seconds."""

    def __init__(self, address: KafkaAddress, timeout: float) -> None:
        """InvalidInput for certificates that can't be read."""
        self._address = address
        self._options = address.client_options()
        self.timeout = timeout
        self._closing: set[asyncio.Task[None]] = set()

    def answers(self) -> "_Answers":
        """Turns Kafka's errors and its silence into StoreUnavailable."""
        return _Answers(self)

    async def refusal(self) -> str | None:
        """Why there is no connection. aiokafka says only that there is none, not what is wrong with a certificate or a
        password. None where it is neither, or where there is one now."""
        if self._address.protocol == "PLAINTEXT":
            return None
        options = {name: value for name, value in self._options.items() if name != "bootstrap_servers"}
        for host, port, _ in collect_hosts(self._options["bootstrap_servers"]):
            try:
                async with asyncio.timeout(remaining(min(self.timeout, REPLY))):
                    (await create_conn(host, port, **options)).close()
                    return None
            except TimeoutError:
                remaining(self.timeout)
            except UnsupportedSaslMechanismError:
                return (
                    f"{host}:{port}: it takes no password by {self._address.mechanism}; set sasl in the URL"
                )
            except (KafkaError, OSError) as error:
                return f"{host}:{port}: {str(error) or 'the connection breaks off'}"
        return None

    async def start_producer(self) -> AIOKafkaProducer:
        """An idempotent producer; a send is acknowledged by all replicas."""
        producer = AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=True,
            # Messages of one moment share a request anyway, while the one before is under way.
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=_milliseconds(min(self.timeout, REPLY)),
            metadata_max_age_ms=_milliseconds(METADATA_AGE),
        )
        try:
            await producer.start()
        except BaseException:
            self.stop_later(stop_producer(producer))  # it takes seconds, which the call no longer has
            raise
        watch_failures(producer)
        return producer

    def new_member(self, group: str, patience: float) -> AIOKafkaConsumer:
        """A consumer of the group, to be started. ``patience``: seconds that it may take from one batch to the next."""
        return AIOKafkaConsumer(
            **self._options,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=_milliseconds(SESSION),
            heartbeat_interval_ms=_milliseconds(BEAT),
            max_poll_interval_ms=_milliseconds(patience),
            # Not REPLY: to join takes until every other member has come.
            request_timeout_ms=_milliseconds(self.timeout),
            metadata_max_age_ms=_milliseconds(METADATA_AGE),
        )

    # Short-lived clients, so that nothing needs repair when Kafka was away.

    @asynccontextmanager
    async def admin(self, reply: float = REPLY) -> AsyncIterator[AIOKafkaAdminClient]:
        """``reply``: seconds that a broker may take to answer."""
        admin = AIOKafkaAdminClient(
            **self._options, request_timeout_ms=_milliseconds(min(self.timeout, reply))
        )
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer that belongs to no group."""
        reader = AIOKafkaConsumer(
            **self._options,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=_milliseconds(min(self.timeout, REPLY)),
        )
        try:
            async with self.answers():
                await reader.start()
            yield reader
        finally:
            await stop_consumer(reader)

    # Stopping beside the calls that go on.

    def stop_later(self, stopping: Coroutine[Any, Any, None]) -> None:
        """Runs ``stopping`` in a task of its own; ``stopped`` waits for it."""
        # In a context of its own: the deadline of this call is not for stopping.
        task = asyncio.get_running_loop().create_task(stopping, context=Context())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        task.add_done_callback(looked_at)

    async def stopped(self) -> None:
        """Returns once every client of ``stop_later`` has stopped."""
        await asyncio.gather(*self._closing, return_exceptions=True)


class _Answers:
    """A class, no generator: every event that is sent has one."""

    __slots__ = ("_clients", "_cutoff")

    def __init__(self, clients: KafkaClients) -> None:
        self._clients = clients

    async def __aenter__(self) -> None:
        self._cutoff = Cutoff(remaining(self._clients.timeout))

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        was_cut = self._cutoff.ended()
        timeout = self._clients.timeout
        if isinstance(error, TimeoutError) or (was_cut and isinstance(error, asyncio.CancelledError)):
            remaining(timeout)  # DeadlineExceeded, where it was that
            raise StoreUnavailable(
                f"the event log did not answer within {timeout:g} s", detail="Kafka"
            ) from error
        if isinstance(error, KafkaError | OSError):
            why = await self._clients.refusal() if isinstance(error, KafkaConnectionError) else None
            raise StoreUnavailable(
                "the event log is away", detail=f"Kafka{f' at {why}' if why else f': {error!r}'}"
            ) from error


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Sends what is left if Kafka takes it in time."""
    if not await _ended(producer.stop()):
        await _ended(end_sending(producer))
        refuse_unsent(producer)
        await producer.client.close()


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leaves the group if Kafka answers in time."""
    if not await _ended(consumer.stop()):
        await cut_consumer(consumer)


async def retried(call: Callable[[], Awaitable[T]]) -> T:
    """Calls again, without end, while Kafka says that a moment later it may succeed. The caller sets the timeout."""
    while True:
        try:
            return await call()
        except KafkaError as error:
            if not error.retriable:
                raise
        await asyncio.sleep(0.1)


async def _ended(closing: Coroutine[Any, Any, None]) -> bool:
    """Whether it ended well and in time. In a task: aiokafka may raise a CancelledError that nobody asked for."""
    task = asyncio.create_task(closing)
    task.add_done_callback(looked_at)
    await asyncio.wait({task}, timeout=CLOSING)
    if not task.done():
        task.cancel()
        return False
    return not task.cancelled() and task.exception() is None
