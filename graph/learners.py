"""Learners."""

from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any, Self, TypeVar

import strawberry
from strawberry import UNSET

from graph.access import Access, to
from graph.arguments import CollectionId, ContextId, OptionalContextId
from graph.assessment_scores import AssessmentFilter, AssessmentScores, scores_of
from graph.contexts_of_people import contexts
from graph.enrolment_lists import EnrolmentConnection, Filter, OrderBy, enrolments_of
from graph.enrolments import Enrolment
from graph.errors import UserError, carry_out
from graph.execution.lookahead import is_asked
from graph.fields import field, mutation
from graph.group_lists import groups
from graph.info import Info
from graph.node import Node, stands_for_node
from graph.paging import After, Before, Connection, First, Last, connection, light_connection, page_size
from graph.summary import Summary
from graph.views import View
from resolvers import enrolments, learners, nouns, summary, views
from resolvers.listed_views import ListedViews
from resolvers.opaque_texts import decode_cursor
from resolvers.paging import MOST

T = TypeVar("T")


def _words(attribute: str) -> str:
    return attribute.replace("_", " ")


def with_attribute_fields(learner: type[T]) -> type[T]:
    """Adds a field for each attribute that rules/learners.py declares."""

    def attribute(name: str) -> Any:
        described = field(
            description=f"The learner's {_words(name)}, where it is known.",
            at_hand=lambda learner: learner.profile.attributes.get(name),
            access=Access.LEARNER_OR_GUIDES,
        )

        async def resolve(self: "Learner", info: Info) -> str | None:
            return (await self.load(info)).attributes.get(name)

        resolve.__name__ = name
        return described(resolve)

    for name in nouns.ATTRIBUTES:
        setattr(learner, name, attribute(name))
    return learner


def with_attribute_inputs(learner: type[T]) -> type[T]:
    """Adds an input field for each attribute that rules/learners.py declares."""
    for name in nouns.ATTRIBUTES:
        learner.__annotations__[name] = str | None
        setattr(learner, name, strawberry.field(default=UNSET, description=f"The learner's {_words(name)}."))
    return learner


