"""What tests of every room share: engines to run on, callers, a small course, and workers."""

import asyncio
import atexit
import gc
import importlib
import logging
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import certifi
import httpx
import orjson
import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from druid_specs import ACTIVITY_DAY, ACTIVITY_STATE, DATA_SOURCES, DataSource
from gateway.gc_tuning import leave_out_nothing
from ingest.attempts.taker import AttemptTaker
from ingest.commands.contexts import NewContext, create_context
from ingest.learner_index.indexer import LearnerIndexer
from ingest.publishing.direct import publish_collection
from ingest.workers.member import Member
from ingest.workers.worker import Worker
from loaders import library, published_contents
from loaders.session import Session, Shared
from rules.active_days import ActiveDay
from rules.aggregates import AggregateKey
from rules.carry_rules import parse_rules
from rules.errors import StoreUnavailable
from rules.identifiers import ContextType
from rules.states import encode_state, vanished_state
from rules.totals import Total, cell_key, cell_state
from rules.tracking import Tracking, TrackingMode
from rules.viewers import Role, Viewer
from stores import duckdb_feed, duckdb_file, turns
from stores.blob_copies import MOST
from stores.blob_links import BlobLinks
from stores.cache_embedded import NOTICE, EmbeddedCache
from stores.cache_redis import RedisCache
from stores.engines import Stores, open_stores
from stores.events import Message
from stores.groups import Figures, Groups, Kind, Lane, Measure
from stores.private import private_folder
from stores.tables import ARCHIVES, ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, ERASURES, LEARNERS, TABLES
from stores.topics import (
    ASSESSMENTS,
    ATTEMPT_TAKER_GROUP,
    LEARNER_CHANGES,
    LEARNER_INDEX_GROUP,
    PROFILES,
    TOPICS,
    TRIGGERS,
    WORKER_GROUP,
)
from tests.cache_server import end_cache_server, share_cache_server

if TYPE_CHECKING:
    from cassandra.cluster import Cluster
    from cassandra.cluster import Session as CassandraDriver

CASSANDRA = os.environ.get("COHORT_STACK_CASSANDRA", "cassandra://cohort:cohort@127.0.0.1:9042")
KAFKA = os.environ.get("COHORT_STACK_KAFKA", "127.0.0.1:9092")
REDIS = os.environ.get("COHORT_STACK_REDIS", "redis://127.0.0.1:6379/0")
SEARCH = os.environ.get("COHORT_STACK_SEARCH", "opensearch://127.0.0.1:9200")
DRUID = os.environ.get("COHORT_STACK_DRUID", "druid://127.0.0.1:8082?coordinator=127.0.0.1:8081")
BLOBS = os.environ.get(
    "COHORT_STACK_BLOBS", "s3://cohort:cohort-secret@cohort?endpoint=http://127.0.0.1:7070&region=us-east-1"
)

T = TypeVar("T")

settings.register_profile("quick", max_examples=10, deadline=None)
settings.register_profile("thorough", max_examples=200, deadline=None)
settings.load_profile("thorough" if os.environ.get("CI") else "quick")
# How many examples a property is tried with: thorough in CI or by --hypothesis-profile. No test is a timed one: on a busy
# machine any example may take long.


