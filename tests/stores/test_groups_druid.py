"""What is Druid's own: that its data sources hold the latest state of each key whatever Druid does meanwhile, and that
`cohort druid` sees and changes them. What both engines promise is in test_groups_contract.py.

One data source serves the module, since Druid has few tasks; the tests need the order they are in.
"""

import asyncio
import os
import random
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import pytest
import pytest_asyncio

from druid_specs import ACTIVITY_STATE, DataSource
from rules.errors import Busy, DeadlineExceeded, StoreUnavailable
from stack.stack import Stack
from stores.deadline import deadline
from stores.events_kafka import KafkaEvents
from stores.groups import Figures, Kind, Lane, Measure, Rows
from stores.groups_druid import DruidGroups
from stores.topics import TOPICS
from tests.conftest import DRUID, KAFKA, drop_data_sources, drop_topics
from tests.stores.groups_data import Event, answer, latest, message, state

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

OVERLORD = os.environ.get("COHORT_STACK_DRUID_OVERLORD", "http://127.0.0.1:8081/druid/indexer/v1")
PATIENCE = 400.0
ON_TWO_DAYS = (f"do_{n}" for n in count() if crc32(f"do_{n}".encode()) % 16 in (3, 8))
"""Activities whose states are on two of the 16 days: each day more is a segment more for every step."""
ACTIVITIES = tuple(islice(ON_TWO_DAYS, 5))
KEYS, EVENTS = 5_000, 25_000
FIRST_VERSION = 1_764_000_000_000 << 20
"""Versions are as large as real ones: milliseconds beside 20 bits of an offset."""
COLUMNS = ("user_id", "status", "completed_on", "time_spent", "district", "school")
TEXTS = (None, "", "North", "ends in a backslash\\", 'quote"', "\0", "\0=", "é", "\U0001f600" * 256)


@dataclass
class Source:
    """One data source, and what has been sent to it."""

    groups: DruidGroups
    events: KafkaEvents
    prefix: str
    sent: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))

    @property
    def name(self) -> str:
        return f"{self.prefix}.activity-state-2"

    async def send(self, events: Iterable[Event]) -> None:
        messages = []
        for event in events:
            self.sent[event["activity_id"]].append(event)
            messages.append(message(event))
        for start in range(0, len(messages), 5000):
            await self.events.send(ACTIVITY_STATE.topic, *messages[start : start + 5000])

    async def read_all(self) -> None:
        """Returns when what was sent is visible: so are 64 keys that came after it, some in each partition."""
        probe = next(ON_TWO_DAYS)
        await self.events.send(ACTIVITY_STATE.topic, *(message(state(probe, str(n))) for n in range(64)))
        seen = Figures(ACTIVITY_STATE, (), (Measure("n", Kind.COUNT),), (("activity_id", (probe,)),))
        await until(lambda: self._is(seen, [[64]]))

    async def _is(self, query: Figures, rows: list[list[int]]) -> bool:
        with suppress(StoreUnavailable):  # as from a data node that is gone
            return list((await self.groups.query(query, Lane.TABLES)).rows) == rows
        return False

    async def wrong(self) -> dict[str, int]:
        """By activity the keys that are not as the port says; all are read."""
        wrong = {}
        for activity, events in self.sent.items():
            query = Rows(ACTIVITY_STATE, COLUMNS, (("activity_id", (activity,)),))
            found = await self.groups.query(query, Lane.TABLES)
            if different := {tuple(row) for row in found.rows} ^ set(answer(query, events)):
                wrong[activity] = len(different)
            assert len(found.rows) == len({event["user_id"] for event in events})
        return wrong

    async def hand_off(self) -> None:
        """Has the task publish what it holds; another one goes on with the topic meanwhile."""
        async with httpx.AsyncClient(timeout=30) as client:
            groups = {"taskGroupIds": [0]}
            url = f"{OVERLORD}/supervisor/{self.name}/taskGroups/handoff"
            (await client.post(url, json=groups)).raise_for_status()

    async def reset(self) -> None:
        """Druid forgets how far it has read."""
        async with httpx.AsyncClient(timeout=30) as client:
            (await client.post(f"{OVERLORD}/supervisor/{self.name}/reset")).raise_for_status()

    async def publish(self) -> None:
        """Returns when all is published. Asks whenever a task holds rows and none publishes: while Druid resets, it passes over
        the request, and asked while one publishes, it would stop the next task, which then has to begin anew."""
        async with asyncio.timeout(PATIENCE):
            while not await self.handed_off():
                if await self.may_hand_off():
                    await self.hand_off()
                await asyncio.sleep(2)

    async def may_hand_off(self) -> bool:
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.get(f"{OVERLORD}/supervisor/{self.name}/status")
        payload = answer.raise_for_status().json()["payload"]
        return bool(payload.get("activeTasks")) and not payload.get("publishingTasks")

    async def handed_off(self) -> bool:
        """Whether all rows are in published segments, and none in a task's memory."""
        statement = "SELECT DISTINCT is_realtime FROM sys.segments WHERE datasource = ? AND is_active = 1"
        return list(await self.groups._http.sql(statement, self.name)) == [[0]]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            await asyncio.sleep(0.5)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def source() -> AsyncIterator[Source]:
    prefix = f"test-{secrets.token_hex(5)}"
    events = await KafkaEvents.open(f"kafka://{KAFKA}", prefix)
    groups = await DruidGroups.open(DRUID, prefix=prefix, events=f"kafka://{KAFKA}", timeout=30)
    try:
        await events.init(TOPICS)
        yield Source(groups, events, prefix)
    finally:
        await drop_data_sources(prefix)
        await groups.close()
        await events.close()
        await drop_topics(prefix)


