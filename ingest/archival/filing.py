"""From rows on disk to a file in the blob store that was read back and compared."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import orjson

from ingest.archival.catalogue import Catalogue
from ingest.archival.local_files import LocalFile, fetched, written
from ingest.archival.spool import SpooledFile
from ingest.archival.standing import AT_ONCE, standing
from loaders.archives import Archive
from loaders.session import Shared
from rules.archives import ArchiveState, AttemptVersion, version_of_archive_row
from rules.errors import CohortError, Conflict
from stores.blobs import chunks_of
from stores.column_files import FileFormat

Digests = Counter[bytes]
"""Of the lines of a file, whatever their order."""
_GONE = ""
"""Stands for the request of an attempt that does not stand."""


class NotVerified(CohortError):
    """A file was not read back as it was written."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A verified request, and what its file has."""

    archive: Archive
    attempts: Sequence[AttemptVersion]


class Filing:
    """Files parts, several at a time if it must be."""

    def __init__(self, shared: Shared, catalogue: Catalogue, form: FileFormat, job_id: str) -> None:
        self._rows = shared.stores.rows
        self._blobs = shared.stores.blobs
        self._catalogue = catalogue
        self._form = form
        self._job_id = job_id

    async def file(self, spooled: SpooledFile) -> Filed | None:
        """Returns None if no attempt still stands. Its files are beside the lines.

        Raises NotVerified if the file is not what was written. The request says so, and its attempts stay live. Raises
        Conflict if another run has taken over.
        """
        folder, suffix = spooled.lines.parent, self._form.value
        lines = folder / "standing.json"
        digests = await self._keep_standing(spooled, lines)
        if not digests:
            return None
        archive = await self._catalogue.begin(spooled.part, self._form, digests.total(), self._job_id)
        file = await written(lines, folder / f"written.{suffix}", self._form)
        await self._blobs.put(archive.blob, chunks_of(file.path))
        back = await fetched(self._blobs, archive.blob, folder / f"back.{suffix}", self._form)
        attempts = await _compared(back, digests) if back.checksum == file.checksum else None
        if attempts is None:
            await self._catalogue.fail(archive, "what was read back is not what was written")
            raise NotVerified(f"{archive.blob}: what was read back is not what was written")
        verified = await self._catalogue.change(
            archive, ArchiveState.VERIFIED, size=back.size, checksum=back.checksum
        )
        if verified is None:
            # The other run has discarded this file; it may have done so before it was there.
            await self._blobs.delete(archive.blob)
            raise Conflict("another run has taken over", field="owner")
        return Filed(verified, attempts)

    async def _keep_standing(self, spooled: SpooledFile, to: Path) -> Digests:
        """Writes the lines of the attempts that still stand. Returns the digests of these."""
        digests = Digests()
        with await asyncio.to_thread(to.open, "wb") as kept:
            async with aclosing(spooled.read(AT_ONCE)) as portions:
                async for some in portions:
                    there = await standing(self._rows, [attempt for attempt, _ in some])
                    # What another file has is not archived twice.
                    keep = [line for attempt, line in some if there.get(attempt.key, _GONE) is None]
                    digests.update(map(_digest, keep))
                    await asyncio.to_thread(kept.writelines, keep)
        return digests


async def _compared(file: LocalFile, digests: Digests) -> Sequence[AttemptVersion] | None:
    """Returns the attempts of the file; None if its rows are others than these."""
    found, attempts = Digests(), list[AttemptVersion]()
    async for page in file.pages():
        found.update([_digest(orjson.dumps(row) + b"\n") for row in page])
        attempts += map(version_of_archive_row, page)
    return attempts if found == digests else None


def _digest(line: bytes) -> bytes:
    return blake2b(line, digest_size=16).digest()
