"""The right to aggregate. One process has it at a time, by a lease in the table ``aggregation`` that it renews."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from datetime import datetime
from typing import Any
from uuid import uuid4

from ingest.writes.leases import ABANDONED_AFTER, Lease
from loaders.session import Shared
from loaders.totals import ACTIVITIES
from rules.errors import Conflict, StoreUnavailable
from rules.moments import milliseconds
from stores.rows import Row
from stores.tables import AGGREGATIONS

_KEY = (ACTIVITIES,)


class AggregationLease:
    """The right to aggregate, while it is held.

    - ``as_of``: when the last finished run began.
    - ``complete``: False if a run that was to go through everything is under way or was broken off.
    """

    def __init__(self, shared: Shared, lease: Lease, before: Row | None) -> None:
        self._shared = shared
        self._lease = lease
        before = before or {}
        self._version: int = before.get("version") or 0
        self.as_of: datetime | None = before.get("as_of")
        self.complete = bool(before.get("complete"))
        self._over = False

    def check(self) -> None:
        """Raises Conflict once another process has taken over."""
        if self._over:
            raise Conflict("the aggregation was taken over by another process", field="owner")

    async def next_version(self) -> int:
        """Returns the version for what is computed from now on. It is above every version that any run got before.

        - It is even, so that what announces a write can come before it, under the odd version before.
        - It is at least twice the milliseconds of the clock, so that versions also grow if the table was lost.
        - A process that lost its lease without knowing has a lower version than its successor. What it writes and sends
          loses.
        """
        version = 2 * max(self._version // 2 + 1, milliseconds(self._shared.now()))
        await self._change(version=version)
        self._version = version
        return version

    async def owe(self) -> None:
        """Notes that from now on everything is to be gone through: by this run or, if it ends early, by the next."""
        await self._change(complete=False)

    async def finish(self, as_of: datetime) -> None:
        """Notes that nothing from before ``as_of`` is missing any more. Gives the lease back."""
        await self._change(as_of=as_of, complete=True, owner=None, expires_on=None)
        self._over = True

    async def renew(self) -> None:
        """Gives signs of life until the lease is lost or the task is cancelled."""
        while not self._over:
            await asyncio.sleep(ABANDONED_AFTER.total_seconds() / 3)
            with suppress(StoreUnavailable, Conflict):
                await self._change()

    async def give_back(self) -> None:
        """Gives the lease back. Does nothing if it is not held any more. If a store is away, the lease expires."""
        with suppress(StoreUnavailable, Conflict):
            await self._change(owner=None, expires_on=None)

    async def _change(self, **values: Any) -> None:
        self.check()
        values = {"expires_on": self._shared.now() + ABANDONED_AFTER, **values}
        if not await self._lease.change(values):
            self._over = True
            self.check()


@asynccontextmanager
async def leased(shared: Shared) -> AsyncIterator[AggregationLease]:
    """Takes the lease and holds it while the body runs. If another process has it, raises Conflict that says who."""
    owner = f"{socket.gethostname()} process {os.getpid()} {uuid4().hex[:6]}"
    taken = Lease(shared.stores.rows, AGGREGATIONS, _KEY, owner)
    lease = AggregationLease(shared, taken, await _take(shared, taken))
    # The task has a context of its own: the deadline of the call that starts it is not the lease's.
    renewing = asyncio.create_task(lease.renew(), context=Context())
    try:
        yield lease
    finally:
        renewing.cancel()
        await asyncio.shield(lease.give_back())


async def _take(shared: Shared, lease: Lease) -> Row | None:
    """Takes the lease and returns the row that was there before. Raises Conflict if another process has it."""
    rows, now = shared.stores.rows, shared.now()
    values = {"expires_on": now + ABANDONED_AFTER}
    before = await rows.get(AGGREGATIONS, _KEY)
    if before is None:
        applied = await rows.insert_if_absent(
            AGGREGATIONS, {"name": ACTIVITIES, "owner": lease.owner, **values}
        )
    elif before["owner"] is not None and before["expires_on"] > now:
        raise _conflict(before["owner"])
    else:
        seen = {"owner": before["owner"], "expires_on": before["expires_on"]}
        applied = await lease.take(seen, values)
    if not applied.applied:
        raise _conflict((applied.stored or {}).get("owner"))
    return before


def _conflict(owner: str | None) -> Conflict:
    return Conflict(
        f"{owner or 'another process'} is aggregating; it is left alone while it gives signs of life",
        field="owner",
    )
