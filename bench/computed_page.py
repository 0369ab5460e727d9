"""A group page of 150 × 20 that is computed anew: ``python -m bench computed-page [TIMES]``. On the real servers.

CPU milliseconds of this process for a request, with all its threads: the minimum and the median of TIMES, one request at a time
and eight at a time. Nothing is kept between two requests, as in ``scripts/bench peers``; here is no socket and no other server.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from bench.groups import gateway
from bench.peers.population import ACTIVITIES, GROUP, MEMBERS, filled
from gateway.gc_tuning import collect_rarely
from tests.graph.conftest import document

LANES = (1, 8)
WARM_UP = 10


async def main(times: str = "30") -> None:
    collect_rarely()
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ready = await stack.enter_async_context(filled(data))
        opened = await stack.enter_async_context(gateway(ready.cohort.urls, ready.cohort.data, ttl=0))
        call = opened.request(document("group_page"), group=GROUP)
        answer = orjson.loads(await call())
        if "errors" in answer:
            raise RuntimeError(str(answer["errors"])[:1000])
        table = Table(
            "at once", "CPU, ms: minimum", "median", title=f"group page of {MEMBERS} × {ACTIVITIES}"
        )
        for lanes in LANES:
            taken = await _taken(call, lanes, int(times))
            table.add_row(str(lanes), f"{min(taken):.1f}", f"{statistics.median(taken):.1f}")
        Console().print(table)


async def _taken(call: Callable[[], Awaitable[bytes]], lanes: int, times: int) -> list[float]:
    taken = []
    for _ in range(WARM_UP + times):
        began = time.process_time()
        await asyncio.gather(*(call() for _ in range(lanes)))
        taken.append((time.process_time() - began) * 1000 / lanes)
    return taken[WARM_UP:]
