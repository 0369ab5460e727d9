"""Takes attempts out of a file of the archive: a new blob without them takes the place of the old one.

The catalogue's row names every blob that is or may be there, so that whoever comes after a death finds it. In this order,
by conditional writes:

1. ``leftovers`` names the new blob. Blobs that it named before are deleted: who wrote them died, or has lost its turn.
2. The new blob is uploaded, read back and compared.
3. ``blob`` names the new one, ``leftovers`` the old one. If no attempt is left, ``attempts`` is 0 instead.
4. The old blob is deleted, then ``leftovers`` is cleared. If no attempt is left, the row is deleted.

Two at the same file don't meet: the third step of the one that lost its turn is refused, and it begins again with what is
there then.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from ingest.writes.retrying import Attempts
from loaders.archives import FILE_COLUMNS, Archive, ArchiveKey, archive_by_id
from loaders.session import Shared
from rules.archives import ARCHIVE_ORDER, ArchiveState, blob_name
from rules.errors import Conflict, NotFound, StoreUnavailable
from rules.moments import milliseconds, moment
from stores.blobs import chunks_of
from stores.column_files import Only, read_file, write_file
from stores.rows import Equal, Row
from stores.tables import ARCHIVES

log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds that another process is given with the same file, before its turn is taken."""

IsGone = Callable[[Row], bool]
"""Whether a row of a file is to be taken out."""


@dataclass(frozen=True, slots=True)
class _Smaller:
    """A file on this machine."""

    path: Path
    attempts: int
    size: int
    checksum: str


