"""Arguments that many fields have."""

from typing import Annotated

import strawberry

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
