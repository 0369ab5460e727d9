"""The rows port: partitions of typed rows, as Cassandra understands them. Engines: SQLite and Cassandra.

What both engines promise (tests/stores/test_rows_contract.py runs against each):

- A row is a dict of column values; a read returns every column asked for, None where there is no value.
- Of the values written to a column, the one with the latest write time counts. A write or deletion may bring a
  ``timestamp`` of its own (usually microseconds; any bigint is valid). Between equal times the winner is not defined.
- A conditional write or deletion is atomic and linearizable in its partition. Where it is refused, it returns the stored
  values. It may set static columns in the same write. A column that is written conditionally must never be written
  without a condition, but for a write time that is before every conditional one's.
- Rows of a partition come in clustering order.
- StoreUnavailable where the engine can't be reached or does not answer within the deadline (stores/deadline.py).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stores.columns import NarrowColumn, Table
from stores.meter import Meter

Row = dict[str, Any]
NarrowRow = tuple[Any, ...]
"""A row of ``tuples``: a value for each column asked for, in that order; None where there is none."""
Key = tuple[Any, ...]
"""Values of a table's key columns, in order: of the partition key, or of the whole primary key."""

MOST_CHANGES = 50
"""Changes in one ``write_together``. Where a conditional batch was cut off, the next writer has to finish it."""


@dataclass(frozen=True, slots=True)
class In:
    """The column's value is one of these."""

    column: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Equal:
    """The column has this value; None for null."""

    column: str
    value: Any


@dataclass(frozen=True, slots=True)
class Exists:
    """The row exists."""


Condition = In | Equal | Exists


@dataclass(frozen=True, slots=True)
class Put:
    """A value of an update: puts these keys into a map, or adds these elements to a set, that is not frozen."""

    value: Any


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome of a conditional write.

    ``stored``: after a refusal, the values of the columns in its conditions (for insert_if_absent: of every column). None
    where there is no such row.
    """

    applied: bool
    stored: Row | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one row in ``write_together``.

    With conditions, where every one holds: ``values`` are set, or the row is deleted (``delete``); ``values`` of a
    deletion are static ones, set in the same write. Without conditions: the row is inserted, and must not exist yet.
    """

    key: Key
    values: Mapping[str, Any] = field(default_factory=dict)
    conditions: Sequence[Condition] = ()
    delete: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """An unconditional write: ``values`` replace those of the row with this primary key. ``delete`` removes the row.

    With ``insert`` the row exists even when every value is None. A row that was never inserted exists only while it has a
    value that is not None.
    ``timestamp`` is the write time; None for now.
    """

    table: Table
    key: Key
    values: Mapping[str, Any]
    timestamp: int | None = None
    delete: bool = False
    insert: bool = True


