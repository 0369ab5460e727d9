"""The bound statements of writes in Cassandra, and the batches they are sent in."""

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby
from typing import Any

from cassandra.cqltypes import DateType, FrozenType, Int32Type, ListType, LongType, MapType, UTF8Type
from cassandra.query import BatchStatement, BatchType, BoundStatement

from stores.cassandra_session import CassandraSession
from stores.columns import Table
from stores.cql import Cql
from stores.rows import Applied, Change, Condition, Exists, Key, Put, Write
from stores.values import check_keys, check_values

_BATCH = 30
_BATCH_BYTES = 4_000
"""The server warns of a batch of more than 5 KB, by its own count, and refuses one of 50 KB."""

Metered = tuple[str, BoundStatement]
"""A statement and the name that the meter counts it by."""


class Statements:
    """Binds the statements of one keyspace. Each CQL text is prepared once a session."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._bindings: dict[str, _Binding] = {}
        self.cql = lru_cache(maxsize=1024)(partial(Cql, keyspace=session.address.keyspace))

    async def bind(
        self, text: str, values: Sequence[Any], kind: type[BoundStatement] = BoundStatement
    ) -> BoundStatement:
        return (await self._binding(text)).bind(values, kind)

    async def _binding(self, text: str) -> "_Binding":
        binding = self._bindings.get(text)
        if binding is None:
            binding = self._bindings[text] = _Binding(await self._session.prepare(text))
        return binding

    async def of_writes(self, writes: Sequence[Write]) -> list[Metered]:
        """The statements of all. The keys of those of one table and kind, one behind the other, are checked together."""
        statements: list[Metered] = []
        for (table, *_), some in groupby(writes, _shape):
            alike = list(some)
            keys = list(map(self.cql(table).key, check_keys(table, table.key, [one.key for one in alike])))
            statements += await self._of_alike(alike, keys)
        return statements

    async def _of_alike(self, writes: Sequence[Write], keys: Sequence[list[Any]]) -> list[Metered]:
        """One statement for each, or two: an insert can't put into maps and sets, so an update follows."""
        table, cql = writes[0].table, self.cql(writes[0].table)
        timed = writes[0].timestamp is not None
        if writes[0].delete:
            delete = await self._binding(cql.delete(timed=timed))
            return [
                (f"delete {table.name}", delete.bind([*_time(one), *key]))
                for one, key in zip(writes, keys, strict=True)
            ]
        statements = []
        for write, key in zip(writes, keys, strict=True):
            values = check_values(table, write.values)
            if write.insert:
                puts = {name: value for name, value in values.items() if type(value) is Put}
                plain = {n: value for n, value in values.items() if n not in puts} if puts else values
                insert = await self._binding(cql.insert(tuple(plain), timed=timed))
                bound = insert.bind([*key, *cql.encoded(plain), *_time(write)])
                statements.append((f"insert {table.name}", bound))
                values = puts
            if values:
                text, given = _update(cql, key, values, _time(write))
                statements.append((f"update {table.name}", (await self._binding(text)).bind(given)))
        return statements

    async def insert_if_absent(self, table: Table, key: Key, values: Mapping[str, Any]) -> BoundStatement:
        cql = self.cql(table)
        return await self.bind(cql.insert(tuple(values), absent=True), cql.key(key) + cql.encoded(values))

    async def of_change(self, table: Table, change: Change) -> list[BoundStatement]:
        """One statement, or two: of a conditional deletion, and of the static columns set with it."""
        cql = self.cql(table)
        if not change.delete and not change.conditions:
            return [await self.insert_if_absent(table, change.key, change.values)]
        end, more = cql.condition(change.conditions)
        if not change.delete:
            text, bound = _update(cql, cql.key(change.key), change.values, [])
            return [await self.bind(text + end, bound + more)]
        statements = [await self.bind(cql.delete() + end, cql.key(change.key) + more)]
        if change.values:
            statements.append(await self.bind(*_update(cql, cql.key(change.key), change.values, [])))
        return statements

    async def of_conditional(self, table: Table, change: Change) -> BoundStatement | BatchStatement:
        """What to send for a change that is alone."""
        statements = await self.of_change(table, change)
        # Where there are static columns, a missing row is refused with nulls. Within a batch the key is in the answer
        # too, and null where the row is missing.
        return unlogged(statements) if table.statics else statements[0]


def _shape(write: Write) -> tuple[Any, ...]:
    """What writes have in common that are checked and bound together."""
    return write.table, write.delete, write.timestamp is None


def _time(write: Write) -> tuple[int, ...]:
    return () if write.timestamp is None else (write.timestamp,)


