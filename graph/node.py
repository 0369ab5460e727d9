"""What has a global id."""

import strawberry

from graph.access import Access, to
from graph.fields import field
from resolvers.opaque_texts import encode


@strawberry.interface(
    description="Something with a global id, by which `node` finds it again.",
    directives=[to(Access.WITH_OBJECT)],
)
class Node:
    def key(self) -> tuple[str, ...]:
        """The parts of the global id beside the type's name."""
        raise NotImplementedError

    @field(description="Global and opaque.", access=Access.WITH_OBJECT)
    def id(self) -> strawberry.ID:
        return strawberry.ID(encode(type(self).__name__, *self.key()))
