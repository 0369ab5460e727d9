"""Reads rows again that a migration has rejected, and brings over those that can be read now."""

import asyncio
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ingest.importers.lanes import each
from ingest.importers.legacy.bringing import Bringing
from ingest.importers.legacy.job import TABLES, ZONE, report_path, zone_of
from ingest.importers.legacy.rejects import Rejected, RejectsFile, read_rejects, rejects_path
from ingest.importers.legacy.report import GONE, MigrationReport, TableReport
from ingest.importers.legacy.source import Platform, Source, open_source, without_password
from ingest.importers.legacy.walking import columns_of, reading
from loaders.session import Shared
from rules.jobs import JobState
from rules.legacy.tables import LEGACY_TABLES, LegacyRow

AT_ONCE = 100
"""Rows of a page."""


async def retry_rejected(
    shared: Shared,
    url: str,
    files: Sequence[Path],
    *,
    source: Source | None = None,
    dry_run: bool = False,
    zone: str = ZONE,
    without: Collection[str] = (),
    report: Path | None = None,
) -> MigrationReport:
    """Reads the rows that these files name again by their keys, and brings them over as a migration does.

    Returns what became of them. Those that still can't be read go to a file beside ``report``. It is no job: after an
    interruption it begins anew, and what was brought over is unchanged then.
    """
    rejects = await asyncio.to_thread(read_rejects, files)
    name = f"rejected-{shared.now():%Y%m%dT%H%M%S}"
    arguments: dict[str, Any] = {
        "from": without_password(url),
        "dry_run": dry_run,
        "zone": zone_of(zone).key,
        "without": sorted(set(without)),
        "only_rejected": [str(file) for file in files],
    }
    tables = {table: TableReport(table) for table in TABLES}
    async with reading(source or await open_source(url), LEGACY_TABLES, arguments["without"]) as platform:
        bringing = Bringing(shared, platform, zone=zone_of(zone), dry_run=dry_run)
        for table in TABLES:
            rest = iter([row for row in rejects if row.table == table])
            while some := list(islice(rest, AT_ONCE)):
                brought = await _retry(bringing, platform, table, some)
                if brought.rejected and report is not None:
                    file = RejectsFile(rejects_path(report_path(name, report)))
                    await asyncio.to_thread(file.append, brought.rejected)
                tables[table] = tables[table].merged([brought])
        return MigrationReport(
            *(name, JobState.DONE, arguments, tables), columns_of(platform), list(platform.missing)
        )


async def _retry(
    bringing: Bringing, platform: Platform, table: str, rejects: Sequence[Rejected]
) -> TableReport:
    async def row_of(rejected: Rejected) -> list[LegacyRow]:
        return list(await platform.rows(table, clocks=True, **rejected.key))

    found = await each(rejects, row_of)
    # An interrupted run may have written rows and not announced them.
    brought = await bringing.bring(table, [row for rows in found for row in rows], again=True)
    for rejected, rows in zip(rejects, found, strict=True):
        if not rows:
            brought.read += 1
            brought.skip(GONE, " ".join(map(str, rejected.key.values())))
    return brought
