"""The floor: the statements and sends a request needs, by the bare drivers, with nothing of Cohort around them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from stores.engines import Stores
from stores.events import Message
from stores.rows import In, Key
from stores.tables import AGGREGATES, ENROLMENTS, VIEWS
from stores.topics import TRIGGERS

TRIGGER = b'{"kind":"view","userId":"learner-000","collectionId":"course","contextId":"batch"}'
Partition = tuple[str, str]


class Floor(Protocol):
    """What each measured request can't do without."""

    async def start(self, row: dict[str, Any]) -> None: ...
    async def end(self, key: Key, values: dict[str, Any]) -> None: ...
    async def send(self, user: str) -> None: ...
    async def view(self, key: Key) -> None: ...
    async def enrolments(self, user: str, collections: Sequence[str]) -> None: ...
    async def statuses(self, partition: Partition) -> None: ...


class EmbeddedFloor:
    """SQLite and the log have no driver below ours that is asynchronous: the floor is the port itself."""

    def __init__(self, stores: Stores) -> None:
        self._rows, self._events = stores.rows, stores.events

    async def start(self, row: dict[str, Any]) -> None:
        await self._rows.insert_if_absent(VIEWS, row)

    async def end(self, key: Key, values: dict[str, Any]) -> None:
        await self._rows.update_if(VIEWS, key, values, [In("status", (0, 1))])

    async def send(self, user: str) -> None:
        await self._events.send(TRIGGERS.name, Message(user, TRIGGER))

    async def view(self, key: Key) -> None:
        await self._rows.get(VIEWS, key)

    async def enrolments(self, user: str, collections: Sequence[str]) -> None:
        await self._rows.partition(ENROLMENTS, (user,), limit=101)
        await self._rows.get_many(AGGREGATES, [("Course", c, user, "cb:batch") for c in collections])

    async def statuses(self, partition: Partition) -> None:
        await self._rows.partition(VIEWS, partition)


@dataclass
class RealFloor:
    """cassandra-driver and aiokafka as their documentation shows them."""

    session: Any
    producer: Any
    topic: str
    statements: dict[str, Any]

    async def _run(self, name: str, values: Sequence[Any]) -> list[Any]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Any]] = loop.create_future()
        answer = self.session.execute_async(self.statements[name], values)
        answer.add_callbacks(
            lambda rows: loop.call_soon_threadsafe(done.set_result, rows),
            lambda error: loop.call_soon_threadsafe(done.set_exception, error),
        )
        return await done

    async def start(self, row: dict[str, Any]) -> None:
        await self._run("start", list(row.values()))

    async def end(self, key: Key, values: dict[str, Any]) -> None:
        await self._run("end", [*values.values(), *key])

    async def send(self, user: str) -> None:
        await self.producer.send_and_wait(self.topic, TRIGGER, key=user.encode())

    async def view(self, key: Key) -> None:
        await self._run("view", key)

    async def enrolments(self, user: str, collections: Sequence[str]) -> None:
        await self._run("enrolments", [user])
        await self._run("aggregates", [list(collections), user])

    async def statuses(self, partition: Partition) -> None:
        await self._run("statuses", partition)


@asynccontextmanager
async def real_floor(
    cassandra: str, kafka: str, prefix: str, row: dict[str, Any], ending: dict[str, Any]
) -> AsyncIterator[RealFloor]:
    """``row`` and ``ending`` name the columns that a start and an end write."""
    from aiokafka import AIOKafkaProducer
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
    )
    session = await asyncio.to_thread(cluster.connect, parts.path.strip("/"))
    where = " AND ".join(f"{name} = ?" for name in VIEWS.key)
    texts = {
        "start": f"INSERT INTO {VIEWS.name} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))}) IF NOT EXISTS",
        "end": f"UPDATE {VIEWS.name} SET {', '.join(f'{n} = ?' for n in ending)} WHERE {where} IF status IN (0, 1)",
        "view": f"SELECT * FROM {VIEWS.name} WHERE {where}",
        "enrolments": f"SELECT * FROM {ENROLMENTS.name} WHERE userid = ? LIMIT 101",
        "aggregates": f"SELECT * FROM {AGGREGATES.name} "
        "WHERE activity_type = 'Course' AND activity_id IN ? AND user_id = ? AND context_id = 'cb:batch'",
        "statuses": f"SELECT * FROM {VIEWS.name} WHERE userid = ? AND scope = ?",
    }
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        statements = {name: await asyncio.to_thread(session.prepare, text) for name, text in texts.items()}
        yield RealFloor(session, producer, f"{prefix}.{TRIGGERS.name}", statements)
    finally:
        await producer.stop()
        await asyncio.to_thread(cluster.shutdown)
