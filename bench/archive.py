"""Runs of the archive over a year of attempts, each beside its floor: ``python -m bench archive [embedded] [--attempts N] [--rounds
N] [--profile FILE]``.

The floor does the same with nothing but the driver: it reads the rows, writes the same lines and files, reads these back, and sends as
many changes as the archive does, to rows of its own. Each is a process of its own, so that CPU and memory are its alone.
"""

import asyncio
import cProfile
import hashlib
import json
import statistics
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from bench.measured_command import most_memory
from gateway.gc_tuning import collect_rarely
from ingest.archival import ArchivalOrder, archive
from ingest.writes.retrying import Attempts
from loaders.archived_questions import archived_attempts
from loaders.archives import FILE_COLUMNS
from loaders.attempts import attempt_key
from loaders.questions import slim_values, whole_attempt_values
from loaders.session import Shared
from rules.archives import ARCHIVE_ORDER
from rules.attempts import Attempt, Question, WholeAttempt, write_time
from rules.errors import StoreUnavailable
from rules.identifiers import ViewKey
from stores.column_files import FileFormat, read_file, write_file
from stores.rows import Row, Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS
from tests.conftest import NOW, Instance, cluster, embedded_urls, instance_of, real_urls

WEEKS = 52
CLASS = 250
"""Learners of a batch. Each makes an attempt a week."""
QUESTIONS = 5
AFTER = timedelta(days=90)
FIRST = NOW - AFTER - timedelta(weeks=WEEKS)
AT_ONCE = 1000
"""Attempts that are written together."""
PAGE = 500
BATCH = 30
BATCHES_AT_ONCE = 64


async def main(*arguments: str) -> None:
    parser = ArgumentParser("bench archive")
    parser.add_argument("engines", nargs="?", choices=("real", "embedded"), default="real")
    parser.add_argument("--attempts", type=int, default=6_500, help="of a round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--profile", type=Path, help="where cProfile's figures of the last run go, of CPU alone"
    )
    asked = parser.parse_args(arguments)
    runs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    with tempfile.TemporaryDirectory() as folder:
        urls = real_urls() if asked.engines == "real" else embedded_urls()
        async with instance_of(urls, Path(folder)) as instance:
            for number in range(asked.rounds):
                name = f"round-{number}"
                before = await _store(instance.shared, asked.attempts, name)
                floor = await _process(instance, "floor")
                profiled = asked.profile if number == asked.rounds - 1 else None
                archived = await _process(instance, "archive", *([str(profiled)] if profiled else []))
                runs.append((floor, archived))
                after = await _checksum(instance.shared, f"{name}-batch-0")
                if before != after or archived["report"]["archived"] != asked.attempts:
                    raise SystemExit(f"{name}: the archive is not what was stored")
            # Before the instance is emptied, which the server may refuse: it has a tombstone for each attempt.
            _tell(asked.attempts, asked.engines, runs)


def _tell(attempts: int, engines: str, runs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    say = Console(highlight=False, soft_wrap=True).print
    say(f"{len(runs)} rounds of {attempts:,} attempts of {QUESTIONS} questions, {engines} engines")
    for what, those in zip(("floor", "archive"), zip(*runs, strict=True), strict=True):
        cpu = [one["cpu"] * 1000 / attempts for one in those]
        wall = [one["seconds"] * 1000 / attempts for one in those]
        statements = Counter(those[-1]["statements"])
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in statements.most_common(8))
        say(
            f"{what}: CPU {min(cpu):.3f}, {statistics.median(cpu):.3f} ms an attempt (least, median); "
            f"by the clock {min(wall):.3f}, {statistics.median(wall):.3f} ms; "
            f"{statements.total() / attempts:.3f} statements an attempt; {max(one['memory'] for one in those):.0f} MB at most"
        )
        lines, files = those[-1]["lines"] / attempts, those[-1]["files"] / attempts
        say(f"  bytes an attempt: {f'{lines:,.0f} of JSON, ' if lines else ''}{files:,.0f} of its file")
        say(f"  {kinds}")
    ratios = [archived["cpu"] / floor["cpu"] for floor, archived in runs]
    say(
        f"ratio of CPU, median: {statistics.median(ratios):.2f}; every batch-0 as a whole is the same before and after"
    )


async def _store(shared: Shared, attempts: int, name: str) -> str:
    """Writes the rows of a round as the attempt takers do. Returns the checksum of its first batch."""
    first = []
    for some in _chunks(_attempts(attempts, name)):
        first += [whole for whole in some if whole.attempt.key.context_id == f"{name}-batch-0"]
        async for _ in Attempts():
            with suppress(StoreUnavailable):  # other work on the machine may make the servers slow
                await shared.stores.rows.write(*_writes(some))
                break
        else:
            raise RuntimeError("the rows do not take the attempts")
    return _digest(first)


