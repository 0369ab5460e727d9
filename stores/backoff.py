"""Waiting for what is away: pauses that double, so that many who wait do not keep it from coming back."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rules.errors import StoreUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

JITTER = 0.2
"""A pause is longer or shorter by up to this part of it, so that processes do not come back all at once."""


class Backoff:
    """Pauses of ``first`` seconds, then twice as long each time, ``longest`` at most."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self.seconds = first
        """How long the next pause is, about."""

    def reset(self) -> None:
        """What was away is well: the next pause is a short one."""
        self.seconds = self._first

    async def pause(self, stopping: asyncio.Event | None = None) -> bool:
        """Whether ``stopping`` was set meanwhile, which ends the pause at once."""
        seconds = self.seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        self.seconds = min(2 * self.seconds, self._longest)
        if stopping is None:
            await asyncio.sleep(seconds)
            return False
        try:
            await asyncio.wait_for(stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True


class Stopped(Exception):
    """Somebody said to stop while a store was away."""


async def patiently(
    attempt: Callable[[], Awaitable[T]], stopping: asyncio.Event, first: float = 0.1, longest: float = 10.0
) -> T:
    """Tries again and again, with growing pauses, while a store is away. Raises Stopped once ``stopping`` is set."""
    backoff = Backoff(first, longest)
    while True:
        try:
            return await attempt()
        except StoreUnavailable as error:
            log.warning("a store is away, trying again in %.1f s: %s", backoff.seconds, error)
        if await backoff.pause(stopping):
            raise Stopped
