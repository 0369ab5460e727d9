"""Work of one process that goes on after the call it began in."""

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from rules.errors import CohortError, loggable
from stores.bills import unstopped_context

log = logging.getLogger(__name__)

T = TypeVar("T")


class Background:
    """What is under way in one process. None of it ends when its caller leaves."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Future[Any]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts work that nobody waits for, without the caller's deadline. If it never happens, others do it again."""
        self.keep(asyncio.create_task(work, context=Context()))

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs work to its end, within the caller's deadline, even if the caller is cancelled meanwhile, and whatever it
        costs."""
        task = asyncio.create_task(work, context=unstopped_context())
        self.keep(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_tell_failure)
            raise
        finally:
            del task  # it has the error, whose trace has this frame: they would hold each other

    def keep(self, work: "asyncio.Future[Any]") -> None:
        """Has ``settled`` wait for work that goes on by itself."""
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)

    async def settled(self) -> None:
        """Waits until nothing is left: before the stores are closed."""
        while ended := list(self._under_way):
            await asyncio.gather(*ended, return_exceptions=True)
            # From Python 3.12 on, waiting for what has ended gives their callbacks no turn.
            self._under_way.difference_update(ended)


def _tell_failure(task: asyncio.Task[Any]) -> None:
    """Logs how work failed whose caller has left. A store that is away is no fault: the caller was told of no end, and may send
    the call again."""
    error = None if task.cancelled() else task.exception()
    if isinstance(error, CohortError):
        log.warning("a call whose caller had left failed: %s", loggable(error))
    elif error is not None:
        log.error("a call whose caller had left failed", exc_info=error)
