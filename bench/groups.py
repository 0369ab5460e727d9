"""Group queries on the real servers: ``python -m bench groups``. 1,000,000 states in 200 activities, and their totals.

What Cohort takes is measured beside the same work by a bare client, in turns: the queries that it sends to Druid, the
rows that it reads from Cassandra. The data sources are dropped again at the end.
"""

import asyncio
import math
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
from rich.console import Console
from rich.table import Table

from bench.client import KEY, Client
from bench.floor import DruidFloor, druid_floor, page_floor
from bench.population import (
    Population,
    activity_id,
    course,
    make_group,
    page_writes,
    publish_courses,
    send_all,
    write_all,
)
from bench.timing import in_turns, timed_once
from druid_specs import ACTIVITY_STATE, ACTIVITY_TOTALS, DATA_SOURCES, DataSource
from gateway.app import create_app
from gateway.gc_tuning import collect_rarely
from gateway.settings import Settings
from gateway.wiring import Cohort
from ingest.workers.worker import Worker
from loaders import totals
from rules.plans import write_token
from rules.viewers import Role
from stores.druid_http import Address, DruidHttp
from stores.druid_queries import compiled
from stores.druid_supervision import SUPERVISOR, Supervision, druid_name
from stores.groups import Figures, Kind, Lane, Measure, Query, Rows
from stores.meter import Meter
from stores.rows import Write
from stores.tables import AGGREGATIONS
from tests.conftest import DRUID, KAFKA, Instance, instance_of, real_urls
from tests.graph.conftest import document

MEMBERS, ACTIVITIES = 150, 20
FEW_MEMBERS = 25
"""In as many activities: as many keys as are read from rows without being asked to."""
GROUP, SMALL_GROUP = "group", "small-group"
PATIENCE = 900.0
TIMES, WARM_UP = 15, 4
AT_ONCE = 200
VIEWS_ENDED, BETWEEN, LOOKING = 40, 0.5, 0.1
"""Views that are ended one by one, and seconds between two of them and between two looks at Druid."""

ACTIVITY = """
query Activity($activity: String!, $dimensions: [ActivityDimension!]!) {
  activityMetrics(query: {
    activityIds: [$activity]
    metrics: [ENROLLED_COUNT, COMPLETED_COUNT, COMPLETION_PERCENTAGE, AVERAGE_PROGRESS]
    dimensions: $dimensions
    limit: 1000
  }) { columns { name kind } rows source asOf complete }
}
"""
COURSES = """
query Courses {
  activityMetrics(query: { metrics: [ENROLLED_COUNT, COMPLETED_COUNT], dimensions: [COLLECTION], limit: 50 }) {
    columns { name kind } rows source asOf complete
  }
}
"""
FRESH_PAGE = (
    document("group_page")
    .replace("activities {", "activities(fresh: $fresh) {", 1)
    .replace("$first: Int = 150", "$first: Int = 150, $fresh: String")
)


@dataclass
class Figure:
    """Medians in milliseconds. ``reach``: the ratio that is aimed at."""

    what: str
    floor: float | None
    cohort: float
    cpu: float
    reach: str = "≤ 1.2"

    @property
    def ratio(self) -> str:
        return "" if self.floor is None else f"{self.cohort / self.floor:.2f}"


@dataclass
class Filled:
    """An instance with everything in it."""

    cohort: Instance
    learners: Sequence[str]
    notes: list[str] = field(default_factory=list)


@asynccontextmanager
async def filled(*, compacted: bool = True) -> AsyncIterator[Filled]:
    """States and totals are in published segments, as all but those of the last hour are in life; ``compacted``: and
    ordered by activity, as Druid does with them sooner or later."""
    urls = real_urls()
    urls["prefix"] = f"bench-{uuid4().hex[:10]}"
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cohort = await stack.enter_async_context(instance_of(urls, data, groups=True))
        notes = []
        began = time.perf_counter()
        states, cells = await asyncio.to_thread(send_all, KAFKA, urls["prefix"])
        notes.append(f"{states:,} states and {cells:,} cells sent in {time.perf_counter() - began:.0f} s")
        await _visible(cohort, ACTIVITY_STATE, states)
        await _visible(cohort, ACTIVITY_TOTALS, cells)
        notes.append(f"all visible after {time.perf_counter() - began:.0f} s")
        learners = await _page(cohort)
        began = time.perf_counter()
        http = DruidHttp(Address.parse(DRUID, urls["events"]), 60, 4)
        stack.push_async_callback(http.close)
        await _handed_off(http, urls["prefix"])
        if compacted:
            async for _ in Supervision(http, urls["prefix"]).compact(DATA_SOURCES):
                pass
        notes.append(f"{_kind(compacted)} in {time.perf_counter() - began:.0f} s")
        yield Filled(cohort, learners, notes)


