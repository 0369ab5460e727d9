"""Work that a process does again and again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from rules.errors import Conflict, StoreUnavailable

log = logging.getLogger(__name__)


class Schedule:
    """Runs ``work`` until ``stop``. ``every`` is the seconds from the end of one run to the next. ``name`` is for people.

    Many processes may have a schedule of the same work: where it raises Conflict, as another one is at it, a turn is left
    out.
    """

    def __init__(self, work: Callable[[], Awaitable[object]], every: float, name: str) -> None:
        self._work = work
        self._every = every
        self._name = name
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
            report = await self._work()
        except Conflict as error:
            log.debug("%s: not this time: %s", self._name, error)
        except StoreUnavailable as error:
            log.warning("%s waits for a store: %s", self._name, error)
        else:
            log.debug("%s: %s", self._name, report)