class ArchiveFiles:
    """The files of one instance, as whoever takes something out of them needs them."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._rows = shared.stores.rows
        self._blobs = shared.stores.blobs
        self._copies = shared.stores.copies

    async def take_out(self, key: ArchiveKey, is_gone: IsGone, among: Collection[str] | None = None) -> int:
        """Takes out the rows that are to be gone, and returns how many there were. ``among``: the learners whose rows they
        can only be. Finishes what others left of the same work.

        It may be called again. Raises Conflict if others keep changing the request. Raises StoreUnavailable if a store is
        away or the file is damaged.
        """
        lock = self._shared.changing.setdefault(f"archive {key[0]} {key[1]}", asyncio.Lock())
        async with lock:
            known: str | None = None
            missing = None
            async for _ in Attempts():
                archive = await archive_by_id(self._rows, *key)
                if archive is None or not archive.has_file:
                    if archive is not None and archive.state is ArchiveState.RESTORED:
                        await self.finish_restored(archive)
                    return 0
                if archive.leftovers not in (None, known):
                    known = archive.leftovers
                    await asyncio.sleep(PATIENCE)
                    continue
                try:
                    gone, known, done = await self._taken_out(archive, is_gone, among)
                except NotFound as error:
                    missing = error
                    continue
                if done:
                    return gone
        if missing is not None:
            # There is nothing that could be taken out. `cohort archive verify` tells it again.
            log.error("request %s of context %s has no file: %s", key[1], key[0], missing)
            return 0
        raise Conflict("a file of the archive is being changed by others too; send the call again")

    async def finish_restored(self, archive: Archive) -> None:
        """Deletes the blobs that are left of a restored request. May be done again."""
        if archive.leftovers is not None:
            await self._delete(*archive.leftovers.split())
            unchanged = [Equal("state", archive.state.value), Equal("leftovers", archive.leftovers)]
            await self._rows.update_if(ARCHIVES, archive.key, {"leftovers": None}, unchanged)

    async def _taken_out(
        self, archive: Archive, is_gone: IsGone, among: Collection[str] | None
    ) -> tuple[int, str | None, bool]:
        """One try. Returns how many rows are gone, what this process has written into ``leftovers``, and whether it came to its
        end."""
        if archive.attempts == 0:
            await self._remove(archive)
            return 0, None, True
        gone = await self._count(archive, is_gone, among)
        if not gone:
            return 0, None, archive.leftovers is None or await self._clear(archive)
        if await self._has_only(archive, is_gone):
            emptied = await self._change(archive, attempts=0, leftovers=archive.blob)
            if emptied:
                await self._delete(*(archive.leftovers or "").split())
                await self._remove(archive)
            return gone, None, emptied
        return await self._replaced(archive, is_gone, gone)

    async def _replaced(self, archive: Archive, is_gone: IsGone, gone: int) -> tuple[int, str | None, bool]:
        now = moment(milliseconds(self._shared.now()))
        name = blob_name(archive.part, now, f"{uuid4().hex[:12]}.{archive.form.value}")
        former = (archive.leftovers or "").split()
        claim = " ".join([name, *former])
        if not await self._change(archive, leftovers=claim):
            return 0, None, False
        await self._delete(*former)
        async with self._copies.scratch() as folder:
            smaller = await self._written(archive, is_gone, folder)
            await self._blobs.put(name, chunks_of(smaller.path))
        if await self._checksum(name) != smaller.checksum:
            await self._blobs.delete(name)
            raise StoreUnavailable("the blob store changed a file of the archive", detail=name)
        values = {
            "blob": name,
            "bytes": smaller.size,
            "checksum": smaller.checksum,
            "attempts": smaller.attempts,
            "leftovers": archive.blob,
            "updated_on": now,
        }
        unchanged = [
            Equal("state", archive.state.value),
            Equal("blob", archive.blob),
            Equal("leftovers", claim),
        ]
        if not (await self._rows.update_if(ARCHIVES, archive.key, values, unchanged)).applied:
            await self._blobs.delete(name)
            return 0, claim, False
        await self._delete(archive.blob)
        cleared = [Equal("blob", name), Equal("leftovers", archive.blob)]
        await self._rows.update_if(ARCHIVES, archive.key, {"leftovers": None}, cleared)
        return gone, None, True

    async def _clear(self, archive: Archive) -> bool:
        """Deletes what others left beside the file. The row is changed before, so that none of them can still switch to it,
        and after."""
        former = (archive.leftovers or "").split()
        claim = " ".join([*former, uuid4().hex])  # the last one is no blob's name
        if not await self._change(archive, leftovers=claim):
            return False
        await self._delete(*former)
        await self._rows.update_if(
            ARCHIVES,
            archive.key,
            {"leftovers": None},
            [Equal("blob", archive.blob), Equal("leftovers", claim)],
        )
        return True

    async def _change(self, archive: Archive, **values: Any) -> bool:
        unchanged = [
            Equal("state", archive.state.value),
            Equal("blob", archive.blob),
            Equal("leftovers", archive.leftovers),
        ]
        return (await self._rows.update_if(ARCHIVES, archive.key, values, unchanged)).applied

    async def _remove(self, archive: Archive) -> None:
        """Deletes the file that has nothing left, then its request."""
        await self._delete(archive.blob)
        emptied = [Equal("blob", archive.blob), Equal("attempts", 0)]
        await self._rows.delete_if(ARCHIVES, archive.key, emptied)

    async def _delete(self, *names: str) -> None:
        """Deletes blobs, and their copies on this machine."""
        if names:
            await self._blobs.delete(*names)
            await self._copies.forget(*names)

    async def _pages(
        self, archive: Archive, among: Collection[str] | None = None
    ) -> AsyncIterator[list[Row]]:
        only = None if among is None else Only("user_id", sorted(among))
        async with (
            self._copies.copy(archive.blob, archive.checksum) as path,
            aclosing(read_file(path, FILE_COLUMNS, archive.form, only=only)) as pages,
        ):
            async for page in pages:
                yield page

    async def _count(self, archive: Archive, is_gone: IsGone, among: Collection[str] | None) -> int:
        return sum([sum(map(is_gone, page)) async for page in self._pages(archive, among)])

    async def _has_only(self, archive: Archive, is_gone: IsGone) -> bool:
        """True if nothing would be left of the file."""
        return all([all(map(is_gone, page)) async for page in self._pages(archive)])

    async def _written(self, archive: Archive, is_gone: IsGone, folder: Path) -> _Smaller:
        lines, to = folder / "lines.json", folder / f"file.{archive.form.value}"

        def add(page: list[Row]) -> None:
            with lines.open("ab") as file:
                file.writelines(orjson.dumps(row) + b"\n" for row in page if not is_gone(row))

        async for page in self._pages(archive):
            await asyncio.to_thread(add, page)
        attempts = await write_file(lines, to, FILE_COLUMNS, archive.form, order=ARCHIVE_ORDER)

        def measured() -> tuple[int, str]:
            with to.open("rb") as file:
                return to.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()

        return _Smaller(to, attempts, *await asyncio.to_thread(measured))

    async def _checksum(self, name: str) -> str:
        digest = hashlib.sha256()
        async for chunk in self._blobs.get(name):
            digest.update(chunk)
        return digest.hexdigest()