@strawberry.type(
    description="Someone who learns. A learner sees only their own; who answers for learners sees all.",
    directives=[to(Access.LEARNER)],
)
@with_attribute_fields
class Learner(Node):
    user_id: str = strawberry.field(description="The learner's user id.", directives=[to(Access.WITH_OBJECT)])
    profile: strawberry.Private[nouns.Learner | None] = None

    @classmethod
    def of(cls, profile: nouns.Learner) -> Self:
        return cls(user_id=profile.user_id, profile=profile)

    def key(self) -> tuple[str, ...]:
        return (self.user_id,)

    async def load(self, info: Info) -> nouns.Learner:
        """The profile, read once it is asked for."""
        if self.profile is None:
            self.profile = await learners.profile(info.context, self.user_id)
        return self.profile

    @field(
        description="For people; null where it is not known.",
        at_hand=attrgetter("profile.name"),
        access=Access.WITH_OBJECT,
    )
    async def name(self, info: Info) -> str | None:
        return (await self.load(info)).name

    @field(description="The learner's enrolments, by collection and context unless told.")
    async def enrolments(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Filter = None,  # noqa: A002 - the schema's name for it
        order_by: OrderBy = None,
    ) -> EnrolmentConnection | None:
        return await enrolments_of(info, self.user_id, first, after, last, before, filter, order_by)

    @field(description="One enrolment. NOT_FOUND where the learner never enrolled there.")
    async def enrolment(
        self, info: Info, collection_id: CollectionId, context_id: ContextId
    ) -> Enrolment | None:
        found = await enrolments.enrolment(info.context, self.user_id, collection_id, context_id)
        return Enrolment.of(found, info.context.now())

    @field(description="The learner's started views in one collection, in the order of content ids.")
    async def views(
        self,
        info: Info,
        collection_id: CollectionId,
        context_id: OptionalContextId = None,
        content_ids: Annotated[
            list[str] | None,
            strawberry.argument(description=f"Only of these contents, at most {MOST}; of all without it."),
        ] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[View] | None:
        place = decode_cursor(after, 1)
        page_of = views.views_page if is_asked(info, "progressDetails") else views.views_page_in_short
        page = await page_of(
            info.context,
            self.user_id,
            views.ViewsWanted(collection_id, context_id, content_ids),
            first=page_size(first),
            after=None if place is None else place[0],
        )
        if isinstance(page, ListedViews):
            return light_connection(page, begun=place is not None)
        return connection(page, View.of, lambda view: (view.key.content_id,), begun=place is not None)

    @field(
        description="One view, NOT_STARTED where there is none yet. NOT_FOUND where there is no such content."
    )
    async def view(
        self,
        info: Info,
        content_id: Annotated[str, strawberry.argument(description="The content's identifier.")],
        collection_id: Annotated[
            str | None,
            strawberry.argument(description="The collection's identifier; without it the content by itself."),
        ] = None,
        context_id: OptionalContextId = None,
    ) -> View | None:
        return View.of(await views.view(info.context, self.user_id, content_id, collection_id, context_id))

    @field(
        description="What the learner scored in assessments: each in each collection and context, in the order of "
        "assessment, collection and context."
    )
    async def assessments(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        filter: Annotated[  # noqa: A002 - the schema's name for it
            AssessmentFilter | None, strawberry.argument(description="Which of them; all without it.")
        ] = None,
    ) -> Connection[AssessmentScores] | None:
        return await scores_of(info, self.user_id, (filter or AssessmentFilter()).wanted(), first, after)

    groups = groups
    contexts = contexts

    @field(description="How the learner stands in one collection, in detail; also without an enrolment.")
    async def summary(
        self, info: Info, collection_id: CollectionId, context_id: OptionalContextId = None
    ) -> Summary | None:
        found = await summary.summary(info.context, self.user_id, collection_id, context_id)
        return Summary.of_summary(found)


stands_for_node(
    Learner,
    learners.ProfiledLearner,
    ("user_id", "name", *nouns.ATTRIBUTES),
    lambda learner, _: Learner.of(learner.profile),
    lambda learner: (learner.user_id,),
)


@strawberry.input(description="What to change of a profile: what is left out stays, null clears.")
@with_attribute_inputs
class UpdateLearnerInput:
    user_id: str | None = strawberry.field(
        default=None, description="Whose profile, for an admin or a service; otherwise the caller's."
    )
    at: datetime | None = strawberry.field(
        default=None, description="When it happened, for a service; otherwise now. The newest profile wins."
    )
    name: str | None = strawberry.field(default=UNSET, description="For people.")

    def call(self) -> nouns.ProfileCall:
        return nouns.ProfileCall(
            name=None if self.name is UNSET else self.name or "",
            attributes={
                name: value for name in nouns.ATTRIBUTES if (value := getattr(self, name)) is not UNSET
            },
            user_id=self.user_id,
            at=self.at,
        )


@strawberry.type(description="What became of a call about a profile.", directives=[to(Access.WITH_OBJECT)])
class LearnerPayload:
    learner: Learner | None = strawberry.field(
        description="The learner after the call; null where it was refused."
    )
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )


@strawberry.type
class LearnerQueries:
    @field(description="The viewer. UNAUTHENTICATED without a token.", access=Access.SIGNED_IN)
    def me(self, info: Info) -> Learner | None:
        return Learner(user_id=learners.me(info.context))

    @field(
        description="A learner. FORBIDDEN to other learners; NOT_FOUND where nothing is known of them.",
        access=Access.LEARNER,
    )
    async def learner(
        self,
        info: Info,
        user_id: Annotated[str, strawberry.argument(description="The learner's user id.")],
    ) -> Learner | None:
        return Learner(user_id=await learners.learner(info.context, user_id))


@strawberry.type
class LearnerMutations:
    @mutation(
        description="Changes a learner's profile: what is left out stays, null clears.", access=Access.PERSON
    )
    async def update_learner(
        self,
        info: Info,
        call: Annotated[
            UpdateLearnerInput,
            strawberry.argument(name="input", description="Whose profile, and what of it."),
        ],
    ) -> LearnerPayload:
        profile, errors = await carry_out(info, learners.save_profile(info.context, call.call()))
        return LearnerPayload(learner=Learner.of(profile) if profile else None, errors=errors)
