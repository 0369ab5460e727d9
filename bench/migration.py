"""A migration of generated rows from a keyspace on the real servers: ``python -m bench migration [--rows N] [--processes N]
[--profile] [--clean]``.

Each run is ``cohort migrate legacy`` itself, in processes of its own, so that CPU and memory are the migration's alone. What is
done is noted in a folder: a bench that was interrupted goes on at the run where it was, and ``--clean`` drops what it left.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from rich.console import Console
from rich.table import Table

from bench.legacy_rows import PlatformWriter, courses
from tests.conftest import CASSANDRA, KAFKA, REDIS, Instance, cluster, drop_topics, embedded_urls

ROWS = 50_000
SEED = 12
DELTA = 100
"""One row in so many is changed before the delta run."""
FAST = "10000000"
"""Rows a second: the rate is no bound."""
LOOK_AT = 3
"""The exit code of a migration with something to look at, as the enrolments that are ahead of their consumption."""
TRIES = 3
SAY = Console().print


@dataclass(slots=True)
class Run:
    """What the processes of one run took. ``cpu`` in seconds and ``statements`` of all together; ``memory`` in MB of the
    largest."""

    name: str
    processes: int
    rows: int
    seconds: float
    cpu: float
    memory: float
    statements: int
    by_kind: dict[str, int] = field(default_factory=dict)
    written: int = 0


class Bench:
    """What was done, in ``folder``. ``state`` has the figures of the runs that ended, and the names that were made."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        self.rows = rows
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "state.json"
        self.state: dict[str, Any] = (
            orjson.loads(self._path.read_bytes())
            if self._path.exists()
            else {"id": uuid4().hex[:8], "source": None, "instances": {}, "runs": {}}
        )
        self.save()

    def save(self) -> None:
        self._path.write_bytes(orjson.dumps(self.state, option=orjson.OPT_INDENT_2))

    @property
    def source(self) -> str:
        return f"bench_legacy_{self.state['id']}"

    @property
    def runs(self) -> list[Run]:
        return [Run(**run) for run in self.state["runs"].values()]

    def urls(self, name: str) -> dict[str, str]:
        """Of an instance of ours. What no migration uses is embedded."""
        kept = f"bench_{self.state['id']}_{name}"
        return embedded_urls() | {
            "rows": f"{CASSANDRA}/{kept}",
            "events": f"kafka://{KAFKA}",
            "cache": REDIS,
            "prefix": kept.replace("_", "-"),
        }

    def environment(self, name: str) -> dict[str, str]:
        settings = {f"COHORT_{key.upper()}": value for key, value in self.urls(name).items()}
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        return inherited | settings | {"COHORT_DATA": str(self.folder / name), "COHORT_JWT_KEY": "k" * 32}


async def main(*arguments: str) -> None:
    asked = _asked(arguments)
    folder = asked.folder or Path(tempfile.gettempdir(), f"cohort-bench-migration-{asked.rows}")
    bench = Bench(folder, asked.rows)
    if not asked.clean:
        try:
            await _fill(bench)
            for processes in dict.fromkeys((1, asked.processes)):
                await _run_all(bench, processes, profiled=asked.profile)
        except BaseException:
            SAY(f"not done: the same command goes on, and with --clean it drops what is there ({folder})")
            raise
        _tell(bench)
    if not asked.keep:
        await _clean(bench)


def _asked(arguments: tuple[str, ...]) -> Namespace:
    parser = ArgumentParser("bench migration")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--processes", type=int, default=2, help="measured beside one process")
    parser.add_argument("--folder", type=Path, help="where it notes what is done")
    parser.add_argument("--clean", action="store_true", help="only drops what an interrupted bench left")
    parser.add_argument("--keep", action="store_true", help="drops nothing")
    parser.add_argument(
        "--profile", action="store_true", help="writes cProfile's figures of each run into the folder"
    )
    return parser.parse_args(arguments)


@contextmanager
def _writer(bench: Bench) -> Iterator[PlatformWriter]:
    server = cluster(CASSANDRA)
    try:
        yield PlatformWriter(server.connect(), bench.source)
    finally:
        server.shutdown()


async def _fill(bench: Bench) -> None:
    if bench.state["source"]:
        return

    def fill() -> dict[str, int]:
        with _writer(bench) as writer:
            writer.create()
            return writer.fill(bench.rows, SEED)

    began = time.perf_counter()
    bench.state["source"] = await asyncio.to_thread(fill)
    bench.save()
    SAY(f"{bench.rows:,} rows written there in {time.perf_counter() - began:.0f} s: {bench.state['source']}")


