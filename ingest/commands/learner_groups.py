"""Groups of learners: create, change, suspend, delete."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from ingest.commands.group_calls import MOST_ATTEMPTS, Changed, announce, send_change, stored_group
from ingest.commands.group_members import (
    author_of,
    change_members,
    erase_member,
    full_learners,
    too_many_groups,
)
from ingest.writes.retrying import Attempts
from loaders.learner_groups import group_values, groups_by_id, roster_of
from loaders.session import Session
from rules.contents import ContentKind
from rules.errors import Conflict, Forbidden, InvalidInput, LimitReached, NotFound
from rules.group_access import check_active, check_may_change
from rules.group_changes import (
    AddMember,
    ItemError,
    Kind,
    MemberChange,
    RemoveMember,
    activities_after,
    check_many,
    checked_activity,
)
from rules.identifiers import checked_id
from rules.learner_groups import Activity, Group, GroupRole, GroupStatus, MembershipType, is_published_type
from rules.texts import checked_description, checked_name
from rules.viewers import Role
from stores.rows import Equal
from stores.tables import LEARNER_GROUPS


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A group to be created.

    - ``user_id``, for a service: who creates it and becomes its admin. If a service names nobody, the group has no
      admin.
    - ``group_id``, for a service: so that it may send the call again.
    """

    name: str
    description: str | None = None
    membership_type: MembershipType = MembershipType.INVITE_ONLY
    members: tuple[AddMember, ...] = ()
    activities: tuple[Activity, ...] = ()
    group_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class GroupCall:
    """What a call changes. ``values`` holds what changes of name, description and membership_type, by these names.

    Activities are removed by their ids.
    """

    group_id: str
    values: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[MemberChange, ...] = ()
    add_activities: tuple[Activity, ...] = ()
    remove_activities: tuple[str, ...] = ()


async def create_group(session: Session, new: NewGroup) -> Changed:
    """Creates the group with its creator as admin, and returns it.

    Members come first and the group itself last, so it is there whole or not at all. Activities or members that are
    refused are named in ``item_errors``. Its members are invited until they open it, unless the caller answers for
    learners (rules/learner_groups.py).

    Raises LimitReached if the creator is in all the groups they may be in, or if there are too many members or
    activities. Raises InvalidInput if another group has the id. Raises Forbidden.
    """
    viewer, limits = session.viewer, session.shared.group_limits
    by = viewer.acting_for(None if new.user_id is None else checked_id(new.user_id, "userId"))
    if new.group_id is not None and not viewer.has(Role.SERVICE):
        raise Forbidden("only a service may choose the id of a group", field="groupId")
    has_creator = new.user_id is not None or not viewer.has(Role.SERVICE)
    now = viewer.time_of_call(None, session.now())
    members = [AddMember(by, GroupRole.ADMIN)] if has_creator else []
    members += [m for m in map(_checked_member, new.members) if isinstance(m, AddMember) and m.user_id != by]
    if len({member.user_id for member in members}) > limits.members:
        raise LimitReached(f"a group has at most {limits.members} members", field="members")
    wanted = [checked_activity(activity) for activity in new.activities]
    if len({activity.id for activity in wanted}) > limits.activities:
        raise LimitReached(f"a group has at most {limits.activities} activities", field="activities")
    known, unknown = await _known_activities(session, wanted)
    activities, errors = activities_after((), known, (), limits)
    group = Group(
        group_id=uuid4().hex if new.group_id is None else checked_id(new.group_id, "groupId"),
        name=checked_name(new.name),
        description=checked_description(new.description),
        membership_type=new.membership_type,
        activities=activities,
        created_by=by,
        created_on=now,
    )
    (stored,) = await groups_by_id(session.stores.rows, [group.group_id]) if new.group_id else [None]
    _check_same(group, stored)
    if has_creator and await full_learners(session, [by], {group.group_id}):
        raise too_many_groups(session, by, "userId")
    refused = await change_members(session, group.group_id, members, author_of(session, by, now))
    if stored is None:
        row = {"groupid": group.group_id, "version": 1, **group_values(group)}
        applied = await session.stores.rows.insert_if_absent(LEARNER_GROUPS, row)
        if not applied.applied:
            _check_same(group, *await groups_by_id(session.stores.rows, [group.group_id]))
    return await announce(session, group.group_id, [*unknown, *errors, *refused], members)


async def update_group(session: Session, call: GroupCall) -> Changed:
    """Changes the group. Returns it as it is after the call, and what was refused.

    If a call got no answer, it may be sent again. A member may remove themselves (and nothing else). Raises NotFound,
    Forbidden, GroupSuspended, InvalidInput, Conflict.
    """
    viewer = session.viewer
    by, now = viewer.known(), viewer.time_of_call(None, session.now())
    members = [_checked_member(change) for change in check_many(call.members, "members")]
    adds = [checked_activity(activity) for activity in check_many(call.add_activities, "activities")]
    removed = [checked_id(identifier, "activities.remove") for identifier in call.remove_activities]
    values = _checked_values(call.values)
    stored, roster = await stored_group(session.stores.rows, call.group_id)
    leaves = members == [RemoveMember(by)] and not (values or adds or removed)
    if not (leaves and by in roster.members):
        check_may_change(viewer, roster)
        check_active(stored)
    known, errors = await _known_activities(session, adds)
    if values or known or removed:
        refused: list[ItemError] = []

        def changed(group: Group) -> Group:
            check_active(group)
            activities, refused[:] = activities_after(
                group.activities, known, removed, session.shared.group_limits
            )
            return replace(group, **values, activities=activities)

        await _change_group(session, stored, changed, by, now)
        errors += refused
    if members:
        errors += await change_members(session, stored.group_id, members, author_of(session, by, now))
    return await announce(session, stored.group_id, errors, members)


