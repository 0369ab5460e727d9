"""The long lists other than a learner's own enrolments: ``python -m bench lists [real|embedded] [TIMES] [NAME] [PROFILE]``.

CPU milliseconds of this process for a request, with all its threads: the minimum and the median of TIMES, one request at a time and
eight at a time. Lists take turns, request by request, so that other work on the machine meets all of them. Nothing of a table is kept
between two requests. NAME: only lists whose name has this in it, or one of these, with commas
between them; or ``all``. With PROFILE, a file, cProfile's figures of the loop's
thread are written there.
"""

import asyncio
import cProfile
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
from rich.console import Console
from rich.table import Table

from bench.bare_views import AT, ENDING
from bench.client import Client, unlimited_clients
from bench.peers.population import PATIENCE
from bench.population import (
    Population,
    activity_id,
    batch_id,
    course,
    page_writes,
    publish_courses,
    states_of,
    write_all,
)
from druid_specs import ACTIVITY_STATE
from gateway.gc_tuning import collect_rarely
from loaders.views import row_key, view_values
from rules.errors import StoreUnavailable
from rules.identifiers import ViewKey
from rules.learners import Learner
from rules.progress import Status
from rules.states import encode_state
from rules.viewers import Role
from rules.views import View
from stores.events import Message
from stores.groups import Lane, Rows
from stores.rows import Write
from stores.tables import ENROLMENTS, LEARNER_SCOPES, VIEWS
from stores.topics import STATES
from tests.conftest import Instance, embedded_urls, instance_of, real_urls

READER, VIEWER, ENROLLED, MEMBERS = "reader", "viewer", 100, 200
VIEWED, LEAVES, BATCH = 200, 1_000, "batch-of-leaves"
SCHOOLS = 1_000
"""Rows of the table."""
AT_ONCE, WARM_UP = 8, 12
TRIES = 5

T = TypeVar("T")

_ENROLMENT = """collection { identifier name leafNodesCount } context { contextId type name startDate endDate }
  status completedCount completionPercentage enrolledOn completedOn lastAccessedOn"""
_ENROLMENTS = f"""pageInfo {{ hasNextPage endCursor }} edges {{ node {{ {_ENROLMENT} }} }}"""
_RELAY = f"""pageInfo {{ hasNextPage endCursor }} edges {{ cursor node {{ id __typename {_ENROLMENT.replace("{", "{ id", 2)} }} }}"""
_TABLE = {"metrics": ["ENROLLED_COUNT", "COMPLETED_COUNT"], "dimensions": ["SCHOOL"], "limit": SCHOOLS}


@dataclass(frozen=True)
class List:
    """``path``: of REST, for what is no document."""

    name: str
    members: int
    role: Role = Role.LEARNER
    query: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    user: str = READER

    def call(self, clients: dict[Role, Client]) -> Callable[[], Awaitable[bytes]]:
        client = clients[self.role]
        body = orjson.dumps({"query": self.query, "variables": self.variables})

        async def call() -> bytes:
            if self.path:
                status, sent = await client.send(self.user, "GET", self.path)
            else:
                status, sent = await client.send(self.user, "POST", "/graphql", body)
            if status != 200 or b'"errors"' in sent:
                raise RuntimeError(f"{self.name}: {status} {sent[:1000]!r}")
            return sent

        return call


