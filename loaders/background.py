"""Work of one process that goes on after the call it began in."""

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

from rules.errors import CohortError, loggable
from stores.bills import unstopped_context

log = logging.getLogger(__name__)

T = TypeVar("T")
F = TypeVar("F", bound="asyncio.Future[Any]")


class Background:
    """What is under way in one process. None of it ends when its caller leaves."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Future[Any]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts work that nobody waits for, without the caller's deadline. If it never happens, others do it again."""
        self.keep(asyncio.create_task(work, context=Context()))

    def keep(self, work: "asyncio.Future[Any]") -> None:
        """The same for work that goes on by itself."""
        self._wait_for(work).add_done_callback(partial(_tell_failure, "work that nobody waits for failed"))

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs work to its end, within the caller's deadline, even if the caller is cancelled meanwhile, and whatever it
        costs."""
        task = self._wait_for(asyncio.create_task(work, context=unstopped_context()))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(partial(_tell_failure, "a call whose caller had left failed"))
            raise
        finally:
            del task  # it has the error, whose trace has this frame: they would hold each other

    async def settled(self) -> None:
        """Waits until nothing is left: before the stores are closed."""
        while ended := list(self._under_way):
            await asyncio.gather(*ended, return_exceptions=True)
            # From Python 3.12 on, waiting for what has ended gives their callbacks no turn.
            self._under_way.difference_update(ended)

    def _wait_for(self, work: F) -> F:
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        return work


def _tell_failure(what: str, work: "asyncio.Future[Any]") -> None:
    """Logs how work failed of which nobody else hears. A store that is away is no fault: a caller was told of no end, and may send
    the call again."""
    error = None if work.cancelled() else work.exception()
    if isinstance(error, CohortError):
        log.warning("%s: %s", what, loggable(error))
    elif error is not None:
        log.error(what, exc_info=error)
