"""Exhausts of a large batch, beside the bare reads of the same rows and a bare CSV of them: ``python -m bench exhaust
[real|embedded] [LEARNERS] [QUESTIONS]``.

Each is written by a process of its own, so that its memory is the exhaust's alone.
"""

import asyncio
import csv
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ingest.exhausts.requests import ExhaustCall, create_exhaust, run_exhaust
from ingest.writes.triggers import trigger_of
from loaders.attempts import attempt_key
from loaders.enrolments import row_key
from loaders.questions import slim_values, whole_attempt_values
from rules.attempts import Attempt, Question, WholeAttempt, write_time
from rules.exhausts import ExhaustFormat, ExhaustKind
from rules.identifiers import ProgressKey, ViewKey
from rules.jobs import JobState
from rules.learners import ATTRIBUTES
from rules.triggers import TriggerKind
from stores.rows import Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, ENROLMENTS, LEARNER_SCOPES, LEARNERS
from stores.topics import TRIGGERS
from tests.archived_files import archive_questions
from tests.conftest import Instance, cluster, embedded_urls, instance_of, real_urls

LEARNERS_IN_ALL = 10_000
QUESTIONS = 20
AT_ONCE = 500
"""Learners whose rows are written together."""
AT_A_TIME = 64
"""Statements of the floor under way."""
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "correct horse battery"
_LONG = "Which of these sentences says what the paragraph above is about? "


async def main(
    engines: str = "real", learners: str = str(LEARNERS_IN_ALL), questions: str = str(QUESTIONS)
) -> None:
    urls = real_urls() if engines == "real" else embedded_urls()
    count, each = int(learners), int(questions)
    table = Table(
        *(
            "exhaust",
            "rows",
            "MB",
            "seconds",
            "CPU",
            "rows/s",
            "memory: before, at most",
            "floor: seconds",
            "memory",
            "ratio",
        ),
        title=f"{count:,} learners, {each} questions each, {engines}",
    )
    with tempfile.TemporaryDirectory() as folder:
        async with instance_of(urls, Path(folder)) as instance:
            await instance.publish()
            await instance.batch()
            began = time.perf_counter()
            for first in range(0, count, AT_ONCE):
                await _write(
                    instance, [f"learner-{n:06}" for n in range(first, min(first + AT_ONCE, count))], each
                )
            await instance.drain(within=3600)
            Console().print(f"made in {time.perf_counter() - began:.0f} s")
            for kind in ExhaustKind:
                floor = (
                    await _own_process("floor", instance, kind.value, str(count))
                    if engines == "real"
                    else None
                )
                for form in ExhaustFormat:
                    await _measure(table, instance, ExhaustCall(kind, "course", "batch", form), floor)
                encrypted = ExhaustCall(kind, "course", "batch", password=PASSWORD)
                await _measure(table, instance, encrypted, floor)
            await archive_questions(instance.shared)
            await _measure(
                table, instance, ExhaustCall(ExhaustKind.RESPONSES, "course", "batch"), None, ", archived"
            )
            async for blob in instance.stores.blobs.below("exhausts"):
                await instance.stores.blobs.delete(blob.name)
            async for blob in instance.stores.blobs.below("archived-batches"):
                await instance.stores.blobs.delete(blob.name)
    Console(width=200).print(table)


async def _write(instance: Instance, users: list[str], questions: int) -> None:
    """Enrolled, with a profile and one attempt; the workers do the rest."""
    writes = []
    for user in users:
        key = ProgressKey(user, "course", "batch")
        place = row_key(key)
        attempt = Attempt(
            ViewKey(*place, "b"),
            "attempt",
            1.0 * questions,
            2.0 * questions,
            AT,
            AT,
            AT,
            write_time(AT),
            "hash",
        )
        whole = WholeAttempt(
            attempt, [_question(number) for number in range(questions)], "1/2", "Course", "Batch"
        )
        writes += [
            Write(ENROLMENTS, place, {"active": True, "enrolled_on": AT, "changed_at": 1}),
            Write(LEARNER_SCOPES, place, {"scope": "course"}),
            Write(LEARNERS, (user,), {"name": user, "attributes": dict.fromkeys(ATTRIBUTES, "some value")}),
            Write(
                ATTEMPTS_WITH_QUESTIONS, attempt_key(attempt), whole_attempt_values(whole), attempt.written_at
            ),
            Write(ATTEMPTS, attempt_key(attempt), slim_values(whole), attempt.written_at),
        ]
    await instance.stores.rows.write(*writes)
    keys = [ProgressKey(user, "course", "batch") for user in users]
    await instance.stores.events.send(
        TRIGGERS.name, *(trigger_of(TriggerKind.ENROLMENT, key) for key in keys)
    )


def _question(number: int) -> Question:
    options = [{str(option): f"<p>The answer {option}</p>"} for option in range(4)]
    title = f"{number}. {_LONG}"
    return Question(f"question-{number}", AT, 1.0, 2.0, "mcq", title, _LONG, 12.5, options, [{"value": "2"}])


