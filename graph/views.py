"""Views: what a learner did with a content."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Self

import strawberry
from strawberry.scalars import JSON

from graph import enums
from graph.access import Access, to
from graph.errors import UserError, carry_out
from graph.fields import field, mutation, platform_name
from graph.info import Info
from graph.node import Node, stands_for_node
from graph.paging import stands_for_edge
from graph.scores import Score
from resolvers import assessments, nouns, views
from resolvers.listed_views import ListedView

if TYPE_CHECKING:
    from graph.view_places import AssessmentScores, Collection, Content, Context

_PLACES = strawberry.lazy("graph.view_places")
LazyContent = Annotated["Content", _PLACES]
LazyCollection = Annotated["Collection", _PLACES]
LazyContext = Annotated["Context", _PLACES]
LazyScores = Annotated["AssessmentScores", _PLACES]
"""Types that have views themselves."""


@strawberry.type(
    description="Why a view has a status that was not earned in that very place.",
    directives=[to(Access.WITH_OBJECT)],
)
class Origin:
    kind: enums.OriginKind = strawberry.field(description="How it got here.")
    collection_id: str | None = strawberry.field(
        description="The collection where it was earned or is kept; the content's own identifier where it was taken by "
        "itself."
    )
    context_id: str | None = strawberry.field(
        description="The context of that; the collection's identifier where there was none."
    )
    reason: str = strawberry.field(description="The rule or command that brought it, in words.")
    at: datetime | None = strawberry.field(description="When it was brought; null where nothing is written.")

    @classmethod
    def of(cls, origin: nouns.Origin) -> Self:
        collection_id, context_id = origin.place or (None, None)
        return cls(
            kind=origin.kind,
            collection_id=collection_id,
            context_id=context_id,
            reason=origin.reason,
            at=origin.at,
        )


@strawberry.type(
    description="A learner's view of a content, under a context, in a collection or by itself.",
    directives=[to(Access.LEARNER)],
)
class View(Node):
    content_id: str = strawberry.field(description="The content's identifier.")
    status: enums.Status = strawberry.field(description="How far it is.")
    progress: int = strawberry.field(description="From 0 to 100, as the player said; 100 once completed.")
    last_accessed_on: datetime | None = strawberry.field(description="The last call that changed it.")
    completed_on: datetime | None = strawberry.field(description="When it was completed, null before.")
    place: strawberry.Private[nouns.ProgressKey]
    whole: strawberry.Private[nouns.View | ListedView | None] = None
    """As much of it as was read."""

    @classmethod
    def of(cls, view: nouns.View, *, whole: bool = True) -> Self:
        """A view for clients. ``whole`` False: only the short form of ``view`` may be relied on."""
        return cls(
            content_id=view.key.content_id,
            status=view.status,
            progress=view.progress,
            last_accessed_on=view.last_accessed_on,
            completed_on=view.completed_on,
            place=view.key.progress_key,
            whole=view if whole else None,
        )

    @classmethod
    def of_touch(cls, place: nouns.ProgressKey, content_id: str, touch: nouns.Touch) -> Self:
        """A view from the short form, which pages with many leaves have."""
        return cls(
            content_id=content_id,
            status=touch.status,
            progress=touch.progress,
            last_accessed_on=touch.last_accessed_on,
            completed_on=touch.completed_on,
            place=place,
        )

    @classmethod
    def of_listed(cls, view: ListedView) -> Self:
        """The whole object of a member of a page. Its moments are epoch milliseconds, which the scalar takes too."""
        return cls(
            content_id=view.content_id,
            status=view.status,
            progress=view.progress,
            last_accessed_on=view.last_accessed_on,  # type: ignore[arg-type]
            completed_on=view.completed_on,  # type: ignore[arg-type]
            place=view.place,
            whole=view,
        )

    def key(self) -> tuple[str, ...]:
        return self.place.user_id, self.place.collection_id, self.place.context_id, self.content_id

    async def load(self, info: Info) -> nouns.View | ListedView:
        """Loads what the short form leaves out, in one batch for the whole page."""
        if self.whole is None:
            self.whole = await views.whole_view(info.context, self._key())
        return self.whole

    @field(
        description="The collection's identifier; the content's own where it was taken by itself.",
        at_hand=attrgetter("place.collection_id"),
    )
    def collection_id(self) -> str:
        return self.place.collection_id

    @field(
        description="The context's id; the collection's identifier where there was none.",
        at_hand=attrgetter("place.context_id"),
    )
    def context_id(self) -> str:
        return self.place.context_id

    @field(description="The content as it is published; null where it is gone.")
    async def content(self, info: Info) -> LazyContent | None:
        from graph.view_places import content_of

        return await content_of(info, self._key())

    @field(description="The collection; null where it is gone, and where the content was taken by itself.")
    async def collection(self, info: Info) -> LazyCollection | None:
        from graph.view_places import collection_of

        return await collection_of(info, self._key())

    @field(description="The context; null where it is gone, and where there was none.")
    async def context(self, info: Info) -> LazyContext | None:
        from graph.view_places import context_of

        return await context_of(info, self._key())

    @field(
        description="What the learner scored in this assessment, in this place, out of all attempts. The workers compute it, "
        "so it follows an attempt in seconds. Null without attempts."
    )
    async def assessment_scores(self, info: Info) -> LazyScores | None:
        from graph.view_places import scores_of

        return await scores_of(info, self._key())

    def _key(self) -> nouns.ViewKey:
        return nouns.ViewKey(*self.key())

    @field(description="Seconds, over all calls.", at_hand=attrgetter("whole.time_spent"))
    async def time_spent(self, info: Info) -> int | None:
        return (await self.load(info)).time_spent

    @field(
        description="What the player last noted, as it sent it.", at_hand=attrgetter("whole.progress_details")
    )
    async def progress_details(self, info: Info) -> JSON | None:
        if not isinstance(self.whole, nouns.View):
            self.whole = await views.whole_view(info.context, self._key())
        details = self.whole.progress_details
        return None if details is None else JSON(details)

    @field(description="The first call.", at_hand=attrgetter("whole.started_on"))
    async def started_on(self, info: Info) -> datetime | None:
        return _moment((await self.load(info)).started_on)

    @field(
        description="Where the status came from; null where it was earned here.",
        at_hand=lambda view: _origin(view.whole.origin),
    )
    async def origin(self, info: Info) -> "Origin | None":
        return _origin((await self.load(info)).origin)

    @field(description="The score of the best attempt, of an assessment; null without attempts.")
    async def score(self, info: Info) -> Score | None:
        best = await assessments.best_score(info.context, self._key())
        return None if best is None else Score.of(best)

    @field(description="The last call that changed it.", at_hand=attrgetter("whole.last_updated_on"))
    async def last_updated_on(self, info: Info) -> datetime | None:
        return _moment((await self.load(info)).last_updated_on)


def _origin(origin: nouns.Origin | None) -> Origin | None:
    return None if origin is None else Origin.of(origin)


def _moment(at: datetime | int | None) -> datetime | None:
    """Of a listed view it is epoch milliseconds, which the scalar takes too."""
    return at  # type: ignore[return-value]


stands_for_node(
    View,
    ListedView,
    (
        *("content_id", "status", "progress", "last_accessed_on", "completed_on"),
        *("collection_id", "context_id", "time_spent", "started_on", "last_updated_on", "origin"),
    ),
    lambda view, _: View.of_listed(view),
    lambda view: (*view.place, view.content_id),
)
stands_for_edge(ListedView, lambda view, _: View.of_listed(view), lambda view: (view.content_id,))


_CONTENT = "The content's identifier: a leaf of the collection, or a content by itself."
_COLLECTION = "The collection it is viewed in; without it the content by itself."
_CONTEXT = "The context it is viewed under; without it the collection by itself."
_USER = "Whose view it is, for a service; otherwise the caller's."
_AT = "When it happened, for a service; otherwise now."
_CALL = "The caller's name for this call: sent again under the same name, it counts once."


@strawberry.input(description="Which view to start.")
class StartViewInput:
    content_id: str = strawberry.field(description=_CONTENT)
    collection_id: str | None = strawberry.field(default=None, description=_COLLECTION)
    context_id: str | None = strawberry.field(default=None, description=_CONTEXT)
    user_id: str | None = strawberry.field(default=None, description=_USER)
    at: datetime | None = strawberry.field(default=None, description=_AT)
    course_id: str | None = platform_name("collectionId")
    batch_id: str | None = platform_name("contextId")

    async def made(
        self, command: Callable[..., Awaitable[nouns.Acknowledged]], *change: nouns.ViewChange
    ) -> nouns.Acknowledged:
        """The command's answer; InvalidInput where an id has two values under its two names."""
        collection_id = nouns.either(self.collection_id, self.course_id, "collectionId", "courseId")
        context_id = nouns.either(self.context_id, self.batch_id, "contextId", "batchId")
        call = nouns.ViewCall(self.content_id, collection_id, context_id, self.user_id, self.at)
        return await command(call, *change)


