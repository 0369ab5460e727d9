"""The search index follows what is published (R-COLL-6)."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from ingest.writes.retrying import Attempts
from loaders.session import Shared
from rules.contents import ContentKind
from rules.errors import Conflict, NotFound, StoreUnavailable
from rules.search import SearchDocument, documents_of
from stores.backoff import Backoff
from stores.search import Indexed, IndexWrite

PATIENCE = 15.0
"""Seconds after which a search that is away is not waited for any more: longer than it takes to start it anew."""


@dataclass(frozen=True, slots=True)
class SearchSyncReport:
    """How many documents were changed."""

    created: int = 0
    updated: int = 0
    deleted: int = 0

    def after(self, writes: Sequence[IndexWrite], left: Sequence[IndexWrite]) -> Self:
        """Returns the report with these writes, without those that were left."""
        counts = Counter(map(_what, writes)) - Counter(map(_what, left))
        return replace(self, **{what: getattr(self, what) + count for what, count in counts.items()})


def _what(write: IndexWrite) -> str:
    if write.delete:
        return "deleted"
    return "created" if write.revision is None else "updated"


@dataclass(frozen=True, slots=True)
class SearchDifferences:
    """The writes that make the index of a collection equal to what is published.

    - ``missing``: documents that the index lacks.
    - ``changed``: documents that it has with other values.
    - ``extra``: documents that it has of what is not published.
    """

    missing: Sequence[IndexWrite] = field(default=())
    changed: Sequence[IndexWrite] = field(default=())
    extra: Sequence[IndexWrite] = field(default=())

    @property
    def writes(self) -> Sequence[IndexWrite]:
        return [*self.missing, *self.changed, *self.extra]


async def sync_search(shared: Shared, root: str) -> SearchSyncReport:
    """Makes the index of a collection equal to what is published of it, and returns what was changed.

    A collection that is retired or gone loses all its documents. The same call sent again changes nothing. Of two
    processes at once, the one that is late begins again. Raises Conflict if others are faster every time.
    """
    report = SearchSyncReport()
    async for _ in Attempts():
        writes = (await search_differences(shared, root)).writes
        left = await shared.stores.search.write(writes)
        report = report.after(writes, left)
        if not left:
            return report
    raise Conflict(f"the search documents of {root} keep being changed by others; try again", field="root")


async def sync_search_patiently(shared: Shared, root: str) -> SearchSyncReport:
    """Does what ``sync_search`` does. While the search is away it tries again for some seconds, then raises
    StoreUnavailable."""
    backoff, until = Backoff(0.5, PATIENCE / 4), time.monotonic() + PATIENCE
    while True:
        try:
            return await sync_search(shared, root)
        except StoreUnavailable:
            if time.monotonic() >= until:
                raise
        await backoff.pause()


async def search_differences(shared: Shared, root: str) -> SearchDifferences:
    """Compares the index of a collection with what is published. Raises NotFound if the tree of its live version is
    gone."""
    # The index first. A process that publishes later meets what is written here, or makes these writes be left.
    indexed = {one.document.key: one for one in await shared.stores.search.documents(root)}
    wanted = {document.key: document for document in await published_documents(shared, root)}
    return await asyncio.to_thread(_differences, wanted, indexed)


async def published_documents(shared: Shared, root: str) -> list[SearchDocument]:
    """Returns the documents of a collection as it is live now; none if it is retired or no collection of its own."""
    library = shared.library
    for _ in range(2):
        (content,) = await library.current([root])
        if content is None or content.kind is not ContentKind.COLLECTION or content.is_retired:
            return []
        tree, relations = await asyncio.gather(
            library.trees.hierarchy((root, root, content.live_version)),
            library.relations.load((root, content.live_version)),
        )
        if tree is not None and relations is not None:
            return await asyncio.to_thread(documents_of, content, tree, relations)
        library.contents.forget(root)  # the version was dropped: two others were published meanwhile
    raise NotFound(f"collection {root} has no published version", field="root")


def _differences(
    wanted: dict[tuple[str, str], SearchDocument], indexed: dict[tuple[str, str], Indexed]
) -> SearchDifferences:
    return SearchDifferences(
        missing=[IndexWrite(document, None) for key, document in wanted.items() if key not in indexed],
        changed=[
            IndexWrite(document, indexed[key].revision)
            for key, document in wanted.items()
            if key in indexed and indexed[key].document != document
        ],
        extra=[
            IndexWrite(one.document, one.revision, delete=True)
            for key, one in indexed.items()
            if key not in wanted
        ],
    )
