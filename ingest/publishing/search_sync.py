"""The search index follows what is live. (A stand-in: the slice of search has the real one.)"""

from dataclasses import dataclass

from loaders.session import Shared


@dataclass(frozen=True, slots=True)
class SearchSyncReport:
    """How many documents were changed."""

    created: int = 0
    updated: int = 0
    deleted: int = 0


async def sync_search(shared: Shared, root: str) -> SearchSyncReport:
    """Changes nothing."""
    return SearchSyncReport()
