"""The blobs port: whole files by name, and links to them that expire.

Engines: a directory, and the object stores of clouds (S3, Azure, Google).

What both engines promise (tests/stores/test_blobs_contract.py runs against each):

- A blob is there whole or not at all. A reader never sees a part of one, nor a mix of an old and a new one.
- Neither writing nor reading holds more than a few chunks in memory.
- A name is parts of letters, digits, ``.``, ``_``, ``-`` between slashes, such as ``exports/ada/summary.csv``. Who
  follows a link saves the file under the last part. Its suffix gives the media type. The engine puts the instance's
  prefix before the name.
- StoreUnavailable where the engine can't be reached or does not answer within the deadline (stores/deadline.py).
"""

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from rules.errors import InvalidInput
from stores.meter import Meter

CHUNK = 5 * 1024 * 1024
"""Bytes that are sent at a time; object stores take no smaller parts."""
LONGEST_NAME = 400
"""Characters."""
LONGEST_LINK = timedelta(days=7)
"""Object stores sign for no longer."""

_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}")
_MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "ecar": "application/zip",
    "gif": "image/gif",
    "jpg": "image/jpeg",
    "json": "application/json",
    "png": "image/png",
    "webp": "image/webp",
    "zip": "application/zip",
}


@dataclass(frozen=True, slots=True)
class Blob:
    """``size`` in bytes."""

    name: str
    size: int
    written_on: datetime


class Blobs(Protocol):
    """The blobs of one instance. Every method is safe to call concurrently."""

    meter: Meter

    async def put(self, name: str, content: AsyncIterable[bytes]) -> int:
        """Writes the blob and returns its size in bytes. Where ``content`` fails, nothing changes."""
        ...

    def get(self, name: str) -> AsyncIterator[bytes]:
        """The content in chunks. NotFound at the first chunk where there is no such blob."""
        ...

    async def find(self, name: str) -> Blob | None:
        """The blob's name, size and time; None where there is no such blob."""
        ...

    def below(self, prefix: str) -> AsyncIterator[Blob]:
        """All blobs whose name begins with these whole parts, in no order: ``exports/ada`` finds ``exports/ada/…`` alone."""
        ...

    async def delete(self, *names: str) -> None:
        """Deletes these blobs. A name without a blob is no error."""
        ...

    async def link(self, name: str, expires: timedelta) -> str:
        """A URL with which anybody can read the blob for ``expires``, at most LONGEST_LINK. The blob need not exist yet."""
        ...

    async def ping(self) -> None:
        """StoreUnavailable unless the store can be used now."""
        ...

    async def close(self) -> None: ...


async def chunks_of(path: Path) -> AsyncIterator[bytes]:
    """The content of a file on this machine, as ``put`` takes it."""
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


def checked_name(name: str) -> str:
    """The name itself; InvalidInput for one that no engine takes."""
    if len(name) > LONGEST_NAME or not all(map(_PART.fullmatch, name.split("/"))):
        raise InvalidInput("a blob's name is parts of letters, digits, . _ - between slashes", field="name")
    return name


def checked_life(expires: timedelta) -> timedelta:
    """The time itself; InvalidInput where it is not from a second to LONGEST_LINK."""
    if not timedelta(seconds=1) <= expires <= LONGEST_LINK:
        raise InvalidInput(f"a link holds from a second to {LONGEST_LINK.days} days", field="expires")
    return expires


def file_name(name: str) -> str:
    """The name under which a download is saved: the last part."""
    return name.rpartition("/")[2]


def media_type(name: str) -> str:
    """The media type by the name's suffix."""
    return _MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
