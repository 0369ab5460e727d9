"""Conditional writes while others change the same rows. A write that was refused is tried again."""

import asyncio
import random

ATTEMPTS = 12
"""How often a write is tried if nothing else is said. After that the caller is told to try again."""
LONGEST_PAUSE = 0.1
"""The longest pause in seconds between two attempts. The pause is a random part of it, so that others get through."""


class Attempts:
    """The attempts at a conditional write, by number from 0, with a pause before each but the first.

    ``async for attempt in Attempts():`` The body reads, decides, writes, and leaves the loop once its write was applied.
    After the last attempt the loop ends; what follows it is the error for the caller.
    """

    def __init__(self, most: int = ATTEMPTS) -> None:
        self._most = most
        self._next = 0

    def __aiter__(self) -> "Attempts":
        return self

    async def __anext__(self) -> int:
        attempt = self._next
        if attempt == self._most:
            raise StopAsyncIteration
        if attempt:
            # Longer before each one; a random part of it, so that others get through.
            await asyncio.sleep(LONGEST_PAUSE * random.random() * attempt / self._most)  # noqa: S311
        self._next += 1
        return attempt
