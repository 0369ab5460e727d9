"""Stores that are interrupted at one of the steps that change something: to be killed there, or for others to come in
between."""

import asyncio
from collections.abc import Awaitable, Callable, Set
from dataclasses import replace
from typing import Any

from loaders.session import Shared
from rules.errors import StoreUnavailable

CHANGES = {"write", "insert_if_absent", "update_if", "delete_if", "write_together", "send"}
OF_CACHE = {"raise_fields", "raise_soon", "drop_field"}
OF_BLOBS = {"put", "delete"}


class Interruption:
    """At the step of that number, counted from 0: before it, or right after. ``happened`` once it was reached."""

    def __init__(self, step: int, then: Callable[[], Awaitable[None]], *, after: bool = False) -> None:
        self.left = step
        self._then = then
        self._after = after
        self.happened = False

    def of(self, shared: Shared, *, cache: bool = False, blobs: bool = False) -> Shared:
        """The same process, with rows and events that are interrupted, and the cache and the blobs where it is said so."""
        stores = replace(shared.stores, rows=self._around(shared.stores.rows))
        stores = replace(stores, events=self._around(shared.stores.events))
        if cache:
            stores = replace(stores, cache=self._around(shared.stores.cache))
        if blobs:
            stores = replace(stores, blobs=self._around(shared.stores.blobs, OF_BLOBS))
        return replace(shared, stores=stores)

    def _around(self, store: Any, changes: Set[str] = frozenset(CHANGES | OF_CACHE)) -> Any:
        return _Store(store, self, changes)

    async def step(self, change: Callable[[], Awaitable[Any]]) -> Any:
        now = self.left == 0 and not self.happened
        self.left -= 1
        if not now:
            return await change()
        self.happened = True
        if not self._after:
            await self._then()
            return await change()
        answer = await change()
        await self._then()
        return answer


class _Store:
    def __init__(self, store: Any, interruption: Interruption, changes: Set[str]) -> None:
        self._store = store
        self._interruption = interruption
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in self._changes:
            return found

        async def change(*arguments: Any, **named: Any) -> Any:
            return await self._interruption.step(lambda: found(*arguments, **named))

        if name == "raise_soon":  # gives a future
            return lambda *arguments, **named: asyncio.ensure_future(change(*arguments, **named))
        return change


async def dies() -> None:
    """The step did not happen, or its answer was lost, and nothing comes after it."""
    raise StoreUnavailable("this process died here")
