"""Orders of lists: by what, and from where to where."""

import strawberry

from graph.enums import described
from graph.metrics import OrderDirection
from resolvers.context_orders import ContextOrder as ContextOrderBy
from resolvers.context_rosters import RosterOrder as RosterOrderBy
from resolvers.group_lists import GroupOrder as GroupOrderBy

__all__ = [
    "ContextOrder",
    "ContextOrderBy",
    "GroupOrder",
    "GroupOrderBy",
    "RosterOrder",
    "RosterOrderBy",
    "is_descending",
]

described(
    ContextOrderBy,
    "ContextOrderBy",
    "By what contexts are ordered.",
    {
        ContextOrderBy.CONTEXT_ID: "By the id.",
        ContextOrderBy.NAME: "By name; small and capital letters are alike.",
        ContextOrderBy.START_DATE: "By the first moment.",
        ContextOrderBy.END_DATE: "By the last moment.",
        ContextOrderBy.JOINABLE_UNTIL: "By the last moment to join: first those by invitation alone, last those without an "
        "end.",
    },
)
described(
    GroupOrderBy,
    "GroupOrderBy",
    "By what the groups of a learner are ordered.",
    {
        GroupOrderBy.GROUP_ID: "By the id.",
        GroupOrderBy.NAME: "By name; small and capital letters are alike.",
        GroupOrderBy.CREATED_ON: "By when it was created.",
        GroupOrderBy.UPDATED_ON: "By when its name, status or activities last changed.",
    },
)
described(
    RosterOrderBy,
    "RosterOrderBy",
    "By what the learners of a context are ordered.",
    {
        RosterOrderBy.USER_ID: "By the user id.",
        RosterOrderBy.NAME: "By name; small and capital letters are alike.",
        RosterOrderBy.PROGRESS: "By the completion percentage.",
        RosterOrderBy.LAST_ACCESSED_ON: "By the last view in the collection.",
        RosterOrderBy.ENROLLED_ON: "By when they enrolled, first.",
    },
)


@strawberry.input(description="The order of a list of groups. What it leaves open is ordered by the id.")
class GroupOrder:
    by: GroupOrderBy = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="From the smallest or from the largest."
    )


@strawberry.input(description="The order of a list of contexts. What it leaves open is ordered by the id.")
class ContextOrder:
    by: ContextOrderBy = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="From the smallest or from the largest."
    )


@strawberry.input(
    description="The order of a list of learners. What it leaves open is ordered by the user id."
)
class RosterOrder:
    by: RosterOrderBy = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="From the smallest or from the largest."
    )


def is_descending(order: GroupOrder | ContextOrder | RosterOrder) -> bool:
    return order.direction is OrderDirection.DESC
