"""How members stand in what their group does together."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

import strawberry

from graph import enums, group_enums
from graph.access import Access, to
from graph.arguments import chosen
from graph.execution.light import stands_for
from graph.fields import field
from graph.metrics import OrderDirection
from graph.paging import Connection
from graph.scores import ActivityScore, Score
from resolvers import group_activities, nouns
from resolvers.group_members import ActivityMembersWanted

if TYPE_CHECKING:
    from graph.learners import Learner

ONLY_METRICS = "Only these; all without it."


@strawberry.type(description="A figure and when it last changed.", directives=[to(Access.WITH_OBJECT)])
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
        """The whole object of a figure, whose moment the scalar takes in epoch milliseconds."""
        return cls(metric=figure.metric, value=figure.value, last_updated_on=figure.last_updated_on)  # type: ignore[arg-type]


stands_for(AggregateMetric, nouns.Figure, nouns.Figure._fields, lambda figure, _: AggregateMetric.of(figure))


def metrics_of(figures: Sequence[nouns.Figure], kinds: Sequence[Enum] | None) -> list[AggregateMetric]:
    """The figures, of these kinds alone where there are some; each stands for its metric."""
    return cast("list[AggregateMetric]", group_activities.of_kinds(figures, kinds))


@strawberry.type(
    description="What a member scored in one assessment of an activity.", directives=[to(Access.WITH_OBJECT)]
)
class MemberAssessment:
    content_id: str = strawberry.field(description="The assessment: a leaf of the activity, or it itself.")
    best: Score = strawberry.field(description="Of the best attempt.")
    attempts_count: int = strawberry.field(description="Attempts that have a score.")
    last_attempted_on: datetime | None = strawberry.field(
        description="When the last of them was; null where none told its time."
    )

    @classmethod
    def of(cls, content_id: str, best: nouns.Best) -> Self:
        return cls(
            content_id=content_id,
            best=Score(score=best.score, max_score=best.max_score, percentage=best.percentage),
            attempts_count=best.attempts,
            last_attempted_on=best.attempted_on,
        )


def _of_entry(description: str, value: Callable[[nouns.Entry], Any], type_: Any) -> Any:
    """A field that an entry has; null where Cohort does not know the activity."""

    def read(self: "ActivityMember") -> Any:
        entry = self.found.entry
        return None if entry is None else value(entry)

    return field(description=description, graphql_type=type_)(read)


def _of_found(description: str, attribute: str, type_: Any) -> Any:
    """A field that the member has, or what the member is found as."""
    get = attrgetter(f"found.{attribute}")

    def read(self: "ActivityMember") -> Any:
        return get(self)

    return field(description=description, graphql_type=type_, at_hand=get)(read)


@strawberry.type(
    description="How a member stands in an activity: in the best of their batches. Null is what is not known: all of it where "
    "Cohort does not know the activity.",
    directives=[to(Access.WITH_OBJECT)],
)
class ActivityMember:
    learner: Annotated["Learner", strawberry.lazy("graph.learners")] = strawberry.field(
        description="Who it is."
    )
    found: strawberry.Private[group_activities.MemberEntry]
    role: enums.GroupRole = _of_found("What the member may do in the group.", "member.role", enums.GroupRole)
    status: enums.Status | None = _of_found(
        "Completed once nothing required is missing; null where Cohort does not know the activity.",
        "status",
        enums.Status | None,
    )
    completion_percentage: int | None = _of_found(
        "Completed of the required leaves, rounded down: the number that the enrolment shows as well.",
        "completion_percentage",
        int | None,
    )

    score: ActivityScore | None = _of_entry(
        "In the assessments of the activity that the member attempted; null where there is none.",
        lambda entry: None if entry.scores is None else ActivityScore.of(entry.score),
        ActivityScore | None,
    )

    @field(
        description="Whether the member has an active enrolment in it; false for one who left, and for one who never was in "
        "it. Null for a single content, in which nobody enrols."
    )
    def enrolled(self) -> bool | None:
        return self.found.enrolled

    enrolled_on: datetime | None = _of_entry(
        "When the member enrolled first; null where they never did.",
        lambda entry: entry.enrolled_on,
        datetime | None,
    )

    @field(
        description="When the member left what they are no more enrolled in; null for all others. In batch mode of the last "
        "aggregation, as `enrolled`. Asked for, it costs a look at the enrolments of those who left."
    )
    def left_on(self) -> datetime | None:
        return self.found.left_on

    last_accessed_on: datetime | None = _of_entry(
        "The last view of any of its leaves; null where there was none.",
        lambda entry: entry.last_accessed_on,
        datetime | None,
    )
    completed_count: int | None = _of_entry(
        "Required leaves that the member completed. (`completedMembersCount` of the activity counts members.)",
        lambda entry: entry.completed_count,
        int | None,
    )

    @field(
        description="Required leaves, in the version that the figures are of; null too for a member who has not been in the "
        "activity, of whom nothing was computed."
    )
    def required_count(self) -> int | None:
        return self.found.required_count

    time_spent: int | None = _of_entry("Seconds.", lambda entry: entry.time_spent, int | None)

    @field(
        description="The assessments of the activity that the member attempted, in the order of their identifiers; null where "
        "Cohort does not know the activity."
    )
    def assessments(self) -> list[MemberAssessment] | None:
        entry = self.found.entry
        if entry is None:
            return None
        return [MemberAssessment.of(*each) for each in sorted(entry.score.assessments.items())]

    @field(
        description="The member's figures; zeros where the member has not been in the activity, none where they are "
        "not for the viewer to see. Its `completedCount` counts leaves, not members."
    )
    def agg(
        self,
        metrics: Annotated[
            list[group_enums.MemberMetric] | None, strawberry.argument(description=ONLY_METRICS)
        ] = None,
    ) -> list[AggregateMetric]:
        figures = self.found.figures()
        return figures if metrics is None else metrics_of(figures, metrics)  # type: ignore[return-value] # they stand for them


@strawberry.type(description="A page of the members in an activity.", directives=[to(Access.WITH_OBJECT)])
class ActivityMemberConnection(Connection[ActivityMember]):
    total_count: int = strawberry.field(
        description="How many there are by the filter, of those whom the viewer may see."
    )


@strawberry.input(description="Which members in an activity a list is of.")
class ActivityMemberFilter:
    role: list[enums.GroupRole] | None = strawberry.field(
        default=None, description="Only those who have one of these roles."
    )
    status: list[enums.Status] | None = strawberry.field(
        default=None, description="Only those who stand so in the activity."
    )


@strawberry.input(
    description="The order of a list of members in an activity. What it leaves open is ordered by the user id. Who has no "
    "name, figures or access is before all others, going up."
)
class ActivityMemberOrder:
    by: group_enums.ActivityMemberOrderBy = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="From the smallest or from the largest."
    )


def members_wanted(
    filter_: ActivityMemberFilter | None, order: ActivityMemberOrder | None
) -> ActivityMembersWanted:
    named = filter_ or ActivityMemberFilter()
    order = order or ActivityMemberOrder(by=group_enums.ActivityMemberOrderBy.USER_ID)
    descending = order.direction is OrderDirection.DESC
    return ActivityMembersWanted(chosen(named.role), chosen(named.status), order.by, descending)
