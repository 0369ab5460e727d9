"""What a statement costs, on the loop's connections and on those of the driver's thread: ``scripts/bench statements [ROUNDS]``.

It needs the real servers, on which it leaves a keyspace ``bench_statements``. The ways take turns over the same rows. CPU is this process's, all threads. The last column is the longest
turn of the event loop in CPU of its thread.
"""

import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import UTC, datetime
from unittest.mock import patch

from cassandra.io.libevreactor import LibevConnection
from rich.console import Console
from rich.table import Table

from bench.timing import timed
from stores import cassandra_session
from stores.columns import TIMESTAMP
from stores.rows import Write
from stores.rows_cassandra import CassandraRows
from stores.tables import ENROLMENTS, LEARNERS, VIEWS
from tests.conftest import CASSANDRA
from tests.holding import watched

ONE, MANY = "one", 5_000
MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def fill(rows: CassandraRows) -> None:
    """A learner, 100 enrolments, and 5,000 views with every column, of which 100 bytes are details."""
    await rows.init([LEARNERS, ENROLMENTS, VIEWS])
    await rows.write(
        Write(LEARNERS, (ONE,), {"name": "Mia", "attributes": {"city": "Ghent"}, "updated_on": MOMENT})
    )
    enrolment = {
        "active": True,
        "enrolled_on": MOMENT,
        "changed_at": 1,
        "status": 1,
        "progress": 7,
        "version": 1,
    }
    await rows.write(*(Write(ENROLMENTS, (ONE, f"course-{n:03d}", "batch"), enrolment) for n in range(100)))
    view = {
        "status": 2,
        "progress": 100,
        "timespent": 60,
        "progressdetails": "x" * 100,
        "last_call": "call",
        **{name: MOMENT for name in VIEWS.types if VIEWS.types[name] == TIMESTAMP},
    }
    stored = len((await rows.tuples(VIEWS, [(ONE, "course")], ["contentid"]))[ONE, "course"])
    for start in range(stored // 100 * 100, MANY, 100):
        await rows.write(
            *(
                Write(VIEWS, (ONE, "course", "course", "batch", f"leaf-{n:05d}"), view)
                for n in range(start, start + 100)
            )
        )


def cases(rows: CassandraRows) -> dict[str, tuple[Callable[[], Awaitable[object]], int, int]]:
    """What is done, how often a round, and how many at once."""

    async def one() -> object:
        return await rows.get(LEARNERS, (ONE,), ["name"])

    async def write() -> None:
        await rows.write(Write(LEARNERS, ("other",), {"name": "Sam"}))

    async def enrolments() -> object:
        return await rows.tuples(ENROLMENTS, [(ONE,)], ["collectionid", "contextid", "status", "version"])

    async def views() -> object:
        return await rows.partition(VIEWS, (ONE, "course"))

    return {
        "one row, 1 at once": (one, 500, 1),
        "one row, 16 at once": (one, 2_000, 16),
        "write of a row, 1 at once": (write, 500, 1),
        "write of a row, 16 at once": (write, 2_000, 16),
        "100 enrolments": (enrolments, 200, 1),
        "100 enrolments, 8 at once": (enrolments, 400, 8),
        f"{MANY:,} views, every column": (views, 3, 1),
    }


@asynccontextmanager
async def opened(*, threaded: bool) -> AsyncIterator[CassandraRows]:
    """``threaded``: with the driver's own connections."""
    with ExitStack() as stack:  # ends before other rows are opened
        if threaded:
            stack.enter_context(
                patch.object(cassandra_session, "connections_on", lambda _loop: LibevConnection)
            )
        rows = await CassandraRows.open(f"{CASSANDRA}/bench_statements")
    try:
        yield rows
    finally:
        await rows.close()


async def main(rounds: str = "5") -> None:
    async with AsyncExitStack() as stack:
        ways = {
            way: await stack.enter_async_context(opened(threaded=threaded))
            for way, threaded in (("the driver's thread", True), ("the loop", False))
        }
        await fill(ways["the loop"])
        taken: dict[tuple[str, str], list[float]] = {}
        held: dict[tuple[str, str], float] = {}
        for _ in range(int(rounds) + 1):
            for way, rows in ways.items():
                for what, (call, times, at_once) in cases(rows).items():
                    _, cpu = await timed([call] * times, at_once)
                    taken.setdefault((what, way), []).append(cpu)
        for way, rows in ways.items():
            for what, (call, *_) in cases(rows).items():
                async with watched() as holds:
                    await call()
                held[what, way] = holds.longest * 1000
    table = Table("what", "on", "CPU, ms: minimum", "median", "longest turn, CPU ms")
    for (what, way), (_, *figures) in sorted(taken.items()):
        table.add_row(
            *(what, way, f"{min(figures):.3f}", f"{statistics.median(figures):.3f}", f"{held[what, way]:.1f}")
        )
    Console(width=120).print(table)
