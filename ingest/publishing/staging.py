"""What a publish has frozen for its later steps: JSON documents in a partition of its own, deleted at the end.

So every step works from what ``validate`` read, in whichever process and however often it is done again.
"""

import asyncio
import zlib
from enum import IntEnum
from typing import Any

import orjson

from loaders.chunks import chunk_writes, chunks_of, delete_chunks, joined
from rules.errors import Conflict
from stores.rows import Rows
from stores.tables import HIERARCHIES


class Staged(IntEnum):
    """The documents of a publish. The values are in the rows, where a live tree has its version."""

    TREE = 0
    """The nested tree as it was read."""
    ICONS = 1
    """The blob of each app icon that was fetched, by its URL."""


class Staging:
    """The documents of one publish. The last one that was written or read of each kind stays in memory."""

    def __init__(self, rows: Rows, identifier: str, job: str) -> None:
        self._rows = rows
        self._place = (identifier, f"staged:{job}")
        self._kept: dict[Staged, Any] = {}

    async def write(self, which: Staged, document: Any) -> None:
        """Writes the document. Writing it again replaces it, also where an attempt was cut off half way."""

        def chunks() -> list[bytes]:
            return chunks_of(zlib.compress(orjson.dumps(document), 1))

        parts = await asyncio.to_thread(chunks)
        await self._rows.write(*chunk_writes(self._place, which.value, parts))
        self._kept[which] = document

    async def read(self, which: Staged) -> Any:
        """Returns the document. It must have been written."""
        if which not in self._kept:
            data = joined(await self._rows.partition(HIERARCHIES, self._place, prefix=(which.value,)))
            if data is None:
                raise Conflict("what the publish has frozen is gone: another process has finished it")
            self._kept[which] = await asyncio.to_thread(lambda: orjson.loads(zlib.decompress(data)))
        return self._kept[which]

    async def delete(self) -> None:
        """Deletes all documents."""
        await delete_chunks(self._rows, self._place)
