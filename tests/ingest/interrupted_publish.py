"""Stores of a publish that dies: at one of the changes that it makes, and nothing of it comes after that."""

from dataclasses import replace
from typing import Any

from ingest.publishing import job
from loaders.session import Shared

CHANGES = {"write", "insert_if_absent", "update_if", "delete_if", "write_together", "send", "put", "delete"}


class Killed(BaseException):
    """The process is gone."""


class Dying:
    """Counts the changes. The one of that number, and each after it, does not happen."""

    def __init__(self, last: int) -> None:
        self.left = last

    def of(self, shared: Shared) -> Shared:
        """Another process on the same stores."""
        stores = shared.stores
        dying = replace(
            stores,
            rows=_Store(stores.rows, self),
            events=_Store(stores.events, self),
            blobs=_Store(stores.blobs, self),
        )
        return Shared.of(dying, shared.now)

    def take_step(self) -> None:
        if self.left <= 0:
            raise Killed
        self.left -= 1


class _Store:
    def __init__(self, store: Any, dying: Dying) -> None:
        self._store = store
        self._dying = dying

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in CHANGES:
            return found

        async def change(*arguments: Any, **named: Any) -> Any:
            self._dying.take_step()
            return await found(*arguments, **named)

        return change


def in_small_portions() -> None:
    """So that a small book is written in several portions a step."""
    job.NODES_AT_ONCE, job.TREES_AT_ONCE = 4, 2
