"""Files of the archive on this machine: written out of lines, or fetched from the blob store."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loaders.archives import FILE_COLUMNS
from rules.archives import ARCHIVE_ORDER
from stores.blobs import Blobs
from stores.column_files import FileFormat, read_file, write_file


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as it is on this machine. ``checksum``: the SHA-256 of its bytes, in hex."""

    path: Path
    form: FileFormat
    size: int
    checksum: str

    async def pages(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Its rows, a page at a time, in its order."""
        async for page in read_file(self.path, FILE_COLUMNS, self.form):
            yield page


async def written(lines: Path, to: Path, form: FileFormat) -> LocalFile:
    """Writes the file of these lines."""
    await write_file(lines, to, FILE_COLUMNS, form, order=ARCHIVE_ORDER)
    return await asyncio.to_thread(_measured, to, form)


async def fetched(blobs: Blobs, name: str, to: Path, form: FileFormat) -> LocalFile:
    """Copies the blob to this machine. NotFound where there is none."""
    digest, size = hashlib.sha256(), 0
    with await asyncio.to_thread(to.open, "wb") as file:
        async for chunk in blobs.get(name):
            digest.update(chunk)
            size += await asyncio.to_thread(file.write, chunk)
    return LocalFile(to, form, size, digest.hexdigest())


def _measured(path: Path, form: FileFormat) -> LocalFile:
    with path.open("rb") as file:
        return LocalFile(path, form, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
