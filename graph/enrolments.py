"""Enrolments."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Self

import strawberry

from graph import enums
from graph.access import Access, to
from graph.assessment_scores import AssessmentScores, scores_of
from graph.collections import Collection, HierarchyNode
from graph.contexts import Context
from graph.errors import UserError, carry_out
from graph.fields import field, mutation, platform_name
from graph.info import Info
from graph.node import Node, stands_for_node
from graph.paging import After, Connection, First
from graph.scores import ActivityScore
from graph.summary import (
    CONTENT_STATUS,
    NEXT_CONTENT,
    TIME_SPENT,
    UNITS,
    ContentStatus,
    UnitProgress,
    next_in,
    statuses_in,
    units_in,
)
from resolvers import assessment_scores, enrolments, nouns
from resolvers.listed_enrolments import ListedEnrolment


@strawberry.type(
    description="A learner's enrolment in a collection under a context, and how the learner stands.",
    directives=[to(Access.LEARNER_OR_GUIDES)],
)
class Enrolment(Node):
    user_id: str = strawberry.field(description="Whose it is.")
    collection_id: str = strawberry.field(description="The collection's identifier.")
    context_id: str = strawberry.field(description="The context's id.")
    active: bool = strawberry.field(description="False once the learner has left.")
    enrolled_on: datetime = strawberry.field(description="When the learner enrolled, first.")
    reenrolled_on: datetime | None = strawberry.field(
        description="When the learner came back, last; null where they never left."
    )
    unenrolled_on: datetime | None = strawberry.field(description="When the learner left, null while active.")
    status: enums.Status = strawberry.field(description="Completed once nothing required is missing.")
    completed_count: int = strawberry.field(description="Distinct required leaves that are completed.")
    required_count: int = strawberry.field(description="Distinct leaves that are not optional.")
    completion_percentage: int = strawberry.field(
        description="completedCount of requiredCount, rounded down: 100 only when nothing is missing."
    )
    completed_on: datetime | None = strawberry.field(
        description="When the collection was first completed; it stays although a later version asks for more."
    )
    completed_version: int | None = strawberry.field(
        description="Which version of the collection that was; null where nobody noted it, as for what was migrated."
    )
    last_accessed_on: datetime | None = strawberry.field(description="The learner's last view in it.")
    time_spent: int | None = strawberry.field(
        description=f"{TIME_SPENT[:-1]}; null where the collection is gone and nobody noted it."
    )
    moved_to: str | None = strawberry.field(
        description="In move mode: the context where the learner goes on with the collection; null where it is this one."
    )
    moved_from: str | None = strawberry.field(
        description="In move mode: the context that the progress was taken along from."
    )
    collection: Collection | None = strawberry.field(description="The collection; null where it is gone.")
    context: Context | None = strawberry.field(description="The context; null where it is gone.")
    found: strawberry.Private[enrolments.Enrolled]

    @classmethod
    def of(cls, found: enrolments.Enrolled, now: datetime) -> Self:
        enrolment, progress = found.enrolment, found.progress
        return cls(
            user_id=enrolment.key.user_id,
            collection_id=enrolment.key.collection_id,
            context_id=enrolment.key.context_id,
            active=enrolment.active,
            enrolled_on=enrolment.enrolled_on,
            reenrolled_on=enrolment.reenrolled_on,
            unenrolled_on=enrolment.unenrolled_on,
            status=progress.status,
            completed_count=progress.completed_count,
            required_count=progress.required_count,
            completion_percentage=progress.completion_percentage,
            completed_on=found.completed_on,
            completed_version=found.completed_version,
            last_accessed_on=found.last_accessed_on,
            time_spent=found.time_spent,
            moved_to=enrolment.moved_to if enrolment.has_moved else None,
            moved_from=enrolment.moved_from,
            collection=Collection.of(found.collection) if found.collection else None,
            context=Context.of(found.context, now) if found.context else None,
            found=found,
        )

    @classmethod
    def of_listed(cls, listed: ListedEnrolment, session: nouns.Session) -> Self:
        """The whole object of a member of a list. Its moments are epoch milliseconds, which the scalar takes too."""
        values = {name: getattr(listed, name) for name in ATTRIBUTES}
        collection, context = listed.collection, listed.context
        return cls(
            **values,
            collection=Collection.of(collection) if collection else None,
            context=Context.of(context, session.now()) if context else None,
            found=listed.enrolled,
        )

    def key(self) -> tuple[str, ...]:
        return self.user_id, self.collection_id, self.context_id

    @field(
        description="What the learner scored in the assessments of the live version, right before any worker has run; null "
        "where none was attempted, and where the learner goes on elsewhere (`movedTo`)."
    )
    async def score(self, info: Info) -> ActivityScore | None:
        if self.moved_to is not None:
            return None
        return ActivityScore.of(
            await assessment_scores.activity_score(
                info.context, nouns.ProgressKey(*self.key()), self.found.context
            )
        )

    @field(description=f"{CONTENT_STATUS[:-1]}; null where the collection is gone.")
    async def content_status(self, info: Info) -> list[ContentStatus] | None:
        tree = await enrolments.learner_tree(info.context, self.found)
        return None if tree is None else await statuses_in(info, tree)

    @field(description=f"{UNITS[:-1]}; null where the collection is gone.")
    async def units(self, info: Info) -> list[UnitProgress] | None:
        tree = await enrolments.learner_tree(info.context, self.found)
        return None if tree is None else await units_in(info, tree)

    @field(
        description=f"{NEXT_CONTENT[:-1]}, where the collection is gone, and where the learner goes on elsewhere (`movedTo`)."
    )
    async def next_content(self, info: Info) -> HierarchyNode | None:
        tree = await enrolments.learner_tree(info.context, self.found)
        return None if tree is None or self.moved_to is not None else await next_in(info, tree)

    @field(
        access=Access.LEARNER,
        description="What the learner scored in each assessment of it, in the order of assessments. The workers compute it, "
        "so it follows an attempt in seconds.",
    )
    async def assessments(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[AssessmentScores] | None:
        wanted = assessment_scores.Wanted(collection_id=self.collection_id, context_id=self.context_id)
        return await scores_of(info, self.user_id, wanted, first, after)


ATTRIBUTES = (
    "user_id",
    "collection_id",
    "context_id",
    "active",
    "enrolled_on",
    "reenrolled_on",
    "unenrolled_on",
    "status",
    "completed_count",
    "required_count",
    "completion_percentage",
    "completed_on",
    "completed_version",
    "last_accessed_on",
    "time_spent",
    "moved_to",
    "moved_from",
)
stands_for_node(
    *(Enrolment, ListedEnrolment, (*ATTRIBUTES, "collection", "context"), Enrolment.of_listed),
    lambda listed: (listed.user_id, listed.collection_id, listed.context_id),
)


@strawberry.input(description="Who enrols where.")
class EnrolInput:
    collection_id: str | None = strawberry.field(
        default=None, description="The collection's identifier; needed, under this name or its older one."
    )
    context_id: str | None = strawberry.field(
        default=None, description="The context's id; needed, under this name or its older one."
    )
    user_id: str | None = strawberry.field(
        default=None,
        description="Whom to enrol, for a mentor of the context, an admin or a service; otherwise the caller.",
    )
    at: datetime | None = strawberry.field(
        default=None, description="When it happened, for a service; otherwise now."
    )
    course_id: str | None = platform_name("collectionId")
    batch_id: str | None = platform_name("contextId")

    async def made(
        self, command: Callable[[nouns.EnrolmentCall], Awaitable[nouns.Enrolment]]
    ) -> nouns.Enrolment:
        """The command's answer; InvalidInput where an id is missing, or has two values under its two names."""
        collection_id = nouns.either(self.collection_id, self.course_id, "collectionId", "courseId")
        context_id = nouns.either(self.context_id, self.batch_id, "contextId", "batchId")
        call = nouns.EnrolmentCall(
            nouns.checked_id(collection_id, "collectionId"),
            nouns.checked_id(context_id, "contextId"),
            self.user_id,
            self.at,
        )
        return await command(call)


