"""The members of a group."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self

import strawberry

from graph import enums, group_enums
from graph.access import Access, to
from graph.metrics import OrderDirection
from graph.paging import Connection
from resolvers import learner_groups

if TYPE_CHECKING:
    from graph.learners import Learner


@strawberry.type(description="A learner in a group.", directives=[to(Access.WITH_OBJECT)])
class GroupMember:
    user_id: str = strawberry.field(description="The learner's user id.")
    learner: Annotated["Learner", strawberry.lazy("graph.learners")] = strawberry.field(
        description="Who it is. Members see each other's names, but not those of the invited; the rest is for those "
        "who may see the learner."
    )
    role: enums.GroupRole = strawberry.field(description="What the member may do in the group.")
    status: enums.MemberStatus = strawberry.field(description="Always ACTIVE in a list of members.")
    visited: bool = strawberry.field(description="Whether the member has seen the group's page.")
    invited: bool = strawberry.field(
        description="Whether a fellow learner added them and they have not opened the group yet. Until then they are in "
        "no figures and in no count, and the group is none of those that they may be in."
    )
    created_on: datetime | None = strawberry.field(description="When the member was added, last.")
    created_by: str | None = strawberry.field(description="Who added the member: a user id.")
    updated_on: datetime | None = strawberry.field(description="When the role last changed.")
    updated_by: str | None = strawberry.field(description="Who last changed the role: a user id.")

    @classmethod
    def of(cls, found: learner_groups.Profiled) -> Self:
        from graph.learners import Learner

        member = found.member
        return cls(
            user_id=member.user_id,
            learner=Learner.of(found.learner),
            role=member.role,
            status=member.status,
            visited=member.visited,
            invited=member.invited,
            created_on=member.created_on,
            created_by=member.created_by,
            updated_on=member.updated_on,
            updated_by=member.updated_by,
        )


@strawberry.type(description="A page of the members of a group.", directives=[to(Access.WITH_OBJECT)])
class GroupMemberConnection(Connection[GroupMember]):
    total_count: int = strawberry.field(
        description="How many there are by the filter, of those whom the viewer is told of."
    )


@strawberry.input(description="Which members of a group a list is of.")
class GroupMemberFilter:
    role: list[enums.GroupRole] | None = strawberry.field(
        default=None, description="Only those who have one of these roles."
    )


@strawberry.input(
    description="The order of a list of members. What it leaves open is ordered by the user id. Whose name is not known, or not "
    "shown, is before all others, going up."
)
class GroupMemberOrder:
    by: group_enums.GroupMemberOrderBy = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="From the smallest or from the largest."
    )
