"""Costs of tables of figures, kept for a moment: how many states a table counts, and whether there are cells.

Tables that are planned at the same moment share what they ask.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from druid_specs import ACTIVITY_STATE
from loaders.kept import ENTRY, MEGABYTE, Kept, texts
from loaders.shared import SharedLoader
from loaders.totals import last_aggregation
from rules.errors import StoreUnavailable
from rules.metric_plans import Extent
from stores.engines import Stores
from stores.groups import KeyFilter

KEPT_FOR = 30.0
"""Seconds that a cost is kept: an activity does not grow by much in that time."""
MOST_KEPT = 8 * MEGABYTE
"""Bytes of the filters whose costs a process keeps: of some thousands with a few ids, of 400 with 200 ids each."""


class TableCosts:
    """The costs of one process."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._extents: SharedLoader[KeyFilter, int] = SharedLoader(
            self._read, most=MOST_KEPT, size=_size, ttl=KEPT_FOR
        )
        self._last: Kept[KeyFilter, int] = Kept(MOST_KEPT, _size)
        """The last costs. While the groups store is away, they keep the plan the one whose answer is kept."""
        self._runs: SharedLoader[None, datetime] = SharedLoader(
            self._run, most=ENTRY, size=lambda _none, _at: ENTRY
        )
        """Whether an aggregation has come to its end, which stays so."""

    async def extent(self, keys: KeyFilter) -> Extent:
        """The cost of counting the states with these keys."""
        return Extent(
            await self._states(keys), self._stores.groups.pace_of(ACTIVITY_STATE), await self._aggregated()
        )

    def known(self, keys: KeyFilter) -> int:
        """How many states there were with these keys when somebody last asked; 0 if nobody did."""
        return self._last.get(keys, 0)

    async def _states(self, keys: KeyFilter) -> int | None:
        try:
            found = await self._extents.load(keys)
        except StoreUnavailable:
            return self._last.get(keys)
        if found is not None:
            self._last[keys] = found
        return found

    async def _read(self, wanted: Sequence[KeyFilter]) -> list[int]:
        groups = self._stores.groups
        return await asyncio.gather(*(groups.extent(ACTIVITY_STATE, keys) for keys in wanted))

    async def _aggregated(self) -> bool:
        return await self._runs.load(None) is not None

    async def _run(self, asked: Sequence[None]) -> list[datetime | None]:
        return [await last_aggregation(self._stores.rows)] * len(asked)


def _size(keys: KeyFilter, _states: int) -> int:
    return ENTRY + sum(texts(name, *values) for name, values in keys)
