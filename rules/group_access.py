"""Who may see a group and its members, and who may change it."""

from rules.access import Access
from rules.errors import GroupSuspended
from rules.learner_groups import Group, GroupStatus, Member, Roster
from rules.viewers import ALL_LEARNERS, Viewer


def check_may_read(viewer: Viewer, roster: Roster) -> None:
    """Forbidden unless the viewer is a member or answers for learners."""
    is_member = roster.member(viewer.known()) is not None
    viewer.check(Access.GROUP_MEMBERS, named=is_member, may="see it", field="groupId")


def is_listed(viewer: Viewer, roster: Roster, member: Member) -> bool:
    """Whether one who may read the group is told that this member is in it. An invited member is shown to those who
    added them or could have, to the group's admins, to those who answer for learners, and to themselves."""
    told_of_invitations = sees_members(viewer, roster) or member.user_id == viewer.user_id
    return member.is_active and (told_of_invitations or not member.invited)


def sees_members(viewer: Viewer, roster: Roster) -> bool:
    """Whether one who may read the group is told how all members stand, not only they themselves."""
    return roster.is_led_by(viewer.user_id) or viewer.has(*ALL_LEARNERS)


def may_be_shown(viewer: Viewer, member: Member) -> bool:
    """Whether one who may read the group is shown the member's name. Anybody can make a group and add whom they like,
    so other learners, the group's admins too, do not see who is invited. Figures have only members who are counted."""
    return not member.invited or member.user_id == viewer.user_id or viewer.has(*ALL_LEARNERS)


def check_may_change(viewer: Viewer, roster: Roster) -> None:
    """Forbidden unless the viewer is an admin of the group, or an admin or a service of the instance."""
    leads = roster.is_led_by(viewer.known())
    viewer.check(Access.GROUP_ADMINS, named=leads, may="change it", field="groupId")


def check_active(group: Group) -> None:
    if group.status is GroupStatus.SUSPENDED:
        raise GroupSuspended(f"group {group.group_id} is suspended; reactivate it first", field="groupId")
