"""How values of several parts are decoded, as Cassandra sends them: lists, sets, maps, tuples and user-defined types.

A function is generated for each type, which reads all of a value in one pass. The driver makes an object of each part,
that becomes a dict or a list only later: a list of five questions with their answers took it 70 µs, and takes 20.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from io import BytesIO
from itertools import count
from struct import Struct
from typing import Any, ClassVar

from cassandra.cqltypes import (
    AsciiType,
    BytesType,
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
    _CassandraType,
)
from cassandra.cython_deps import HAVE_CYTHON
from cassandra.policies import ColDesc
from cassandra.protocol import ProtocolHandler, ResultMessage

from rules.moments import moment

if HAVE_CYTHON:
    from cassandra.bytesio import BytesIOReader
    from cassandra.deserializers import make_deserializers
    from cassandra.parsing import ParseDesc

Decode = Callable[[bytes], Any]

_FORMAT = 5
"""The protocol's version by which parts are decoded. Since the third they are all written alike."""
_NUMBERS = {Int32Type: Struct(">i"), LongType: Struct(">q"), DoubleType: Struct(">d")}
_OF_PARTS = (ListType, SetType, MapType, TupleType)  # a user-defined type is a tuple, too
_MOST_KNOWN = 500
_DEEPEST = 5
"""How far parts of parts are read by one function: Python has a bound for loops within loops."""


class _Parts(_CassandraType):  # type: ignore[misc]
    """A value of several parts, which are decoded with it. The driver sees a type that it knows nothing of, and leaves it to this
    class; ``sent_as`` is the type itself, by which values are bound."""

    decode: ClassVar[Decode]
    sent_as: ClassVar[Any]

    @classmethod
    def deserialize(cls, value: bytes, _: int) -> Any:
        return cls.decode(value)

    @classmethod
    def serialize(cls, value: Any, version: int) -> Any:
        return cls.sent_as.serialize(value, version)


def parts_of(kind: Any, decode: Decode) -> type[_Parts]:
    """The type that is decoded so."""
    return type("_Decoded", (_Parts,), {"decode": staticmethod(decode), "sent_as": kind})


def is_of_parts(kind: Any) -> bool:
    return issubclass(kind, _OF_PARTS)


def _as_sent(kind: Any) -> Any:
    return kind.sent_as if issubclass(kind, _Parts) else kind


def decoder(kind: Any, scalars: Mapping[Any, Decode], sets: Callable[[list[Any]], Any]) -> Decode:
    """What decodes values of this type of the driver, one of several parts.

    A map or a user-defined type is a dict, a list or a tuple a list; of a set ``sets`` makes something. ``scalars``: how parts of
    these types are decoded, where not as the driver does. A part without bytes is None, where it is no text.
    """
    shape = (_shape(kind), sets, *scalars.items())
    if (known := _known.get(shape)) is not None:
        return known
    source = _Source(scalars, sets)
    source.value(kind, "found", 1, 0)
    names = source.names
    text = "\n".join(
        ["def decode(value):", " at, size = 0, len(value)", " if not size: return None", *source.lines]
    )
    exec(f"{text}\n return found", names)  # noqa: S102 - all of it is ours; names of fields are quoted
    if len(_known) == _MOST_KNOWN:
        _known.clear()
    made: Decode = names["decode"]
    _known[shape] = made
    return made


_known: dict[Any, Decode] = {}
"""What was generated: each answer brings its types along, as the driver's classes that it has just made."""


def _shape(kind: Any) -> Any:
    """What two types that are decoded alike have in common."""
    kind = _as_sent(kind)
    if not issubclass(kind, _OF_PARTS):
        return kind
    base = next(one for one in (UserType, *_OF_PARTS) if issubclass(kind, one))
    names = tuple(kind.fieldnames) if base is UserType else ()
    return base, names, tuple(map(_shape, kind.subtypes))


