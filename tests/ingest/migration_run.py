"""A migration in a process of its own, which may kill itself: ``python -m tests.ingest.migration_run ORDER``.

It prints how many changes of the stores it made. ORDER is JSON:

- ``urls``, ``data``: the instance, ``from``: the platform, ``options``: those of ``migrate_legacy``.
- ``later``: seconds that its clock is ahead of the tests', so that the claim of one that was killed has ended.
- ``dies_at``: the number of the change, counted from 0, before which, or ``after`` which, it dies by SIGKILL.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ingest.importers.legacy import job, migrate_legacy
from ingest.workers.worker import Worker
from loaders.session import Shared
from rules.errors import StoreUnavailable
from tests.conftest import NOW, Instance
from tests.ingest.interruptions import Interruption

PAGE = 20
"""Rows of a page: a learner may have more."""
MANY = 10**9
"""More changes than there are."""


async def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@asynccontextmanager
async def working(cohort: Instance) -> AsyncIterator[None]:
    """A worker takes triggers meanwhile."""
    worker = Worker(cohort.shared, wait=0.005)
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running


async def migrate_in_spite_of_load(shared: Shared, order: dict[str, Any]) -> None:
    """Runs it again where a store did not answer in time, as happens on a busy machine."""
    for left in reversed(range(5)):
        try:
            await migrate_legacy(shared, order["from"], **order["options"])
        except StoreUnavailable:
            if not left:
                raise
        else:
            return


async def main(order: dict[str, Any]) -> None:
    job.PAGE = PAGE
    begun = time.monotonic() - order["later"]
    instance = Instance(order["urls"], Path(order["data"]))
    last = MANY if order["dies_at"] is None else order["dies_at"]
    dying = Interruption(last, killed, after=order["after"])
    async with instance.opened() as shared:
        clock = replace(shared, now=lambda: NOW + timedelta(seconds=time.monotonic() - begun))
        await migrate_in_spite_of_load(dying.of(clock), order)
    print(last - dying.left)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
