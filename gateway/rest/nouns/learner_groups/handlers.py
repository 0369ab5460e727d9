"""The calls about groups of learners."""

from collections.abc import Sequence

from gateway.rest.framework.endpoints import Call
from gateway.rest.nouns.learner_groups.answers import (
    GroupChanged,
    GroupCreated,
    GroupList,
    GroupTold,
    activity_answers,
    group_answer,
    item_errors_answer,
    member_answer,
)
from gateway.rest.nouns.learner_groups.requests import (
    CreateGroup,
    DeleteGroup,
    GroupActivity,
    ListGroups,
    MemberUpdates,
    ReadGroup,
    UpdateGroup,
    UpdateMembership,
)
from resolvers import learner_groups
from resolvers.nouns import (
    Activity,
    AddMember,
    EditMember,
    Forbidden,
    Group,
    GroupCall,
    GroupStatus,
    InvalidInput,
    ItemError,
    Member,
    MemberChange,
    NewGroup,
    RemoveMember,
    Session,
)
from resolvers.paging import MOST

PARTS = ("members", "activities")
"""Parts of a group that are sent only if they are asked for."""


async def create(session: Session, call: Call[CreateGroup]) -> GroupCreated:
    request = call.request
    new = NewGroup(
        name=request.name,
        description=request.description,
        membership_type=request.membership_type,
        members=tuple(AddMember(member.user_id, member.role) for member in request.members),
        activities=_activities(request.activities),
        group_id=request.group_id,
        user_id=request.user_id,
    )
    changed = await learner_groups.create_group(session, new)
    created: GroupCreated = {"groupId": changed.group.group_id}
    if errors := item_errors_answer(changed.item_errors):
        created["error"] = errors
    return created


async def read(session: Session, call: Call[ReadGroup]) -> GroupTold:
    """A group. Its members and activities are sent if ``?fields=members,activities`` names them."""
    for name in call.request.fields:
        if name not in PARTS:
            raise InvalidInput(f"fields: there is no {name}; there are {', '.join(PARTS)}", field="fields")
    group = await learner_groups.group(session, call.path["group_id"])
    result = group_answer(group)
    if "members" in call.request.fields:
        members = await learner_groups.profiled(session, await learner_groups.members(session, group))
        result["members"] = [member_answer(found.member, found.learner.name) for found in members]
    if "activities" in call.request.fields:
        result["activities"] = await activity_answers(session, group)  # type: ignore[typeddict-item]
    return result


async def list_groups(session: Session, call: Call[ListGroups]) -> GroupList:
    """All groups of a learner. Those that they are an admin of come first, as on the platform."""
    user_id = call.request.filters.user_id
    found: list[tuple[Group, Member]] = []
    more, after = True, None
    while more:
        page = await learner_groups.groups_of(session, user_id, first=MOST, after=after)
        found += page.members
        more, after = page.has_more, found[-1][0].group_id if found else None
    return {
        "group": [
            {
                **group_answer(group),
                "memberRole": member.role.value,
                "visited": member.visited,
                "invited": member.invited,
            }
            for group, member in sorted(found, key=lambda pair: pair[1].role.value)
        ]
    }


async def update(session: Session, call: Call[UpdateGroup]) -> GroupChanged:
    """Changes a group, its members, its activities, or its status. The status ``inactive`` deletes the group."""
    request = call.request
    named = {"name": request.name, "description": request.description}
    wanted = GroupCall(
        request.group_id,
        {name: value for name, value in named.items() if value is not None},
        _member_changes(request.members),
        _activities(request.activities.add),
        tuple(request.activities.remove),
    )
    if request.status is GroupStatus.ACTIVE:
        await learner_groups.reactivate_group(session, request.group_id)
    errors: Sequence[ItemError] = ()
    if wanted != GroupCall(request.group_id) or request.status is None:
        errors = (await learner_groups.update_group(session, wanted)).item_errors
    if request.status is GroupStatus.SUSPENDED:
        await learner_groups.suspend_group(session, request.group_id)
    if request.status is GroupStatus.INACTIVE:
        await learner_groups.delete_group(session, request.group_id)
    changed: GroupChanged = {"response": "success"}
    if refused := item_errors_answer(errors):
        changed["error"] = refused
    return changed


async def delete(session: Session, call: Call[DeleteGroup]) -> GroupChanged:
    await learner_groups.delete_group(session, call.request.group_id)
    return {"response": "success"}


async def update_membership(session: Session, call: Call[UpdateMembership]) -> GroupChanged:
    """Marks groups as seen by the caller. As on the platform, nothing else of a membership changes here."""
    if call.request.user_id != session.viewer.known():
        raise Forbidden("userId must be the caller's own", field="userId")
    visited = []
    for group in call.request.groups:
        if group.role is not None or group.status is not None:
            raise Forbidden("only visited can be changed here; group/update changes members", field="groups")
        if group.visited:
            visited.append(group.group_id)
    await learner_groups.visit_groups(session, visited)
    return {"response": "success"}


def _member_changes(members: MemberUpdates) -> tuple[MemberChange, ...]:
    return (
        *(AddMember(member.user_id, member.role) for member in members.add),
        *(EditMember(member.user_id, member.role) for member in members.edit),
        *(RemoveMember(user_id) for user_id in members.remove),
    )


def _activities(given: Sequence[GroupActivity]) -> tuple[Activity, ...]:
    return tuple(Activity(activity.id, activity.type) for activity in given)
