"""Publishing a textbook step by step, beside the bare writes of the same rows: ``python -m bench publish``.

Each size is published several times, each time by a process of its own, so that its memory is the publish's alone.
"""

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.textbook import textbook
from ingest.jobs.records import JobRecord
from ingest.publishing.job import STEPS
from ingest.publishing.requests import create_publication, run_publication
from rules.jobs import JobState
from stores.tables import CONTENTS, HIERARCHIES, NODE_ROOTS, RELATIONS
from tests.conftest import Instance, cluster, embedded_urls, instance_of, real_urls
from tests.ingest.drafts import save_collection

SIZES = ((400, 3_000), (5_000, 10_000))
"""Units and leaves."""
TIMES = 4
"""The first two have no version to drop, so the others are shown."""
VERSIONED = (CONTENTS, HIERARCHIES, RELATIONS, NODE_ROOTS)
AT_ONCE = 256
"""Statements of the floor under way, as Cohort's."""


async def main(engines: str = "real") -> None:
    for units, leaves in SIZES:
        urls = real_urls() if engines == "real" else embedded_urls()
        with tempfile.TemporaryDirectory() as folder:
            async with instance_of(urls, Path(folder)) as instance:
                await save_collection(instance.stores.rows, textbook("book", units, leaves))
                jobs = [await _timed_publish(instance) for _ in range(TIMES)]
                floor = await _floor(instance) if engines == "real" else None
        _show(f"{units:,} units, {leaves:,} leaves, {engines}", jobs, floor)


async def _timed_publish(instance: Instance) -> dict[str, Any]:
    """What a process of its own tells of the publish."""
    job = await create_publication(instance.session(), "book")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.publish"),
        *(json.dumps(instance.urls), str(instance.data), job.id),
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate()
    told: dict[str, Any] = json.loads(answer)
    return told


async def run_here(urls: dict[str, str], data: Path, job_id: str) -> dict[str, Any]:
    """Publishes, and tells seconds and statements of each step, and the process's memory."""
    async with Instance(urls, data).opened() as shared:
        meter = shared.stores.rows.meter
        steps: dict[str, list[float]] = {}
        seen: set[str] = set()
        at, counted = time.perf_counter(), sum(meter.counts.values())
        before = _memory()
        began, cpu = at, time.process_time()

        def tell(job: JobRecord) -> None:
            nonlocal at, counted
            ended = {step.name for step in job.steps if step.state is JobState.DONE} - seen
            for name in ended:
                now, count = time.perf_counter(), sum(meter.counts.values())
                steps[name] = [now - at, count - counted]
                at, counted = now, count
            seen.update(ended)

        job = await run_publication(shared, job_id, tell)
        if job.state is not JobState.DONE:
            raise RuntimeError(job.error)
        return {
            "steps": steps,
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
            "memory": [before, _memory()],
        }


def _memory() -> float:
    """The most that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _floor(instance: Instance) -> tuple[float, int]:
    """Seconds that cassandra-driver takes for the rows of the live version alone, and how many there are."""
    rows = instance.stores.rows
    written: list[tuple[Any, dict[str, Any]]] = []
    for table in VERSIONED:
        async for page in rows.walk(table, rows.ranges(1)[0]):
            written += [(table, row) for row in page.rows if row.get("version", TIMES) == TIMES]
    return await asyncio.to_thread(_write_bare, instance.urls["rows"], written), len(written)


def _write_bare(url: str, written: list[tuple[Any, dict[str, Any]]]) -> float:
    from cassandra.concurrent import execute_concurrent

    driver = cluster(url)
    session = driver.connect(url.rpartition("/")[2])
    prepared = {
        table.name: session.prepare(
            f"INSERT INTO {table.name} ({', '.join(table.types)}) VALUES ({', '.join('?' * len(table.types))})"
        )
        for table in VERSIONED
    }
    # What is null would be a tombstone: it is left out.
    statements = [
        (prepared[table.name], {name: value for name, value in row.items() if value is not None})
        for table, row in written
    ]
    began = time.perf_counter()
    execute_concurrent(session, statements, concurrency=AT_ONCE)
    took = time.perf_counter() - began
    driver.shutdown()
    return took


def _show(title: str, jobs: list[dict[str, Any]], floor: tuple[float, int] | None) -> None:
    """The fastest of the publishes: the others had more to wait for what ran beside them."""
    best = min(jobs[2:], key=lambda job: job["seconds"])
    table = Table("step", "ms", "statements", title=title)
    for name in STEPS:
        seconds, count = best["steps"][name]
        table.add_row(name, f"{seconds * 1000:.0f}", f"{count:.0f}")
    total = Counter({name: int(count) for name, (_, count) in best["steps"].items()})
    table.add_row("whole", f"{best['seconds'] * 1000:.0f}", f"{sum(total.values())}")
    console = Console()
    console.print(table)
    each = ", ".join(f"{job['seconds']:.2f} s" for job in jobs)
    console.print(f"of each: {each}; CPU {best['cpu']:.2f} s")
    before, most = best["memory"]
    console.print(f"memory: {before:.0f} MB before, {most:.0f} MB at most")
    if floor is not None:
        seconds, count = floor
        console.print(
            f"floor: {count} rows by the driver in {seconds:.2f} s; ratio {best['seconds'] / seconds:.2f}"
        )


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run_here(json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))))
