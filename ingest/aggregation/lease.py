"""The right to aggregate. One process has it at a time, by a lease in the table ``aggregation`` that it renews."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from ingest.writes.leases import Hold, Task, held
from loaders.session import Shared
from loaders.totals import ACTIVITIES
from rules.moments import milliseconds
from stores.tables import AGGREGATIONS

_TASK = Task(AGGREGATIONS, (ACTIVITIES,), "the aggregation", "aggregating")


class AggregationLease:
    """The right to aggregate, while it is held.

    - ``as_of``: when the last finished run began.
    - ``complete``: False if a run that was to go through everything is under way or was broken off.
    """

    def __init__(self, shared: Shared, hold: Hold) -> None:
        self._shared = shared
        self._hold = hold
        self._version: int = hold.before.get("version") or 0
        self.as_of: datetime | None = hold.before.get("as_of")
        self.complete = bool(hold.before.get("complete"))

    def check(self) -> None:
        """Raises Conflict once another process has taken over."""
        self._hold.check()

    async def next_version(self) -> int:
        """Returns the version for what is computed from now on. It is above every version that any run got before.

        - It is even, so that what announces a write can come before it, under the odd version before.
        - It is at least twice the milliseconds of the clock, so that versions also grow if the table was lost.
        - A process that lost its lease without knowing has a lower version than its successor. What it writes and sends
          loses.
        """
        version = 2 * max(self._version // 2 + 1, milliseconds(self._shared.now()))
        await self._hold.change(version=version)
        self._version = version
        return version

    async def owe(self) -> None:
        """Notes that from now on everything is to be gone through: by this run or, if it ends early, by the next."""
        await self._hold.change(complete=False)

    async def finish(self, as_of: datetime) -> None:
        """Notes that nothing from before ``as_of`` is missing any more. Gives the lease back."""
        await self._hold.end(as_of=as_of, complete=True)


@asynccontextmanager
async def leased(shared: Shared) -> AsyncIterator[AggregationLease]:
    """Takes the lease and holds it while the body runs. If another process has it, raises Conflict that says who."""
    async with held(shared, _TASK) as hold:
        yield AggregationLease(shared, hold)
