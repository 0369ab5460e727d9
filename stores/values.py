"""Checks values, keys and changes, and brings them into one canonical form, for both engines of the rows port."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from rules.errors import InvalidInput
from stores.columns import (
    TEXT,
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
from stores.keys import beyond
from stores.rows import MOST_CHANGES, Change, Condition, Equal, Exists, In, Key, Put

_Form = Callable[[Any], Any]
"""Turns a caller's value into the canonical one. ValueError says what is expected instead."""

_KEY_BYTES = 65_535
"""Bytes of a text or blob in a key; Cassandra takes no more."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a str")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a str without lone surrogates") from None
    return value


def _integer(bits: int) -> _Form:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def form(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"an int of {bits} bits")
        return value

    return form


def _double(value: Any) -> float:
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
    return moment.replace(microsecond=moment.microsecond - beyond) if beyond else moment


def _blob(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("bytes")
    return value


_SCALARS: dict[str, _Form] = {
    "text": _text,
    "int": _integer(32),
    "bigint": _integer(64),
    "double": _double,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "blob": _blob,
}


def _form(type_: ColumnType) -> _Form:
    match type_:
        case Scalar(cql):
            return _SCALARS[cql]
        case Map(key, value, frozen):
            return _map(_form(key), _form(value), frozen)
        case SetOf(element, frozen):
            return _set(_form(element), frozen)
        case ListOf(element):
            return _list(_form(element))
        case Udt(name, fields):
            return _udt(name, {field: _form(t) for field, t in fields.items()})


def _map(key: _Form, item: _Form, frozen: bool) -> _Form:
    def form(value: Any) -> dict[Any, Any] | None:
        if not isinstance(value, Mapping):
            raise ValueError("a mapping")
        return {key(k): item(v) for k, v in value.items()} if value or frozen else None

    return form


def _set(element: _Form, frozen: bool) -> _Form:
    def form(value: Any) -> frozenset[Any] | None:
        if not isinstance(value, set | frozenset):
            raise ValueError("a set")
        return frozenset(map(element, value)) if value or frozen else None

    return form


def _list(element: _Form) -> _Form:
    def form(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise ValueError("a list")
        return list(map(element, value))

    return form


def _udt(name: str, forms: Mapping[str, _Form]) -> _Form:
    def form(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not value.keys() <= forms.keys():
            raise ValueError(f"a mapping of {name}'s fields ({', '.join(forms)})")
        return {f: None if value.get(f) is None else form(value[f]) for f, form in forms.items()}

    return form


@lru_cache(maxsize=1024)
def _forms(table: Table) -> dict[str, _Form]:
    return {name: _form(type_) for name, type_ in table.types.items()}


def _checked(table: Table, column: str, form: _Form, value: Any) -> Any:
    try:
        return form(value)
    except ValueError as wrong:
        raise InvalidInput(f"{table.name}.{column} takes {wrong}, not {value!r:.60}", field=column) from None


@lru_cache(maxsize=4096)
def _key_forms(table: Table, names: tuple[str, ...]) -> tuple[_Form | None, ...]:
    """Of these key columns, and None for a text, which most of them are."""
    forms = _forms(table)
    return tuple(None if table.types[name] == TEXT else forms[name] for name in names)


def check_key(table: Table, names: Iterable[str], key: Key) -> Key:
    """The canonical key of these key columns. InvalidInput names the wrong column."""
    return check_keys(table, names, (key,))[0]


def check_keys(table: Table, names: Iterable[str], keys: Iterable[Key]) -> list[Key]:
    """The same of many keys. Nearly every one is of plain texts, which need no more than a look."""
    names = names if type(names) is tuple else tuple(names)
    forms, width, longest = _key_forms(table, names), len(names), _KEY_BYTES // 4
    keys = keys if isinstance(keys, Sequence) else list(keys)
    if not any(forms) and _are_plain(keys, width, longest):
        return list(keys)
    checked: list[Key] = []
    for key in keys:
        if len(key) != width:
            raise InvalidInput(
                f"a key of {table.name} is ({', '.join(names)}), not {key!r:.60}", field=table.name
            )
        for form, value in zip(forms, key, strict=True):
            if (
                form is not None
                or type(value) is not str
                or not 0 < len(value) <= longest
                or not value.isascii()
            ):
                columns = zip(names, key, strict=True)
                checked.append(tuple(_check_key_column(table, name, each) for name, each in columns))
                break
        else:
            checked.append(tuple(key))
    return checked


def _are_plain(keys: Sequence[Key], width: int, longest: int) -> bool:
    """Whether all are tuples of plain texts, as those of lists are. Each look is at a whole column, which takes a tenth."""
    if not (set(map(type, keys)) == {tuple} and set(map(len, keys)) == {width}):
        return False
    for column in zip(*keys, strict=True):
        if set(map(type, column)) != {str} or not all(column):
            return False
        joined = "".join(column)
        if not joined.isascii() or (len(joined) > longest and max(map(len, column)) > longest):
            return False
    return True


def _check_key_column(table: Table, column: str, given: Any) -> Any:
    value = _checked(table, column, _forms(table)[column], given)
    if isinstance(value, str | bytes) and len(value) > _KEY_BYTES // 4:
        size = len(value if isinstance(value, bytes) else value.encode())
        if size > _KEY_BYTES:
            raise InvalidInput(
                f"{table.name}.{column} takes at most {_KEY_BYTES} bytes, not {size}", field=column
            )
    if value in ("", b"") and tuple(table.partition) == (column,):
        raise InvalidInput(f"{table.name}.{column} is the partition key and can't be empty", field=column)
    return value


def check_first(table: Table, values: Iterable[Any]) -> list[Any]:
    """The canonical values of the first clustering column, each once and in order."""
    first = table.key[len(table.partition)]
    return sorted({check_key(table, (first,), (value,))[0] for value in values})


def check_slice(table: Table, prefix: Key, after: Key | None) -> tuple[Key, Key] | None:
    """The beginning of the clustering, and the bound that what follows must exceed; None where no row can match."""
    clustering = tuple(table.clustering)
    prefix = check_key(table, clustering[: len(prefix)], prefix)
    rest = beyond(prefix, None if after is None else check_key(table, clustering, after))
    return None if rest is None else (prefix, rest)


def check_values(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical values of columns that are not part of the key. An empty ``Put`` is left out."""
    checked: dict[str, Any] = {}
    forms, columns = _forms(table), table.values
    for column, value in values.items():
        if column not in columns:
            raise InvalidInput(f"{table.name} has no column {column} beside its key", field=column)
        if value is None:
            checked[column] = None
        elif type(value) is Put:
            if getattr(columns[column].type, "frozen", True):
                raise InvalidInput(f"{table.name}.{column} is frozen: it is replaced whole", field=column)
            added = _checked(table, column, forms[column], value.value)
            if added:
                checked[column] = Put(added)
        else:
            checked[column] = _checked(table, column, forms[column], value)
    return checked


