"""Reads of one request share statements: those of the same shape that are begun at the same moment are one call of the
rows port, which batches their keys (stores/keys.py).

So what the members of a list read, each in a resolver of its own, costs a request what it costs for a few of them,
whichever field that is. Nothing is kept: a read that begins later reads anew.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from stores.bills import check_bill
from stores.columns import NarrowColumn, Table
from stores.deadline import deadline_at, in_time, until
from stores.rows import Key, NarrowRow, Row, Rows
from stores.values import check_key, check_keys

_Found = dict[Key, Any]
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
    """Reads of one shape. ``alone``: how a single read is made, if not like many. ``readers``: how many have begun it or joined it,
    those who have left among them. ``ends``: the latest of their deadlines; None if one of them has none. The batch is closed in turn
    ``closes``."""

    together: Callable[[list[Key]], Awaitable[_Found]]
    alone: Callable[[], Awaitable[_Found]] | None
    keys: list[Key]
    readers: int = 1
    waiting: list[asyncio.Future[_Found]] = field(default_factory=list)
    ends: float | None = 0.0
    turns: int = 0
    closes: int = 0

    async def send(self) -> None:
        lone = self.alone if self.readers == 1 else None
        try:
            with deadline_at(self.ends):
                found = await (lone() if lone else self.together(self.keys))
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
        return {key: row for key, row in found.items() if row is not None}

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
        return await self._joined(shape, keys, together)

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
        return await self._joined(shape, keys, together)

    async def statics(self, table: Table, keys: Sequence[Key]) -> dict[Key, Row]:
        keys = check_keys(table, table.partition, keys)
        if not keys:
            return {}

        async def together(keys: list[Key]) -> _Found:
            return await self._rows.statics(table, keys)

        return await self._joined(("statics", table), keys, together)

    async def static_values(self, table: Table, keys: Sequence[Key], column: str) -> dict[Key, Any]:
        if not keys:
            return {}

        async def together(keys: list[Key]) -> _Found:
            return await self._rows.static_values(table, keys, column)

        return await self._joined(("static", table, column), keys, together)

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
    ) -> dict[Key, Any]:
        """What the open batch of this shape finds of these keys. Each caller waits until its own deadline."""
        check_bill()
        batch = self._open.get(shape)
        if batch is not None:
            batch.keys += keys
            batch.readers += 1
        else:
            batch = self._open[shape] = _Batch(together, alone, [*keys])
            if not self._crowded and await self._is_alone(shape, batch):
                return await (alone() if alone else together(batch.keys))
            asyncio.get_running_loop().call_soon(self._turn, shape)
        ends = until()
        waiter: asyncio.Future[_Found] = asyncio.get_running_loop().create_future()
        batch.waiting.append(waiter)
        if self._crowded or batch.readers > 1:
            batch.closes = min(batch.turns + _TURNS, _MOST_TURNS)
        batch.ends = None if None in (ends, batch.ends) else max(ends or 0.0, batch.ends or 0.0)
        try:
            found = await in_time(waiter)
        finally:
            del waiter  # it has the error, whose trace has this frame: they would hold each other
        if batch.readers == 1:
            return found
        return {key: found[key] for key in keys if key in found}

    async def _is_alone(self, shape: Hashable, batch: _Batch) -> bool:
        """Whether no other read has joined the batch a turn later. It is closed then."""
        try:
            await asyncio.sleep(0)
        except BaseException:
            if batch.readers > 1:  # they do without the caller, who leaves
                asyncio.get_running_loop().call_soon(self._turn, shape)
            raise
        finally:
            if batch.readers == 1:
                del self._open[shape]
        batch.turns += 1
        return batch.readers == 1

    def _turn(self, shape: Hashable) -> None:
        batch = self._open[shape]
        batch.turns += 1
        if batch.turns < batch.closes:
            asyncio.get_running_loop().call_soon(self._turn, shape)
            return
        del self._open[shape]
        self._crowded = self._crowded or batch.readers >= _CROWD
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
