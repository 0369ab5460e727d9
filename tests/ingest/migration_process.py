"""A migration in a process of its own, for tests that kill it: ``python -m tests.ingest.migration_process URLS DATA``.

It takes a row a page. When Cleo's view in the course is written it tells so on standard output and hangs, before the
workers hear of it and before the checkpoint.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from ingest.importers.legacy import job, migrate_legacy
from ingest.importers.legacy.bringing import Bringing
from rules.identifiers import ProgressKey
from tests.conftest import Instance
from tests.ingest.legacy_platform import OLD, URL, MemorySource, platform

_announce = Bringing._announce


async def announce_or_hang(*given: Any, again: bool) -> None:
    if any(isinstance(each, dict) and ProgressKey("cleo", "course", "course") in each for each in given):
        print("hanging", flush=True)  # noqa: T201 - the test waits for it
        await asyncio.Event().wait()
    await _announce(*given, again=again)


async def main(urls: dict[str, str], data: Path) -> None:
    job.PAGE = 1
    Bringing._announce = announce_or_hang  # type: ignore[assignment, method-assign]
    async with Instance(urls, data).opened() as shared:
        await migrate_legacy(shared, URL, source=MemorySource(platform(OLD)), ranges=2, rate=1e6)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), Path(sys.argv[2])))
