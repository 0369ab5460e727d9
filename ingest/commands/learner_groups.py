"""Groups of learners: create, change, suspend, delete; members by one conditional write each (docs/decisions.md)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson

from ingest.writes.retrying import pause_before
from loaders.learner_groups import (
    group_values,
    groups_by_id,
    member_values,
    memberships,
    memberships_of,
    roster_of,
)
from loaders.session import Session, Shared
from rules.contents import ContentKind
from rules.errors import Conflict, Forbidden, InvalidInput, LastAdmin, LimitReached, NotFound
from rules.group_access import check_active, check_may_change
from rules.group_changes import (
    AddMember,
    Author,
    ItemError,
    Kind,
    MemberChange,
    OpenGroup,
    RemoveMember,
    activities_after,
    check_many,
    checked_activity,
    member_after,
)
from rules.group_texts import checked_description, checked_name
from rules.identifiers import checked_id
from rules.learner_groups import (
    ANSWERABLE,
    Activity,
    Group,
    GroupRole,
    GroupStatus,
    Member,
    MembershipType,
    Roster,
    is_published_type,
)
from rules.viewers import Role
from stores.engines import Stores
from stores.events import Message
from stores.rows import Equal, Rows, Write
from stores.tables import GROUP_MEMBERS, LEARNER_GROUPS, USER_GROUPS
from stores.topics import GROUP_CHANGES

_ATTEMPTS = 100
"""Lost conditional writes in a row, each to another call that went through."""


@dataclass(frozen=True, slots=True)
class NewGroup:
    """``user_id``: who creates it and becomes its admin, for a service; a service that names nobody makes a group
    without an admin. ``group_id``: for a service, so that it may send the call again."""

    name: str
    description: str | None = None
    membership_type: MembershipType = MembershipType.INVITE_ONLY
    members: tuple[AddMember, ...] = ()
    activities: tuple[Activity, ...] = ()
    group_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class GroupCall:
    """``values``: of name, description and membership_type those that change, by these names. Activities are
    removed by their ids."""

    group_id: str
    values: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[MemberChange, ...] = ()
    add_activities: tuple[Activity, ...] = ()
    remove_activities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """The group after a call, and the items of it that were refused while the others were not."""

    group: Group
    item_errors: tuple[ItemError, ...] = ()


async def create_group(session: Session, new: NewGroup) -> Changed:
    """The group with its creator as admin. Members come first and the group itself last, so that it is there whole
    or not at all; activities or members that can't be are named in ``item_errors``.

    Its members are invited until they open it, unless the caller answers for learners (rules/learner_groups.py).
    LimitReached where the creator is in all the groups they may be in, or where there are too many members or
    activities; InvalidInput where the id is taken by another group, Forbidden.
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
    if has_creator and await _full_learners(session, [by], {group.group_id}):
        raise _too_many_groups(session, by, "userId")
    refused = await _change_members(session, group.group_id, members, _author(session, by, now))
    if stored is None:
        row = {"groupid": group.group_id, "version": 1, **group_values(group)}
        applied = await session.stores.rows.insert_if_absent(LEARNER_GROUPS, row)
        if not applied.applied:
            _check_same(group, *await groups_by_id(session.stores.rows, [group.group_id]))
    return await _announced(session, group.group_id, [*unknown, *errors, *refused])


async def update_group(session: Session, call: GroupCall) -> Changed:
    """The group after the call, and what of it was refused. A call that got no answer may be sent again.

    NotFound, Forbidden, GroupSuspended, InvalidInput, Conflict. A member may remove themselves (and nothing else).
    """
    viewer = session.viewer
    by, now = viewer.known(), viewer.time_of_call(None, session.now())
    members = [_checked_member(change) for change in check_many(call.members, "members")]
    adds = [checked_activity(activity) for activity in check_many(call.add_activities, "activities")]
    removed = [checked_id(identifier, "activities.remove") for identifier in call.remove_activities]
    values = _checked_values(call.values)
    stored, roster = await _stored(session, call.group_id)
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
        errors += await _change_members(session, stored.group_id, members, _author(session, by, now))
    return await _announced(session, stored.group_id, errors)


