"""What the migrations share: a walk over a table with marks to go on from, and a job that is begun or gone on with."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from ingest.importers.legacy.source import Platform, Source
from ingest.jobs.plans import JobKind
from ingest.jobs.records import JobRecord, OnProgress
from ingest.jobs.runner import Jobs
from loaders.session import Shared
from rules.jobs import JobState
from rules.legacy.tables import LegacyRow, LegacyTable
from stores.keys import ring


@asynccontextmanager
async def reading(
    source: Source, tables: Sequence[LegacyTable], without: Collection[str] = ()
) -> AsyncIterator[Platform]:
    """Closes the source at the end. ``without``: as in Platform.of."""
    try:
        yield await Platform.of(source, tables, without)
    finally:
        await source.close()


@asynccontextmanager
async def still_reading(
    opened: Platform | None,
    opening: Callable[[], Awaitable[Source]],
    tables: Sequence[LegacyTable],
) -> AsyncIterator[Platform]:
    """What is read already. If that is nothing, as when a job is resumed, the source is opened, and closed at the end."""
    if opened is not None:
        yield opened
        return
    async with reading(await opening(), tables) as platform:
        yield platform


def columns_of(platform: Platform) -> dict[str, Any]:
    """Returns the columns of each table as reports have them: found, used, ignored, missing."""
    return {name: asdict(columns) for name, columns in platform.columns().items()}


def mark_of(part: int, within: str = "") -> str:
    """Returns the mark of a walk: a part of the ring, and a place in it."""
    return f"{part} {within}"


def part_of(mark: str | None, ranges: int) -> int:
    """Returns the part of the ring where a walk goes on. At its end it returns the number of all parts."""
    return ranges if mark is None else int(mark.partition(" ")[0])


async def pages(
    platform: Platform, table: str, *, ranges: int, page_size: int, start: str | None
) -> AsyncIterator[tuple[Sequence[LegacyRow], str | None]]:
    """Gives the rows in pages, from a mark on, each page with the mark behind it. The last one has none."""
    first = part_of(start, ranges) if start else 0
    within = start.partition(" ")[2] if start else ""
    for part, token_range in enumerate(ring(ranges)):
        if part < first:
            continue
        inside = within if part == first and within else None
        async for page in platform.walk(table, token_range, page_size=page_size, resume=inside):
            if page.resume is not None:
                yield page.rows, mark_of(part, page.resume)
            else:
                yield page.rows, mark_of(part + 1) if part + 1 < ranges else None


async def run_or_resume(
    shared: Shared,
    kind: JobKind,
    arguments: Mapping[str, Any],
    same: Sequence[str],
    tell: OnProgress,
) -> JobRecord:
    """Runs a job to its end. One that is not done and has the arguments named in ``same`` is gone on with."""
    jobs = Jobs(shared)
    for job in await jobs.list():
        is_same = all(job.arguments.get(name) == arguments[name] for name in same)
        if job.kind == kind.name and job.state is not JobState.DONE and is_same:
            return await jobs.resume(kind, job.id, tell)
    return await jobs.start(kind, arguments, tell)
