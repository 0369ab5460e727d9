"""The groups of a learner."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import strawberry

from graph import enums
from graph.access import Access, to
from graph.arguments import chosen
from graph.fields import field
from graph.info import Info
from graph.learner_groups import Group
from graph.orders import GroupOrder, GroupOrderBy, is_descending
from graph.paging import After, Before, CountedConnection, First, Last, counted_connection
from resolvers import group_lists
from resolvers.ordering import MOST_ORDERED, PARTS
from resolvers.paging import asked

if TYPE_CHECKING:
    from graph.learners import Learner


@strawberry.type(description="A page of the groups of a learner.", directives=[to(Access.WITH_OBJECT)])
class GroupConnection(CountedConnection[Group]):
    pass


@strawberry.input(description="Which groups of a learner a list is of.")
class GroupFilter:
    role: list[enums.GroupRole] | None = strawberry.field(
        default=None, description="Only those where the learner has one of these roles."
    )
    status: list[enums.GroupStatus] | None = strawberry.field(
        default=None, description="Only those that have one of these."
    )


@field(
    description="The groups that the learner is in or invited to; in the order of group ids unless told. Other orders, "
    f"filters and the way back are for a learner in at most {MOST_ORDERED} groups, invitations too."
)
async def groups(
    self: "Learner",
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    filter: Annotated[  # noqa: A002 - the schema's name for it
        GroupFilter | None, strawberry.argument(description="Which of them; all without it.")
    ] = None,
    order_by: Annotated[GroupOrder | None, strawberry.argument(description="In which order.")] = None,
) -> GroupConnection | None:
    page_asked = asked(first, after, last, before, parts=PARTS)
    named, order = filter or GroupFilter(), order_by or GroupOrder(by=GroupOrderBy.GROUP_ID)
    wanted = group_lists.GroupsWanted(
        roles=chosen(named.role),
        statuses=chosen(named.status),
        by=order.by,
        descending=is_descending(order),
    )
    page = await group_lists.groups_of_learner(info.context, self.user_id, wanted, page_asked)
    return counted_connection(
        *(GroupConnection, page, lambda found: Group.of(found[0]), wanted.ordering.place),
        partial(group_lists.groups_count, info.context, self.user_id, wanted),
        begun=page_asked.place is not None,
    )
