"""What has a global id."""

from collections.abc import Callable, Iterable
from typing import Any

import strawberry

from graph.access import Access, to
from graph.execution.light import ByClass, stands_for
from graph.fields import field
from resolvers.nouns import Session
from resolvers.opaque_texts import encode

_PARTS: ByClass[tuple[str, ...]] = ByClass(lambda node: (type(node).__name__, *node.key()))
"""The parts of an object's global id."""


@strawberry.interface(
    description="Something with a global id, by which `node` finds it again.",
    directives=[to(Access.WITH_OBJECT)],
)
class Node:
    def key(self) -> tuple[str, ...]:
        """The parts of the global id beside the type's name."""
        raise NotImplementedError

    @field(
        description="Global and opaque.",
        access=Access.WITH_OBJECT,
        at_hand=lambda node: encode(*_PARTS(node)),
    )
    def id(self) -> strawberry.ID:
        return strawberry.ID(encode(*_PARTS(self)))


def stands_for_node(
    of: type[Node],
    light: type,
    attributes: Iterable[str],
    whole: Callable[[Any, Session], Any],
    key: Callable[[Any], tuple[str, ...]],
) -> None:
    """As ``stands_for``, of objects with a global id, which is read of light ones too: ``key`` gives what ``Node.key`` does. A class stands for objects of
    one such type at most, as its ids have that type's name."""
    stands_for(of, light, (*attributes, "id"), whole)
    name = of.__name__
    _PARTS.of(light, lambda member: (name, *key(member)))
