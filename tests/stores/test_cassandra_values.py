"""Values of several parts are what the driver makes of them, as the port has them: decoded in one pass, by generated functions."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cassandra.cqltypes import (
    BooleanType,
    DateType,
    DoubleType,
    Int32Type,
    ListType,
    LongType,
    MapType,
    SetType,
    TupleType,
    UserType,
    UTF8Type,
)
from hypothesis import given
from hypothesis import strategies as st

from stores.cassandra_values import MOMENTS, columns_told, decoder, parts_of

FORMAT = 5
_SCALARS: Mapping[Any, st.SearchStrategy[Any]] = {
    UTF8Type: st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    Int32Type: st.integers(-(2**31), 2**31 - 1),
    LongType: st.integers(-(2**63), 2**63 - 1),
    DoubleType: st.floats(allow_nan=False),
    BooleanType: st.booleans(),
}
_FIELDS = ("one", 'a "name"', "{3}")


def of(kind: Any, *kinds: Any) -> Any:
    return kind.apply_parameters(kinds)


def udt(*kinds: Any) -> Any:
    return UserType.make_udt_class("ks", "thing", _FIELDS[: len(kinds)], kinds)


def _wider(kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(kinds, min_size=1, max_size=3)
    return st.one_of(
        kinds.map(lambda kind: of(ListType, kind)),
        st.tuples(st.sampled_from([UTF8Type, Int32Type]), kinds).map(lambda both: of(MapType, *both)),
        several.map(lambda some: udt(*some)),
        several.map(lambda some: of(TupleType, *some)),
        st.sampled_from([UTF8Type, LongType]).map(lambda kind: of(SetType, kind)),
    )


_kinds = st.recursive(st.sampled_from([*_SCALARS]), _wider, max_leaves=6)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """What the driver binds, and None for a field."""
    if (scalar := _SCALARS.get(kind)) is not None:
        return scalar
    if issubclass(kind, TupleType):
        return st.tuples(*(st.none() | values(each) for each in kind.subtypes))
    if issubclass(kind, MapType):
        return st.dictionaries(*map(values, kind.subtypes), max_size=3)
    elements = st.lists(values(kind.subtypes[0]), max_size=3)
    return elements.map(set) if issubclass(kind, SetType) else elements


def told(kind: Any, value: Any) -> Any:
    """The same in plain dicts and lists."""
    if value is None or kind in _SCALARS:
        return value
    if issubclass(kind, TupleType):
        parts = [told(each, part) for each, part in zip(kind.subtypes, value, strict=True)]
        return dict(zip(kind.fieldnames, parts, strict=True)) if issubclass(kind, UserType) else parts
    if issubclass(kind, MapType):
        return {key: told(kind.subtypes[1], part) for key, part in value.items()}
    return value if issubclass(kind, SetType) else [told(kind.subtypes[0], part) for part in value]


_cases = _kinds.filter(lambda kind: kind not in _SCALARS).flatmap(
    lambda kind: st.tuples(st.just(kind), values(kind))
)


@given(_cases)
def test_what_was_bound_comes_back_in_dicts_and_lists(case: tuple[Any, Any]) -> None:
    kind, value = case
    assert decoder(kind, {}, set)(kind.to_binary(value, FORMAT)) == told(kind, value)


@pytest.mark.parametrize("depth", [1, 5, 6, 30])
def test_parts_may_be_within_parts_however_deep(depth: int) -> None:
    kind, value = Int32Type, 7
    for _ in range(depth):
        kind, value = of(ListType, kind), [value]  # type: ignore[assignment]
    assert decoder(kind, {}, set)(kind.to_binary(value, FORMAT)) == value


def test_a_field_that_a_type_has_got_since_is_none_in_what_was_stored_before() -> None:
    before, now = of(ListType, udt(UTF8Type)), of(ListType, udt(UTF8Type, Int32Type))
    assert decoder(now, {}, set)(before.to_binary([("a",), ("b",)], FORMAT)) == [
        {"one": "a", 'a "name"': None},
        {"one": "b", 'a "name"': None},
    ]


def test_fields_of_one_name_and_another_type_are_not_mixed_up() -> None:
    text, number = of(ListType, udt(UTF8Type)), of(ListType, udt(Int32Type))
    assert decoder(text, {}, set)(text.to_binary([("abcd",)], FORMAT)) == [{"one": "abcd"}]
    assert decoder(number, {}, set)(number.to_binary([(7,)], FORMAT)) == [{"one": 7}]
    assert decoder(text, {UTF8Type: bytes}, set)(text.to_binary([("abcd",)], FORMAT)) == [{"one": b"abcd"}]


@pytest.mark.parametrize("kind", [of(ListType, Int32Type), of(MapType, UTF8Type, Int32Type), udt(UTF8Type)])
def test_no_bytes_are_no_value_and_a_part_without_bytes_is_none_unless_it_is_a_text(kind: Any) -> None:
    assert decoder(kind, {}, set)(b"") is None
    empty = of(ListType, UTF8Type)
    assert decoder(empty, {}, set)(empty.to_binary([""], FORMAT)) == [""]
    assert decoder(of(ListType, kind), {}, set)(b"\0\0\0\1\0\0\0\0") == [None]


def test_a_moment_of_a_part_is_aware_and_bound_again_as_the_driver_does() -> None:
    at = datetime(2026, 11, 28, 6, 7, 8, 901_000, tzinfo=UTC)
    kind = of(ListType, udt(DateType))
    decoded = parts_of(kind, decoder(kind, MOMENTS, frozenset))
    sent = decoded.serialize([(at,)], FORMAT)
    assert sent == kind.serialize([(at,)], FORMAT)
    assert decoded.deserialize(sent, FORMAT) == [{"one": at}]
    assert decoded.deserialize(sent, FORMAT)[0]["one"].utcoffset() == timedelta()


def test_columns_that_are_told_again_are_known_unless_anything_of_them_has_changed() -> None:
    """As answers of conditional writes tell them each time. After an ALTER a column may have another type or place."""
    told = [("ks", "t", "a", UTF8Type), ("ks", "t", "b", Int32Type)]
    known = columns_told(told)
    assert columns_told([*told]) is known
    assert (known.names, known.kinds) == (["a", "b"], [UTF8Type, Int32Type])
    others = (
        [told[0], ("ks", "t", "b", LongType)],
        [told[0], ("ks", "t", "c", Int32Type)],
        [told[0], ("ks", "u", "b", Int32Type)],
        told[::-1],
        told[:1],
    )
    for other in others:
        assert columns_told(other) == other
        assert columns_told(told) is known


@pytest.mark.parametrize("kind", [of(MapType, UTF8Type, Int32Type), udt(Int32Type), of(ListType, UTF8Type)])
def test_columns_of_types_that_the_driver_makes_anew_each_time_take_no_others_place(kind: Any) -> None:
    decoded = parts_of(kind, decoder(kind, MOMENTS, frozenset))
    for each in (kind, decoded):
        told = [("ks", "t", "a", each)]
        assert columns_told(told) is not columns_told(told)
