"""The blobs port in a directory: one of this machine, or one that several gateways share."""

import asyncio
import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Self

from rules.errors import NotFound, StoreUnavailable
from stores.blob_links import BlobLinks
from stores.blobs import Blob, Blobs, checked_name
from stores.deadline import remaining
from stores.meter import Meter
from stores.private import private_folder
from stores.timing import timed

READ = 256 * 1024
"""Bytes that are read at a time."""
PARTS = ".parts"
"""The folder of unfinished files. Its name is no blob's, as it begins with a dot."""
ABANDONED = 86_400.0
"""Seconds after which an unfinished file must be that of a dead process."""
TIMEOUT = 10.0
"""Seconds that a call may take."""
LISTED = 500
"""Blobs that a list reads at a time."""
AGAIN = 5
"""Tries to put a file into its folder, which a deletion may remove in the same moment."""


@timed("blobs", Blobs)
class FileBlobs:
    """The Blobs port under ``root/prefix``. ``links`` makes the links that the gateway serves; None for no links."""

    def __init__(self, root: Path, prefix: str, links: BlobLinks | None) -> None:
        self.meter = Meter()
        self._root = root / prefix
        self._parts = root / PARTS
        self._links = links

    @classmethod
    async def open(cls, root: Path, prefix: str, links: BlobLinks | None = None) -> Self:
        """Creates the folders and deletes unfinished files of dead processes. StoreUnavailable where that fails."""
        blobs = cls(root, prefix, links)
        await asyncio.to_thread(blobs._prepare)
        return blobs

    async def put(self, name: str, content: AsyncIterable[bytes]) -> int:
        path = self._path(name)
        self.meter.count("put")
        with _errors():
            part = await asyncio.to_thread(self._new_part)
            size = 0
            try:
                async for chunk in content:
                    remaining(TIMEOUT)
                    size += await asyncio.to_thread(part.write, chunk)
                await asyncio.to_thread(self._finish, part, path)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(_abandon, part))
                raise
        return size

    async def get(self, name: str) -> AsyncIterator[bytes]:
        path = self._path(name)
        self.meter.count("get")
        remaining(TIMEOUT)
        with _errors():
            try:
                file = await asyncio.to_thread(path.open, "rb")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise NotFound(f"there is no blob {name}", field="name") from None
            with file:
                while chunk := await asyncio.to_thread(file.read, READ):
                    yield chunk

    async def find(self, name: str) -> Blob | None:
        path = self._path(name)
        self.meter.count("find")
        remaining(TIMEOUT)
        with _errors():
            return await asyncio.to_thread(self._blob, path)

    async def below(self, prefix: str) -> AsyncIterator[Blob]:
        found = self._below(self._path(prefix))
        while True:
            remaining(TIMEOUT)
            self.meter.count("below")
            with _errors():
                some = await asyncio.to_thread(lambda: list(islice(found, LISTED)))
            for blob in some:
                yield blob
            if len(some) < LISTED:
                return

    async def delete(self, *names: str) -> None:
        paths = [self._path(name) for name in names]
        self.meter.count("delete", bool(paths))
        remaining(TIMEOUT)
        with _errors():
            await asyncio.to_thread(self._delete, paths)

    async def link(self, name: str, expires: timedelta) -> str:
        if self._links is None:
            raise StoreUnavailable("links can't be given here", detail="no signing key is set")
        return self._links.url(name, expires)

    async def ping(self) -> None:
        remaining(TIMEOUT)

        def check() -> None:
            if not os.access(self._parts, os.W_OK):
                raise OSError(f"{self._parts} can't be written to")

        with _errors():
            await asyncio.to_thread(check)

    async def close(self) -> None:
        """Nothing to do: nothing is open between calls."""

    def _path(self, name: str) -> Path:
        return self._root / checked_name(name)

    def _prepare(self) -> None:
        with _errors():
            private_folder(self._parts)
            private_folder(self._root)
            for part in self._parts.iterdir():
                with suppress(FileNotFoundError):
                    if part.stat().st_mtime < time.time() - ABANDONED:
                        part.unlink()

    def _new_part(self) -> IO[bytes]:
        """A new file that only its owner may read, as every blob."""
        return NamedTemporaryFile(dir=self._parts, delete=False)

    @staticmethod
    def _finish(part: IO[bytes], path: Path) -> None:
        part.flush()
        os.fsync(part.fileno())
        part.close()
        for left in reversed(range(AGAIN)):
            try:
                private_folder(path.parent)
                os.replace(part.name, path)  # noqa: PTH105 - from a name
                return
            except FileNotFoundError:
                if not left:
                    raise

    def _blob(self, path: Path) -> Blob | None:
        try:
            stat = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not path.is_file():
            return None
        name = path.relative_to(self._root).as_posix()
        return Blob(name, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))

    def _below(self, folder: Path) -> Iterator[Blob]:
        """Blobs in the folder at any depth. A blob that is deleted meanwhile is left out."""
        for directory, _, names in os.walk(folder):
            for name in names:
                if (blob := self._blob(Path(directory) / name)) is not None:
                    yield blob

    def _delete(self, paths: Sequence[Path]) -> None:
        for path in paths:
            with suppress(FileNotFoundError):
                if path.is_file():  # a folder is no blob
                    path.unlink()
            with suppress(OSError):  # the folder is not empty
                for folder in path.parents:
                    if folder == self._root:
                        break
                    folder.rmdir()


def _abandon(part: IO[bytes]) -> None:
    part.close()
    Path(part.name).unlink(missing_ok=True)


@contextmanager
def _errors() -> Iterator[None]:
    """Turns the system's errors into StoreUnavailable."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable("the blob store is away", detail=str(error)) from error
