"""The groups port: figures over many learners, from the data sources of ``druid_specs``. Engines: DuckDB and Druid.

What both engines promise (tests/stores/test_groups_contract.py runs against each):

- A data source is filled from its topic. Of the events of a key, the one with the highest ``version`` counts, in
  whatever order and how often they arrive. An event is visible after a moment.
- Both kinds of query see one row for each key, with the columns of that event. ``where`` sees these latest values only.
  ``keys`` picks rows by their key and so bounds what is read.
- An event with the header ``gone`` says that its key has ended. DuckDB then has no row of the key, and its files do not
  contain it. Druid can't forget a key: it has the event's row, whose figures count for nothing.
- A computed column has the name of the period that a moment is in, as rules/periods.py has it, in the zone of the query. The
  clocks are those of the IANA database here, not of the engine.
- Null is a value of its own: a group by itself, smaller than every other value in an order, never equal to an empty
  text. Sum and Max pass over it; they are null where there is nothing else.
- A query keeps to the request's deadline (stores/deadline.py) and ends at the engine when the caller is cancelled.
- StoreUnavailable where the engine can't be reached or does not answer in time; Busy where it takes no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from druid_specs import DataSource
from rules.periods import UTC_ZONE
from stores.meter import Meter

Value = str | int | float | None

GONE = {"gone": "1"}
"""The headers of an event whose key has ended."""


class Lane(Enum):
    """What a query is for. Each lane has its own limit, so that one does not hold up the other."""

    PAGES = "pages"
    """Group pages: small queries, for which somebody waits."""
    TABLES = "tables"
    """Dashboards and reports."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The column has one of these values. None among them stands for null."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The column has a value from ``least`` to ``most``, both included; None for an open end.

    Numbers compare by size, texts by code point. ``above`` excludes ``least``, ``below`` excludes ``most``. Null is never
    between.
    """

    column: str
    least: Value = None
    most: Value = None
    above: bool = False
    below: bool = False


@dataclass(frozen=True, slots=True)
class All:
    """Every one of these conditions holds; true for none."""

    filters: tuple["Where", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one of these conditions holds; false for none."""

    filters: tuple["Where", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold. It is true or false, never unknown: null is not one of some values."""

    filter: "Where"


Where = OneOf | Between | All | Any | Not


class Kind(Enum):
    COUNT = "count"
    """The number of rows; 0 where there are none."""
    SUM = "sum"
    MAX = "max"
    DISTINCT = "distinct"
    """The number of different values of a column of the key, counted exactly; 0 where there are none."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a group, over the rows for which ``where`` holds. COUNT has no column."""

    name: str
    kind: Kind
    column: str | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """Order by a dimension or a measure of the query; null is the smallest."""

    by: str
    descending: bool = False


KeyFilter = tuple[tuple[str, tuple[str, ...]], ...]
"""Columns of the key, each with the values that it may have. Sorted, so that equal filters compare equal."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A query for the latest row of each key, in no order. ``columns`` may name any column of the source. Periods are
    in UTC."""

    source: DataSource
    columns: tuple[str, ...]
    keys: KeyFilter = ()
    where: Where | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows that the values of a column of the key fall into. ``names`` has the values that count, each once, with the name
    of its window."""

    column: str
    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """A query for measures of the latest rows: a row for each group of equal ``dimensions``, one row without dimensions.

    The answer's columns are the dimensions, then the measures. Without ``order`` its rows come in no order. ``zone``: of
    the IANA database, whose clocks say which periods moments are in. ``windows``: this dimension has their names, and only
    rows count that are in one; conditions are not about it.
    """

    source: DataSource
    dimensions: tuple[str, ...]
    measures: tuple[Measure, ...]
    keys: KeyFilter = ()
    where: Where | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    zone: str = UTC_ZONE
    windows: Windows | None = None


Query = Rows | Figures


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of an answer. ``complete`` is False where the engine says that a part of the data was away."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Value]]
    complete: bool = True


def source_of(first: Query | DataSource) -> str:
    """The name of the data source that a call of the port is about, by its first argument."""
    return first.name if isinstance(first, DataSource) else first.source.name


class Groups(Protocol):
    """Every method is safe to call concurrently; the engine bounds what is in flight."""

    meter: Meter
    """``counts["activity-state"]``: queries sent, by data source."""
    lags: bool
    """Whether some seconds pass before a query sees what was sent to the topic."""

    async def query(self, query: Query, lane: Lane) -> Answer:
        """Answers the query. InvalidInput where:

        - it names a column that the source does not have, or orders by one that the answer does not have;
        - a condition compares texts with numbers;
        - a sum or a maximum is of texts, a count has a column, or another measure has none;
        - distinct values are of a column that is no part of the key, or of two columns in one query;
        - the answer would have no column, or two of the same name.
        """
        ...

    def pace_of(self, source: DataSource) -> int:
        """About how many keys of the source a table goes through in a second, as things are now. Plans by cost use it."""
        ...

    async def extent(self, source: DataSource, keys: KeyFilter) -> int:
        """About how many keys a query with this filter goes through: never fewer than there are, more while a key is
        stored several times. It costs a small part of such a query."""
        ...

    async def init(self, sources: Sequence[DataSource]) -> list[str]:
        """Creates or changes what differs from the specs, and returns a line for each change; none the second time."""
        ...

    async def ping(self) -> None:
        """StoreUnavailable unless a query can be answered now."""
        ...

    async def close(self) -> None: ...
