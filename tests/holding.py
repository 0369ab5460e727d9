"""A watchdog: how long one piece of work holds the event loop, in CPU seconds of its thread, so that a busy machine does
not count."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter, thread_time


@dataclass
class Holds:
    """The longest turn of the loop so far: seconds of CPU of its thread, and seconds that passed."""

    longest: float = 0.0
    longest_wall: float = 0.0
    turns: int = 0


@asynccontextmanager
async def watched() -> AsyncIterator[Holds]:
    """Looks at the clock in every turn of the loop, and keeps the loop from sleeping meanwhile. The garbage collector is off: it
    would look at all that the tests before have left, which a server has not (tests/graph/execution/test_garbage.py)."""
    loop, holds, watching = asyncio.get_running_loop(), Holds(), True
    last, last_wall = thread_time(), perf_counter()

    def look() -> None:
        nonlocal last, last_wall
        now, wall = thread_time(), perf_counter()
        holds.longest = max(holds.longest, now - last)
        holds.longest_wall = max(holds.longest_wall, wall - last_wall)
        holds.turns += 1
        last, last_wall = now, wall
        if watching:
            loop.call_soon(look)

    loop.call_soon(look)
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield holds
    finally:
        look()
        watching = False
        if collecting:
            gc.enable()
