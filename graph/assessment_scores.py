"""What a learner scored in assessments."""

from datetime import datetime
from typing import Self

import strawberry

from graph.access import Access, to
from graph.attempts import Attempt, assessment_of
from graph.collections import Collection
from graph.contents import Content
from graph.contexts import Context
from graph.fields import field
from graph.info import Info
from graph.node import Node
from graph.paging import After, Connection, First, connection, page_size
from graph.scores import Score
from resolvers import assessment_scores, assessments
from resolvers.opaque_texts import decode_cursor


@strawberry.input(description="Which scores a list is of. The ids together must hold.")
class AssessmentFilter:
    assessment_id: str | None = strawberry.field(default=None, description="Only in this assessment.")
    collection_id: str | None = strawberry.field(default=None, description="Only in this collection.")
    context_id: str | None = strawberry.field(default=None, description="Only under this context.")

    def wanted(self) -> assessment_scores.Wanted:
        return assessment_scores.Wanted(self.assessment_id, self.collection_id, self.context_id)


@strawberry.type(
    description="What a learner scored in one assessment, in one collection and context, out of all attempts there. The "
    "workers compute it, so it follows an attempt in seconds.",
    directives=[to(Access.LEARNER)],
)
class AssessmentScores(Node):
    user_id: str = strawberry.field(description="Whose they are.")
    assessment_id: str = strawberry.field(description="The assessment: a content's identifier.")
    collection_id: str = strawberry.field(
        description="The collection's identifier; the assessment's own where it was taken by itself."
    )
    context_id: str = strawberry.field(
        description="The context's id; the collection's identifier where there was none."
    )
    best: Score = strawberry.field(description="Of the attempt with the most points.")
    lowest_score: float = strawberry.field(description="The fewest points of an attempt.")
    average_score: float = strawberry.field(description="The points of all attempts on average.")
    first_score: float = strawberry.field(description="The points of the first attempt.")
    last_score: float = strawberry.field(description="The points of the last attempt.")
    attempts_count: int = strawberry.field(description="Attempts that have a score.")
    updated_on: datetime | None = strawberry.field(description="When the last attempt was.")
    read: strawberry.Private[assessment_scores.ScoresRead]

    @classmethod
    def of(cls, read: assessment_scores.ScoresRead) -> Self:
        asked, stored = read.key, read.stored
        return cls(
            user_id=asked.user_id,
            assessment_id=asked.content_id,
            collection_id=asked.collection_id,
            context_id=asked.context_id,
            best=Score.of(stored.best_score),
            lowest_score=stored.lowest,
            average_score=stored.average,
            first_score=stored.first,
            last_score=stored.last,
            attempts_count=stored.attempts,
            updated_on=stored.updated_on,
            read=read,
        )

    def key(self) -> tuple[str, ...]:
        return self.user_id, self.collection_id, self.context_id, self.assessment_id

    @field(description="The assessment; null where it is gone.")
    async def assessment(self, info: Info) -> Content | None:
        return await assessment_of(info, self.assessment_id)

    @field(description="The collection; null where it is gone, and where the assessment was taken by itself.")
    async def collection(self, info: Info) -> Collection | None:
        found = await assessment_scores.collection_of(info.context, self.read.key)
        return None if found is None else Collection.of(found)

    @field(description="The context; null where it is gone, and where there was none.")
    async def context(self, info: Info) -> Context | None:
        found = await assessment_scores.context_of(info.context, self.read.key)
        return None if found is None else Context.of(found, info.context.now())

    @field(description="The attempt with the most points; null where it is gone since.")
    async def best_attempt(self, info: Info) -> Attempt | None:
        return await self._attempt(info, self.read.stored.best_attempt_id)

    @field(description="The latest attempt that has a score; null where it is gone since.")
    async def last_attempt(self, info: Info) -> Attempt | None:
        return await self._attempt(info, self.read.stored.last_attempt_id)

    @field(description="The attempts, the latest first, also those without a score.")
    async def attempts(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[Attempt] | None:
        place = decode_cursor(after, 2)
        page = await assessments.attempts_at(
            info.context, self.read.stored.key, first=page_size(first), after=place
        )
        return connection(
            page,
            lambda found: Attempt.of(self.read.key, found),
            assessments.cursor_of,
            begun=place is not None,
        )

    async def _attempt(self, info: Info, attempt_id: str) -> Attempt | None:
        found = await assessments.attempt_kept(info.context, self.read.stored.key, attempt_id)
        return None if found is None else Attempt.of(self.read.key, found)


async def scores_of(
    info: Info, user_id: str, wanted: assessment_scores.Wanted, first: First, after: After
) -> Connection[AssessmentScores]:
    """A page of a learner's scores."""
    place = decode_cursor(after, 3)
    page = await assessment_scores.scores_page(
        info.context,
        user_id,
        wanted,
        first=page_size(first),
        after=None if place is None else (place[0], place[1], place[2]),
    )
    return connection(page, AssessmentScores.of, lambda read: read.place, begun=place is not None)
