"""Exhausts: reports of all learners of a context, as files."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from graph import enums
from graph.access import Access, to
from graph.errors import ErrorCode, UserError, carry_out
from graph.fields import field, mutation
from graph.info import Info
from graph.node import Node
from resolvers import exhausts, nouns

_ExhaustId = Annotated[str, strawberry.argument(description="The exhaust's id.")]


@strawberry.type(description="Why an exhaust failed or waits.", directives=[to(Access.WITH_OBJECT)])
class ExhaustError:
    code: str | None = strawberry.field(
        graphql_type=ErrorCode | None,
        description="What went wrong, for programs; null for an error that nobody expected.",
    )
    message: str = strawberry.field(description="What went wrong, for people.")

    @classmethod
    def of(cls, failure: exhausts.Failure | None) -> Self | None:
        return None if failure is None else cls(code=failure.code, message=failure.message)


@strawberry.type(
    description="A link to the file of an exhaust. Each read makes a new one.",
    directives=[to(Access.WITH_OBJECT)],
)
class ExhaustDownload:
    url: str = strawberry.field(
        description="Where the file is, for whoever has this link: pass it on to nobody. "
        "A path is one of this gateway."
    )
    size: int = strawberry.field(description="Bytes.")
    expires_on: datetime = strawberry.field(description="The link holds until then.")

    @classmethod
    def of(cls, found: exhausts.ExhaustLink | None) -> Self | None:
        return None if found is None else cls(url=found.url, size=found.size, expires_on=found.expires_on)


@strawberry.type(
    description="A report of all learners of a context, written as a job.",
    directives=[to(Access.EXHAUST_ASKER)],
)
class Exhaust(Node):
    exhaust: strawberry.Private[exhausts.Exhaust]
    exhaust_id: str = strawberry.field(description="Its id, for `exhaust`.")
    kind: enums.ExhaustKind = strawberry.field(description="What it tells.")
    format: enums.ExhaustFormat = strawberry.field(description="What it is written in.")
    collection_id: str = strawberry.field(description="The collection.")
    context_id: str = strawberry.field(description="The context.")
    state: enums.JobState = strawberry.field(description="How far it is.")
    learners: int = strawberry.field(description="Learners whose rows are written.")
    learners_total: int = strawberry.field(
        description="Learners who are or were enrolled; 0 until they are counted."
    )
    rows: int = strawberry.field(description="Rows that are written, without the line of names.")
    error: ExhaustError | None = strawberry.field(
        description="Why it failed, or which store it waits for; null where neither is so."
    )
    started_on: datetime = strawberry.field(description="When it was asked for.")
    updated_on: datetime = strawberry.field(description="When it last gave a sign of life.")
    kept_until: datetime = strawberry.field(description="The file is deleted then.")

    @classmethod
    def of(cls, found: exhausts.Exhaust) -> Self:
        return cls(
            exhaust=found,
            exhaust_id=found.id,
            kind=found.kind,
            format=found.format,
            collection_id=found.collection_id,
            context_id=found.context_id,
            state=found.state,
            learners=found.learners,
            learners_total=found.learners_total,
            rows=found.rows,
            error=ExhaustError.of(found.failure),
            started_on=found.started_on,
            updated_on=found.updated_on,
            kept_until=found.kept_until,
        )

    def key(self) -> tuple[str, ...]:
        return (self.exhaust_id,)

    @field(
        description="The file; null until it is done, and when it is gone: `keptUntil` has passed, or a learner of "
        "the context was deleted."
    )
    async def download(self, info: Info) -> ExhaustDownload | None:
        return ExhaustDownload.of(await exhausts.exhaust_link(info.context, self.exhaust))


@strawberry.input(description="The exhaust to be.")
class RequestExhaustInput:
    kind: enums.ExhaustKind = strawberry.field(description="What it tells.")
    collection_id: str = strawberry.field(description="The collection.")
    context_id: str = strawberry.field(description="One of the collection's contexts.")
    format: enums.ExhaustFormat = strawberry.field(
        default=enums.ExhaustFormat.CSV, description="What to write it in."
    )
    password: str | None = strawberry.field(
        default=None,
        description="Makes the file a zip that is encrypted with it (AES-256); 8 to 128 characters. It is kept until the "
        "exhaust is done, and nowhere told.",
    )

    def call(self) -> nouns.ExhaustCall:
        return nouns.ExhaustCall(
            kind=self.kind,
            collection_id=self.collection_id,
            context_id=self.context_id,
            format=self.format,
            password=self.password,
        )


@strawberry.type(description="What became of a call for an exhaust.", directives=[to(Access.WITH_OBJECT)])
class RequestExhaustPayload:
    exhaust: Exhaust | None = strawberry.field(
        description="The exhaust, which goes on by itself; null where the call was refused."
    )
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )


@strawberry.type
class ExhaustQueries:
    @field(
        description="An exhaust, for who asked for it and still may have it, for admins and services. "
        "NOT_FOUND where there is none.",
        access=Access.EXHAUST_ASKER,
    )
    async def exhaust(self, info: Info, exhaust_id: _ExhaustId) -> Exhaust | None:
        return Exhaust.of(await exhausts.exhaust(info.context, exhaust_id))


@strawberry.type
class ExhaustMutations:
    @mutation(
        description="Asks for a report of all who are or were enrolled in a collection under a context. Only mentors of "
        "the context, who created it, mentors, reporters, admins and services may.",
        access=Access.CONTEXT_GUIDES,
    )
    async def request_exhaust(
        self,
        info: Info,
        call: Annotated[
            RequestExhaustInput, strawberry.argument(name="input", description="The exhaust to be.")
        ],
    ) -> RequestExhaustPayload:
        asked, errors = await carry_out(info, exhausts.request(info.context, call.call()))
        return RequestExhaustPayload(exhaust=Exhaust.of(asked) if asked else None, errors=errors)
