"""Segments, in which messages go to Cassandra and come from it: each has a checksum over its head, and one over what it carries.

As the driver's, without compression: the same bytes, for a fifth of its CPU, which takes each field byte by byte. The driver also
loses what has come of a segment's head where that is cut in it.
"""

from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from cassandra.connection import PROTOCOL_VERSION_MASK, ProtocolError
from cassandra.segment import CRC32_INITIAL, CrcException, Segment, SegmentCodec, compute_crc24

_PAYLOAD = Segment.MAX_PAYLOAD_LENGTH
_WHOLE = 1 << SegmentCodec.FLAG_OFFSET
"""In a head: the segment has whole messages, and not a part of one."""
_HEAD, _CHECKSUM = 6, 4
"""Bytes before and behind what a segment carries."""
_MESSAGE = Struct(">BBhBi")
"""The head of a message: version, flags, stream, kind and how many bytes follow."""


class Segments(SegmentCodec):  # type: ignore[misc]
    """How the driver's connections make them."""

    def encode(self, buffer: BytesIO, msg: bytes) -> None:
        whole = _WHOLE if len(msg) <= _PAYLOAD else 0
        for start in range(0, len(msg), _PAYLOAD):
            payload = msg if whole else msg[start : start + _PAYLOAD]
            buffer.write(_head(len(payload) | whole))
            buffer.write(payload)
            buffer.write(crc32(payload, CRC32_INITIAL).to_bytes(_CHECKSUM, "little"))


class Message(NamedTuple):
    """Its head, by the driver's names, and its body."""

    version: int
    flags: int
    stream: int
    opcode: int
    body: bytes

    def __repr__(self) -> str:
        """Without the body: the driver's log has this of an answer that it can't decode, and answers are of learners."""
        return f"version {self.version}, flags {self.flags}, stream {self.stream}, kind {self.opcode}, {len(self.body)} bytes"


class Messages:
    """Puts the messages of one connection together, wherever what comes is cut."""

    def __init__(self) -> None:
        self._rest = b""
        """What has come of the next segment."""
        self._begun = bytearray()
        """What has come of a message in several segments."""

    def in_what_came(self, came: memoryview) -> Iterator[Message]:
        """Those that are whole now. CrcException for what was changed on its way, and ProtocolError for what is no message: what
        follows can't be read then."""
        if self._rest:
            came = memoryview(self._rest + came)
        at, size = 0, len(came)
        while (begins := at + _HEAD) <= size:
            told = bytes(came[at:begins])
            fields = int.from_bytes(told[:3], "little")
            if _head(fields) != told:
                raise CrcException(f"CRC mismatch on header {told.hex()}")
            ends = begins + (fields & _PAYLOAD)
            if ends + _CHECKSUM > size:
                break
            at = ends + _CHECKSUM
            if crc32(came[begins:ends], CRC32_INITIAL) != int.from_bytes(came[ends:at], "little"):
                raise CrcException("CRC mismatch on payload")
            if fields & _WHOLE:
                yield from _whole(came[begins:ends])
                continue
            self._begun += came[begins:ends]
            if self._is_whole():
                begun, self._begun = self._begun, bytearray()
                yield from _whole(memoryview(begun))
        self._rest = bytes(came[at:])

    def _is_whole(self) -> bool:
        came = len(self._begun) - _MESSAGE.size
        return came >= 0 and came >= _MESSAGE.unpack_from(self._begun)[-1]


def _whole(payload: memoryview) -> Iterator[Message]:
    """The messages in it. ProtocolError where one is cut off."""
    at, size = 0, len(payload)
    while at < size:
        if at + _MESSAGE.size > size:
            raise ProtocolError(f"{size - at} bytes are no message")
        version, flags, stream, opcode, length = _MESSAGE.unpack_from(payload, at)
        begins = at + _MESSAGE.size
        at = begins + length
        if not begins <= at <= size:
            raise ProtocolError(f"a message of {length} bytes has {size - begins}")
        yield Message(version & PROTOCOL_VERSION_MASK, flags, stream, opcode, bytes(payload[begins:at]))


@lru_cache(maxsize=1 << 12)
def _head(fields: int) -> bytes:
    """Three bytes of fields and three of their CRC. Lengths come again and again."""
    return bytes(fields.to_bytes(3, "little") + compute_crc24(fields, 3).to_bytes(3, "little"))
