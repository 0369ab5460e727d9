"""Others who change the same rows at the same time: a conditional write that was refused is tried again."""

import asyncio
import random

LONGEST_PAUSE = 0.1
"""Seconds between two attempts at most, a random part of it: so that others get through meanwhile."""


async def pause_before(attempt: int, attempts: int) -> None:
    """Longer before each attempt, none before the first, which is 0."""
    if attempt:
        await asyncio.sleep(LONGEST_PAUSE * random.random() * attempt / attempts)  # noqa: S311
