"""Members of groups of learners. Each is changed by one conditional write (docs/decisions.md)."""

import asyncio
from collections.abc import Sequence, Set
from datetime import datetime

from ingest.commands.group_calls import MOST_ATTEMPTS, Changed, announce, send_change, stored_group
from ingest.writes.retrying import Attempts
from loaders.learner_groups import groups_by_id, member_values, memberships, memberships_of, roster_of
from loaders.session import Session, Shared
from rules.errors import Conflict, InvalidInput, LastAdmin, LimitReached, NotFound
from rules.group_changes import (
    AddMember,
    Author,
    ItemError,
    Kind,
    MemberChange,
    OpenGroup,
    RemoveMember,
    check_many,
    member_after,
)
from rules.identifiers import checked_id
from rules.learner_groups import ANSWERABLE, GroupStatus, Member, Roster
from stores.rows import MOST_CHANGES, Change, Equal, Rows, Write
from stores.tables import GROUP_MEMBERS, USER_GROUPS


async def leave_group(session: Session, group_id: str) -> Changed:
    """Ends the viewer's membership, also in a suspended group.

    Raises LastAdmin if nobody could change the group then. Raises NotFound if there is no such group or the viewer was
    never in it. Raises Conflict.
    """
    author = author_of(session, session.viewer.known(), session.viewer.time_of_call(None, session.now()))
    stored, _ = await stored_group(session.stores.rows, group_id)
    await _change_own(session, stored.group_id, RemoveMember(author.user_id), author)
    return await announce(session, stored.group_id, [])


async def visit_groups(session: Session, group_ids: Sequence[str]) -> None:
    """Notes that the viewer has seen these groups' pages. If they were invited, they become a member.

    Raises NotFound if they are no member, and LimitReached if they would be in more groups than they may. Then nothing
    is written. Raises InvalidInput if the groups are more than one call may have. Raises Conflict.
    """
    user_id, rows = session.viewer.known(), session.stores.rows
    author = author_of(session, user_id, session.viewer.time_of_call(None, session.now()))
    wanted = list(
        dict.fromkeys(checked_id(group_id, "groupId") for group_id in check_many(group_ids, "groups"))
    )
    found = await memberships(rows, {user_id: wanted})
    members = {group.group_id: member for group, member in found[user_id]}
    for group_id in wanted:
        if group_id not in members:
            raise NotFound(f"{user_id} is no member of group {group_id}", field="groupId")
    joined = {group_id for group_id, member in members.items() if member.invited}
    if joined and await full_learners(session, [user_id], joined):
        raise too_many_groups(session, user_id, "groups")
    for group_id in (group_id for group_id in wanted if not members[group_id].visited):
        await _change_own(session, group_id, OpenGroup(user_id), author)
    # Those who follow a group are told anyway: if this call is sent again, its message may have been lost the first time.
    for group in await groups_by_id(rows, wanted):
        if group is not None:
            await send_change(session.stores, group.group_id, group.version)
    session.refresh()


async def erase_membership(shared: Shared, group_id: str, user_id: str, listed: int) -> None:
    """Deletes the learner from this group, as if they had never been in it.

    ``listed``: the version that the learner's index has for the group.

    No rule of the group stands against that. The group may be left without an admin; then an admin of the instance can
    make a member one. May be repeated. Raises Conflict.
    """
    rows = shared.stores.rows
    await erase_member(rows, await roster_of(rows, group_id), user_id, listed)
    (group,) = await groups_by_id(rows, [group_id])
    if group is not None:
        await send_change(shared.stores, group_id, group.version)


