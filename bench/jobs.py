"""Jobs that walk everything: ``python -m bench jobs [real|embedded]``. What they cost for each key, in CPU and statements.

The floor of a key is what cannot be left out: its enrolment, its views and its figures are each read once.
"""

import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.population import course, write_all
from gateway.gc_tuning import collect_rarely
from ingest.aggregation.run import aggregate
from ingest.jobs.reconcile import reconcile
from loaders.views import row_key, view_values
from rules.contexts import bucket_of
from rules.identifiers import ProgressKey, ViewKey
from rules.progress import Status
from rules.triggers import Trigger, TriggerKind
from rules.views import View
from stores.events import Message
from stores.rows import Write
from stores.tables import ENROLMENTS, ENROLMENTS_BY_CONTEXT, LEARNER_SCOPES, VIEWS
from stores.topics import TRIGGERS
from tests.conftest import Instance, embedded_urls, instance_of, real_urls

LEARNERS, COURSES, LEAVES, VIEWED = 1_000, 4, 40, 10
"""Each learner is in each course, and has begun so many of its leaves."""
TOUCHED = 40
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
UNBOUND = 1e9
"""Keys a second: the job is not held back."""


@dataclass(frozen=True)
class Figure:
    """``keys``: of how many; ``cpu``: seconds of this process; ``statements``: to the rows."""

    what: str
    keys: int
    seconds: float
    cpu: float
    statements: int


def keys_of(learners: int = LEARNERS) -> Iterator[ProgressKey]:
    for learner in range(learners):
        for number in range(COURSES):
            yield ProgressKey(f"learner-{learner:05d}", f"course-{number}", f"batch-{number}")


def writes_of(key: ProgressKey) -> Iterator[Write]:
    """What commands leave of an enrolment with its views."""
    enrolled = {"active": True, "enrolled_on": AT}
    yield Write(ENROLMENTS, tuple(key), {**enrolled, "changed_at": 1})
    place = (key.context_id, key.collection_id, bucket_of(key.user_id, 1), key.user_id)
    yield Write(ENROLMENTS_BY_CONTEXT, place, enrolled)
    yield Write(LEARNER_SCOPES, tuple(key), {"scope": key.collection_id})
    for leaf in range(VIEWED):
        content = f"{key.collection_id}-leaf-{leaf * (LEAVES // VIEWED)}"
        view = View(
            ViewKey(*key, content), Status.COMPLETED, started_on=AT, last_accessed_on=AT, last_updated_on=AT
        )
        yield Write(VIEWS, row_key(view.key), {**view_values(view), "changed_at": 1})


async def fill(cohort: Instance) -> None:
    """Enrolments with their views, and what the workers make of them."""
    for number in range(COURSES):
        await cohort.publish(course(f"course-{number}", LEAVES))
        await cohort.batch(f"batch-{number}", f"course-{number}")
    await write_all(cohort, [write for key in keys_of() for write in writes_of(key)])
    await _send(cohort, keys_of())


async def _send(cohort: Instance, keys: Iterator[ProgressKey]) -> None:
    triggers = [Message(key.user_id, Trigger(TriggerKind.VIEW, *key, None).encode()) for key in keys]
    await cohort.stores.events.send(TRIGGERS.name, *triggers)
    await cohort.drain(within=600)


async def measured(cohort: Instance, what: str, keys: int, work: Callable[[], Awaitable[object]]) -> Figure:
    meter = cohort.stores.rows.meter
    began, cpu, before = time.perf_counter(), time.process_time(), meter.counts.total()
    await work()
    return Figure(
        *(what, keys, time.perf_counter() - began, time.process_time() - cpu),
        meter.counts.total() - before,
    )


async def main(engines: str = "real") -> None:
    collect_rarely()
    urls = real_urls() if engines == "real" else embedded_urls()
    keys = LEARNERS * COURSES
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cohort = await stack.enter_async_context(instance_of(urls, data))
        await fill(cohort)

        async def compare() -> None:
            report = await reconcile(cohort.shared, rate=UNBOUND)
            assert (report.drifted, report.failed) == (0, 0), report

        figures = [
            await measured(cohort, "reconcile", keys, compare),
            await measured(
                cohort, "aggregate everything", keys, lambda: aggregate(cohort.shared, everything=True)
            ),
        ]
        await _send(cohort, keys_of(TOUCHED))
        touched = TOUCHED * COURSES
        figures.append(
            await measured(cohort, "aggregate what was touched", touched, lambda: aggregate(cohort.shared))
        )
    table = Table("job", "keys", "seconds", "CPU, ms a key", "statements a key", title=f"{engines} engines")
    for one in figures:
        per_key = (f"{one.cpu * 1000 / one.keys:.2f}", f"{one.statements / one.keys:.2f}")
        table.add_row(one.what, f"{one.keys:,}", f"{one.seconds:.1f}", *per_key)
    Console().print(table)
