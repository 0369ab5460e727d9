"""What both event logs promise (stores/events.py)."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import time
import uuid
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from rules.errors import DeadlineExceeded, InvalidInput, StoreUnavailable
from stores.deadline import deadline
from stores.events import Consumer, Events, Message, Record, RecordFilter, Topic
from stores.events_embedded import EmbeddedEvents
from stores.events_kafka import KafkaEvents
from stores.kafka_topics import Replication
from stores.kafka_upstream import refuse_unsent, watch_failures

pytestmark = pytest.mark.long

SERVERS = os.environ.get("COHORT_STACK_KAFKA", "127.0.0.1:9092")
NOBODY = "127.0.0.1:1"
FOUR = Topic("four", partitions=4)
ONE = Topic("one", partitions=1)

RUN = uuid.uuid4().hex
"""Every prefix begins with it."""

Open = Callable[[], Awaitable[Events]]
"""Opens the same log once more, as another process would."""


def prefix_() -> str:
    return f"test-{RUN}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module", autouse=True)
def _topics_go_in_the_end(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if not any(
        item.get_closest_marker("stack") for item in request.session.items if item.path == request.path
    ):
        return

    async def delete() -> None:
        async with (await KafkaEvents.open(f"kafka://{SERVERS}")).clients.admin() as admin:
            if mine := [topic for topic in await admin.list_topics() if topic.startswith(f"test-{RUN}")]:
                await admin.delete_topics(mine)

    asyncio.run(delete())


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.stack)])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def another(engine: str, tmp_path: Path) -> AsyncIterator[Open]:
    prefix, opened = prefix_(), list[Events]()

    async def open_() -> Events:
        if engine == "embedded":
            opened.append(await EmbeddedEvents.open(tmp_path / "events.db", prefix))
        else:
            opened.append(await KafkaEvents.open(f"kafka://{SERVERS}", prefix))
        return opened[-1]

    yield open_
    for events in opened:
        await events.close()


@pytest.fixture
async def events(another: Open) -> Events:
    events = await another()
    await events.init([FOUR, ONE])
    return events


def numbered(count: int, start: int = 0) -> list[Message]:
    """Over some keys, so that every partition gets some."""
    return [Message(f"key {n % 16}", b"%d" % n) for n in range(start, start + count)]


def numbers(records: list[Record]) -> list[int]:
    return [int(record.value) for record in records]


async def receive(consumer: Consumer, count: int, within: float = 30.0) -> list[Record]:
    """At least ``count`` different records; some may have come twice, where members came and went."""
    found: list[Record] = []
    async with asyncio.timeout(within):
        while len({(record.topic, record.partition, record.offset) for record in found}) < count:
            found += await consumer.batch(1000, 0.5)
    return found


async def share(events: Events, topic: Topic, *members: Consumer) -> None:
    """Until the members of a group have agreed on who reads what: probes reach each of them, and none twice.

    What was in the topic, and the probes, are committed.
    """
    async with asyncio.timeout(60):
        while True:
            await events.send(topic.name, *numbered(32, start=1_000_000))
            seen: list[list[Record]] = [[] for _ in members]
            quiet = 0
            while quiet < 2:
                for records, member in zip(seen, members, strict=True):
                    found = await member.batch(1000, 0.2)
                    await member.commit(found)
                    records += found
                    quiet = 0 if found else quiet + 1
            if all(seen) and sum(map(len, seen)) == 32:
                return


async def test_init_does_nothing_the_second_time(another: Open) -> None:
    events = await another()
    assert len(await events.init([FOUR])) == 1
    assert await events.init([FOUR]) == []
    lines = await events.init([FOUR, ONE])
    assert len(lines) == 1
    assert "one" in lines[0]


async def test_what_is_sent_is_read_as_it_was(events: Events) -> None:
    before = int(time.time() * 1000)
    message = Message("ключ", b"\x00\xff", {"reason": "größer", "empty": ""})
    await events.send("one", message, Message("", b""))
    after = int(time.time() * 1000)
    first, second = [record async for record in events.read("one")]
    assert (first.topic, first.partition, first.offset) == ("one", 0, 0)
    assert (first.key, first.value, first.headers) == (message.key, message.value, message.headers)
    assert (second.key, second.value, second.headers, second.offset) == ("", b"", {}, 1)
    assert before - 1 <= first.appended_at <= after + 1


async def test_reading_ends_with_what_was_there(events: Events) -> None:
    assert [record async for record in events.read("four")] == []
    await events.send("four", *numbered(2500))
    seen: list[Record] = []
    async for record in events.read("four"):
        if not seen:
            await events.send("four", *numbered(10, start=9000))
        seen.append(record)
    assert sorted(numbers(seen)) == list(range(2500))


async def test_reading_may_stop_early(events: Events) -> None:
    await events.send("four", *numbered(50))
    reading = events.read("four")
    await anext(reading)
    await reading.aclose()  # type: ignore[attr-defined]


async def test_records_of_a_key_keep_their_order(events: Events) -> None:
    consumer = await events.consumer("workers", ["four"])
    for start in range(0, 1000, 100):
        await events.send("four", *numbered(100, start))
    records = await receive(consumer, 1000)
    by_key: dict[str, list[Record]] = {}
    for record in records:
        by_key.setdefault(record.key, []).append(record)
    assert len(by_key) == 16
    for of_key in by_key.values():
        assert len({record.partition for record in of_key}) == 1
        assert numbers(of_key) == sorted(numbers(of_key))
        assert [record.appended_at for record in of_key] == sorted(record.appended_at for record in of_key)
    assert len({record.partition for record in records}) == 4
    await consumer.close()


async def test_a_batch_has_at_most_what_was_asked_for(events: Events) -> None:
    consumer = await events.consumer("workers", ["four"])
    await events.send("four", *numbered(100))
    seen: list[int] = []
    async with asyncio.timeout(60):
        while len(seen) < 100:
            batch = await consumer.batch(7, 1)
            assert len(batch) <= 7
            seen += numbers(batch)
    assert sorted(seen) == list(range(100))
    await consumer.close()


async def test_a_batch_of_nothing_takes_the_time_it_was_given(events: Events) -> None:
    consumer = await events.consumer("workers", ["one"])
    await share(events, ONE, consumer)
    started = time.monotonic()
    assert await consumer.batch(10, 0.3) == []
    assert time.monotonic() - started > 0.2
    await consumer.close()


async def test_a_waiting_consumer_gets_a_record_at_once(events: Events, another: Open) -> None:
    """It would wait for an hour."""
    consumer = await events.consumer("workers", ["one"])
    await share(events, ONE, consumer)
    for sender in (events, await another()):
        await sender.send("one", Message("warm", b"0"))
        await receive(consumer, 1)
        waiting = asyncio.create_task(consumer.batch(10, 3600))
        await asyncio.sleep(0.2)
        await sender.send("one", Message("a", b"1"))
        async with asyncio.timeout(60):
            assert numbers(await waiting) == [1]
    await consumer.close()


async def test_what_was_committed_does_not_come_again(events: Events) -> None:
    await events.send("four", *numbered(100))
    first = await events.consumer("workers", ["four"])
    records = await receive(first, 100)
    assert await events.lag("workers", ["four", "one"]) == {"four": 100, "one": 0}
    await first.commit(records)
    await first.close()
    assert await events.lag("workers", ["four"]) == {"four": 0}
    await events.send("four", *numbered(20, start=100))
    assert await events.lag("workers", ["four"]) == {"four": 20}
    second = await events.consumer("workers", ["four"])
    assert sorted(numbers(await receive(second, 20))) == list(range(100, 120))
    await second.close()


async def test_what_was_not_committed_comes_again(events: Events) -> None:
    await events.send("one", *numbered(10))
    first = await events.consumer("workers", ["one"])
    records = await receive(first, 10)
    await first.commit(records[:4])
    await first.close()
    second = await events.consumer("workers", ["one"])
    assert numbers(await receive(second, 6)) == [4, 5, 6, 7, 8, 9]
    await second.close()


async def test_a_cancelled_batch_loses_nothing(events: Events) -> None:
    consumer = await events.consumer("workers", ["one"])
    await share(events, ONE, consumer)
    seen: list[int] = []
    for n in range(40):
        waiting = asyncio.create_task(consumer.batch(10, 10))
        await asyncio.sleep(0.001 * (n % 4))
        await events.send("one", Message("a", b"%d" % n))
        await asyncio.sleep(0.001 * (n % 5))
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            seen += numbers(await waiting)
    async with asyncio.timeout(60):
        while len(seen) < 40:
            seen += numbers(await consumer.batch(100, 0.5))
    assert seen == list(range(40))
    await consumer.close()


async def test_each_group_gets_every_record(events: Events) -> None:
    await events.send("four", *numbered(30))
    for group in ("one", "other"):
        consumer = await events.consumer(group, ["four"])
        assert sorted(numbers(await receive(consumer, 30))) == list(range(30))
        await consumer.close()


async def test_a_consumer_reads_several_topics(events: Events) -> None:
    consumer = await events.consumer("workers", ["four", "one"])
    await events.send("four", *numbered(10))
    await events.send("one", *numbered(10))
    records = await receive(consumer, 20)
    assert {record.topic for record in records} == {"four", "one"}
    await consumer.commit(records)
    assert await events.lag("workers", ["four", "one"]) == {"four": 0, "one": 0}
    await consumer.close()


async def test_members_of_a_group_share_the_partitions(events: Events, another: Open) -> None:
    members = [
        await events.consumer("workers", ["four"]),
        await (await another()).consumer("workers", ["four"]),
    ]
    await share(events, FOUR, *members)
    await events.send("four", *numbered(200))
    seen: list[list[Record]] = [[], []]
    async with asyncio.timeout(60):
        while sum(map(len, seen)) < 200:
            for records, member in zip(seen, members, strict=True):
                records += await member.batch(1000, 0.2)
    partitions = [{record.partition for record in records} for records in seen]
    assert sorted(map(len, partitions)) == [2, 2]
    assert sorted(numbers(seen[0] + seen[1])) == list(range(200))
    for member in members:
        await member.close()


async def test_a_consumer_that_leaves_hands_over_without_delay(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits until it would be taken for dead, here an hour."""
    monkeypatch.setattr("stores.log_members.LEASE", 3600.0)
    monkeypatch.setattr("stores.kafka_clients.SESSION", 600.0)
    first = await events.consumer("workers", ["four"])
    await share(events, FOUR, first)
    second = await events.consumer("workers", ["four"])
    await share(events, FOUR, first, second)
    await events.send("four", *numbered(100))
    await first.close()
    assert {*numbers(await receive(second, 100))} == {*range(100)}
    await second.close()


