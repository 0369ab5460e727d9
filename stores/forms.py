"""The canonical form of a column's values, by their type."""

import math
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from stores.columns import DOUBLE, INT, TEXT, ColumnType, ListOf, Map, Scalar, SetOf, Udt

Form = Callable[[Any], Any]
"""Turns a caller's value into the canonical one. ValueError says what is expected instead."""


def _text(value: Any) -> str:
    if type(value) is str and value.isascii():
        return value
    if not isinstance(value, str):
        raise ValueError("a str")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a str without lone surrogates") from None
    return value


def _integer(bits: int) -> Form:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def form(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"an int of {bits} bits")
        return value

    return form


def _double(value: Any) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a float")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("a finite float")
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("a bool")
    return value


def _timestamp(value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("an aware datetime")
    moment = value
    if moment.tzinfo is not UTC:
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise ValueError("a datetime within the years 1 to 9999 in UTC") from None
    beyond = moment.microsecond % 1000
    return moment - timedelta(microseconds=beyond) if beyond else moment  # a third of what replace() takes


def _blob(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("bytes")
    return value


_SCALARS: dict[str, Form] = {
    "text": _text,
    "int": _integer(32),
    "bigint": _integer(64),
    "double": _double,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "blob": _blob,
}


def form_of(type_: ColumnType) -> Form:
    match type_:
        case Scalar(cql):
            return _SCALARS[cql]
        case Map(key, value, frozen):
            return _map(form_of(key), form_of(value), frozen, _PLAIN.get(value) if key == TEXT else None)
        case SetOf(element, frozen):
            return _set(form_of(element), frozen)
        case ListOf(element):
            return _list(form_of(element))
        case Udt(name, fields):
            return _udt(name, {field: form_of(t) for field, t in fields.items()})


_PLAIN: dict[ColumnType, Callable[[Mapping[Any, Any]], bool]] = {
    INT: lambda counts: {*map(type, counts.values())} == {int} and _fits(counts.values()),
    TEXT: lambda texts: {*map(type, texts.values())} == {str} and "".join(texts.values()).isascii(),
    DOUBLE: lambda sizes: {*map(type, sizes.values())} == {float} and all(map(math.isfinite, sizes.values())),
}
"""Whether all values of a map are canonical as they are, by their type. Asked of all at once, which takes a tenth of one by one."""


def _fits(counts: Collection[int]) -> bool:
    return min(counts) >= -(1 << 31) and max(counts) < 1 << 31


def _map(key: Form, item: Form, frozen: bool, plain: Callable[[Mapping[Any, Any]], bool] | None) -> Form:
    """``plain``: of a map of texts, as _PLAIN has it."""

    def form(value: Any) -> dict[Any, Any] | None:
        if not isinstance(value, Mapping):
            raise ValueError("a mapping")
        if plain and value and {*map(type, value)} == {str} and "".join(value).isascii() and plain(value):
            return dict(value)
        return {key(k): item(v) for k, v in value.items()} if value or frozen else None

    return form


def _set(element: Form, frozen: bool) -> Form:
    def form(value: Any) -> frozenset[Any] | None:
        if not isinstance(value, set | frozenset):
            raise ValueError("a set")
        return frozenset(map(element, value)) if value or frozen else None

    return form


def _list(element: Form) -> Form:
    def form(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise ValueError("a list")
        return list(map(element, value))

    return form


def _udt(name: str, forms: Mapping[str, Form]) -> Form:
    def form(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not value.keys() <= forms.keys():
            raise ValueError(f"a mapping of {name}'s fields ({', '.join(forms)})")
        given = value.get
        return {f: None if (one := given(f)) is None else form(one) for f, form in forms.items()}

    return form
