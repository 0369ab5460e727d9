"""Work that one process does at a time. A row names the owner, who gives signs of life. Without one, another takes
over."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from stores.columns import Table
from stores.rows import Applied, Equal, Key, Rows

ABANDONED_AFTER = timedelta(seconds=60)
"""After so long without a sign of life another process may take over."""


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
