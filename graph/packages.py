"""A collection as a file that is taken along."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from graph import enums
from graph.access import Access, to
from resolvers import packages

Variant = Annotated[enums.PackageVariant, strawberry.argument(description="What to have in it.")]


@strawberry.type(
    description="A collection as one file: a zip that the platform calls ECAR.",
    directives=[to(Access.WITH_OBJECT)],
)
class Package:
    url: str = strawberry.field(
        description="Where it is, for whoever has this link. A path is one of this gateway."
    )
    size: int = strawberry.field(description="Bytes.")
    expires_on: datetime = strawberry.field(description="The link ends then; the package does not.")

    @classmethod
    def of(cls, found: packages.PackageLink) -> Self:
        return cls(url=found.url, size=found.size, expires_on=found.expires_on)
