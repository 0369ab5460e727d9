"""Arguments that many fields have."""

from typing import Annotated, TypeVar

import strawberry

E = TypeVar("E")

CollectionId = Annotated[str, strawberry.argument(description="The collection's identifier.")]
ContextId = Annotated[str, strawberry.argument(description="The context's id.")]
OptionalContextId = Annotated[
    str | None,
    strawberry.argument(description="The context's id; without it the collection taken by itself."),
]
OwnContextId = Annotated[
    str | None,
    strawberry.argument(
        description="The context under which the viewer learns; without it the collection taken by itself."
    ),
]


def chosen(values: list[E] | None) -> frozenset[E] | None:
    """The values that a filter names; None where it names none, which is whatever there is."""
    return None if values is None else frozenset(values)