async def change_members(
    session: Session, group_id: str, changes: Sequence[MemberChange], author: Author
) -> list[ItemError]:
    """Changes each member by one conditional write, so that the refusal of one item does not touch the others. Those who
    never were in the group and may be added share one.

    An item may be refused only because another one must be done first (a place that becomes free, an admin who
    follows). It is tried once more after the others.
    """
    added = [change.user_id for change in changes if isinstance(change, AddMember)]
    # An invitation must not tell in how many groups somebody is, so the place is taken only when they open the group.
    full = await full_learners(session, added, {group_id}) if author.answers_for_learners else set()
    errors: list[ItemError] = []
    async with _in_turn(session, group_id):
        waiting, roster = list(changes), await roster_of(session.stores.rows, group_id)
        for last in (False, True):
            turn, waiting = waiting, []
            roster, turn = await _add_newcomers(session, roster, turn, author, full)
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


async def _add_newcomers(
    session: Session, roster: Roster, changes: Sequence[MemberChange], author: Author, full: Set[str]
) -> tuple[Roster, list[MemberChange]]:
    """Adds those who never were in the group, MOST_CHANGES in a write. Does nothing unless all changes are additions and
    there is room for all, so it does not matter who comes first.

    Returns the roster after it, and the changes that are left: those that are to be decided one by one, and all from the
    first write that was refused since another call was faster.
    """
    limits, left = session.shared.group_limits, list(changes)
    asked = {change.user_id for change in changes if isinstance(change, AddMember)}
    taken = {member.user_id for member in roster.active()}
    if len(asked) < max(2, len(changes)) or len(taken | asked) > limits.members:
        return roster, left
    joining = [change for change in changes if change.user_id not in roster.members.keys() | full]
    for first in range(0, len(joining), MOST_CHANGES):
        some = joining[first : first + MOST_CHANGES]
        members = [member_after(roster, change, author, limits) for change in some]
        after = await _write_newcomers(session.stores.rows, roster, [each for each in members if each])
        if after is None:
            break
        roster = after
        left = [change for change in left if change not in some]
    return roster, left


async def _write_newcomers(rows: Rows, before: Roster, members: Sequence[Member]) -> Roster | None:
    """Writes the rows of members who have none, as ``_write_member`` does one after another. Returns the roster after it,
    None if another call was faster.

    All entries of the index have the time of the next version: with a later one they would outlive an erasure, if another
    call is faster and nobody adds these members then.
    """
    after, following, indexed = before, before.version + 1, []
    for member in members:
        after = after.with_member(member)
        place = (member.user_id, before.group_id)
        indexed.append(Write(USER_GROUPS, place, {"members_version": following}, timestamp=following))
    await rows.write(*indexed)
    counts = _statics(after)
    changes = [
        Change((before.group_id, member.user_id), {**member_values(member), **counts}, [_unchanged(before)])
        for member in members
    ]
    return after if await rows.write_together(GROUP_MEMBERS, changes) else None


async def _change_own(session: Session, group_id: str, change: MemberChange, author: Author) -> None:
    """Changes what members change themselves. A whole class may do it at the same moment."""
    async with _in_turn(session, group_id):
        await _change_member(session, await roster_of(session.stores.rows, group_id), change, author)


def _in_turn(session: Session, group_id: str) -> asyncio.Lock:
    """Returns the lock of a group: calls of this process that change its members come one after another."""
    return session.shared.changing.setdefault(group_id, asyncio.Lock())


async def _change_member(
    session: Session, roster: Roster, change: MemberChange, author: Author, full: Set[str] = frozenset()
) -> Roster:
    """Decides on the change and writes it. Decides anew if another call was faster. Returns the roster after it.

    ``full`` holds who may be added to no group.
    """
    rows, limits, group_id = session.stores.rows, session.shared.group_limits, roster.group_id
    async for _ in Attempts(MOST_ATTEMPTS):
        member = member_after(roster, change, author, limits)
        if member is None:
            return roster
        if isinstance(change, AddMember) and change.user_id in full:
            raise too_many_groups(session, change.user_id, "members")
        if await _write_member(rows, roster, member):
            return roster.with_member(member)
        (group,), roster = await asyncio.gather(groups_by_id(rows, [group_id]), roster_of(rows, group_id))
        if group is not None and group.status is GroupStatus.INACTIVE:
            raise NotFound(f"there is no group {group_id}", field="groupId")
    raise _keep_changing(group_id)


