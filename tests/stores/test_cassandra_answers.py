"""Rows of answers are what the driver makes of them, whether an answer tells its columns or the statement has told them before."""

from datetime import UTC, datetime
from struct import pack
from typing import Any

import pytest
from cassandra.protocol import ProtocolHandler
from hypothesis import given
from hypothesis import strategies as st

from stores.cassandra_values import Answers

PROTOCOL, RESULT, PREPARED, ROWS = 5, 8, 4, 2
TOLD, NO_METADATA = 1, 4
"""Flags: the table of all columns stands before them; there are none."""
CODES = {"text": b"\0\x0d", "int": b"\0\x09", "counts": b"\0\x21\0\x0d\0\x09", "moment": b"\0\x0b"}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=4).map(str.encode),
    "int": st.integers(-(2**31), 2**31 - 1).map(lambda number: pack(">i", number)),
    "counts": st.integers(0, 9).map(lambda number: pack(">ii1sii", 1, 1, b"a", 4, number)),
}
KINDS = st.lists(st.sampled_from([*VALUES]), min_size=1, max_size=4)


def short(text: str) -> bytes:
    return pack(">h", len(text)) + text.encode()


def udt(type_name: str, /, **fields: bytes) -> bytes:
    """A user-defined type, by the codes of its fields."""
    told = b"".join(short(field) + code for field, code in fields.items())
    return b"\0\x30" + short("ks") + short(type_name) + pack(">h", len(fields)) + told


def value_of(*parts: bytes) -> bytes:
    return b"".join(pack(">i", len(part)) + part for part in parts)


def columns(kinds: list[str], first: str = "a") -> bytes:
    """A statement's columns, whose names go on from ``first``."""
    names = [chr(ord(first) + number) for number in range(len(kinds))]
    told = b"".join(short(name) + CODES[kind] for name, kind in zip(names, kinds, strict=True))
    return pack(">ii", TOLD, len(kinds)) + short("ks") + short("t") + told


def untold(kinds: list[str]) -> bytes:
    return pack(">ii", NO_METADATA, len(kinds))


def rows(some: list[list[bytes | None]]) -> bytes:
    values = [value for row in some for value in row]
    sent = [pack(">i", -1) if value is None else pack(">i", len(value)) + value for value in values]
    return pack(">i", len(some)) + b"".join(sent)


def answer(by: Any, body: bytes, known: Any = None) -> Any:
    return by.decode_message(PROTOCOL, {}, 0, 0, RESULT, body, None, known)


def prepared(by: Any, kinds: list[str]) -> Any:
    """What a statement's answers have, as a server tells when it is prepared."""
    body = pack(">i", PREPARED) + short("id") + short("of") + pack(">iii", 0, 0, 0) + columns(kinds)
    return answer(by, body).column_metadata


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[str], list[list[list[bytes | None]]]]:
    """The columns of a statement, and the rows of some answers."""
    kinds = draw(KINDS)
    row = st.tuples(*(st.none() | VALUES[kind] for kind in kinds)).map(list)
    return kinds, draw(st.lists(st.lists(row, max_size=3), min_size=1, max_size=3))


@given(answers())
def test_every_answer_of_a_statement_has_the_rows_that_the_driver_reads(
    case: tuple[list[str], list[list[list[bytes | None]]]],
) -> None:
    kinds, all_rows = case
    known, known_to_driver = prepared(Answers, kinds), prepared(ProtocolHandler, kinds)
    for some in all_rows:
        body = pack(">i", ROWS) + untold(kinds) + rows(some)
        ours, theirs = answer(Answers, body, known), answer(ProtocolHandler, body, known_to_driver)
        assert ours.parsed_rows == theirs.parsed_rows
        assert ours.column_names == theirs.column_names


def test_an_answer_that_tells_other_columns_is_read_by_these() -> None:
    """A table that has changed since the statement was prepared."""
    known = prepared(Answers, ["int"])
    before = answer(Answers, pack(">i", ROWS) + untold(["int"]) + rows([[pack(">i", 7)]]), known)
    changed = pack(">i", ROWS) + columns(["text", "int"], "b") + rows([[b"x", pack(">i", 8)]])
    after = answer(Answers, changed, known)
    assert (before.column_names, before.parsed_rows) == (["a"], [(7,)])
    assert (after.column_names, after.parsed_rows) == (["b", "c"], [("x", 8)])


def test_a_user_defined_type_is_a_dict_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a column of its own, in a list, and with a list of others in it; and what was read is bound as the driver binds it."""
    choice = udt("choice", label=CODES["text"])
    task = udt("task", name=CODES["text"], at=CODES["moment"], choices=b"\0\x20" + choice)
    monkeypatch.setitem(CODES, "task", task)
    monkeypatch.setitem(CODES, "tasks", b"\0\x20" + task)
    sent = value_of(b"x", pack(">q", 1_000), pack(">i", 1) + value_of(value_of(b"y")))
    expected = {"name": "x", "at": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), "choices": [{"label": "y"}]}
    body = rows([[sent, pack(">i", 1) + value_of(sent), b"z"], [None, None, None]])
    kinds = ["task", "tasks", "text"]
    known = prepared(Answers, kinds)
    told = pack(">i", ROWS) + columns(kinds) + body
    for found in (answer(Answers, told), answer(Answers, pack(">i", ROWS) + untold(kinds) + body, known)):
        assert found.parsed_rows == [(expected, [expected], "z"), (None, None, None)]
    (*_, one), (*_, several), _ = known
    bound = ("x", 1_000, [("y",)])
    assert one.to_binary(bound, PROTOCOL) == sent
    assert several.to_binary([bound], PROTOCOL) == pack(">i", 1) + value_of(sent)
