"""Writes the packages of generated textbooks: the time of both variants at once beside that of putting their bytes, and
the memory.

``python -m bench.packages`` into a directory, ``python -m bench.packages real`` into the S3 server of `cohort stack`.
"""

import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from ingest.publishing.package import write_package
from loaders.session import Shared
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.packages import PackageVariant, packages_of
from stores.engines import Stores, open_stores

SIZES = ((400, 3_000), (5_000, 30_000))
"""Units and leaves."""
MIB = 1024 * 1024
S3 = os.environ.get(
    "COHORT_STACK_BLOBS", "s3://cohort:cohort-secret@cohort?endpoint=http://127.0.0.1:7070&region=us-east-1"
)


def textbook(units: int, leaves: int) -> dict[str, Any]:
    """A textbook whose nodes say about as much of themselves as real ones: 1 KB each."""

    def node(identifier: str, mime_type: str = "application/pdf") -> dict[str, Any]:
        return {
            "identifier": identifier,
            "name": f"Chapter of {identifier}",
            "description": " ".join(f"{word * 7919 % 100_003:x}" for word in range(len(identifier), 160)),
            "mimeType": mime_type,
            "keywords": [f"{identifier}-{number}" for number in range(8)],
            "subject": ["Mathematics"],
            "gradeLevel": ["Class 6"],
            "status": "Live",
            "lastPublishedOn": "2026-03-01T12:00:00.000+0000",
            "artifactUrl": f"https://files.example/content/{identifier}/artifact.pdf",
        }

    root = node("bench-textbook", COLLECTION_MIME_TYPE)
    each = leaves // units
    return root | {
        "children": [
            node(f"unit-{unit}", COLLECTION_MIME_TYPE)
            | {"children": [node(f"leaf-{unit}-{leaf}") for leaf in range(each)]}
            for unit in range(units)
        ]
    }


async def measure(stores: Stores, units: int, leaves: int) -> None:
    shared, tree = Shared.of(stores), textbook(units, leaves)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, worked = time.perf_counter(), time.process_time()
    written = await asyncio.gather(
        *(write_package(shared, "bench", 1, tree, {}, variant) for variant in PackageVariant)
    )
    took, cpu = time.perf_counter() - began, time.process_time() - worked
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    contents = [[chunk async for chunk in stores.blobs.get(package.name)] for package in written]
    began = time.perf_counter()
    await asyncio.gather(
        *(
            stores.blobs.put(package.name, _of(chunks))
            for package, chunks in zip(written, contents, strict=True)
        )
    )
    floor = time.perf_counter() - began
    size = len(orjson.dumps(tree))
    print(
        f"{units:>5} units {leaves:>6} leaves, {size / MIB:5.1f} MB of tree: {floor:.2f} -> {took:.2f} s, CPU {cpu:.2f} s, "
        f"{sum(package.size for package in written) / MIB:.1f} MB, {more:.0f} MB more memory"
    )
    await stores.blobs.delete(*[blob.name async for blob in stores.blobs.below(packages_of("bench"))])


async def _of(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def main(blobs: str) -> None:
    with TemporaryDirectory() as data:
        async with open_stores(
            rows="sqlite:///rows.db",
            events="embedded:",
            cache="embedded:",
            groups="duckdb:///groups.duckdb",
            blobs=blobs,
            prefix="bench",
            data=Path(data),
        ) as stores:
            for units, leaves in SIZES:
                await measure(stores, units, leaves)


if __name__ == "__main__":
    asyncio.run(main(S3 if sys.argv[1:] == ["real"] else "file:///blobs"))
