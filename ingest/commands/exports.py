"""Files of a learner's own data, for download. They lie in the blob store under names that nobody guesses, until they
expire."""

import secrets
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from loaders.session import Session
from rules.errors import LimitReached
from stores.blobs import Blobs

ROOT = "exports"
LIVE_MOST = 20
"""How many files of one learner may wait for download by one viewer at a time.

So whoever asks again and again fills no disk, and keeps nobody else from their files.
"""
DELETED = 500
"""How many names are deleted at a time."""


@dataclass(frozen=True, slots=True)
class Export:
    """A file for download. ``url`` holds until ``expires_on``. ``size`` is in bytes."""

    url: str
    size: int
    expires_on: datetime


def exports_of(user_id: str) -> str:
    """Returns what the names of all files of a learner begin with. It tells nobody whose files they are."""
    return f"{ROOT}/{_tag(user_id)}"


async def write_export(
    session: Session, user_id: str, file_name: str, content: AsyncIterable[bytes]
) -> Export:
    """Stores what ``content`` gives and returns a link to it. Deletes the learner's files that have expired.

    The caller has checked that the viewer may have it. Raises LimitReached, StoreUnavailable.
    """
    blobs, now = session.stores.blobs, session.now()
    live = await _sweep(blobs, exports_of(user_id), now)
    viewer = _tag(session.viewer.known())
    if sum(_viewer_tag(name) == viewer for name in live) >= LIVE_MOST:
        raise LimitReached(
            f"{LIVE_MOST} downloads of this learner wait for you; use one, or wait until they expire"
        )
    until = int((now + session.shared.link_ttl).timestamp())
    name = f"{exports_of(user_id)}/{until}-{viewer}-{secrets.token_hex(16)}/{file_name}"
    size = await blobs.put(name, content)
    # The link ends when the file ends, or a moment before.
    url = await blobs.link(name, session.shared.link_ttl)
    return Export(url, size, datetime.fromtimestamp(until, UTC))


async def sweep_exports(blobs: Blobs, now: datetime) -> int:
    """Deletes the expired files of all learners. Returns how many there were."""
    swept = 0
    async for some in _batches(_expired(blobs, ROOT, now)):
        await blobs.delete(*some)
        swept += len(some)
    return swept


async def delete_exports(blobs: Blobs, user_id: str) -> int:
    """Deletes all files of a learner, expired or not. Returns how many there were."""
    deleted = 0
    async for some in _batches(blob.name async for blob in blobs.below(exports_of(user_id))):
        await blobs.delete(*some)
        deleted += len(some)
    return deleted


async def _sweep(blobs: Blobs, prefix: str, now: datetime) -> list[str]:
    """Deletes the expired files. Returns the names of those that are left."""
    names = [blob.name async for blob in blobs.below(prefix)]
    expired = [name for name in names if _has_expired(name, now)]
    if expired:
        await blobs.delete(*expired)
    return [name for name in names if not _has_expired(name, now)]


async def _expired(blobs: Blobs, prefix: str, now: datetime) -> AsyncIterator[str]:
    async for blob in blobs.below(prefix):
        if _has_expired(blob.name, now):
            yield blob.name


def _has_expired(name: str, now: datetime) -> bool:
    """True if the file has expired. Its name is ``exports/LEARNER/UNTIL-VIEWER-SECRET/FILE``, UNTIL in seconds since
    1970."""
    return int(name.split("/")[2].partition("-")[0]) <= now.timestamp()


def _tag(user_id: str) -> str:
    return blake2b(user_id.encode(), digest_size=16).hexdigest()


def _viewer_tag(name: str) -> str:
    return name.split("/")[2].split("-")[1]


async def _batches(names: AsyncIterator[str]) -> AsyncIterator[list[str]]:
    batch: list[str] = []
    async for name in names:
        batch.append(name)
        if len(batch) == DELETED:
            yield batch
            batch = []
    if batch:
        yield batch
