"""Answers as JSON: values that are JSON already are sent as they are."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.execution.encoding import SentAsIs, encode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), lambda of: st.lists(of, max_size=3)
)


@given(st.lists(st.tuples(VALUES, st.booleans()), max_size=6))
def test_what_is_sent_is_what_the_values_say(values: list[tuple[object, bool]]) -> None:
    """In order, whichever of them are JSON already."""
    answer = {
        f"field {number}": SentAsIs(orjson.dumps(value), "tag") if as_is else value
        for number, (value, as_is) in enumerate(values)
    }
    parts = encode({"data": answer}).parts
    assert orjson.loads(b"".join(parts)) == {
        "data": {f"field {number}": value for number, (value, _) in enumerate(values)}
    }


def test_a_large_value_is_not_copied() -> None:
    tree = SentAsIs(b"[1]", "a tag")
    encoded = encode({"a": tree, "b": "text"})
    assert any(part is tree.data for part in encoded.parts)


def test_what_tells_answers_apart_has_tags_and_not_the_values() -> None:
    def tag_of(data: bytes, tag: str, beside: str = "x") -> bytes:
        return encode({"tree": SentAsIs(data, tag), "beside": beside}).tag_of

    assert tag_of(b"[1]", "one") == tag_of(b"[2]", "one") == b'{"tree":"one","beside":"x"}'
    assert len({tag_of(b"[1]", "one"), tag_of(b"[1]", "two"), tag_of(b"[1]", "one", "y")}) == 3
    assert encode({"beside": "x"}).tag_of == b'{"beside":"x"}'


def test_what_is_no_json_is_a_fault() -> None:
    with pytest.raises(TypeError):
        encode({"data": object()})
