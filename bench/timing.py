"""Measures how long calls take: many at a time, or in turns with their floor."""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

Call = Callable[[], Awaitable[object]]
_TICKS = os.sysconf("SC_CLK_TCK")


def process_cpu(pid: int) -> float:
    """Seconds of CPU that a process has taken, with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def timed(calls: Iterable[Call], at_once: int) -> tuple[float, float]:
    """Milliseconds, and CPU milliseconds of this process, for each call, with so many at a time."""
    waiting = iter(list(calls))
    count = 0

    async def lane() -> None:
        nonlocal count
        for call in waiting:
            await call()
            count += 1

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(lane() for _ in range(at_once)))
    return (time.perf_counter() - began) * 1000 / count, (time.process_time() - cpu) * 1000 / count


async def in_turns(floor: Call, cohort: Call, times: int, warm_up: int) -> tuple[float, float, float]:
    """Medians in milliseconds of both, and of the CPU of this process in the latter; first without counting."""
    floors, cohorts, cpus = [], [], []
    for _ in range(warm_up + times):
        floors.append((await timed_once(floor))[0])
        wall, cpu = await timed_once(cohort)
        cohorts.append(wall)
        cpus.append(cpu)
    return tuple(statistics.median(taken[warm_up:]) for taken in (floors, cohorts, cpus))  # type: ignore[return-value]


async def timed_once(call: Call) -> tuple[float, float]:
    """Milliseconds, and CPU milliseconds of this process."""
    began, cpu = time.perf_counter(), time.process_time()
    await call()
    return (time.perf_counter() - began) * 1000, (time.process_time() - cpu) * 1000