def _attempts(count: int, name: str) -> Iterator[WholeAttempt]:
    for number in range(count):
        learner, week = divmod(number, WEEKS)
        at = FIRST + timedelta(weeks=week, seconds=learner % 400_000)
        key = ViewKey(
            f"{name}-learner-{learner:07d}", "course", f"{name}-batch-{learner // CLASS}", f"quiz-{week % 12}"
        )
        score = float(number % (QUESTIONS + 1))
        attempt = Attempt(
            *(key, f"{number:032x}", score, float(QUESTIONS), at, at, at, write_time(at), f"{number:016x}")
        )
        asked = [
            Question(
                *(f"do_3130928636168192{number % 997:03d}{item}", at, float(item < score), 1.0, "mcq"),
                title=f"Which of these is the answer to question {item} of week {week}?",
                duration=float(number % 60),
                options=[{str(one): f"the answer number {one} of question {item}"} for one in range(4)],
                answers=[{str(number % 4): f"the answer number {number % 4} of question {item}"}],
            )
            for item in range(QUESTIONS)
        ]
        yield WholeAttempt(attempt, asked, f"{score}/{float(QUESTIONS)}", "Course", key.context_id)


def _chunks(attempts: Iterator[WholeAttempt]) -> Iterator[list[WholeAttempt]]:
    some: list[WholeAttempt] = []
    for attempt in attempts:
        some.append(attempt)
        if len(some) == AT_ONCE:
            yield some
            some = []
    yield some


def _writes(wholes: list[WholeAttempt]) -> Iterator[Write]:
    for whole in wholes:
        key, at = attempt_key(whole.attempt), whole.attempt.written_at
        yield Write(ATTEMPTS_WITH_QUESTIONS, key, whole_attempt_values(whole), at)
        yield Write(ATTEMPTS, key, {**slim_values(whole), "archived_in": None}, at)


