"""What every table of figures has: columns, and rows as lists or as objects."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import strawberry
from strawberry.scalars import JSON

from graph import enums
from graph.access import Access, to
from graph.scalars import serialised_json
from resolvers.nouns import Column


@strawberry.type(description="A column of a table.", directives=[to(Access.WITH_OBJECT)])
class MetricColumn:
    name: str = strawberry.field(
        description="The dimension or metric, such as `ageBand` or `enrolledCount`; no two are alike."
    )
    kind: enums.ColumnKind = strawberry.field(description="What its values are.")


def columns_of(columns: Iterable[Column]) -> list[MetricColumn]:
    return [MetricColumn(name=column.name, kind=column.kind) for column in columns]


def rows_of(rows: Sequence[Any]) -> JSON:
    return serialised_json(orjson.dumps(rows))


def records_of(columns: Iterable[Column], rows: Iterable[Sequence[Any]]) -> JSON:
    """Each row as an object: a value by the column's name."""
    names = [column.name for column in columns]
    return serialised_json(orjson.dumps([dict(zip(names, row, strict=True)) for row in rows]))