def check_row(table: Table, row: Mapping[str, Any]) -> tuple[Key, dict[str, Any]]:
    """The canonical primary key of a whole row, and its other values."""
    key = tuple([row.get(column) for column in table.key])
    return _check_insert(table, key, {name: value for name, value in row.items() if name not in table.key})


def _check_insert(table: Table, key: Key, values: Mapping[str, Any]) -> tuple[Key, dict[str, Any]]:
    missing = [column for at, column in enumerate(table.key) if at >= len(key) or key[at] is None]
    if missing:
        raise InvalidInput(f"a row of {table.name} needs {', '.join(missing)}", field=missing[0])
    return check_key(table, table.key, key), check_values(table, values)


def check_columns(table: Table, columns: Sequence[str] | None) -> tuple[str, ...]:
    """The columns asked for; all of them for None."""
    for column in columns or ():
        if column not in table.types:
            raise InvalidInput(f"{table.name} has no column {column}", field=column)
    return tuple(table.types) if columns is None else tuple(columns)


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


def check_update(
    table: Table, key: Key, values: Mapping[str, Any], conditions: Sequence[Condition]
) -> tuple[Key, dict[str, Any], list[Condition]]:
    """The canonical key, values and conditions of a conditional update."""
    key, values = check_key(table, table.key, key), check_values(table, values)
    if not values or not conditions:
        raise InvalidInput(
            f"a conditional update of {table.name} needs a value and a condition", field=table.name
        )
    checked = _check_conditions(table, conditions)
    touched = {*values, *(getattr(condition, "column", table.name) for condition in checked)}
    if touched <= set(table.statics):
        raise InvalidInput(
            f"a conditional update of {table.name} is about a row, not statics alone", field=table.name
        )
    return key, values, checked


