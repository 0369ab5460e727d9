"""The life of a member of a consumer group: it joins, takes its turns, and leaves."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from loaders.session import Shared
from stores.backoff import Stopped, patiently
from stores.events import PATIENCE, Consumer

T = TypeVar("T")


class Member:
    """One member of a group. It runs from ``run`` to ``stop``. Several may run in one process or in many.

    ``patience``: seconds that a turn may take.
    """

    def __init__(
        self, shared: Shared, group: str, topics: Sequence[str], *, patience: float = PATIENCE
    ) -> None:
        self._shared = shared
        self._group = group
        self._topics = topics
        self._patience = patience
        self._stopping = asyncio.Event()
        self.processed = 0
        """Records done since the start."""

    def stop(self) -> None:
        """Finishes and commits what is at hand. Then ``run`` returns."""
        self._stopping.set()

    async def run(self) -> None:
        """Takes turns until ``stop`` or cancellation, and leaves the group in either case. Waits while a store is away."""
        try:
            consumer = await self.patiently(self._join)
        except Stopped:
            return
        try:
            while not self._stopping.is_set():
                await self.turn(consumer)
        except Stopped:
            pass
        finally:
            await consumer.close()

    async def turn(self, consumer: Consumer) -> None:
        """Reads some records, processes them, and commits them."""
        raise NotImplementedError

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Does the work, again and again while a store is away. Raises Stopped if it is told to stop meanwhile."""
        return await patiently(work, self._stopping)

    async def _join(self) -> Consumer:
        events = self._shared.stores.events
        return await events.consumer(self._group, self._topics, patience=self._patience)
