"""An attempt taker in a process of its own, for tests that kill it: ``python -m tests.ingest.attempts_process URLS DATA``."""

import asyncio
import json
import sys
from pathlib import Path

from ingest.attempts.taker import AttemptTaker
from tests.conftest import Instance


async def main(urls: dict[str, str], data: Path) -> None:
    async with Instance(urls, data).opened() as shared:
        await AttemptTaker(shared, most=9, wait=0.02).run()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), Path(sys.argv[2])))
