"""Work on many items side by side, so many at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

AT_ONCE = 32


async def each(items: Iterable[A], work: Callable[[A], Awaitable[B]], at_once: int = AT_ONCE) -> list[B]:
    """Returns the results in order. The first failure ends the others."""
    waiting = list(items)
    results: dict[int, B] = {}
    rest = iter(enumerate(waiting))

    async def lane() -> None:
        for place, item in rest:
            results[place] = await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(waiting))):
                group.create_task(lane())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [results[place] for place in range(len(waiting))]
