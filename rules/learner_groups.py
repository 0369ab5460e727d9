"""Groups of learners: the group, its activities, and who is in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from rules.viewers import Role


class GroupRole(Enum):
    """What a member may do in a group."""

    ADMIN = "admin"
    MEMBER = "member"


class GroupStatus(Enum):
    """An inactive group is deleted: nobody can read it, and its id is never used again."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    INACTIVE = "inactive"


class MemberStatus(Enum):
    """An inactive member is a former one."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class MembershipType(Enum):
    """How one becomes a member. The platform knows one way: an admin of the group adds its members."""

    INVITE_ONLY = "invite_only"


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """Settings: members a group may have, activities a group may have, groups a learner may be in."""

    members: int = 150
    activities: int = 20
    groups: int = 50


@dataclass(frozen=True, slots=True)
class Activity:
    """What a group does together. ``type`` as clients know it: Course, CourseUnit, Quiz …"""

    id: str
    type: str


_PUBLISHED_TYPES = frozenset({"course", "courseunit"})


def is_published_type(type_: str) -> bool:
    """Whether activities of this type are published collections or units, so that their ids can be checked. Clients
    write types in any case."""
    return type_.casefold() in _PUBLISHED_TYPES


ANSWERABLE = (Role.MENTOR, Role.ADMIN, Role.SERVICE)
"""The roles of those whose added members are members at once."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of one group.

    ``answered_for``: who added them had one of the roles ANSWERABLE then. ``visited``: the member has opened the
    group, and so knows who sees them.
    """

    group_id: str
    user_id: str
    role: GroupRole
    status: MemberStatus = MemberStatus.ACTIVE
    created_by: str | None = None
    created_on: datetime | None = None
    updated_by: str | None = None
    updated_on: datetime | None = None
    removed_by: str | None = None
    removed_on: datetime | None = None
    visited: bool = False
    answered_for: bool = False

    @property
    def is_active(self) -> bool:
        """Whether they are no former member."""
        return self.status is MemberStatus.ACTIVE

    @property
    def invited(self) -> bool:
        """Whether a fellow learner added them and they have not opened the group since. They are neither counted nor
        shown."""
        agreed = self.visited or self.answered_for or self.created_by == self.user_id
        return self.is_active and not agreed

    @property
    def is_counted(self) -> bool:
        return self.is_active and not self.invited


@dataclass(frozen=True, slots=True)
class Group:
    """``version`` is that of its members and activities (``version_of``): it grows with every change of either, and
    two states of a group never share one. ``members_count``: without those who are invited."""

    group_id: str
    name: str
    description: str | None = None
    status: GroupStatus = GroupStatus.ACTIVE
    membership_type: MembershipType = MembershipType.INVITE_ONLY
    activities: tuple[Activity, ...] = ()
    members_count: int = 0
    version: int = 0
    created_by: str | None = None
    created_on: datetime | None = None
    updated_by: str | None = None
    updated_on: datetime | None = None

    @property
    def changes(self) -> int:
        """How often the group itself changed, its activities included."""
        return self.version >> _MEMBERS_BITS


_MEMBERS_BITS = 32


def version_of(changes: int, members_version: int) -> int:
    """The version of a group, from the versions of its two parts, which are read and written apart.

    Each part's version only grows, so this does. Whoever reads one part a moment before the other gets a version that
    no other pair of states has, which a sum would not promise.
    """
    return changes << _MEMBERS_BITS | members_version


@dataclass(frozen=True, slots=True)
class Roster:
    """Everybody who is or was in a group, by user id, at one version of its members."""

    group_id: str
    version: int = 0
    members: Mapping[str, Member] = field(default_factory=dict)

    def active(self) -> list[Member]:
        """Everybody who takes a place in the group, also those who are invited, in the order of user ids."""
        return sorted((m for m in self.members.values() if m.is_active), key=lambda m: m.user_id)

    def counted(self) -> list[Member]:
        """The members whom figures are of, without those who are invited, in the order of user ids."""
        return [member for member in self.active() if not member.invited]

    def member(self, user_id: str | None) -> Member | None:
        """None for a former one. One who is invited may read and leave the group, and do what their role allows."""
        found = self.members.get(user_id or "")
        return found if found is not None and found.is_active else None

    def is_led_by(self, user_id: str | None) -> bool:
        """Whether this is one of the group's admins."""
        member = self.member(user_id)
        return member is not None and member.role is GroupRole.ADMIN

    def with_member(self, member: Member) -> "Roster":
        """The roster after one change."""
        return replace(self, version=self.version + 1, members={**self.members, member.user_id: member})

    def without(self, user_id: str) -> "Roster":
        """The roster after a row was erased."""
        left = {other: member for other, member in self.members.items() if other != user_id}
        return replace(self, version=self.version + 1, members=left)
