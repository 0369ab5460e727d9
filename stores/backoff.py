"""Waiting for what is away: pauses that double, so that many who wait do not keep it from coming back."""

import asyncio
import random

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