async def leave_group(session: Session, group_id: str) -> Changed:
    """The viewer is no member any more, of a suspended group either. LastAdmin where nobody could change the group
    then; NotFound where there is no such group or they never were in it; Conflict."""
    author = _author(session, session.viewer.known(), session.viewer.time_of_call(None, session.now()))
    stored, _ = await _stored(session, group_id)
    await _change_own(session, stored.group_id, RemoveMember(author.user_id), author)
    return await _announced(session, stored.group_id, [])


async def suspend_group(session: Session, group_id: str) -> Changed:
    """It can be read, but not changed until it is reactivated. NotFound, Forbidden, Conflict."""
    return await _change_status(session, group_id, GroupStatus.SUSPENDED)


async def reactivate_group(session: Session, group_id: str) -> Changed:
    """NotFound, Forbidden, Conflict."""
    return await _change_status(session, group_id, GroupStatus.ACTIVE)


async def delete_group(session: Session, group_id: str) -> Changed:
    """The group as it was, inactive. From the first write on nobody finds it; the rest only tidies up, so a call
    that died may be sent again by whoever sent it. Needs what changing it needs; NotFound, Forbidden, Conflict."""
    viewer, rows = session.viewer, session.stores.rows
    by, now = viewer.known(), viewer.time_of_call(None, session.now())
    group_id = checked_id(group_id, "groupId")
    (stored,), roster = await asyncio.gather(groups_by_id(rows, [group_id]), roster_of(rows, group_id))
    again = stored is not None and stored.status is GroupStatus.INACTIVE
    if stored is None or (again and stored.updated_by != by and not viewer.has(Role.ADMIN, Role.SERVICE)):
        raise NotFound(f"there is no group {group_id}", field="groupId")
    if not again:
        check_may_change(viewer, roster)
        # What is left says only that the id is taken and who may send the call again.
        await _change_group(
            session,
            stored,
            lambda group: Group(group.group_id, "", status=GroupStatus.INACTIVE, created_on=group.created_on),
            by,
            now,
        )
        roster = await roster_of(rows, stored.group_id)
    while roster.members:
        user_id = min(roster.members)
        if await _erased(rows, roster, user_id):
            roster = roster.without(user_id)
        else:
            roster = await roster_of(rows, stored.group_id)
    (left,) = await groups_by_id(rows, [stored.group_id])
    assert left is not None  # noqa: S101 - a deleted group keeps its row
    await _send(session.stores, left.group_id, left.version)
    session.refresh()
    return Changed(replace(stored, status=GroupStatus.INACTIVE, version=left.version, members_count=0))


async def visit_groups(session: Session, group_ids: Sequence[str]) -> None:
    """The viewer has seen these groups' pages; where they were invited they are a member now.

    NotFound where they are no member and LimitReached where they would be in more groups than they may, and then nothing
    is written; InvalidInput where the groups are more than one call may have; Conflict.
    """
    user_id, rows = session.viewer.known(), session.stores.rows
    author = _author(session, user_id, session.viewer.time_of_call(None, session.now()))
    wanted = list(
        dict.fromkeys(checked_id(group_id, "groupId") for group_id in check_many(group_ids, "groups"))
    )
    found = await memberships(rows, {user_id: wanted})
    members = {group.group_id: member for group, member in found[user_id]}
    for group_id in wanted:
        if group_id not in members:
            raise NotFound(f"{user_id} is no member of group {group_id}", field="groupId")
    joined = {group_id for group_id, member in members.items() if member.invited}
    if joined and await _full_learners(session, [user_id], joined):
        raise _too_many_groups(session, user_id, "groups")
    for group_id in (group_id for group_id in wanted if not members[group_id].visited):
        await _change_own(session, group_id, OpenGroup(user_id), author)
    # Those who follow a group are told anyway: a call that is sent again may have lost its message the first time.
    for group in await groups_by_id(rows, wanted):
        if group is not None:
            await _send(session.stores, group.group_id, group.version)
    session.refresh()


