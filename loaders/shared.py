"""Loaders that outlive a request: what many requests read and few change."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from loaders.kept import Kept
from stores.bills import billed_context
from stores.deadline import in_time
from stores.futures import looked_at
from telemetry import traces

if TYPE_CHECKING:
    from strawberry.dataloader import AbstractCache, DataLoader

LEAST = 0.1
"""Seconds that a caller waits at least: what another one has asked for may be there the next moment."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Flights(dict[K, "asyncio.Future[V | None]"], Generic[K, V]):
    """Reads under way, as Strawberry's DataLoader keeps them. ``landed`` gets each answer that there is; failures and
    absences are not kept: what is not there may be there the next moment."""

    def __init__(self, landed: Callable[[K, V], None]) -> None:
        super().__init__()
        self._landed = landed

    def set(self, key: K, flight: "asyncio.Future[V | None]") -> None:
        self[key] = flight
        flight.add_done_callback(lambda done: self._land(key, done))

    def delete(self, key: K) -> None:
        self.pop(key, None)

    def _land(self, key: K, done: "asyncio.Future[V | None]") -> None:
        if self.get(key) is not done:
            return  # it was forgotten meanwhile: the answer may be of before
        del self[key]
        if done.cancelled() or done.exception() is not None:
            return
        answer = done.result()
        if answer is not None:
            self._landed(key, answer)


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
        self._kept = Kept(most, size, ttl=ttl)
        self._flights: _Flights[K, V] = _Flights(self._kept.__setitem__)
        self._load = load
        self.hits = 0
        self.misses = 0

    @cached_property
    def _loader(self) -> "DataLoader[K, V | None]":
        # Importing it brings all of GraphQL along, which most commands at a shell can do without.
        from strawberry.dataloader import DataLoader

        return DataLoader(load_fn=self._load, cache_map=cast("AbstractCache[K, V | None]", self._flights))

    async def load(self, key: K) -> V | None:
        kept = self._kept.get(key)
        if kept is not None:
            self.hits += 1
            return kept
        self.misses += 1
        flight = asyncio.ensure_future(billed_context(traces.bare_context()).run(self._loader.load, key))
        flight.add_done_callback(looked_at)  # all who asked may have left by then
        waiter = asyncio.shield(flight)
        try:
            return await in_time(waiter, LEAST)
        finally:
            del flight, waiter  # they have the error, whose trace has this frame: they would hold each other

    async def load_many(self, keys: Sequence[K]) -> list[V | None]:
        """Loads many keys. A kept value costs no task."""
        kept = self.kept(keys)
        if kept is not None:
            return [*kept]
        known = self._kept.of(keys)
        self.hits += len(known)
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        found = known | dict(zip(missing, await asyncio.gather(*map(self.load, missing)), strict=True))
        return [found[key] for key in keys]

    def kept(self, keys: Sequence[K]) -> list[V] | None:
        """Their values, where each is kept; else None, and nothing is counted."""
        known = self._kept.all_of(keys)
        if known is not None:
            self.hits += len(known)
        return known

    def counts(self) -> dict[str, int]:
        """How many looks for a key found its answer here (``hit``), and how many did not (``miss``)."""
        return {"hit": self.hits, "miss": self.misses}

    def keep(self, key: K, value: V) -> None:
        """Keeps an answer that the caller has read a moment ago."""
        self._flights.delete(key)
        self._kept[key] = value

    def forget(self, key: K) -> None:
        """Makes the next load read the store. Whoever changed the value in this process calls this."""
        self._flights.delete(key)
        self._kept.pop(key, None)
