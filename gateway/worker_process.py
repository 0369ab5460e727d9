"""The process of `cohort worker`."""

import asyncio
import logging
import signal

from gateway.settings import Settings
from gateway.watching import watched
from gateway.wiring import running, warn_of_settings

log = logging.getLogger(__name__)


async def work(settings: Settings) -> None:
    """Works until SIGINT or SIGTERM. The current batch is finished and committed first."""
    told_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    warn_of_settings(settings)
    async with running(settings, worker=True) as cohort, watched(settings, cohort.shared):
        log.info("at work on %s", settings.prefix)
        await told_to_stop.wait()
        log.info("stopping")
    log.info("stopped")