@dataclass
class _Source:
    """The text of a function that reads a value. While it runs, ``at`` is the place of the next byte, and ``size`` how many the
    part has that begins there."""

    scalars: Mapping[Any, Decode]
    sets: Callable[[list[Any]], Any]
    lines: list[str] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=lambda: {"length": Struct(">i").unpack_from})
    _numbers: Any = field(default_factory=count)

    def value(self, kind: Any, name: str, depth: int, loops: int) -> None:
        """Reads what has ``size`` bytes from ``at`` on into ``name``. ``depth`` is that of the lines, ``loops`` how many they are
        within."""
        kind = _as_sent(kind)
        if not issubclass(kind, _OF_PARTS):
            self._scalar(kind, name, depth)
        elif loops == _DEEPEST:
            of = self._kept(decoder(kind, self.scalars, self.sets))
            self._add(depth, f"{name} = {of}(value[at:at + size])", "at += size")
        elif issubclass(kind, UserType):
            self._fields(kind.fieldnames, kind.subtypes, name, depth, loops)
        elif issubclass(kind, TupleType):
            self._fields(None, kind.subtypes, name, depth, loops)
        elif issubclass(kind, MapType):
            of_key, of_value = kind.subtypes
            self._entries(of_key, of_value, name, depth, loops)
        else:
            self._elements(kind.subtypes[0], name, depth, loops)
            if issubclass(kind, SetType):
                self._add(depth, f"{name} = {self._kept(self.sets)}({name})")

    def _part(self, kind: Any, name: str, depth: int, loops: int) -> None:
        """Reads a part behind its length, which is negative for null."""
        kind = _as_sent(kind)
        null = "<" if issubclass(kind, UTF8Type | AsciiType | BytesType) else "<="
        self._add(depth, "size, = length(value, at)", "at += 4", f"if size {null} 0: {name} = None", "else:")
        self.value(kind, name, depth + 1, loops)

    def _scalar(self, kind: Any, name: str, depth: int) -> None:
        own = self.scalars.get(kind)
        if own is None and issubclass(kind, UTF8Type | AsciiType):
            self._add(depth, "end = at + size", f"{name} = value[at:end].decode()", "at = end")
        elif own is None and (number := _NUMBERS.get(kind)) is not None:
            self._add(depth, f"{name}, = {self._kept(number.unpack_from)}(value, at)", "at += size")
        else:
            of = self._kept(own or (lambda value: kind.from_binary(value, _FORMAT)))
            self._add(depth, f"{name} = {of}(value[at:at + size])", "at += size")

    def _fields(
        self, names: Sequence[str] | None, kinds: Sequence[Any], name: str, depth: int, loops: int
    ) -> None:
        """A type that has grown since has more fields than the value."""
        after, parts = self._name(), [self._name() for _ in kinds]
        self._add(depth, f"{after} = at + size")
        for part, kind in zip(parts, kinds, strict=True):
            self._add(depth, f"if at >= {after}: {part} = None", "else:")
            self._part(kind, part, depth + 1, loops)
        if names is None:
            self._add(depth, f"{name} = [{', '.join(parts)}]")
        else:
            pairs = ", ".join(f"{key!r}: {part}" for key, part in zip(names, parts, strict=True))
            self._add(depth, f"{name} = {{{pairs}}}")
        self._add(depth, f"at = {after}")

    def _elements(self, kind: Any, name: str, depth: int, loops: int) -> None:
        """Their number, then each behind its length."""
        number, part = self._name(), self._name()
        self._add(
            *(
                depth,
                f"{number}, = length(value, at)",
                "at += 4",
                f"{name} = []",
                f"for _ in range({number}):",
            )
        )
        self._part(kind, part, depth + 1, loops + 1)
        self._add(depth + 1, f"{name}.append({part})")

    def _entries(self, of_key: Any, of_value: Any, name: str, depth: int, loops: int) -> None:
        """Their number, then each key and value behind its length. No key is null."""
        number, key, part = self._name(), self._name(), self._name()
        self._add(
            *(
                depth,
                f"{number}, = length(value, at)",
                "at += 4",
                f"{name} = {{}}",
                f"for _ in range({number}):",
            )
        )
        self._part(of_key, key, depth + 1, loops + 1)
        self._part(of_value, part, depth + 1, loops + 1)
        self._add(depth + 1, f"{name}[{key}] = {part}")

    def _add(self, depth: int, *lines: str) -> None:
        self.lines += [" " * depth + line for line in lines]

    def _name(self) -> str:
        return f"v{next(self._numbers)}"

    def _kept(self, function: Callable[..., Any]) -> str:
        """The name by which the text calls it."""
        name = f"of_{next(self._numbers)}"
        self.names[name] = function
        return name