@strawberry.input(description="Which view to change, and how. What is left out stays as it is.")
class UpdateViewInput(StartViewInput):
    progress: int | None = strawberry.field(
        default=None, description="From 0 to 100. A smaller one than the stored is ignored."
    )
    progress_details: JSON | None = strawberry.field(
        default=None,
        description="An object of at most 16 KB that the player gets back; replaces the last one.",
    )
    time_spent: int | None = strawberry.field(
        default=None, description="Seconds since the last call; added to the stored ones."
    )
    status: enums.Status | None = strawberry.field(
        default=None,
        description="The status the caller believes in; refused where it is below the stored one.",
    )
    call_id: str | None = strawberry.field(default=None, description=_CALL)


@strawberry.input(description="Which view to complete.")
class EndViewInput(StartViewInput):
    progress_details: JSON | None = strawberry.field(
        default=None,
        description="An object of at most 16 KB that the player gets back; replaces the last one.",
    )
    time_spent: int | None = strawberry.field(
        default=None, description="Seconds since the last call; added to the stored ones."
    )
    call_id: str | None = strawberry.field(default=None, description=_CALL)


@strawberry.type(description="What became of a call about a view.", directives=[to(Access.WITH_OBJECT)])
class ViewPayload:
    view: View | None = strawberry.field(description="The view after the call; null where it was refused.")
    token: str | None = strawberry.field(
        description="Send it as `fresh` to read figures that have this change in them; null where it was refused. "
        "Everything else sees the change anyway."
    )
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )

    @classmethod
    def of(cls, outcome: tuple[nouns.Acknowledged | None, list[UserError]]) -> Self:
        done, errors = outcome
        return cls(
            view=View.of(done.view, whole=done.whole) if done else None,
            token=done.token if done else None,
            errors=errors,
        )


