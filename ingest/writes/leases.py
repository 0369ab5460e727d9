"""Work that one process does at a time: a row names its owner, who gives signs of life; without one, another takes over."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from stores.columns import Table
from stores.rows import Applied, Equal, Key, Rows

ABANDONED_AFTER = timedelta(seconds=60)
"""Without a sign of life for so long, another process may take over."""


class Lease:
    """What ``owner`` has of the row with this key, whose column ``owner`` says so."""

    def __init__(self, rows: Rows, table: Table, key: Key, owner: str) -> None:
        self._rows = rows
        self._table = table
        self._key = key
        self.owner = owner

    async def take(self, seen: Mapping[str, Any], values: Mapping[str, Any]) -> Applied:
        """Takes the row over, if it still is as it was ``seen``: its owner, and the sign of life given last."""
        conditions = [Equal(column, value) for column, value in seen.items()]
        return await self._rows.update_if(self._table, self._key, {"owner": self.owner, **values}, conditions)

    async def change(self, values: Mapping[str, Any]) -> bool:
        """Changes the row, unless another process has taken it over. Whether it did."""
        unchanged = [Equal("owner", self.owner)]
        return (await self._rows.update_if(self._table, self._key, values, unchanged)).applied
