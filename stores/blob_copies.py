"""Copies of blobs on this machine, for who reads a file in part, or several times. A blob that is overwritten must have
another checksum, which the reader knows.

The copies are files in one folder, which the processes with the same ``data`` share:

- ``HASH-CHECKSUM.copy.SUFFIX``: a copy. HASH is of the blob's name. Its mtime says when it was made, its atime when it was used last.
- ``HEX.open.SUFFIX``: a hard link to a copy, for one reader. So nobody takes the file away from a reader.
- ``HEX.part``: a copy that is being made. Folders are for files that somebody makes (``scratch``).

No copy is kept longer than KEPT, so a blob that was deleted, such as one with an erased learner, is soon gone
everywhere.
"""

import asyncio
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import Context
from hashlib import blake2b, sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, Self
from uuid import uuid4

from rules.errors import StoreUnavailable
from stores.blobs import Blobs
from stores.deadline import remaining
from stores.futures import looked_at
from stores.private import private_file, private_folder

MOST = 512 * 1024 * 1024
"""Bytes of all copies, where nothing else is said."""
KEPT = 900.0
"""Seconds after which a copy is deleted, however often it is used."""
ABANDONED = 86_400.0
"""Seconds after which a folder or a half copy must be that of a dead process."""
AT_ONCE = 4
"""Blobs that a process fetches at the same time."""
WHOLE = 600.0
"""Seconds that a caller waits for a copy where no deadline is nearer."""
_AGAIN = 5
"""Tries to open a copy, which another process may delete in the same moment."""


