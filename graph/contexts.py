"""Contexts: batches, programs, events."""

from datetime import datetime
from typing import Annotated, Any, Self

import strawberry
from strawberry import UNSET

from graph import enums
from graph.access import Access, to
from graph.arguments import ContextId
from graph.collections import Collection
from graph.context_rosters import roster
from graph.errors import UserError, carry_out
from graph.fields import field, mutation
from graph.info import Info
from graph.node import Node, stands_for_node
from resolvers import contexts, nouns

_NAME = "For people."
_DESCRIPTION = "For people, longer."
_START = "Its first moment."
_END = "Its last moment."
_OPENS = "When learners may first work in it; the start date where it is null."
_ENROLMENT_END = "The last moment to enrol; the end date where it is null."
_ENROLMENT_TYPE = "Who may enrol."
_MENTORS = "User ids of those who guide its learners."
_COLLECTIONS = "Identifiers of the collections it gives dates and people to."


@strawberry.type(
    description="What gives collections their dates and people: a batch, a program, an event, a group.",
    directives=[to(Access.SIGNED_IN)],
)
class Context(Node):
    context_id: str = strawberry.field(description="The context's id.")
    type: enums.ContextType = strawberry.field(description="What it is.")
    name: str = strawberry.field(description=_NAME)
    description: str | None = strawberry.field(description=_DESCRIPTION)
    start_date: datetime | None = strawberry.field(description=_START)
    end_date: datetime | None = strawberry.field(description=_END)
    opens_on: datetime | None = strawberry.field(description=_OPENS)
    enrolment_end_date: datetime | None = strawberry.field(description=_ENROLMENT_END)
    enrolment_type: enums.EnrolmentType = strawberry.field(description=_ENROLMENT_TYPE)
    status: enums.ContextStatus = strawberry.field(description="Where it is by its dates, now.")
    mentors: list[str] = strawberry.field(description=_MENTORS)
    context: strawberry.Private[nouns.Context]

    @classmethod
    def of(cls, context: nouns.Context, now: datetime) -> Self:
        return cls(
            context_id=context.context_id,
            type=context.type,
            name=context.name,
            description=context.description,
            start_date=context.start_date,
            end_date=context.end_date,
            opens_on=context.opens_on,
            enrolment_end_date=context.enrolment_end_date,
            enrolment_type=context.enrolment_type,
            status=context.status_at(now),
            mentors=sorted(context.mentors),
            context=context,
        )

    def key(self) -> tuple[str, ...]:
        return (self.context_id,)

    roster = roster

    @field(description="The collections it is of, without those that are gone.")
    async def collections(self, info: Info) -> list[Collection] | None:
        return [Collection.of(found) for found in await contexts.collections_of(info.context, self.context)]


stands_for_node(
    Context,
    nouns.Context,
    (
        *("context_id", "type", "name", "description", "start_date", "end_date"),
        *("opens_on", "enrolment_end_date", "enrolment_type"),
    ),
    lambda context, session: Context.of(context, session.now()),
    lambda context: (context.context_id,),
)


@strawberry.input(description="A context to be.")
class CreateContextInput:
    type: enums.ContextType = strawberry.field(description="What it is.")
    name: str = strawberry.field(description=_NAME)
    collection_ids: list[str] = strawberry.field(description=_COLLECTIONS)
    context_id: str | None = strawberry.field(
        default=None, description="An id of the caller's choice; without it, it gets one."
    )
    description: str | None = strawberry.field(default=None, description=_DESCRIPTION)
    start_date: datetime | None = strawberry.field(default=None, description=_START)
    end_date: datetime | None = strawberry.field(default=None, description=_END)
    opens_on: datetime | None = strawberry.field(default=None, description=_OPENS)
    enrolment_end_date: datetime | None = strawberry.field(default=None, description=_ENROLMENT_END)
    enrolment_type: enums.EnrolmentType = strawberry.field(
        default=enums.EnrolmentType.OPEN, description=_ENROLMENT_TYPE
    )
    mentors: list[str] = strawberry.field(default_factory=list, description=_MENTORS)

    def new(self) -> nouns.NewContext:
        return nouns.NewContext(
            type=self.type,
            name=self.name,
            collection_ids=tuple(self.collection_ids),
            context_id=self.context_id,
            description=self.description,
            start_date=self.start_date,
            end_date=self.end_date,
            opens_on=self.opens_on,
            enrolment_end_date=self.enrolment_end_date,
            enrolment_type=self.enrolment_type,
            mentors=frozenset(self.mentors),
        )


@strawberry.input(description="What to change of a context: what is left out stays, null clears.")
class UpdateContextInput:
    context_id: str = strawberry.field(description="Which context.")
    name: str | None = strawberry.field(default=UNSET, description=_NAME)
    collection_ids: list[str] | None = strawberry.field(default=UNSET, description=_COLLECTIONS)
    description: str | None = strawberry.field(default=UNSET, description=_DESCRIPTION)
    start_date: datetime | None = strawberry.field(default=UNSET, description=_START)
    end_date: datetime | None = strawberry.field(default=UNSET, description=_END)
    opens_on: datetime | None = strawberry.field(default=UNSET, description=_OPENS)
    enrolment_end_date: datetime | None = strawberry.field(default=UNSET, description=_ENROLMENT_END)
    enrolment_type: enums.EnrolmentType | None = strawberry.field(default=UNSET, description=_ENROLMENT_TYPE)
    mentors: list[str] | None = strawberry.field(default=UNSET, description=_MENTORS)

    def changes(self) -> dict[str, Any]:
        """The changes, by the domain's names."""
        given = {name: value for name, value in vars(self).items() if value is not UNSET}
        del given["context_id"]
        return given


@strawberry.type(description="What became of a call about a context.", directives=[to(Access.WITH_OBJECT)])
class ContextPayload:
    context: Context | None = strawberry.field(
        description="The context after the call; null where it was refused."
    )
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )

    @classmethod
    def of(cls, outcome: tuple[nouns.Context | None, list[UserError]], now: datetime) -> Self:
        context, errors = outcome
        return cls(context=Context.of(context, now) if context else None, errors=errors)


@strawberry.type
class ContextQueries:
    @field(description="A context. NOT_FOUND where there is none.", access=Access.SIGNED_IN)
    async def context(self, info: Info, context_id: ContextId) -> Context | None:
        found = await contexts.context(info.context, context_id)
        return Context.of(found, info.context.now())


@strawberry.type
class ContextMutations:
    @mutation(
        description="Creates a context. Sent again, it answers with the one it made. "
        "Needs the role creator, admin or service.",
        access=Access.AUTHORS,
    )
    async def create_context(
        self,
        info: Info,
        call: Annotated[
            CreateContextInput, strawberry.argument(name="input", description="The context to be.")
        ],
    ) -> ContextPayload:
        outcome = await carry_out(info, contexts.create_context(info.context, call.new()))
        return ContextPayload.of(outcome, info.context.now())

    @mutation(
        description="Changes a context: what is left out stays, null clears. Its id and type never change. "
        "Needs the role creator, admin or service.",
        access=Access.AUTHORS,
    )
    async def update_context(
        self,
        info: Info,
        call: Annotated[
            UpdateContextInput,
            strawberry.argument(name="input", description="Which context, and what of it."),
        ],
    ) -> ContextPayload:
        outcome = await carry_out(
            info, contexts.change_context(info.context, call.context_id, call.changes())
        )
        return ContextPayload.of(outcome, info.context.now())
