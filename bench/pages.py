"""What each page needs: ``python -m bench pages [embedded|real]``.

Each page is one request, to a gateway that has just been opened beside an emptied cache, in a process that has answered all
pages before; and then the same request again.
"""

import gzip
import re
import statistics
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from bench.client import KEY, Client
from bench.timing import timed_once
from druid_specs import DATA_SOURCES
from gateway.app import create_app
from gateway.gc_tuning import collect_rarely
from gateway.settings import Settings
from gateway.wiring import Cohort
from ingest.importers.sample import (
    FIRST_LEARNER,
    MENTOR,
    SAMPLE_COLLECTION,
    SAMPLE_CONTEXT,
    SAMPLE_GROUP,
    load_sample,
)
from rules.viewers import Role
from stores.cache_embedded import NOTICE
from tests.conftest import Instance, embedded_urls, instance_of, real_urls
from tests.graph.conftest import document

GUIDE = Path(__file__).parents[1] / "docs" / "guide" / "home-page.md"
TIMES, WARM_UP = 40, 10
COMPRESSION = 5
"""The level at which a gateway compresses answers."""

DASHBOARD = """
query Dashboard($course: String!, $from: Date!, $to: Date!) {
  totals: activityMetrics(query: {
    activityIds: [$course]
    metrics: [ENROLLED_COUNT, COMPLETED_COUNT, COMPLETION_PERCENTAGE, AVERAGE_PROGRESS]
  }) { ...table }
  byGender: activityMetrics(query: {
    activityIds: [$course], metrics: [ENROLLED_COUNT, AVERAGE_PROGRESS], dimensions: [GENDER]
  }) { ...table }
  byRegion: activityMetrics(query: {
    activityIds: [$course], metrics: [ENROLLED_COUNT, COMPLETED_COUNT], dimensions: [REGION]
  }) { ...table }
  courses: activityMetrics(query: {
    metrics: [ENROLLED_COUNT, COMPLETED_COUNT], dimensions: [COLLECTION], limit: 50
  }) { ...table }
  byWeek: activeLearners(query: { from: $from, to: $to, every: WEEK }) { columns { name kind } rows asOf complete }
  steps: activityFunnel(collectionId: $course) {
    enrolledCount
    completedCount
    steps { unitId name requiredCount startedCount completedCount startedShare completedShare }
    asOf
    complete
  }
}

fragment table on MetricTable { columns { name kind } rows source asOf complete }
"""


@dataclass(frozen=True)
class Page:
    """``user`` is who looks at it."""

    name: str
    user: str
    role: Role
    query: str
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Figure:
    """Statements by store, of the first request and of the same one again; CPU milliseconds of one of those that follow."""

    page: Page
    first: Counter[str]
    again: Counter[str]
    cpu: float
    answer: bytes


def pages(today: datetime) -> list[Page]:
    course, context = SAMPLE_COLLECTION, SAMPLE_CONTEXT
    days = {"from": f"{today - timedelta(days=90):%F}", "to": f"{today:%F}"}
    return [
        Page("learner's home", FIRST_LEARNER, Role.LEARNER, _home(), {}),
        Page(
            *("course page", FIRST_LEARNER, Role.LEARNER, document("course_page")),
            {"collection": course, "context": context},
        ),
        Page("group page", FIRST_LEARNER, Role.LEARNER, document("group_page"), {"group": SAMPLE_GROUP}),
        Page("mentor's batches", MENTOR, Role.MENTOR, document("mentor_page"), {}),
        Page("dashboard of six tiles", "rita", Role.REPORTER, DASHBOARD, {"course": course, **days}),
    ]


def _home() -> str:
    """The first document of the guide."""
    found = re.search(r"```graphql\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@asynccontextmanager
async def sample(engines: str, data: Path) -> AsyncIterator[Instance]:
    """An instance with the sample of today, with which the workers are done."""
    urls = real_urls() if engines == "real" else embedded_urls()
    async with instance_of(urls, data, groups=True) as instance:
        instance.sets_clock(datetime.now(UTC))
        await load_sample(instance.shared)
        await instance.drain(within=300)
        for source in DATA_SOURCES:
            await instance.arrived(source, within=300)
        yield instance


async def empty_cache(instance: Instance) -> None:
    url = instance.urls["cache"]
    if url == embedded_urls()["cache"]:
        url = f"unix://{(instance.data / NOTICE).read_text()}"
    async with Redis.from_url(url) as cache:
        async for key in cache.scan_iter(f"{instance.urls['prefix']}:*"):
            await cache.delete(key)


class Gateway:
    """One that was just opened: its memory is empty."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._cohort: Cohort = app.state.cohort

    @classmethod
    @asynccontextmanager
    async def opened(cls, instance: Instance) -> AsyncIterator["Gateway"]:
        settings = Settings(**instance.urls, data=instance.data, jwt_key=KEY, request_timeout=60)  # type: ignore[arg-type]
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            yield cls(app, settings)

    async def figure(self, page: Page) -> Figure:
        client = Client(self._app, self._settings, page.role)
        body = orjson.dumps({"query": page.query, "variables": page.variables})

        async def call() -> bytes:
            return await client.post(page.user, body)

        first, answer = await self._metered(call)
        if b'"errors"' in answer:
            raise RuntimeError(f"{page.name}: {answer[:1000]!r}")
        again, _ = await self._metered(call)
        taken = [await timed_once(call) for _ in range(WARM_UP + TIMES)]
        return Figure(page, first, again, statistics.median(cpu for _, cpu in taken[WARM_UP:]), answer)

    async def _metered(self, call: Callable[[], Awaitable[bytes]]) -> tuple[Counter[str], bytes]:
        """Counts what is sent behind the caller's back, too."""
        stores = self._cohort.stores
        meters = {
            "rows": stores.rows.meter,
            "groups": stores.groups.meter,
            "cache": stores.cache.meter,
            "search": stores.search.meter,
        }
        before = {name: meter.counts.total() for name, meter in meters.items()}
        answer = await call()
        await self._cohort.shared.background.settled()
        return Counter({name: meters[name].counts.total() - count for name, count in before.items()}), answer


async def main(engines: str = "embedded") -> None:
    collect_rarely()
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        instance = await stack.enter_async_context(sample(engines, data))
        wanted = pages(datetime.now(UTC))
        async with Gateway.opened(instance) as gateway:
            for page in wanted:
                await gateway.figure(page)
        figures = []
        for page in wanted:
            await empty_cache(instance)
            async with Gateway.opened(instance) as gateway:
                figures.append(await gateway.figure(page))
    columns = ("page", "requests", "statements", "again", "CPU, ms", "bytes", "gzip")
    table = Table(*columns, title=f"{engines} engines")
    for f in figures:
        packed = len(gzip.compress(f.answer, COMPRESSION))
        sizes = (f"{len(f.answer):,}", f"{packed:,}")
        table.add_row(f.page.name, "1", _told(f.first), _told(f.again), f"{f.cpu:.1f}", *sizes)
    Console(width=120).print(table)


def _told(statements: Counter[str]) -> str:
    parts = ", ".join(f"{count} {name}" for name, count in statements.items() if count)
    return f"{statements.total()}: {parts}" if parts else "0"
