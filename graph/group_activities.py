"""What a group does together, and how its members stand in it."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

import strawberry

from graph import enums, group_enums
from graph.access import Access, to
from graph.activity_members import (
    ONLY_METRICS,
    ActivityMember,
    ActivityMemberConnection,
    ActivityMemberFilter,
    ActivityMemberOrder,
    AggregateMetric,
    members_wanted,
    metrics_of,
)
from graph.collections import Collection
from graph.execution.lookahead import is_asked
from graph.execution.planned import GivenAgain, Planned
from graph.fields import field
from graph.info import Info
from graph.node import Node
from graph.paging import After, Before, First, Last, connection
from resolvers import group_activities, nouns
from resolvers.ordering import PARTS
from resolvers.paging import asked, checked_many

if TYPE_CHECKING:
    from graph.learners import Learner


@strawberry.type(
    description="What the members scored in one assessment of an activity.",
    directives=[to(Access.WITH_OBJECT)],
)
class ActivityAssessment:
    content_id: str = strawberry.field(description="The assessment: a leaf of the activity, or it itself.")
    average_score: float = strawberry.field(
        description="The mean of the best scores, in points, of the members who count and attempted it; two decimals."
    )
    last_attempted_on: datetime | None = strawberry.field(description="When one of them attempted it last.")


def _figure(metric: group_enums.GroupActivityMetric, description: str, type_: Any) -> Any:
    """A field that is one of the figures; null where Cohort does not know the activity."""

    def read(self: "GroupActivity") -> Any:
        return self.found.value(metric)

    return field(description=description, graphql_type=type_)(read)


@strawberry.type(
    description="What a group does together, with figures over its current members. Another group with the same activity "
    "has another one, with another `id`; so have the figures of the other mode.",
    directives=[to(Access.GROUP_MEMBERS)],
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
        self,
        metrics: Annotated[
            list[group_enums.GroupActivityMetric] | None, strawberry.argument(description=ONLY_METRICS)
        ] = None,
    ) -> list[AggregateMetric]:
        return metrics_of(self.found.figures, metrics)

    enrolled_count: int | None = _figure(
        group_enums.GroupActivityMetric.ENROLLED_COUNT,
        "Members who have an active enrolment; null for a single content, in which nobody enrols.",
        int | None,
    )
    completed_members_count: int | None = _figure(
        group_enums.GroupActivityMetric.COMPLETED_COUNT,
        "Of the members who count, who completed it: of those who are enrolled, and for a single content of all. In `agg` it "
        "is `completedCount`.",
        int | None,
    )
    completed_members_percentage: int | None = _figure(
        group_enums.GroupActivityMetric.COMPLETION_PERCENTAGE,
        "The same of 100 of them, rounded down. In `agg` it is `completionPercentage`.",
        int | None,
    )
    leaf_nodes_count: int | None = _figure(
        group_enums.GroupActivityMetric.LEAF_NODES_COUNT,
        "The distinct leaves of its tree, optional ones too; 1 for a single content.",
        int | None,
    )
    average_score: float | None = _figure(
        group_enums.GroupActivityMetric.AVERAGE_SCORE,
        "The mean of the members' score percentages, with two decimals; null where nobody was scored.",
        float | None,
    )

    @field(
        description="Assessments that somebody who counts attempted, in the order of their identifiers; none where Cohort "
        "does not know the activity."
    )
    def assessments(self) -> list[ActivityAssessment]:
        return [
            ActivityAssessment(
                content_id=content_id,
                average_score=figure.value or 0.0,
                last_attempted_on=nouns.known_moment(figure.last_updated_on),
            )
            for content_id, figure in self.found.assessments()
        ]

    @field(
        description="The current members, without those who are invited, in the order of user ids unless told: all of them "
        "for the group's admins and for those who answer for learners, otherwise the viewer alone. All are in memory, so "
        "every order costs the same."
    )
    def members(
        self,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Annotated[  # noqa: A002 - the schema's name for it
            ActivityMemberFilter | None, strawberry.argument(description="Which of them; all without it.")
        ] = None,
        order_by: Annotated[
            ActivityMemberOrder | None, strawberry.argument(description="In which order.")
        ] = None,
    ) -> ActivityMemberConnection:
        wanted = members_wanted(filter, order_by)
        ordering = wanted.ordering
        page = ordering.page(wanted.among(self.found.members), asked(first, after, last, before, parts=PARTS))
        found = connection(
            page,
            lambda member: ActivityMember(learner=self.learners[member.member.user_id], found=member),
            ordering.place,
        )
        return ActivityMemberConnection(
            edges=found.edges, page_info=found.page_info, total_count=page.total or 0
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
            info.context,
            self.group,
            activities=named,
            mode=mode,
            fresh=fresh,
            with_left=is_asked(info, "leftOn"),
        ),
        self.group,
    )


async def group_activity(
    info: Info, group: nouns.Group, activity_id: str, type_: str, mode: enums.AggregationMode
) -> Planned[GroupActivity]:
    """One of the group's activities, or what stands below one of them. NotFound, Forbidden."""
    page = await group_activities.group_activities(
        info.context, group, activities={activity_id: type_}, mode=mode, with_left=is_asked(info, "leftOn")
    )
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
