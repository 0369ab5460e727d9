"""Reads of one request share statements: those of the same shape that are begun at the same moment are one call of the
rows port, which batches their keys (stores/keys.py).

So what the members of a list read, each in a resolver of its own, costs a request what it costs for a few of them,
whichever field that is. Nothing is kept: a read that begins later reads anew.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from stores.bills import check_bill
from stores.columns import NarrowColumn, Table
from stores.deadline import deadline_at, in_time, until
from stores.rows import Key, NarrowRow, Row, Rows
from stores.values import check_key, check_keys

_Found = Mapping[Key, Any]
_TURNS, _MOST_TURNS = 10, 200
"""Turns of the event loop, some microseconds each, that a batch waits after the last read that joined it, and in all: the
members of a list come to a read by ways that are nearly as long."""
_CROWD = 3
"""Reads in a batch that show that a request reads for lists. Before that, a read waits for one turn, and no longer if
no other read joins it: most requests read for one learner."""


def reads_together(rows: Rows) -> Rows:
    """The rows port for one request, whose reads are batched. Everything that is no read passes through."""
    return cast("Rows", _Together(rows))


@dataclass(slots=True, eq=False)
class _Batch:
    """Reads of one shape. ``alone``: how a single read is made, if not like many. ``ends``: the latest of their
    deadlines; None if one of them has none. The batch is closed in turn ``closes``."""

    together: Callable[[list[Key]], Awaitable[_Found]]
    alone: Callable[[], Awaitable[_Found]] | None
    keys: dict[Key, None] = field(default_factory=dict)
    waiting: list[asyncio.Future[_Found]] = field(default_factory=list)
    ends: float | None = 0.0
    turns: int = 0
    closes: int = 0

    async def send(self) -> None:
        lone = self.alone if len(self.waiting) == 1 else None
        try:
            with deadline_at(self.ends):
                found = await (lone() if lone else self.together(list(self.keys)))
        except BaseException as error:
            for waiter in self.waiting:
                if not waiter.done():
                    waiter.set_exception(error) if isinstance(error, Exception) else waiter.cancel()
            if not isinstance(error, Exception):
                raise
        else:
            for waiter in self.waiting:
                if not waiter.done():
                    waiter.set_result(found)


class _Together:
    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._open: dict[Hashable, _Batch] = {}
        self._crowded = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    async def get(self, table: Table, key: Key, columns: Sequence[str] | None = None) -> Row | None:
        key = check_key(table, table.key, key)

        async def alone() -> _Found:
            return {key: await self._rows.get(table, key, columns)}

        shape, together = self._many(table, columns)
        found: Row | None = (await self._joined(shape, [key], together, alone)).get(key)
        return found

    async def get_many(
        self, table: Table, keys: Sequence[Key], columns: Sequence[str] | None = None
    ) -> dict[Key, Row]:
        keys = check_keys(table, table.key, keys)
        if not keys:
            return {}
        shape, together = self._many(table, columns)
        found = await self._joined(shape, keys, together)
        return {key: found[key] for key in keys if found.get(key) is not None}

    async def partition(
        self,
        table: Table,
        key: Key,
        *,
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[Row]:
        key = check_key(table, tuple(table.partition), key)

        async def alone() -> _Found:
            rows = self._rows
            return {
                key: await rows.partition(
                    table, key, prefix=prefix, after=after, limit=limit, columns=columns
                )
            }

        shape, together = self._slices(table, columns, None, prefix, after, limit)
        found: list[Row] = (await self._joined(shape, [key], together, alone))[key]
        return found

    async def partitions(
        self,
        table: Table,
        keys: Sequence[Key],
        columns: Sequence[str] | None = None,
        *,
        among: Sequence[Any] | None = None,
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
    ) -> dict[Key, list[Row]]:
        keys = check_keys(table, table.partition, keys)
        if not keys:
            return {}
        shape, together = self._slices(table, columns, among, prefix, after, limit)
        found = await self._joined(shape, keys, together)
        return {key: found[key] for key in keys}

    async def tuples(
        self,
        table: Table,
        keys: Sequence[Key],
        columns: Sequence[NarrowColumn],
        *,
        among: Sequence[Any] | None = None,
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
    ) -> dict[Key, list[NarrowRow]]:
        if not keys:
            return {}

        async def together(keys: list[Key]) -> _Found:
            return await self._rows.tuples(
                table, keys, columns, among=among, prefix=prefix, after=after, limit=limit
            )

        shape = ("tuples", table, tuple(columns), _within(among, prefix, after, limit))
        found = await self._joined(shape, keys, together)
        return {key: found[key] for key in keys}

    async def statics(self, table: Table, keys: Sequence[Key]) -> dict[Key, Row]:
        keys = check_keys(table, table.partition, keys)
        if not keys:
            return {}

        async def together(keys: list[Key]) -> _Found:
            return await self._rows.statics(table, keys)

        found = await self._joined(("statics", table), keys, together)
        return {key: found[key] for key in keys if key in found}

    def _many(
        self, table: Table, columns: Sequence[str] | None
    ) -> tuple[Hashable, Callable[[list[Key]], Awaitable[_Found]]]:
        async def together(keys: list[Key]) -> _Found:
            return await self._rows.get_many(table, keys, columns)

        return ("rows", table, columns and tuple(columns)), together

    def _slices(
        self,
        table: Table,
        columns: Sequence[str] | None,
        among: Sequence[Any] | None,
        prefix: Key,
        after: Key | None,
        limit: int | None,
    ) -> tuple[Hashable, Callable[[list[Key]], Awaitable[_Found]]]:
        async def together(keys: list[Key]) -> _Found:
            return await self._rows.partitions(
                table, keys, columns, among=among, prefix=prefix, after=after, limit=limit
            )

        within = _within(among, prefix, after, limit)
        return ("slices", table, columns and tuple(columns), within), together

    async def _joined(
        self,
        shape: Hashable,
        keys: Sequence[Key],
        together: Callable[[list[Key]], Awaitable[_Found]],
        alone: Callable[[], Awaitable[_Found]] | None = None,
    ) -> _Found:
        """The rows that the open batch of this shape finds, these keys among them. Each caller waits until its own
        deadline."""
        check_bill()
        ends, loop = until(), asyncio.get_running_loop()
        batch = self._open.get(shape)
        if batch is None:
            batch = self._open[shape] = _Batch(together, alone)
            loop.call_soon(self._turn, shape)
        waiter: asyncio.Future[_Found] = loop.create_future()
        batch.keys.update(dict.fromkeys(keys))
        batch.waiting.append(waiter)
        if self._crowded or len(batch.waiting) > 1:
            batch.closes = min(batch.turns + _TURNS, _MOST_TURNS)
        batch.ends = None if None in (ends, batch.ends) else max(ends or 0.0, batch.ends or 0.0)
        try:
            return await in_time(waiter)
        finally:
            del waiter  # it has the error, whose trace has this frame: they would hold each other

    def _turn(self, shape: Hashable) -> None:
        batch = self._open[shape]
        batch.turns += 1
        if batch.turns < batch.closes:
            asyncio.get_running_loop().call_soon(self._turn, shape)
            return
        del self._open[shape]
        self._crowded = self._crowded or len(batch.waiting) >= _CROWD
        task = asyncio.ensure_future(batch.send())

        def left_by(_: asyncio.Future[_Found]) -> None:
            """Cancels the read once the last caller has gone: nobody waits for it."""
            if all(waiter.cancelled() for waiter in batch.waiting):
                task.cancel()

        for waiter in batch.waiting:
            waiter.add_done_callback(left_by)


def _within(
    among: Sequence[Any] | None, prefix: Key, after: Key | None, limit: int | None
) -> tuple[Hashable, ...]:
    """Which rows of each partition are read."""
    return None if among is None else tuple(among), tuple(prefix), after and tuple(after), limit
