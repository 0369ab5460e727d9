"""Changes of a group's members and activities: what a call may ask for, and what is there afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import TypeVar

from rules.errors import CohortError, InvalidInput, LastAdmin, LimitReached, NotFound
from rules.identifiers import checked_id
from rules.learner_groups import Activity, GroupLimits, GroupRole, Member, MemberStatus, Roster

T = TypeVar("T")


MOST_ITEMS = 500
"""Members, or activities, that one call may change."""


class Kind(Enum):
    """The kind of thing that an item of a call is about."""

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
    """Opens the group, which only the member can do. One who is invited is counted and shown from then on."""

    user_id: str


MemberChange = AddMember | EditMember | RemoveMember | OpenGroup


@dataclass(frozen=True, slots=True)
class Author:
    """The one who makes a change, and the time."""

    user_id: str
    at: datetime
    answers_for_learners: bool = False


def member_after(roster: Roster, change: MemberChange, author: Author, limits: GroupLimits) -> Member | None:
    """The member after the change; None if the member is already as the change wants. One who is invited becomes a
    member when somebody adds them who answers for learners.

    LimitReached if the group is full, LastAdmin if nobody could change the group any more, NotFound if there is no
    such member, InvalidInput if one who is to be added has another role already.
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
    """The activities after some were removed (by id) and then some added, in the order in which they were added; and
    what was refused. An activity is refused beyond the limit, or if the group has it with another type. An id that is
    not there is removed already."""
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
