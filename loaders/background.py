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
        told: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.keep(asyncio.create_task(_end(work, told), context=unstopped_context()))
        try:
            return await told
        finally:
            del told  # it has the error, whose trace has this frame: they would hold each other

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


async def _end(work: Coroutine[Any, Any, T], told: "asyncio.Future[T]") -> None:
    """Tells how the work ended. A failure is logged if its caller has left. A store that is away is no fault: the caller was told of no
    end, and may send the call again."""
    try:
        result = await work
    except Exception as error:
        if not told.done():
            told.set_exception(error)
        elif isinstance(error, CohortError):
            log.warning("a call whose caller had left failed: %s", loggable(error))
        else:
            log.error("a call whose caller had left failed", exc_info=error)
    except BaseException:
        told.cancel()
        raise
    else:
        if not told.done():
            told.set_result(result)
    finally:
        del told  # as above
