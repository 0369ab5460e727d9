"""Groups of learners: who learns together, and what."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Self

import strawberry
from strawberry import UNSET

from graph import enums, group_enums
from graph.access import Access, to
from graph.arguments import chosen
from graph.errors import ErrorCode, UserError, carry_out
from graph.fields import field, mutation
from graph.group_activities import activities
from graph.group_members import GroupMember, GroupMemberConnection, GroupMemberFilter, GroupMemberOrder
from graph.info import Info
from graph.metrics import OrderDirection
from graph.node import Node
from graph.paging import After, Before, First, Last, connection
from resolvers import learner_groups, nouns
from resolvers.group_members import GroupMembersWanted
from resolvers.ordering import PARTS
from resolvers.paging import asked

_NAME = "For people."
_DESCRIPTION = "For people, longer."
_MEMBERSHIP = "How one becomes a member."
_ROLE = "What the member may do in the group."

GroupId = Annotated[str, strawberry.argument(description="The group's id.")]


@strawberry.type(
    description="Learners who learn together. Its members see it, and those who answer for learners; "
    "its admins change it.",
    directives=[to(Access.GROUP_MEMBERS)],
)
class Group(Node):
    group_id: str = strawberry.field(description="The group's id.")
    name: str = strawberry.field(description=_NAME)
    description: str | None = strawberry.field(description=_DESCRIPTION)
    status: enums.GroupStatus = strawberry.field(description="A suspended group can be read but not changed.")
    membership_type: enums.MembershipType = strawberry.field(description=_MEMBERSHIP)
    members_count: int = strawberry.field(
        description="Members, without former ones and without those who are invited."
    )
    membership_version: str = strawberry.field(
        description="Another one after each change of the members or activities, and never the same again; opaque."
    )
    created_on: datetime | None = strawberry.field(description="When the group was created.")
    created_by: str | None = strawberry.field(description="Who created it: a user id.")
    updated_on: datetime | None = strawberry.field(
        description="When its name, status or activities last changed; null if never."
    )
    updated_by: str | None = strawberry.field(description="Who changed them: a user id.")
    group: strawberry.Private[nouns.Group]

    @classmethod
    def of(cls, group: nouns.Group) -> Self:
        return cls(
            group_id=group.group_id,
            name=group.name,
            description=group.description,
            status=group.status,
            membership_type=group.membership_type,
            members_count=group.members_count,
            membership_version=str(group.version),
            created_on=group.created_on,
            created_by=group.created_by,
            updated_on=group.updated_on,
            updated_by=group.updated_by,
            group=group,
        )

    def key(self) -> tuple[str, ...]:
        return (self.group_id,)

    @field(description="The viewer's own membership; null where the viewer is no member.")
    async def membership(self, info: Info) -> GroupMember | None:
        found = await learner_groups.own_membership(info.context, self.group)
        return None if found is None else GroupMember.of(found)

    @field(
        description="The members, without former ones, in the order of user ids unless told. Of those who are invited the "
        "group's admins and those who answer for learners are told, beside they themselves."
    )
    async def members(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Annotated[  # noqa: A002 - the schema's name for it
            GroupMemberFilter | None, strawberry.argument(description="Which of them; all without it.")
        ] = None,
        order_by: Annotated[
            GroupMemberOrder | None, strawberry.argument(description="In which order.")
        ] = None,
    ) -> GroupMemberConnection | None:
        page_asked = asked(first, after, last, before, parts=PARTS)
        order = order_by or GroupMemberOrder(by=group_enums.GroupMemberOrderBy.USER_ID)
        wanted = GroupMembersWanted(
            None if filter is None else chosen(filter.role), order.by, order.direction is OrderDirection.DESC
        )
        page = await learner_groups.members_page(info.context, self.group, wanted, page_asked)
        found = connection(page, GroupMember.of, wanted.ordering.place)
        return GroupMemberConnection(
            edges=found.edges, page_info=found.page_info, total_count=page.total or 0
        )

    activities = activities


@strawberry.input(description="Who is to be a member, and in which role.")
class GroupMemberInput:
    user_id: str = strawberry.field(description="The learner's user id.")
    role: enums.GroupRole = strawberry.field(default=enums.GroupRole.MEMBER, description=_ROLE)


@strawberry.input(description="Something that a group does together.")
class GroupActivityInput:
    activity_id: str = strawberry.field(
        description="The identifier, for a Course or CourseUnit of a published one."
    )
    type: str = strawberry.field(description="Course, CourseUnit, Quiz …")

    def activity(self) -> nouns.Activity:
        return nouns.Activity(self.activity_id, self.type)


@strawberry.input(description="What to change of a group's members. Former ones may be added again.")
class GroupMembersInput:
    add: list[GroupMemberInput] = strawberry.field(default_factory=list, description="Who comes.")
    edit: list[GroupMemberInput] = strawberry.field(
        default_factory=list, description="Whose role changes, and to which."
    )
    remove: list[str] = strawberry.field(default_factory=list, description="Who goes: user ids.")

    def changes(self) -> tuple[nouns.MemberChange, ...]:
        return (
            *(nouns.AddMember(member.user_id, member.role) for member in self.add),
            *(nouns.EditMember(member.user_id, member.role) for member in self.edit),
            *(nouns.RemoveMember(user_id) for user_id in self.remove),
        )


@strawberry.input(description="What to change of a group's activities.")
class GroupActivitiesInput:
    add: list[GroupActivityInput] = strawberry.field(default_factory=list, description="What comes.")
    remove: list[str] = strawberry.field(default_factory=list, description="What goes: identifiers.")


@strawberry.input(description="A group to be. Whoever creates it is its admin.")
class CreateGroupInput:
    name: str = strawberry.field(description=_NAME)
    description: str | None = strawberry.field(default=None, description=_DESCRIPTION)
    membership_type: enums.MembershipType = strawberry.field(
        default=enums.MembershipType.INVITE_ONLY, description=_MEMBERSHIP
    )
    members: list[GroupMemberInput] = strawberry.field(
        default_factory=list, description="Its members, beside the creator."
    )
    activities: list[GroupActivityInput] = strawberry.field(
        default_factory=list, description="What it does together."
    )
    group_id: str | None = strawberry.field(
        default=None,
        description="An id, for a service, which may send the call again; without it, it gets one.",
    )
    user_id: str | None = strawberry.field(
        default=None, description="Who creates it, for a service; a service that names nobody makes no admin."
    )

    def new(self) -> nouns.NewGroup:
        return nouns.NewGroup(
            name=self.name,
            description=self.description,
            membership_type=self.membership_type,
            members=tuple(nouns.AddMember(member.user_id, member.role) for member in self.members),
            activities=tuple(activity.activity() for activity in self.activities),
            group_id=self.group_id,
            user_id=self.user_id,
        )


@strawberry.input(description="What to change of a group: what is left out stays, null clears.")
class UpdateGroupInput:
    group_id: str = strawberry.field(description="Which group.")
    name: str | None = strawberry.field(default=UNSET, description=_NAME)
    description: str | None = strawberry.field(default=UNSET, description=_DESCRIPTION)
    members: GroupMembersInput | None = strawberry.field(default=None, description="Who comes and goes.")
    activities: GroupActivitiesInput | None = strawberry.field(
        default=None, description="What it does from now on, and what no more."
    )

    def call(self) -> nouns.GroupCall:
        named = {"name": self.name, "description": self.description}
        activities = self.activities or GroupActivitiesInput()
        return nouns.GroupCall(
            self.group_id,
            {name: value for name, value in named.items() if value is not UNSET},
            self.members.changes() if self.members else (),
            tuple(activity.activity() for activity in activities.add),
            tuple(activities.remove),
        )


@strawberry.type(
    description="An item of a call that was refused while the others were not.",
    directives=[to(Access.WITH_OBJECT)],
)
class GroupItemError:
    kind: enums.GroupItemKind = strawberry.field(description="What the item is about.")
    item_id: str = strawberry.field(description="Its user id or identifier.")
    code: ErrorCode = strawberry.field(description="For programs.")
    message: str = strawberry.field(description="For people: what would be right.")

    @classmethod
    def of(cls, error: nouns.ItemError) -> Self:
        return cls(kind=error.kind, item_id=error.id, code=error.code, message=error.message)


@strawberry.enum(description="Why an item of a call that was done is worth a look.")
class GroupNoteCode(Enum):
    LEARNER_UNKNOWN = strawberry.enum_value(
        "LEARNER_UNKNOWN",
        description="Nothing is known of the user id: no profile came of it, and it never enrolled. The id may be wrong; or the "
        "learner is new, and the profile comes.",
    )


@strawberry.type(
    description="An item of a call that was done, and that is worth a look.",
    directives=[to(Access.WITH_OBJECT)],
)
class GroupItemNote:
    kind: enums.GroupItemKind = strawberry.field(description="What the item is about.")
    item_id: str = strawberry.field(description="Its user id or identifier.")
    code: GroupNoteCode = strawberry.field(description="For programs.")
    message: str = strawberry.field(description="For people.")


@strawberry.type(description="What became of a call about a group.", directives=[to(Access.WITH_OBJECT)])
class GroupPayload:
    group: Group | None = strawberry.field(description="The group after the call; null where it was refused.")
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )
    item_errors: list[GroupItemError] = strawberry.field(
        description="Which members or activities were refused while the rest of the call was done."
    )
    changed: strawberry.Private[nouns.GroupChanged | None]

    @classmethod
    def of(cls, outcome: tuple[nouns.GroupChanged | None, list[UserError]]) -> Self:
        changed, errors = outcome
        refused: Sequence[nouns.ItemError] = changed.item_errors if changed else ()
        return cls(
            group=Group.of(changed.group) if changed else None,
            errors=errors,
            item_errors=[GroupItemError.of(error) for error in refused],
            changed=changed,
        )

    @field(
        description="Added members of whom nothing is known. They are members all the same. Two statements, where it is "
        "asked for."
    )
    async def item_notes(self, info: Info) -> list[GroupItemNote] | None:
        if self.changed is None:
            return []
        return [
            GroupItemNote(
                kind=enums.GroupItemKind.MEMBER,
                item_id=user_id,
                code=GroupNoteCode.LEARNER_UNKNOWN,
                message=f"nothing is known of {user_id}: is the id right?",
            )
            for user_id in await learner_groups.unknown_members(info.context, self.changed)
        ]


@strawberry.type(description="What became of a call to delete a group.", directives=[to(Access.WITH_OBJECT)])
class DeleteGroupPayload:
    group_id: str | None = strawberry.field(
        description="The id of the group that is no more; null where the call was refused."
    )
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )


@strawberry.type
class GroupQueries:
    @field(
        description="A group, suspended ones too. NOT_FOUND where there is none, "
        "FORBIDDEN to who is neither a member nor answers for learners.",
        access=Access.GROUP_MEMBERS,
    )
    async def group(self, info: Info, group_id: GroupId) -> Group | None:
        return Group.of(await learner_groups.group(info.context, group_id))


@strawberry.type
class GroupMutations:
    @mutation(description="Creates a group, whose admin the caller is.", access=Access.CALLER)
    async def create_group(
        self,
        info: Info,
        call: Annotated[CreateGroupInput, strawberry.argument(name="input", description="The group to be.")],
    ) -> GroupPayload:
        return GroupPayload.of(await carry_out(info, learner_groups.create_group(info.context, call.new())))

    @mutation(
        description="Changes a group's name, description, members or activities. For admins of the group, "
        "an admin or a service.",
        access=Access.GROUP_ADMINS,
    )
    async def update_group(
        self,
        info: Info,
        call: Annotated[
            UpdateGroupInput, strawberry.argument(name="input", description="Which group, and what of it.")
        ],
    ) -> GroupPayload:
        return GroupPayload.of(await carry_out(info, learner_groups.update_group(info.context, call.call())))

    @mutation(
        description="Suspends a group: it can be read, left, reactivated and deleted. "
        "For admins of the group, an admin or a service.",
        access=Access.GROUP_ADMINS,
    )
    async def suspend_group(self, info: Info, group_id: GroupId) -> GroupPayload:
        return GroupPayload.of(await carry_out(info, learner_groups.suspend_group(info.context, group_id)))

    @mutation(
        description="Ends the suspension of a group. For admins of the group, an admin or a service.",
        access=Access.GROUP_ADMINS,
    )
    async def reactivate_group(self, info: Info, group_id: GroupId) -> GroupPayload:
        return GroupPayload.of(await carry_out(info, learner_groups.reactivate_group(info.context, group_id)))

    @mutation(
        description="Deletes a group for good. For admins of the group, an admin or a service.",
        access=Access.GROUP_ADMINS,
    )
    async def delete_group(self, info: Info, group_id: GroupId) -> DeleteGroupPayload:
        changed, errors = await carry_out(info, learner_groups.delete_group(info.context, group_id))
        return DeleteGroupPayload(group_id=changed.group.group_id if changed else None, errors=errors)

    @mutation(
        description="The caller has opened the group: who was invited is a member from now on, whose name the other "
        "members see, and how they stand its admins. NOT_FOUND where the caller is no member, LIMIT_REACHED where they "
        "were invited and are in as many groups as a learner may be in.",
        access=Access.SIGNED_IN,
    )
    async def visit_group(self, info: Info, group_id: GroupId) -> GroupPayload:
        return GroupPayload.of(await carry_out(info, learner_groups.visit_group(info.context, group_id)))

    @mutation(
        description="Ends the caller's membership. LAST_ADMIN where the others would be left without an admin, "
        "NOT_FOUND where the caller was never in the group.",
        access=Access.SIGNED_IN,
    )
    async def leave_group(self, info: Info, group_id: GroupId) -> GroupPayload:
        return GroupPayload.of(await carry_out(info, learner_groups.leave_group(info.context, group_id)))
