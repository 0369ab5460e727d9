"""How this instance keeps views: for clients that explain to learners why something is completed."""

from typing import Self

import strawberry

from graph import enums
from graph.access import Access, to
from graph.fields import field
from graph.info import Info
from resolvers import nouns


@strawberry.type(
    description="How this instance keeps views. docs/modes.md has the tables.",
    directives=[to(Access.WITH_OBJECT)],
)
class Tracking:
    mode: enums.TrackingMode = strawberry.field(
        description="What a view counts for beyond the context that it was taken in."
    )
    rules: list[str] = strawberry.field(
        description="In copy and move: which completions elsewhere count, in words; empty where none do."
    )
    all_rules: bool = strawberry.field(description="Whether all of the rules must hold, or any one of them.")

    @classmethod
    def of(cls, tracking: nouns.Tracking) -> Self:
        return cls(
            mode=tracking.mode,
            rules=[rule.words for rule in tracking.rules.rules],
            all_rules=tracking.rules.needs_all,
        )


@strawberry.type
class TrackingQueries:
    @field(description="How this instance keeps views.", access=Access.SIGNED_IN)
    def tracking(self, info: Info) -> Tracking:
        info.context.viewer.known()
        return Tracking.of(info.context.shared.tracking)
