"""The process of `cohort worker`."""

import asyncio
import logging
from contextlib import AsyncExitStack

from gateway.gc_tuning import collect_rarely
from gateway.settings import Settings
from gateway.starting import opened_in_time
from gateway.stopping import Stopping
from gateway.watching import watched
from gateway.wiring import warn_of_settings
from stores.backoff import Stopped

log = logging.getLogger(__name__)


async def work(settings: Settings) -> None:
    """Works until SIGINT or SIGTERM. The current batch is finished and committed first."""
    told_to_stop = asyncio.Event()
    warn_of_settings(settings)
    with Stopping().by_signals(told_to_stop.set):
        async with AsyncExitStack() as stack:
            try:
                cohort = await opened_in_time(stack, settings, worker=True, stopping=told_to_stop)
            except Stopped:
                return
            await stack.enter_async_context(watched(settings, cohort.shared))
            collect_rarely()
            log.info("at work on %s", settings.prefix)
            await told_to_stop.wait()
            log.info("stopping")
        log.info("stopped")
