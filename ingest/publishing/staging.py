"""What a publish has frozen for its later steps: JSON documents in a partition of its own, deleted at the end.

So every step works from what ``validate`` read, in whichever process and however often it is done again.
"""

import asyncio
import zlib
from enum import IntEnum
from typing import Any

import orjson

from loaders.drafts import CHUNK
from rules.errors import Conflict
from stores.rows import Rows, Write
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
            data = zlib.compress(orjson.dumps(document), 1)
            return [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]

        parts = await asyncio.to_thread(chunks)
        await self._rows.write(
            *(
                Write(HIERARCHIES, (*self._place, which.value, number), {"chunks": len(parts), "data": data})
                for number, data in enumerate(parts)
            )
        )
        self._kept[which] = document

    async def read(self, which: Staged) -> Any:
        """Returns the document. It must have been written."""
        if which not in self._kept:
            chunks = await self._rows.partition(HIERARCHIES, self._place, prefix=(which.value,))
            if not chunks or len(chunks) < chunks[0]["chunks"]:
                raise Conflict("what the publish has frozen is gone: another process has finished it")
            data = b"".join(row["data"] for row in chunks[: chunks[0]["chunks"]])
            self._kept[which] = await asyncio.to_thread(lambda: orjson.loads(zlib.decompress(data)))
        return self._kept[which]

    async def delete(self) -> None:
        """Deletes all documents."""
        rows = await self._rows.partition(HIERARCHIES, self._place, columns=("version", "chunk"))
        await self._rows.write(
            *(
                Write(HIERARCHIES, (*self._place, row["version"], row["chunk"]), {}, delete=True)
                for row in rows
            )
        )