def examples(of_a_hundred: int, quickly: int | None = None) -> int:
    """How many a property that costs more than others takes, where those take a hundred; the profile says how many. ``quickly``: how
    many unless properties are tried thoroughly, where each costs a part of a second."""
    if quickly is not None and not is_thorough():
        return quickly
    return max(1, of_a_hundred * settings().max_examples // 100)


def is_thorough() -> bool:
    return settings().max_examples >= 200


def some_of(cases: Sequence[T]) -> Sequence[T]:
    """All of them if properties are tried thoroughly, else some six and the last: for cases that cost much, each alone."""
    step = 1 if is_thorough() else max(1, len(cases) // 6)
    return [*cases[:-1:step], *cases[-1:]]


def stride() -> int:
    """From one step to the next of a test that interrupts each: to every one if properties are tried thoroughly, else to the third,
    as each takes a learner's history of its own."""
    return 1 if is_thorough() else 3


IN_MEMORY = Path("/dev/shm")
ON_DISK = Path("/var/tmp")
"""For the files of a real database that a test starts: it may want more of them than a file system in memory can do."""
ROOM = 4 << 30
"""Bytes that are free where files are kept in memory: several times what all tests have at a time."""


def pytest_configure(config: pytest.Config) -> None:
    if config.option.markexpr not in ("cluster", "drill"):  # their servers write a lot
        keep_files_in_memory()
    give_stores_time()
    read_authorities_once()


def keep_files_in_memory() -> None:
    """Where the machine has a file system for that: most tests begin with the files of an instance, and opening them, writing and
    removing them took a third of their time. No test is one of power cuts; a process that is killed loses none of them."""
    with suppress(OSError):  # there is none
        there = os.statvfs(IN_MEMORY)
        programs_run = not there.f_flag & os.ST_NOEXEC
        if programs_run and there.f_bavail * there.f_frsize >= ROOM and os.access(IN_MEMORY, os.W_OK):
            os.environ["TMPDIR"] = tempfile.tempdir = str(IN_MEMORY)


def read_authorities_once() -> None:
    """The certificates of all authorities take longer to read than most tests, and each client and application reads them."""
    made = ssl.create_default_context

    @cache
    def trusting(certificates: str | None) -> ssl.SSLContext:
        return made(cafile=certificates)

    def context(*given: Any, **more: Any) -> ssl.SSLContext:
        public = not given and not more.keys() - {"cafile"} and more.get("cafile") in (None, certifi.where())
        return trusting(more.get("cafile")) if public else made(*given, **more)

    ssl.create_default_context = context


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Of processes side by side, each imports another part of the tests first: in a new clone it then compiles that part, with its
    asserts rewritten, and finds the rest compiled by the others."""
    given = getattr(session.config, "workerinput", None)
    if given is None or not all(Path(argument).is_dir() for argument in session.config.args):
        return
    number, processes = int(given["workerid"].removeprefix("gw")), given["workercount"]
    root = session.config.rootpath
    files = sorted(root.glob("tests/**/test_*.py"))
    begin = number * len(files) // processes
    for file in files[begin:] + files[:begin]:
        with suppress(Exception):  # collecting it says what is wrong with it
            importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts))


def give_stores_time() -> None:
    """A machine that is slow, or stands still for seconds, changes nothing of what is tested: not how many statements there
    are, as it would where a turn of the loop ends within a batch of reads, or where what is kept is read again by then; nor
    whether the cache is used and group figures are read in time. Tests of these times set their own."""
    _set(turns, "AT_ONCE", 60.0)
    _set(library, "FRESH_FOR", 3600.0)
    _set(published_contents, "FRESH_FOR", 3600.0)
    for module in (duckdb_file, duckdb_feed):
        _set(module, "PATIENCE", 60.0)
    for engine in (EmbeddedCache, RedisCache):
        give_time(engine)


_as_served: list[tuple[Any, str, Any]] = []
"""What was set otherwise for all tests, with what a process that serves has."""


def _set(owner: Any, name: str, value: Any) -> None:
    _as_served.append((owner, name, getattr(owner, name)))
    setattr(owner, name, value)


def times_as_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test of what callers wait for."""
    for owner, name, value in _as_served:
        monkeypatch.setattr(owner, name, value)


def give_time(engine: Any) -> None:
    """A call of it may take a minute, unless a test says how long. Without the real servers, the cache alone is asked over a
    socket."""
    _set(engine, "open", partial(engine.open, timeout=60.0))


def give_servers_time() -> None:
    """As give_stores_time says, of the real servers: some tests share them, and two cores."""
    from stores import cassandra_session
    from stores.blobs_cloud import CloudBlobs
    from stores.events_kafka import KafkaEvents
    from stores.groups_druid import DruidGroups
    from stores.learner_search_opensearch import OpenSearchLearners
    from stores.search_opensearch import OpenSearch

    for engine in (CloudBlobs, KafkaEvents, DruidGroups, OpenSearchLearners, OpenSearch):
        give_time(engine)
    _set(cassandra_session, "TIMEOUT", 60.0)
    _set(cassandra_session, "CONNECTED_WITHIN", 30.0)
    _set(cassandra_session, "SILENCE", 30.0)


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The clock of every test; no rule reads another one."""

READS = ("get", "get_many", "partition", "partitions", "tuples", "statics", "static_values")
"""The reads of the rows port by key."""
LEAF = "application/pdf"
COURSE = {
    "identifier": "course",
    "name": "Course",
    "children": [
        {
            "identifier": "unit-1",
            "name": "Unit 1",
            "children": [
                {"identifier": "a", "name": "A", "mimeType": LEAF},
                {"identifier": "b", "name": "B", "mimeType": LEAF},
            ],
        },
        {
            "identifier": "unit-2",
            "name": "Unit 2",
            "children": [
                {"identifier": "b", "name": "B", "mimeType": LEAF},
                {"identifier": "c", "name": "C", "mimeType": LEAF},
                {"identifier": "d", "name": "D", "mimeType": LEAF, "relationalMetadata": {"optional": True}},
            ],
        },
    ],
}
"""Two units that share the leaf b; d is optional. Required: a, b, c; unit-1: a, b; unit-2: b, c."""


class Instance:
    """One Cohort on engines of its own. ``urls`` opens the same engines again, in another process too."""

    def __init__(self, urls: dict[str, str], data: Path) -> None:
        self.urls = urls
        self.data = data
        self.has_course = False
        self.shared: Shared

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Shared]:
        async with open_stores(
            data=self.data, links=BlobLinks(["k" * 32]), copies=MOST, **self.urls
        ) as stores:
            shared = Shared.of(stores, lambda: NOW)
            yield shared
            await shared.background.settled()

    @property
    def stores(self) -> Stores:
        return self.shared.stores

    def session(self, user: str | None = None, *roles: Role) -> Session:
        """Of this user, or of a service."""
        viewer = Viewer(user, frozenset(roles or {Role.LEARNER})) if user else _SERVICE
        return Session(viewer, self.shared)

    async def publish(self, document: object = COURSE) -> None:
        await publish_collection(self.session(), document)

    async def publish_course(self) -> None:
        """COURSE, with one batch that is always open; nothing where the fixture began with it."""
        if not self.has_course:
            await self.publish()
            await self.batch()
            self.has_course = True

    async def batch(
        self,
        context_id: str = "batch",
        collection: str = "course",
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> None:
        new = NewContext(
            ContextType.BATCH,
            f"Batch {context_id}",
            (collection,),
            context_id,
            start_date=start_date,
            end_date=end_date,
        )
        await create_context(self.session(), new)

    def track(self, mode: TrackingMode, rules: str | None = None) -> None:
        """From here on, as an instance that is set so."""
        self.shared = replace(self.shared, tracking=Tracking(mode, parse_rules(rules)))

    def sets_clock(self, at: datetime) -> None:
        self.shared = replace(self.shared, now=lambda: at)

    async def lag(self) -> int:
        return sum((await self.stores.events.lag(WORKER_GROUP, [TRIGGERS.name, PROFILES.name])).values())

    async def drain(self, *workers: Worker, within: float = 60) -> Worker:
        """Takes the submitted attempts, and then runs these workers, or one, until nothing is left to do."""
        if await self.submitted():
            await self.take_attempts(within=within)
        running = workers or (Worker(self.shared, wait=0.005),)
        await _run_until_idle(running, self.lag, within)
        return running[0]

    async def index_learners(self, *indexers: LearnerIndexer, within: float = 60) -> LearnerIndexer:
        """Runs these learner indexers, or one, until the index has every profile that the workers have done with."""
        running = indexers or (LearnerIndexer(self.shared, wait=0.005),)
        await _run_until_idle(running, self.unindexed, within)
        return running[0]

    async def unindexed(self) -> int:
        """How many changes of profiles no indexer has taken."""
        return sum((await self.stores.events.lag(LEARNER_INDEX_GROUP, [LEARNER_CHANGES.name])).values())

    async def submitted(self) -> int:
        """How many submitted attempts no taker has taken."""
        lag = await self.stores.events.lag(ATTEMPT_TAKER_GROUP, [ASSESSMENTS.name])
        return lag[ASSESSMENTS.name]

    async def take_attempts(self, *takers: AttemptTaker, within: float = 60) -> AttemptTaker:
        """Runs these attempt takers, or one, until every submitted attempt is taken."""
        running = takers or (AttemptTaker(self.shared, wait=0.005),)
        await _run_until_idle(running, self.submitted, within)
        return running[0]

    async def arrived(
        self, source: DataSource = ACTIVITY_STATE, groups: Groups | None = None, within: float = 150
    ) -> None:
        """Returns once the groups store, or this one, has what was sent to it up to now: so it has keys that came after
        it, some in each partition. Druid's first task takes most of a minute to begin."""
        groups = groups or self.stores.groups
        probe = f"probe-{uuid4().hex}"
        await self.stores.events.send(source.topic, *(_probe(source, probe, place) for place in range(64)))
        query = Figures(source, (), (Measure("n", Kind.COUNT),), ((source.placed_by, (probe,)),))
        async with asyncio.timeout(within):
            while True:
                with suppress(StoreUnavailable):  # as from a broker that was restarted
                    if (await groups.query(query, Lane.TABLES)).rows[0][0] == 64:
                        return
                await asyncio.sleep(0.5 if self.urls["groups"] == DRUID else 0.02)


async def _run_until_idle(
    running: Sequence[Member], lag: Callable[[], Awaitable[int]], within: float
) -> None:
    """Runs members of a group until it has nothing left to do."""
    tasks = [asyncio.create_task(member.run()) for member in running]
    try:
        async with asyncio.timeout(within):
            while await lag():
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.005)
    finally:
        for member in running:
            member.stop()
        await asyncio.gather(*tasks)


def _probe(source: DataSource, activity_id: str, place: int) -> Message:
    """Of nobody, in nothing that is looked at."""
    if source is ACTIVITY_STATE:
        state = vanished_state(AggregateKey(activity_id, activity_id, "cb:probe", str(place)), 1)
        return Message(state.key, encode_state(state))
    if source is ACTIVITY_DAY:
        day = ActiveDay(AggregateKey(activity_id, activity_id, "cb:probe", str(place)), 1, 1, is_active=False)
        return Message(day.record_key, day.encode())
    total, cell = Total(activity_id, activity_id, "cb:probe", 1, NOW), ("probe", str(place))
    return Message(cell_key(total, cell), orjson.dumps(cell_state(total, cell, {})))


_SERVICE = Viewer("service", frozenset({Role.SERVICE}))


def embedded_urls() -> dict[str, str]:
    return {
        "rows": "sqlite:///rows.db",
        "events": "embedded:",
        "cache": "embedded:",
        "groups": "duckdb:///groups.duckdb",
        "blobs": "file:///blobs",
        "search": "fts5:///search.db",
        "prefix": "test",
    }


def real_urls() -> dict[str, str]:
    run = uuid4().hex[:10]
    return {
        "rows": _empty_keyspaces.pop() if _empty_keyspaces else f"{CASSANDRA}/test_{run}",
        "events": f"kafka://{KAFKA}",
        "cache": REDIS,
        "groups": DRUID,
        "blobs": BLOBS,
        "search": SEARCH,
        "prefix": f"test-{run}",
    }


@asynccontextmanager
async def instance_of(
    urls: dict[str, str],
    data: Path,
    *,
    groups: bool = False,
    course: bool = False,
    copied: bool = True,
    like: Path | None = None,
) -> AsyncIterator[Instance]:
    """With its tables and topics; on the real servers the tables are emptied again and the topics dropped.

    Without ``groups`` the groups store is the embedded one: each data source takes a task of Druid's, and those are few.
    With ``course``, COURSE is published and has one batch that is always open. ``copied`` is for what does not depend on how an
    embedded instance begins: it gets a copy of the files of one, which takes a tenth of making them, and joins a cache server
    that runs. ``like``: the folder of a closed one, whose files are copied then (``filled_once``).
    """
    if not groups and urls["groups"] == DRUID:
        urls = urls | {"groups": embedded_urls()["groups"]}
    instance = Instance(urls, data)
    async with AsyncExitStack() as stack:
        if urls["rows"].startswith("cassandra:"):
            stack.push_async_callback(empty_keyspace, urls["rows"])
        if urls["events"] == f"kafka://{KAFKA}":
            stack.push_async_callback(drop_topics, urls["prefix"])
        if urls["groups"] == DRUID:
            stack.push_async_callback(drop_data_sources, urls["prefix"])
        if urls["search"] == SEARCH:
            stack.push_async_callback(drop_search_index, urls["prefix"])
        made = copied and await copy_files(urls, data, course=course, like=like)
        instance.shared = await stack.enter_async_context(instance.opened())
        if not made:
            await instance.stores.rows.init(TABLES)
            await instance.stores.events.init(TOPICS)
            await instance.stores.search.init()
            await instance.stores.learner_search.init()
            if course:
                await instance.publish_course()
        if groups:
            await instance.stores.groups.init(DATA_SOURCES)
        instance.has_course = course
        yield instance


_templates: dict[bool, TemporaryDirectory[str]] = {}
"""Of an instance with the course, and of an empty one."""
FILES = {"rows": "rows.db", "search": "search.db", "events": "events.db"}
COPIED = (*FILES.values(), "search-learners.db")


async def copy_files(urls: dict[str, str], data: Path, *, course: bool, like: Path | None = None) -> bool:
    """Prepares a folder in which there is no instance yet. True where its tables, and the course, are there by that."""
    embedded = embedded_urls()
    private_folder(data)
    if urls["cache"] == embedded["cache"] and not (data / NOTICE).exists():
        share_cache_server(data)
    if like is not None:
        shutil.copytree(like, data, ignore=shutil.ignore_patterns(NOTICE), dirs_exist_ok=True)
        return True
    # The prefix is in the names of topics.
    if any(urls[kind] != embedded[kind] for kind in ("prefix", *FILES)):
        return False
    if any((data / name).exists() for name in COPIED):
        return False
    if course not in _templates:
        folder = TemporaryDirectory()
        async with instance_of(embedded, Path(folder.name), course=course, copied=False):
            pass
        _templates[course] = folder
    for name in COPIED:
        shutil.copy(Path(_templates[course].name, name), data)
    return True


Filling = Callable[[Instance], Awaitable[object]]


@asynccontextmanager
async def filled_once(fill: Filling, data: Path, *, course: bool = False) -> AsyncIterator[Instance]:
    """An instance on the embedded engines after ``fill``, which runs once in a process of tests; its clock is where that left it."""
    if fill not in _filled:
        folder = TemporaryDirectory()
        async with instance_of(embedded_urls(), Path(folder.name), course=course) as instance:
            await fill(instance)
            _filled[fill] = folder, instance.shared.now(), instance.has_course
    kept, at, has_course = _filled[fill]
    async with instance_of(embedded_urls(), data, course=has_course, like=Path(kept.name)) as instance:
        instance.sets_clock(at)
        yield instance


_filled: dict[Filling, tuple[TemporaryDirectory[str], datetime, bool]] = {}


async def drop_topics(prefix: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=KAFKA)
    await admin.start()
    try:
        await admin.delete_topics([f"{prefix}.{topic.name}" for topic in TOPICS])
    finally:
        await admin.close()


async def drop_search_index(prefix: str) -> None:
    async with httpx.AsyncClient(base_url=SEARCH.replace("opensearch:", "http:"), timeout=60) as server:
        (await server.delete(f"/{prefix}.search-*,{prefix}.learners-*")).raise_for_status()


async def drop_data_sources(prefix: str) -> None:
    """Their supervisors and tasks, then what is stored, to which a task that ends may still add, and how it is
    compacted."""
    (coordinator,) = parse_qs(urlsplit(DRUID).query)["coordinator"]
    async with httpx.AsyncClient(base_url=f"http://{coordinator}/druid", timeout=60) as druid:

        async def ours(path: str, of: str = "") -> list[str]:
            found = (await druid.get(path)).raise_for_status().json()
            return [name for each in found if (name := each[of] if of else each).startswith(prefix)]

        supervised = await ours("/indexer/v1/supervisor")
        for name in supervised:
            await druid.post(f"/indexer/v1/supervisor/{name}/terminate")
            await druid.delete(f"/coordinator/v1/config/compaction/{name}")
        # A task never ends whose topic went before it.
        async with asyncio.timeout(120):
            while running := await ours("/indexer/v1/tasks?state=running", "dataSource"):
                for name in {*running}:
                    await druid.post(f"/indexer/v1/datasources/{name}/shutdownAllTasks")
                await asyncio.sleep(0.5)
                await shut_down_at_workers(druid, prefix)
        for name in supervised:
            await druid.delete(f"/coordinator/v1/datasources/{name}")


async def shut_down_at_workers(druid: httpx.AsyncClient, prefix: str) -> None:
    """The overlord forgets to tell the worker about tasks whose supervisor it has just ended; they would run on, each in
    one of few places."""
    for task in (await druid.get("/indexer/v1/tasks?state=running")).raise_for_status().json():
        place = task.get("location") or {}
        if task["dataSource"].startswith(prefix) and place.get("host"):
            worker = f"http://{place['host']}:{place['port']}/druid/worker/v1"
            await druid.post(f"{worker}/task/{task['id']}/shutdown")


_empty_keyspaces: list[str] = []
"""With all tables: to make and to drop twenty of them takes longer than most tests."""


async def empty_keyspace(url: str) -> None:
    """For the next test."""
    keyspace = urlsplit(url).path.strip("/")

    def empty() -> None:
        session = operator(url.removesuffix(f"/{keyspace}"))
        query = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s"
        there = {row.table_name for row in session.execute(query, [keyspace])}
        names = [f"{keyspace}.{table.name}" for table in TABLES if table.name in there]
        # To look costs a tenth of truncating what is empty.
        looks = [session.execute_async(f"SELECT * FROM {name} LIMIT 1") for name in names]
        filled = {name for name, look in zip(names, looks, strict=True) if look.result().one() is not None}
        # An empty one may have tombstones of the rows' own times, which would hide the next test's.
        timed = {f"{keyspace}.{table.name}" for table in (ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, LEARNERS)}
        if filled & {*timed, *(f"{keyspace}.{table.name}" for table in (ARCHIVES, ERASURES))}:
            filled |= timed
        # On a busy machine it takes longer than the ten seconds that a statement has.
        for truncated in [session.execute_async(f"TRUNCATE {name}", timeout=60) for name in filled]:
            truncated.result()

    await asyncio.to_thread(empty)
    _empty_keyspaces.append(url)


@cache
def operator(server: str) -> "CassandraDriver":
    """Of one connection for all tests: to connect takes longer than to empty a keyspace."""
    return cluster(server).connect()


def pytest_sessionfinish() -> None:
    end_cache_server()
    while _empty_keyspaces:
        url = _empty_keyspaces.pop()
        keyspace = urlsplit(url).path.strip("/")
        operator(url.removesuffix(f"/{keyspace}")).execute(f"DROP KEYSPACE IF EXISTS {keyspace}", timeout=60)
    if operator.cache_info().currsize:
        operator(CASSANDRA).cluster.shutdown()


def cluster(url: str) -> "Cluster":
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import Cluster

    parts = urlsplit(url)
    auth = PlainTextAuthProvider(parts.username, parts.password)
    patience = {"connect_timeout": 30, "control_connection_timeout": 30}
    return Cluster([parts.hostname], port=parts.port or 9042, auth_provider=auth, **patience)


@atexit.register
def end_quietly() -> None:
    """What pytest and Hypothesis hold (as Hypothesis's callback that times the search for garbage) outlives the interpreter,
    and DuckDB's binding lists in pages, after the report's last line, what of its own is among it. A process of Cohort ends
    with nothing left, which tests/gateway/test_logs.py looks at."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Side by side (``-n``), a file's tests run in one process, so that what they share is made once. All that have data
    sources in Druid, and say so in their file's name or their own parameters, run in one: each takes several of the few places for tasks. Files that
    take long begin first, so that no process is left with one at the end."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return "druid" if "druid" in file or "druid" in test.partition("[")[2] else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "druid" not in item.nodeid and item.get_closest_marker("long") is None)


gc.disable()  # until all is imported and collected


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is there by now stays: the search for garbage, which takes a tenth of the time, need not look at it, not even once, as
    little of it is garbage. Nor need it look as often as in a process that is to run for long."""
    if any(item.get_closest_marker("stack") for item in session.items):
        give_servers_time()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


@pytest.fixture(autouse=True)
def the_collector_of_tests() -> Iterator[None]:
    """A test that runs what a process of Cohort runs leaves the search for garbage to the next one as it was."""
    before = gc.get_threshold()
    yield
    if gc.get_threshold() != before:
        gc.collect()  # before what was left out comes back: a look at all that pytest has imported takes half a second
        leave_out_nothing()
        gc.freeze()
        gc.set_threshold(*before)


@pytest.fixture(autouse=True)
def the_log_of_tests() -> Iterator[None]:
    """A test that sets up logging as a process of Cohort does leaves the next one the levels that pytest has. Only where it changed
    them: to set one makes all loggers forget whether they are on."""
    root = logging.getLogger()
    level = root.level
    yield
    if logging.root.manager.disable != logging.NOTSET:
        logging.disable(logging.NOTSET)
    if root.level != level:
        root.setLevel(level)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


ENGINES = ["embedded", pytest.param("real", marks=pytest.mark.stack)]


@pytest.fixture(params=ENGINES)
async def cohort(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Instance]:
    """An empty instance, on the embedded engines and on the real servers."""
    urls = embedded_urls() if request.param == "embedded" else real_urls()
    async with instance_of(urls, tmp_path, course="course" in request.fixturenames) as instance:
        yield instance


@pytest.fixture
async def embedded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Instance]:
    """An empty instance on the embedded engines, for what does not depend on them."""
    async with instance_of(embedded_urls(), tmp_path, course="published" in request.fixturenames) as instance:
        yield instance


@pytest.fixture
async def course(cohort: Instance) -> Instance:
    """With COURSE published and one batch that is always open."""
    await cohort.publish_course()
    return cohort


@pytest.fixture
async def published(embedded: Instance) -> Instance:
    """As ``course``, for what does not depend on the engines."""
    await embedded.publish_course()
    return embedded
