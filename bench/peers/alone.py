"""What the documents that peers answer too cost Cohort in a process of its own, without a socket: ``scripts/bench peers
alone [list|page] [TIMES] [PROFILE]``.

It needs the real servers. CPU is this process's, all threads. With PROFILE, a file, cProfile's figures of the loop's thread
are written there.
"""

import asyncio
import cProfile
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.client import unlimited_clients
from bench.peers.comparison import DOCUMENTS
from bench.peers.population import filled
from bench.timing import timed_once
from gateway.gc_tuning import collect_rarely

WARM_UP = 20
AT_ONCE = 8


async def main(which: str = "list", times: str = "60", profile: str = "") -> None:
    asked = next(document for document in DOCUMENTS if which in document.name)
    collect_rarely()
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ready = await stack.enter_async_context(filled(data))
        client_of = await stack.enter_async_context(unlimited_clients(ready.cohort.urls, ready.cohort.data))
        client, body = client_of(asked.role), asked.body()
        call = partial(client.answer, asked.user, body)
        for _ in range(WARM_UP):
            await call()
        alone = [(await timed_once(call))[1] for _ in range(int(times))]
        beside = []
        for _ in range(int(times) // AT_ONCE):
            began = time.process_time()
            await asyncio.gather(*(call() for _ in range(AT_ONCE)))
            beside.append((time.process_time() - began) * 1000 / AT_ONCE)
        table = Table("at once", "CPU, ms: minimum", "median", title=asked.name)
        for at_once, taken in ((1, alone), (AT_ONCE, beside)):
            table.add_row(str(at_once), f"{min(taken):.2f}", f"{statistics.median(taken):.2f}")
        Console(width=100).print(table)
        if profile:
            profiler = cProfile.Profile(time.thread_time)
            profiler.enable()
            for _ in range(int(times)):
                await call()
            profiler.disable()
            profiler.dump_stats(profile)
