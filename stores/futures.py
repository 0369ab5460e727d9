"""What is done with futures that nobody may be waiting for any more, and with tasks of one's own."""

import asyncio
from collections.abc import Iterable
from typing import Any


def looked_at(future: "asyncio.Future[Any]") -> None:
    """Takes note of the future's error, if it has one: asyncio logs each that nobody asked for as a fault."""
    if not future.cancelled():
        future.exception()


def tell(futures: "Iterable[asyncio.Future[None]]", error: Exception | None = None) -> None:
    """Ends those that have not ended, with this error if there is one. Who waits for one may leave before it hears of that."""
    for future in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
            looked_at(future)


async def ended(task: "asyncio.Task[Any]") -> None:
    """Cancels the task and returns when it has ended. Unlike a task that is awaited, it leaves no doubt who was cancelled: whoever waits
    here may be, too."""
    task.cancel()
    await asyncio.wait({task})
