"""The catalogue of the archive: a row for each request, which is one file."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rules.archives import ARCHIVE_COLUMNS, ArchivedPart, ArchiveState, IsoWeek
from rules.errors import NotFound
from stores.column_files import ColumnKind, Columns, FileFormat
from stores.rows import Row, Rows
from stores.tables import ARCHIVES

_KINDS = {str: ColumnKind.TEXT, int: ColumnKind.INTEGER, float: ColumnKind.NUMBER}
FILE_COLUMNS: Columns = {name: _KINDS[kind] for name, kind in ARCHIVE_COLUMNS.items()}
"""The columns of a file, as stores/column_files.py takes them."""

_WITH_FILE = frozenset(ArchiveState) - {ArchiveState.UPLOADING, ArchiveState.RESTORED, ArchiveState.FAILED}

ArchiveKey = tuple[str, str]
"""Context and request."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A request as stored.

    - ``part``: of which context and week its file is.
    - ``job_id``: the run that made it.
    - ``attempts``: how many the file has. ``size``: its bytes. ``checksum``: the SHA-256 of them in hex. None as long as
      nobody knows.
    - ``blob``: the file's name in the blob store.
    - ``error``: why it failed.
    - ``leftovers``: names of blobs that are to be deleted, with a space between two (ingest/writes/archive_files.py).
    """

    part: ArchivedPart
    request_id: str
    state: ArchiveState
    job_id: str
    attempts: int
    form: FileFormat
    blob: str
    created_on: datetime
    updated_on: datetime
    size: int | None = None
    checksum: str | None = None
    error: str | None = None
    leftovers: str | None = None

    @property
    def has_file(self) -> bool:
        """True if its file is there, whole."""
        return self.state in _WITH_FILE

    @property
    def key(self) -> ArchiveKey:
        """The primary key of its row."""
        return self.part.context_id, self.request_id


async def archive_by_id(rows: Rows, context_id: str, request_id: str) -> Archive | None:
    """The request; None where there is none."""
    row = await rows.get(ARCHIVES, (context_id, request_id))
    return None if row is None else archive_of(row)


async def archive_of_request(rows: Rows, request_id: str) -> Archive:
    """The request of this id, whatever its context. It reads the whole catalogue. Raises NotFound if there is none."""
    async for archive in all_archives(rows):
        if archive.request_id == request_id.strip():
            return archive
    raise NotFound(f"the archive has no request {request_id}", field="request")


async def archives_by_id(rows: Rows, keys: Collection[ArchiveKey]) -> dict[ArchiveKey, Archive]:
    """The requests of these contexts and ids. One that does not exist is left out."""
    if not keys:
        return {}
    found = await rows.get_many(ARCHIVES, sorted({*keys}))
    return {(key[0], key[1]): archive_of(row) for key, row in found.items()}


async def archives_of(rows: Rows, context_id: str) -> list[Archive]:
    """All requests of a context, the oldest week first."""
    return [archive_of(row) for row in await rows.partition(ARCHIVES, (context_id,))]


async def all_archives(rows: Rows) -> AsyncIterator[Archive]:
    """The requests of all contexts, a page at a time."""
    for token_range in rows.ranges(1):
        async for page in rows.walk(ARCHIVES, token_range):
            for row in page.rows:
                yield archive_of(row)


def archive_of(row: Row) -> Archive:
    return Archive(
        ArchivedPart(row["contextid"], IsoWeek(row["year"], row["week"])),
        row["request_id"],
        ArchiveState(row["state"]),
        row["job_id"],
        row["attempts"],
        FileFormat(row["format"]),
        row["blob"],
        row["created_on"],
        row["updated_on"],
        row["bytes"],
        row["checksum"],
        row["error"],
        row["leftovers"],
    )


def archive_values(archive: Archive) -> dict[str, Any]:
    """The columns of its row, apart from the key."""
    return {
        "state": archive.state.value,
        "job_id": archive.job_id,
        "year": archive.part.week.year,
        "week": archive.part.week.week,
        "attempts": archive.attempts,
        "bytes": archive.size,
        "checksum": archive.checksum,
        "format": archive.form.value,
        "blob": archive.blob,
        "error": archive.error,
        "leftovers": archive.leftovers,
        "created_on": archive.created_on,
        "updated_on": archive.updated_on,
    }