@dataclass(frozen=True, slots=True)
class TokenRange:
    """Partitions whose token is in (start, end]. The ranges of one call to ``ranges`` cover the ring once."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RowPage:
    """Some rows of a walk. Given to ``walk``, ``resume`` continues after them, in another process too; None at the end."""

    rows: list[Row]
    resume: str | None


def table_of(first: Table | Write) -> str:
    """The name of the table that a call of the port is about, by its first argument."""
    return first.name if isinstance(first, Table) else first.table.name


class Rows(Protocol):
    """One keyspace. Every method is safe to call concurrently. The engine limits how many statements run at a time."""

    meter: Meter

    async def get(self, table: Table, key: Key, columns: Sequence[str] | None = None) -> Row | None:
        """The row with this whole primary key, static columns included; None where there is none."""
        ...

    async def get_many(
        self, table: Table, keys: Sequence[Key], columns: Sequence[str] | None = None
    ) -> dict[Key, Row]:
        """Rows by whole primary key; missing rows are left out. Keys share statements as in ``partitions``. Keys of one
        partition share them whichever columns of the clustering they differ in."""
        ...

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
        """Rows of one partition in clustering order, at most ``limit``; all of them, read page by page, without a limit.

        Only rows whose clustering begins with ``prefix`` and comes after ``after``, a whole clustering key that need not
        exist.
        """
        ...

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
        """Rows of each partition; an entry for each key, an empty list where there are no rows.

        ``among``: only rows whose first clustering column has one of these values. Or ``prefix`` and ``after`` as in
        ``partition``. ``limit``: at most so many rows of each partition.

        Keys that differ in one column, or are all pairs of the values of two, share a statement of at most 100 keys with
        the same replicas (stores/keys.py). A statement that fails is sent again key by key.
        """
        ...

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
        """As ``partitions``, by the same statements: tuples of just these columns, for who reads many rows.

        ``keys`` are taken as they are: they come from rows, or were checked (stores/values.py).
        """
        ...

    async def statics(self, table: Table, keys: Sequence[Key]) -> dict[Key, Row]:
        """The static columns of each partition that exists. Keys share statements as in ``partitions``. Reads no rows."""
        ...

    async def static_values(self, table: Table, keys: Sequence[Key], column: str) -> dict[Key, Any]:
        """What this static column has in each partition: None where it has nothing, or there is no such partition. Keys share
        statements as in ``partitions``, and are taken as they are: rows have them so. Reads no rows."""
        ...

    async def write(self, *writes: Write) -> None:
        """Writes without conditions, in no order and not as one transaction. All are done when it returns.

        Writing again changes nothing, so a failed call may be repeated whole.
        """
        ...

    async def insert_if_absent(self, table: Table, row: Mapping[str, Any]) -> Applied:
        """Inserts the row where there is none with its key. ``row`` has the whole primary key. Static columns in it are set in
        the same write."""
        ...

    async def update_if(
        self, table: Table, key: Key, values: Mapping[str, Any], conditions: Sequence[Condition]
    ) -> Applied:
        """Changes the row with this primary key where every condition holds."""
        ...

    async def delete_if(
        self,
        table: Table,
        key: Key,
        conditions: Sequence[Condition],
        statics: Mapping[str, Any] | None = None,
    ) -> Applied:
        """Removes the row with this primary key where every condition holds, and sets ``statics`` of its partition in the
        same write. A later conditional write may create the row again."""
        ...

    async def write_together(self, table: Table, changes: Sequence[Change]) -> bool:
        """Changes several rows of ONE partition: all of them where every row meets its conditions, else none.

        Each row once, at most MOST_CHANGES. False after a refusal; the caller may then read what is stored.
        """
        ...

    def ranges(self, count: int) -> list[TokenRange]:
        """The whole ring in at most ``count`` ranges, the same each time."""
        ...

    def walk(
        self,
        table: Table,
        token_range: TokenRange,
        *,
        columns: Sequence[str] | None = None,
        page_size: int = 500,
        resume: str | None = None,
    ) -> AsyncIterator[RowPage]:
        """Every row of the range in token order, a page at a time. A partition may span pages."""
        ...

    async def clock(self) -> int:
        """The engine's own time, in epoch milliseconds: what a write time is compared with."""
        ...

    async def schema_version(self) -> int:
        """The version of the stored schema; 0 before the first init."""
        ...

    async def init(self, tables: Sequence[Table]) -> list[str]:
        """Creates missing tables and columns, and returns a line for each change; none the second time.

        Changes are made in the order of ``since``, and the version is recorded. InvalidInput where the stored schema is
        newer than ``tables``: an old program must not run on it.
        """
        ...

    async def exists(self, table: Table) -> bool:
        """Whether the store has the table, whatever its columns."""
        ...

    async def drop(self, table: Table) -> None:
        """Removes the table with all its rows. Does nothing where there is none."""
        ...

    async def scrub(self) -> None:
        """Removes from the engine's files every byte of what was deleted before. An engine on servers does nothing: they
        do so in their own time (docs/operations.md)."""
        ...

    async def ping(self) -> None:
        """StoreUnavailable unless a statement can be answered now."""
        ...

    async def close(self) -> None: ...


async def has_rows(rows: Rows, table: Table, parts: int = 1) -> bool:
    """Whether the table has a row. Looks through the ring until it finds one, in so many ``parts``: each is a statement."""
    for token_range in rows.ranges(parts):
        async for page in rows.walk(table, token_range, columns=table.key[:1], page_size=1):
            if page.rows:
                return True
    return False
