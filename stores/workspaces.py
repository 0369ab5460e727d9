"""Folders for files that a process works on for a while, such as those that it uploads then."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp

from stores.private import private_folder


@asynccontextmanager
async def workspace(data: Path, name: str, *, alone: bool = False) -> AsyncIterator[Path]:
    """A new empty folder under ``data/name``, which only its owner may use. It is removed at the end, whatever happens.

    A process that is killed leaves its folder. ``alone`` says that nobody else is at work under this name: what others left
    is removed first.
    """
    parent = data / name

    def make() -> Path:
        if alone:
            shutil.rmtree(parent, ignore_errors=True)
        return Path(mkdtemp(dir=private_folder(parent)))

    folder = await asyncio.to_thread(make)
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