async def _visible(cohort: Instance, source: DataSource, expected: int) -> None:
    """Returns once so many rows can be queried. Rows are counted, as counting keys would take seconds each time."""
    name = druid_name(cohort.urls["prefix"], source)
    body = {
        "queryType": "timeseries",
        "dataSource": name,
        "granularity": "all",
        "intervals": ["2020-01-01/2020-02-01"],
        "aggregations": [{"type": "count", "name": "n"}],
    }
    async with druid_floor(DRUID) as druid, asyncio.timeout(PATIENCE):
        while True:
            try:
                (found,) = await druid.ask(body)
                if found and found[0]["result"]["n"] >= expected:
                    return
            except httpx.HTTPError:
                pass  # a task that just begins
            await asyncio.sleep(1)


async def _handed_off(http: DruidHttp, prefix: str) -> None:
    """Returns when everything is in published segments that a historical has."""
    statement = """SELECT COUNT(*), SUM(is_realtime), SUM(CASE WHEN is_available = 0 THEN 1 ELSE 0 END)
        FROM sys.segments WHERE datasource = ? AND is_active = 1"""
    for source in DATA_SOURCES:
        path = f"{SUPERVISOR}/{druid_name(prefix, source)}/taskGroups/handoff"
        await http.manage("POST", path, {"taskGroupIds": [0]})
    async with asyncio.timeout(PATIENCE):
        for source in DATA_SOURCES:
            while True:
                ((segments, realtime, unavailable),) = await http.sql(statement, druid_name(prefix, source))
                if segments and not realtime and not unavailable:
                    break
                await asyncio.sleep(2)


async def _page(cohort: Instance) -> list[str]:
    """Two groups, what they do, and how their members stand in it; the members of the larger one."""
    tree_version = await publish_courses(cohort, ACTIVITIES)
    members = Population(0).learners()[:MEMBERS]
    # What an aggregation leaves: the totals that were sent are its.
    aggregated = Write(AGGREGATIONS, (totals.ACTIVITIES,), {"as_of": datetime.now(UTC)})
    await write_all(cohort, [*page_writes(members, ACTIVITIES, tree_version), aggregated])
    for group_id, count in ((GROUP, MEMBERS), (SMALL_GROUP, FEW_MEMBERS)):
        await make_group(cohort, group_id, members[:count], ACTIVITIES)
    return [learner.user_id for learner in members]


@dataclass
class Gateway:
    """A gateway of the instance; ``asked``: the queries that went to its groups store."""

    mentor: Client
    learner: Client
    cohort: Cohort
    asked: list[Query]

    @property
    def meter(self) -> Meter:
        return self.cohort.stores.groups.meter

    def request(self, query: str, **variables: Any) -> Callable[[], Awaitable[bytes]]:
        body = orjson.dumps({"query": query, "variables": variables})
        return lambda: self.mentor.post("mentor", body)


@asynccontextmanager
async def gateway(urls: dict[str, str], data: Path, *, ttl: float) -> AsyncIterator[Gateway]:
    settings = Settings(**urls, data=data, jwt_key=KEY, answers_ttl=ttl, request_timeout=60)  # type: ignore[arg-type]
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        cohort: Cohort = app.state.cohort
        groups, asked = cohort.stores.groups, []
        answer = groups.query

        async def query(query: Query, lane: Lane) -> Any:
            asked.append(query)
            return await answer(query, lane)

        setattr(groups, "query", query)  # noqa: B010 - a method of an object of a class
        yield Gateway(Client(app, settings, Role.MENTOR), Client(app, settings), cohort, asked)


async def _checked(call: Callable[[], Awaitable[bytes]]) -> dict[str, Any]:
    answer: dict[str, Any] = orjson.loads(await call())
    if answer.get("errors"):
        raise RuntimeError(str(answer["errors"])[:1000])
    return answer


