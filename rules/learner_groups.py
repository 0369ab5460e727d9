"""Groups of learners: who is in them, what they do together, and who may change that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import TypeVar
from unicodedata import bidirectional, category

from rules.errors import (
    CohortError,
    Forbidden,
    GroupSuspended,
    InvalidInput,
    LastAdmin,
    LimitReached,
    NotFound,
)
from rules.identifiers import checked_id
from rules.viewers import ALL_LEARNERS, Role, Viewer

T = TypeVar("T")

MOST_ITEMS = 500
"""Members, or activities, that one call may change."""
LONGEST_NAME = 256
LONGEST_DESCRIPTION = 4096


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
"""Whom these add is a member at once."""


@dataclass(frozen=True, slots=True)
class Member:
    """Of one group.

    ``answered_for``: who added them had one of the roles ANSWERABLE then. ``visited``: the member has seen the group's
    page, and so knows who sees them.
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
        """Not a former one."""
        return self.status is MemberStatus.ACTIVE

    @property
    def invited(self) -> bool:
        """A fellow learner added them, and they have not opened the group since: neither counted nor shown."""
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
    """Of a group, out of the versions of its two parts, which are read and written apart.

    Each part's only grows, so this does; and whoever reads one part a moment before the other gets a version that
    no other pair of states has, which their sum would not promise.
    """
    return changes << _MEMBERS_BITS | members_version


@dataclass(frozen=True, slots=True)
class Roster:
    """Everybody who is or was in a group, by user id, at one version of its members."""

    group_id: str
    version: int = 0
    members: Mapping[str, Member] = field(default_factory=dict)

    def active(self) -> list[Member]:
        """Everybody who takes a place in the group, those who are invited too; in the order of user ids."""
        return sorted((m for m in self.members.values() if m.is_active), key=lambda m: m.user_id)

    def counted(self) -> list[Member]:
        """Whom figures are of: without those who are invited; in the order of user ids."""
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
        """After one change."""
        return replace(self, version=self.version + 1, members={**self.members, member.user_id: member})

    def without(self, user_id: str) -> "Roster":
        """After the row was erased."""
        left = {other: member for other, member in self.members.items() if other != user_id}
        return replace(self, version=self.version + 1, members=left)


class Kind(Enum):
    """What an item of a call is about."""

    MEMBER = "member"
    ACTIVITY = "activity"


@dataclass(frozen=True, slots=True)
class ItemError:
    """An item of a call that was refused while the others were not."""

    kind: Kind
    id: str
    code: str
    message: str

    @classmethod
    def of(cls, kind: Kind, id_: str, error: CohortError) -> "ItemError":
        return cls(kind, id_, error.code, error.message)


@dataclass(frozen=True, slots=True)
class AddMember:
    user_id: str
    role: GroupRole = GroupRole.MEMBER


@dataclass(frozen=True, slots=True)
class EditMember:
    user_id: str
    role: GroupRole


@dataclass(frozen=True, slots=True)
class RemoveMember:
    user_id: str


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """The member's own to do: who is invited is counted and shown from then on."""

    user_id: str