def check_deletion(
    table: Table, key: Key, conditions: Sequence[Condition], statics: Mapping[str, Any]
) -> tuple[Key, dict[str, Any], list[Condition]]:
    """The canonical key, static values and conditions of a conditional deletion."""
    if not conditions:
        raise InvalidInput(f"a conditional deletion of {table.name} needs a condition", field=table.name)
    values = check_values(table, statics)
    if wrong := values.keys() - set(table.statics):
        raise InvalidInput(
            f"a deletion from {table.name} sets static columns alone, not {', '.join(sorted(wrong))}",
            field=min(wrong),
        )
    checked = _check_conditions(table, conditions)
    if {getattr(condition, "column", table.name) for condition in checked} <= set(table.statics):
        raise InvalidInput(
            f"a conditional deletion from {table.name} is about a row, not statics alone", field=table.name
        )
    return check_key(table, table.key, key), values, checked


def check_together(table: Table, changes: Sequence[Change]) -> list[Change]:
    """The canonical changes of different rows of one partition."""
    if not 0 < len(changes) <= MOST_CHANGES:
        raise InvalidInput(
            f"changes of {table.name} are written together up to {MOST_CHANGES} at a time, not {len(changes)}",
            field=table.name,
        )
    checked = [_check_change(table, change) for change in changes]
    places = {change.key[: len(table.partition)] for change in checked}
    if len(places) > 1 or len({change.key for change in checked}) < len(checked):
        raise InvalidInput(
            f"what is written together are different rows of one partition of {table.name}", field=table.name
        )
    return checked


def _check_change(table: Table, change: Change) -> Change:
    if change.delete:
        key, values, conditions = check_deletion(table, change.key, change.conditions, change.values)
    elif change.conditions:
        key, values, conditions = check_update(table, change.key, change.values, change.conditions)
    else:
        (key, values), conditions = _check_insert(table, change.key, change.values), []
    return Change(key, values, conditions, change.delete)


def _check_conditions(table: Table, conditions: Sequence[Condition]) -> list[Condition]:
    """The canonical conditions.

    Cassandra takes no other condition beside Exists. So Exists is left out beside a condition that only an existing row
    can meet. InvalidInput where no such condition is there.
    """
    checked: list[Condition] = []
    for condition in conditions:
        match condition:
            case Equal(column, value):
                checked.append(Equal(column, check_values(table, {column: value})[column]))
            case In(column, values):
                checked.append(In(column, tuple(check_values(table, {column: v})[column] for v in values)))
            case Exists():
                pass
    if not checked:
        return [Exists()]
    if len(checked) < len(conditions) and not any(_needs_row(table, condition) for condition in checked):
        raise InvalidInput(
            f"{table.name}: Exists can't stand beside conditions that no row meets too", field=table.name
        )
    return checked


def _needs_row(table: Table, condition: Condition) -> bool:
    match condition:
        case Equal(column, value):
            return column not in table.statics and value is not None
        case In(column, values):
            return column not in table.statics and None not in values
        case Exists():
            return True
