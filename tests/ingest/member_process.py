"""A worker, or a taker of attempts, in a process of its own, for tests that kill it:
``python -m tests.ingest.member_process KIND URLS DATA HANGS``.

It writes a line once it has joined its group. With HANGS it writes another one and hangs before it commits its second batch,
all of which is done: so whoever kills it then kills it with work left, however fast or slow the machine is.
"""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from ingest.attempts.taker import AttemptTaker
from ingest.workers.worker import Worker
from stores.events import Events, Record
from tests.conftest import Instance

KINDS = {"worker": Worker, "taker": AttemptTaker}
JOINED, HANGING = b"joined\n", b"hanging\n"


@asynccontextmanager
async def member_process(cohort: Instance, kind: str, *, hangs: bool = False) -> AsyncIterator[Process]:
    """Such a process of this instance, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.ingest.member_process", kind),
        *(json.dumps(cohort.urls), str(cohort.data), str(int(hangs))),
        stdout=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def one_of_two_killed(cohort: Instance, kind: str) -> AsyncIterator[None]:
    """Two processes share the partitions, and one is killed with SIGKILL in the middle of its work. The other runs until the
    block ends."""
    async with member_process(cohort, kind, hangs=True) as first:
        await _told(first, HANGING)
        async with member_process(cohort, kind) as second:
            await _told(second, JOINED)
            first.send_signal(signal.SIGKILL)
            await first.wait()
            yield


async def _told(process: Process, line: bytes) -> None:
    assert process.stdout is not None
    while (told := await process.stdout.readline()) != line:
        assert told, "it ended"


def tell(events: Events, *, hangs: bool) -> None:
    """Consumers of this log write their lines from here on."""
    join, commits = events.consumer, count(1)

    async def joined(*given: Any, **more: Any) -> Any:
        consumer = await join(*given, **more)
        commit = consumer.commit

        async def held(records: Sequence[Record]) -> bool:
            if hangs and next(commits) == 2:
                _say(HANGING)
                await asyncio.Event().wait()
            return await commit(records)

        consumer.commit = held  # type: ignore[method-assign]
        _say(JOINED)
        return consumer

    events.consumer = joined  # type: ignore[method-assign]


def _say(line: bytes) -> None:
    print(line.decode(), end="", flush=True)  # noqa: T201 - the test reads it


async def main(kind: str, urls: dict[str, str], data: Path, *, hangs: bool) -> None:
    async with Instance(urls, data).opened() as shared:
        tell(shared.stores.events, hangs=hangs)
        await KINDS[kind](shared, most=9, wait=0.02).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]), hangs=sys.argv[4] == "1"))
