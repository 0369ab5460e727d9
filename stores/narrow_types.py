"""The types of what ``Rows.tuples`` is asked for."""

from functools import lru_cache

from rules.errors import InvalidInput
from stores.columns import (
    TEXT,
    TIMESTAMP,
    ColumnType,
    Element,
    Map,
    Milliseconds,
    NarrowColumn,
    Table,
    column_read,
)
from stores.values import check_columns


@lru_cache(maxsize=1024)
def narrow_types(table: Table, columns: tuple[NarrowColumn, ...]) -> tuple[ColumnType | None, ...]:
    """The type of each column's values; None for milliseconds. InvalidInput names a column that can't be asked for so."""
    return tuple(_narrow_type(table, column) for column in columns)


def _narrow_type(table: Table, narrow: NarrowColumn) -> ColumnType | None:
    if isinstance(narrow, Milliseconds):
        if _narrow_type(table, narrow.of) != TIMESTAMP:
            raise InvalidInput(f"{table.name} has no moment in {narrow.of}", field=column_read(narrow))
        return None
    column = column_read(narrow)
    check_columns(table, [column])
    type_ = table.types[column]
    if not isinstance(narrow, Element):
        return type_
    if not isinstance(type_, Map) or type_.key != TEXT:
        raise InvalidInput(f"{table.name}.{column} is no map of texts", field=column)
    return type_.value