async def test_a_commit_of_a_lost_partition_is_passed_over(events: Events, another: Open) -> None:
    await events.send("four", *numbered(100))
    first = await events.consumer("workers", ["four"])
    read_by_first = await receive(first, 100)
    second = await (await another()).consumer("workers", ["four"])
    working = asyncio.create_task(keep_reading(first))
    lost = await receive(second, 1)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await first.commit(read_by_first)
    assert (await events.lag("workers", ["four"]))["four"] >= len(lost)
    await second.close()
    await first.close()
    third = await events.consumer("workers", ["four"])
    assert {*numbers(lost)} <= {*numbers(await receive(third, len(lost)))}
    await third.close()


async def keep_reading(consumer: Consumer) -> None:
    while True:
        await consumer.batch(1000, 0.2)


PROGRAM = """
import asyncio, sys
from stores.events import Message
from stores.events_embedded import EmbeddedEvents
from stores.events_kafka import KafkaEvents

async def main(engine, address, prefix, task):
    events = await (EmbeddedEvents if engine == "embedded" else KafkaEvents).open(address, prefix)
    if task == "send":
        for n in range(200):
            await events.send("four", Message(f"key {n % 16}", b"%d" % n))
    else:
        consumer = await events.consumer("workers", ["four"])
        found = []
        while len(found) < 100:
            found += await consumer.batch(1000, 1)
        print("read", flush=True)
        await asyncio.sleep(60)
    await events.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def program(events: Events, engine: str, task: str) -> asyncio.subprocess.Process:
    if isinstance(events, EmbeddedEvents):
        address, prefix = str(events._file.path), events._file.prefix
    else:
        assert isinstance(events, KafkaEvents)
        address, prefix = f"kafka://{SERVERS}", events._prefix
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, engine, address, prefix, task, stdout=PIPE
    )


async def test_two_processes_share_one_log(events: Events, engine: str) -> None:
    consumer = await events.consumer("workers", ["four"])
    sender = await program(events, engine, "send")
    for n in range(200, 400):
        await events.send("four", Message(f"key {n % 16}", b"%d" % n))
    records = await receive(consumer, 400)
    assert await sender.wait() == 0
    await sender.communicate()
    assert sorted(numbers(records)) == list(range(400))
    assert len({(record.partition, record.offset) for record in records}) == 400
    await consumer.close()


async def test_a_commit_tells_whether_it_held(events: Events) -> None:
    """Not for what another member has by now."""
    await events.send("four", *numbered(40))
    first = await events.consumer("workers", ["four"], patience=3600)
    records = await receive(first, 40)
    assert await first.commit(records[:1])
    await first.close()
    second = await events.consumer("workers", ["four"])
    await receive(second, 39)
    assert not await first.commit(records)
    assert await events.lag("workers", ["four"]) == {"four": 39}
    await second.close()


async def test_a_member_knows_what_is_ahead_of_it(events: Events) -> None:
    await events.send("four", *numbered(40))
    consumer = await events.consumer("readers", ["four"])
    taken: list[Record] = []
    async with asyncio.timeout(30):
        while (ahead := await consumer.ahead()) is None:
            taken += await consumer.batch(1, 0.2)
    everything = [record async for record in events.read("four")]
    last = {(record.topic, record.partition): record.offset for record in everything}
    given = {(record.topic, record.partition): record.offset for record in taken}
    assert ahead == {place: offset for place, offset in last.items() if given.get(place, -1) < offset}
    # What was given counts, committed or not.
    await receive(consumer, 40 - len(taken))
    assert await consumer.ahead() == {}
    await events.send("four", Message("late", b"40"))
    (late,) = [record async for record in events.read("four") if record.value == b"40"]
    assert await consumer.ahead() == {(late.topic, late.partition): late.offset}
    second = await events.consumer("readers", ["four"])
    async with asyncio.timeout(60):
        while await consumer.ahead() is not None:
            await consumer.batch(100, 0.2)
            await second.batch(100, 0.2)
    assert await second.ahead() is None, "each has a part"
    await second.close()
    await consumer.close()


async def test_a_consumer_that_dies_without_closing_is_replaced(events: Events, engine: str) -> None:
    await events.send("four", *numbered(100))
    worker = await program(events, engine, "read")
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"read\n"
    worker.send_signal(signal.SIGKILL)
    await worker.communicate()
    successor = await events.consumer("workers", ["four"])
    assert sorted(numbers(await receive(successor, 100))) == list(range(100))
    await successor.close()


async def test_long_work_keeps_a_member_alive(events: Events, another: Open) -> None:
    await events.send("one", *numbered(10))
    first = await events.consumer("workers", ["one"])
    records = await receive(first, 10)
    await asyncio.sleep(4)
    await first.commit(records)
    assert await events.lag("workers", ["one"]) == {"one": 0}
    await first.close()


async def test_a_topic_that_was_never_made_says_what_to_do(events: Events) -> None:
    with pytest.raises(InvalidInput, match="cohort init"):
        await events.send("mistyped", Message("a", b"1"))
    with pytest.raises(InvalidInput, match="cohort init"):
        await events.consumer("workers", ["four", "mistyped"])
    with pytest.raises(InvalidInput, match="cohort init"):
        await events.lag("workers", ["mistyped"])
    with pytest.raises(InvalidInput, match="cohort init"):
        await anext(events.read("mistyped"))


async def test_many_messages_of_one_send_all_arrive_as_they_are_and_in_the_order_of_their_key(
    events: Events,
) -> None:
    """More than a batch of any partition holds, beside sends of one message each."""
    many = [Message(f"key-{n % 40}", b"%d " % n + b"x" * 900, {"n": f"{n}"}) for n in range(3_000)]
    await asyncio.gather(events.send("four", *many), *(events.send("four", one) for one in numbered(100)))
    received = [record async for record in events.read("four")]
    mine = [record for record in received if record.headers]
    assert len(received) == len(mine) + 100
    by_key: dict[str, list[Message]] = {}
    for record in mine:
        by_key.setdefault(record.key, []).append(Message(record.key, record.value, record.headers))
    assert by_key == {f"key-{n}": many[n::40] for n in range(40)}


async def test_one_send_of_many_and_sends_of_one_put_a_key_into_the_same_partition(events: Events) -> None:
    messages = numbered(160)
    await events.send("four", *messages)
    for message in messages[:16]:
        await events.send("four", message)
    places = {(record.key, record.partition) async for record in events.read("four")}
    assert len(places) == len({message.key for message in messages}) == 16


async def test_sends_at_once_all_arrive(events: Events) -> None:
    with events.meter.measure() as counts:
        await asyncio.gather(*(events.send("four", *numbered(10, n * 10)) for n in range(50)))
    assert counts == {"send four": 500}
    assert sorted(numbers([record async for record in events.read("four")])) == list(range(500))


async def test_prefixes_do_not_meet(events: Events, engine: str, tmp_path: Path) -> None:
    prefix = prefix_()
    other: Events
    if engine == "embedded":
        other = await EmbeddedEvents.open(tmp_path / "events.db", prefix)
    else:
        other = await KafkaEvents.open(f"kafka://{SERVERS}", prefix)
    await other.init([ONE])
    await events.send("one", Message("a", b"1"))
    assert [record async for record in other.read("one")] == []
    await other.close()


async def test_closing_twice_is_fine(another: Open) -> None:
    events = await another()
    await events.init([ONE])
    consumer = await events.consumer("workers", ["one"])
    await events.send("one", Message("a", b"1"))
    await events.ping()
    await events.close()
    await consumer.close()
    await events.close()


async def test_a_request_out_of_time_says_so(events: Events) -> None:
    with deadline(0):
        with pytest.raises(DeadlineExceeded):
            await events.send("one", Message("a", b"1"))
        with pytest.raises(DeadlineExceeded):
            await events.ping()
    await events.send("one", Message("a", b"1"))


async def test_a_member_outlives_the_deadline_of_the_call_that_made_it(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deadline(60):
        consumer = await events.consumer("workers", ["one"])
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600)
    monkeypatch.setattr("stores.deadline.time", later)
    await events.send("one", Message("a", b"1"))
    assert numbers(await receive(consumer, 1)) == [1]
    await consumer.close()


async def test_an_unreachable_broker_is_store_unavailable() -> None:
    events = await KafkaEvents.open(f"kafka://{NOBODY}", timeout=2)
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await events.send("one", Message("a", b"1"))
    with pytest.raises(StoreUnavailable):
        await events.consumer("workers", ["one"])
    with pytest.raises(StoreUnavailable):
        await events.lag("workers", ["one"])
    with pytest.raises(StoreUnavailable):
        await events.init([ONE])
    with pytest.raises(StoreUnavailable):
        await anext(events.read("one"))
    with pytest.raises(StoreUnavailable):
        await events.ping()
    assert time.monotonic() - started < 30
    await events.close()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Cuts this process off from every server, and lets it back."""
    transports: list[asyncio.BaseTransport] = []
    connect = asyncio.BaseEventLoop.create_connection
    cut = False

    async def create_connection(self: asyncio.BaseEventLoop, *args: Any, **kwargs: Any) -> Any:
        if cut:
            raise ConnectionRefusedError("away")
        transport, protocol = await connect(self, *args, **kwargs)
        transports.append(transport)
        return transport, protocol

    def turn(to: bool) -> None:
        nonlocal cut
        cut = to
        while to and transports:
            cast("asyncio.Transport", transports.pop()).abort()

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", create_connection)
    yield turn
    turn(False)


