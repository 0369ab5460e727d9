"""Groups of learners: members read them, admins of the group change them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ingest.commands.group_calls import Changed
from ingest.commands.group_members import leave_group, visit_groups
from ingest.commands.learner_groups import (
    create_group,
    delete_group,
    reactivate_group,
    suspend_group,
    update_group,
)
from loaders.enrolments import enrolled_somewhere
from loaders.session import Session
from resolvers.group_members import GroupMemberOrder, GroupMembersWanted
from resolvers.paging import Asked, Page, checked_first
from rules.contents import Content
from rules.errors import Forbidden, NotFound
from rules.group_access import check_may_read, is_listed, may_be_shown
from rules.identifiers import checked_id
from rules.learner_groups import Group, GroupStatus, Member
from rules.learners import Learner

__all__ = [
    "Profiled",
    "contents_of",
    "create_group",
    "delete_group",
    "group",
    "groups_of",
    "leave_group",
    "members",
    "members_page",
    "own_membership",
    "profiled",
    "reactivate_group",
    "suspend_group",
    "unknown_members",
    "update_group",
    "visit_group",
    "visit_groups",
]


@dataclass(frozen=True, slots=True)
class Profiled:
    """A member and who that is; an empty profile where none was sent yet."""

    member: Member
    learner: Learner


async def group(session: Session, group_id: str) -> Group:
    """A group that the viewer may read, also a suspended one. NotFound (also for a deleted one), Forbidden,
    InvalidInput, Unauthenticated."""
    session.viewer.known()
    group_id = checked_id(group_id, "groupId")
    found, roster = await asyncio.gather(
        session.loaders.groups.load(group_id), session.loaders.rosters.load(group_id)
    )
    if found is None or found.status is GroupStatus.INACTIVE:
        raise NotFound(f"there is no group {group_id}", field="groupId")
    check_may_read(session.viewer, roster)
    return found


async def visit_group(session: Session, group_id: str) -> Changed:
    """Notes that the viewer has opened the group. NotFound if they are no member, LimitReached if they were invited
    and are in all the groups they may be in; InvalidInput, Unauthenticated, Conflict."""
    await visit_groups(session, [group_id])
    return Changed(await group(session, group_id))


async def members(session: Session, group: Group) -> list[Member]:
    """The members whom the viewer is told of, without former ones. They are in the order of user ids, which no change
    of a role disturbs."""
    roster = await session.loaders.rosters.load(group.group_id)
    check_may_read(session.viewer, roster)
    return [member for member in roster.active() if is_listed(session.viewer, roster, member)]


async def own_membership(session: Session, group: Group) -> Profiled | None:
    """The viewer's own membership; None if they are no member."""
    roster = await session.loaders.rosters.load(group.group_id)
    own = roster.member(session.viewer.user_id)
    return None if own is None else (await profiled(session, [own]))[0]


async def members_page(
    session: Session, group: Group, wanted: GroupMembersWanted, asked: Asked
) -> Page[Profiled]:
    """A page of the members. An order by name reads the profiles of all of them, by one statement."""
    told = wanted.among(await members(session, group))
    if wanted.by is GroupMemberOrder.NAME:
        return wanted.ordering.page(await profiled(session, told), asked)
    page = wanted.ordering.page([Profiled(member, Learner(member.user_id)) for member in told], asked)
    return replace(page, members=await profiled(session, [one.member for one in page.members]))


async def unknown_members(session: Session, changed: Changed) -> list[str]:
    """Those whom a call added and of whom nothing is known: no profile came of them, and they never enrolled. Two
    statements at most."""
    learners = await session.loaders.learners.load_many(list(changed.added))
    nameless = [user for user, learner in zip(changed.added, learners, strict=True) if learner is None]
    if not nameless:
        return []
    enrolled = await enrolled_somewhere(session.stores.rows, nameless)
    return [user for user in nameless if user not in enrolled]


async def contents_of(session: Session, group: Group) -> dict[str, Content]:
    """The published contents of the group's activities, by identifier."""
    found = await session.library.contents.load_many([activity.id for activity in group.activities])
    return {content.identifier: content for content in found if content is not None}


async def profiled(session: Session, members: Sequence[Member]) -> list[Profiled]:
    """The members with their profiles, read in one batch. Members see only the name of each other, and not even that
    of one who is invited (rules/group_access.py)."""
    found = await session.loaders.learners.load_many([member.user_id for member in members])
    return [
        Profiled(member, _shown(session, member, learner or Learner(member.user_id)))
        for member, learner in zip(members, found, strict=True)
    ]


def _shown(session: Session, member: Member, learner: Learner) -> Learner:
    try:
        session.viewer.check_may_see(learner.user_id)
    except Forbidden:
        return Learner(learner.user_id, learner.name if may_be_shown(session.viewer, member) else None)
    return learner


async def groups_of(
    session: Session, user_id: str, *, first: int, after: str | None
) -> Page[tuple[Group, Member]]:
    """The groups that a learner is in or invited to, each with the learner's membership, in the order of group ids."""
    user_id = checked_id(user_id, "userId")
    session.viewer.check_may_see(user_id)
    return Page(*await session.loaders.groups_of.load((user_id, after, checked_first(first))))
