"""Work that nobody waits for, and that is done again by others if it never happens."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any


class Background:
    """Of one process. A task runs under no caller's deadline, and its caller's leaving does not end it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """When nothing is left: before the stores are closed."""
        while ended := list(self._tasks):
            await asyncio.gather(*ended, return_exceptions=True)
            # From Python 3.12 on, waiting for what has ended gives their callbacks no turn.
            self._tasks.difference_update(ended)
