"""Runs the benchmarks: ``python -m bench [abuse|archive|attempts|commands|computed-page|embedded|real|exhaust|groups|hierarchy|jobs|lists|load|migration|mirror|oulad|pages|peers|publish|scale|sizing|statements|viewer|workers]``;
see docs/benchmarks.md for figures and how to read them. ``embedded`` and ``real`` take the names of those to run: ``views``,
``reads``; all without. ``archive``, ``attempts``, ``commands``, ``computed-page``, ``exhaust``, ``hierarchy``, ``jobs``, ``lists``, ``migration``, ``mirror``, ``oulad``, ``peers``,
``publish``, ``scale costs``, ``sizing``, ``statements``, ``viewer`` and ``workers`` run on the real servers, ``abuse``, ``load`` and ``pages`` on the embedded engines, or each on those
named after it."""

import sys
import tempfile
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench import (
    abuse,
    archive,
    attempts,
    commands,
    computed_page,
    exhaust,
    groups,
    hierarchy,
    jobs,
    lists,
    loading,
    migration,
    mirror,
    oulad,
    pages,
    publish,
    sizing,
    statements,
    viewer,
    workers,
)
from bench.bare_views import ENDING, bare_calls, start_row, view
from bench.client import KEY, Client
from bench.floor import EmbeddedFloor, Floor, real_floor
from bench.peers import alone, comparison, replayed
from bench.population import course
from bench.scale import measured, report
from bench.timing import timed
from gateway.app import create_app
from gateway.settings import Settings
from ingest.commands.enrolments import EnrolmentCall, enrol
from loaders.views import row_key, view_values
from stores.rows import Write
from stores.tables import LEARNER_SCOPES, VIEWS
from tests.conftest import Instance, embedded_urls, instance_of, real_urls
from tests.graph.conftest import document

LEAVES = 200
COURSES = 100
AT_ONCE = 16
"""Requests at a time: as many as one busy process of a gateway has."""


@dataclass
class Figure:
    what: str
    floor: float
    cohort: float
    cpu: float
    unit: str = "ms"


