"""How an instance starts: at once, or, where the settings say so, as soon as its stores are there."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn

from starlette.applications import Starlette

from gateway.settings import Settings
from gateway.watching import watched
from gateway.wiring import Cohort, running
from rules.errors import StoreUnavailable
from stores.backoff import Backoff, Stopped

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two attempts. The pause doubles each time."""
PATIENCE = 2.0
"""Seconds for which a server keeps its clients waiting at its start. Then it tells them that it is not ready."""


class NotOpen:
    """Stands in the place of a Cohort whose stores are away. StoreUnavailable for whatever is asked of it."""

    def __getattr__(self, name: str) -> NoReturn:
        raise StoreUnavailable("Cohort starts as soon as its stores are there")


async def opened_in_time(
    stack: AsyncExitStack, settings: Settings, *, worker: bool, stopping: asyncio.Event
) -> Cohort:
    """The instance, open as long as ``stack`` is. While a store is away it is tried again, ``wait_for_stores`` seconds long.

    Raises the errors of ``running``, and Stopped once ``stopping`` is set.
    """
    until = time.monotonic() + settings.wait_for_stores
    backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        try:
            return await stack.enter_async_context(running(settings, worker=worker))
        except StoreUnavailable as error:
            if time.monotonic() >= until:
                raise
            log.warning("can't start yet, trying again in %.1f s: %s", backoff.seconds, error)
        if await backoff.pause(stopping):
            raise Stopped


@asynccontextmanager
async def started(
    app: Starlette, settings: Settings, on_failure: Callable[[Exception], object]
) -> AsyncIterator[None]:
    """Has ``app.state.cohort`` while the body runs: an instance, or NotOpen as long as its stores are away.

    Raises what keeps it from starting; if that turns out only behind PATIENCE, ``on_failure`` is told.
    """
    app.state.cohort = NotOpen()
    is_open, ended = asyncio.Event(), asyncio.Event()

    async def keep() -> None:
        async with AsyncExitStack() as stack:
            cohort = await opened_in_time(stack, settings, worker=settings.dev, stopping=ended)
            await stack.enter_async_context(watched(settings, cohort.shared))
            if settings.trusted_documents is not None:
                from gateway.trusted_documents import (
                    load_manifest,  # of the whole graph, as the server has it
                )

                await load_manifest(cohort, settings.trusted_documents)
            app.state.cohort = cohort
            is_open.set()
            await ended.wait()

    def tell(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and not isinstance(error, Stopped):
            on_failure(error)

    keeper = asyncio.create_task(keep(), name="instance")
    waiting = asyncio.create_task(is_open.wait())
    try:
        patience = PATIENCE if settings.wait_for_stores else None
        await asyncio.wait({keeper, waiting}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if keeper.done():
            await keeper
        keeper.add_done_callback(tell)
        yield
    finally:
        waiting.cancel()
        ended.set()
        await asyncio.gather(keeper, return_exceptions=True)
