"""Work that is done side by side and is not left half way."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def all_ended(works: Iterable[Awaitable[T]], at_once: int | None = None) -> list[T]:
    """Returns the results in order, ``at_once`` works at a time. If some fail, raises the first failure once all have ended:
    whoever then tries again meets nothing of the first attempt that is still under way."""
    slots = asyncio.Semaphore(at_once) if at_once else None

    async def one(work: Awaitable[T]) -> T:
        if slots is None:
            return await work
        async with slots:
            return await work

    begun = [*works]
    try:
        done = await asyncio.gather(*map(one, begun), return_exceptions=True)
    finally:
        # What was cancelled before its turn never began, and would warn that nobody awaited it.
        for work in begun:
            if asyncio.iscoroutine(work):
                work.close()
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in done if not isinstance(outcome, BaseException)]
