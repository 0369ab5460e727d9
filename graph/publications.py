"""Publications: a draft goes live in steps that can be followed."""

from datetime import datetime
from typing import Annotated, Self

import strawberry
from strawberry.scalars import JSON

from graph import enums
from graph.access import Access, to
from graph.errors import ErrorCode, UserError, carry_out
from graph.fields import field, mutation
from graph.info import Info
from graph.node import Node
from resolvers import publications

_PublicationId = Annotated[str, strawberry.argument(description="The publication's id.")]


@strawberry.type(description="A step of a publication.", directives=[to(Access.WITH_OBJECT)])
class PublicationStep:
    name: str = strawberry.field(description="Its name. Steps come in the order in which they are done.")
    state: enums.JobState = strawberry.field(description="How far it is.")
    done: int = strawberry.field(description="How many things of its kind are done: nodes, icons, packages.")
    report: JSON = strawberry.field(description="What it tells of them; an object without a fixed form.")

    @classmethod
    def of(cls, step: publications.Step) -> Self:
        return cls(name=step.name, state=step.state, done=step.done, report=JSON(dict(step.report)))


@strawberry.type(
    description="Why a publication failed or waits. Nothing of it is live, unless its step `pointer` was done.",
    directives=[to(Access.WITH_OBJECT)],
)
class PublicationError:
    code: str | None = strawberry.field(
        graphql_type=ErrorCode | None,
        description="What went wrong, for programs; null for an error that nobody expected.",
    )
    message: str = strawberry.field(description="What went wrong, for people; it names the ids at fault.")
    field: str | None = strawberry.field(description="The input field at fault, where it is one.")

    @classmethod
    def of(cls, failure: publications.Failure | None) -> Self | None:
        if failure is None:
            return None
        return cls(code=failure.code, message=failure.message, field=failure.field)


@strawberry.type(description="How a draft goes live: a job in steps.", directives=[to(Access.AUTHORS)])
class Publication(Node):
    publication_id: str = strawberry.field(description="Its id, for `publication`.")
    identifier: str = strawberry.field(description="What is published.")
    version: int | None = strawberry.field(
        description="The version that it makes live; null until that is known."
    )
    state: enums.JobState = strawberry.field(description="How far it is.")
    steps: list[PublicationStep] = strawberry.field(description="All of its steps.")
    error: PublicationError | None = strawberry.field(
        description="Why it failed, or which store it waits for; null where neither is so."
    )
    started_on: datetime = strawberry.field(description="When it was asked for.")
    updated_on: datetime = strawberry.field(description="When it last gave a sign of life.")

    @classmethod
    def of(cls, publication: publications.Publication) -> Self:
        return cls(
            publication_id=publication.id,
            identifier=publication.identifier,
            version=publication.version,
            state=publication.state,
            steps=[PublicationStep.of(step) for step in publication.steps],
            error=PublicationError.of(publication.failure),
            started_on=publication.started_on,
            updated_on=publication.updated_on,
        )

    def key(self) -> tuple[str, ...]:
        return (self.publication_id,)


@strawberry.input(description="What to publish.")
class PublishInput:
    identifier: str = strawberry.field(description="The collection or content.")
    unlisted: bool = strawberry.field(
        default=False, description="Whether it is found by those alone who have its identifier."
    )
    version_key: str | None = strawberry.field(
        default=None,
        description="The only version key that its draft may have; without it whatever the draft is by then.",
    )


@strawberry.type(description="What became of a call to publish.", directives=[to(Access.WITH_OBJECT)])
class PublishPayload:
    publication: Publication | None = strawberry.field(
        description="The publication, which goes on by itself; null where the call was refused."
    )
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )


@strawberry.type
class PublicationQueries:
    @field(
        description="A publication. NOT_FOUND where there is none. Needs the role creator, admin or service.",
        access=Access.AUTHORS,
    )
    async def publication(self, info: Info, publication_id: _PublicationId) -> Publication | None:
        return Publication.of(await publications.publication(info.context, publication_id))


@strawberry.type
class PublicationMutations:
    @mutation(
        description="Publishes a draft: learners see it when all of it is in place. Asked again while the same draft is "
        "being published, it answers with that publication. Needs the role creator, admin or service.",
        access=Access.AUTHORS,
    )
    async def publish(
        self,
        info: Info,
        call: Annotated[PublishInput, strawberry.argument(name="input", description="What to publish.")],
    ) -> PublishPayload:
        asked, errors = await carry_out(
            info,
            publications.publish(
                info.context, call.identifier, unlisted=call.unlisted, version_key=call.version_key
            ),
        )
        return PublishPayload(publication=Publication.of(asked) if asked else None, errors=errors)
