"""Functions that read an object's fields, made from source: one expression a field, without a call where a value stands for
itself. A page of thousands of members spends most of its time here.

The source names nothing but the response's names and attributes of Cohort's own classes; what it needs otherwise is bound by
place. Sources are the same for the same selection, so each is compiled once.
"""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from graph.upstream import Read

MOST_SOURCES = 4_096
"""Compiled sources that a process keeps: some 3 KB each. Names of a response are a client's, so they are without end."""


class FieldReader(NamedTuple):
    """A field: ``get`` gives what its resolver gives, ``attribute`` is its name where that is an attribute of the object.
    ``shown`` gives what stands for a value in the answer; a value of class ``plain`` does so itself, and so does None where
    the field is ``nullable``."""

    get: Read
    attribute: str | None
    shown: Read
    plain: type | None
    nullable: bool

    def read(self, source: Any) -> Any:
        value = self.get(source)
        if value.__class__ is self.plain or (value is None and self.nullable):
            return value
        return self.shown(value)


def object_reader(classes: Collection[type], fields: Mapping[str, FieldReader], whole: Read) -> Read:
    """Reads an object of these classes into a dict by the names of ``fields``. Of one of other classes it reads what ``whole``
    makes of it, which raises NotPlain where there is nothing to make."""
    source = _source(
        tuple((name, f.attribute, f.plain is not None, f.nullable) for name, f in fields.items())
    )
    bound = [
        part
        for field in fields.values()
        for part in (field.get, field.shown, field.plain)
        if part is not None
    ]
    return _factory(source)(whole, frozenset(classes), *bound)


def _source(fields: tuple[tuple[str, str | None, bool, bool], ...]) -> str:
    """Of a function that is given what the fields need and returns the reader."""
    bound, reads, shows = ["whole", "classes"], [], []
    for number, (name, attribute, has_plain, nullable) in enumerate(fields):
        value = f"v{number}"
        bound += [f"get{number}", f"shown{number}"]
        reads.append(f"{value} = source.{attribute}" if attribute else f"{value} = get{number}(source)")
        as_it_is = []
        if has_plain:
            bound.append(f"plain{number}")
            as_it_is.append(f"{value}.__class__ is plain{number}")
        if nullable:
            as_it_is.append(f"{value} is None")
        shown = f"shown{number}({value})"
        shows.append(
            f"{name!r}: {value} if {' or '.join(as_it_is)} else {shown}" if as_it_is else f"{name!r}: {shown}"
        )
    lines = [
        f"def make({', '.join(bound)}):",
        "    def read(source):",
        "        if source.__class__ not in classes: source = whole(source)",
        *(f"        {line}" for line in reads),
        f"        return {{{', '.join(shows)}}}",
        "    return read",
    ]
    return "\n".join(lines)


@lru_cache(MOST_SOURCES)
def _factory(source: str) -> Callable[..., Read]:
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # noqa: S102 - names of a response and attributes of our classes, see above
    factory: Callable[..., Read] = namespace["make"]
    return factory
