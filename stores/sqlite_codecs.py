"""Codecs between values and what SQLite stores: of columns, and of the narrow rows of ``Rows.tuples``."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import orjson

from rules.moments import milliseconds, moment
from stores.columns import (
    BLOB,
    TIMESTAMP,
    ColumnType,
    Element,
    ListOf,
    Map,
    Milliseconds,
    NarrowColumn,
    Scalar,
    SetOf,
    Table,
    Udt,
    column_read,
)
from stores.rows import NarrowRow
from stores.values import narrow_types

_Code = Callable[[Any], Any]


def same(value: Any) -> Any:
    return value


def plain(type_: ColumnType) -> tuple[_Code, _Code]:
    """Codes to and from what JSON can hold."""
    match type_:
        case Scalar():
            if type_ == TIMESTAMP:
                return milliseconds, moment
            return (bytes.hex, bytes.fromhex) if type_ == BLOB else (same, same)
        case Map(key, value):
            (k_to, k_from), (v_to, v_from) = plain(key), plain(value)
            return (
                lambda m: [(k_to(k), v_to(v)) for k, v in m.items()],
                lambda pairs: {k_from(k): v_from(v) for k, v in pairs},
            )
        case SetOf(element):
            to, from_ = plain(element)
            return lambda es: [to(e) for e in es], lambda es: frozenset([from_(e) for e in es])
        case ListOf(element):
            to, from_ = plain(element)
            return lambda es: [to(e) for e in es], lambda es: [from_(e) for e in es]
        case Udt(fields=fields):
            codes = {name: plain(t) for name, t in fields.items()}
            return (
                lambda u: {n: None if u[n] is None else to(u[n]) for n, (to, _) in codes.items()},
                lambda u: {n: None if u.get(n) is None else from_(u[n]) for n, (_, from_) in codes.items()},
            )


def codec(type_: ColumnType) -> tuple[_Code, _Code]:
    """Codes to and from what a SQLite column holds. Neither is called with None."""
    match type_:
        case Scalar("timestamp"):
            return milliseconds, moment
        case Scalar("boolean"):
            return int, bool
        case Scalar():
            return same, same
        case Map(key, value, frozen=False):
            k, v = plain(key)[1], plain(value)[1]
            return same, lambda raw: {k(key): v(value) for key, value, _ in orjson.loads(raw)}
        case SetOf(element, frozen=False):
            e = plain(element)[1]
            return same, lambda raw: frozenset(e(element) for element, _, _ in orjson.loads(raw))
        case _:
            to, from_ = plain(type_)
            return lambda value: orjson.dumps(to(value)), lambda raw: from_(orjson.loads(raw))


@lru_cache(maxsize=1024)
def narrow(
    table: Table, columns: tuple[NarrowColumn, ...]
) -> tuple[tuple[str, ...], Callable[[Sequence[Any]], NarrowRow]]:
    """The columns to select for these, in their order, and what makes a narrow row of what is stored in them."""
    names = tuple(map(column_read, columns))
    codes = [_narrow_code(*both) for both in zip(columns, narrow_types(table, columns), strict=True)]
    changed = [(at, code) for at, code in enumerate(codes) if code is not None]

    def decode(raw: Sequence[Any]) -> NarrowRow:
        values = list(raw)
        for at, code in changed:
            if values[at] is not None:
                values[at] = code(values[at])
        return tuple(values)

    return names, decode if changed else tuple


def _narrow_code(column: NarrowColumn, type_: ColumnType | None) -> _Code | None:
    """``type_``: of what the column has; None for milliseconds, which is how moments are stored."""
    element = column.of if isinstance(column, Milliseconds) else column
    code = None if type_ is None else plain(type_)[1] if isinstance(element, Element) else codec(type_)[1]
    if not isinstance(element, Element):
        return None if code is same else code
    key = element.key

    def read(raw: bytes) -> Any:
        # Pairs of a map; with a write time where it is not frozen.
        value = next((entry[1] for entry in orjson.loads(raw) if entry[0] == key), None)
        return value if value is None or code is None else code(value)

    return read
