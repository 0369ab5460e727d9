"""Work of one process that goes on after the call it began in."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from stores.bills import unstopped_context

T = TypeVar("T")


class Background:
    """The running tasks of one process. None of them ends when its caller leaves."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts work that nobody waits for, without the caller's deadline. If it never happens, others do it again."""
        self._keep(asyncio.create_task(work, context=Context()))

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs work to its end, within the caller's deadline, even if the caller is cancelled meanwhile, and whatever it
        costs."""
        return await asyncio.shield(self._keep(asyncio.create_task(work, context=unstopped_context())))

    async def settled(self) -> None:
        """Waits until nothing is left: before the stores are closed."""
        while ended := list(self._tasks):
            await asyncio.gather(*ended, return_exceptions=True)
            # From Python 3.12 on, waiting for what has ended gives their callbacks no turn.
            self._tasks.difference_update(ended)

    def _keep(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
