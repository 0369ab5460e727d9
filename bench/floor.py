"""The floor: the statements and sends that a request needs, by the bare drivers, without Cohort."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import orjson

from stores.engines import Stores
from stores.events import Message
from stores.keys import MOST_KEYS
from stores.rows import Change, In, Key
from stores.tables import (
    AGGREGATES,
    ENROLMENTS,
    GROUP_MEMBERS,
    LEARNER_GROUPS,
    LEARNER_SCOPES,
    LEARNERS,
    VIEWS,
)
from stores.topics import ASSESSMENTS, TRIGGERS

TRIGGER = b'{"kind":"view","userId":"learner-000","collectionId":"course","contextId":"batch"}'
Partition = tuple[str, str]


class Floor(Protocol):
    """The statements and sends that each measured request needs."""

    async def start(self, row: dict[str, Any]) -> None: ...
    async def end(self, key: Key, values: dict[str, Any]) -> None: ...
    async def send(self, user: str) -> None: ...
    async def submit(self, user: str, attempt: bytes) -> None: ...
    async def view(self, key: Key) -> None: ...
    async def enrolments(self, user: str, collections: Sequence[str]) -> None: ...
    async def statuses(self, partition: Partition) -> None: ...


class EmbeddedFloor:
    """The ports themselves: SQLite and the log have no asynchronous driver below ours."""

    def __init__(self, stores: Stores) -> None:
        self._rows, self._events = stores.rows, stores.events

    async def start(self, row: dict[str, Any]) -> None:
        await self._rows.insert_if_absent(VIEWS, row)

    async def end(self, key: Key, values: dict[str, Any]) -> None:
        await self._rows.update_if(VIEWS, key, values, [In("status", (0, 1))])

    async def send(self, user: str) -> None:
        await self._events.send(TRIGGERS.name, Message(user, TRIGGER))

    async def submit(self, user: str, attempt: bytes) -> None:
        await self._events.send(ASSESSMENTS.name, Message(user, attempt))

    async def view(self, key: Key) -> None:
        await self._rows.get(VIEWS, key)

    async def enrolments(self, user: str, collections: Sequence[str]) -> None:
        await self._rows.partition(ENROLMENTS, (user,), limit=101)
        await self._rows.partitions(AGGREGATES, [("Course", c, user) for c in collections])

    async def statuses(self, partition: Partition) -> None:
        await self._rows.partition(VIEWS, partition)


@dataclass
class Driver:
    """cassandra-driver as its documentation shows it."""

    session: Any
    statements: dict[str, Any]

    async def run(self, name: str, values: Sequence[Any]) -> list[Any]:
        return await self.ask(self.statements[name].bind(values))

    async def ask(self, statement: Any) -> list[Any]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Any]] = loop.create_future()
        answer = self.session.execute_async(statement)
        answer.add_callbacks(
            lambda rows: loop.call_soon_threadsafe(done.set_result, rows),
            lambda error: loop.call_soon_threadsafe(done.set_exception, error),
        )
        return await done


@dataclass
class RealFloor:
    """cassandra-driver and aiokafka as their documentation shows them."""

    driver: Driver
    producer: Any
    topic: str
    attempts: str

    async def start(self, row: dict[str, Any]) -> None:
        await self.driver.run("start", list(row.values()))

    async def end(self, key: Key, values: dict[str, Any]) -> None:
        await self.driver.run("end", [*values.values(), *key])

    async def send(self, user: str) -> None:
        await self.producer.send_and_wait(self.topic, TRIGGER, key=user.encode())

    async def submit(self, user: str, attempt: bytes) -> None:
        await self.producer.send_and_wait(self.attempts, attempt, key=user.encode())

    async def view(self, key: Key) -> None:
        await self.driver.run("view", key)

    async def enrolments(self, user: str, collections: Sequence[str]) -> None:
        await self.driver.run("enrolments", [user])
        await self.driver.run("aggregates", [list(collections), user])

    async def statuses(self, partition: Partition) -> None:
        await self.driver.run("statuses", partition)


class ViewerFloor(Protocol):
    """The statements and sends that the calls of bench/viewer.py need."""

    async def states(self, keys: Sequence[Key]) -> None:
        """Reads views of one partition."""
        ...

    async def start_all(self, rows: Sequence[dict[str, Any]]) -> None:
        """Inserts views of one partition that must not exist, in one write."""
        ...

    async def end_all(self, keys: Sequence[Key], values: dict[str, Any]) -> None:
        """Completes views of one partition that are not completed, in one write."""
        ...

    async def send(self, user: str) -> None: ...

    async def enrolments(self, user: str, collections: Sequence[str]) -> None:
        """Reads up to 100 enrolments, their aggregates, and when the views in their collections last changed."""
        ...


class EmbeddedViewerFloor:
    """The ports themselves, as in EmbeddedFloor."""

    def __init__(self, stores: Stores) -> None:
        self._rows, self._events = stores.rows, stores.events

    async def states(self, keys: Sequence[Key]) -> None:
        await self._rows.get_many(VIEWS, keys)

    async def start_all(self, rows: Sequence[dict[str, Any]]) -> None:
        changes = [
            Change(
                tuple(row[name] for name in VIEWS.key), {n: v for n, v in row.items() if n not in VIEWS.key}
            )
            for row in rows
        ]
        assert await self._rows.write_together(VIEWS, changes)

    async def end_all(self, keys: Sequence[Key], values: dict[str, Any]) -> None:
        changes = [Change(key, values, [In("status", (0, 1))]) for key in keys]
        assert await self._rows.write_together(VIEWS, changes)

    async def send(self, user: str) -> None:
        await self._events.send(TRIGGERS.name, Message(user, TRIGGER))

    async def enrolments(self, user: str, collections: Sequence[str]) -> None:
        await asyncio.gather(
            self._rows.partition(ENROLMENTS, (user,), limit=101),
            self._rows.partitions(AGGREGATES, [("Course", c, user) for c in collections]),
            self._rows.statics(VIEWS, [(user, c) for c in collections]),
        )


@dataclass
class RealViewerFloor:
    """cassandra-driver and aiokafka as their documentation shows them."""

    driver: Driver
    producer: Any
    topic: str

    async def states(self, keys: Sequence[Key]) -> None:
        await self.driver.run("states", [*keys[0][:-1], [key[-1] for key in keys]])

    async def start_all(self, rows: Sequence[dict[str, Any]]) -> None:
        await self._together([("start", list(row.values())) for row in rows])

    async def end_all(self, keys: Sequence[Key], values: dict[str, Any]) -> None:
        await self._together([("end", [*values.values(), *key]) for key in keys])

    async def send(self, user: str) -> None:
        await self.producer.send_and_wait(self.topic, TRIGGER, key=user.encode())

    async def enrolments(self, user: str, collections: Sequence[str]) -> None:
        await asyncio.gather(
            self.driver.run("enrolments", [user]),
            self.driver.run("aggregates", [list(collections), user]),
            self.driver.run("changes", [user, list(collections)]),
        )

    async def _together(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        from cassandra.query import BatchStatement, BatchType

        batch = BatchStatement(BatchType.UNLOGGED)
        for name, values in statements:
            batch.add(self.driver.statements[name].bind(values))
        first, *_ = await self.driver.ask(batch)
        assert first[0], "the batch was refused"


@dataclass
class PageFloor:
    """The rows of a group page: all that it reads, or its aggregates alone; partitions by ``IN``, 100 at a time."""

    driver: Driver
    group_id: str
    activities: Sequence[str]
    learners: Sequence[str]

    async def aggregates(self) -> None:
        await asyncio.gather(
            *(
                self.driver.run("aggregates", [activity, some])
                for activity in self.activities
                for some in self._portions()
            )
        )

    async def everything(self) -> None:
        """The aggregates, what tells whether they have seen the last change, and who the members are."""
        by_learner = ("enrolments", "scopes", "learners")
        await asyncio.gather(
            self.driver.run("group", [self.group_id]),
            self.driver.run("members", [self.group_id]),
            self.aggregates(),
            *(self.driver.run(name, [some]) for name in by_learner for some in self._portions()),
            *(self.driver.run("changes", [some, a]) for a in self.activities for some in self._portions()),
        )

    def _portions(self) -> list[list[str]]:
        return [list(self.learners[i : i + MOST_KEYS]) for i in range(0, len(self.learners), MOST_KEYS)]


@asynccontextmanager
async def page_floor(
    cassandra: str, group_id: str, activities: Sequence[str], learners: Sequence[str]
) -> AsyncIterator[PageFloor]:
    texts = {
        "group": f"SELECT * FROM {LEARNER_GROUPS.name} WHERE groupid = ?",
        "members": f"SELECT * FROM {GROUP_MEMBERS.name} WHERE groupid = ?",
        "learners": f"SELECT * FROM {LEARNERS.name} WHERE userid IN ?",
        "aggregates": f"SELECT * FROM {AGGREGATES.name} "
        "WHERE activity_type = 'Course' AND activity_id = ? AND user_id IN ?",
        "enrolments": f"SELECT * FROM {ENROLMENTS.name} WHERE userid IN ?",
        "scopes": f"SELECT * FROM {LEARNER_SCOPES.name} WHERE userid IN ?",
        "changes": f"SELECT DISTINCT userid, scope, changed_at FROM {VIEWS.name} WHERE userid IN ? AND scope = ?",
    }
    async with _driver(cassandra, texts) as driver:
        yield PageFloor(driver, group_id, activities, learners)


@dataclass
class DruidFloor:
    """Native queries over a bare HTTP client. Answers are parsed."""

    client: httpx.AsyncClient
    broker: str

    async def ask(self, *bodies: Mapping[str, Any]) -> list[Any]:
        """Sends all queries at the same time."""
        return await asyncio.gather(*map(self._ask, bodies))

    async def _ask(self, body: Mapping[str, Any]) -> Any:
        context = {"timeout": 120_000, "lane": "tables", "resultAsArray": True}
        sent = orjson.dumps({**body, "context": context})
        response = await self.client.post(
            self.broker, content=sent, headers={"Content-Type": "application/json"}
        )
        response.raise_for_status()
        return orjson.loads(response.content)


@asynccontextmanager
async def druid_floor(druid: str) -> AsyncIterator[DruidFloor]:
    async with httpx.AsyncClient(timeout=150, trust_env=False) as client:
        yield DruidFloor(client, f"http://{urlsplit(druid).netloc}/druid/v2/")


@asynccontextmanager
async def real_floor(
    cassandra: str, kafka: str, prefix: str, row: dict[str, Any], ending: dict[str, Any]
) -> AsyncIterator[RealFloor]:
    """``row`` and ``ending`` name the columns that a start and an end write."""
    texts = _view_texts(row, ending) | {
        "view": f"SELECT * FROM {VIEWS.name} WHERE {_WHERE}",
        "statuses": f"SELECT * FROM {VIEWS.name} WHERE userid = ? AND scope = ?",
    }
    async with _driver(cassandra, texts) as driver, _producer(kafka) as producer:
        yield RealFloor(driver, producer, f"{prefix}.{TRIGGERS.name}", f"{prefix}.{ASSESSMENTS.name}")


@asynccontextmanager
async def viewer_floor(
    cassandra: str, kafka: str, prefix: str, row: dict[str, Any], ending: dict[str, Any]
) -> AsyncIterator[RealViewerFloor]:
    """The floor of the calls of bench/viewer.py, as in ``real_floor``."""
    *place, content = VIEWS.key
    texts = _view_texts(row, ending) | {
        "states": f"SELECT * FROM {VIEWS.name} "
        f"WHERE {' AND '.join(f'{name} = ?' for name in place)} AND {content} IN ?",
        "changes": f"SELECT DISTINCT userid, scope, changed_at FROM {VIEWS.name} WHERE userid = ? AND scope IN ?",
    }
    async with _driver(cassandra, texts) as driver, _producer(kafka) as producer:
        yield RealViewerFloor(driver, producer, f"{prefix}.{TRIGGERS.name}")


_WHERE = " AND ".join(f"{name} = ?" for name in VIEWS.key)


def _view_texts(row: dict[str, Any], ending: dict[str, Any]) -> dict[str, str]:
    return {
        "start": f"INSERT INTO {VIEWS.name} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))}) IF NOT EXISTS",
        "end": f"UPDATE {VIEWS.name} SET {', '.join(f'{n} = ?' for n in ending)} WHERE {_WHERE} IF status IN (0, 1)",
        "enrolments": f"SELECT * FROM {ENROLMENTS.name} WHERE userid = ? LIMIT 101",
        "aggregates": f"SELECT * FROM {AGGREGATES.name} "
        "WHERE activity_type = 'Course' AND activity_id IN ? AND user_id = ?",
    }


@asynccontextmanager
async def _producer(kafka: str) -> AsyncIterator[Any]:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def _driver(cassandra: str, texts: Mapping[str, str]) -> AsyncIterator[Driver]:
    from cassandra import ConsistencyLevel
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile

    parts = urlsplit(cassandra)
    profile = ExecutionProfile(
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
    )
    cluster = Cluster(
        [parts.hostname],
        port=parts.port or 9042,
        auth_provider=PlainTextAuthProvider(parts.username, parts.password),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
    session = await asyncio.to_thread(cluster.connect, parts.path.strip("/"))
    try:
        statements = {name: await asyncio.to_thread(session.prepare, text) for name, text in texts.items()}
        yield Driver(session, statements)
    finally:
        await asyncio.to_thread(cluster.shutdown)
