"""What a group does together, and how its members stand in it."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

import strawberry

from graph import enums
from graph.collections import Collection
from graph.fields import field
from graph.info import Info
from graph.node import Node
from graph.paging import After, Connection, First, connection, page_size
from graph.planned import GivenAgain, Planned
from graph.scores import ActivityScore
from resolvers import group_activities, nouns
from resolvers.opaque_texts import decode_cursor
from resolvers.paging import Page, checked_first, checked_many

if TYPE_CHECKING:
    from graph.learners import Learner


def _metrics(known: group_activities.Metrics) -> Any:
    return strawberry.argument(description=f"Only these of {known.described}; all without it.")


@strawberry.type(description="A figure and when it last changed.")
class AggregateMetric:
    metric: str = strawberry.field(description="Which figure: docs/api.md lists them.")
    value: float | None = strawberry.field(
        description="A count, a percentage rounded down, seconds, or a score; null where it is not known, or does not "
        "apply, as enrolments to a single content."
    )
    last_updated_on: datetime | None = strawberry.field(
        description="When it last changed, by the events' own times; null where nothing happened yet."
    )

    @classmethod
    def of(cls, figure: nouns.Figure) -> Self:
        return cls(metric=figure.metric, value=figure.value, last_updated_on=figure.last_updated_on)


@strawberry.type(description="How a member stands in an activity: in the best of their batches.")
class ActivityMember:
    learner: Annotated["Learner", strawberry.lazy("graph.learners")] = strawberry.field(
        description="Who it is."
    )
    role: enums.GroupRole = strawberry.field(description="What the member may do in the group.")
    status: enums.Status | None = strawberry.field(
        description="Completed once nothing required is missing; null where Cohort does not know the activity."
    )
    completion_percentage: int | None = strawberry.field(
        description="Completed of the required leaves, rounded down: the number that the enrolment shows as well."
    )
    score: ActivityScore | None = strawberry.field(
        description="In the assessments of the activity that the member attempted; null where there is none."
    )
    found: strawberry.Private[group_activities.MemberEntry]

    @classmethod
    def of(cls, found: group_activities.MemberEntry, learner: "Learner") -> Self:
        progress = found.entry.progress if found.entry else None
        return cls(
            learner=learner,
            role=found.member.role,
            status=progress.status if progress else None,
            completion_percentage=progress.completion_percentage if progress else None,
            score=ActivityScore.of(found.entry.score) if found.entry else None,
            found=found,
        )

    @field(
        description="The member's figures; zeros where the member has not been in the activity, none where they are "
        "not for the viewer to see."
    )
    def agg(
        self, metrics: Annotated[list[str] | None, _metrics(group_activities.MEMBER_METRICS)] = None
    ) -> list[AggregateMetric]:
        figures = group_activities.chosen(self.found.figures(), metrics, group_activities.MEMBER_METRICS)
        return [AggregateMetric.of(figure) for figure in figures]


@strawberry.type(
    description="What a group does together, with figures over its current members. Another group with the same activity "
    "has another one, with another `id`; so have the figures of the other mode."
)
class GroupActivity(Node):
    activity_id: str = strawberry.field(description="The identifier of the collection, unit or content.")
    type: str = strawberry.field(description="Course, CourseUnit, Quiz …")
    name: str | None = strawberry.field(
        description="The name of the collection, unit or content; null where it is none of Cohort's."
    )
    collection: Collection | None = strawberry.field(
        description="The published collection; null where it is a unit of one, or none of Cohort's."
    )
    source: enums.Source = strawberry.field(description="Where the figures are from.")
    as_of: datetime | None = strawberry.field(
        description="When they were computed; null where no aggregation has reached the activity yet."
    )
    complete: bool = strawberry.field(
        description="False where something may be missing or is not known: an older answer for lack of a new one, an "
        "activity that no aggregation has reached or that Cohort does not know, figures of an older version of the "
        "collection than its leaves, a part of the data that was away."
    )
    mode: enums.AggregationMode = strawberry.field(description="Whether they were computed for the request.")
    group_id: strawberry.Private[str]
    found: strawberry.Private[group_activities.ActivityFigures]
    learners: strawberry.Private[Mapping[str, Any]]

    @classmethod
    def of(
        cls, found: group_activities.ActivityFigures, group_id: str, learners: Mapping[str, "Learner"]
    ) -> Self:
        """``learners``: of its members, by user id; made once for a page of many activities."""
        content = found.content
        is_collection = content is not None and content.kind is enums.ContentKind.COLLECTION
        return cls(
            activity_id=found.activity.id,
            type=found.activity.type,
            name=content.name if content else None,
            collection=Collection.of(content) if content and is_collection else None,
            source=found.source,
            as_of=found.as_of,
            complete=found.complete,
            mode=found.mode,
            group_id=group_id,
            found=found,
            learners=learners,
        )

    def key(self) -> tuple[str, ...]:
        return (self.group_id, self.activity_id, self.type, self.mode.value)

    @field(description="Figures over all current members without those who are invited, whoever asks.")
    def agg(
        self, metrics: Annotated[list[str] | None, _metrics(group_activities.ACTIVITY_METRICS)] = None
    ) -> list[AggregateMetric]:
        figures = group_activities.chosen(self.found.figures, metrics, group_activities.ACTIVITY_METRICS)
        return [AggregateMetric.of(figure) for figure in figures]

    @field(
        description="The current members in the order of user ids, without those who are invited: all of them for the "
        "group's admins and for those who answer for learners, otherwise the viewer alone."
    )
    def members(self, first: First = None, after: After = None) -> Connection[ActivityMember]:
        place, limit = decode_cursor(after, 1), checked_first(page_size(first))
        found = [m for m in self.found.members if place is None or m.member.user_id > place[0]]
        return connection(
            Page(found[:limit], len(found) > limit),
            lambda member: ActivityMember.of(member, self.learners[member.member.user_id]),
            lambda member: (member.member.user_id,),
            begun=place is not None,
        )


class OfGroup(Protocol):
    group: nouns.Group


async def _version_of(
    of: OfGroup, session: nouns.Session, arguments: Mapping[str, Any]
) -> tuple[object, ...]:
    named = checked_many(arguments.get("activity_ids") or (), "activityIds")
    return await group_activities.page_version(session, of.group, named)


@field(
    description="What the group does together, in the order in which it was added, with figures. One plan for all of "
    "them: `extensions.plans` of the answer says which.",
    graphql_type=list[GroupActivity] | None,
    extensions=[GivenAgain(_version_of)],
)
async def activities(
    self: OfGroup,
    info: Info,
    activity_ids: Annotated[
        list[str] | None, strawberry.argument(description="Only these; all of the group's without it.")
    ] = None,
    mode: Annotated[
        enums.AggregationMode | None,
        strawberry.argument(description="How to answer; as the instance is set without it."),
    ] = None,
    fresh: Annotated[
        str | None,
        strawberry.argument(
            description="A token that a mutation gave out: its change is in the figures then."
        ),
    ] = None,
) -> Planned[list[GroupActivity]]:
    named = None if activity_ids is None else dict.fromkeys(checked_many(activity_ids, "activityIds"))
    return _activities_of(
        await group_activities.group_activities(
            info.context, self.group, activities=named, mode=mode, fresh=fresh
        ),
        self.group,
    )


async def group_activity(
    session: nouns.Session, group: nouns.Group, activity_id: str, type_: str, mode: enums.AggregationMode
) -> Planned[GroupActivity]:
    """One of the group's activities, or what stands below one of them. NotFound, Forbidden."""
    page = await group_activities.group_activities(session, group, activities={activity_id: type_}, mode=mode)
    planned = _activities_of(page, group)
    return Planned(planned.value[0], planned.taken, planned.as_of, planned.live)


def _activities_of(page: group_activities.GroupPage, group: nouns.Group) -> Planned[list[GroupActivity]]:
    from graph.learners import Learner

    profiles = {
        one.member.user_id: one.learner for activity in page.activities[:1] for one in activity.members
    }
    learners = {user_id: Learner.of(profile) for user_id, profile in profiles.items()}
    answer = [GroupActivity.of(activity, group.group_id, learners) for activity in page.activities]
    return Planned(answer, page.taken, page.as_of, page.live)
