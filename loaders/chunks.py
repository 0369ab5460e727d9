"""Documents that are too large for a value: packed, and stored in ``content_hierarchy`` as rows with a chunk each."""

from collections.abc import Iterator, Sequence

from stores.rows import Key, Row, Rows, Write
from stores.tables import HIERARCHIES

CHUNK = 256 * 1024
"""Bytes of a chunk. Cassandra takes larger values, but not gladly."""
IN_THREAD_FROM = 64 * 1024
"""Bytes from which on a document is unpacked or parsed in a thread, beside the event loop."""


def chunks_of(packed: bytes, size: int = CHUNK) -> list[bytes]:
    return [packed[start : start + size] for start in range(0, len(packed), size)]


def joined(chunks: Sequence[Row]) -> bytes | None:
    """Returns what was packed. None if it is not all there: another process deletes it, or has just begun to write it."""
    if not chunks or len(chunks) < chunks[0]["chunks"]:
        return None
    chunks = chunks[: chunks[0]["chunks"]]  # more are left of an attempt that came to nothing
    return b"".join(row["data"] for row in chunks)


def chunk_writes(partition: Key, version: int, chunks: Sequence[bytes]) -> Iterator[Write]:
    """Gives the writes of a document. ``partition``: its identifier and its mode."""
    for number, data in enumerate(chunks):
        yield Write(HIERARCHIES, (*partition, version, number), {"chunks": len(chunks), "data": data})


async def delete_chunks(rows: Rows, partition: Key) -> None:
    """Deletes all documents of a partition."""
    found = await rows.partition(HIERARCHIES, partition, columns=("version", "chunk"))
    await rows.write(
        *(Write(HIERARCHIES, (*partition, row["version"], row["chunk"]), {}, delete=True) for row in found)
    )