@pytest.mark.stack
async def test_a_broker_that_comes_back_serves_the_same_objects(away: Callable[[bool], None]) -> None:
    events = await KafkaEvents.open(f"kafka://{SERVERS}", prefix_(), timeout=5)
    await events.init([ONE])
    consumer = await events.consumer("workers", ["one"])
    await share(events, ONE, consumer)

    away(True)
    with pytest.raises(StoreUnavailable):
        await events.send("one", Message("a", b"1"))
    with pytest.raises(StoreUnavailable):
        await events.ping()
    with pytest.raises(StoreUnavailable):
        async with asyncio.timeout(60):
            await keep_reading(consumer)

    away(False)
    await events.ping()
    await events.send("one", Message("a", b"2"))
    seen: list[bytes] = []
    async with asyncio.timeout(60):
        # It may have been taken for dead meanwhile: then a commit does not hold, and the records come again.
        while await events.lag("workers", ["one"]) != {"one": 0}:
            with contextlib.suppress(StoreUnavailable):
                records = await consumer.batch(10, 0.5)
                seen += [record.value for record in records]
                await consumer.commit(records)
    assert b"2" in seen
    await events.close()


async def test_a_call_that_can_start_no_producer_does_not_wait_for_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where no broker has a majority: each answers, and none can name the producer."""

    async def endless(_self: AIOKafkaProducer) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(AIOKafkaProducer, "start", endless)
    ended, stop = asyncio.Event(), AIOKafkaProducer.stop

    async def slow(self: AIOKafkaProducer) -> None:
        await ended.wait()
        await stop(self)

    monkeypatch.setattr(AIOKafkaProducer, "stop", slow)
    monkeypatch.setattr("stores.kafka_clients.CLOSING", 3600.0)
    events = await KafkaEvents.open(f"kafka://{NOBODY}", timeout=0.1)
    async with asyncio.timeout(60):
        with pytest.raises(StoreUnavailable):
            await events.send("one", Message("a", b"1"))
    ended.set()
    await events.close()


@pytest.mark.stack
async def test_it_says_on_how_many_brokers_messages_are() -> None:
    """The server is one broker."""
    events = await KafkaEvents.open(f"kafka://{SERVERS}", prefix_())
    await events.init([ONE])
    assert await events.replication([ONE]) == Replication(brokers=1, copies=1, behind=0, needed=(1, 1))
    await events.close()


@pytest.mark.stack
async def test_closing_has_an_end_while_the_broker_is_away(away: Callable[[bool], None]) -> None:
    events = await KafkaEvents.open(f"kafka://{SERVERS}", prefix_(), timeout=5)
    await events.init([ONE])
    consumer = await events.consumer("workers", ["one"])
    await share(events, ONE, consumer)
    away(True)
    with pytest.raises(StoreUnavailable):
        await events.send("one", Message("a", b"1"))
    async with asyncio.timeout(60):
        await events.close()


async def test_a_producer_that_fails_leaves_no_error_that_nobody_has_looked_at() -> None:
    left = errors_left()
    producer = AIOKafkaProducer(bootstrap_servers=NOBODY, enable_idempotence=True)
    watch_failures(producer)
    sent = await producer._message_accumulator.add_message(TopicPartition("one", 0), b"a", b"1", 1)
    producer._txn_manager.fatal_error(KafkaError("out of order"))
    refuse_unsent(producer)
    assert isinstance(sent.exception(), KafkaError)
    await producer.stop()
    del producer, sent
    gc.collect()
    assert left == []


def errors_left() -> list[str]:
    """What asyncio tells, from now on, of errors in the background."""
    left: list[str] = []

    def tell(_loop: object, told: dict[str, Any]) -> None:
        left.append(f"{told['message']}: {told.get('exception')!r}")

    asyncio.get_running_loop().set_exception_handler(tell)
    return left


@pytest.mark.stack
async def test_an_outage_leaves_no_error_that_nobody_has_looked_at(away: Callable[[bool], None]) -> None:
    """asyncio would tell each in the log, without a request or a place: those of sends that are under way, of batches that wait
    for their turn, and of members whose coordinator is gone."""
    left = errors_left()
    events = await KafkaEvents.open(f"kafka://{SERVERS}", prefix_(), timeout=1)
    await events.init([ONE])
    consumer = await events.consumer("workers", ["one"])
    await share(events, ONE, consumer)
    large = [Message("a", bytes(100_000)) for _ in range(20)]  # more than a batch: most wait for their turn
    for _ in range(2):
        await events.send("one", Message("a", b"1"))
        sending = [asyncio.create_task(events.send("one", *large)) for _ in range(3)]
        await asyncio.sleep(0)
        away(True)
        answers = await asyncio.gather(*sending, return_exceptions=True)
        assert any(isinstance(answer, StoreUnavailable) for answer in answers)
        with contextlib.suppress(StoreUnavailable):
            async with asyncio.timeout(20):
                await keep_reading(consumer)
        gc.collect()
        away(False)
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(StoreUnavailable):
                    await events.ping()
                    break
    away(True)
    await events.close()
    del consumer, events, sending, answers
    await asyncio.sleep(0)
    gc.collect()
    assert left == []


@pytest.mark.stack
async def test_a_coordinator_that_is_still_loading_is_asked_for_the_lag_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = await KafkaEvents.open(f"kafka://{SERVERS}", prefix_())
    await events.init([ONE])
    await events.send("one", *numbered(3))
    asked = AIOKafkaAdminClient.list_consumer_group_offsets
    answers: Iterator[dict[TopicPartition, object]] = iter(
        [{}]
    )  # what aiokafka makes of an error of the whole group

    async def loading(*args: object, **kwargs: object) -> object:
        for answer in answers:
            return answer
        return await asked(*args, **kwargs)

    monkeypatch.setattr(AIOKafkaAdminClient, "list_consumer_group_offsets", loading)
    assert await events.lag("workers", ["one"]) == {"one": 3}
    await events.close()


@pytest.mark.stack
async def test_many_calls_at_the_start_ask_once_which_topics_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prefix, asked = prefix_(), 0
    await (await KafkaEvents.open(f"kafka://{SERVERS}", prefix)).init([ONE, FOUR])
    describe = AIOKafkaAdminClient.describe_topics

    async def counted(self: AIOKafkaAdminClient, *args: Any) -> Any:
        nonlocal asked
        asked += 1
        return await describe(self, *args)

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_topics", counted)
    events = await KafkaEvents.open(f"kafka://{SERVERS}", prefix)
    await asyncio.gather(
        *(events.send(topic, Message("key", b"value")) for topic in ("one", "four") for _ in range(20))
    )
    assert asked == 1
    # One that was not there is asked for again: it may have been made since.
    with pytest.raises(InvalidInput, match="run cohort init"):
        await events.send("kept", Message("key", b"value"))
    await events.init([Topic("kept", partitions=1)])
    await events.send("kept", Message("key", b"value"))
    assert sum((await events.lag("nobody", ["one", "four", "kept"])).values()) == 41
    await events.close()


@pytest.mark.stack
async def test_topics_are_made_as_they_are_declared() -> None:
    events = await KafkaEvents.open(f"kafka://{SERVERS}", prefix_())
    await events.init([ONE, Topic("kept", partitions=3, retention_days=None)])
    async with events.clients.admin() as admin:
        names = [events.name("one"), events.name("kept")]
        answers = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        )
        found = {
            name: {entry[0]: entry[1] for entry in entries} for _, _, _, name, entries in answers[0].resources
        }
        topics = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(names)}
    assert [found[name]["message.timestamp.type"] for name in names] == ["LogAppendTime"] * 2
    assert [found[name]["retention.ms"] for name in names] == [str(7 * 86_400_000), "-1"]
    assert [topics[name] for name in names] == [1, 3]
    await events.close()


@pytest.mark.stack
async def test_a_message_that_is_too_large_is_refused_and_does_no_harm() -> None:
    events = await KafkaEvents.open(f"kafka://{SERVERS}", prefix_())
    await events.init([ONE])
    with pytest.raises(InvalidInput, match="too large"):
        await events.send("one", Message("a", bytes(2_000_000)))
    await events.send("one", Message("a", b"1"))
    assert numbers([record async for record in events.read("one")]) == [1]
    with pytest.raises(InvalidInput, match="too large"):
        await events.send("one", *numbered(100), Message("a", bytes(2_000_000)))
    await events.send("one", Message("a", b"2"))
    assert numbers([record async for record in events.read("one")])[-1] == 2
    await events.close()


@pytest.mark.stack
async def test_what_another_system_wrote_is_delivered_although_it_is_no_text() -> None:
    """What it means is for workers to judge; a record that could not be read would keep all behind it waiting."""
    events = await KafkaEvents.open(f"kafka://{SERVERS}", prefix_())
    await events.init([ONE])
    other = AIOKafkaProducer(bootstrap_servers=SERVERS)
    await other.start()
    try:
        await other.send_and_wait(events.name("one"), b"1", key=b"\xff")
        await other.send_and_wait(events.name("one"), b"2", key=None)
        await other.send_and_wait(
            events.name("one"), b"3", key=b"a", headers=[("none", None), ("binary", b"\xff"), ("text", b"b")]
        )
    finally:
        await other.stop()
    await events.send("one", Message("a", b"4"))
    consumer = await events.consumer("workers", ["one"])
    received = await receive(consumer, 4)
    assert [(record.key, record.value) for record in received] == [
        ("\ufffd", b"1"),
        ("", b"2"),
        ("a", b"3"),
        ("a", b"4"),
    ]
    assert received[2].headers == {"none": "", "binary": "\ufffd", "text": "b"}
    assert [record async for record in events.read("one")] == received
    await consumer.commit(received)
    assert await events.lag("workers", ["one"]) == {"one": 0}
    await events.close()


@pytest.mark.stack
async def test_a_producer_that_cannot_go_on_is_replaced() -> None:
    events = await KafkaEvents.open(f"kafka://{SERVERS}", prefix_())
    await events.init([ONE])
    await events.send("one", Message("a", b"1"))
    producer = events._producer
    assert producer is not None
    # A gap in the sequence, as a batch that failed would leave.
    producer._txn_manager.increment_sequence_number(TopicPartition(events.name("one"), 0), 5)
    with pytest.raises(StoreUnavailable):
        await events.send("one", Message("a", b"2"))
    await events.send("one", Message("a", b"3"))
    assert numbers([record async for record in events.read("one")]) == [1, 3]
    await events.close()


async def test_a_log_that_cannot_be_opened_is_store_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await EmbeddedEvents.open(tmp_path / "no such folder" / "events.db")
    (tmp_path / "text").write_text("this is no log, it is much too readable for that" * 100)
    with pytest.raises(StoreUnavailable):
        await EmbeddedEvents.open(tmp_path / "text")


async def test_processes_that_open_a_new_log_at_once_do_not_collide(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from stores.events import Message, Topic
from stores.events_embedded import EmbeddedEvents

async def main():
    events = await EmbeddedEvents.open(sys.argv[1])
    await events.init([Topic("one", partitions=1)])
    for n in range(50):
        await events.send("one", Message("a", b"1"))
    await events.close()

asyncio.run(main())
"""
    path = str(tmp_path / "events.db")
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", program, path) for _ in range(4)]
    assert [await process.wait() for process in processes] == [0] * 4
    events = await EmbeddedEvents.open(path)
    assert [record.offset async for record in events.read("one")] == list(range(200))
    await events.close()


