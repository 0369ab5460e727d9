"""Submitted attempts: ``python -m bench attempts [real|embedded]``.

What one attempt taker does in a second, beside the reads, the writes and the sends that it needs, of rows that are there
already; in turns.
"""

import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bench.population import course
from ingest.attempts.taking import take
from ingest.writes.triggers import send_trigger, trigger_of
from loaders.enrolments import enrolments_by_key
from loaders.erasures import erased_places
from rules.identifiers import ProgressKey
from rules.triggers import TriggerKind
from stores.events import Record
from stores.rows import Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, LEARNER_SCOPES
from stores.topics import ASSESSMENTS, TRIGGERS
from tests.conftest import Instance, embedded_urls, instance_of, real_urls
from tests.ingest.test_sample import rows_of

QUESTIONS = 20
BATCH = 500
TURNS, WARM_UP = 8, 1
AT_MS = 1_769_860_800_000
CONTENT = "big-leaf-0"


@dataclass
class Rate:
    """Attempts a second, by the clock and by the CPU of the process."""

    wall: float
    cpu: float


def submission(user: str) -> bytes:
    """As a player sends it: some 8 KB."""
    events = [
        {
            "eid": "ASSESS",
            "ets": AT_MS + number,
            "ver": "3.1",
            "mid": f"ASSESS:{user}:{number}",
            "actor": {"id": user, "type": "User"},
            "edata": {
                "item": {
                    "id": f"question-{number}",
                    "maxscore": 1,
                    "type": "mcq",
                    "title": f"Question {number}",
                    "desc": "Which one of these is right?",
                    "params": [{str(n): orjson.dumps({"text": f"Option {n}"}).decode()} for n in range(4)],
                },
                "index": number,
                "pass": "Yes",
                "score": number % 2,
                "resvalues": [{"1": "Option 1"}],
                "duration": 7,
            },
        }
        for number in range(QUESTIONS)
    ]
    told = {"assessmentTs": AT_MS, "batchId": "batch", "courseId": "big", "userId": user, "attemptId": "1"}
    return orjson.dumps({**told, "contentId": CONTENT, "events": events})


def batch(name: str) -> list[Record]:
    users = [f"{name}-{number:04d}" for number in range(BATCH)]
    return [Record(ASSESSMENTS.name, 0, n, AT_MS + n, user, submission(user)) for n, user in enumerate(users)]


async def bare(
    cohort: Instance, name: str, rows: Sequence[dict[str, Any]], slim: Sequence[dict[str, Any]]
) -> None:
    """The statements and sends of a batch, whose values are known beforehand."""
    stores = cohort.stores
    users = [f"{name}-{number:04d}" for number in range(BATCH)]
    keys = [ProgressKey(user, "big", "batch") for user in users]
    await enrolments_by_key(stores.rows, keys)
    await erased_places(stores.rows, keys)
    await stores.rows.partitions(ATTEMPTS, [(user, "big") for user in users], prefix=("batch", CONTENT))
    await stores.rows.write(
        *(Write(LEARNER_SCOPES, (user, "big", "batch"), {"scope": "big"}, AT_MS * 1000) for user in users)
    )
    for table, those in ((ATTEMPTS_WITH_QUESTIONS, rows), (ATTEMPTS, slim)):
        columns = [name for name in those[0] if name not in table.key]
        await stores.rows.write(
            *(
                Write(table, (user, "big", "batch", CONTENT, "1"), {c: row[c] for c in columns}, AT_MS * 1000)
                for user, row in zip(users, those, strict=True)
            )
        )
    await erased_places(stores.rows, keys)
    await stores.events.send(TRIGGERS.name, *(trigger_of(TriggerKind.ATTEMPT, key, CONTENT) for key in keys))


async def timed(work: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    began, used = time.perf_counter(), time.process_time()
    await work()
    return time.perf_counter() - began, time.process_time() - used


async def measured(cohort: Instance) -> tuple[Rate, Rate]:
    """The rates of the bare statements and of the taker."""
    await take(cohort.shared, batch("first"))
    await send_trigger(cohort.stores, TriggerKind.ATTEMPT, ProgressKey("first", "big", "batch"))
    rows, slim = await rows_of(cohort.shared, ATTEMPTS_WITH_QUESTIONS), await rows_of(cohort.shared, ATTEMPTS)
    floor, mine = [0.0, 0.0], [0.0, 0.0]
    for turn in range(TURNS + WARM_UP):
        sent = batch(f"taken-{turn}")
        of_floor = await timed(lambda turn=turn: bare(cohort, f"bare-{turn}", rows, slim))  # type: ignore[misc]
        of_taker = await timed(lambda sent=sent: take(cohort.shared, sent))  # type: ignore[misc]
        if turn >= WARM_UP:
            floor = [total + one for total, one in zip(floor, of_floor, strict=True)]
            mine = [total + one for total, one in zip(mine, of_taker, strict=True)]
    taken = TURNS * BATCH
    return Rate(taken / floor[0], taken / floor[1]), Rate(taken / mine[0], taken / mine[1])


async def main(engines: str = "real") -> None:
    urls = real_urls() if engines == "real" else embedded_urls()
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cohort = await stack.enter_async_context(instance_of(urls, data))
        await cohort.publish(course("big", 20))
        await cohort.batch("batch", "big")
        floor, mine = await measured(cohort)
    table = Table(
        *("what", "bare statements and sends", "Cohort", "ratio of times"),
        title=f"attempts of {QUESTIONS} questions a second, {engines} engines, one process, batches of {BATCH}",
    )
    table.add_row("by the clock", f"{floor.wall:,.0f}", f"{mine.wall:,.0f}", f"{floor.wall / mine.wall:.2f}")
    table.add_row("by its CPU", f"{floor.cpu:,.0f}", f"{mine.cpu:,.0f}", f"{floor.cpu / mine.cpu:.2f}")
    Console().print(table)
