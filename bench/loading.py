"""What loading a hierarchy costs: CPU and time above an open instance, and what a process costs before it begins."""

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from bench.textbook import textbook
from ingest.publishing.loading import load_hierarchy
from tests.conftest import embedded_urls, instance_of, real_urls

SIZES = {"40 units, 220 leaves": (40, 220), "400 units, 3,000 leaves": (400, 3_000)}


async def main(engines: str = "embedded") -> None:
    table = Table("what", "KB", "CPU, ms", "time, ms", title=f"{engines} engines")
    for name, command in (("a command that does nothing", "--help"), ("one that opens the instance", "jobs")):
        cpu, took = _of_process(command)
        table.add_row(name, "", f"{cpu:.0f}", f"{took:.0f}")
    urls = real_urls() if engines == "real" else embedded_urls()
    with tempfile.TemporaryDirectory() as folder:
        async with instance_of(urls, Path(folder)) as cohort:
            await load_hierarchy(cohort.session(), textbook("warm", 2, 2))
            for what, size in SIZES.items():
                data = orjson.dumps({"result": {"content": textbook(f"do-{size[1]}", *size)}})
                for again in ("", ", again"):
                    began, cpu = time.perf_counter(), time.process_time()
                    await load_hierarchy(cohort.session(), orjson.loads(data))
                    used, took = time.process_time() - cpu, time.perf_counter() - began
                    table.add_row(
                        what + again, f"{len(data) // 1024}", f"{used * 1000:.0f}", f"{took * 1000:.0f}"
                    )
    Console().print(table)


def _of_process(command: str) -> tuple[float, float]:
    """CPU and time in milliseconds of a process of `cohort`, on an embedded instance."""
    arguments = [command, "list"] if command == "jobs" else [command]
    with tempfile.TemporaryDirectory() as folder:
        environment = {"COHORT_DATA": folder, "COHORT_DEV": "true"}

        def cohort(*given: str) -> None:
            done = [sys.executable, "-m", "gateway.cli", *given]
            subprocess.run(done, env=environment, stdout=subprocess.DEVNULL, check=True)

        cohort("init")
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        cohort(*arguments)
        took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used * 1000, took * 1000


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