async def test_records_beyond_their_retention_stay_until_every_group_has_them(tmp_path: Path) -> None:
    events = await EmbeddedEvents.open(tmp_path / "events.db")
    short, kept = (
        Topic("one", partitions=1, retention_days=0),
        Topic("kept", partitions=1, retention_days=None),
    )
    await events.init([short, kept])
    await events.send("one", *numbered(10))
    await events.send("kept", *numbered(3))
    quick, slow = await events.consumer("quick", ["one"]), await events.consumer("slow", ["one"])
    await quick.commit(await receive(quick, 10))
    await slow.commit((await receive(slow, 10))[:4])
    await asyncio.sleep(0.01)
    assert await events.init([short, kept]) == []
    assert numbers([record async for record in events.read("one")]) == [4, 5, 6, 7, 8, 9]
    assert len([record async for record in events.read("kept")]) == 3
    await events.send("one", Message("a", b"10"))
    assert await events.lag("quick", ["one"]) == {"one": 1}
    assert await events.lag("new", ["one"]) == {"one": 7}
    assert numbers(await receive(quick, 1)) == [10]
    await events.close()


async def test_a_log_is_there_after_it_was_closed(another: Open) -> None:
    events = await another()
    await events.init([ONE])
    await events.send("one", *numbered(3))
    await events.close()
    assert numbers([record async for record in (await another()).read("one")]) == [0, 1, 2]


