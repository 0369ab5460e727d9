"""Deletes a learner's attempts from the files of the archive."""

from collections.abc import Callable, Collection

from ingest.writes.archive_files import ArchiveFiles
from loaders.archives import archive_of
from loaders.session import Shared
from rules.archives import ArchiveState
from stores.rows import Row
from stores.tables import ARCHIVES

_NOTHING_THERE = {ArchiveState.UPLOADING, ArchiveState.FAILED}
"""In these states there is no file yet, or none any more. A run that is uploading takes out what it finds erased."""


async def erase_archived(
    shared: Shared,
    user_id: str,
    context_ids: Collection[str],
    collection_id: str | None = None,
    *,
    goes: Callable[[Row], bool] = lambda _: True,
) -> int:
    """Deletes what the archive has of the learner in these contexts, or of one collection in them. Returns how many attempts
    there were. ``goes``: which of them, by the row of the file.

    It looks into every file of the contexts: one may have an older version of an attempt that no row leads to any more.
    It may be called again, and finishes what was cut off. Raises StoreUnavailable, Conflict.
    """

    def is_gone(row: Row) -> bool:
        return row["user_id"] == user_id and collection_id in (None, row["course_id"]) and goes(row)

    found = await shared.stores.rows.partitions(ARCHIVES, [(context,) for context in sorted({*context_ids})])
    files = ArchiveFiles(shared)
    gone = 0
    for archive in (archive_of(row) for some in found.values() for row in some):
        if archive.state not in _NOTHING_THERE:
            gone += await files.take_out(archive.key, is_gone, [user_id])
    return gone
