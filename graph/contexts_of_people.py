"""The contexts that somebody mentors or created."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import strawberry

from graph import enums
from graph.access import Access, to
from graph.contexts import Context
from graph.fields import field
from graph.info import Info
from graph.orders import ContextOrder, ContextOrderBy, is_descending
from graph.paging import After, Before, CountedConnection, First, Last, counted_connection
from resolvers import contexts_of_people
from resolvers.ordering import MOST_ORDERED, PARTS
from resolvers.paging import asked

if TYPE_CHECKING:
    from graph.learners import Learner


@strawberry.type(description="A page of contexts.", directives=[to(Access.WITH_OBJECT)])
class ContextConnection(CountedConnection[Context]):
    pass


@strawberry.input(
    description="Which contexts of somebody a list is of. Moments take in themselves; a context without such a date is "
    "left out where one is asked for."
)
class ContextFilter:
    relation: enums.ContextRelation | None = strawberry.field(
        default=None,
        description="Only those that they are this to; those that they are either to without it.",
    )
    type: enums.ContextType | None = strawberry.field(default=None, description="Only those that are this.")
    status: enums.ContextStatus | None = strawberry.field(
        default=None, description="Only those that are there by their dates, now."
    )
    collection_id: str | None = strawberry.field(
        default=None, description="Only those of this collection, by its identifier."
    )
    starts_after: datetime | None = strawberry.field(
        default=None, description="Only those that start then or later."
    )
    starts_before: datetime | None = strawberry.field(
        default=None, description="Only those that start then or earlier."
    )
    ends_after: datetime | None = strawberry.field(
        default=None, description="Only those that end then or later."
    )
    ends_before: datetime | None = strawberry.field(
        default=None, description="Only those that end then or earlier."
    )


@field(
    access=Access.PERSON,
    description="The contexts that they mentor or created; in the order of context ids unless told. For themself, an admin "
    f"or a service. Of somebody with more than {MOST_ORDERED} only those of one relation can be read, in the order of ids "
    "and forward; a page may then have fewer than `first` although there are more.",
)
async def contexts(
    self: "Learner",
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    filter: Annotated[  # noqa: A002 - the schema's name for it
        ContextFilter | None, strawberry.argument(description="Which of them; all without it.")
    ] = None,
    order_by: Annotated[ContextOrder | None, strawberry.argument(description="In which order.")] = None,
) -> ContextConnection | None:
    page_asked = asked(first, after, last, before, parts=PARTS)
    named, order = filter or ContextFilter(), order_by or ContextOrder(by=ContextOrderBy.CONTEXT_ID)
    wanted = contexts_of_people.ContextsWanted(**vars(named), by=order.by, descending=is_descending(order))
    page = await contexts_of_people.contexts_of_learner(info.context, self.user_id, wanted, page_asked)
    now = info.context.now()
    return counted_connection(
        *(ContextConnection, page, lambda found: Context.of(found, now), wanted.ordering.place),
        partial(contexts_of_people.contexts_count, info.context, self.user_id, wanted),
        begun=page_asked.place is not None,
    )