def _requests(gateway: Gateway) -> dict[str, Callable[[], Awaitable[bytes]]]:
    one = activity_id(7)
    return {
        "activity of 5,000 by district": gateway.request(ACTIVITY, activity=one, dimensions=["DISTRICT"]),
        "activity by gender and district": gateway.request(
            ACTIVITY, activity=one, dimensions=["GENDER", "DISTRICT"]
        ),
        "dashboard of three tiles": gateway.request(document("dashboard"), activity=one),
        "totals over 200 activities": gateway.request(COURSES),
        f"group page of {MEMBERS} × {ACTIVITIES}": gateway.request(document("group_page"), group=GROUP),
    }


async def uncached(gateway: Gateway, druid: DruidFloor, prefix: str) -> list[Figure]:
    """Each document with nothing kept, beside the queries that it sent."""
    figures = []
    for what, call in _requests(gateway).items():
        gateway.asked.clear()
        await _checked(call)
        bodies = [compiled(query, druid_name(prefix, query.source)).body for query in gateway.asked]
        taken = await in_turns(lambda b=bodies: druid.ask(*b), call, TIMES, WARM_UP)  # type: ignore[misc]
        figures.append(
            Figure(f"{what}: {len(bodies)} Druid quer{'y' if len(bodies) == 1 else 'ies'}", *taken)
        )
    return figures


async def from_rows(gateway: Gateway, filled: Filled) -> list[Figure]:
    """Group pages that are read from Cassandra."""
    figures = []
    activities = [activity_id(number) for number in range(ACTIVITIES)]
    small = gateway.request(document("group_page"), group=SMALL_GROUP)

    async def fresh() -> bytes:
        token = write_token(datetime.now(UTC))
        return await gateway.request(FRESH_PAGE, group=GROUP, fresh=token)()

    for group, count, call in ((GROUP, MEMBERS, fresh), (SMALL_GROUP, FEW_MEMBERS, small)):
        answer = await _checked(call)
        assert [plan["source"] for plan in answer["extensions"]["plans"]] == ["rows"]
        learners = filled.learners[:count]
        async with page_floor(filled.cohort.urls["rows"], group, activities, learners) as floor:
            what = f"group page of {count} × {ACTIVITIES} from rows"
            if group == GROUP:
                taken = await in_turns(floor.everything, call, TIMES, WARM_UP)
                figures.append(Figure(f"{what}, with what no worker has seen", *taken, reach="≤ 2"))
            taken = await in_turns(floor.aggregates, call, TIMES, WARM_UP)
            figures.append(Figure(f"{what}, beside the aggregates alone", *taken, reach="≤ 2"))
    return figures


async def cached(gateway: Gateway) -> list[Figure]:
    """The same documents once their answers are kept."""
    figures = []
    for what, call in _requests(gateway).items():
        answer = await _checked(call)
        answer = await _checked(call)
        assert {plan["origin"] for plan in answer["extensions"]["plans"]} == {"cached"}
        taken = [await timed_once(call) for _ in range(10 * TIMES)][WARM_UP:]
        wall, cpu = (statistics.median(each) for each in zip(*taken, strict=True))
        figures.append(Figure(f"{what}, cached", None, wall, cpu, reach="≤ 2 ms"))
    return figures


