"""The mark that a call sets on the hashes of the keys whose views it writes (loaders/touches.py)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from os import getpid
from secrets import token_hex
from typing import Any, TypeVar, overload

from loaders import touches
from loaders.session import Shared
from rules.errors import CohortError, StoreUnavailable
from rules.identifiers import ProgressKey
from rules.progress import Status
from rules.views import View

T = TypeVar("T")

_PROCESS, _calls = token_hex(8), count()
"""Of these a mark's name is made: no other call of any process has it."""


class Announcement:
    """The marks of one call. Until its mark goes, readers of a hash go to the rows.

    If the mark is so old that the call must have died, readers also send its trigger (loaders/healing.py).
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._cache = shared.stores.cache
        self._call = f"{_PROCESS}-{getpid():x}-{next(_calls):x}"
        self._marked: dict[ProgressKey, None] = {}

    async def mark(self, key: ProgressKey) -> None:
        """Marks the key. It must come before the first write. The second time it does nothing."""
        if key not in self._marked:
            await touches.announce(self._cache, key, self._call, self._shared.now())
            self._marked[key] = None

    @overload
    def writing(
        self, keys: Collection[ProgressKey], meanwhile: None = None
    ) -> AbstractAsyncContextManager[None]: ...
    @overload
    def writing(
        self, keys: Collection[ProgressKey], meanwhile: Awaitable[T]
    ) -> AbstractAsyncContextManager[T]: ...
    @asynccontextmanager
    async def writing(
        self, keys: Collection[ProgressKey], meanwhile: Awaitable[Any] | None = None
    ) -> AsyncIterator[Any]:
        """Marks the keys, then lets the body write their rows. ``meanwhile``: what is done beside the marks, since it changes none of
        these rows. Its result is the body's.

        - If the call is refused, nothing has changed: the marks are taken back.
        - If a store is away, the marks stay: the rows may have been written, so a reader has to look.
        """
        try:
            yield await _ended([self.mark(key) for key in keys], meanwhile)
        except BaseException as error:
            refused = isinstance(error, CohortError) and not isinstance(error, StoreUnavailable)
            for key in keys:
                self._marked.pop(key, None)
                if refused:
                    await touches.withdraw(self._cache, key, self._call)
            raise

    def settle(self, views: Iterable[View]) -> None:
        """Has the started views put into the hashes and the marks taken away, both at once for each key. Nobody waits for it: until
        then readers go to the rows."""
        by_key: dict[ProgressKey, list[View]] = {key: [] for key in self._marked}
        for view in views:
            if view.status is not Status.NOT_STARTED:
                by_key.setdefault(view.key.progress_key, []).append(view)
        for key, started in by_key.items():
            self._shared.background.keep(touches.settle(self._cache, key, started, self._call))


async def _ended(marks: Sequence[Coroutine[Any, Any, None]], meanwhile: Awaitable[T] | None) -> T | None:
    """What ``meanwhile`` gives, once the marks are set. Where it fails all have ended, too: no mark is set behind its taking back."""
    if meanwhile is None and len(marks) == 1:  # one alone needs no task
        await marks[0]
        return None
    tasks = [asyncio.ensure_future(mark) for mark in marks]
    try:
        found = None if meanwhile is None else await meanwhile
    finally:
        if tasks:
            await asyncio.wait(tasks)
    for task in tasks:
        task.result()
    return found
