"""Writes the packages of a published version into the blob store, and deletes those of old ones (R-COLL-5, D-PACKAGES)."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from io import RawIOBase
from typing import IO, Any, cast
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from loaders.session import Shared
from rules.hierarchy import Json
from rules.packages import (
    HIERARCHY,
    MANIFEST,
    PackageVariant,
    icon_paths,
    manifest,
    nested_document,
    package_name,
    packages_of,
    version_of,
)

PIECE = 256 * 1024
"""Bytes of a document that are made and packed at a time, in a thread."""
DELETED = 500
"""Names that are deleted at a time."""
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
_LATEST = datetime(2107, 12, 31, tzinfo=UTC)
"""What a zip can date an entry with."""
_FILE = 0o100644 << 16
"""A file that everybody may read, as zip's external attributes have it."""
_UNIX = 3

Entry = tuple[str, AsyncIterator[bytes]]
"""A name in the package, and the content in pieces."""


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A package that was stored. ``name`` of its blob, ``size`` in bytes, ``digest`` SHA-256 of it in hexadecimal."""

    name: str
    size: int
    digest: str


async def write_package(
    shared: Shared,
    identifier: str,
    version: int,
    tree: Json,
    icons: Mapping[str, str],
    variant: PackageVariant,
) -> PackageFile:
    """Writes the package of a published tree. ``icons``: the blob names of the icons that are stored, by URL.

    The same tree and icons give the same bytes, so that a publish which died may be repeated. The tree must not change
    meanwhile. Raises StoreUnavailable, NotFound if an icon is gone.
    """
    paths = await asyncio.to_thread(icon_paths, tree, icons) if variant is PackageVariant.SPINE else {}
    message_id = str(
        UUID(bytes=blake2b(f"{variant.value}\n{version}\n{identifier}".encode(), digest_size=16).digest())
    )
    blobs = shared.stores.blobs
    names = {path: icons[url] for url, path in paths.items()}
    entries: list[Entry] = [
        (MANIFEST, _in_thread(manifest(tree, message_id, paths))),
        (HIERARCHY, _in_thread(nested_document(tree, message_id))),
        *((path, blobs.get(names[path])) for path in sorted(names)),
    ]
    digest = sha256()

    async def digested() -> AsyncIterator[bytes]:
        async for chunk in _zipped(entries, _published(tree)):
            digest.update(chunk)
            yield chunk

    name = package_name(identifier, version, variant)
    size = await blobs.put(name, digested())
    return PackageFile(name, size, digest.hexdigest())


async def drop_packages(shared: Shared, identifier: str, live_version: int, before: int | None) -> int:
    """Deletes the packages and icons of older versions, and of those that never went live. Returns how many files there
    were.

    ``before``: the version that was live until now. A client may be downloading its package, so it stays.
    """
    blobs, dropped = shared.stores.blobs, 0
    names = [
        blob.name
        async for blob in blobs.below(packages_of(identifier))
        if version_of(blob.name) < live_version and version_of(blob.name) != before
    ]
    for start in range(0, len(names), DELETED):
        await blobs.delete(*names[start : start + DELETED])
        dropped += len(names[start : start + DELETED])
    return dropped


async def _zipped(entries: list[Entry], at: datetime) -> AsyncIterator[bytes]:
    """The zip, as it comes into being. Every entry is deflated, also an image, from which nothing is gained: readers of
    streams can't find the end of one that is stored as it is."""
    sink = _Sink()
    with ZipFile(cast("IO[bytes]", sink), "w") as archive:
        for name, content in entries:
            entry = ZipInfo(name, at.timetuple()[:6])
            entry.compress_type, entry.create_system, entry.external_attr = ZIP_DEFLATED, _UNIX, _FILE
            with archive.open(entry, "w") as file:
                async for piece in content:
                    await asyncio.to_thread(file.write, piece)
                    if len(sink.waiting) >= PIECE:
                        yield sink.take()
    yield sink.take()


class _Sink(RawIOBase):
    """What ZipFile writes into: a file that can't be sought in. What waits is taken from it."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.waiting += data
        return len(data)

    def take(self) -> bytes:
        taken, self.waiting = bytes(self.waiting), bytearray()
        return taken


async def _in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, made beside the event loop, many at a time."""

    def some() -> bytes:
        joined = bytearray()
        for piece in pieces:
            joined += piece
            if len(joined) >= PIECE:
                break
        return bytes(joined)

    while piece := await asyncio.to_thread(some):
        yield piece


def _published(tree: Json) -> datetime:
    """When the tree was published, as far as a zip can say it."""
    try:
        at = datetime.fromisoformat(str(tree.get("lastPublishedOn")))
    except ValueError:
        return _EARLIEST
    return min(max(at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC), _EARLIEST), _LATEST)
