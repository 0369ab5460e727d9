"""Brings the existing platform's hierarchies over, as a job: a checkpoint for each page, the ring in parts (R-COLL-7).

Each collection is brought over whole, as if it was loaded (ingest/publishing/loading.py), when its row is met; that of
its version for authors is read beside it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any

from ingest.importers.legacy.source import Platform, Source, open_source, without_password
from ingest.importers.legacy.walking import mark_of, pages, part_of, reading, run_or_resume, still_reading
from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import JobRecord
from ingest.jobs.runner import Pace
from ingest.publishing.loading import is_loaded, load_tree, loadable
from loaders.session import Session, Shared
from rules.errors import Conflict, InvalidInput
from rules.legacy.collections import (
    HIERARCHIES,
    IMAGE,
    NO_HIERARCHY,
    RETIRED,
    UNIT,
    LegacyCollection,
    collection_of,
    root_of,
)
from rules.legacy.tables import LegacyRow
from rules.legacy.values import Mapped, Unreadable
from rules.viewers import Role, Viewer

RANGES = 16
"""Parts of the ring."""
PAGE = 8
"""Rows of a page. One may have some megabytes."""
RATE = 100.0
MOST_NAMED = 500
"""Collections that are named with the reason why they are left out. More are only counted."""
EXPECTED = frozenset({RETIRED, UNIT, NO_HIERARCHY})
"""Reasons to pass over a collection that say nothing is wrong."""

_VIEWER = Viewer("migration", frozenset({Role.SERVICE}))


@dataclass(slots=True)
class CollectionsReport:
    """What became of the collections. ``read`` = ``loaded`` + ``unchanged`` + ``kept`` + ``refused`` + all of ``skipped``.

    - ``loaded``: brought over; of these ``published`` are live, and ``drafts`` have changes that are not published.
    - ``unchanged``: all of it was here.
    - ``kept``: an author has edited it here since, so it is left as it is.
    - ``refused``: it can't be brought over.
    - ``why``: the reason for each that was kept or refused, by its id, at most MOST_NAMED of them.
    - ``skipped``: nothing to bring over, by reason. ``notes``: what was left behind or guessed of one that was taken.
    """

    read: int = 0
    loaded: int = 0
    unchanged: int = 0
    published: int = 0
    drafts: int = 0
    kept: int = 0
    refused: int = 0
    why: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "CollectionsReport":
        return cls(**{one.name: document[one.name] for one in fields(cls) if one.name in document})

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def name(self, root: str, why: str) -> None:
        if len(self.why) < MOST_NAMED:
            self.why[root] = why

    @property
    def is_whole(self) -> bool:
        """True if every collection with something to bring over is here."""
        return not self.refused and not self.kept


@dataclass(frozen=True, slots=True)
class MigratedCollections:
    """The report of a whole migration."""

    job: str
    dry_run: bool
    report: CollectionsReport

    def document(self) -> dict[str, Any]:
        whole = {"job": self.job, "dryRun": self.dry_run, "whole": self.report.is_whole}
        return {**whole, **self.report.document()}


async def migrate_collections(
    shared: Shared,
    url: str,
    *,
    source: Source | None = None,
    dry_run: bool = False,
    rate: float = RATE,
    ranges: int = RANGES,
    on_progress: Any = None,
) -> MigratedCollections:
    """Brings the hierarchies at ``url`` over and returns what became of them. An interrupted one goes on where it stopped.

    ``rate``: rows a second at most. ``source``: is read instead of opening the URL. ``on_progress`` is told what is
    brought over, how many parts of the ring are done, and how many there are.

    Raises InvalidInput, NotFound or StoreUnavailable if it can't be read. Raises Conflict if another process is at it.
    """
    if rate <= 0:
        raise InvalidInput("rate must be above 0", field="rate")
    arguments = {"from": without_password(url), "dry_run": dry_run, "rate": rate, "ranges": ranges}

    def tell(job: JobRecord) -> None:
        for step in job.steps if on_progress else ():
            on_progress(step.name, part_of(step.checkpoint.resume, ranges), ranges)

    async with reading(source or await open_source(url), [HIERARCHIES]) as platform:
        kind = replace(COLLECTIONS, plan=partial(_plan, opened=platform))
        job = await run_or_resume(shared, kind, arguments, ("from", "dry_run", "ranges"), tell)
    return MigratedCollections(
        job.id, dry_run, CollectionsReport.parse(job.steps[0].checkpoint.report if job.steps else {})
    )


def _plan(shared: Shared, arguments: Mapping[str, Any], opened: Platform | None = None) -> JobPlan:
    return _Migration(shared, arguments, opened)


COLLECTIONS = JobKind("migrate-collections", _plan)


class _Migration:
    """The job. ``opened`` is what is read. Without it the step opens the URL, with the environment's password."""

    def __init__(self, shared: Shared, arguments: Mapping[str, Any], opened: Platform | None) -> None:
        self._shared = shared
        self._url: str = arguments["from"]
        self._opened = opened
        self._dry_run: bool = arguments["dry_run"]
        self._ranges: int = arguments["ranges"]
        self._pace = Pace(arguments["rate"], PAGE)

    def steps(self) -> Sequence[str]:
        return (HIERARCHIES.name,)

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        report = CollectionsReport.parse(start.report)
        if start.resume is None:
            yield Checkpoint(mark_of(0), 0, report.document())
        async with still_reading(self._opened, lambda: open_source(self._url), [HIERARCHIES]) as platform:
            table = pages(platform, step, ranges=self._ranges, page_size=self._pace.page, start=start.resume)
            async for rows, mark in table:
                async with self._pace.of(len(rows)):
                    for row in rows:
                        await self._bring(platform, row, report)
                if mark is not None:
                    yield Checkpoint(mark, report.read, report.document())
        yield Checkpoint(None, report.read, report.document())

    async def _bring(self, platform: Platform, row: LegacyRow, report: CollectionsReport) -> None:
        """Brings over the collection of a row, unless it is the version for authors of one that has another row."""
        root, is_image = root_of(row["identifier"]), row["identifier"].endswith(IMAGE)
        others = await platform.rows(HIERARCHIES.name, identifier=root if is_image else root + IMAGE)
        if is_image and others:
            return
        plain, image = (None, row) if is_image else (row, others[0] if others else None)
        report.read += 1
        try:
            mapped = await asyncio.to_thread(collection_of, plain, image)
            is_new = await self._load(mapped.value)
        except (Unreadable, InvalidInput) as error:
            why = error.reason if isinstance(error, Unreadable) else error.message
            if why in EXPECTED:
                report.skipped[why] = report.skipped.get(why, 0) + 1
            else:
                report.refused += 1
                report.name(root, why)
        except Conflict as error:
            report.kept += 1
            report.name(root, error.message)
        else:
            _count(mapped, report, is_new=is_new)

    async def _load(self, collection: LegacyCollection) -> bool:
        """Loads a collection. Returns whether anything of it was not here. Raises Conflict if it was edited here."""
        if self._dry_run:
            stored = await loadable(self._shared.stores.rows, collection.tree)
            return not is_loaded(stored, collection.tree)
        session = Session(_VIEWER, self._shared)
        return (await load_tree(session, collection.tree, collection.live)).changed


def _count(mapped: Mapped[LegacyCollection], report: CollectionsReport, *, is_new: bool) -> None:
    for note in mapped.notes:
        report.notes[note] = report.notes.get(note, 0) + 1
    if not is_new:
        report.unchanged += 1
        return
    report.loaded += 1
    report.published += mapped.value.live is not None
    report.drafts += mapped.value.is_edited
