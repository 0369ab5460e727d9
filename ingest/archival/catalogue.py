"""Changes of the catalogue: by conditions alone, as a run and an erasure may be at the same file."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from loaders.archives import Archive, archive_values
from loaders.session import Shared
from rules.archives import ArchivedPart, ArchiveState, blob_name, request_id
from rules.moments import milliseconds, moment
from stores.column_files import FileFormat
from stores.rows import Equal
from stores.tables import ARCHIVES

_TICK = timedelta(milliseconds=1)


class Catalogue:
    """Writes requests. Its moments are whole milliseconds, and each is later than the one before."""

    def __init__(self, shared: Shared) -> None:
        self._rows = shared.stores.rows
        self._blobs = shared.stores.blobs
        self._now: Callable[[], datetime] = shared.now
        self._last: datetime | None = None

    async def begin(self, part: ArchivedPart, form: FileFormat, attempts: int, job_id: str) -> Archive:
        """Writes a new request for a file that is to be uploaded, and returns it."""
        at, blob = await self.free_name(part, form)
        archive = Archive(
            part,
            request_id(part.week, uuid4().hex[:12], at),
            ArchiveState.UPLOADING,
            job_id,
            attempts,
            form,
            blob,
            at,
            at,
        )
        await self._rows.insert_if_absent(
            ARCHIVES, {**ARCHIVES.named(archive.key), **archive_values(archive)}
        )
        return archive

    async def free_name(self, part: ArchivedPart, form: FileFormat) -> tuple[datetime, str]:
        """Returns a moment, and the name of a file of that moment that no blob has yet: a clock may have been set back."""
        while True:
            at = self._moment()
            name = blob_name(part, at, form.value)
            if await self._blobs.find(name) is None:
                return at, name

    async def change(self, archive: Archive, state: ArchiveState, **values: Any) -> Archive | None:
        """Changes state and ``values``, fields of Archive, if nobody has changed state or file since ``archive`` was read.
        Returns the request as it is then, or None if somebody did."""
        changed = replace(archive, state=state, updated_on=self._moment(), **values)
        before = archive_values(archive)
        applied = await self._rows.update_if(
            ARCHIVES,
            archive.key,
            {name: value for name, value in archive_values(changed).items() if value != before[name]},
            [Equal("state", archive.state.value), Equal("blob", archive.blob)],
        )
        return changed if applied.applied else None

    async def fail(self, archive: Archive, why: str) -> None:
        """Deletes the file, to which nothing leads, then marks the request as failed."""
        await self._blobs.delete(archive.blob)
        await self.change(archive, ArchiveState.FAILED, error=why)

    def _moment(self) -> datetime:
        now = moment(milliseconds(self._now()))
        self._last = now if self._last is None else max(now, self._last + _TICK)
        return self._last
