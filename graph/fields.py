"""Strawberry's decorators with the types that its own leave out; a description is not optional here."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import strawberry
from strawberry.extensions import FieldExtension

from graph.access import Access, to

F = TypeVar("F", bound=Callable[..., Any])


AT_HAND = "at hand"
"""The key in a field's metadata: how to answer the field without its resolver."""


def field(
    *,
    description: str,
    at_hand: Callable[[Any], Any] | None = None,
    graphql_type: Any = None,
    extensions: Sequence[FieldExtension] = (),
    deprecated: str | None = None,
    access: Access | None = None,
    name: str | None = None,
) -> Callable[[F], F]:
    """A field that is computed. ``at_hand`` gives the same from an object that has it already, and raises AttributeError
    if it has to be loaded first: a long list of such objects is answered by compiled code (graph/execution/projection.py).
    ``graphql_type``: what it answers, where its resolver returns that within something else (graph/execution/planned.py).
    ``deprecated``: why nobody should ask for it any more, and for what instead. ``access``: who may ask for it, where its
    type does not say so; root fields always say it (graph/access.py). ``name``: where it is not that of the function."""
    metadata = {} if at_hand is None else {AT_HAND: at_hand}
    return cast(
        "Callable[[F], F]",
        strawberry.field(
            name=name,
            description=description,
            metadata=metadata,
            graphql_type=graphql_type,
            extensions=list(extensions),
            deprecation_reason=deprecated,
            directives=() if access is None else (to(access),),
        ),
    )


COMPILED = "compiled"
"""The key in a mutation's metadata: it may be compiled."""


def mutation(*, description: str, access: Access, compiled: bool = False) -> Callable[[F], F]:
    """``compiled``: its resolver needs nothing of ``info`` but the context, the schema and the field's name, so that a call
    may be compiled (graph/execution/compiled_operations.py)."""
    declared = strawberry.mutation(
        description=description, directives=(to(access),), metadata={COMPILED: True} if compiled else {}
    )
    return cast("Callable[[F], F]", declared)


def platform_name(name: str) -> Any:
    """An input field that the platform before Cohort has for the same as ``name``. One of the two may be given."""
    return strawberry.field(
        default=None,
        description=f"The older name of `{name}`.",
        deprecation_reason=f"It is the platform's name, which REST goes on taking. Give `{name}`, which is the same.",
    )
