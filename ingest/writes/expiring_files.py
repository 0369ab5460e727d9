"""Files in the blob store under names that nobody guesses, until they expire.

A name is ``ROOT/OWNER/UNTIL-VIEWER-SECRET/FILE``. OWNER and VIEWER are hashes, so it tells nobody whose file it is. UNTIL is
in seconds since 1970, so a sweep lists the files and needs no table.
"""

import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from stores.blobs import Blobs

DELETED = 500
"""How many names are deleted at a time."""


@dataclass(frozen=True, slots=True)
class ExpiringFiles:
    """The files below one root. An ``owner`` is whom or what a file is about."""

    root: str

    def of(self, owner: str) -> str:
        """Returns what the names of all files of an owner begin with."""
        return f"{self.root}/{_tag(owner)}"

    def new_name(self, owner: str, viewer: str, until: datetime, file_name: str) -> str:
        """Returns the name of a file that is for this viewer."""
        seconds = int(until.timestamp())
        return f"{self.of(owner)}/{seconds}-{_tag(viewer)}-{secrets.token_hex(16)}/{file_name}"

    async def live(self, blobs: Blobs, owner: str, now: datetime) -> list[str]:
        """Deletes the files of an owner that have expired. Returns the names of those that are left."""
        names = [blob.name async for blob in blobs.below(self.of(owner))]
        expired = [name for name in names if _has_expired(name, now)]
        if expired:
            await blobs.delete(*expired)
        return [name for name in names if not _has_expired(name, now)]

    async def sweep(self, blobs: Blobs, now: datetime) -> int:
        """Deletes the expired files of all owners. Returns how many there were."""
        return await _delete(
            blobs, (blob.name async for blob in blobs.below(self.root) if _has_expired(blob.name, now))
        )

    async def delete(self, blobs: Blobs, owner: str) -> int:
        """Deletes all files of an owner, expired or not. Returns how many there were."""
        return await _delete(blobs, (blob.name async for blob in blobs.below(self.of(owner))))


def expires_on(name: str) -> datetime:
    """Returns when the file expires, in whole seconds."""
    return datetime.fromtimestamp(int(name.split("/")[2].partition("-")[0]), UTC)


def count_of(names: Iterable[str], viewer: str) -> int:
    """Returns how many of the files are for this viewer."""
    tag = _tag(viewer)
    return sum(name.split("/")[2].split("-")[1] == tag for name in names)


def _has_expired(name: str, now: datetime) -> bool:
    return expires_on(name) <= now


def _tag(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


async def _delete(blobs: Blobs, names: AsyncIterator[str]) -> int:
    deleted, batch = 0, list[str]()
    async for name in names:
        batch.append(name)
        if len(batch) == DELETED:
            await blobs.delete(*batch)
            deleted += len(batch)
            batch = []
    if batch:
        await blobs.delete(*batch)
    return deleted + len(batch)