class BlobCopies:
    """The copies of the blobs of one instance. ``most``: bytes of all of them together; those that were used last stay."""

    def __init__(self, blobs: Blobs, folder: Path, most: int = MOST) -> None:
        self._blobs = blobs
        self._folder = folder
        self._most = most
        self._flights: dict[Path, asyncio.Task[None]] = {}
        self._wanted: Counter[Path] = Counter()
        self._made: set[Path] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._timer: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, blobs: Blobs, folder: Path, most: int = MOST) -> Self:
        """Deletes what processes that died have left."""
        copies = cls(blobs, folder, most)
        await asyncio.to_thread(copies._sweep)
        return copies

    @asynccontextmanager
    async def copy(self, name: str, checksum: str | None = None) -> AsyncIterator[Path]:
        """A file with the blob's content, for the body. Who asks for the same blob at the same time shares the fetch.

        ``checksum``: the SHA-256 that the content must have, in hex. Raises NotFound, StoreUnavailable.
        """
        with _errors():
            own = await self._opened(name, checksum)
        try:
            await self._make_room()
            yield own
        finally:
            await asyncio.shield(asyncio.to_thread(own.unlink, missing_ok=True))

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        """An empty folder for files that the body makes. It is deleted with them."""

        def made() -> Path:
            return Path(mkdtemp(dir=private_folder(self._folder)))

        with _errors():
            folder = await asyncio.to_thread(made)
        try:
            yield folder
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    async def forget(self, *names: str) -> None:
        """Deletes the copies of these blobs. Who reads one at the moment reads it to its end."""

        def delete() -> None:
            for name in names:
                for path in self._folder.glob(f"{_hash(name)}-*"):
                    path.unlink(missing_ok=True)

        with _errors():
            await asyncio.to_thread(delete)

    async def close(self) -> None:
        """Deletes the copies that this process has made."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = [*self._flights.values(), *filter(None, [self._sweeping])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        def delete() -> None:
            for path in self._made:
                path.unlink(missing_ok=True)
            with suppress(OSError):  # others have copies there, or it never was
                self._folder.rmdir()

        with suppress(OSError):
            await asyncio.to_thread(delete)

    async def _opened(self, name: str, checksum: str | None) -> Path:
        path = self._path(name, checksum)
        self._wanted[path] += 1
        try:
            for _ in range(_AGAIN):
                own = await asyncio.to_thread(self._link, path)
                if own is not None:
                    return own
                await self._fetched(name, checksum)
        finally:
            self._wanted[path] -= 1
            if not self._wanted[path]:
                del self._wanted[path]
        raise StoreUnavailable(
            "the copies of files have no room", detail=f"{self._folder}: others delete {name} as it is made"
        )

    def _path(self, name: str, checksum: str | None) -> Path:
        return self._folder / f"{_hash(name)}-{checksum or 'any'}.copy.{_suffix(name)}"

    def _link(self, path: Path) -> Path | None:
        """A link of the caller's own to the copy; None where there is none."""
        own = self._folder / f"{uuid4().hex}.open.{path.name.partition('.copy.')[2]}"
        try:
            os.link(path, own)
            stat = own.stat()
            os.utime(own, ns=(time.time_ns(), stat.st_mtime_ns))
        except FileNotFoundError:
            return None
        return own

    async def _fetched(self, name: str, checksum: str | None) -> None:
        """Waits for the flight of this blob. It runs under no single caller's deadline."""
        path = self._path(name, checksum)
        flight = self._flights.get(path)
        if flight is None:
            flight = asyncio.create_task(self._fetch(name, checksum), context=Context())
            self._flights[path] = flight
            flight.add_done_callback(lambda ended: self._landed(path, ended))
        try:
            async with asyncio.timeout(remaining(WHOLE)):
                await asyncio.shield(flight)
        except TimeoutError:
            remaining(WHOLE)  # DeadlineExceeded, where it was that
            raise StoreUnavailable("the blob store is slow", detail=f"{name} took {WHOLE} seconds") from None

    def _landed(self, path: Path, flight: asyncio.Task[None]) -> None:
        del self._flights[path]
        looked_at(flight)  # each waiter has raised its error; none may be left

    async def _fetch(self, name: str, checksum: str | None) -> None:
        async with self._slots:
            part = self._folder / f"{uuid4().hex}.part"
            digest = sha256()

            def begin() -> IO[bytes]:
                private_folder(self._folder)
                return private_file(part).open("wb")

            def add(chunk: bytes) -> None:
                digest.update(chunk)
                file.write(chunk)

            def end() -> None:
                file.close()
                part.replace(self._path(name, checksum))

            with _errors():
                file = await asyncio.to_thread(begin)
                try:
                    async for chunk in self._blobs.get(name):
                        await asyncio.to_thread(add, chunk)
                    if checksum is not None and digest.hexdigest() != checksum:
                        raise StoreUnavailable(
                            "a file in the blob store is damaged", detail=f"{name} has another checksum"
                        )
                    await asyncio.to_thread(end)
                finally:
                    file.close()
                    await asyncio.to_thread(part.unlink, missing_ok=True)
            self._made.add(self._path(name, checksum))
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(KEPT, self._expire)

    def _expire(self) -> None:
        """Deletes the copies whose time is over. Comes again as long as there are others."""

        async def expire() -> None:
            left = await asyncio.to_thread(self._sweep)
            if left is not None:
                self._timer = asyncio.get_running_loop().call_later(max(1.0, left), self._expire)

        self._timer = None
        self._sweeping = asyncio.create_task(expire(), context=Context())

    async def _make_room(self) -> None:
        wanted = {*self._wanted}
        with _errors():
            await asyncio.to_thread(self._sweep, wanted)

    def _sweep(self, wanted: frozenset[Path] | set[Path] = frozenset()) -> float | None:
        """Deletes what is too old, then the copies that were used least lately, until the others have room. Those that are
        ``wanted`` stay. Returns the seconds until the next copy is too old; None where there is none."""
        now, copies = time.time(), []
        for path in self._entries():
            with suppress(FileNotFoundError):
                stat = path.stat()
                age = now - stat.st_mtime
                is_copy = ".copy." in path.name
                if path.is_dir():
                    if age > ABANDONED:
                        shutil.rmtree(path, ignore_errors=True)
                elif age > (KEPT if is_copy else ABANDONED):
                    path.unlink()
                elif is_copy:
                    copies.append((stat.st_atime, age, stat.st_size, path))
        room = self._most
        left = None
        for _, age, size, path in sorted(copies, reverse=True):
            room -= size
            if room < 0 and path not in wanted:
                path.unlink(missing_ok=True)
            else:
                left = min(KEPT - age, KEPT if left is None else left)
        return left

    def _entries(self) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            yield from [*self._folder.iterdir()]


def _hash(name: str) -> str:
    return blake2b(name.encode(), digest_size=16).hexdigest()


def _suffix(name: str) -> str:
    """What follows the first point of the last part: ``parquet``, ``csv.gz``."""
    return name.rpartition("/")[2].partition(".")[2]


@contextmanager
def _errors() -> Iterator[None]:
    """Turns the system's errors into StoreUnavailable."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        raise StoreUnavailable(
            "the copies of files on this machine can't be used", detail=str(error)
        ) from error
