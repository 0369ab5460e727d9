"""Published trees, as they are stored: nested JSON, packed, in chunks. Only what looks into one parses it."""

import asyncio
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import orjson

from loaders.chunks import CHUNK, IN_THREAD_FROM, chunks_of, joined
from loaders.kept import ENTRY, MEGABYTE, texts
from loaders.shared import SharedLoader
from rules.hierarchy import Hierarchy
from stores.cache import Cache
from stores.rows import Rows
from stores.tables import HIERARCHIES

LIVE = "live"
"""The ``mode`` of published trees in content_hierarchy."""
MOST_BYTES = 64 * MEGABYTE
"""Bytes of JSON that a process keeps."""
MOST_PARSED = 80 * MEGABYTE
"""Bytes of the trees that a process keeps parsed."""
OF_JSON = 5
"""What a byte of JSON takes once it is parsed: three to seven bytes."""
KEPT_FOR = 7 * 24 * 3600.0
"""Seconds for which the cache keeps a tree that nobody publishes anew."""

PublishedNode = tuple[str, str, int]
"""A node of a published version: its identifier, the collection's, the version. What it leads to never changes."""


@dataclass(frozen=True, slots=True)
class StoredTree:
    """A tree as JSON. ``tag`` tells it from every other, so that nobody has to read it for that."""

    data: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class _Parsed:
    hierarchy: Hierarchy
    size: int
    """Bytes of its JSON."""


class Trees:
    """The trees of one process: from its memory, else from the cache, else from the rows.

    The root of a version has a tree, and so has each unit. With the cache away the rows answer.
    """

    def __init__(self, rows: Rows, cache: Cache) -> None:
        self._rows = rows
        self._cache = cache
        self.serialised: SharedLoader[PublishedNode, bytes] = SharedLoader(
            self._serialised, most=MOST_BYTES, size=_size
        )
        self._parsed: SharedLoader[PublishedNode, _Parsed] = SharedLoader(
            self._parse, most=MOST_PARSED, size=lambda _, parsed: ENTRY + OF_JSON * parsed.size
        )

    async def hierarchy(self, node: PublishedNode) -> Hierarchy | None:
        """The tree from this node down, parsed. None if there is none of this version."""
        found = await self._parsed.load(node)
        return None if found is None else found.hierarchy

    async def hierarchies(self, nodes: Sequence[PublishedNode]) -> list[Hierarchy | None]:
        found = await self._parsed.load_many(nodes)
        return [None if parsed is None else parsed.hierarchy for parsed in found]

    def forget(self, node: PublishedNode) -> None:
        self.serialised.forget(node)
        self._parsed.forget(node)

    async def drop(self, nodes: Collection[PublishedNode]) -> None:
        """Makes room in the cache, and in this process, for what nobody reads any more."""
        for node in nodes:
            self.forget(node)
        await self._cache.delete(*map(_cache_key, nodes))

    async def _serialised(self, nodes: list[PublishedNode]) -> list[bytes | None]:
        kept = await self._cache.get_many([_cache_key(node) for node in nodes])
        found = dict(zip(nodes, await asyncio.gather(*map(_unpacked, kept)), strict=True))
        missing = [node for node, data in found.items() if data is None]
        if missing:
            stored = await self._stored(missing)
            found |= zip(missing, await asyncio.gather(*map(_unpacked, stored)), strict=True)
            await asyncio.gather(
                *(
                    self._cache.set(_cache_key(node), packed, KEPT_FOR)
                    for node, packed in zip(missing, stored, strict=True)
                    if packed is not None and found[node] is not None
                )
            )
        return [found[node] for node in nodes]

    async def _stored(self, nodes: Sequence[PublishedNode]) -> list[bytes | None]:
        """What the rows have of each tree, packed. They are asked for one version at a time: so no read meets what was
        deleted of others."""
        by_version = [
            (version, [identifier for identifier, _, _ in group])
            for version, group in groupby(sorted(nodes, key=_version), key=_version)
        ]
        read = await asyncio.gather(
            *(
                self._rows.partitions(
                    HIERARCHIES, [(one, LIVE) for one in dict.fromkeys(identifiers)], prefix=(version,)
                )
                for version, identifiers in by_version
            )
        )
        chunks = dict(zip([version for version, _ in by_version], read, strict=True))
        return [joined(chunks[version][identifier, LIVE]) for identifier, _, version in nodes]

    async def _parse(self, nodes: list[PublishedNode]) -> list[_Parsed | None]:
        found = await self.serialised.load_many(nodes)
        return await asyncio.gather(
            *(_parsed(data, version) for data, (_, _, version) in zip(found, nodes, strict=True))
        )


def encode_hierarchy(node: dict[str, Any], chunk_size: int = CHUNK) -> list[bytes]:
    """The chunks that ``content_hierarchy`` stores of a tree."""
    return chunks_of(zlib.compress(orjson.dumps(node)), chunk_size)


def tree_nodes(identifier: str, versions: Collection[int], units: Collection[str]) -> Iterator[PublishedNode]:
    """Gives what has a tree in these versions of a collection: it and its units."""
    for version in versions:
        yield from ((node, identifier, version) for node in (identifier, *units))


def _size(node: PublishedNode, data: bytes) -> int:
    return ENTRY + texts(node[0], node[1]) + len(data)


def _version(node: PublishedNode) -> int:
    return node[2]


def _cache_key(node: PublishedNode) -> str:
    identifier, root, version = node
    return f"tree:{root}\n{version}\n{identifier}"


async def _unpacked(packed: bytes | None) -> bytes | None:
    """The JSON. None if there is none, or not the whole of it: what was packed has a checksum."""
    if packed is None:
        return None
    try:
        if len(packed) < IN_THREAD_FROM:
            return zlib.decompress(packed)
        return await asyncio.to_thread(zlib.decompress, packed)
    except zlib.error:
        return None


async def _parsed(data: bytes | None, version: int) -> _Parsed | None:
    if data is None:
        return None
    known = data

    def parsed() -> _Parsed:
        return _Parsed(Hierarchy(orjson.loads(known), version), len(known))

    return parsed() if len(known) < IN_THREAD_FROM else await asyncio.to_thread(parsed)
