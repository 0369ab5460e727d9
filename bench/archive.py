"""A first run of the archive over a year of attempts, beside writing the same files alone: ``python -m bench archive``.

The run is a process of its own, so that its memory is the archive's alone.
"""

import asyncio
import hashlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from ingest.archival import ArchivalOrder, archive
from ingest.writes.retrying import Attempts
from loaders.archived_questions import archived_attempts
from loaders.archives import FILE_COLUMNS, all_archives
from loaders.attempts import attempt_key
from loaders.questions import slim_values, whole_attempt_values
from loaders.session import Shared
from rules.archives import ARCHIVE_ORDER, archive_row
from rules.attempts import Attempt, Question, WholeAttempt, write_time
from rules.errors import StoreUnavailable
from rules.identifiers import ViewKey
from stores.column_files import read_file, write_file
from stores.rows import Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS
from tests.conftest import NOW, Instance, embedded_urls, instance_of, real_urls

WEEKS = 52
CLASS = 250
"""Learners of a batch. Each makes an attempt a week."""
QUESTIONS = 5
AFTER = timedelta(days=90)
FIRST = NOW - AFTER - timedelta(weeks=WEEKS)
AT_ONCE = 1000
"""Attempts that are written together."""


async def main(*arguments: str) -> None:
    attempts = int(arguments[arguments.index("--attempts") + 1]) if "--attempts" in arguments else 20_000
    real = "embedded" not in arguments
    with tempfile.TemporaryDirectory() as folder:
        async with instance_of(real_urls() if real else embedded_urls(), Path(folder)) as instance:
            began = time.perf_counter()
            before = await _store(instance.shared, attempts)
            stored = time.perf_counter() - began
            told = await _archive_in_process(instance)
            alone, lines, files, size = await _write_alone(instance.shared, Path(folder))
            after = await _checksum(instance.shared, "batch-0")
            # Before the instance is emptied, which the server may refuse: it has a tombstone for each attempt.
            _tell(attempts, real, stored, told, (alone, lines, files, size), before, after)


def _tell(
    attempts: int,
    real: bool,
    stored: float,
    told: dict[str, Any],
    written_alone: tuple[float, int, int, int],
    before: str,
    after: str,
) -> None:
    alone, lines, files, size = written_alone
    report = told["report"]
    say = Console().print
    say(
        f"{attempts:,} attempts of {QUESTIONS} questions, stored in {stored:.0f} s, {'real' if real else 'embedded'} engines"
    )
    say(
        f"archived {report['archived']:,} in {report['files']:,} files: {told['seconds']:.1f} s, CPU {told['cpu']:.1f} s; "
        f"{lines:,} bytes of JSON became {size:,} bytes"
    )
    say(f"memory: {told['memory'][0]:.0f} MB before, {told['memory'][1]:.0f} MB at most")
    say(f"the same {files:,} files written alone: {alone:.1f} s; ratio {told['seconds'] / alone:.1f}")
    same = "identical" if before == after else "DIFFERENT"
    say(f"batch-0 as a whole, before and after: {same}, SHA-256 {after}")
    if before != after or report["archived"] != attempts:
        raise SystemExit(1)


async def _store(shared: Shared, attempts: int) -> str:
    """Writes the rows as the attempt takers do. Returns the checksum of the first batch."""
    first = []
    for some in _chunks(_attempts(attempts)):
        first += [whole for whole in some if whole.attempt.key.context_id == "batch-0"]
        async for _ in Attempts():
            with suppress(StoreUnavailable):  # other work on the machine may make the servers slow
                await shared.stores.rows.write(*_writes(some))
                break
        else:
            raise RuntimeError("the rows do not take the attempts")
    return _digest(first)


def _attempts(count: int) -> Iterator[WholeAttempt]:
    for number in range(count):
        learner, week = divmod(number, WEEKS)
        at = FIRST + timedelta(weeks=week, seconds=learner % 400_000)
        key = ViewKey(f"learner-{learner:07d}", "course", f"batch-{learner // CLASS}", f"quiz-{week % 12}")
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


async def _archive_in_process(instance: Instance) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.archive", json.dumps(instance.urls), str(instance.data)),
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate()
    told: dict[str, Any] = json.loads(answer)
    return told


async def run_here(urls: dict[str, str], data: Path) -> dict[str, Any]:
    async with Instance(urls, data).opened() as shared:
        before, began, cpu = _memory(), time.perf_counter(), time.process_time()
        report = await archive(shared, ArchivalOrder(AFTER))
        return {
            "report": asdict(report),
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
            "memory": [before, _memory()],
            "statements": dict(shared.stores.rows.meter.counts),
        }


def _memory() -> float:
    """The most that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _write_alone(shared: Shared, folder: Path) -> tuple[float, int, int, int]:
    """Seconds that writing the same files takes out of their lines. Bytes of the lines; the files and their bytes."""
    seconds, read, files, size = 0.0, 0, 0, 0
    lines, to = folder / "lines.json", folder / "file.parquet"
    async for one in all_archives(shared.stores.rows):
        async with shared.stores.copies.copy(one.blob) as path:
            pages = [page async for page in read_file(path, FILE_COLUMNS, one.form)]
        lines.write_bytes(b"".join(orjson.dumps(row) + b"\n" for page in pages for row in page))
        began = time.perf_counter()
        await write_file(lines, to, FILE_COLUMNS, one.form, order=ARCHIVE_ORDER)
        seconds += time.perf_counter() - began
        read, files, size = read + lines.stat().st_size, files + 1, size + (one.size or 0)
    return seconds, read, files, size


async def _checksum(shared: Shared, context_id: str) -> str:
    return _digest([whole async for page in _pages(shared, context_id) for whole in page])


def _pages(shared: Shared, context_id: str) -> AsyncIterator[list[WholeAttempt]]:
    return archived_attempts(shared.stores, context_id)


def _digest(wholes: list[WholeAttempt]) -> str:
    rows = [archive_row(replace(one, attempt=replace(one.attempt, archived_in=None))) for one in wholes]
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: (row["user_id"], row["content_id"], row["attempt_id"])):
        digest.update(orjson.dumps(row))
    return digest.hexdigest()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run_here(json.loads(sys.argv[1]), Path(sys.argv[2])))))
