"""Publications in a process of its own, which kills itself: ``python -m tests.ingest.publish_process URLS DATA JOB STEP``.

It dies by SIGKILL right after the job's checkpoint of that number, counted from 1, was stored.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from ingest.jobs.records import JobRecord
from ingest.publishing.requests import run_publication
from tests.conftest import Instance
from tests.ingest.interrupted_publish import in_small_portions


async def main(urls: dict[str, str], data: Path, job: str, step: int) -> None:
    in_small_portions()
    # The first call tells that the job was taken over.
    told = -1

    def die_in_time(_: JobRecord) -> None:
        nonlocal told
        told += 1
        if told == step:
            os.kill(os.getpid(), signal.SIGKILL)

    async with Instance(urls, data).opened() as shared:
        await run_publication(shared, job, die_in_time)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
