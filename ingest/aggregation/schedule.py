"""The aggregation of a process that runs it again and again."""

import asyncio
import logging
from pathlib import Path

from ingest.aggregation.run import aggregate
from loaders.session import Shared
from rules.errors import Conflict, StoreUnavailable

log = logging.getLogger(__name__)


class Schedule:
    """Runs until ``stop``. ``every`` is the seconds from the end of one run to the next.

    Many processes may have a schedule: while another one aggregates, a turn is left out.
    """

    def __init__(self, shared: Shared, every: float, static: Path | None = None) -> None:
        self._shared = shared
        self._every = every
        self._static = static
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Breaks off what is under way. The next run does what it left."""
        self._stopping.set()

    async def run(self) -> None:
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            while not stopped.done():
                turn = asyncio.create_task(self._turn())
                try:
                    await asyncio.wait({turn, stopped}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    turn.cancel()
                    await asyncio.wait({turn})
                if not turn.cancelled():
                    turn.result()
                await asyncio.wait({stopped}, timeout=self._every)
        finally:
            stopped.cancel()

    async def _turn(self) -> None:
        try:
            report = await aggregate(self._shared, static=self._static)
        except Conflict as error:
            log.debug("no aggregation this time: %s", error)
        except StoreUnavailable as error:
            log.warning("the aggregation waits for a store: %s", error)
        else:
            log.debug("aggregated %s", report)