async def _measure(
    table: Table, instance: Instance, call: ExhaustCall, floor: dict[str, Any] | None, how: str = ""
) -> None:
    job = await create_exhaust(instance.session(), call)
    told = await _own_process("exhaust", instance, job.id)
    what = f"{call.kind.value}, {call.format.value}{', encrypted' if call.password else ''}{how}"
    before, most = told["memory"]
    shown = ("", "", "")
    if floor is not None:
        ratio = told["seconds"] / floor["seconds"]
        shown = (f"{floor['seconds']:.1f}", f"{floor['memory']:.0f} MB", f"{ratio:.2f}")
    table.add_row(
        *(
            what,
            f"{told['rows']:,}",
            f"{told['size'] / 1e6:.1f}",
            f"{told['seconds']:.1f}",
            f"{told['cpu']:.1f}",
        ),
        *(f"{told['rows'] / told['seconds']:,.0f}", f"{before:.0f}, {most:.0f} MB", *shown),
    )


async def _own_process(what: str, instance: Instance, *arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "bench.exhaust",
            what,
            json.dumps(instance.urls),
            str(instance.data),
            *arguments,
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate()
    told: dict[str, Any] = json.loads(answer)
    return told


async def _run_here(urls: dict[str, str], data: Path, job_id: str) -> dict[str, Any]:
    async with Instance(urls, data).opened() as shared:
        before, began, cpu = _memory(), time.perf_counter(), time.process_time()
        job = await run_exhaust(shared, job_id)
        if job.state is not JobState.DONE:
            raise RuntimeError(job.error)
        return {
            **job.steps[0].checkpoint.report,
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
            "memory": [before, _memory()],
        }


_BARE = {
    "responses": ["SELECT * FROM assessment_aggregator WHERE user_id = ? AND collection_id = 'course'"],
    "progress": [
        "SELECT * FROM user_enrolments WHERE userid = ? AND collectionid = 'course'",
        "SELECT * FROM learner WHERE userid = ?",
        "SELECT * FROM user_activity_agg_v2 WHERE activity_type = 'Course' AND activity_id = 'course' AND user_id = ?",
        "SELECT * FROM assessment_attempt WHERE user_id = ? AND collection_id = 'course'",
    ],
}


def _floor(urls: dict[str, str], data: Path, kind: str, learners: int) -> dict[str, Any]:
    """The same rows by cassandra-driver, AT_A_TIME statements at once, and the same CSV, into a file on this machine."""
    from cassandra.concurrent import execute_concurrent_with_args

    driver = cluster(urls["rows"])
    session = driver.connect(urls["rows"].rpartition("/")[2])
    session.default_timeout = 120.0  # others may use the servers too
    statements = [session.prepare(text) for text in _BARE[kind]]
    began = time.perf_counter()
    with (data / "floor.csv").open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file)
        for first in range(0, learners, AT_ONCE):
            users = [(f"learner-{n:06}",) for n in range(first, min(first + AT_ONCE, learners))]
            found = [
                [
                    row
                    for _, rows in execute_concurrent_with_args(session, one, users, concurrency=AT_A_TIME)
                    for row in rows
                ]
                for one in statements
            ]
            write.writerows(_questions(found[0]) if kind == "responses" else _joined(found))
    took = time.perf_counter() - began
    driver.shutdown()
    return {"seconds": took, "memory": _memory()}


def _questions(rows: list[Any]) -> Iterator[list[Any]]:
    for row in rows:
        head = [
            "course",
            "Course",
            "batch",
            "Batch",
            row.user_id,
            row.content_id,
            "B",
            row.attempt_id,
            row.last_attempted_on,
        ]
        for each in row.question:
            yield [
                *head,
                *(
                    each.id,
                    each.type,
                    each.title,
                    each.description,
                    each.duration,
                    each.score,
                    each.max_score,
                ),
                *(
                    json.dumps([dict(one) for one in each.params]),
                    json.dumps([dict(one) for one in each.resvalues]),
                ),
            ]


def _joined(found: list[list[Any]]) -> Iterator[list[Any]]:
    for enrolment, learner, aggregate, attempt in zip(*found, strict=True):
        yield [
            *(
                "course",
                "Course",
                "batch",
                "Batch",
                enrolment.userid,
                learner.name,
                *dict(learner.attributes).values(),
            ),
            *(enrolment.enrolled_on, enrolment.active, enrolment.status, enrolment.completedon),
            *(*dict(aggregate.aggregates).values(), attempt.total_score, attempt.total_max_score),
        ]


def _memory() -> float:
    """The most that this process ever had, in MB. The figure of ``getrusage`` begins with that of the parent."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    what, urls, data, *rest = sys.argv[1:]
    if what == "floor":
        print(json.dumps(_floor(json.loads(urls), Path(data), rest[0], int(rest[1]))))
    else:
        print(json.dumps(asyncio.run(_run_here(json.loads(urls), Path(data), rest[0]))))
