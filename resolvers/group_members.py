"""Lists of a group's members: which of them, in which order. All of them are in memory, in the order of user ids.

They are members of the group (``learner_groups.Profiled``) or members in an activity (``group_activities.MemberEntry``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar

from resolvers.ordering import Ordering, Value, by_id
from rules.entries import Entry
from rules.learner_groups import GroupRole, Member
from rules.progress import Status

__all__ = ["ActivityMemberOrder", "ActivityMembersWanted", "GroupMemberOrder", "GroupMembersWanted"]


class Standing(Protocol):
    @property
    def member(self) -> Member: ...
    @property
    def entry(self) -> Entry | None: ...


S = TypeVar("S", bound=Standing)


class GroupMemberOrder(Enum):
    """By what the members of a group are ordered."""

    USER_ID = "USER_ID"
    NAME = "NAME"


class ActivityMemberOrder(Enum):
    """By what the members in an activity are ordered."""

    USER_ID = "USER_ID"
    NAME = "NAME"
    PROGRESS = "PROGRESS"
    LAST_ACCESSED_ON = "LAST_ACCESSED_ON"


@dataclass(frozen=True, slots=True)
class GroupMembersWanted:
    """Members of a group with one of these roles, None for all. Who has no name comes first, going up."""

    roles: frozenset[GroupRole] | None = None
    by: GroupMemberOrder = GroupMemberOrder.USER_ID
    descending: bool = False

    def among(self, members: Sequence[Member]) -> Sequence[Member]:
        roles = self.roles
        return members if roles is None else [member for member in members if member.role in roles]

    @property
    def ordering(self) -> Ordering[Any]:
        return _ordering(self.by, by_id if self.by is GroupMemberOrder.USER_ID else _name, self.descending)


@dataclass(frozen=True, slots=True)
class ActivityMembersWanted:
    """Members in an activity with one of these roles, and of these statuses there; None for all. Who is not known to be
    anywhere in it has no status. Who has no name, figures or access comes first, going up."""

    roles: frozenset[GroupRole] | None = None
    statuses: frozenset[Status] | None = None
    by: ActivityMemberOrder = ActivityMemberOrder.USER_ID
    descending: bool = False

    def among(self, members: Sequence[S]) -> Sequence[S]:
        roles, statuses = self.roles, self.statuses
        if roles is None and statuses is None:
            return members
        return [
            one
            for one in members
            if (roles is None or one.member.role in roles)
            and (statuses is None or (one.entry is not None and one.entry.status in statuses))
        ]

    @property
    def ordering(self) -> Ordering[Any]:
        return _ordering(self.by, _VALUES[self.by], self.descending)


def _ordering(by: Enum, value: Callable[[Any], Value], descending: bool) -> Ordering[Any]:
    kept = value is by_id and not descending
    return Ordering(by.name, value, lambda one: one.member.user_id, descending, kept=kept)


def _name(one: Any) -> Value:
    name: str | None = one.learner.name
    return name


def _progress(one: Standing) -> Value:
    return None if one.entry is None else one.entry.completion_percentage


def _last_accessed_on(one: Standing) -> Value:
    return None if one.entry is None else one.entry.last_accessed_on


_VALUES: Mapping[ActivityMemberOrder, Callable[[Any], Value]] = {
    ActivityMemberOrder.USER_ID: by_id,
    ActivityMemberOrder.NAME: _name,
    ActivityMemberOrder.PROGRESS: _progress,
    ActivityMemberOrder.LAST_ACCESSED_ON: _last_accessed_on,
}
