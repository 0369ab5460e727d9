"""Functions that read an object's fields, made from source: one expression a field, without a call where a value stands for
itself. A page of thousands of members spends most of its time here.

The source names nothing but the response's names and attributes of Cohort's own classes; what it needs otherwise is bound by
place. Sources are the same for the same selection, so each is compiled once.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import lru_cache
from sys import float_info
from typing import Any, NamedTuple

from graphql import GRAPHQL_MAX_INT, GRAPHQL_MIN_INT

from graph.execution.reads import Caller, Read, Show

EXACT = 2**53
"""The largest whole number below which every one is a float, too."""
MOST_SOURCES = 1_024
"""Compiled sources that a process keeps: some 8 KB each, with 50 fields some 40. Names of a response are a client's, so they are without end."""


class Way(NamedTuple):
    """How a value of one kind is shown, in the source: where ``condition`` holds, as ``shown``. In both ``{v}`` is the value, and
    ``{n}`` the number that ends names which are bound: ``shown`` is the field's own function, ``kept`` what a memo has."""

    condition: str
    shown: str


TEXT = (Way("{v}.__class__ is str", "{v}"),)
FLAG = (Way("{v}.__class__ is bool", "{v}"),)
WHOLE = (Way(f"{{v}}.__class__ is int and {GRAPHQL_MIN_INT} <= {{v}} <= {GRAPHQL_MAX_INT}", "{v}"),)
REAL = (
    Way(f"{{v}}.__class__ is float and {-float_info.max} <= {{v}} <= {float_info.max}", "{v}"),
    Way(f"{{v}}.__class__ is int and {-EXACT} <= {{v}} <= {EXACT}", "float({v})"),
)
CHOICE = (Way("{v}.__class__ is kept{n}.choices", "kept{n}[{v}._name_]"),)
MOMENT = (Way("{v}.__class__ is int or {v}.__class__ is datetime", "kept{n}[{v}]"),)


class FieldReader(NamedTuple):
    """A field: ``get`` gives what its resolver gives, ``attribute`` is its name where that is an attribute of the object, ``light``
    by which a light member says that ``get`` reads it, too (graph/execution/light.py); None where it can't.
    ``shown`` gives what stands for a value in the answer, and None does so itself where the field is ``nullable``. ``ways``
    show most values without a call, out of ``kept`` if they name that."""

    get: Read
    attribute: str | None
    light: str | None
    shown: Show
    ways: tuple[Way, ...]
    kept: Mapping[Any, str] | None
    nullable: bool

    def read(self, source: Any, caller: Caller) -> Any:
        value = self.get(source)
        return None if value is None and self.nullable else self.shown(value, caller)


def object_reader(classes: Collection[type], fields: Mapping[str, FieldReader], whole: Show) -> Show:
    """Reads an object of these classes into a dict by the names of ``fields``. Of one of other classes it reads what ``whole``
    makes of it, which raises NotPlain where there is nothing to make."""
    source = _source(tuple((name, f.attribute, f.ways, f.nullable) for name, f in fields.items()))
    bound = [part for field in fields.values() for part in (field.get, field.shown, field.kept)]
    return _factory(source)(whole, frozenset(classes), *bound)


def _source(fields: tuple[tuple[str, str | None, tuple[Way, ...], bool], ...]) -> str:
    """Of a function that is given what the fields need and returns the reader."""
    bound, reads, shows = ["whole", "classes"], [], []
    for number, (name, attribute, ways, nullable) in enumerate(fields):
        value = f"v{number}"
        bound += [f"get{number}", f"shown{number}", f"kept{number}"]
        reads.append(f"{value} = source.{attribute}" if attribute else f"{value} = get{number}(source)")
        cases = [
            f"{way.shown} if {way.condition}".format(v=value, n=number)
            for way in (*ways, *([Way("{v} is None", "None")] if nullable else []))
        ]
        shows.append(f"{name!r}: {' else '.join((*cases, f'shown{number}({value}, caller)'))}")
    lines = [
        f"def make({', '.join(bound)}):",
        "    def read(source, caller):",
        "        if source.__class__ not in classes: source = whole(source, caller)",
        *(f"        {line}" for line in reads),
        f"        return {{{', '.join(shows)}}}",
        "    return read",
    ]
    return "\n".join(lines)


@lru_cache(MOST_SOURCES)
def _factory(source: str) -> Callable[..., Show]:
    namespace: dict[str, Any] = {"datetime": datetime}
    exec(source, namespace)  # noqa: S102 - names of a response and attributes of our classes, see above
    factory: Callable[..., Show] = namespace["make"]
    return factory