async def at_once(gateways: Sequence[Gateway]) -> str:
    """Identical requests that reach several processes at the same time."""
    before = sum(gateway.meter.counts[ACTIVITY_STATE.name] for gateway in gateways)
    calls = [
        gateway.request(ACTIVITY, activity=activity_id(11), dimensions=["REGION"])
        for gateway in gateways
        for _ in range(AT_ONCE // len(gateways))
    ]
    began = time.perf_counter()
    answers = await asyncio.gather(*(_checked(call) for call in calls))
    took = time.perf_counter() - began
    assert len({orjson.dumps(answer["data"]["activityMetrics"]["rows"]) for answer in answers}) == 1
    sent = sum(gateway.meter.counts[ACTIVITY_STATE.name] for gateway in gateways) - before
    return (
        f"{len(calls)} requests at once to {len(gateways)} gateways: {sent} Druid query, {took * 1000:.0f} ms"
    )


async def from_states(gateway: Gateway, druid: DruidFloor, prefix: str) -> str:
    """What the totals over all activities cost where there are no cells."""
    gateway.asked.clear()
    await _checked(gateway.request(COURSES))
    (query,) = gateway.asked
    assert isinstance(query, Figures)
    counts = Figures(ACTIVITY_STATE, query.dimensions, (Measure("enrolled", Kind.COUNT),), limit=query.limit)
    body = compiled(counts, druid_name(prefix, ACTIVITY_STATE)).body
    took = [(await timed_once(lambda: druid.ask(body)))[0] for _ in range(3)]
    return f"the same totals counted from the states: {statistics.median(took):,.0f} ms of Druid's time"


async def visible(cohort: Instance, learner: Client) -> str:
    """A line that says how long it takes from a call that ends a view until a query finds it, while a worker runs."""
    await cohort.publish(course("seen", 20))
    await cohort.batch("seen-batch", "seen")
    place = {"contentId": "seen-leaf-3", "collectionId": "seen", "contextId": "seen-batch"}
    record, groups = document("record_view"), cohort.stores.groups
    query = Rows(ACTIVITY_STATE, ("user_id", "completed_count"), (("activity_id", ("seen",)),))
    ended: dict[str, float] = {}
    latencies: dict[str, float] = {}
    at_work = Worker(cohort.shared)
    running = asyncio.create_task(at_work.run())

    async def end(user: str) -> None:
        for operation in ("Start", "End"):
            await learner.ask(user, record, operation, **place)
        ended[user] = time.perf_counter()

    async def look() -> None:
        async with asyncio.timeout(120):
            while len(latencies) < VIEWS_ENDED + 1:
                answer, now = await groups.query(query, Lane.TABLES), time.perf_counter()
                for user, completed in answer.rows:
                    if completed and user in ended:
                        latencies.setdefault(str(user), now - ended[str(user)])
                await asyncio.sleep(LOOKING)

    looking = asyncio.create_task(look())
    try:
        # The first waits for the worker to join its group, once in a worker's life.
        await end("seen-first")
        while "seen-first" not in latencies and not looking.done():
            await asyncio.sleep(LOOKING)
        for number in range(VIEWS_ENDED):
            await end(f"seen-{number}")
            await asyncio.sleep(BETWEEN)
        await looking
    finally:
        looking.cancel()
        at_work.stop()
        await running
    taken = sorted(seconds for user, seconds in latencies.items() if user != "seen-first")
    return (
        f"view end to visible in Druid, {len(taken)} views: p50 {statistics.median(taken):.2f} s, "
        f"p95 {taken[math.ceil(len(taken) * 0.95) - 1]:.2f} s, at most {taken[-1]:.2f} s (to reach: ≤ 10 s)"
    )


async def measured(filled: Filled) -> tuple[list[Figure], list[str]]:
    urls, data = filled.cohort.urls, filled.cohort.data
    async with (
        druid_floor(DRUID) as druid,
        gateway(urls, data, ttl=0) as anew,
        gateway(urls, data, ttl=600) as keeping,
        gateway(urls, data, ttl=600) as another,
    ):
        figures = [
            *await uncached(anew, druid, urls["prefix"]),
            *await from_rows(anew, filled),
            *await cached(keeping),
        ]
        notes = [
            await from_states(anew, druid, urls["prefix"]),
            await at_once([keeping, another]),
            await visible(filled.cohort, keeping.learner),
        ]
    return figures, notes


def _kind(compacted: bool) -> str:
    return "published and compacted" if compacted else "published"


async def main(*, compacted: bool = True) -> None:
    console = Console()
    collect_rarely()
    async with filled(compacted=compacted) as ready:
        figures, notes = await measured(ready)
    table = Table(
        "what", "floor, ms", "Cohort, ms", "ratio", "CPU, ms", "reach", title=f"segments {_kind(compacted)}"
    )
    for f in figures:
        floor = "" if f.floor is None else f"{f.floor:.1f}"
        table.add_row(f.what, floor, f"{f.cohort:.1f}", f.ratio, f"{f.cpu:.1f}", f.reach)
    console.print(table)
    for note in (*ready.notes, *notes):
        console.print(note)
