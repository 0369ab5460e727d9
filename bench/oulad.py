"""The Open University Learning Analytics Dataset, as in docs/oulad.md: ``python -m bench oulad [EVERY] [real|embedded]``.

What it costs to load, to recompute and to aggregate. ``EVERY``: of how many students beside those of AAA 2013J one is
loaded; 1, which is all, without it. ``COHORT_OULAD`` names the folder of the files.
"""

import os
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.jobs import Figure, measured
from gateway.gc_tuning import collect_rarely
from ingest.aggregation import AggregationReport, aggregate
from ingest.importers.oulad import load_oulad
from ingest.writes.triggers import trigger_of
from rules.identifiers import ProgressKey
from rules.triggers import TriggerKind
from stores.rows import Row, Rows
from stores.tables import AGGREGATES, ENROLMENTS
from stores.topics import TRIGGERS
from tests.conftest import Instance, embedded_urls, instance_of, real_urls
from tests.ingest.oulad_files import part_of

WITHIN = 3600.0
TOUCHED = 20
"""Learners who do something before the last run."""


async def main(every: str = "1", engines: str = "real") -> None:
    collect_rarely()
    published = Path(os.environ["COHORT_OULAD"])
    urls = real_urls() if engines == "real" else embedded_urls()
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = published
        if every != "1":
            (part := data / "files").mkdir()
            files = part_of(published, part, int(every))
        cohort = await stack.enter_async_context(instance_of(urls, data / "instance"))
        figures = await _figures(cohort, files)
    title = f"OULAD on {engines} engines, one student of {every}"
    table = Table("what", "of how many", "seconds", "CPU, s", "CPU, ms of each", "statements", title=title)
    for one in figures:
        per_key = f"{one.cpu * 1000 / max(1, one.keys):.2f}"
        table.add_row(
            *(one.what, f"{one.keys:,}", f"{one.seconds:.1f}", f"{one.cpu:.1f}", per_key),
            f"{one.statements:,}",
        )
    Console().print(table)


async def _figures(cohort: Instance, files: Path) -> list[Figure]:
    figures: list[Figure] = []
    counts = {"things": 0, "states": 0}

    async def load() -> None:
        report = await load_oulad(cohort.shared, files)
        counts["things"] = sum(sum(figures) for figures in report.document().values())

    figures.append(await _counted(cohort, "load", load, lambda: counts["things"]))
    enrolled = await _rows(cohort.stores.rows)
    figures.append(await measured(cohort, "workers", counts["things"], lambda: cohort.drain(within=WITHIN)))
    for table_range in cohort.stores.rows.ranges(1):
        async for page in cohort.stores.rows.walk(AGGREGATES, table_range, columns=("user_id",)):
            counts["states"] += len(page.rows)

    reports: list[AggregationReport] = []

    async def run(*, everything: bool) -> None:
        reports.append(await aggregate(cohort.shared, everything=everything))

    async def all_again() -> None:
        await run(everything=True)

    async def touched() -> None:
        await run(everything=False)

    figures.append(await measured(cohort, "aggregate everything", counts["states"], all_again))
    figures.append(await measured(cohort, "aggregate, nothing touched", 0, touched))
    keys = [ProgressKey(row["userid"], row["collectionid"], row["contextid"]) for row in enrolled[:TOUCHED]]
    await cohort.stores.events.send(
        TRIGGERS.name, *(trigger_of(TriggerKind.ENROLMENT, k, again=True) for k in keys)
    )
    await cohort.drain(within=WITHIN)
    figures.append(await measured(cohort, "aggregate, some touched", len(keys), touched))
    return figures


async def _counted(
    cohort: Instance, what: str, work: Callable[[], Awaitable[object]], keys: Callable[[], int]
) -> Figure:
    found = await measured(cohort, what, 0, work)
    return Figure(what, keys(), found.seconds, found.cpu, found.statements)


async def _rows(rows: Rows) -> list[Row]:
    """The first enrolments of the ring."""
    for token_range in rows.ranges(1):
        async for page in rows.walk(ENROLMENTS, token_range, page_size=TOUCHED):
            return page.rows
    return []