def _lists() -> list[List]:
    mine = "query ($by: EnrolmentOrderBy!) { me { enrolments(first: 100, orderBy: { by: $by }) { %s } } }"
    return [
        List("enrolments, by collection", ENROLLED, query=mine % _ENROLMENTS, variables={"by": "COLLECTION"}),
        List(
            "enrolments, with cursors",
            ENROLLED,
            query=mine % f"pageInfo {{ hasNextPage endCursor }} edges {{ cursor node {{ {_ENROLMENT} }} }}",
            variables={"by": "COLLECTION"},
        ),
        List(
            "enrolments, as Relay asks",
            ENROLLED,
            query=mine % _RELAY,
            variables={"by": "COLLECTION"},
        ),
        List(
            "enrolments, by last access",
            ENROLLED,
            query=mine % _ENROLMENTS,
            variables={"by": "LAST_ACCESSED_ON"},
        ),
        List("enrolments, by name", ENROLLED, query=mine % _ENROLMENTS, variables={"by": "NAME"}),
        List(
            "enrolments, in progress",
            ENROLLED,
            query=f"{{ me {{ enrolments(first: 100, filter: {{ status: [NOT_STARTED, IN_PROGRESS, COMPLETED] }}) {{ {_ENROLMENTS} }} }} }}",
        ),
        List(
            "enrolments of another learner",
            ENROLLED,
            Role.MENTOR,
            f'{{ learner(userId: "{READER}") {{ name enrolments(first: 100) {{ {_ENROLMENTS} }} }} }}',
        ),
        List(
            "roster of a context",
            MEMBERS // 2,
            Role.ADMIN,
            """query ($context: String!) { context(contextId: $context) { name roster(first: 100) { pageInfo { hasNextPage endCursor }
              edges { node { learner { userId name } enrolment { status completedCount completionPercentage enrolledOn
              completedOn lastAccessedOn } } } } } }""",
            {"context": batch_id(0, 0)},
        ),
        List(
            "roster, by progress",
            MEMBERS // 2,
            Role.ADMIN,
            """query ($context: String!) { context(contextId: $context) { name roster(first: 100, orderBy: { by: PROGRESS }) {
              edges { node { learner { userId name } enrolment { status completedCount completionPercentage enrolledOn
              completedOn lastAccessedOn } } } } } }""",
            {"context": batch_id(0, 0)},
        ),
        List(
            "views of a learner",
            VIEWED,
            query="""query ($context: String!) { me { views(collectionId: "leaves", contextId: $context, first: 200) {
              pageInfo { hasNextPage endCursor } edges { node { contentId status progress lastAccessedOn completedOn
              timeSpent } } } } }""",
            variables={"context": BATCH},
            user=VIEWER,
        ),
        List(
            "leaves of a tree with views",
            VIEWED,
            query="""query ($context: String!) { collection(identifier: "leaves") { leafNodes(first: 200) {
              pageInfo { hasNextPage endCursor } edges { node { identifier name kind mimeType leafNodesCount optional
              viewerView(contextId: $context) { status progress lastAccessedOn } } } } } }""",
            variables={"context": BATCH},
            user=VIEWER,
        ),
        List(
            "statuses of leaves",
            LEAVES,
            query="""query ($context: String!) { me { enrolment(collectionId: "leaves", contextId: $context) { status
              contentStatus { contentId status } } } }""",
            variables={"context": BATCH},
            user=VIEWER,
        ),
        List(
            "table",
            SCHOOLS,
            Role.REPORTER,
            """query ($query: ActivityMetricsInput!) { activityMetrics(query: $query) { columns { name kind } rows source
              asOf complete } }""",
            {"query": {**_TABLE, "activityIds": [activity_id(0)]}},
        ),
        List(
            "table as CSV",
            SCHOOLS,
            Role.REPORTER,
            path="/metrics/table?"
            + urlencode(
                {
                    "metrics": ",".join(_TABLE["metrics"]),  # type: ignore[arg-type]
                    "dimensions": "SCHOOL",
                    "limit": SCHOOLS,
                    "activityIds": activity_id(0),
                    "format": "csv",
                }
            ),
        ),
        List("a request that reads nothing", 1, query="{ __typename }"),
    ]


async def main(engines: str = "real", times: str = "40", name: str = "all", profile: str = "") -> None:
    collect_rarely()
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = real_urls() if engines == "real" else embedded_urls()
        cohort = await stack.enter_async_context(instance_of(urls, data, groups=True))
        await _fill(cohort)
        client_of = await stack.enter_async_context(unlimited_clients(cohort.urls, cohort.data))
        clients = {role: client_of(role) for role in Role}
        calls = {
            each.name: (each, each.call(clients))
            for each in _lists()
            if name == "all" or any(part in each.name for part in name.split(","))
        }
        taken = await _in_turns({name: call for name, (_, call) in calls.items()}, int(times))
        _tell(engines, [each for each, _ in calls.values()], taken)
        if profile:
            profiler = cProfile.Profile(time.thread_time)
            for _, call in calls.values():
                profiler.enable()
                for _ in range(int(times)):
                    await call()
                profiler.disable()
            profiler.dump_stats(profile)


