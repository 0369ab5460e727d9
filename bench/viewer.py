"""The platform's calls of a player and a home page: ``python -m bench viewer [real|embedded]``.

A content state update of 20 contents beside the read, the conditional write and the produce that it needs, and a list of
100 enrolments beside its rows by the driver alone; in turns.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.bare_views import AT, ENDING
from bench.client import KEY, Client
from bench.floor import EmbeddedViewerFloor, ViewerFloor, viewer_floor
from bench.population import course
from bench.timing import Call, in_turns, timed
from gateway.app import create_app
from gateway.gc_tuning import collect_rarely
from gateway.settings import Settings
from gateway.wiring import Cohort
from ingest.commands.content_states import update_states
from ingest.commands.enrolments import EnrolmentCall, enrol
from loaders.change_clock import ChangeClock
from loaders.views import row_key, view_values
from rules.content_states import ContentState
from rules.identifiers import ViewKey
from rules.progress import Status
from rules.views import View
from stores.meter import Meter
from stores.rows import Key
from stores.tables import VIEWS
from tests.conftest import Instance, embedded_urls, instance_of, real_urls
from tests.graph.conftest import document

CONTENTS = 20
COURSES, LEAVES = 100, 10
TIMES, WARM_UP = 60, 10
AT_ONCE, MANY = 16, 320
PUBLISHING = 8
UPDATE = "/course/v1/content/state/update"
READER = "reader"
STARTED = Status.IN_PROGRESS


@dataclass
class Figure:
    """Milliseconds; ``statements``: those to the rows in one call of Cohort's."""

    what: str
    floor: float
    cohort: float
    cpu: float
    statements: int


@dataclass
class Bench:
    client: Client
    floor: ViewerFloor
    meter: Meter

    async def beside(self, what: str, floor: Call, cohort: Call, *, many: tuple[int, int]) -> list[Figure]:
        """One at a time in turns, and ``many`` (how many, at once) of each together."""
        figure = Figure(f"{what}, 1 at once", *await in_turns(floor, cohort, TIMES, WARM_UP), 0)
        with self.meter.measure() as sent:
            await cohort()
        figure.statements = sum(sent.values())
        base, _ = await timed([floor] * many[0], many[1])
        mine, cpu = await timed([cohort] * many[0], many[1])
        return [figure, Figure(f"{what}, {many[1]} at once", base, mine, cpu, figure.statements)]


changed_at = ChangeClock()


def keys(user: str) -> list[Key]:
    return [row_key(ViewKey(user, "big", "batch", f"big-leaf-{leaf}")) for leaf in range(CONTENTS)]


def start_rows(user: str) -> list[dict[str, Any]]:
    moment = changed_at()
    return [{**VIEWS.named(key), **view_values(_started(key)), "changed_at": moment} for key in keys(user)]


def _started(key: Key) -> View:
    user, _, collection, context, content = key
    view_key = ViewKey(user, collection, context, content)
    return View(view_key, STARTED, started_on=AT, last_accessed_on=AT, last_updated_on=AT)


async def updates(bench: Bench) -> list[Figure]:
    """The same learners go through all three: what is new, then what completes it, then all of it again."""

    def learners(name: str) -> Iterator[str]:
        return (f"{name}-{number:04d}" for number in count())

    def floor(name: str, work: Callable[[str], Awaitable[None]]) -> Call:
        users = learners(name)

        async def call() -> None:
            user = next(users)
            await bench.floor.states(keys(user))
            await work(user)
            await bench.floor.send(user)

        return call

    def cohort(status: Status) -> Call:
        users = learners("caller")

        async def call() -> None:
            contents = [
                {
                    "contentId": f"big-leaf-{leaf}",
                    "courseId": "big",
                    "batchId": "batch",
                    "status": status.value,
                }
                for leaf in range(CONTENTS)
            ]
            await bench.client.rest(next(users), "PATCH", UPDATE, {"contents": contents})

        return call

    async def start(user: str) -> None:
        await bench.floor.start_all(start_rows(user))

    async def complete(user: str) -> None:
        await bench.floor.end_all(keys(user), ENDING | {"changed_at": changed_at()})

    async def nothing(_: str) -> None:
        pass

    many = (MANY, AT_ONCE)
    return [
        *await bench.beside("update of 20, all new", floor("bare", start), cohort(STARTED), many=many),
        *await bench.beside(
            "update of 20, all completions", floor("bare", complete), cohort(Status.COMPLETED), many=many
        ),
        *await bench.beside(
            "update of 20, all repeats", floor("bare", nothing), cohort(Status.COMPLETED), many=many
        ),
    ]


