"""Supervision of what runs in this process beside requests: the worker, and the schedule of the aggregation.

If one dies, that is logged, shown by /health/ready, and it is started anew.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from rules.errors import loggable
from stores.backoff import Backoff
from telemetry.metrics import RESTARTS

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a dead worker is started anew. The pause doubles each time."""
STEADY_AFTER = 60.0
"""Seconds after which a worker counts as healthy: if it dies later, the next pause is the first one again."""
GRACE = 15.0
"""Seconds to finish the current batch when the process stops. What is not committed by then is delivered again."""


class Runs(Protocol):
    """Something with the life of ``ingest.workers.worker.Worker`` and ``ingest.schedule.Schedule``."""

    async def run(self) -> None: ...

    def stop(self) -> None: ...


class Supervised:
    """Runs what ``make`` makes until it is stopped, and makes it anew whenever it dies.

    ``failure`` says why it is not running now. ``name`` is for the log.
    """

    def __init__(
        self, make: Callable[[], Runs], first_pause: float = FIRST_PAUSE, name: str = "worker"
    ) -> None:
        self._make = make
        self._name = name
        self._first_pause = first_pause
        self._stopping = asyncio.Event()
        self._running: Runs | None = None
        self.restarts = 0
        self.failure: str | None = None

    def stop(self) -> None:
        self._stopping.set()
        if self._running is not None:
            self._running.stop()

    async def run(self) -> None:
        backoff = Backoff(self._first_pause, LONGEST_PAUSE)
        while not self._stopping.is_set():
            began = time.monotonic()
            self._running, self.failure = self._make(), None
            try:
                await self._running.run()
            except Exception as error:
                self.failure = loggable(error)
                log.exception("the %s died and is started anew in %.1f s", self._name, backoff.seconds)
            else:
                if self._stopping.is_set():
                    return
                self.failure = "it ended by itself"
                log.error("the %s ended by itself and is started anew in %.1f s", self._name, backoff.seconds)
            if time.monotonic() - began > STEADY_AFTER:
                backoff.reset()
            await backoff.pause(self._stopping)
            self.restarts += 1
            RESTARTS.labels(self._name).inc()


@asynccontextmanager
async def supervised(make: Callable[[], Runs], name: str = "worker") -> AsyncIterator[Supervised]:
    """Runs it beside the body. At the end of the body the current batch is finished, within GRACE seconds."""
    supervisor = Supervised(make, name=name)
    task = asyncio.create_task(supervisor.run(), name=name)
    try:
        yield supervisor
    finally:
        supervisor.stop()
        done, _ = await asyncio.wait([task], timeout=GRACE)
        if not done:
            log.warning("the %s did not finish within %.0f s and is cancelled", name, GRACE)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
