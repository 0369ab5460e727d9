"""Files of a learner's own data, for download. They lie in the blob store until they expire."""

from collections.abc import AsyncIterable
from dataclasses import dataclass
from datetime import datetime

from ingest.writes.expiring_files import ExpiringFiles, count_of, expires_on
from loaders.session import Session
from rules.errors import LimitReached
from stores.blobs import Blobs

EXPORTS = ExpiringFiles("exports")
LIVE_MOST = 20
"""How many files of one learner may wait for download by one viewer at a time.

So whoever asks again and again fills no disk, and keeps nobody else from their files.
"""


@dataclass(frozen=True, slots=True)
class Export:
    """A file for download. ``url`` holds until ``expires_on``. ``size`` is in bytes."""

    url: str
    size: int
    expires_on: datetime


def exports_of(user_id: str) -> str:
    """Returns what the names of all files of a learner begin with. It tells nobody whose files they are."""
    return EXPORTS.of(user_id)


async def write_export(
    session: Session, user_id: str, file_name: str, content: AsyncIterable[bytes]
) -> Export:
    """Stores what ``content`` gives and returns a link to it. Deletes the learner's files that have expired.

    The caller has checked that the viewer may have it. Raises LimitReached, StoreUnavailable.
    """
    blobs, now, viewer = session.stores.blobs, session.now(), session.viewer.known()
    if count_of(await EXPORTS.live(blobs, user_id, now), viewer) >= LIVE_MOST:
        raise LimitReached(
            f"{LIVE_MOST} downloads of this learner wait for you; use one, or wait until they expire"
        )
    name = EXPORTS.new_name(user_id, viewer, now + session.shared.link_ttl, file_name)
    size = await blobs.put(name, content)
    # The link ends when the file ends, or a moment before.
    url = await blobs.link(name, session.shared.link_ttl)
    return Export(url, size, expires_on(name))


async def sweep_exports(blobs: Blobs, now: datetime) -> int:
    """Deletes the expired files of all learners. Returns how many there were."""
    return await EXPORTS.sweep(blobs, now)


async def delete_exports(blobs: Blobs, user_id: str) -> int:
    """Deletes all files of a learner, expired or not. Returns how many there were."""
    return await EXPORTS.delete(blobs, user_id)