# --- what is forgotten


def of(user: str, text: str = "x") -> list[Message]:
    """In each of the ways that a record is about somebody."""
    value = b'{"user":"%s","text":"%s"}' % (user.encode(), text.encode())
    return [Message(user, value), Message(f"course|batch|{user}", value)]


def holds(folder: Path, text: str) -> bool:
    """Whether any of its files does, in whatever part of it."""
    return any(text.encode() in path.read_bytes() for path in folder.iterdir())


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EmbeddedEvents]:
    """The embedded one, for what Kafka leaves to its retention."""
    log = await EmbeddedEvents.open(tmp_path / "events.db", "test")
    await log.init([FOUR, ONE])
    yield log
    await log.close()


async def taken(events: Events, group: str, topic: str = "one") -> list[Record]:
    """What a new member of the group is given, and has done."""
    consumer = await events.consumer(group, [topic])
    try:
        found = await consumer.batch(1000, 1.0)
        await consumer.commit(found)
    finally:
        await consumer.close()
    return found


async def test_forgotten_records_go_once_every_group_has_done_with_them(events: Events, engine: str) -> None:
    """Those that were there: what is sent later stays, and so do the records of others."""
    await events.send("one", *of("ann"), *of("joann"), *of("ann"), *of("a|ann", "none"))
    before = [record.key async for record in events.read("one")]
    for group in ("first", "second"):
        await (await events.consumer(group, ["one"])).close()
    await events.forget("one", RecordFilter("ann", holding=('"user":"ann"',)))
    assert [record.key async for record in events.read("one")] == before
    await taken(events, "first")
    assert [record.key async for record in events.read("one")] == before
    assert [record.key for record in await taken(events, "second")] == before
    await events.send("one", *of("ann"))
    left = [record.key async for record in events.read("one")]
    later = ["ann", "course|batch|ann"]
    if engine == "kafka":  # its retention is what forgets there
        assert left == [*before, *later]
    else:
        assert left == ["joann", "course|batch|joann", "a|ann", "course|batch|a|ann", *later]


