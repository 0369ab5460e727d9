"""From a verified file to an archived one: slim rows lead to it, then the questions leave the table."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ingest.archival.catalogue import Catalogue
from ingest.archival.local_files import fetched
from ingest.archival.standing import portions_of, standing
from ingest.writes.archive_files import ArchiveFiles
from ingest.writes.retrying import Attempts
from loaders.archives import Archive, archive_by_id
from loaders.session import Shared
from rules.archives import ArchiveState, AttemptVersion, version_of_archive_row
from rules.errors import Conflict
from stores.rows import Key, Row, Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS

UNFINISHED = {ArchiveState.VERIFIED, ArchiveState.DELETING}


class BrokenArchive(Conflict):
    """The blob of a request is not the file that was verified."""


class Finishing:
    """Finishes one request after the other. ``folder`` is its own."""

    def __init__(self, shared: Shared, catalogue: Catalogue, folder: Path) -> None:
        self._rows = shared.stores.rows
        self._blobs = shared.stores.blobs
        self._files = ArchiveFiles(shared)
        self._catalogue = catalogue
        self._folder = folder

    async def finish(self, archive: Archive, filed: Sequence[AttemptVersion] | None = None) -> Archive | None:
        """Goes on with the request to its end, and returns it as it is then; None if nothing is left of it. ``filed``: what its
        file has, for a caller who has just made it. Everything may be done again."""
        at: Archive | None = archive
        async for number in Attempts():
            if at is None or at.state not in UNFINISHED:
                return at
            fresh = filed is not None and not number
            attempts = filed if filed is not None and fresh else await self._attempts(at)
            done = await self._finished(at, attempts, fresh=fresh)
            if done is not None:
                return done
            at = await archive_by_id(self._rows, *archive.key)
        raise Conflict(f"request {archive.request_id} keeps changing; the next run goes on with it")

    async def _finished(
        self, archive: Archive, attempts: Sequence[AttemptVersion], *, fresh: bool
    ) -> Archive | None:
        """Does what is left to do. Returns None as soon as the request is not what it was: somebody has changed it, or its file
        has lost attempts that no slim row can lead to."""
        if archive.state is ArchiveState.VERIFIED:
            marked = await self._mark(archive, attempts, look=not fresh)
            if len(marked) < len(attempts) or archive.leftovers is not None:
                await self._files.take_out(archive.key, lambda row: _key_of(row) not in marked)
                return None
            deleting = await self._catalogue.change(archive, ArchiveState.DELETING)
            if deleting is None:
                return None
            archive = deleting
        for some in portions_of(attempts):
            await self._rows.write(*map(_without_questions, some))
        return await self._catalogue.change(archive, ArchiveState.ARCHIVED)

    async def _mark(
        self, archive: Archive, attempts: Sequence[AttemptVersion], *, look: bool
    ) -> Collection[Key]:
        """Has slim rows lead to the file. Returns the keys of those that do.

        They are read after that: an erasure that did not see the mark was announced before, and so is seen here. ``look``:
        they are read before, too. A row that was deleted a moment ago hides the mark, but not one that was deleted so long
        ago that the store has forgotten it.
        """
        marked: set[Key] = set()
        for some in portions_of(attempts):
            there = await standing(self._rows, some) if look else {}
            free = [one for one in some if not look or _is_free(there, one, archive)]
            await self._rows.write(*(_mark_of(one, archive) for one in free))
            there = await standing(self._rows, free)
            marked |= {key for key, request_id in there.items() if request_id == archive.request_id}
        return marked

    async def _attempts(self, archive: Archive) -> Sequence[AttemptVersion]:
        """What the file has."""
        with TemporaryDirectory(dir=self._folder) as folder:
            file = await fetched(self._blobs, archive.blob, Path(folder, "file"), archive.form)
            if file.checksum != archive.checksum:
                raise BrokenArchive(
                    f"the blob {archive.blob} is not the file that was verified", field="blob"
                )
            return [version_of_archive_row(row) async for page in file.pages() for row in page]


def _key_of(row: Row) -> Key:
    return version_of_archive_row(row).key


def _is_free(there: Mapping[Key, str | None], attempt: AttemptVersion, archive: Archive) -> bool:
    return attempt.key in there and there[attempt.key] in (None, archive.request_id)


def _mark_of(attempt: AttemptVersion, archive: Archive) -> Write:
    values = {"archived_in": archive.request_id}
    return Write(ATTEMPTS, attempt.key, values, attempt.written_at + 1, insert=False)


def _without_questions(attempt: AttemptVersion) -> Write:
    return Write(ATTEMPTS_WITH_QUESTIONS, attempt.key, {}, attempt.written_at + 1, delete=True)
