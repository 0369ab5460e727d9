"""The private API of aiokafka, as far as Cohort uses it, with the reason for each."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from stores.futures import looked_at


def watch_failures(producer: AIOKafkaProducer) -> None:
    """Has the errors that the producer leaves behind when it fails looked at. It must have started.

    A batch that fails before its turn has an error of its own for whoever waits for its turn, which usually nobody does. One
    that was sent in vain and waits for another turn is looked for among those that are under way. And a sender that fails
    tells the end of a transaction, which a producer without transactions does not have.
    """
    accumulator: Any = producer._message_accumulator
    fail_all = accumulator.fail_all

    def fail(error: BaseException) -> None:
        queued = [batch for batches in accumulator._batches.values() for batch in batches]
        accumulator._pending_batches.update(batch for batch in queued if batch.retry_count)
        fail_all(error)
        for batch in (*queued, *accumulator._pending_batches):
            if batch._drain_waiter.done():
                looked_at(batch._drain_waiter)

    accumulator.fail_all = fail
    manager: Any = producer._txn_manager
    if manager is not None and manager._transaction_waiter is None:
        manager._transaction_waiter = asyncio.get_running_loop().create_future()
        manager._transaction_waiter.add_done_callback(looked_at)


async def end_sending(producer: AIOKafkaProducer) -> None:
    """Ends what sends: ``stop()`` has no end while Kafka is away, and a second one does nothing."""
    await producer._sender.close()


def refuse_unsent(producer: AIOKafkaProducer) -> None:
    """Fails all that was never sent. Nothing may be sending any more: it would take up again what has failed."""
    producer._message_accumulator.fail_all(KafkaError("closed before Kafka took it"))


async def cut_consumer(consumer: AIOKafkaConsumer) -> None:
    """Closes the connections of a consumer that can't leave its group."""
    await consumer._client.close()