async def test_the_lag_counts_no_record_that_is_forgotten(log: EmbeddedEvents) -> None:
    """Also of groups that come later, and where the last records of a partition are gone: else who waits for the lag to
    end would wait for good."""
    await log.send("one", *of("ann"), *of("bob"), *of("ann"))
    await taken(log, "first")
    await log.forget("one", RecordFilter("ann"))
    assert [record.offset async for record in log.read("one")] == [2, 3]
    assert await log.lag("first", ["one"]) == {"one": 0}
    assert await log.lag("later", ["one"]) == {"one": 2}
    assert [record.offset for record in await taken(log, "later")] == [2, 3]
    assert await log.lag("later", ["one"]) == {"one": 0}
    await log.send("one", *of("cyd"))
    assert [record.offset for record in await taken(log, "later")] == [6, 7]
    await log.forget("one", RecordFilter("bob"), RecordFilter("cyd"))
    assert await log.lag("new", ["one"]) == {"one": 2}  # "first" has not had cyd's yet
    await taken(log, "first")
    assert await log.lag("new", ["one"]) == {"one": 0}


async def test_a_record_of_any_key_may_be_forgotten_by_what_it_holds(log: EmbeddedEvents) -> None:
    await log.send(
        "one", Message("k", b'{"id":"ann"}'), Message("k", b'{"id":"anna"}'), Message("k", b"\xff")
    )
    await log.forget("one", RecordFilter(holding=('"ann"',)))
    assert [record.value async for record in log.read("one")] == [b'{"id":"anna"}', b"\xff"]


async def test_the_file_does_not_contain_what_was_forgotten(log: EmbeddedEvents, tmp_path: Path) -> None:
    users = [f"USER-{n:03}" for n in range(200)]
    for _ in range(3):
        for user in users:
            await log.send("four", *of(user, "x" * 50))
    await taken(log, "first", "four")
    for user in users[::4]:
        await log.forget("four", RecordFilter(user))
    await taken(log, "first", "four")
    await log.clean()
    assert [user for user in users if not holds(tmp_path, user)] == users[::4]


async def test_a_log_at_rest_is_cleaned_by_whoever_reads_it(
    log: EmbeddedEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.log_forgetting.QUIET", 0.0)
    await log.send("one", *of("VERY-DISTINCT"))
    consumer = await log.consumer("first", ["one"])
    await consumer.commit(await consumer.batch(10, 1.0))
    await log.forget("one", RecordFilter("VERY-DISTINCT"))
    async with asyncio.timeout(60):
        while holds(tmp_path, "VERY-DISTINCT"):
            await asyncio.sleep(0.1)
