"""Work that ends when its client disconnects: a store's time is not spent on an answer that nobody waits for."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from stores.cutoffs import Cutoff

log = logging.getLogger(__name__)

LOOKED_AFTER = 0.02
"""Seconds of work after which it is looked whether the client is still there. Most work takes less, and a look takes as long as
the smallest query."""

T = TypeVar("T")


async def while_connected(receive: Receive, reading: Coroutine[Any, Any, T]) -> T:
    """The result of ``reading``. If the client disconnects while it takes longer than LOOKED_AFTER, it is cancelled, and
    ClientDisconnect raised.

    The request's body must have been read before. Where nobody can tell whether the client is there, the work goes on to its
    end or its deadline, and the log has why.
    """
    look = _Look(receive)
    try:
        return await reading
    finally:
        if await look.closed():
            raise ClientDisconnect from None


class _Look(Cutoff):
    """A look at the client of a request. It cuts the work off once the client is gone."""

    __slots__ = ("_looking", "_receive")

    def __init__(self, receive: Receive) -> None:
        super().__init__(LOOKED_AFTER)
        self._receive = receive
        self._looking: asyncio.Task[None] | None = None

    def late(self) -> None:
        self._looking = asyncio.create_task(self._until_gone())

    async def closed(self) -> bool:
        """Ends the look. Whether the client was gone."""
        self.stop()
        looking, self._looking = self._looking, None  # its trace would hold this object, which holds it
        if looking is not None and not looking.done():
            looking.cancel()
            try:
                await asyncio.gather(looking, return_exceptions=True)
            except asyncio.CancelledError:  # of the request
                self.ended()
                raise
        return self.ended()

    async def _until_gone(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        except Exception:
            log.exception("a request goes on without a look whether its client is there")
        else:
            self.cut()
