"""Checks values, keys and changes, and brings them into one canonical form, for both engines of the rows port."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from rules.errors import InvalidInput
from stores.columns import (
    TEXT,
    Table,
)
from stores.forms import Form, form_of
from stores.keys import beyond
from stores.rows import MOST_CHANGES, Change, Condition, Equal, Exists, In, Key, Put

_KEY_BYTES = 65_535
"""Bytes of a text or blob in a key; Cassandra takes no more."""


@lru_cache(maxsize=1024)
def _forms(table: Table) -> dict[str, Form]:
    return {name: form_of(type_) for name, type_ in table.types.items()}


def _checked(table: Table, column: str, form: Form, value: Any) -> Any:
    try:
        return form(value)
    except ValueError as wrong:
        raise _refused(table, column, wrong, value) from None


def _refused(table: Table, column: str, wrong: ValueError, value: Any) -> InvalidInput:
    return InvalidInput(f"{table.name}.{column} takes {wrong}, not {value!r:.60}", field=column)


@lru_cache(maxsize=4096)
def _key_forms(table: Table, names: tuple[str, ...]) -> tuple[Form | None, ...]:
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
    column = ""
    try:
        for column, value in values.items():
            if column not in columns:
                raise InvalidInput(f"{table.name} has no column {column} beside its key", field=column)
            if value is None:
                checked[column] = None
            elif type(value) is not Put:
                checked[column] = forms[column](value)
            elif getattr(columns[column].type, "frozen", True):
                raise InvalidInput(f"{table.name}.{column} is frozen: it is replaced whole", field=column)
            elif added := forms[column](value.value):
                checked[column] = Put(added)
    except ValueError as wrong:
        value = values[column]
        raise _refused(table, column, wrong, value.value if type(value) is Put else value) from None
    return checked


def check_row(table: Table, row: Mapping[str, Any]) -> tuple[Key, dict[str, Any]]:
    """The canonical primary key of a whole row, and its other values."""
    key = tuple([row.get(column) for column in table.key])
    _check_whole(table, key)
    values = dict(row)
    for column in table.key:
        del values[column]
    return check_key(table, table.key, key), check_values(table, values)


def _check_whole(table: Table, key: Key) -> None:
    if len(key) == len(table.key) and None not in key:
        return
    missing = [column for at, column in enumerate(table.key) if at >= len(key) or key[at] is None]
    if missing:
        raise InvalidInput(f"a row of {table.name} needs {', '.join(missing)}", field=missing[0])


def check_columns(table: Table, columns: Sequence[str] | None) -> tuple[str, ...]:
    """The columns asked for; all of them for None."""
    for column in columns or ():
        if column not in table.types:
            raise InvalidInput(f"{table.name} has no column {column}", field=column)
    return tuple(table.types) if columns is None else tuple(columns)


def check_update(
    table: Table, key: Key, values: Mapping[str, Any], conditions: Sequence[Condition]
) -> tuple[Key, dict[str, Any], list[Condition]]:
    """The canonical key, values and conditions of a conditional update."""
    return check_key(table, table.key, key), *_check_update(table, values, conditions)


def _check_update(
    table: Table, values: Mapping[str, Any], conditions: Sequence[Condition]
) -> tuple[dict[str, Any], list[Condition]]:
    values = check_values(table, values)
    if not values or not conditions:
        raise InvalidInput(
            f"a conditional update of {table.name} needs a value and a condition", field=table.name
        )
    checked = _check_conditions(table, conditions)
    statics = table.statics
    if all(column in statics for column in values) and all(
        getattr(condition, "column", table.name) in statics for condition in checked
    ):
        raise InvalidInput(
            f"a conditional update of {table.name} is about a row, not statics alone", field=table.name
        )
    return values, checked


def check_deletion(
    table: Table, key: Key, conditions: Sequence[Condition], statics: Mapping[str, Any]
) -> tuple[Key, dict[str, Any], list[Condition]]:
    """The canonical key, static values and conditions of a conditional deletion."""
    return check_key(table, table.key, key), *_check_deletion(table, statics, conditions)


def _check_deletion(
    table: Table, statics: Mapping[str, Any], conditions: Sequence[Condition]
) -> tuple[dict[str, Any], list[Condition]]:
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
    return values, checked


def check_together(table: Table, changes: Sequence[Change]) -> list[Change]:
    """The canonical changes of different rows of one partition."""
    if not 0 < len(changes) <= MOST_CHANGES:
        raise InvalidInput(
            f"changes of {table.name} are written together up to {MOST_CHANGES} at a time, not {len(changes)}",
            field=table.name,
        )
    for change in changes:
        if not change.conditions and not change.delete:
            _check_whole(table, change.key)
    keys = check_keys(table, table.key, [change.key for change in changes])
    checked = [
        Change(key, *_check_change(table, change), change.delete)
        for key, change in zip(keys, changes, strict=True)
    ]
    places = {change.key[: len(table.partition)] for change in checked}
    if len(places) > 1 or len({change.key for change in checked}) < len(checked):
        raise InvalidInput(
            f"what is written together are different rows of one partition of {table.name}", field=table.name
        )
    return checked


def _check_change(table: Table, change: Change) -> tuple[dict[str, Any], Sequence[Condition]]:
    """The canonical values and conditions."""
    if change.delete:
        return _check_deletion(table, change.values, change.conditions)
    if change.conditions:
        return _check_update(table, change.values, change.conditions)
    return check_values(table, change.values), ()


def _check_conditions(table: Table, conditions: Sequence[Condition]) -> list[Condition]:
    """The canonical conditions.

    Cassandra takes no other condition beside Exists. So Exists is left out beside a condition that only an existing row
    can meet. InvalidInput where no such condition is there.
    """
    checked: list[Condition] = []
    for condition in conditions:
        match condition:
            case Equal(column, None) if column in table.values:
                checked.append(condition)
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