async def erase_membership(shared: Shared, group_id: str, user_id: str) -> None:
    """The learner was never in this group, as far as it knows. No rule of the group stands against that: it may be left
    without an admin, and then an admin of the instance can make a member one. May be repeated; Conflict."""
    rows = shared.stores.rows
    for _ in range(_ATTEMPTS):
        roster = await roster_of(rows, group_id)
        if user_id not in roster.members:
            # Also where a call died between the two writes.
            place = (user_id, group_id)
            await rows.write(Write(USER_GROUPS, place, {}, timestamp=roster.version, delete=True))
            break
        if await _erased(rows, roster, user_id):
            break
    else:
        raise Conflict(f"the members of group {group_id} keep changing; send the call again", field="groupId")
    (group,) = await groups_by_id(rows, [group_id])
    if group is not None:
        await _send(shared.stores, group_id, group.version)


# --- the parts of a call


async def _stored(session: Session, group_id: str) -> tuple[Group, Roster]:
    """Read anew: what a command decides by must not be from before another one."""
    group_id = checked_id(group_id, "groupId")
    (group,), roster = await asyncio.gather(
        groups_by_id(session.stores.rows, [group_id]), roster_of(session.stores.rows, group_id)
    )
    if group is None or group.status is GroupStatus.INACTIVE:
        raise NotFound(f"there is no group {group_id}", field="groupId")
    return group, roster


async def _change_status(session: Session, group_id: str, status: GroupStatus) -> Changed:
    stored, roster = await _stored(session, group_id)
    check_may_change(session.viewer, roster)
    by, now = session.viewer.known(), session.viewer.time_of_call(None, session.now())
    await _change_group(session, stored, lambda group: replace(group, status=status), by, now)
    return await _announced(session, stored.group_id, [])


async def _change_group(
    session: Session, stored: Group, change: Callable[[Group], Group], by: str, at: datetime
) -> None:
    """All of the group's own columns in one conditional write; ``change`` is asked again where another call was
    faster. Nothing is written where it changes nothing."""
    rows = session.stores.rows
    for _ in range(_ATTEMPTS):
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
        stored, _ = await _stored(session, stored.group_id)
    raise Conflict(f"group {stored.group_id} keeps changing; send the call again", field="groupId")


async def _change_members(
    session: Session, group_id: str, changes: Sequence[MemberChange], author: Author
) -> list[ItemError]:
    """One conditional write for each member, so that what one item is refused for does not touch the others.

    An item that was in the way only until another one is done (a place that becomes free, an admin who follows) is
    tried once more after them.
    """
    added = [change.user_id for change in changes if isinstance(change, AddMember)]
    # Nobody learns by an invitation in how many groups somebody is: the place is taken when they open the group.
    full = await _full_learners(session, added, {group_id}) if author.answers_for_learners else set()
    errors: list[ItemError] = []
    async with _in_turn(session, group_id):
        waiting, roster = list(changes), await roster_of(session.stores.rows, group_id)
        for last in (False, True):
            turn, waiting = waiting, []
            for change in turn:
                try:
                    roster = await _change_member(session, roster, change, author, full)
                except (LimitReached, LastAdmin) as error:
                    if last:
                        errors.append(ItemError.of(Kind.MEMBER, change.user_id, error))
                    else:
                        waiting.append(change)
                except (NotFound, InvalidInput, Conflict) as error:
                    errors.append(ItemError.of(Kind.MEMBER, change.user_id, error))
    return errors


async def _change_own(session: Session, group_id: str, change: MemberChange, author: Author) -> None:
    """What members do themselves, and a whole class at the same moment."""
    async with _in_turn(session, group_id):
        await _change_member(session, await roster_of(session.stores.rows, group_id), change, author)


def _in_turn(session: Session, group_id: str) -> asyncio.Lock:
    """Calls of this process that change the members of a group come one after another."""
    return session.shared.changing.setdefault(group_id, asyncio.Lock())


async def _change_member(
    session: Session, roster: Roster, change: MemberChange, author: Author, full: Set[str] = frozenset()
) -> Roster:
    """The roster after the change, which is decided anew where another call was faster. ``full``: who may be added to
    no group."""
    rows, limits, group_id = session.stores.rows, session.shared.group_limits, roster.group_id
    for attempt in range(_ATTEMPTS):
        await pause_before(attempt, _ATTEMPTS)
        member = member_after(roster, change, author, limits)
        if member is None:
            return roster
        if isinstance(change, AddMember) and change.user_id in full:
            raise _too_many_groups(session, change.user_id, "members")
        if await _written(rows, roster, member):
            return roster.with_member(member)
        (group,), roster = await asyncio.gather(groups_by_id(rows, [group_id]), roster_of(rows, group_id))
        if group is not None and group.status is GroupStatus.INACTIVE:
            raise NotFound(f"there is no group {group_id}", field="groupId")
    raise Conflict(f"the members of group {group_id} keep changing; send the call again", field="groupId")


