"""Folders for work that one process of a machine does at a time. ``BlobCopies.scratch`` is for work that many may do at once."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp

from stores.private import private_folder


@asynccontextmanager
async def workspace(data: Path, name: str) -> AsyncIterator[Path]:
    """A new empty folder under ``data/name``, which only its owner may use. It is removed at the end, whatever happens.

    Nobody else may be at work under this name. A process that is killed leaves its folder: what others left is removed
    first.
    """
    parent = data / name

    def make() -> Path:
        shutil.rmtree(parent, ignore_errors=True)
        return Path(mkdtemp(dir=private_folder(parent)))

    folder = await asyncio.to_thread(make)
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
