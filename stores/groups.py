"""The groups port: figures over many learners, from the data sources of ``druid_specs``. Engines: DuckDB and Druid.

What both engines promise (tests/stores/test_groups_contract.py runs against each):

- A data source is filled from its topic. Of the events of a key the one with the highest ``version`` holds, whatever
  the order and number of their arrival; what arrives is visible after a moment.
- Both kinds of query see one row a key, its columns those of that event. ``where`` sees these latest values only;
  ``keys`` picks rows by their key and bounds what is read.
- An event with the header ``gone`` says that its key tells nothing any more. An engine that can then forgets the key:
  DuckDB has no row of it and its files do not contain it; Druid has the event's row, whose figures count for nothing.
- Nothing (null) is a value of its own: a group by itself, smaller than every other value in an order, never equal to
  an empty text, passed over by Sum and Max, which are null where there was nothing else.
- A query is bound by the request's deadline (stores/deadline.py) and ends at the engine when the caller is cancelled.
- StoreUnavailable where the engine can't be reached or does not answer in time; Busy where it takes no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from druid_specs import DataSource
from rules.errors import StoreUnavailable
from stores.meter import Meter

Value = str | int | float | None

GONE = {"gone": "1"}
"""The headers of an event that says that its key is gone."""


class Busy(StoreUnavailable):
    """The engine runs as many queries of this kind as it may. The same call may be sent again."""

    code = "GROUPS_BUSY"


class Lane(Enum):
    """What a query is for, so that one kind does not hold up the other."""

    PAGES = "pages"
    """Group pages: small, somebody waits."""
    TABLES = "tables"
    """Dashboards and reports."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The column has one of these values; None among them for nothing."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The column has a value from ``least`` up to and with ``most``; None for an open end.

    Numbers by size, texts by code point. ``above`` and ``below`` leave the ends out. Nothing is not between.
    """

    column: str
    least: Value = None
    most: Value = None
    above: bool = False
    below: bool = False


@dataclass(frozen=True, slots=True)
class All:
    """Every one of these filters holds. Without any it is true."""

    filters: tuple["Where", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one of these filters holds. Without any it is false."""

    filters: tuple["Where", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The filter does not hold. It has two values only, so nothing (null) is not one of some values."""

    filter: "Where"


Where = OneOf | Between | All | Any | Not


class Kind(Enum):
    COUNT = "count"
    """The number of rows, 0 without any."""
    SUM = "sum"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a group, over the rows for which ``where`` holds. COUNT has no column."""

    name: str
    kind: Kind
    column: str | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An order by a dimension or a measure of the query. Nothing is the smallest."""

    by: str
    descending: bool = False


KeyFilter = tuple[tuple[str, tuple[str, ...]], ...]
"""Columns of the key, each with the values that it may have. They are sorted, so that equal filters are equal."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The latest row of each key, in no order: ``columns`` may name any of the source's."""

    source: DataSource
    columns: tuple[str, ...]
    keys: KeyFilter = ()
    where: Where | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Measures of the latest rows, a row for each group of equal ``dimensions``; one row where there are none.

    Columns of the answer: the dimensions, then the measures. Without ``order`` the rows come in none.
    """

    source: DataSource
    dimensions: tuple[str, ...]
    measures: tuple[Measure, ...]
    keys: KeyFilter = ()
    where: Where | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None


Query = Rows | Figures


@dataclass(frozen=True, slots=True)
class Answer:
    """``complete`` is False where the engine says that a part of the data was away."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Value]]
    complete: bool = True


class Groups(Protocol):
    """Every method is safe to call concurrently; the engine bounds what is in flight."""

    meter: Meter
    """``counts["activity-state"]``: queries sent, by data source."""
    lags: bool
    """Whether seconds pass until the engine shows what was sent to it."""

    async def query(self, query: Query, lane: Lane) -> Answer:
        """Answers a query.

        InvalidInput says that the query names a column that the source does not have, or orders by one that the answer
        does not have; that a condition compares texts with numbers; that a measure sums texts or takes the highest of
        them; that a count has a column, or another measure has none; or that the answer would have no column, or two of
        a name.
        """
        ...

    pace: int
    """About how many keys a query goes through in a second. Plans go by it."""

    async def extent(self, source: DataSource, keys: KeyFilter) -> int:
        """Returns about how many keys a query with this filter goes through. It is never too low, and too high while a
        key is stored several times. It costs little beside such a query."""
        ...

    async def init(self, sources: Sequence[DataSource]) -> list[str]:
        """Creates or changes what differs from the specs, and returns what it did, a line each. The second time that is
        nothing."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable unless a query can be answered now."""
        ...

    async def close(self) -> None: ...