@strawberry.type
class ViewMutations:
    @mutation(
        description="Starts a view. One that was started before stays as it is.",
        access=Access.CALLER,
        compiled=True,
    )
    async def start_view(
        self,
        info: Info,
        call: Annotated[
            StartViewInput, strawberry.argument(name="input", description="Which view to start.")
        ],
    ) -> ViewPayload:
        return ViewPayload.of(await carry_out(info, call.made(partial(views.start_view, info.context))))

    @mutation(
        description="Notes progress, details and time of a started view. A completed one stays as it is.",
        access=Access.CALLER,
        compiled=True,
    )
    async def update_view(
        self,
        info: Info,
        call: Annotated[
            UpdateViewInput, strawberry.argument(name="input", description="Which view to change, and how.")
        ],
    ) -> ViewPayload:
        change = nouns.ViewChange(
            at=info.context.now(),
            progress=call.progress,
            progress_details=call.progress_details,
            time_spent=call.time_spent or 0,
            status=call.status,
            call_id=call.call_id,
        )
        return ViewPayload.of(
            await carry_out(info, call.made(partial(views.update_view, info.context), change))
        )

    @mutation(description="Completes a started view.", access=Access.CALLER, compiled=True)
    async def end_view(
        self,
        info: Info,
        call: Annotated[
            EndViewInput, strawberry.argument(name="input", description="Which view to complete.")
        ],
    ) -> ViewPayload:
        change = nouns.ViewChange(
            at=info.context.now(),
            progress_details=call.progress_details,
            time_spent=call.time_spent or 0,
            call_id=call.call_id,
        )
        return ViewPayload.of(await carry_out(info, call.made(partial(views.end_view, info.context), change)))
