"""Loaders that outlive a request: what many requests read and few change."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from loaders.kept import Kept
from stores.bills import billed_context
from stores.deadline import remaining, until
from telemetry import traces

if TYPE_CHECKING:
    from strawberry.dataloader import AbstractCache, DataLoader

LEAST = 0.1
"""Seconds that a caller waits at least: what another one has asked for may be there the next moment."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Kept(Generic[K, V]):
    """Keeps answers, but no failures and no absences: what is not there may be there the next moment."""

    def __init__(self, kept: Kept[K, asyncio.Future[V | None]]) -> None:
        self._kept = kept

    def get(self, key: K) -> asyncio.Future[V | None] | None:
        future = self._kept.get(key)
        if future is not None and future.done() and not _has_answer(future):
            self._kept.pop(key, None)
            return None
        return future

    def set(self, key: K, value: asyncio.Future[V | None]) -> None:
        self._kept[key] = value
        if not value.done():
            value.add_done_callback(lambda answered: self._weigh(key, answered))

    def _weigh(self, key: K, answered: asyncio.Future[V | None]) -> None:
        """Makes room for an answer, once it is known how large it is. One that is larger than all together may be is
        not kept."""
        if self._kept.get(key) is answered and _has_answer(answered):
            self._kept[key] = answered

    def delete(self, key: K) -> None:
        self._kept.pop(key, None)

    def clear(self) -> None:
        self._kept.clear()


def _has_answer(future: asyncio.Future[V | None]) -> bool:
    return not future.cancelled() and future.exception() is None and future.result() is not None


def _hear(flight: asyncio.Future[V | None]) -> None:
    """Takes note of a failure: where all who asked have left by then, the loop would log it as a fault."""
    if not flight.cancelled():
        flight.exception()


class SharedLoader(Generic[K, V]):
    """Batches like any DataLoader, and keeps answers, each for ``ttl`` seconds (None: for good), that take at most ``most``
    bytes together, by ``size`` of a key and its answer.

    Only what never changes may be kept for good. One flight a key: callers share it, and one that leaves does not
    take it from the others; so it runs under no single caller's deadline but the engine's own.
    Each waits until the own one.
    """

    def __init__(
        self,
        load: Callable[[list[K]], Awaitable[Sequence[V | None]]],
        *,
        most: int,
        size: Callable[[K, V], int],
        ttl: float | None = None,
    ) -> None:
        def weight(key: K, answered: asyncio.Future[V | None]) -> int:
            answer = answered.result() if answered.done() and _has_answer(answered) else None
            return 0 if answer is None else size(key, answer)

        self._kept = _Kept(Kept(most, weight, ttl=ttl))
        self._load = load
        self.hits = 0
        self.misses = 0

    @cached_property
    def _loader(self) -> "DataLoader[K, V | None]":
        # Importing it brings all of GraphQL along, which most commands at a shell can do without.
        from strawberry.dataloader import DataLoader

        return DataLoader(load_fn=self._load, cache_map=cast("AbstractCache[K, V | None]", self._kept))

    async def load(self, key: K) -> V | None:
        kept = self._kept.get(key)
        if kept is not None and kept.done():
            self.hits += 1
            return kept.result()
        self.misses += 1
        flight = asyncio.ensure_future(billed_context(traces.bare_context()).run(self._loader.load, key))
        flight.add_done_callback(_hear)
        ends = until()
        if ends is None:
            return await asyncio.shield(flight)
        try:
            async with asyncio.timeout(max(LEAST, ends - time.monotonic())):
                return await asyncio.shield(flight)
        except TimeoutError:
            remaining(0)  # DeadlineExceeded, where it was that
            raise

    async def load_many(self, keys: Sequence[K]) -> list[V | None]:
        """Loads many keys. A kept value costs no task."""
        known: dict[K, V | None] = {}
        missing: list[K] = []
        for key in dict.fromkeys(keys):
            kept = self._kept.get(key)
            if kept is not None and kept.done():
                known[key] = kept.result()
            else:
                missing.append(key)
        self.hits += len(known)
        if missing:
            known.update(zip(missing, await asyncio.gather(*map(self.load, missing)), strict=True))
        return [known[key] for key in keys]

    def counts(self) -> dict[str, int]:
        """How many looks for a key found its answer here (``hit``), and how many did not (``miss``)."""
        return {"hit": self.hits, "miss": self.misses}

    def keep(self, key: K, value: V) -> None:
        """Keeps an answer that the caller has read a moment ago."""
        answered: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        answered.set_result(value)
        self._kept.set(key, answered)

    def forget(self, key: K) -> None:
        """Makes the next load read the store. Whoever changed the value in this process calls this."""
        self._kept.delete(key)