async def erase_member(rows: Rows, roster: Roster, user_id: str, listed: int = 0) -> Roster:
    """Deletes all that the group has of a learner. Returns the roster after it.

    ``roster`` is the roster as it was read last. ``listed``: the version that the learner's index has for the group, if it was
    read. An index that is ahead of the roster was written by an addition that died, or that is under way. The roster's version
    is raised to it: so the deletion reaches the entry, and an addition under way must begin again. Raises Conflict.
    """
    async for attempt in Attempts(MOST_ATTEMPTS):
        if attempt:
            roster = await roster_of(rows, roster.group_id)
        if user_id not in roster.members and listed <= roster.version:
            # This also helps if an erasure died between the two writes.
            await rows.write(_index_entry_gone(roster, user_id))
            return roster
        after = roster.without(user_id)
        if await _write_row(rows, roster, after, user_id):
            await rows.write(_index_entry_gone(after, user_id))
            return after
    raise _keep_changing(roster.group_id)


def _index_entry_gone(roster: Roster, user_id: str) -> Write:
    """Returns the deletion at the version of the roster. An addition that comes later stays."""
    return Write(USER_GROUPS, (user_id, roster.group_id), {}, timestamp=roster.version, delete=True)


def _keep_changing(group_id: str) -> Conflict:
    return Conflict(f"the members of group {group_id} keep changing; send the call again", field="groupId")


async def _write_member(rows: Rows, roster: Roster, member: Member) -> bool:
    """Writes the member's row, if none of the group's has changed since the roster was read. Returns True if it did.

    The learner's index is written before the row counts, at the time that is the version, and cleared after the row is
    erased. So an addition and an erasure by two processes end as the versions have it, whatever their clocks.

    The index keeps naming a group that was left: the row is still there, and must be found when all of the learner's is
    deleted.
    """
    after = roster.with_member(member)
    if member.is_active and roster.member(member.user_id) is None:
        place = (member.user_id, roster.group_id)
        await rows.write(
            Write(USER_GROUPS, place, {"members_version": after.version}, timestamp=after.version)
        )
    return await _write_row(rows, roster, after, member.user_id)


async def _write_row(rows: Rows, before: Roster, after: Roster, user_id: str) -> bool:
    """Writes the row of the one member who differs, with the version and the counts of all. Returns True if it did."""
    values = {**member_values(after.members.get(user_id)), **_statics(after)}
    place = (before.group_id, user_id)
    return (await rows.update_if(GROUP_MEMBERS, place, values, [_unchanged(before)])).applied


def _statics(roster: Roster) -> dict[str, int]:
    """Returns the version and the counts of all members, as every row of the group has them."""
    taken = len(roster.active())
    return {
        "members_version": roster.version,
        "members_count": taken,
        "invited_count": taken - len(roster.counted()),
    }


def _unchanged(roster: Roster) -> Equal:
    """Returns the condition that no row of the group has changed since the roster was read."""
    return Equal("members_version", roster.version or None)


async def full_learners(session: Session, user_ids: Sequence[str], joined: Set[str]) -> set[str]:
    """Returns those learners who would be in more groups than they may be, if they were in ``joined`` too.

    A group where they are only invited does not count. This is as exact as reading before writing is: if calls put the
    same learner into different groups at the same moment, each may find the last place free, and then all get it.
    Nothing else depends on this limit, so nobody waits for a lock on the learner.
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


def too_many_groups(session: Session, user_id: str, field: str) -> LimitReached:
    most = session.shared.group_limits.groups
    return LimitReached(f"{user_id} is in {most} groups, as many as a learner may be in", field=field)


def author_of(session: Session, user_id: str, at: datetime) -> Author:
    """Returns the author of a change. ``user_id`` is whom the caller acts for. The roles are the caller's."""
    return Author(user_id, at, session.viewer.has(*ANSWERABLE))
