"""Maps of texts to numbers, such as the statuses of a collection's leaves, and lists of texts: checked and bound whole, not entry by entry."""

import math
from io import BytesIO
from typing import Any

import pytest
from cassandra.cqltypes import Int32Type, VarcharType
from cassandra.protocol import ResultMessage
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import InvalidInput
from stores.cassandra_statements import counts_as_sent, serializer, texts_as_sent
from stores.cassandra_values import Answers
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


def _told(*codes: int) -> Any:
    """The type that a server tells by these numbers of the protocol."""
    return Answers.message_types_by_opcode[ResultMessage.opcode].read_type(
        BytesIO(b"".join(code.to_bytes(2) for code in codes)), {}
    )


COUNTS = _told(0x21, 0x0D, 0x09)
TEXTS = _told(0x20, 0x0D)


def test_maps_and_lists_of_texts_are_written_quickly_as_servers_tell_their_types() -> None:
    """`map<text, int>` and `list<text>` come as those of `varchar`, whose class is not that of a text."""
    assert COUNTS.subtypes == (VarcharType, Int32Type)
    assert serializer(COUNTS) is counts_as_sent
    assert serializer(TEXTS) is texts_as_sent


@given(st.dictionaries(st.text(max_size=5), COUNT, max_size=5))
def test_counts_are_sent_as_the_driver_sends_them(counts: dict[str, int]) -> None:
    assert counts_as_sent(counts, PROTOCOL) == COUNTS.serialize(counts, PROTOCOL)


@given(st.lists(st.text(max_size=5), max_size=5))
def test_texts_are_sent_as_the_driver_sends_them(texts: list[str]) -> None:
    assert texts_as_sent(texts, PROTOCOL) == TEXTS.serialize(texts, PROTOCOL)
