"""The groups of a learner, in any order and filtered by the learner's role."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter

from loaders.session import Session
from resolvers.ordering import Ordering, Value, by_id, too_many
from resolvers.paging import Asked, Page
from rules.identifiers import checked_id
from rules.learner_groups import Group, GroupRole, GroupStatus, Member

Joined = tuple[Group, Member]
"""A group and the learner's membership in it."""


class GroupOrder(Enum):
    GROUP_ID = "groupId"
    NAME = "name"
    CREATED_ON = "createdOn"
    UPDATED_ON = "updatedOn"


_VALUES: dict[GroupOrder, Callable[[Group], Value]] = {
    GroupOrder.GROUP_ID: by_id,
    GroupOrder.NAME: attrgetter("name"),
    GroupOrder.CREATED_ON: attrgetter("created_on"),
    GroupOrder.UPDATED_ON: attrgetter("updated_on"),
}


@dataclass(frozen=True, slots=True)
class GroupsWanted:
    """Which groups of a learner, and in which order. None: whatever it is."""

    roles: frozenset[GroupRole] | None = None
    statuses: frozenset[GroupStatus] | None = None
    by: GroupOrder = GroupOrder.GROUP_ID
    descending: bool = False

    @property
    def ordering(self) -> Ordering[Joined]:
        value = _VALUES[self.by]
        return Ordering(
            self.by.name, lambda found: value(found[0]), lambda found: found[0].group_id, self.descending
        )

    @property
    def is_as_stored(self) -> bool:
        """Whether the store gives a page of them without the others."""
        in_order = self.by is GroupOrder.GROUP_ID and not self.descending
        return in_order and self.roles is None and self.statuses is None

    def has(self, found: Joined) -> bool:
        group, member = found
        return (self.roles is None or member.role in self.roles) and (
            self.statuses is None or group.status in self.statuses
        )


async def groups_of_learner(
    session: Session, user_id: str, wanted: GroupsWanted, asked: Asked
) -> Page[Joined]:
    """A page of the groups that a learner is in or invited to, each with the learner's membership.

    Forbidden, Unauthenticated, InvalidInput: also where the learner is in too many for the order.
    """
    user_id = checked_id(user_id, "userId")
    session.viewer.check_may_see(user_id)
    ordering = wanted.ordering
    if wanted.is_as_stored and not asked.backward:
        return Page(
            *await session.loaders.groups_of.load((user_id, ordering.id_of_place(asked), asked.limit))
        )
    found = await session.loaders.memberships.load(user_id)
    if found is None:
        raise too_many("groups", "order by GROUP_ID, ascending, without a filter")
    return ordering.page([one for one in found if wanted.has(one)], asked)


async def groups_count(session: Session, user_id: str, wanted: GroupsWanted) -> int | None:
    """How many there are in all; None where there are too many to count."""
    found = await session.loaders.memberships.load(user_id)
    return None if found is None else sum(map(wanted.has, found))
