"""What a learner scored."""

from typing import Self

import strawberry

from graph.access import Access, to
from resolvers import nouns


@strawberry.type(
    description="A score, and the most that there was to reach.", directives=[to(Access.WITH_OBJECT)]
)
class Score:
    score: float = strawberry.field(description="Points.")
    max_score: float = strawberry.field(description="The points of an attempt with everything right.")
    percentage: int | None = strawberry.field(
        description="score of maxScore, rounded down, from 0 to 100; null where the maximum is 0."
    )

    @classmethod
    def of(cls, score: nouns.Score) -> Self:
        return cls(score=score.score, max_score=score.max_score, percentage=score.percentage)


@strawberry.type(
    description="What a learner scored in an activity, in all of its assessments that they attempted.",
    directives=[to(Access.WITH_OBJECT)],
)
class ActivityScore:
    score: float = strawberry.field(description="The sum of the best scores, one of each assessment.")
    max_score: float = strawberry.field(description="The sum of the maxima of these best attempts.")
    percentage: int | None = strawberry.field(
        description="score of maxScore, rounded down, from 0 to 100; null where the maximum is 0."
    )
    assessments_count: int = strawberry.field(description="Assessments that were attempted.")
    attempts_count: int = strawberry.field(description="Attempts at all of them.")

    @classmethod
    def of(cls, score: nouns.ActivityScore) -> Self | None:
        """None where nothing was attempted."""
        if score.score is None or score.max_score is None:
            return None
        return cls(
            score=score.score,
            max_score=score.max_score,
            percentage=score.percentage,
            assessments_count=score.assessed,
            attempts_count=score.attempts,
        )
