"""Assessments: what learners submit."""

from datetime import datetime
from typing import Annotated, Self

import strawberry
from strawberry.scalars import JSON

from graph.access import Access, to
from graph.errors import UserError, carry_out
from graph.fields import mutation, platform_name
from graph.info import Info
from resolvers import assessments, nouns


@strawberry.input(description="The answers of an attempt at an assessment.")
class SubmitAssessmentInput:
    content_id: str = strawberry.field(
        description="The assessment's identifier: a leaf of the collection, or by itself."
    )
    collection_id: str | None = strawberry.field(
        default=None, description="The collection it is taken in; without it the assessment by itself."
    )
    context_id: str | None = strawberry.field(
        default=None, description="The context it is taken under; without it the collection by itself."
    )
    attempt_id: str | None = strawberry.field(
        default=None,
        description="The caller's name for the attempt. Without it one that follows from learner, assessment and "
        "`attemptedOn`, so that the same call sent again is the same attempt.",
    )
    attempted_on: datetime | None = strawberry.field(
        default=None, description="When it was attempted, by the device's clock; now unless given."
    )
    events: list[JSON] = strawberry.field(
        description="The platform's ASSESS events, one an answer, at most 1,000 of them and 512 KB. Of several answers to a "
        "question the latest counts. Without any, scores are computed anew."
    )
    user_id: str | None = strawberry.field(
        default=None, description="Whose attempt it is, for a service; otherwise the caller's."
    )
    course_id: str | None = platform_name("collectionId")
    batch_id: str | None = platform_name("contextId")

    def call(self) -> assessments.AssessmentCall:
        """InvalidInput where an id has two values under its two names."""
        return assessments.AssessmentCall(
            self.content_id,
            nouns.either(self.collection_id, self.course_id, "collectionId", "courseId"),
            nouns.either(self.context_id, self.batch_id, "contextId", "batchId"),
            user_id=self.user_id,
            attempt_id=self.attempt_id,
            attempted_on=self.attempted_on,
            events=self.events,
        )


@strawberry.type(description="What became of a submission.", directives=[to(Access.WITH_OBJECT)])
class SubmissionPayload:
    attempt_id: str | None = strawberry.field(
        description="The attempt's id, by which it is found once it was scored, in seconds; null where it was refused."
    )
    attempted_on: datetime | None = strawberry.field(
        description="When it was attempted; null where it was refused."
    )
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )

    @classmethod
    def of(cls, outcome: tuple[assessments.Submission | None, list[UserError]]) -> Self:
        done, errors = outcome
        return cls(
            attempt_id=done.attempt_id if done else None,
            attempted_on=done.attempted_on if done else None,
            errors=errors,
        )


async def _submitted(info: Info, call: SubmitAssessmentInput) -> assessments.Submission:
    return await assessments.submit_assessment(info.context, call.call())


@strawberry.type
class AssessmentMutations:
    @mutation(
        description="Takes the answers of an attempt. Once it is acknowledged it is not lost; scores follow in seconds.",
        access=Access.CALLER,
        compiled=True,
    )
    async def submit_assessment(
        self,
        info: Info,
        call: Annotated[
            SubmitAssessmentInput,
            strawberry.argument(name="input", description="The answers, and where they were given."),
        ],
    ) -> SubmissionPayload:
        return SubmissionPayload.of(await carry_out(info, _submitted(info, call)))
