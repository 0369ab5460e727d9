"""What has a global id."""

import strawberry

from graph.fields import field
from resolvers.opaque_texts import encode


@strawberry.interface(description="Something with a global id, by which `node` finds it again.")
class Node:
    def key(self) -> tuple[str, ...]:
        """The parts of the global id beside the type's name."""
        raise NotImplementedError

    @field(description="Global and opaque.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(encode(type(self).__name__, *self.key()))