_milliseconds = _NUMBERS[LongType].unpack


def _moment(value: bytes) -> Any:
    return moment(_milliseconds(value)[0])


MOMENTS: Mapping[Any, Decode] = {DateType: _moment}


_IN_C: Any = getattr(ProtocolHandler, "col_parser", None)
"""What reads rows in the driver. None where that was installed without its parts in C."""


class Columns(list[Any]):
    """The columns of answers, as the driver tells them. Those of a prepared statement it keeps, and has each answer read by the same
    list: so what reads them is made once. The driver makes it for each answer, which takes as long as ten rows."""

    @cached_property
    def names(self) -> list[str]:
        return [name for _, _, name, _ in self]

    @cached_property
    def kinds(self) -> list[Any]:
        return [kind for *_, kind in self]

    @cached_property
    def layout(self) -> Any:
        described = [ColDesc(*of) for *of, _ in self]
        return ParseDesc(self.names, self.kinds, None, described, make_deserializers(self.kinds), _FORMAT)


def columns_told(told: Sequence[Any]) -> Columns:
    """The columns that an answer tells; those of before where it tells the same again, as answers of conditional writes do. Not of
    collections, tuples and user-defined types: the driver makes a class anew each time that it hears of one."""
    if any(kind.subtypes or issubclass(kind, _Parts) for *_, kind in told):
        return Columns(told)
    return _known_columns(*told)


@lru_cache(maxsize=_MOST_KNOWN)
def _known_columns(*told: Any) -> Columns:
    return Columns(told)


class _Result(ProtocolHandler.message_types_by_opcode[ResultMessage.opcode]):  # type: ignore[misc]
    column_metadata: Any

    @classmethod
    def read_type(cls, f: Any, user_types: Any) -> Any:
        """Calls itself for the parts of a type."""
        kind = super().read_type(f, user_types)
        if issubclass(kind, ListType) and issubclass(element := _as_sent(kind.subtypes[0]), UserType):
            kind = ListType.apply_parameters([element])
        elif not issubclass(kind, UserType):
            return kind
        return parts_of(kind, decoder(kind, MOMENTS, frozenset))

    def recv_results_metadata(self, f: Any, user_types: Any) -> None:
        super().recv_results_metadata(f, user_types)
        if self.column_metadata is not None:
            self.column_metadata = columns_told(self.column_metadata)

    def recv_results_rows(
        self, f: BytesIO, protocol_version: int, user_types: Any, known: Any, encryption: Any
    ) -> None:
        if _IN_C is None or encryption is not None:
            super().recv_results_rows(f, protocol_version, user_types, known, encryption)
            return
        self.recv_results_metadata(f, user_types)
        columns = self.column_metadata or known
        if type(columns) is not Columns:
            columns = Columns(columns)
        self.column_names, self.column_types = columns.names, columns.kinds
        self.parsed_rows = _IN_C.parse_rows(BytesIOReader(f.read()), columns.layout)


class Answers(ProtocolHandler):  # type: ignore[misc]
    """The ``client_protocol_handler`` of a session of ours. User-defined types and lists of them come as the rows port has them. The driver
    reads the other types in C: of a map of texts to numbers it takes half the time. How it reads the columns of a statement is kept."""

    message_types_by_opcode: ClassVar[Mapping[int, Any]] = {
        **ProtocolHandler.message_types_by_opcode,
        ResultMessage.opcode: _Result,
    }
