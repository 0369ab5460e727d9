"""Work that one process does at a time. A row names the owner, who gives signs of life. Without one, another takes
over."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from loaders.session import Shared
from rules.errors import Conflict, StoreUnavailable
from stores.columns import Table
from stores.rows import Applied, Equal, Key, Row, Rows

ABANDONED_AFTER = timedelta(seconds=60)
"""After so long without a sign of life another process may take over."""


def this_process() -> str:
    """Returns a name for an owner: host and process for people, and an ending that no other owner has."""
    return f"{socket.gethostname()} process {os.getpid()} {uuid4().hex[:6]}"


class Lease:
    """The claim of ``owner`` on the row with this key. The row's column ``owner`` says whose it is."""

    def __init__(self, rows: Rows, table: Table, key: Key, owner: str) -> None:
        self._rows = rows
        self._table = table
        self._key = key
        self.owner = owner

    async def take(self, seen: Mapping[str, Any], values: Mapping[str, Any]) -> Applied:
        """Takes the row over, if it still is as it was ``seen``: the same owner and the same last sign of life."""
        conditions = [Equal(column, value) for column, value in seen.items()]
        return await self._rows.update_if(self._table, self._key, {"owner": self.owner, **values}, conditions)

    async def change(self, values: Mapping[str, Any]) -> bool:
        """Changes the row, unless another process has taken it over. Returns True if it did."""
        unchanged = [Equal("owner", self.owner)]
        return (await self._rows.update_if(self._table, self._key, values, unchanged)).applied


@dataclass(frozen=True, slots=True)
class Task:
    """What is done by one process at a time, and the row of its lease: ``table`` has the columns ``owner`` and
    ``expires_on``. ``name`` and ``doing`` are for people: ``the aggregation``, ``aggregating``."""

    table: Table
    key: Key
    name: str
    doing: str


class Hold:
    """The right to do a task, while it is held. ``before``: the row of the lease as it was when it was taken."""

    def __init__(self, shared: Shared, task: Task, lease: Lease, before: Row) -> None:
        self._shared = shared
        self._task = task
        self._lease = lease
        self._over = False
        self.before = before

    def check(self) -> None:
        """Raises Conflict once another process has taken over."""
        if self._over:
            raise Conflict(f"{self._task.name} was taken over by another process", field="owner")

    async def change(self, **values: Any) -> None:
        """Changes the row, which is a sign of life. Raises Conflict if another process has taken over."""
        self.check()
        values = {"expires_on": self._shared.now() + ABANDONED_AFTER, **values}
        if not await self._lease.change(values):
            self._over = True
            self.check()

    async def end(self, **values: Any) -> None:
        """Changes the row and gives the lease back in one."""
        await self.change(**values, owner=None, expires_on=None)
        self._over = True

    async def renew(self) -> None:
        """Gives signs of life until the lease is lost or the task is cancelled."""
        while not self._over:
            await asyncio.sleep(ABANDONED_AFTER.total_seconds() / 3)
            with suppress(StoreUnavailable, Conflict):
                await self.change()

    async def give_back(self) -> None:
        """Gives the lease back. Does nothing if it is not held any more. If a store is away, the lease expires."""
        with suppress(StoreUnavailable, Conflict):
            await self.change(owner=None, expires_on=None)


@asynccontextmanager
async def held(shared: Shared, task: Task) -> AsyncIterator[Hold]:
    """Takes the lease and holds it while the body runs. If another process has it, raises Conflict that says who."""
    lease = Lease(shared.stores.rows, task.table, task.key, this_process())
    hold = Hold(shared, task, lease, await _take(shared, task, lease) or {})
    # The task has a context of its own: the deadline of the call that starts it is not the lease's.
    renewing = asyncio.create_task(hold.renew(), context=Context())
    try:
        yield hold
    finally:
        renewing.cancel()
        await asyncio.shield(hold.give_back())


async def check_free(shared: Shared, task: Task) -> Row | None:
    """Returns the row of the lease. Raises Conflict if another process has it."""
    row = await shared.stores.rows.get(task.table, task.key)
    if row is not None and row["owner"] is not None and row["expires_on"] > shared.now():
        raise _conflict(task, row["owner"])
    return row


async def _take(shared: Shared, task: Task, lease: Lease) -> Row | None:
    """Takes the lease and returns the row that was there before. Raises Conflict if another process has it."""
    values = {"expires_on": shared.now() + ABANDONED_AFTER}
    before = await check_free(shared, task)
    if before is None:
        new = {**task.table.named(task.key), "owner": lease.owner, **values}
        applied = await shared.stores.rows.insert_if_absent(task.table, new)
    else:
        seen = {"owner": before["owner"], "expires_on": before["expires_on"]}
        applied = await lease.take(seen, values)
    if not applied.applied:
        raise _conflict(task, (applied.stored or {}).get("owner"))
    return before


def _conflict(task: Task, owner: str | None) -> Conflict:
    return Conflict(
        f"{owner or 'another process'} is {task.doing}; it is left alone while it gives signs of life",
        field="owner",
    )
