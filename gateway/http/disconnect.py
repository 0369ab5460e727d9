"""Work that ends when its client disconnects: a store's time is not spent on an answer that nobody waits for."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from resolvers.errors import forget_traces

T = TypeVar("T")


async def while_connected(receive: Receive, reading: Coroutine[Any, Any, T]) -> T:
    """The result of ``reading``. If the client disconnects first, ``reading`` is cancelled and ClientDisconnect raised.

    The request's body must have been read before.
    """
    work = asyncio.ensure_future(reading)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        work.cancel()
        gone.cancel()
        for ended in await asyncio.gather(work, gone, return_exceptions=True):
            if isinstance(ended, asyncio.CancelledError):
                forget_traces(ended)
        del work, gone, ended  # an error of the work has this frame in its trace: they would hold each other


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
