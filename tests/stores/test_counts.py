"""Maps of texts to numbers, such as the statuses of a collection's leaves: checked and bound whole, not entry by entry."""

import math
from typing import Any

import pytest
from cassandra.cqltypes import FrozenType, Int32Type, MapType, UTF8Type
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import InvalidInput
from stores.cassandra_statements import counts_as_sent
from stores.columns import DOUBLE, INT, TEXT, Map, Table
from stores.values import check_values

COUNTED = Table("counted", {"id": TEXT}, {"counts": Map(TEXT, INT), "sizes": Map(TEXT, DOUBLE)})
PROTOCOL = 5
COUNT = st.integers(-(1 << 31), (1 << 31) - 1)
ANYTHING: st.SearchStrategy[Any] = st.one_of(
    COUNT,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
)
NAME: st.SearchStrategy[Any] = st.one_of(
    st.text("ab", max_size=2), st.text(max_size=2), st.sampled_from(["\ud800", 1, None])
)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_count(value: object) -> bool:
    return type(value) is int and -(1 << 31) <= value < 1 << 31


def _is_size(value: object) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(float(value))  # type: ignore[arg-type]
    except OverflowError:
        return False


@given(st.dictionaries(NAME, ANYTHING, max_size=4), st.sampled_from(["counts", "sizes"]))
def test_a_map_is_taken_only_with_every_entry_right(value: dict[Any, Any], column: str) -> None:
    is_right = _is_count if column == "counts" else _is_size
    if all(map(_is_text, value)) and all(map(is_right, value.values())):
        assert check_values(COUNTED, {column: value}) == {column: value}
    else:
        with pytest.raises(InvalidInput) as refused:
            check_values(COUNTED, {column: value})
        assert refused.value.field == column


@given(st.dictionaries(st.text(max_size=5), COUNT, max_size=5))
def test_counts_are_sent_as_the_driver_sends_them(counts: dict[str, int]) -> None:
    type_ = FrozenType.apply_parameters([MapType.apply_parameters([UTF8Type, Int32Type])])
    assert counts_as_sent(counts, PROTOCOL) == type_.serialize(counts, PROTOCOL)
