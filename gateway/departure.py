"""Work that ends when the client it is done for leaves: what nobody waits for is not worth a store's time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def while_connected(receive: Receive, reading: Coroutine[Any, Any, T]) -> T:
    """What ``reading`` gives; cancelled, with ClientDisconnect, once ``receive`` tells that the client has left. The body must
    have been read before."""
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
        await asyncio.gather(work, gone, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
