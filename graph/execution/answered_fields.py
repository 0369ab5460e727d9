"""Fields whose resolvers have run already, when the libraries take over a request that compiled code has begun: they are answered by
what the resolvers gave or refused with, and nothing is read or changed twice.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema

from graph.execution.upstream_inputs import resolver_behind
from resolvers.errors import forget_traces

Place = tuple[str | int, ...]
"""Of a field in the answer: the names from the top down, outside of any list."""

_answered: ContextVar[Mapping[Place, Any] | None] = ContextVar("answered", default=None)


class Refused:
    """Stands for what a resolver gives, where it has raised ``error``."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


@contextmanager
def answered(known: Mapping[Place, Any] | None) -> Iterator[None]:
    """Within, the fields at these places are answered by what is known, and their resolvers do not run again. None where nothing
    has begun."""
    token = _answered.set(known)
    try:
        yield
    finally:
        _answered.reset(token)


def forget_refusals(known: Mapping[Place, Any]) -> None:
    """Lets go of where errors were raised, which know what is ``known``: in a circle, all of it would stay until the garbage collector
    finds it."""
    for found in known.values():
        if isinstance(found, Refused):
            forget_traces(found.error)


def has_begun() -> bool:
    """Whether compiled code has begun this request: then it was priced."""
    return _answered.get() is not None


def answer_once(schema: GraphQLSchema) -> None:
    """Makes the fields that may be compiled ask first whether their resolvers have run."""
    for of in schema.type_map.values():
        if isinstance(of, GraphQLObjectType):
            for field in of.fields.values():
                if field.resolve is not None and resolver_behind(field) is not None:
                    field.resolve = _once(field.resolve)


def _once(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def once(source: Any, info: Any, **arguments: Any) -> Any:
        known = _answered.get()
        if not known:
            return resolve(source, info, **arguments)
        place = tuple(info.path.as_list())
        if place not in known:
            return resolve(source, info, **arguments)
        found = known[place]
        if isinstance(found, Refused):
            raise found.error
        return found

    return once