@strawberry.input(description="Who leaves where.")
class UnenrolInput(EnrolInput):
    pass


@strawberry.type(description="What became of a call about an enrolment.", directives=[to(Access.WITH_OBJECT)])
class EnrolmentPayload:
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )
    token: str | None = strawberry.field(
        default=None,
        description="Send it as `fresh` to read figures that have this change in them; null where it was refused.",
    )
    stored: strawberry.Private[nouns.Enrolment | None] = None

    @field(description="The enrolment after the call; null where it was refused.")
    async def enrolment(self, info: Info) -> Enrolment | None:
        """Apart from the call, so that figures that can't be read don't look like a call that was refused."""
        if self.stored is None:
            return None
        (found,) = await enrolments.enrolled(info.context, [self.stored])
        return Enrolment.of(found, info.context.now())

    @classmethod
    def of(cls, outcome: tuple[nouns.Enrolment | None, list[UserError]], now: datetime) -> Self:
        stored, errors = outcome
        return cls(stored=stored, errors=errors, token=nouns.write_token(now) if stored else None)


@strawberry.type
class EnrolmentMutations:
    @mutation(description="Enrols a learner; one who had left is back.", access=Access.ENROLLER)
    async def enrol(
        self,
        info: Info,
        call: Annotated[EnrolInput, strawberry.argument(name="input", description="Who enrols where.")],
    ) -> EnrolmentPayload:
        return EnrolmentPayload.of(
            await carry_out(info, call.made(partial(enrolments.enrol, info.context))),
            info.context.now(),
        )

    @mutation(description="Ends an enrolment. The learner's progress is kept.", access=Access.ENROLLER)
    async def unenrol(
        self,
        info: Info,
        call: Annotated[UnenrolInput, strawberry.argument(name="input", description="Who leaves where.")],
    ) -> EnrolmentPayload:
        return EnrolmentPayload.of(
            await carry_out(info, call.made(partial(enrolments.unenrol, info.context))),
            info.context.now(),
        )
