"""The icons of a collection and its units, fetched and stored beside its packages (R-COLL-5)."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from loaders.session import Shared
from rules.packages import icon_name
from stores.blobs import Blobs
from stores.web_fetch import SIDE_BY_SIDE, Fetched, NotFetched, Resolve, WebFetch, addresses_of

MEDIA_TYPES = frozenset({"image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp"})
"""What a server may call an icon. SVG is not among them: it is a document that may run scripts where it is shown."""


@dataclass(frozen=True, slots=True)
class IconReport:
    """``stored``: the blob name of each icon, by URL. ``failed``: why an icon was not fetched, by URL."""

    stored: Mapping[str, str]
    failed: Mapping[str, str]


async def fetch_icons(
    shared: Shared,
    urls: Sequence[str],
    identifier: str,
    version: int,
    resolve: Resolve = addresses_of,
) -> IconReport:
    """Fetches each icon once and stores it. An icon that can't be had keeps its URL and stops nothing.

    Icons are fetched of the allowed hosts alone (``Shared.icon_rules``). The blob names follow from what was fetched.
    Raises StoreUnavailable.
    """
    stored: dict[str, str] = {}
    failed: dict[str, str] = {}
    wanted = dict.fromkeys(urls)
    if not wanted:  # to open what fetches costs more than to publish a small tree
        return IconReport(stored, failed)
    waiting = iter(wanted)

    async def fetch_next(web: WebFetch) -> None:
        for url in waiting:
            try:
                stored[url] = await _store(shared.stores.blobs, await web.get(url), identifier, version)
            except NotFetched as error:
                failed[url] = str(error)

    async with WebFetch.open(shared.icon_rules, resolve) as web:
        fetching = [asyncio.create_task(fetch_next(web)) for _ in range(SIDE_BY_SIDE)]
        try:
            await asyncio.gather(*fetching)
        finally:
            for task in fetching:
                task.cancel()
            await asyncio.gather(*fetching, return_exceptions=True)
    return IconReport(*({url: of[url] for url in wanted if url in of} for of in (stored, failed)))


async def _store(blobs: Blobs, icon: Fetched, identifier: str, version: int) -> str:
    suffix = _suffix(icon)
    digest = blake2b(icon.content, digest_size=16).hexdigest()
    name = icon_name(identifier, version, digest, suffix)
    await blobs.put(name, _whole(icon.content))
    return name


def _suffix(icon: Fetched) -> str:
    """The suffix by the content itself: servers often call a JPEG a PNG. NotFetched where it is no image."""
    if icon.media_type not in MEDIA_TYPES:
        raise NotFetched(f"it is no PNG, JPEG, GIF or WebP, but {icon.media_type[:80] or 'of no type'}")
    content = icon.content
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "webp"
    raise NotFetched(f"its content is no PNG, JPEG, GIF or WebP, though it is called {icon.media_type}")


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
