"""Work that ends when its client disconnects: a store's time is not spent on an answer that nobody waits for."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

LOOKED_AFTER = 0.02
"""Seconds of work after which it is looked whether the client is still there. Most work takes less, and a look takes as long as
the smallest query."""

T = TypeVar("T")


async def while_connected(receive: Receive, reading: Coroutine[Any, Any, T]) -> T:
    """The result of ``reading``. If the client disconnects while it takes longer than LOOKED_AFTER, it is cancelled, and
    ClientDisconnect raised.

    The request's body must have been read before.
    """
    look = _Look(receive)
    try:
        return await reading
    finally:
        if await look.ended():
            raise ClientDisconnect from None


class _Look:
    """A look at the client of the current task's request. It cancels the task once the client is gone, as ``asyncio.timeout``
    does once it is late."""

    __slots__ = ("_cancelled", "_looking", "_receive", "_task", "_timer")

    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - requests are answered in tasks
        self._receive, self._task = receive, task
        self._cancelled = False
        self._looking: asyncio.Task[None] | None = None
        self._timer = task.get_loop().call_later(LOOKED_AFTER, self._begin)

    async def ended(self) -> bool:
        """Ends the look. Whether the client was gone: then the task is cancelled no more."""
        self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._cancelled:
            self._task.uncancel()
        return self._cancelled

    def _begin(self) -> None:
        self._looking = self._task.get_loop().create_task(self._cancel_once_gone())

    async def _cancel_once_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._cancelled = self._task.cancel()
