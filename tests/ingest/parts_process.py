"""A process of its own that joins a parted job, as a command does: ``python -m tests.ingest.parts_process URLS DATA JOB``.

At each thing it writes a line. At HANGS_AT it hangs, until it is killed or told to end.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable
from pathlib import Path

from gateway.commands import run
from ingest.jobs.parts import join
from tests.conftest import Instance
from tests.ingest.counted_parts import CountedParts

HANGS_AT = "early 01: 1"


def tell_or_hang(thing: str) -> Awaitable[object] | None:
    print("hanging" if thing == HANGS_AT else thing, flush=True)  # noqa: T201 - the test reads it
    return asyncio.Event().wait() if thing == HANGS_AT else None


async def main(urls: dict[str, str], data: Path, job_id: str) -> None:
    async with Instance(urls, data).opened() as shared:
        await join(shared, CountedParts(before=tell_or_hang).kind, job_id)


if __name__ == "__main__":
    run(main(json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
