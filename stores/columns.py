"""Types of columns, and the shape of a table. Engines derive DDL, statements and codecs from these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Scalar:
    """A CQL type by name. In Python: str, int, float, bool, aware datetime in UTC (whole ms), bytes."""

    cql: str


@dataclass(frozen=True, slots=True)
class Map:
    """In Python a dict of scalars. Where not frozen, a key can be put without reading the others, and empty equals None."""

    key: Scalar
    value: Scalar
    frozen: bool = True


@dataclass(frozen=True, slots=True)
class SetOf:
    """In Python a frozenset of scalars. Where not frozen, elements can be added, and empty equals None."""

    element: Scalar
    frozen: bool = True


@dataclass(frozen=True, slots=True)
class Udt:
    """A user-defined type; in Python a dict of its fields."""

    name: str
    fields: Mapping[str, "ColumnType"]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A frozen list; in Python a list."""

    element: "Scalar | Udt | Map"


ColumnType = Scalar | Map | SetOf | Udt | ListOf

TEXT = Scalar("text")
INT = Scalar("int")
BIGINT = Scalar("bigint")
DOUBLE = Scalar("double")
BOOLEAN = Scalar("boolean")
TIMESTAMP = Scalar("timestamp")
BLOB = Scalar("blob")


@dataclass(frozen=True, slots=True)
class Column:
    """A regular or static column. ``since`` is the schema version that added it."""

    type: ColumnType
    static: bool = False
    since: int = 1


class Element(NamedTuple):
    """In ``Rows.tuples``: the value that a map of texts has under this key; None where it has none."""

    column: str
    key: str


class Milliseconds(NamedTuple):
    """In ``Rows.tuples``: the moment in this column, or in this element of a map, as epoch milliseconds."""

    of: str | Element


NarrowColumn = str | Element | Milliseconds


def column_read(narrow: NarrowColumn) -> str:
    """The column that it is read from."""
    of = narrow.of if isinstance(narrow, Milliseconds) else narrow
    return of.column if isinstance(of, Element) else of


def static(type_: ColumnType) -> Column:
    return Column(type_, static=True)


@dataclass(frozen=True, eq=False)
class Table:
    """A table, declared once in stores/tables/, and equal to none but itself. ``partition`` and ``clustering`` map key columns to
    types, in order.

    ``columns`` has the others. Key columns are never null. Clustering order is ascending.
    """

    name: str
    partition: Mapping[str, Scalar]
    columns: Mapping[str, Column | ColumnType]
    clustering: Mapping[str, Scalar] = field(default_factory=dict)
    since: int = 1
    comment: str = ""

    @cached_property
    def key(self) -> tuple[str, ...]:
        return (*self.partition, *self.clustering)

    @cached_property
    def values(self) -> dict[str, Column]:
        """The columns that are not part of the key."""
        return {name: c if isinstance(c, Column) else Column(c) for name, c in self.columns.items()}

    @cached_property
    def types(self) -> dict[str, ColumnType]:
        """The type of every column, the key's first."""
        return {**self.partition, **self.clustering, **{name: c.type for name, c in self.values.items()}}

    @cached_property
    def statics(self) -> tuple[str, ...]:
        return tuple(name for name, c in self.values.items() if c.static)

    def named(self, key: tuple[Any, ...]) -> dict[str, Any]:
        """Returns the values of a whole primary key by column."""
        return dict(zip(self.key, key, strict=True))
