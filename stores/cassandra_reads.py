"""Reads of many keys in Cassandra: by as few statements as there can be, and each again key by key where it fails."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

from rules.errors import DeadlineExceeded, StoreUnavailable
from stores.bills import charge, partitions_of
from stores.cassandra_session import CassandraSession, Routed
from stores.cassandra_statements import Statements
from stores.columns import TIMESTAMP, Milliseconds, NarrowColumn, Table
from stores.keys import Shared, share
from stores.rows import Key, NarrowRow
from stores.turns import portions
from stores.values import check_first, check_slice

T = TypeVar("T")

_PAGE = 2000
"""Rows of a partition that one answer brings."""

Raw = Sequence[Any]
"""A row as the driver gives it: encoded values, in the order of the columns asked for."""


@dataclass(frozen=True, slots=True)
class Within:
    """What of each partition is read: the end of a WHERE, and the values that it binds."""

    where: str
    values: Sequence[Any]
    limited: bool


class Reads:
    """The reads of one session."""

    def __init__(self, session: CassandraSession, statements: Statements) -> None:
        self._session = session
        self._statements = statements
        self._cql = statements.cql

    def within(
        self, table: Table, among: Sequence[Any] | None, prefix: Key, after: Key | None, limit: int | None
    ) -> Within | None:
        """What these arguments of ``Rows.partitions`` ask for; None for nothing."""
        cql = self._cql(table)
        if among is None:
            slice_ = check_slice(table, prefix, after)
            if slice_ is None or limit == 0:
                return None
            begun, rest = slice_
            where = cql.within(len(begun), len(rest))
            encoded = [cql.encode(n, v) for n, v in zip(table.clustering, (*begun, *rest), strict=False)]
        else:
            first = table.key[len(table.partition)]
            where = f' AND "{first}" IN ?'
            wanted = [cql.encode(first, value) for value in check_first(table, among)]
            if not wanted or limit == 0:
                return None
            encoded = [wanted]
        return Within(where, [*encoded, *([] if limit is None else [limit])], limit is not None)

    async def together(
        self, table: Table, keys: Sequence[Key], text: Callable[[str], str], others: Sequence[Any] = ()
    ) -> list[Raw]:
        """The rows of these partitions, or those with these whole keys. ``text`` of a WHERE; ``others``: values of what it
        adds to that."""

        async def read(shared: Shared) -> list[Raw]:
            return await self._rows_of(table, shared, text, others)

        return [raw for part in await self._shared(table, keys, read) for raw in part]

    async def tuples(
        self, table: Table, keys: Sequence[Key], columns: tuple[NarrowColumn, ...], within: Within
    ) -> dict[Key, list[NarrowRow]]:
        """``Rows.tuples``. Of the partition's key a statement asks for the columns alone in which its keys differ."""
        found: dict[Key, list[NarrowRow]] = {key: [] for key in keys}
        cql, distinct = self._cql(table), [*found]
        decoders, width = cql.decoders(columns), len(columns)

        async def read(shared: Shared) -> None:
            places, asked = _differing(shared), [*columns]
            told = [_place(asked, _key_column(table, place)) for place in places]
            # The last key column is null where a partition has static columns only.
            last = _place(asked, table.key[-1]) if table.statics else None
            as_they_are = not decoders and len(asked) == width

            def text(where: str) -> str:
                return cql.select(tuple(asked), where + within.where, limit_each=within.limited)

            raws = await self._rows_of(table, shared, text, within.values)
            if places:
                of_raw = itemgetter(*told)
                bound = (
                    shared.keys if cql.binds_as_they_are(*places) else [cql.key(key) for key in shared.keys]
                )
                lists = found.values() if shared.keys == distinct else map(found.__getitem__, shared.keys)
                rows_of = dict(zip(map(itemgetter(*places), bound), lists, strict=True))
            async for portion in portions(raws):
                if last is not None:
                    portion = [raw for raw in portion if raw[last] is not None]
                rows: Any = portion if as_they_are else [_decoded(raw[:width], decoders) for raw in portion]
                if not places:
                    found[shared.keys[0]] += rows
                    continue
                for of, row in zip(map(of_raw, portion), rows, strict=True):
                    rows_of[of].append(row)

        await self._shared(table, distinct, read)
        return found

    async def static_values(self, table: Table, keys: Sequence[Key], column: str) -> dict[Key, Any]:
        """``Rows.static_values``."""
        found: dict[Key, Any] = dict.fromkeys(keys)
        cql = self._cql(table)

        async def read(shared: Shared) -> None:
            places = _differing(shared) or [0]
            names = tuple(table.key[place] for place in places)
            text = partial(cql.select, (*names, column), distinct=True)
            raws = await self._rows_of(table, shared, text, ())
            if not cql.is_plain((*names, column)):
                raws = [tuple(cql.decode((*names, column), raw).values()) for raw in raws]
            pairs: Any = raws  # as they are where one column differs: lists ask for hundreds
            values = dict(pairs if len(places) == 1 else [(raw[:-1], raw[-1]) for raw in raws])
            found.update(
                zip(shared.keys, map(values.get, map(itemgetter(*places), shared.keys)), strict=True)
            )

        await self._shared(table, [*found], read)
        return found

    async def _rows_of(
        self, table: Table, shared: Shared, text: Callable[[str], str], others: Sequence[Any]
    ) -> list[Raw]:
        cql = self._cql(table)
        values = cql.key(shared.keys[0])
        for first, last in reversed(shared.differing):
            if last - first == 1 and cql.binds_as_they_are(first):
                several = [key[first] for key in shared.keys]
                values[first] = several if len(shared.differing) == 1 else [*dict.fromkeys(several)]
                continue
            places = dict.fromkeys(key[first:last] for key in shared.keys)
            encoded = [cql.key((*shared.keys[0][:first], *place))[first:] for place in places]
            values[first:last] = [[place[0] if last - first == 1 else tuple(place) for place in encoded]]
        where = cql.together(shared.differing, len(shared.keys[0]))
        bound = await self._statements.bind(text(where), [*values, *others], Routed)
        bound.routing_key = cql.routing_key(shared.keys[0][: len(table.partition)])
        return await self.all(table, bound)

    async def _shared(
        self, table: Table, keys: Sequence[Key], read: Callable[[Shared], Awaitable[T]]
    ) -> list[T]:
        """What ``read`` returns for each statement. For one that fails: what it returns for each of its keys."""
        if not keys:
            return []
        partition = len(table.partition)
        charge(partitions=partitions_of(table, keys))

        async def read_or_retry(shared: Shared) -> list[T]:
            try:
                return [await read(shared)]
            except DeadlineExceeded:
                raise
            except StoreUnavailable:
                if len(shared.keys) == 1:
                    raise
            return await gathered(read(replace(shared, keys=[key])) for key in shared.keys)

        cql = self._cql(table)
        alike = self._session.alike(keys, lambda key: cql.routing_key(key[:partition]))
        statements = [shared for same in alike for shared in share(same, partition)]
        return [one for part in await gathered(map(read_or_retry, statements)) for one in part]

    async def all(self, table: Table, bound: Any) -> list[Raw]:
        """The rows of every page."""
        bound.fetch_size = _PAGE
        raws: list[Raw] = []
        page = None
        while True:
            more, page, _ = await self._session.send(f"select {table.name}", bound, page=page)
            if page is None and not raws:
                return more  # type: ignore[return-value]
            raws += more
            if page is None:
                return raws


def _differing(shared: Shared) -> list[int]:
    """The key columns in which the keys differ."""
    if len(shared.keys) == 1:
        return []
    return [place for span in shared.differing for place in range(*span)]


def _place(columns: list[NarrowColumn], column: NarrowColumn) -> int:
    """Where the column stands among these, at their end if it did not before."""
    if column not in columns:
        columns.append(column)
    return columns.index(column)


def _key_column(table: Table, place: int) -> NarrowColumn:
    """The column of the key as it is bound: a moment as milliseconds."""
    name = table.key[place]
    return Milliseconds(name) if table.types[name] == TIMESTAMP else name


def _decoded(row: Raw, decoders: Sequence[tuple[int, Callable[[Any], Any]]]) -> NarrowRow:
    if not decoders:
        return tuple(row)
    values = list(row)
    for place, decode in decoders:
        if values[place] is not None:
            values[place] = decode(values[place])
    return tuple(values)


async def gathered(work: Iterable[Awaitable[T]]) -> list[T]:
    """Without a task where there is but one."""
    waiting = list(work)
    return [await waiting[0]] if len(waiting) == 1 else await asyncio.gather(*waiting)