async def suspend_group(session: Session, group_id: str) -> Changed:
    """Suspends the group: it can be read, but not changed until it is reactivated. Raises NotFound, Forbidden,
    Conflict."""
    return await _change_status(session, group_id, GroupStatus.SUSPENDED)


async def reactivate_group(session: Session, group_id: str) -> Changed:
    """Ends the suspension of the group. Raises NotFound, Forbidden, Conflict."""
    return await _change_status(session, group_id, GroupStatus.ACTIVE)


async def delete_group(session: Session, group_id: str) -> Changed:
    """Deletes the group. Returns it as it was, inactive.

    From the first write on nobody finds it. The rest only tidies up, so if the call died, the same caller may send it
    again. It needs the rights that changing the group needs. Raises NotFound, Forbidden, Conflict.
    """
    viewer, rows = session.viewer, session.stores.rows
    by, now = viewer.known(), viewer.time_of_call(None, session.now())
    group_id = checked_id(group_id, "groupId")
    (stored,), roster = await asyncio.gather(groups_by_id(rows, [group_id]), roster_of(rows, group_id))
    again = stored is not None and stored.status is GroupStatus.INACTIVE
    if stored is None or (again and stored.updated_by != by and not viewer.has(Role.ADMIN, Role.SERVICE)):
        raise NotFound(f"there is no group {group_id}", field="groupId")
    if not again:
        check_may_change(viewer, roster)
        # What is left of the group says only that the id is taken and who may send the call again.
        await _change_group(
            session,
            stored,
            lambda group: Group(group.group_id, "", status=GroupStatus.INACTIVE, created_on=group.created_on),
            by,
            now,
        )
        roster = await roster_of(rows, stored.group_id)
    while roster.members:
        roster = await erase_member(rows, roster, min(roster.members))
    (left,) = await groups_by_id(rows, [stored.group_id])
    assert left is not None  # noqa: S101 - a deleted group keeps its row
    await send_change(session.stores, left.group_id, left.version)
    session.refresh()
    return Changed(replace(stored, status=GroupStatus.INACTIVE, version=left.version, members_count=0))


async def _change_status(session: Session, group_id: str, status: GroupStatus) -> Changed:
    stored, roster = await stored_group(session.stores.rows, group_id)
    check_may_change(session.viewer, roster)
    by, now = session.viewer.known(), session.viewer.time_of_call(None, session.now())
    await _change_group(session, stored, lambda group: replace(group, status=status), by, now)
    return await announce(session, stored.group_id, [])


async def _change_group(
    session: Session, stored: Group, change: Callable[[Group], Group], by: str, at: datetime
) -> None:
    """Writes all of the group's own columns in one conditional write.

    If another call was faster, ``change`` is asked again. If it changes nothing, nothing is written.
    """
    rows = session.stores.rows
    async for _ in Attempts(MOST_ATTEMPTS):
        wanted = change(stored)
        if wanted == stored:
            return
        values = group_values(replace(wanted, updated_by=by, updated_on=at))
        applied = await rows.update_if(
            LEARNER_GROUPS,
            (stored.group_id,),
            {**values, "version": stored.changes + 1},
            [Equal("version", stored.changes)],
        )
        if applied.applied:
            return
        stored, _ = await stored_group(session.stores.rows, stored.group_id)
    raise Conflict(f"group {stored.group_id} keeps changing; send the call again", field="groupId")


async def _known_activities(
    session: Session, activities: Sequence[Activity]
) -> tuple[list[Activity], list[ItemError]]:
    """Returns the activities that may be added, and errors for the others.

    A course or a unit must be published. Other types belong to other systems, so they are not checked.
    """
    ids = list(dict.fromkeys(a.id for a in activities if is_published_type(a.type)))
    contents = dict(zip(ids, await session.library.contents.load_many(ids), strict=True))
    known, errors = [], []
    for activity in activities:
        content = contents.get(activity.id)
        if is_published_type(activity.type) and (content is None or content.kind is ContentKind.CONTENT):
            missing = NotFound(f"there is no published {activity.type} {activity.id}", field="activities")
            errors.append(ItemError.of(Kind.ACTIVITY, activity.id, missing))
        else:
            known.append(activity)
    return known, errors


def _check_same(group: Group, stored: Group | None) -> None:
    """Checks that a call sent again asks for the same group."""
    if stored is not None and group_values(stored) != group_values(
        replace(group, created_on=stored.created_on)
    ):
        raise InvalidInput(f"group {group.group_id} exists and is different", field="groupId")


def _checked_member(change: MemberChange) -> MemberChange:
    return replace(change, user_id=checked_id(change.user_id, "members.userId"))


def _checked_values(values: Mapping[str, Any]) -> dict[str, Any]:
    checked = dict(values)
    if "name" in checked:
        checked["name"] = checked_name(checked["name"] or "")
    if "description" in checked:
        checked["description"] = checked_description(checked["description"])
    return checked
