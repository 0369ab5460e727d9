"""Messages go to Cassandra as the driver would send them, and come whole wherever the network cuts them."""

import io
import struct
from itertools import pairwise

import pytest
from cassandra.connection import ProtocolError
from cassandra.segment import CrcException, SegmentCodec
from hypothesis import given
from hypothesis import strategies as st

from stores.cassandra_segments import Messages, Segments

BODIES = {1: b"first", 2: b"second", 3: b"", 4: bytes(range(256)) * 1_200, 5: b"last"}
"""By the message's stream."""


def message(stream: int, body: bytes, length: int | None = None) -> bytes:
    """An answer (kind 8) of version 5, as the native protocol has it."""
    return struct.pack(">BBhBi", 0x85, 0, stream, 8, len(body) if length is None else length) + body


def segments(*payloads: bytes) -> bytes:
    sent = io.BytesIO()
    for payload in payloads:
        Segments().encode(sent, payload)
    return sent.getvalue()


SENT = segments(
    message(1, BODIES[1]) + message(2, BODIES[2]),
    *(message(stream, body) for stream, body in BODIES.items() if stream > 2),
)
"""Two messages in a segment, one of no bytes in its own, one over three segments, and one more."""


def streams_and_bodies(*parts: bytes) -> list[tuple[int, bytes]]:
    messages = Messages()
    return [(one.stream, one.body) for part in parts for one in messages.in_what_came(memoryview(part))]


@pytest.mark.parametrize("size", [1, 9, 100, 131_070, 131_071, 131_072, 400_000])
def test_segments_are_those_of_the_driver(size: int) -> None:
    sent = bytes(number % 251 for number in range(size))
    theirs = io.BytesIO()
    SegmentCodec().encode(theirs, sent)
    assert segments(sent) == theirs.getvalue()


@pytest.mark.parametrize("size", [1, 3, 6, 10, 25, 31, 60, 61, 1_000, 131_071, 200_000, len(SENT)])
def test_messages_come_whole_and_in_order_in_parts_of_any_size(size: int) -> None:
    parts = [SENT[start : start + size] for start in range(0, len(SENT), size)]
    assert streams_and_bodies(*parts) == [*BODIES.items()]


@given(st.lists(st.integers(0, len(SENT))))
def test_messages_come_whole_and_in_order_wherever_they_are_cut(cuts: list[int]) -> None:
    parts = [SENT[start:end] for start, end in pairwise([0, *sorted(cuts), len(SENT)])]
    assert streams_and_bodies(*parts) == [*BODIES.items()]


def test_a_message_has_the_head_that_it_came_with() -> None:
    (got,) = Messages().in_what_came(memoryview(segments(message(7, b"hello"))))
    assert (got.version, got.flags, got.stream, got.opcode, got.body) == (5, 0, 7, 8, b"hello")


def test_a_log_of_a_message_has_nothing_of_its_body() -> None:
    (got,) = Messages().in_what_came(memoryview(segments(message(7, b"hello"))))
    assert str(got) == "version 5, flags 0, stream 7, kind 8, 5 bytes"
    assert "hello" not in f"{got!r}"


@pytest.mark.parametrize("place", [0, 2, 4, 7, 12, 17, -1])
def test_a_segment_that_was_changed_on_its_way_is_refused_and_what_was_before_it_is_read(place: int) -> None:
    """Changed in its head, in the message's, in its body, and in its checksum. Of what follows nothing is looked at: each six
    bytes could be taken for the head of another segment."""
    sound, changed = segments(message(1, b"sound")), bytearray(segments(message(2, b"hello")))
    changed[place] ^= 1
    got = Messages().in_what_came(memoryview(sound + changed + bytes(100_000)))
    assert next(got).body == b"sound"
    with pytest.raises(CrcException):
        next(got)


@pytest.mark.parametrize(
    "payload", [message(1, b"hello", 6), message(1, b"hello", -1), message(1, b"") + b"12345678"]
)
def test_a_segment_of_whole_messages_that_has_a_part_of_one_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        streams_and_bodies(segments(payload))
