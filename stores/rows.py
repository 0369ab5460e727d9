"""The rows port: partitions of typed rows, as Cassandra understands them. Engines: SQLite and Cassandra.

What both engines promise (tests/stores/test_rows_contract.py runs against each):

- A row is a dict of column values; a read returns every column asked for, None where there is no value.
- Values of a column are kept by write time, the latest wins; a write or deletion may bring a ``timestamp`` of its
  own (microseconds by custom, any bigint by contract). A tie is not defined.
- A conditional write or deletion is atomic and linearizable per partition, and returns the stored values where it is
  refused. It may set static columns in the same write. A column written by conditions must never be written without.
- Rows of a partition come in clustering order.
- StoreUnavailable where the engine can't be reached or does not answer within the deadline (stores/deadline.py).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stores.columns import Table
from stores.meter import Meter

Row = dict[str, Any]
Key = tuple[Any, ...]
"""Values of a table's key columns, in order: of the partition key, or of the whole primary key."""

MOST_CHANGES = 50
"""The most changes in one ``write_together``. A conditional batch that was cut off is replayed by whoever comes
next."""


@dataclass(frozen=True, slots=True)
class In:
    """A condition: the column's value is one of these."""

    column: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Equal:
    """A condition: the column has this value. None stands for no value."""

    column: str
    value: Any


@dataclass(frozen=True, slots=True)
class Exists:
    """A condition: the row exists."""


Condition = In | Equal | Exists


@dataclass(frozen=True, slots=True)
class Put:
    """A value in an update: these keys are put into a map, or these elements added to a set, that is not frozen."""

    value: Any


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a conditional write. Where it was refused, ``stored`` has the values of the columns in its
    conditions (of every column for insert_if_absent), and is None where there is no such row."""

    applied: bool
    stored: Row | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one row in ``write_together``.

    With conditions: ``values`` are set where every one of them holds, or the row goes (``delete``; ``values`` are then
    static ones, set in the same write). Without: the row is inserted, and must not exist yet.
    """

    key: Key
    values: Mapping[str, Any] = field(default_factory=dict)
    conditions: Sequence[Condition] = ()
    delete: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """An unconditional write: ``values`` replace those of the row with this primary key. ``delete`` removes the row.

    ``insert`` marks the row as existing even when every value is None; an update of Nones leaves none behind.
    """

    table: Table
    key: Key
    values: Mapping[str, Any]
    timestamp: int | None = None
    delete: bool = False
    insert: bool = True


@dataclass(frozen=True, slots=True)
class TokenRange:
    """The partitions whose token is in (start, end]. The ranges of one call to ``ranges`` cover the ring once."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a walk. ``resume`` goes on after them, in another process too. It is None at the end."""

    rows: list[Row]
    resume: str | None


class Rows(Protocol):
    """One keyspace. Every method is safe to call concurrently; the engine bounds what is in flight."""

    meter: Meter

    async def get(self, table: Table, key: Key, columns: Sequence[str] | None = None) -> Row | None:
        """Returns the row with this whole primary key, with its static columns."""
        ...

    async def get_many(
        self, table: Table, keys: Sequence[Key], columns: Sequence[str] | None = None
    ) -> dict[Key, Row]:
        """Returns rows by whole primary key. A row that does not exist is left out. Keys are batched as in
        ``partitions``; those of one partition share statements, whichever columns of the clustering they differ in."""
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
        """Returns rows of one partition in clustering order, at most ``limit``: those whose clustering begins with
        ``prefix``, and that come after ``after`` (a whole clustering key, which need not exist). Without a limit all
        are read, page by page."""
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
        """Returns the rows of each partition. There is an entry for each key, with an empty list where there is
        nothing.

        ``among``: only rows whose first clustering column is one of these. ``prefix`` and ``after`` are as in
        ``partition``. ``limit``: at most so many rows of each partition.

        Keys are batched (R-RUN-2): those that differ in one column, or are all pairs of the values of two, share a
        statement of at most 100 keys, grouped by replica set (stores/keys.py); a group that fails is retried key by
        key.
        """
        ...

    async def statics(self, table: Table, keys: Sequence[Key]) -> dict[Key, Row]:
        """Returns the static columns of each partition that exists, without reading its rows. Keys are batched
        likewise."""
        ...

    async def write(self, *writes: Write) -> None:
        """Writes without conditions, in no order and not as one transaction. All is written when it returns.

        A call that failed may be repeated whole.
        """
        ...

    async def insert_if_absent(self, table: Table, row: Mapping[str, Any]) -> Applied:
        """Inserts a row where there is none. ``row`` has the whole primary key; its static columns are set in the same
        write."""
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
        """Removes the row with this primary key where every condition holds, and sets ``statics`` of its partition in
        the same write. A later conditional write brings the row back."""
        ...

    async def write_together(self, table: Table, changes: Sequence[Change]) -> bool:
        """Changes several rows of ONE partition: all of them, where every row meets its conditions, or none.

        A row is named once, and there are at most MOST_CHANGES. It returns False where it was refused; the caller then
        reads what is stored.
        """
        ...

    def ranges(self, count: int) -> list[TokenRange]:
        """Returns the whole ring in at most ``count`` parts, the same ones each time."""
        ...

    def walk(
        self,
        table: Table,
        token_range: TokenRange,
        *,
        columns: Sequence[str] | None = None,
        page_size: int = 500,
        resume: str | None = None,
    ) -> AsyncIterator[Page]:
        """Yields every row of the range in token order, a page at a time. A partition may span pages."""
        ...

    async def schema_version(self) -> int:
        """Returns the version of the schema that is stored, 0 before the first init."""
        ...

    async def init(self, tables: Sequence[Table]) -> list[str]:
        """Creates or upgrades what is missing, and returns what it did, a line each. The second time that is nothing.

        Changes are versioned: what a table's or column's ``since`` says is applied in that order and recorded.
        InvalidInput where the stored schema is newer than ``tables``: an old program must not run on it.
        """
        ...

    async def exists(self, table: Table) -> bool:
        """Returns whether the store has the table, with whatever columns."""
        ...

    async def drop(self, table: Table) -> None:
        """Removes the table with all that is in it. Nothing happens where there is none."""
        ...

    async def scrub(self) -> None:
        """Cleans the engine's files: afterwards they contain nothing that was deleted before. Servers do so in their
        own time (docs/operations.md), so that their engine does nothing here."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable unless a statement can be answered now."""
        ...

    async def close(self) -> None: ...
