"""What planning a table of figures has to know, kept a moment: how many states it counts, and whether there are cells."""

from cachetools import LRUCache, TTLCache

from druid_specs import ACTIVITY_STATE
from loaders.totals import last_aggregation
from rules.errors import StoreUnavailable
from rules.metric_queries import Extent
from stores.engines import Stores
from stores.groups import KeyFilter

KEPT_FOR = 30.0
"""Seconds: an activity does not grow by much in that time."""
MOST_KEPT = 5_000


class TableCosts:
    """Of one process."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._extents: TTLCache[KeyFilter, int] = TTLCache(MOST_KEPT, KEPT_FOR)
        self._last: LRUCache[KeyFilter, int] = LRUCache(MOST_KEPT)
        """While the groups store is away: so that the plan stays the one whose answer is kept."""
        self._is_aggregated = False

    async def extent(self, keys: KeyFilter) -> Extent:
        """Of the states with these keys."""
        return Extent(await self._states(keys), self._stores.groups.pace, await self._aggregated())

    async def _states(self, keys: KeyFilter) -> int | None:
        known = self._extents.get(keys)
        if known is not None:
            return known
        try:
            found = await self._stores.groups.extent(ACTIVITY_STATE, keys)
        except StoreUnavailable:
            return self._last.get(keys)
        self._extents[keys] = self._last[keys] = found
        return found

    async def _aggregated(self) -> bool:
        """What has come to its end once stays so."""
        if not self._is_aggregated:
            self._is_aggregated = await last_aggregation(self._stores.rows) is not None
        return self._is_aggregated