async def views(client: Client, floor: Floor) -> list[Figure]:
    """Start, update and end of views, each beside the statements and the send that it needs."""
    record = document("record_view")
    calls = [(f"caller-{number % 20}", number // 20) for number in range(2_000)]
    bare = [view(user.replace("caller", "bare"), leaf) for user, leaf in calls]

    figures = []
    for operation, bare_call in bare_calls(floor).items():
        # One at a time tells what a caller waits for, many at a time what a process can do.
        for at_once, part in ((1, slice(None, 400)), (AT_ONCE, slice(400, None))):
            base, _ = await timed([lambda v=v, c=bare_call: c(v) for v in bare[part]], at_once)  # type: ignore[misc]
            mine, cpu = await timed(
                [
                    lambda u=user, n=leaf, o=operation: client.ask(  # type: ignore[misc]
                        u, record, o, contentId=f"big-leaf-{n}", collectionId="big", contextId="batch"
                    )
                    for user, leaf in calls[part]
                ],
                at_once,
            )
            figures.append(Figure(f"view {operation.lower()}, {at_once} at once", base, mine, cpu))
    return figures


async def reads(cohort: Instance, client: Client, floor: Floor) -> list[Figure]:
    """A list of 100 enrolments and a course page with 200 statuses, each beside reading its rows by the driver alone."""
    courses = [f"small-{number:03d}" for number in range(COURSES)]
    for identifier in courses:
        await cohort.publish(course(identifier, 2))
    await cohort.batch("batch-of-all", courses[0])
    for identifier in courses:
        await cohort.batch(f"batch-{identifier}", identifier)
        await enrol(cohort.session(), EnrolmentCall(identifier, f"batch-{identifier}", "reader"))
    await client_finish(cohort, "reader", range(LEAVES))
    await cohort.drain()
    listing, page = document("my_courses"), document("course_page")
    times = 100
    figures = []
    for at_once in (1, AT_ONCE):
        base_list, _ = await timed([lambda: floor.enrolments("reader", courses)] * times, at_once)
        my_list, cpu_list = await timed([lambda: client.ask("reader", listing, first=100)] * times, at_once)
        base_page, _ = await timed([lambda: floor.statuses(("reader", "big"))] * times, at_once)
        my_page, cpu_page = await timed(
            [lambda: client.ask("reader", page, collection="big", context="batch")] * times, at_once
        )
        figures += [
            Figure(f"enrolment list of 100, {at_once} at once", base_list, my_list, cpu_list),
            Figure(f"course page of 200 statuses, {at_once} at once", base_page, my_page, cpu_page),
        ]
    return figures


async def client_finish(cohort: Instance, user: str, leaves: Iterable[int]) -> None:
    """Writes completed views as rows, since reading them is what is measured."""
    ended = [
        Write(VIEWS, row_key(v.key), {**view_values(v), **ENDING, "changed_at": 1})
        for v in (view(user, leaf) for leaf in leaves)
    ]
    scope = Write(LEARNER_SCOPES, (user, "big", "batch"), {"scope": "big"})
    await cohort.stores.rows.write(scope, *ended)


async def main(engines: str = "embedded", *wanted: str) -> None:
    console = Console()
    urls = real_urls() if engines == "real" else embedded_urls()
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cohort = await stack.enter_async_context(instance_of(urls, data))
        await cohort.publish(course("big", LEAVES))
        await cohort.batch("batch", "big")
        settings = Settings(**urls, data=data, jwt_key=KEY)  # type: ignore[arg-type]
        app = create_app(settings)
        await stack.enter_async_context(app.router.lifespan_context(app))
        client = Client(app, settings)
        floor: Floor
        if engines == "real":
            kafka = urls["events"].removeprefix("kafka://")
            floor = await stack.enter_async_context(
                real_floor(urls["rows"], kafka, urls["prefix"], start_row(view("x", 0)), ENDING)
            )
        else:
            floor = EmbeddedFloor(cohort.stores)
        figures = []
        if "views" in wanted or not wanted:
            figures += await views(client, floor)
        if "reads" in wanted or not wanted:
            figures += await reads(cohort, client, floor)
        await cohort.drain(within=300)
    table = Table("what", "floor, ms", "Cohort, ms", "ratio", "CPU, ms", title=f"{engines} engines")
    for f in figures:
        table.add_row(
            f.what, f"{f.floor:.2f}", f"{f.cohort:.2f}", f"{f.cohort / f.floor:.2f}", f"{f.cpu:.2f}"
        )
    console.print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["groups"]:
        uvloop.run(groups.main(compacted="--uncompacted" not in sys.argv))
    elif sys.argv[1:2] == ["abuse"]:
        uvloop.run(abuse.main(*sys.argv[2:3]))
    elif sys.argv[1:2] == ["archive"]:
        uvloop.run(archive.main(*sys.argv[2:]))
    elif sys.argv[1:2] == ["commands"]:
        uvloop.run(commands.main(*sys.argv[2:]))
    elif sys.argv[1:2] == ["computed-page"]:
        uvloop.run(computed_page.main(*sys.argv[2:3]))
    elif sys.argv[1:2] == ["hierarchy"]:
        uvloop.run(hierarchy.main(*sys.argv[2:3]))
    elif sys.argv[1:2] == ["lists"]:
        uvloop.run(lists.main(*sys.argv[2:6]))
    elif sys.argv[1:2] == ["migration"]:
        uvloop.run(migration.main(*sys.argv[2:]))
    elif sys.argv[1:2] == ["mirror"]:
        blocks = map(int, sys.argv[2:3])
        uvloop.run((mirror.alone if "alone" in sys.argv else mirror.main)(*blocks))
    elif sys.argv[1:2] == ["oulad"]:
        uvloop.run(oulad.main(*sys.argv[2:4]))
    elif sys.argv[1:2] == ["pages"]:
        uvloop.run(pages.main(*sys.argv[2:3]))
    elif sys.argv[1:3] == ["peers", "alone"]:
        uvloop.run(alone.main(*sys.argv[3:6]))
    elif sys.argv[1:3] == ["peers", "replayed"]:
        uvloop.run(replayed.main(*sys.argv[3:4]))
    elif sys.argv[1:2] == ["peers"]:
        uvloop.run(comparison.main(*sys.argv[2:3]))
    elif sys.argv[1:2] == ["publish"]:
        uvloop.run(publish.main(*sys.argv[2:3]))
    elif sys.argv[1:3] == ["scale", "costs"]:
        uvloop.run(measured.main())
    elif sys.argv[1:2] == ["scale"]:
        report.main(*sys.argv[2:])
    elif sys.argv[1:2] == ["sizing"]:
        uvloop.run(sizing.main())
    elif sys.argv[1:2] == ["exhaust"]:
        uvloop.run(exhaust.main(*sys.argv[2:5]))
    elif sys.argv[1:2] == ["attempts"]:
        uvloop.run(attempts.main(*sys.argv[2:3]))
    elif sys.argv[1:2] == ["statements"]:
        uvloop.run(statements.main(*sys.argv[2:3]))
    elif sys.argv[1:2] == ["viewer"]:
        uvloop.run(viewer.main(*sys.argv[2:3]))
    elif sys.argv[1:2] == ["workers"]:
        uvloop.run(workers.main(*sys.argv[2:]))
    elif sys.argv[1:2] == ["jobs"]:
        uvloop.run(jobs.main(*sys.argv[2:3]))
    elif sys.argv[1:2] == ["load"]:
        uvloop.run(loading.main(*sys.argv[2:3]))
    else:
        uvloop.run(main(*sys.argv[1:]))