async def _run_all(bench: Bench, processes: int, *, profiled: bool) -> None:
    """The first run, one with nothing to do, and one behind the changes of a day, into an instance of their own."""
    name = f"by_{processes}"
    run = partial(_run, bench, name, processes, profiled=profiled)
    if f"first, {processes}" not in bench.state["runs"]:
        # An interrupted first run says nothing of a whole one.
        await _drop_instance(bench, name)
        await _make_instance(bench, name)
        await run("first")
    if f"again, {processes}" not in bench.state["runs"]:
        await run("again")
    if f"delta, {processes}" not in bench.state["runs"]:
        with _writer(bench) as writer:
            await asyncio.to_thread(writer.go_on, bench.rows // DELTA, SEED + processes)
        await run("delta", "--changed-since", "last")


async def _make_instance(bench: Bench, name: str) -> None:
    bench.state["instances"][name] = True
    bench.save()
    await _process(bench, name, "-m", "gateway.cli", "init")
    instance = Instance(bench.urls(name), bench.folder / name)
    async with instance.opened() as instance.shared:
        for document in courses():
            await instance.publish(document)


async def _run(
    bench: Bench, name: str, processes: int, run: str, *options: str, profiled: bool = False
) -> None:
    url = f"{CASSANDRA}/{bench.source}"
    report = bench.folder / f"{name}-{run}-report.json"
    figures = [bench.folder / f"{name}-{run}-{number}.json" for number in range(processes)]
    profiles = ["--profile"] if profiled else []
    command = ("migrate", "legacy", "--from", url, "--rate", FAST, "--report", str(report), *options)
    began = time.perf_counter()
    await asyncio.gather(
        *(
            _process(bench, name, "-m", "bench.measured_command", str(path), *profiles, *command)
            for path in figures
        )
    )
    seconds = time.perf_counter() - began
    told = [orjson.loads(path.read_bytes()) for path in figures]
    tables = orjson.loads(report.read_bytes())["tables"]
    counts = sum((Counter(one["statements"]) for one in told), Counter[str]())
    done = Run(
        *(run, processes, sum(table["read"] for table in tables.values()), seconds),
        sum(one["cpu"] for one in told),
        max(one["memory"] for one in told),
        counts.total(),
        dict(counts.most_common()),
        sum(table["written"] for table in tables.values()),
    )
    bench.state["runs"][f"{run}, {processes}"] = {slot: getattr(done, slot) for slot in Run.__slots__}
    bench.save()
    _tell_run(done)


async def _process(bench: Bench, name: str, *arguments: str) -> None:
    """Runs Python. RuntimeError with what it said, if it failed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        env=bench.environment(name),
        cwd=Path(__file__).parent.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    if process.returncode not in (0, LOOK_AT):
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{said.decode()[-4000:]}")


def _tell_run(run: Run) -> None:
    SAY(
        f"{run.name}, {run.processes} process(es): {run.rows:,} rows ({run.written:,} written) in {run.seconds:.1f} s, "
        f"CPU {run.cpu / run.rows * 1000:.3f} ms a row, {run.memory:.0f} MB at most, "
        f"{run.statements / run.rows:.3f} statements a row"
    )


def _tell(bench: Bench) -> None:
    table = Table(
        *("run", "processes", "rows", "written", "seconds", "rows a second", "CPU, ms a row", "MB at most"),
        *("statements a row",),
        title=f"{bench.rows:,} rows, which processes migrate",
    )
    for run in bench.runs:
        table.add_row(
            *(run.name, f"{run.processes}", f"{run.rows:,}", f"{run.written:,}", f"{run.seconds:.1f}"),
            *(f"{run.rows / run.seconds:,.0f}", f"{run.cpu / run.rows * 1000:.3f}", f"{run.memory:.0f}"),
            f"{run.statements / run.rows:.3f}",
        )
    SAY(table)
    for run in bench.runs:
        kinds = ", ".join(f"{what} {count:,}" for what, count in list(run.by_kind.items())[:8])
        SAY(f"{run.name}, {run.processes}: {kinds}")


async def _clean(bench: Bench) -> None:
    for name in list(bench.state["instances"]):
        await _drop_instance(bench, name)
    await asyncio.to_thread(_drop_keyspace, bench.source)
    shutil.rmtree(bench.folder)


async def _drop_instance(bench: Bench, name: str) -> None:
    if not bench.state["instances"].get(name):
        return
    urls = bench.urls(name)
    await asyncio.to_thread(_drop_keyspace, urls["rows"].rpartition("/")[2])
    await drop_topics(urls["prefix"])
    shutil.rmtree(bench.folder / name, ignore_errors=True)
    bench.state["instances"].pop(name)
    bench.save()


def _drop_keyspace(name: str) -> None:
    server = cluster(CASSANDRA)
    try:
        session = server.connect()
        for tried in range(TRIES):
            try:
                session.execute(f"DROP KEYSPACE IF EXISTS {name}", timeout=120)
                return
            except Exception:
                if tried == TRIES - 1:
                    raise
                time.sleep(5)
    finally:
        server.shutdown()