class _Binding:
    """Binds values to a prepared statement. The driver does the same, and looks into each column's metadata every time."""

    def __init__(self, prepared: Any) -> None:
        self._prepared = prepared
        self._serializers = [serializer(column.type) for column in prepared.column_metadata]

    def bind(self, values: Sequence[Any], kind: type[BoundStatement] = BoundStatement) -> BoundStatement:
        """``values``: encoded, as many as there are question marks."""
        version = self._prepared.protocol_version
        bound = kind(self._prepared)
        bound.raw_values = values
        bound.values = [
            None if value is None else serialize(value, version)
            for serialize, value in zip(self._serializers, values, strict=True)
        ]
        return bound


def serializer(type_: Any) -> Callable[[Any, int], bytes]:
    """How values of this type of the driver are written, given the protocol's version."""
    # Moments are bound as milliseconds: the driver's own way asks each first whether it is a datetime.
    if issubclass(type_, DateType):
        return LongType.serialize  # type: ignore[no-any-return]
    plain = type_.subtypes[0] if issubclass(type_, FrozenType) else type_
    if issubclass(plain, ListType) and _are(plain.subtypes, UTF8Type):
        return texts_as_sent
    if issubclass(plain, MapType) and _are(plain.subtypes, UTF8Type, Int32Type):
        return counts_as_sent
    return type_.serialize  # type: ignore[no-any-return]


def _are(subtypes: Sequence[Any], *types: Any) -> bool:
    """Servers tell a text as `varchar`, of which the driver has a class below that of texts."""
    return all(map(issubclass, subtypes, types))


def counts_as_sent(counts: Mapping[str, int], version: int) -> bytes:
    """A map of texts to numbers of 32 bits as the protocol has it. Leaves of a collection are in it, with their statuses: the same
    few entries for all of its learners."""
    return len(counts).to_bytes(4) + b"".join(map(_count, counts, counts.values()))


def texts_as_sent(texts: Sequence[str | None], version: int) -> bytes:
    """A list of texts as the protocol has it: the keys that a statement reads together, or the values that a condition takes, of which
    one may be null."""
    try:
        sent = list(map(str.encode, texts))  # type: ignore[arg-type]
    except TypeError:  # there is a null
        return _length(len(texts)) + b"".join(map(_text_or_null, texts))
    parts = [b""] * (2 * len(sent))
    parts[::2], parts[1::2] = map(_length, map(len, sent)), sent
    return _length(len(sent)) + b"".join(parts)


def _text_or_null(text: str | None) -> bytes:
    """Behind its length, which is negative for null. The driver makes an empty text of null."""
    if text is None:
        return (-1).to_bytes(4, signed=True)
    sent = text.encode()
    return _length(len(sent)) + sent


@lru_cache(maxsize=1 << 12)
def _length(length: int) -> bytes:
    return length.to_bytes(4)


@lru_cache(maxsize=1 << 15)
def _count(text: str, number: int) -> bytes:
    key = text.encode()
    return struct.pack(f">i{len(key)}sii", len(key), key, 4, number)


def unlogged(statements: Sequence[BoundStatement]) -> BatchStatement:
    """One batch without a log, of statements for one partition or one set of replicas."""
    batch = BatchStatement(BatchType.UNLOGGED)
    for bound in statements:
        batch.add(bound)
    batch.is_idempotent = all(bound.is_idempotent for bound in statements)
    return batch


def batches(statements: Sequence[Metered]) -> list[list[Metered]]:
    """The statements in parts that are small enough for a batch each."""
    parts: list[list[Metered]] = []
    size = _BATCH_BYTES
    for what, bound in statements:
        own = 32 + 20 * len(bound.values) + sum(map(len, filter(None, bound.values)))
        if size + own > _BATCH_BYTES or len(parts[-1]) == _BATCH:
            parts.append([])
            size = 0
        parts[-1].append((what, bound))
        size += own
    return parts


def applied(cql: Cql, answer: dict[str, Any], conditions: Sequence[Condition]) -> Applied:
    """What the server's ``answer`` to a conditional update or deletion of one row says."""
    if answer.pop("[applied]"):
        return Applied(True)
    if not answer or (cql.table.statics and answer[cql.table.key[-1]] is None):
        return Applied(False)
    names = tuple(dict.fromkeys(c.column for c in conditions if not isinstance(c, Exists)))
    return Applied(False, cql.decode(names, [answer[name] for name in names]))


def _update(
    cql: Cql, key: list[Any], values: Mapping[str, Any], time: Sequence[int]
) -> tuple[str, list[Any]]:
    """The text of an update and what to bind. Where only static columns are set, the key is the partition's."""
    names = tuple(values)
    puts = frozenset([name for name, value in values.items() if type(value) is Put])
    # Nearly always there are none: then the encoders of all values together are known.
    encoded = [cql.encode(name, value) for name, value in values.items()] if puts else cql.encoded(values)
    where = len(cql.table.partition if values.keys() <= set(cql.table.statics) else cql.table.key)
    return cql.update(names, puts, where, timed=bool(time)), [*time, *encoded, *key[:where]]
