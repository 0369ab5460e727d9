"""How values of a foreign keyspace are decoded: at once to what the rows port has.

A timestamp is milliseconds since the epoch, an int: a datetime ends at the year 9999, and the driver fails for the whole
page where one row has the year 50000. A decimal is a float, a date an ISO text, a set a list. Maps and user-defined types
are dicts: those of the driver take twice as long.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from struct import Struct
from typing import Any, ClassVar

from cassandra.cqltypes import (
    AsciiType,
    DateType,
    DecimalType,
    DoubleType,
    Int32Type,
    ListType,
    LongType,
    MapType,
    SetType,
    SimpleDateType,
    TupleType,
    UserType,
    UTF8Type,
    _CassandraType,
)
from cassandra.protocol import ProtocolHandler, ResultMessage

Decode = Callable[[bytes], Any]

_length = Struct(">i")
_NUMBERS = {Int32Type: Struct(">i"), LongType: Struct(">q"), DoubleType: Struct(">d")}
_FORMAT = 5
"""The protocol's version by which parts are decoded. Since the third they are all written alike."""


class _Float(DecimalType):  # type: ignore[misc]
    @staticmethod
    def deserialize(value: bytes, version: int) -> float:
        return float(DecimalType.deserialize(value, version))


class _Day(SimpleDateType):  # type: ignore[misc]
    @staticmethod
    def deserialize(value: bytes, version: int) -> str:
        return str(SimpleDateType.deserialize(value, version))


class _Parts(_CassandraType):  # type: ignore[misc]
    """A value of several parts, which are decoded with it."""

    decode: ClassVar[Decode]

    @classmethod
    def deserialize(cls, value: bytes, _: int) -> Any:
        return cls.decode(value)


_TYPES: Mapping[Any, Any] = {DateType: LongType, DecimalType: _Float, SimpleDateType: _Day}


class _Result(ProtocolHandler.message_types_by_opcode[ResultMessage.opcode]):  # type: ignore[misc]
    type_codes: ClassVar[Mapping[int, Any]] = {
        code: _TYPES.get(kind, kind) for code, kind in ResultMessage.type_codes.items()
    }

    @classmethod
    def read_type(cls, f: Any, user_types: Any) -> Any:
        """Calls itself for the parts of a type, so the parts are ours already."""
        kind = super().read_type(f, user_types)
        decode = _of_parts(kind)
        return kind if decode is None else type("_Decoded", (_Parts,), {"decode": staticmethod(decode)})


class ForeignAnswers(ProtocolHandler):  # type: ignore[misc]
    """The ``client_protocol_handler`` of a session."""

    message_types_by_opcode: ClassVar[Mapping[int, Any]] = {
        **ProtocolHandler.message_types_by_opcode,
        ResultMessage.opcode: _Result,
    }


def _of_parts(kind: Any) -> Decode | None:
    if issubclass(kind, UserType):
        return partial(_fields, list(zip(kind.fieldnames, map(_decoder, kind.subtypes), strict=True)))
    if issubclass(kind, TupleType):
        fields = list(enumerate(map(_decoder, kind.subtypes)))
        return lambda value: [*_fields(fields, value).values()]
    if issubclass(kind, MapType):
        of_key, of_value = map(_decoder, kind.subtypes)
        return partial(_entries, of_key, of_value)
    if issubclass(kind, ListType | SetType):
        (of_each,) = map(_decoder, kind.subtypes)
        return partial(_elements, of_each)
    return None


def _decoder(kind: Any) -> Decode:
    """How a part of this type is decoded."""
    if issubclass(kind, UTF8Type | AsciiType):
        return bytes.decode
    if (number := _NUMBERS.get(kind)) is not None:
        unpack = number.unpack
        return lambda value: unpack(value)[0] if value else None
    if issubclass(kind, _Parts):
        decode: Decode = kind.decode
        return decode
    return lambda value: kind.from_binary(value, _FORMAT)


def _fields(fields: Sequence[tuple[Any, Decode]], value: bytes) -> dict[Any, Any]:
    """Each field behind its length, which is negative for null. A type that has grown since has more than the value."""
    found: dict[Any, Any] = {}
    at, end, length = 0, len(value), _length.unpack_from
    for name, decode in fields:
        found[name] = None
        if at < end:
            (size,) = length(value, at)
            at += 4
            if size >= 0:
                found[name] = decode(value[at : at + size])
                at += size
    return found


def _elements(decode: Decode, value: bytes) -> list[Any]:
    """Their number, then each behind its length."""
    found, at, length = [], 4, _length.unpack_from
    for _ in range(*length(value)):
        (size,) = length(value, at)
        at += 4
        found.append(decode(value[at : at + size]) if size >= 0 else None)
        at += max(size, 0)
    return found


def _entries(of_key: Decode, of_value: Decode, value: bytes) -> dict[Any, Any]:
    """Their number, then each key and value behind its length. No key is null."""
    found: dict[Any, Any] = {}
    at, length = 4, _length.unpack_from
    for _ in range(*length(value)):
        (size,) = length(value, at)
        at += 4 + size
        key = of_key(value[at - size : at])
        (size,) = length(value, at)
        at += 4
        found[key] = of_value(value[at : at + size]) if size >= 0 else None
        at += max(size, 0)
    return found