MemberChange = AddMember | EditMember | RemoveMember | OpenGroup


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, and when."""

    user_id: str
    at: datetime
    answers_for_learners: bool = False


def member_after(roster: Roster, change: MemberChange, author: Author, limits: GroupLimits) -> Member | None:
    """The member as the change leaves them; None where it is as the change wants it already. Who is invited becomes a
    member when somebody adds them who answers for learners.

    LimitReached where the group is full, LastAdmin where nobody could change the group any more, NotFound where
    there is no such member, InvalidInput where one who is to be added has another role already.
    """
    stored = roster.members.get(change.user_id)
    by, at = author.user_id, author.at
    match change:
        case AddMember(user_id, role):
            if stored is not None and stored.is_active:
                if stored.role is not role:
                    raise InvalidInput(
                        f"{user_id} is a member already; edit the member to change the role", field="members"
                    )
                if not (stored.invited and author.answers_for_learners):
                    return None
                return replace(stored, created_by=by, created_on=at, answered_for=True)
            if len(roster.active()) >= limits.members:
                raise LimitReached(f"a group has at most {limits.members} members", field="members")
            return Member(
                *(roster.group_id, user_id, role),
                created_by=by,
                created_on=at,
                answered_for=author.answers_for_learners,
            )
        case EditMember(user_id, role):
            if stored is None or not stored.is_active:
                raise NotFound(f"{user_id} is no member of the group", field="members")
            after = replace(stored, role=role, updated_by=by, updated_on=at)
            unchanged = stored.role is role
        case RemoveMember(user_id):
            if stored is None:
                raise NotFound(f"{user_id} is no member of the group", field="members")
            after = replace(stored, status=MemberStatus.INACTIVE, removed_by=by, removed_on=at)
            unchanged = not stored.is_active
        case OpenGroup(user_id):
            if stored is None or not stored.is_active:
                raise NotFound(f"{user_id} is no member of group {roster.group_id}", field="groupId")
            after = replace(stored, visited=True)
            unchanged = stored.visited
    if unchanged:
        return None
    _check_admin_remains(roster, stored, after)
    return after


def _check_admin_remains(roster: Roster, before: Member, after: Member) -> None:
    others = [member for member in roster.active() if member.user_id != before.user_id]
    leads = after.is_active and after.role is GroupRole.ADMIN
    led_by_others = any(member.role is GroupRole.ADMIN for member in others)
    if before.role is GroupRole.ADMIN and not (leads or led_by_others) and (others or after.is_active):
        raise LastAdmin(
            f"{before.user_id} is the group's last admin; make another member an admin first",
            field="members",
        )


def activities_after(
    activities: Sequence[Activity], add: Sequence[Activity], remove: Sequence[str], limits: GroupLimits
) -> tuple[tuple[Activity, ...], list[ItemError]]:
    """With those removed (by id) and then those added, in the order in which they were added; and what was refused:
    one beyond the limit, or of another type than the group has it with. An id that is not there is removed already."""
    gone = set(remove)
    found = {activity.id: activity for activity in activities if activity.id not in gone}
    errors = []
    for activity in add:
        try:
            known = found.get(activity.id)
            if known is not None and known.type != activity.type:
                raise InvalidInput(f"{activity.id} is in the group as {known.type}", field="activities")
            if known is None and len(found) >= limits.activities:
                raise LimitReached(f"a group has at most {limits.activities} activities", field="activities")
            found[activity.id] = activity
        except CohortError as error:
            errors.append(ItemError.of(Kind.ACTIVITY, activity.id, error))
    return tuple(found.values()), errors


def check_many(items: Sequence[T], field: str) -> Sequence[T]:
    """The items of a call; InvalidInput where they are more than one call may have."""
    if len(items) > MOST_ITEMS:
        raise InvalidInput(f"{field} must have at most {MOST_ITEMS} items, not {len(items)}", field=field)
    return items


def checked_activity(activity: Activity) -> Activity:
    return Activity(checked_id(activity.id, "activities.id"), checked_id(activity.type, "activities.type"))


def checked_name(name: str) -> str:
    """InvalidInput where it is blank, too long, or has what ``_check_text`` refuses."""
    text = name.strip()
    if not text:
        raise InvalidInput("name must not be blank", field="name")
    if len(text) > LONGEST_NAME:
        raise InvalidInput(f"name must have at most {LONGEST_NAME} characters", field="name")
    _check_text(text, "name")
    return text


def checked_description(description: str | None) -> str | None:
    """None for a blank one. It may have lines and tabs."""
    text = (description or "").strip()
    if len(text) > LONGEST_DESCRIPTION:
        raise InvalidInput(
            f"description must have at most {LONGEST_DESCRIPTION} characters", field="description"
        )
    _check_text(text.translate(_LINES), "description")
    return text or None


_LINES = str.maketrans("\n\r\t", "   ")
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Characters that turn the direction of what follows, beyond the text's own end."""


def _check_text(text: str, field: str) -> None:
    """InvalidInput for control characters, line separators and changes of direction. Joiners are no less invisible, and
    several scripts are not written without them."""
    for character in text:
        hidden = category(character) in ("Cc", "Zl", "Zp") or bidirectional(character) in _DIRECTIONS
        if hidden:
            raise InvalidInput(f"{field} must not hold control characters", field=field)


def check_may_read(viewer: Viewer, roster: Roster) -> None:
    """Members do, and those who answer for learners."""
    if roster.member(viewer.known()) is None and not viewer.has(*ALL_LEARNERS):
        raise Forbidden(
            "only members of the group, a mentor, a reporter, an admin or a service may see it",
            field="groupId",
        )


def is_listed(viewer: Viewer, roster: Roster, member: Member) -> bool:
    """Whether one who may read the group is told that this member is in it. Of one who is invited are told: those who
    added them or could have, the group's admins, those who answer for learners, and they themselves."""
    told_of_invitations = sees_members(viewer, roster) or member.user_id == viewer.user_id
    return member.is_active and (told_of_invitations or not member.invited)


def sees_members(viewer: Viewer, roster: Roster) -> bool:
    """Whether one who may read the group is told how its members stand, not only of themselves."""
    return roster.is_led_by(viewer.user_id) or viewer.has(*ALL_LEARNERS)


def may_be_shown(viewer: Viewer, member: Member) -> bool:
    """The name of a member, to one who may read the group: anybody can make a group and add whom they like, so that
    other learners, the group's admins too, do not see who is invited. Figures have only those who are counted."""
    return not member.invited or member.user_id == viewer.user_id or viewer.has(*ALL_LEARNERS)


def check_may_change(viewer: Viewer, roster: Roster) -> None:
    """Admins of the group do, and admins and services of the instance."""
    if not roster.is_led_by(viewer.known()) and not viewer.has(Role.ADMIN, Role.SERVICE):
        raise Forbidden("only an admin of the group, an admin or a service may change it", field="groupId")


def check_active(group: Group) -> None:
    if group.status is GroupStatus.SUSPENDED:
        raise GroupSuspended(f"group {group.group_id} is suspended; reactivate it first", field="groupId")