async def _in_turns(
    calls: dict[str, Callable[[], Awaitable[bytes]]], times: int
) -> dict[tuple[str, int], list[float]]:
    """CPU milliseconds of each request, by list and how many there were at once."""
    taken: dict[tuple[str, int], list[float]] = defaultdict(list)
    for at_once, rounds in ((1, times), (AT_ONCE, max(1, times // AT_ONCE))):
        for number in range(WARM_UP // at_once + rounds):
            for name, call in calls.items():
                began = time.process_time()
                await asyncio.gather(*(call() for _ in range(at_once)))
                if number >= WARM_UP // at_once:
                    taken[name, at_once].append((time.process_time() - began) * 1000 / at_once)
    return taken


def _tell(engines: str, lists: list[List], taken: dict[tuple[str, int], list[float]]) -> None:
    columns = ("list", "members", "CPU, ms: minimum", "median", "8 at once: minimum", "median", "µs a member")
    table = Table(*columns, title=f"{engines} engines")
    for each in lists:
        alone, beside = taken[each.name, 1], taken[each.name, AT_ONCE]
        told = (min(alone), statistics.median(alone), min(beside), statistics.median(beside))
        per_member = f"{min(beside) * 1000 / each.members:.0f}"
        table.add_row(each.name, str(each.members), *(f"{ms:.2f}" for ms in told), per_member)
    Console(width=130).print(table)


async def _fill(cohort: Instance) -> None:
    """A learner in 100 courses, a batch of 100 learners, a tree of 1,000 leaves of which another learner viewed 200, and states of 5,000
    learners of 1,000 schools."""
    tree_version = await _patiently(lambda: publish_courses(cohort, ENROLLED))
    await _patiently(lambda: cohort.publish(course("leaves", LEAVES)))
    await cohort.batch(BATCH, "leaves")
    learners = Population(0).learners()
    reader = replace(Population(1).learners()[0], user_id=READER)
    await write_all(cohort, [*page_writes(learners[:MEMBERS], 1, tree_version)])
    await write_all(cohort, [*page_writes([reader], ENROLLED, tree_version), *_views()])
    await cohort.drain(within=300)
    spread = [
        replace(learner, attributes={**learner.attributes, "school": f"school {number % SCHOOLS}"})
        for number, learner in enumerate(learners)
    ]
    await _send_states(cohort, spread)


async def _patiently(fill: Callable[[], Awaitable[T]]) -> T:
    """Other work on the machine may make the servers slow."""
    for _ in range(TRIES):
        with suppress(StoreUnavailable):
            return await fill()
    return await fill()


def _views() -> Iterator[Write]:
    """Of the first leaves, each completed, and the enrolment."""
    yield Write(ENROLMENTS, (VIEWER, "leaves", BATCH), {"active": True, "enrolled_on": AT, "changed_at": 1})
    yield Write(LEARNER_SCOPES, (VIEWER, "leaves", BATCH), {"scope": "leaves"})
    for number in range(VIEWED):
        key = ViewKey(VIEWER, "leaves", BATCH, f"leaves-leaf-{number}")
        view = View(key, Status.COMPLETED, started_on=AT, last_accessed_on=AT, last_updated_on=AT)
        yield Write(VIEWS, row_key(key), {**view_values(view), **ENDING, "changed_at": 1})


async def _send_states(cohort: Instance, learners: list[Learner]) -> None:
    """Returns once the groups store has them."""
    states = states_of(0, learners)
    for start in range(0, len(states), 1000):
        await cohort.stores.events.send(
            STATES.name, *(Message(s.key, encode_state(s)) for s in states[start : start + 1000])
        )
    query = Rows(ACTIVITY_STATE, ("user_id",), (("activity_id", (activity_id(0),)),), limit=len(states))
    async with asyncio.timeout(PATIENCE):
        while len((await cohort.stores.groups.query(query, Lane.TABLES)).rows) < len(states):
            await asyncio.sleep(0.5)
