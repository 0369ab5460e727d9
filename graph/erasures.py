"""Deletion of what a learner has, and the forced end of views that never ended."""

from typing import Annotated, Self

import strawberry

from graph.access import Access, to
from graph.errors import UserError, carry_out
from graph.fields import mutation, platform_name
from graph.info import Info
from resolvers import erasures, nouns


@strawberry.input(description="Which enrolment to delete.")
class DeleteSummaryInput:
    collection_id: str | None = strawberry.field(
        default=None, description="The collection's identifier; needed, under this name or its older one."
    )
    context_id: str | None = strawberry.field(
        default=None, description="The context's id; without it the collection taken by itself."
    )
    user_id: str | None = strawberry.field(
        default=None, description="Whose it is, for an admin or a service; otherwise the caller's."
    )

    course_id: str | None = platform_name("collectionId")
    batch_id: str | None = platform_name("contextId")

    async def erased(self, session: nouns.Session) -> erasures.Erasure:
        """InvalidInput where no collection is named: without one all of the learner would be deleted."""
        collection_id = nouns.either(self.collection_id, self.course_id, "collectionId", "courseId")
        context_id = nouns.either(self.context_id, self.batch_id, "contextId", "batchId")
        place = nouns.checked_id(collection_id, "collectionId"), context_id
        return await erasures.erase(session, erasures.ErasureCall(self.user_id, *place))


@strawberry.input(description="Whom to delete.")
class EraseLearnerInput:
    user_id: str | None = strawberry.field(
        default=None, description="The learner, for an admin or a service; otherwise the caller."
    )


@strawberry.input(description="Which views to end.")
class CloseIdleViewsInput:
    idle_days: int = strawberry.field(
        description="Those that were started and have not been touched for so many days, 1 or more."
    )
    user_id: str | None = strawberry.field(
        default=None, description="Whose views, for an admin or a service; otherwise the caller's."
    )


@strawberry.type(
    description="A place where a learner had something that is deleted now.",
    directives=[to(Access.WITH_OBJECT)],
)
class ErasedPlace:
    collection_id: str = strawberry.field(description="The collection's identifier.")
    context_id: str = strawberry.field(
        description="The context's id; the collection's identifier where there was none."
    )


@strawberry.type(description="What became of a deletion.", directives=[to(Access.WITH_OBJECT)])
class ErasurePayload:
    purged: list[ErasedPlace] = strawberry.field(
        description="The places where there was something, up to now; contents viewed by themselves are not among them."
    )
    done: bool = strawberry.field(
        description="False where the call was refused, and where there is so much that the deletion goes on by itself; the "
        "same call sent again tells when it is done."
    )
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )

    @classmethod
    def of(cls, outcome: tuple[erasures.Erasure | None, list[UserError]]) -> Self:
        erasure, errors = outcome
        if erasure is None:
            return cls(purged=[], done=False, errors=errors)
        return cls(
            purged=[
                ErasedPlace(collection_id=collection_id, context_id=context_id)
                for collection_id, context_id in erasure.purged
            ],
            done=erasure.done,
            errors=errors,
        )


@strawberry.type(description="What became of a forced end of views.", directives=[to(Access.WITH_OBJECT)])
class CloseIdleViewsPayload:
    looked_at: int = strawberry.field(description="How many views the learner has.")
    closed: int = strawberry.field(description="How many of them were idle, and are completed now.")
    token: str | None = strawberry.field(
        description="Send it as `fresh` to read figures that have this change in them; null where it was refused. "
        "Everything else sees the change anyway."
    )
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )


@strawberry.type
class ErasureMutations:
    @mutation(
        description="Deletes an enrolment with its views and figures, for good. In the carry-forward modes views that "
        "another active enrolment shows stay.",
        access=Access.PERSON,
    )
    async def delete_summary(
        self,
        info: Info,
        call: Annotated[
            DeleteSummaryInput, strawberry.argument(name="input", description="Which enrolment to delete.")
        ],
    ) -> ErasurePayload:
        return ErasurePayload.of(await carry_out(info, call.erased(info.context)))

    @mutation(description="Deletes all that a learner has, for good.", access=Access.PERSON)
    async def erase_learner(
        self,
        info: Info,
        call: Annotated[EraseLearnerInput, strawberry.argument(name="input", description="Whom to delete.")],
    ) -> ErasurePayload:
        return ErasurePayload.of(
            await carry_out(info, erasures.erase(info.context, erasures.ErasureCall(call.user_id)))
        )

    @mutation(
        description="Completes a learner's views that were started and left, each at its last access; `origin` of the view "
        "says so.",
        access=Access.PERSON,
    )
    async def close_idle_views(
        self,
        info: Info,
        call: Annotated[
            CloseIdleViewsInput, strawberry.argument(name="input", description="Which views to end.")
        ],
    ) -> CloseIdleViewsPayload:
        closing, errors = await carry_out(
            info, erasures.close_idle_views(info.context, call.idle_days, call.user_id)
        )
        return CloseIdleViewsPayload(
            looked_at=closing.looked_at if closing else 0,
            closed=closing.closed if closing else 0,
            token=nouns.write_token(info.context.now()) if closing else None,
            errors=errors,
        )