async def _process(instance: Instance, *what: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.archive", json.dumps(instance.urls), str(instance.data), *what),
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate()
    told: dict[str, Any] = json.loads(answer)
    return told


async def _archived(urls: dict[str, str], data: Path, profile_to: str | None = None) -> dict[str, Any]:
    """A run in this process, as ``cohort archive run`` has it."""
    collect_rarely()
    profile = cProfile.Profile(time.thread_time)
    async with Instance(urls, data).opened() as shared:
        began, cpu = time.perf_counter(), time.process_time()
        if profile_to is not None:
            profile.enable()
        report = await archive(shared, ArchivalOrder(AFTER))
        profile.disable()
        told = {
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
            "memory": most_memory(),
            "statements": dict(shared.stores.rows.meter.counts),
        }
    if profile_to is not None:
        profile.dump_stats(profile_to)
    # Of the archive nobody else has a look at the lines.
    return {**told, "report": asdict(report), "lines": 0, "files": report.size}


async def _floor(urls: dict[str, str], data: Path) -> dict[str, Any]:
    """The same rows, lines, files and changes in this process: on real engines by cassandra-driver, else by the port itself, as
    SQLite has no asynchronous driver below ours."""
    with tempfile.TemporaryDirectory(dir=data) as folder:
        if urls["rows"].startswith("cassandra"):
            driver = cluster(urls["rows"])
            try:
                session = driver.connect(urls["rows"].rpartition("/")[2])
                session.default_timeout = 120.0  # others may use the servers too
                bare = _Bare(session)
                began, cpu = time.perf_counter(), time.process_time()
                lines, files = await _filed(bare.lines(), Path(folder))
                bare.change()
                took = time.perf_counter() - began, time.process_time() - cpu
            finally:
                driver.shutdown()
            statements = bare.statements
        else:
            async with Instance(urls, data).opened() as shared:
                port = _Port(shared)
                began, cpu = time.perf_counter(), time.process_time()
                lines, files = await _filed(await port.lines(), Path(folder))
                await port.change()
                took = time.perf_counter() - began, time.process_time() - cpu
                statements = Counter(shared.stores.rows.meter.counts)
    told = {"seconds": took[0], "cpu": took[1], "memory": most_memory(), "statements": statements}
    return {**told, "lines": lines, "files": files}


async def _filed(rows: Iterator[tuple[str, datetime, bytes]], folder: Path) -> tuple[int, int]:
    """Writes a file of each context and week, and reads it back. Returns the bytes of lines and files."""
    parts: dict[tuple[object, ...], list[bytes]] = {}
    for context_id, at, line in rows:
        parts.setdefault((context_id, *at.isocalendar()[:2]), []).append(line)
    lines, to, sizes = folder / "lines.json", folder / "file.parquet", [0, 0]
    for part in parts.values():
        sizes[0] += lines.write_bytes(b"".join(part))
        await write_file(lines, to, FILE_COLUMNS, FileFormat.PARQUET, order=ARCHIVE_ORDER)
        sizes[1] += len(content := to.read_bytes())
        hashlib.sha256(content).digest()
        found = [row async for page in read_file(to, FILE_COLUMNS, FileFormat.PARQUET) for row in page]
        if len(found) != len(part):
            raise RuntimeError("a file has other rows")
    return sizes[0], sizes[1]


def _line(stored: dict[str, Any], question: list[dict[str, Any]]) -> tuple[str, datetime, bytes]:
    row = {name: stored.get(name) for name in FILE_COLUMNS}
    row |= {"course_id": stored["collection_id"], "batch_id": stored["context_id"]}
    row |= {"course_name": stored["collection_name"], "batch_name": stored["context_name"]}
    for moment in ("created_on", "last_attempted_on", "updated_on"):
        row[moment] = int(stored[moment].timestamp() * 1000)
    row["question"] = orjson.dumps(question).decode()
    return stored["context_id"], stored["updated_on"], orjson.dumps(row) + b"\n"


def _own(key: Sequence[str]) -> list[str]:
    """The key of a row that nobody has: the floor changes nothing that the archive will read."""
    return [f"floor-{key[0]}", *key[1:]]


class _Bare:
    """cassandra-driver as its documentation shows it."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._keys: list[tuple[list[str], int]] = []
        self.statements: Counter[str] = Counter()

    def lines(self) -> Iterator[tuple[str, datetime, bytes]]:
        statement = self._session.prepare(f"SELECT * FROM {ATTEMPTS_WITH_QUESTIONS.name}")
        statement.fetch_size = PAGE
        for number, row in enumerate(self._session.execute(statement)):
            self.statements["select"] += number % PAGE == 0
            stored = row._asdict()
            self._keys.append(([stored[name] for name in ATTEMPTS.key], stored["written_at"] + 1))
            yield _line(stored, [self._question(each) for each in row.question])

    @staticmethod
    def _question(each: Any) -> dict[str, Any]:
        chosen = {name: [dict(one) for one in getattr(each, name)] for name in ("resvalues", "params")}
        return {**each._asdict(), **chosen}

    def change(self) -> None:
        from cassandra.concurrent import execute_concurrent
        from cassandra.query import BatchStatement, BatchType

        where = " AND ".join(f"{name} = ?" for name in ATTEMPTS.key)
        mark = self._session.prepare(
            f"UPDATE {ATTEMPTS.name} USING TIMESTAMP ? SET archived_in = ? WHERE {where}"
        )
        delete = self._session.prepare(
            f"DELETE FROM {ATTEMPTS_WITH_QUESTIONS.name} USING TIMESTAMP ? WHERE {where}"
        )
        for statement, more in ((mark, ["request"]), (delete, [])):
            batches = []
            for first in range(0, len(self._keys), BATCH):
                batch = BatchStatement(BatchType.UNLOGGED)
                for key, at in self._keys[first : first + BATCH]:
                    batch.add(statement, [at, *more, *_own(key)])
                batches.append((batch, ()))
            self.statements["batch"] += len(batches)
            execute_concurrent(self._session, batches, concurrency=BATCHES_AT_ONCE)


class _Port:
    """The rows port on SQLite."""

    def __init__(self, shared: Shared) -> None:
        self._rows = shared.stores.rows
        self._stored: list[Row] = []

    async def lines(self) -> Iterator[tuple[str, datetime, bytes]]:
        (ring,) = self._rows.ranges(1)
        async for page in self._rows.walk(ATTEMPTS_WITH_QUESTIONS, ring, page_size=PAGE):
            self._stored += page.rows
        return (_line(row, row["question"]) for row in self._stored)

    async def change(self) -> None:
        for first in range(0, len(self._stored), AT_ONCE):
            some = self._stored[first : first + AT_ONCE]
            keys = [
                (tuple(_own([row[name] for name in ATTEMPTS.key])), row["written_at"] + 1) for row in some
            ]
            marks = (Write(ATTEMPTS, key, {"archived_in": "request"}, at, insert=False) for key, at in keys)
            await self._rows.write(*marks)
            await self._rows.write(
                *(Write(ATTEMPTS_WITH_QUESTIONS, key, {}, at, delete=True) for key, at in keys)
            )


async def _checksum(shared: Shared, context_id: str) -> str:
    return _digest([whole async for page in _pages(shared, context_id) for whole in page])


def _pages(shared: Shared, context_id: str) -> AsyncIterator[list[WholeAttempt]]:
    return archived_attempts(shared.stores, context_id)


def _digest(wholes: list[WholeAttempt]) -> str:
    rows = [replace(one, attempt=replace(one.attempt, archived_in=None)) for one in wholes]
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: attempt_key(row.attempt)):
        digest.update(repr(row).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    given, folder_given, what, *more = sys.argv[1:]
    measured = _floor if what == "floor" else _archived
    print(json.dumps(asyncio.run(measured(json.loads(given), Path(folder_given), *more))))