async def lists(bench: Bench) -> list[Figure]:
    courses = [course_id(number) for number in range(COURSES)]
    listing, many = document("my_courses"), (64, AT_ONCE)

    async def floor() -> None:
        await bench.floor.enrolments(READER, courses)

    async def rest() -> None:
        found = await bench.client.rest(READER, "GET", f"/course/v1/user/enrollment/list/{READER}?limit=100")
        assert len(found["courses"]) == COURSES

    async def graphql() -> None:
        answer = await bench.client.ask(READER, listing, first=COURSES)
        assert len(answer["data"]["me"]["enrolments"]["edges"]) == COURSES

    return [
        *await bench.beside("enrolment list of 100, REST", floor, rest, many=many),
        *await bench.beside("enrolment list of 100, GraphQL", floor, graphql, many=many),
    ]


def course_id(number: int) -> str:
    return f"small-{number:03d}"


async def fill(cohort: Instance) -> None:
    """A collection for the updates, and a reader who is in 100 others, two contents into each; the workers are done."""
    await cohort.publish(course("big", CONTENTS * 2))
    await cohort.batch("batch", "big")
    turns = asyncio.Semaphore(PUBLISHING)

    async def join(number: int) -> None:
        identifier, batch = course_id(number), f"batch-{number:03d}"
        async with turns:
            await cohort.publish(course(identifier, LEAVES))
            await cohort.batch(batch, identifier)
            session = cohort.session(READER)
            await enrol(session, EnrolmentCall(identifier, batch))
            states = [
                ContentState(f"{identifier}-leaf-{leaf}", Status.COMPLETED, identifier, batch)
                for leaf in range(2)
            ]
            await update_states(session, states)

    await asyncio.gather(*map(join, range(COURSES)))
    await cohort.drain(within=300)


async def main(engines: str = "real") -> None:
    collect_rarely()
    urls = real_urls() if engines == "real" else embedded_urls()
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        instance = await stack.enter_async_context(instance_of(urls, data))
        await fill(instance)
        # As instance_of has it: the groups store is not asked.
        settings = Settings(**instance.urls, data=data, jwt_key=KEY)  # type: ignore[arg-type]
        app = create_app(settings)
        await stack.enter_async_context(app.router.lifespan_context(app))
        cohort: Cohort = app.state.cohort
        floor: ViewerFloor = EmbeddedViewerFloor(instance.stores)
        if engines == "real":
            kafka, row = urls["events"].removeprefix("kafka://"), start_rows("x")[0]
            floor = await stack.enter_async_context(
                viewer_floor(urls["rows"], kafka, urls["prefix"], row, ENDING)
            )
        bench = Bench(Client(app, settings), floor, cohort.stores.rows.meter)
        figures = [*await updates(bench), *await lists(bench)]
    title = f"{engines} engines"
    table = Table("what", "floor, ms", "Cohort, ms", "ratio", "CPU, ms", "statements", title=title)
    for f in figures:
        ratio = f"{f.cohort / f.floor:.2f}"
        table.add_row(f.what, f"{f.floor:.2f}", f"{f.cohort:.2f}", ratio, f"{f.cpu:.2f}", str(f.statements))
    Console(width=110).print(table)
