"""Orders of lists: by what, and from where to where."""

import strawberry

from graph import enums
from graph.metrics import OrderDirection


@strawberry.input(description="The order of a list of groups. What it leaves open is ordered by the id.")
class GroupOrder:
    by: enums.GroupOrderBy = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="From the smallest or from the largest."
    )


@strawberry.input(description="The order of a list of contexts. What it leaves open is ordered by the id.")
class ContextOrder:
    by: enums.ContextOrderBy = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="From the smallest or from the largest."
    )


@strawberry.input(
    description="The order of a list of learners. What it leaves open is ordered by the user id."
)
class RosterOrder:
    by: enums.RosterOrderBy = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="From the smallest or from the largest."
    )


def is_descending(order: GroupOrder | ContextOrder | RosterOrder) -> bool:
    return order.direction is OrderDirection.DESC
