"""The packages of a collection. (A stand-in: the slice of packages has the real one.)"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from loaders.session import Shared
from rules.hierarchy import Json


@dataclass(frozen=True, slots=True)
class PackageFile:
    """``size`` in bytes."""

    name: str
    size: int


async def write_package(
    shared: Shared, identifier: str, version: int, tree: Json, icons: Mapping[str, str], variant: str
) -> PackageFile:
    """Writes the tree as JSON."""

    async def content() -> AsyncIterator[bytes]:
        yield orjson.dumps({"tree": tree, "icons": dict(icons)})

    name = f"packages/{quote(identifier, safe='')}/{version}/{variant}.json"
    return PackageFile(name, await shared.stores.blobs.put(name, content()))
