"""A migration of collections in a process of its own, for tests that kill it: ``python -m
tests.ingest.collections_process URLS DATA``.

It takes a row a page. When the drafts of do_edited are written and its live version is not, it tells so on standard
output and hangs.
"""

import asyncio
import json
import sys
from pathlib import Path

from ingest.importers.legacy import collections, migrate_collections
from ingest.publishing import loading
from ingest.publishing.direct import Published, publish_tree
from loaders.session import Session
from rules.hierarchy import Hierarchy
from tests.conftest import Instance
from tests.ingest.legacy_hierarchies import URL, hierarchies
from tests.ingest.legacy_platform import MemorySource


async def publish_or_hang(session: Session, tree: Hierarchy) -> Published:
    if tree.identifier == "do_edited":
        print("hanging", flush=True)  # noqa: T201 - the test waits for it
        await asyncio.Event().wait()
    return await publish_tree(session, tree)


async def main(urls: dict[str, str], data: Path) -> None:
    collections.PAGE = 1
    vars(loading)["publish_tree"] = publish_or_hang
    async with Instance(urls, data).opened() as shared:
        await migrate_collections(shared, URL, source=MemorySource(hierarchies()), ranges=2, rate=1e6)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), Path(sys.argv[2])))
