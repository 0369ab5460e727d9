"""Many messages to a topic of Kafka at once. aiokafka keeps a future for each that is sent alone, which takes several times as long as
writing the message."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from stores.events import Message
from stores.futures import looked_at

_Encoded = tuple[bytes, bytes, list[tuple[str, bytes]]]
"""Key, value and headers of a message."""

_partition_of = DefaultPartitioner()
"""Every client of Kafka puts a key into the same partition."""


def encoded(message: Message) -> _Encoded:
    headers = [(name, value.encode()) for name, value in message.headers.items()]
    return message.key.encode(), message.value, headers


async def send_in_batches(producer: AIOKafkaProducer, topic: str, messages: Sequence[Message]) -> None:
    """Sends messages of which each is smaller than a batch. Those with the same key are sent in their order. Returns once Kafka
    has all of them; raises what it says of any."""
    partitions = sorted(await producer.partitions_for(topic))
    of_partition: defaultdict[int, list[_Encoded]] = defaultdict(list)
    for message in messages:
        one = encoded(message)
        of_partition[_partition_of(one[0], partitions, partitions)].append(one)
    sending = [_send(producer, topic, partition, those) for partition, those in of_partition.items()]
    # All end before the first error is told: none goes on behind the caller's back.
    for outcome in await asyncio.gather(*sending, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, messages: Sequence[_Encoded]) -> None:
    sent: list[asyncio.Future[Any]] = []
    batch = producer.create_batch()
    for key, value, headers in messages:
        while batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            sent[-1].add_done_callback(looked_at)  # by the time a later one fails, too
            batch = producer.create_batch()
    sent.append(await producer.send_batch(batch, topic, partition=partition))
    sent[-1].add_done_callback(looked_at)
    await asyncio.gather(*sent)