def history() -> list[Event]:
    """20,000 learners in five activities, each with some versions; shuffled, a quarter of the events twice or more."""
    chance = random.Random(20)
    events = []
    for n in range(EVENTS * 3 // 4):
        key = n % KEYS
        events.append(
            state(
                ACTIVITIES[key % len(ACTIVITIES)],
                f"user-{key}",
                FIRST_VERSION + n,
                status=chance.choice((None, 0, 1, 2)),
                completed_on=chance.choice((None, FIRST_VERSION >> 20)),
                time_spent=chance.randrange(10**6),
                district=chance.choice(TEXTS),
                school=chance.choice((None, f"School {chance.randrange(300)}")),
            )
        )
    events += chance.choices(events, k=EVENTS - len(events))
    chance.shuffle(events)
    return events


async def test_init_creates_once_and_status_tells_what_is_there(source: Source) -> None:
    supervision = source.groups.supervision
    (absent,) = await supervision.status([ACTIVITY_STATE])
    assert (absent.state, absent.healthy, absent.segments) == ("absent", False, 0)
    assert absent.differences == ("supervisor: all of it is not there", "compaction: all of it is not there")

    assert await source.groups.init([ACTIVITY_STATE]) == [
        f"supervisor of {source.name}: created",
        f"compaction of {source.name}: created",
    ]
    assert await source.groups.init([ACTIVITY_STATE]) == []
    await until(lambda: _healthy(source))


async def _healthy(source: Source) -> bool:
    (status,) = await source.groups.supervision.status([ACTIVITY_STATE])
    return status.healthy and status.differences == () and status.tasks == 1 and status.lag == 0


async def test_every_key_is_right_while_segments_are_handed_off_compacted_and_read_again(
    source: Source,
) -> None:
    events = history()
    third = len(events) // 3

    await source.send(events[:third])
    await source.read_all()
    assert await source.wrong() == {}

    await source.hand_off()
    await source.send(events[third : 2 * third])
    await source.read_all()
    assert await source.wrong() == {}
    await until(lambda: _has_uncompacted(source))

    compacting = asyncio.create_task(compact(source))
    await source.send(events[2 * third :])
    await source.read_all()
    assert await source.wrong() == {}
    assert len(await compacting) == 2
    assert await source.wrong() == {}
    await source.publish()
    assert await source.wrong() == {}

    await source.reset()
    assert await source.wrong() == {}
    await source.read_all()
    assert await source.wrong() == {}
    # The next test compacts what this has read again: it needs it published.
    await source.publish()
    assert await source.wrong() == {}


LONG: dict[str, Any] = {
    "queryType": "timeseries",
    "granularity": "all",
    "intervals": ["0000-01-01/3000-01-01"],
    "aggregations": [{"type": "longSum", "name": "sum", "expression": 'version * "other.number"'}],
}
"""Over all rows, each with each of a list: minutes of work for the one thread of a data node."""
BY_HAND = 100_000
IN_LANE = 4
"""How many queries of the lane Druid takes (stack/conf/druid/broker/runtime.properties), which are as many as a process sends."""


@pytest.mark.parametrize("by", ["its deadline", "its caller leaves"])
async def test_a_long_query_ends_in_druid_by(source: Source, by: str) -> None:
    """Druid would give it ten minutes. As long as it is at work, its lane is full and the data node's one thread has no time for
    another: each query after it says that it has ended."""
    other = {
        "type": "inline",
        "columnNames": ["number"],
        "columnTypes": ["LONG"],
        "rows": [[number] for number in range(BY_HAND)],
    }
    joined = {"type": "join", "joinType": "INNER", "left": source.name, "right": other}
    body = {**LONG, "dataSource": {**joined, "rightPrefix": "other.", "condition": "1"}}
    patient = await DruidGroups.open(DRUID, prefix=source.prefix, events=f"kafka://{KAFKA}", timeout=600)
    few = Figures(ACTIVITY_STATE, (), (Measure("n", Kind.COUNT),), (("activity_id", ACTIVITIES[:1]),))

    async def long() -> None:
        while True:
            try:
                await patient._ask(body, Lane.TABLES)
            except DeadlineExceeded:
                raise
            except StoreUnavailable:  # what asks whether the lane is full may have been first
                await asyncio.sleep(0.05)
            else:
                return

    async def within_a_deadline() -> None:
        with deadline(20), pytest.raises(DeadlineExceeded):
            await long()

    async def lane_is_full() -> bool:
        assert not any(task.done() for task in asked), "it is no long query"
        try:
            # It may have taken a place before them, and wait behind them for the data node's thread.
            with deadline(2):
                await patient._ask({**LONG, "dataSource": source.name}, Lane.TABLES)
        except Busy:
            return True
        except DeadlineExceeded:
            pass
        return False

    async def is_answered() -> bool:
        with suppress(StoreUnavailable):
            return bool((await patient.query(few, Lane.TABLES)).rows)
        return False

    ask = within_a_deadline if by == "its deadline" else long
    asked = [asyncio.create_task(ask()) for _ in range(IN_LANE)]
    try:
        await until(lane_is_full)
        if by == "its caller leaves":
            for task in asked:
                task.cancel()
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert by != "its deadline" or ends == [None] * IN_LANE
        await until(is_answered)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        await patient.close()


async def _has_uncompacted(source: Source) -> bool:
    (status,) = await source.groups.supervision.status([ACTIVITY_STATE])
    return status.uncompacted > 0


async def test_compaction_leaves_one_row_a_key(source: Source) -> None:
    await compact(source)
    # 64 keys of each of the four probes beside the 20,000; old segments are read until the new ones are loaded.
    await until(lambda: _rows(source, KEYS + 4 * 64))
    assert await source.wrong() == {}
    # The list of segments, from which is known what is compacted, is a moment behind the rows.
    await until(lambda: _is_compacted(source))
    assert await compact(source) == []


async def _is_compacted(source: Source) -> bool:
    return not await _has_uncompacted(source)


async def test_every_key_is_right_after_an_indexer_died_with_states_that_it_had_not_published(
    source: Source,
) -> None:
    """They are read from the log again by a task of the next one."""
    newer = [
        state(ACTIVITIES[n % 5], f"user-{n}", FIRST_VERSION + EVENTS + n, status=2, district="West")
        for n in range(1_000)
    ]
    await source.send(newer[:500])
    await source.read_all()
    stack = Stack(Path(os.environ.get("COHORT_STACK_DIR", ".stack")))
    await asyncio.to_thread(stack.restart, "druid-indexer", kill=True)
    await source.send(newer[500:])
    await source.read_all()
    assert await source.wrong() == {}


async def _rows(source: Source, count: int) -> bool:
    return list(await source.groups._http.sql(f'SELECT COUNT(*) FROM "{source.name}"')) == [[count]]


async def compact(source: Source) -> list[str]:
    return [line async for line in source.groups.supervision.compact([ACTIVITY_STATE])]


async def test_what_differs_from_the_file_is_named_and_mended(source: Source) -> None:
    other = _with_task_duration("PT2H")
    supervision = source.groups.supervision
    (status,) = await supervision.status([other])
    assert status.differences == ("supervisor: spec.ioConfig.taskDuration differs",)
    assert await source.groups.init([other]) == [
        f"supervisor of {source.name}: changed (spec.ioConfig.taskDuration differs)"
    ]
    assert await source.groups.init([other]) == []


def _with_task_duration(duration: str) -> DataSource:
    spec = ACTIVITY_STATE.supervisor["spec"]
    changed = {**spec, "ioConfig": {**spec["ioConfig"], "taskDuration": duration}}
    return replace(ACTIVITY_STATE, supervisor={**ACTIVITY_STATE.supervisor, "spec": changed})


async def test_what_is_stored_has_the_newest_state_of_every_key(source: Source) -> None:
    names = (*ACTIVITY_STATE.key, "version", *ACTIVITY_STATE.latest)

    def rows(events: Iterable[Event]) -> set[tuple[Any, ...]]:
        known = [event for event in events if event["activity_id"] in source.sent]
        return {tuple(event[name] for name in names) for event in latest(ACTIVITY_STATE, known)}

    one, other = islice(ON_TWO_DAYS, 2)
    chance = random.Random(21)
    events = [
        state(
            activity, f"user-{n}", FIRST_VERSION + version, district=chance.choice(TEXTS), status=version % 3
        )
        for activity in (one, other)
        for n in range(700)
        for version in range(3)
    ]
    await source.send(chance.sample(events, len(events)))
    await source.read_all()
    stored = [event async for portion in source.groups.stored(ACTIVITY_STATE) for event in portion]
    expected = rows(event for events in source.sent.values() for event in events)
    assert len(expected) >= 1_400
    assert rows(stored) == expected
