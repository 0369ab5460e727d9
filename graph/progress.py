"""How far someone is."""

from typing import Self

import strawberry

from graph import enums
from graph.access import Access, to
from resolvers import nouns


@strawberry.type(
    description="How far a learner is in a collection, a unit or a leaf.", directives=[to(Access.WITH_OBJECT)]
)
class Progress:
    status: enums.Status = strawberry.field(description="Completed once nothing required is missing.")
    completed_count: int = strawberry.field(description="Distinct required leaves that are completed.")
    required_count: int = strawberry.field(description="Distinct leaves that are not optional.")
    completion_percentage: int = strawberry.field(
        description="completedCount of requiredCount, rounded down: 100 only when nothing is missing."
    )

    @classmethod
    def of(cls, progress: nouns.Progress) -> Self:
        return cls(
            status=progress.status,
            completed_count=progress.completed_count,
            required_count=progress.required_count,
            completion_percentage=progress.completion_percentage,
        )