async def _written(rows: Rows, roster: Roster, member: Member) -> bool:
    """Whether the member's row was written, on condition that none of the group's changed since the roster was read.

    The learner's index is written before the row counts, at the time that is the version, and cleared after the row is
    erased: so an addition and an erasure by two processes end as the versions have it, whatever their clocks. It keeps
    naming a group that was left: the row is still there, and is to be found when all of the learner's is deleted.
    """
    after = roster.with_member(member)
    if member.is_active and roster.member(member.user_id) is None:
        place = (member.user_id, roster.group_id)
        await rows.write(
            Write(USER_GROUPS, place, {"members_version": after.version}, timestamp=after.version)
        )
    return await _settled(rows, roster, after, member.user_id)


async def _erased(rows: Rows, roster: Roster, user_id: str) -> bool:
    """Whether the member's row was erased, as ``_written``."""
    after = roster.without(user_id)
    applied = await _settled(rows, roster, after, user_id)
    if applied:
        place = (user_id, roster.group_id)
        await rows.write(Write(USER_GROUPS, place, {}, timestamp=after.version, delete=True))
    return applied


async def _settled(rows: Rows, before: Roster, after: Roster, user_id: str) -> bool:
    """The row of the one member who differs, with the version and the counts of all."""
    taken, counted = len(after.active()), len(after.counted())
    values = {
        **member_values(after.members.get(user_id)),
        "members_version": after.version,
        "members_count": taken,
        "invited_count": taken - counted,
    }
    unchanged = [Equal("members_version", before.version or None)]
    return (await rows.update_if(GROUP_MEMBERS, (before.group_id, user_id), values, unchanged)).applied


async def _full_learners(session: Session, user_ids: Sequence[str], joined: Set[str]) -> set[str]:
    """Those of them who would be in more groups than they may be, were they in ``joined`` too. One where they are
    invited is none of theirs.

    As exact as reading before writing is: calls that put the same learner into different groups at the same moment
    may each find the last place free, and then all of them get it. Nothing else depends on this limit, so nobody
    waits for a lock on the learner.
    """
    if not user_ids:
        return set()
    found = await memberships_of(session.stores.rows, list(dict.fromkeys(user_ids)))
    most = session.shared.group_limits.groups
    return {
        user_id
        for user_id, groups in found.items()
        if len(joined | {group.group_id for group, member in groups if member.is_counted}) > most
    }


def _too_many_groups(session: Session, user_id: str, field: str) -> LimitReached:
    most = session.shared.group_limits.groups
    return LimitReached(f"{user_id} is in {most} groups, as many as a learner may be in", field=field)


def _author(session: Session, user_id: str, at: datetime) -> Author:
    """``user_id``: whom the caller acts for; the roles are the caller's."""
    return Author(user_id, at, session.viewer.has(*ANSWERABLE))


async def _known_activities(
    session: Session, activities: Sequence[Activity]
) -> tuple[list[Activity], list[ItemError]]:
    """Those that may be added: a course or a unit must be published. Other types are other systems' to know."""
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


async def _announced(session: Session, group_id: str, errors: Sequence[ItemError]) -> Changed:
    """The end of a call: those who follow the group are told, changed or not, since a call that is sent again may
    have lost its message the first time."""
    session.refresh()
    group = await session.loaders.groups.load(group_id)
    if group is None or group.status is GroupStatus.INACTIVE:
        raise NotFound(f"group {group_id} was deleted meanwhile", field="groupId")
    await _send(session.stores, group_id, group.version)
    return Changed(group, tuple(errors))


async def _send(stores: Stores, group_id: str, version: int) -> None:
    value = orjson.dumps({"groupId": group_id, "version": version})
    await stores.events.send(GROUP_CHANGES.name, Message(group_id, value))


def _check_same(group: Group, stored: Group | None) -> None:
    """A call that is sent again asks for the same group."""
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
