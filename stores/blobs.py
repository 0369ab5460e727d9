"""The blobs port: whole files by name, and links to them that expire. Engines: a directory, and the object stores of
clouds (S3, Azure, Google).

What both engines promise (tests/stores/test_blobs_contract.py runs against each):

- A blob is there whole or not at all, whoever reads while it is written; written again, the new one is there whole.
- Neither writing nor reading holds more than a few chunks in memory.
- A name is parts of letters, digits, ``.``, ``_``, ``-`` between slashes, such as ``exports/ada/summary.csv``; its last
  part is what a link's reader saves it as, and that one's suffix says what it holds. The engine puts the instance's
  prefix before it.
- StoreUnavailable where the engine can't be reached or does not answer within the deadline (stores/deadline.py).
"""

import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from rules.errors import InvalidInput
from stores.meter import Meter

CHUNK = 5 * 1024 * 1024
"""The bytes that are sent at a time. Object stores take no smaller parts."""
LONGEST_NAME = 400
LONGEST_LINK = timedelta(days=7)
"""The longest time that a link may hold. Object stores sign for no longer."""

_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}")
_MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json", "zip": "application/zip"}


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that is there. ``size`` is in bytes."""

    name: str
    size: int
    written_on: datetime


class Blobs(Protocol):
    """The blobs of one instance. Every method is safe to call concurrently."""

    meter: Meter

    async def put(self, name: str, content: AsyncIterable[bytes]) -> int:
        """Writes a blob and returns its size, once all of it is there. Where ``content`` fails nothing is written, and
        what was there before stays."""
        ...

    def get(self, name: str) -> AsyncIterator[bytes]:
        """Yields the blob in chunks. The first one raises NotFound where there is no blob."""
        ...

    async def find(self, name: str) -> Blob | None:
        """Returns what is known of a blob, None where there is none."""
        ...

    def below(self, prefix: str) -> AsyncIterator[Blob]:
        """Yields all blobs whose name has ``prefix`` as its first parts, in no order: ``exports/ada`` gives
        ``exports/ada/…`` alone."""
        ...

    async def delete(self, *names: str) -> None:
        """Deletes these blobs. A name of nothing is no error."""
        ...

    async def link(self, name: str, expires: timedelta) -> str:
        """Returns a link under which anybody who is told can read the blob until ``until``, at most LONGEST_LINK from
        now. The blob need not be there yet."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable unless the store can be used now."""
        ...

    async def close(self) -> None: ...


def checked_name(name: str) -> str:
    """Returns the name. InvalidInput says that no engine takes it."""
    if len(name) > LONGEST_NAME or not all(map(_PART.fullmatch, name.split("/"))):
        raise InvalidInput("a blob's name is parts of letters, digits, . _ - between slashes", field="name")
    return name


def checked_life(expires: timedelta) -> timedelta:
    """Returns how long a link may hold. InvalidInput says that it is no time, or longer than a store allows."""
    if not timedelta(seconds=1) <= expires <= LONGEST_LINK:
        raise InvalidInput(f"a link holds from a second to {LONGEST_LINK.days} days", field="expires")
    return expires


def file_name(name: str) -> str:
    """Returns the name of the file that whoever follows a link saves."""
    return name.rpartition("/")[2]


def media_type(name: str) -> str:
    """Returns the media type that the suffix tells."""
    return _MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
