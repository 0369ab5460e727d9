"""How values of a foreign keyspace are decoded: at once to what the rows port has.

A timestamp is milliseconds since the epoch, an int: a datetime ends at the year 9999, and the driver fails for the whole
page where one row has the year 50000. A decimal is a float, a date an ISO text, a set a list. Maps and user-defined types
are dicts (stores/cassandra_values.py).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from cassandra.cqltypes import DateType, DecimalType, LongType, SimpleDateType
from cassandra.protocol import ProtocolHandler, ResultMessage

from stores.cassandra_values import decoder, is_of_parts, parts_of


class _Float(DecimalType):  # type: ignore[misc]
    @staticmethod
    def deserialize(value: bytes, version: int) -> float:
        return float(DecimalType.deserialize(value, version))


class _Day(SimpleDateType):  # type: ignore[misc]
    @staticmethod
    def deserialize(value: bytes, version: int) -> str:
        return str(SimpleDateType.deserialize(value, version))


_TYPES: Mapping[Any, Any] = {DateType: LongType, DecimalType: _Float, SimpleDateType: _Day}


class _Result(ProtocolHandler.message_types_by_opcode[ResultMessage.opcode]):  # type: ignore[misc]
    type_codes: ClassVar[Mapping[int, Any]] = {
        code: _TYPES.get(kind, kind) for code, kind in ResultMessage.type_codes.items()
    }

    @classmethod
    def read_type(cls, f: Any, user_types: Any) -> Any:
        """Calls itself for the parts of a type, so the parts are ours already."""
        kind = super().read_type(f, user_types)
        return parts_of(kind, decoder(kind, {}, list)) if is_of_parts(kind) else kind


class ForeignAnswers(ProtocolHandler):  # type: ignore[misc]
    """The ``client_protocol_handler`` of a session."""

    message_types_by_opcode: ClassVar[Mapping[int, Any]] = {
        **ProtocolHandler.message_types_by_opcode,
        ResultMessage.opcode: _Result,
    }
