"""Attempts at assessments, with their questions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

import strawberry

from graph import enums
from graph.access import Access, to
from graph.contents import Content
from graph.fields import field
from graph.info import Info
from graph.node import Node
from graph.scores import Score
from resolvers import assessment_scores, assessments, drafts, nouns


@strawberry.type(description="A value and what it is called.", directives=[to(Access.WITH_OBJECT)])
class NamedText:
    name: str = strawberry.field(description="Its name, as the player sent it.")
    value: str = strawberry.field(description="The value as text.")

    @classmethod
    def lists(cls, texts: Sequence[Mapping[str, str]]) -> list[list[Self]]:
        return [[cls(name=name, value=value) for name, value in each.items()] for each in texts]


@strawberry.type(
    description="A question of an attempt, and what was answered.", directives=[to(Access.WITH_OBJECT)]
)
class AttemptQuestion:
    question_id: str = strawberry.field(description="The question's id.")
    type: str | None = strawberry.field(description="What kind it is, such as `mcq`.")
    title: str | None = strawberry.field(description="For people.")
    description: str | None = strawberry.field(description="For people, longer.")
    score: float | None = strawberry.field(description="Points.")
    max_score: float | None = strawberry.field(description="The points of the right answer.")
    duration: float | None = strawberry.field(description="Seconds that the answer took.")
    assessed_on: datetime | None = strawberry.field(description="When it was answered.")
    options: list[list[NamedText]] = strawberry.field(
        description="What there was to choose from: each a list of names and values."
    )
    answers: list[list[NamedText]] = strawberry.field(
        description="What was chosen: each a list of names and values."
    )

    @classmethod
    def of(cls, question: assessments.Question) -> Self:
        return cls(
            question_id=question.id,
            type=question.type,
            title=question.title,
            description=question.description,
            score=question.score,
            max_score=question.max_score,
            duration=question.duration,
            assessed_on=question.assessed_on,
            options=NamedText.lists(question.options),
            answers=NamedText.lists(question.answers),
        )


@strawberry.type(description="One go of a learner at an assessment.", directives=[to(Access.LEARNER)])
class Attempt(Node):
    user_id: str = strawberry.field(description="Whose it is.")
    attempt_id: str = strawberry.field(description="Its id, among those at the assessment.")
    assessment_id: str = strawberry.field(description="The assessment: a content's identifier.")
    collection_id: str = strawberry.field(
        description="The collection's identifier; the assessment's own where it was taken by itself."
    )
    context_id: str = strawberry.field(
        description="The context's id; the collection's identifier where there was none."
    )
    score: Score | None = strawberry.field(description="Points; null where nobody knows them.")
    attempted_on: datetime | None = strawberry.field(description="When it was, by the device's clock.")
    found: strawberry.Private[assessments.Attempt]

    @classmethod
    def of(cls, asked: nouns.ViewKey, found: assessments.Attempt) -> Self:
        """``asked``: the ids of the client. They may differ from those where the attempt is kept."""
        score = None if found.score is None else nouns.Score(found.score, found.max_score or 0.0)
        return cls(
            user_id=asked.user_id,
            attempt_id=found.attempt_id,
            assessment_id=asked.content_id,
            collection_id=asked.collection_id,
            context_id=asked.context_id,
            score=None if score is None else Score.of(score),
            attempted_on=found.attempted_on,
            found=found,
        )

    def key(self) -> tuple[str, ...]:
        return self.user_id, self.collection_id, self.context_id, self.assessment_id, self.attempt_id

    @field(description="The assessment; null where it is gone.")
    async def assessment(self, info: Info) -> Content | None:
        return await assessment_of(info, self.assessment_id)

    @field(
        description="The questions that were answered, from wherever they are by now. None where nobody has them."
    )
    async def questions(self, info: Info) -> list[AttemptQuestion] | None:
        read = await assessments.questions(info.context, self.found)
        return [AttemptQuestion.of(question) for question in read.questions]

    @field(description="Where the questions were read.")
    async def questions_source(self, info: Info) -> enums.QuestionsSource | None:
        return (await assessments.questions(info.context, self.found)).source

    @field(description="The request of the archive that has the questions; null where they are not archived.")
    async def archive_id(self, info: Info) -> str | None:
        return (await assessments.questions(info.context, self.found)).archive_id


async def assessment_of(info: Info, identifier: str) -> Content | None:
    """The published content; None where it is gone."""
    if not await assessment_scores.is_there(info.context, identifier):
        return None
    return Content.of_published(*await drafts.published(info.context, identifier))
