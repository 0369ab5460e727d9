"""What Cohort itself takes for the list of enrolments, without a driver or an engine: ``scripts/bench peers replayed [TIMES]``.

The embedded engine's answers are recorded once and given again. So it needs no server, and a busy machine changes little of it. CPU is
that of the loop's thread.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.client import unlimited_clients
from bench.peers.comparison import DOCUMENTS, LANES
from bench.peers.population import ENROLLED, writes_of_reader
from bench.population import publish_courses, write_all
from gateway.gc_tuning import collect_rarely
from stores.rows_sqlite import SqliteRows
from tests.conftest import embedded_urls, instance_of

WARM_UP = 30


async def main(times: str = "800") -> None:
    collect_rarely()
    asked = DOCUMENTS[0]
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cohort = await stack.enter_async_context(instance_of(embedded_urls(), data))
        cohort.sets_clock(datetime.now(UTC))
        await write_all(cohort, writes_of_reader(await publish_courses(cohort, ENROLLED)))
        client_of = await stack.enter_async_context(unlimited_clients(cohort.urls, data))
        client, body = client_of(asked.role), asked.body()
        replay(SqliteRows)
        call = partial(client.answer, asked.user, body)
        for _ in range(WARM_UP):
            await call()
        table = Table("at once", "CPU, ms: minimum", "median", title=f"{asked.name}, without rows")
        for lanes in LANES:
            taken = []
            for _ in range(int(times) // lanes):
                began = time.thread_time()
                await asyncio.gather(*(call() for _ in range(lanes)))
                taken.append((time.thread_time() - began) * 1000 / lanes)
            table.add_row(str(lanes), f"{min(taken):.2f}", f"{statistics.median(taken):.2f}")
        Console(width=100).print(table)


def replay(engine: type) -> None:
    """Has the engine's reads of many keys answered once, and again from memory."""
    for name in ("tuples", "statics", "get_many"):
        setattr(engine, name, _replayed(getattr(engine, name)))


def _replayed(read: Callable[..., Any]) -> Callable[..., Any]:
    found: dict[str, Any] = {}

    async def again(rows: Any, table: Any, keys: Any, *arguments: Any, **more: Any) -> Any:
        asked = f"{table.name} {len(keys)} {arguments} {more}"
        if asked not in found:
            found[asked] = await read(rows, table, keys, *arguments, **more)
        await asyncio.sleep(0)
        return found[asked]

    return again
