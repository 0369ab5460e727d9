"""What REST calls cost: by kind, or as their endpoint declares it, with the lists in their request."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from resolvers.nouns import FREE, Price


@dataclass(frozen=True, slots=True)
class CallPrice:
    """``once``: of each call. ``each``: of each different member of the lists in its request; of ``usual`` ones where it has no
    lists."""

    once: Price = FREE
    each: Price = FREE
    usual: int = 0

    def of(self, request: BaseModel) -> Price:
        """The most that this call costs."""
        return self.once + self.each * (len(set(_items(request))) or self.usual)


READS = CallPrice(Price(10, 0, 20_000), Price(4, 0, 1_000))
"""Of calls that read, unless they declare another."""
CHANGES = CallPrice(Price(20, 0, 2_000), Price(4, 0, 200))
"""Of calls that change something."""
ENROLMENTS = CallPrice(Price(110, 0, 30_000))
"""Of calls that answer all enrolments of a learner: usually some 20, each 5 partitions, as graph/documents/field_prices.py has them."""
FIGURES = Price(5, 60_000, 100_000)
"""Of a table of figures; as the fields in graph/documents/field_prices.py."""


_SHOWN = "fields"
"""A list of what is shown of each thing: no more is read for it."""


class _Kinds(dict[type, type | None]):
    """What lists may be in, by its class: a model, a mapping or a list; None for all else. A call has hundreds of values, of few
    classes."""

    def __missing__(self, of: type) -> type | None:
        kinds = ((BaseModel, BaseModel), (Mapping, Mapping), (list, list), (tuple, list))
        self[of] = next((kind for base, kind in kinds if issubclass(of, base)), None)
        return self[of]


_KINDS = _Kinds()


def _items(asked: object) -> Iterator[object]:
    """Gives the members of all lists, as they can be compared; what no model describes is one of its own."""
    ahead: list[Any] = [asked]
    while ahead:
        value = ahead.pop()
        kind = _KINDS[type(value)]
        if kind is list:
            yield from map(_compared, value)
            members: Iterable[object] = value
        elif kind is BaseModel:
            members = [inner for field, inner in value.__dict__.items() if field != _SHOWN]
        else:
            members = () if kind is None else value.values()
        ahead += [inner for inner in members if _KINDS[type(inner)] is not None]


def _compared(member: object) -> Hashable:
    # What no model describes may be lists within lists, each of which would be printed with all below it.
    kind = _KINDS[type(member)]
    if kind is not BaseModel:
        return repr(member) if kind is None else id(member)
    assert isinstance(member, BaseModel)  # noqa: S101 - its kind says so
    values = member.__dict__.values()
    told = (type(member), *map(type, values), *values)  # 1, 1.0 and true are equal
    try:
        hash(told)
    except TypeError:  # it has lists or mappings
        return repr(member)
    return told
