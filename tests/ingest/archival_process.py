"""A run of the archive in a process of its own, which kills itself: ``python -m tests.ingest.archival_process URLS DATA STEP``.

It dies by SIGKILL before the change of a store with that number, counted from 0.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from ingest.archival import archive
from tests.conftest import Instance
from tests.ingest.interrupted_archival import ORDER, in_small_portions
from tests.ingest.interrupted_publish import Dying


class Killing(Dying):
    def take_step(self) -> None:
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


async def main(urls: dict[str, str], data: Path, step: int) -> None:
    with in_small_portions():
        async with Instance(urls, data).opened() as shared:
            await archive(Killing(step).of(shared), ORDER)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
