"""The roster of a context."""

from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import strawberry

from graph import enums
from graph.access import Access, to
from graph.arguments import chosen
from graph.execution.light import stands_for
from graph.execution.lookahead import asks_for_leaves
from graph.fields import field
from graph.info import Info
from graph.orders import RosterOrder, RosterOrderBy, is_descending
from graph.paging import After, Before, CountedConnection, First, Last, counted_connection, stands_for_edge
from resolvers import context_rosters, nouns
from resolvers.listed_enrolments import ListedEnrolment
from resolvers.ordering import MOST_ORDERED, PARTS
from resolvers.paging import asked

if TYPE_CHECKING:
    from graph.contexts import Context
    from graph.enrolments import Enrolment
    from graph.learners import Learner


@strawberry.type(
    description="A learner of a context, and how they stand in one of its collections.",
    directives=[to(Access.WITH_OBJECT)],
)
class RosterEntry:
    learner: Annotated["Learner", strawberry.lazy("graph.learners")] = strawberry.field(
        description="Who it is, with their profile; the rest is for those who may see the learner."
    )
    enrolment: Annotated["Enrolment", strawberry.lazy("graph.enrolments")] = strawberry.field(
        description="Their enrolment, with progress and last access."
    )


@strawberry.type(description="A page of the learners of a context.", directives=[to(Access.WITH_OBJECT)])
class RosterConnection(CountedConnection[RosterEntry]):
    pass


@strawberry.input(description="Which learners of a context a list is of.")
class RosterFilter:
    active: bool | None = strawberry.field(
        default=None, description="Only active ones, or only those who left; both without it."
    )
    status: list[enums.Status] | None = strawberry.field(
        default=None, description="Only those who stand so in the collection. Everybody is read for it."
    )


@field(
    access=Access.CONTEXT_GUIDES,
    description="Who is or was enrolled in one of its collections, in the order of user ids unless told. For a mentor of the "
    "context, who created it, and those who answer for learners. Another order, a status and the way back need everybody: "
    f"with more than {MOST_ORDERED} learners they are refused as INVALID_INPUT, and an exhaust has them all. With `active` "
    "a page may have fewer than `first` although there are more. An enrolment is in it once a worker has seen it.",
)
async def roster(
    self: "Context",
    info: Info,
    collection_id: Annotated[
        str | None,
        strawberry.argument(description="In which of its collections; needed where it has several."),
    ] = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    filter: Annotated[  # noqa: A002 - the schema's name for it
        RosterFilter | None, strawberry.argument(description="Which of them; all without it.")
    ] = None,
    order_by: Annotated[RosterOrder | None, strawberry.argument(description="In which order.")] = None,
) -> RosterConnection | None:
    page_asked = asked(first, after, last, before, parts=PARTS)
    named, order = filter or RosterFilter(), order_by or RosterOrder(by=RosterOrderBy.USER_ID)
    wanted = context_rosters.RosterWanted(
        active=named.active,
        statuses=chosen(named.status),
        by=order.by,
        descending=is_descending(order),
    )
    leaves = asks_for_leaves(info)
    found = context_rosters.ContextRoster(info.context, self.context, collection_id, leaves=leaves)
    page = await found.page(wanted, page_asked)
    whole = partial(_entry, session=info.context) if leaves else None
    return counted_connection(
        *(RosterConnection, page, whole, _PLACE),
        partial(found.count, wanted),
        begun=page_asked.place is not None,
    )


def _entry(found: context_rosters.RosterEntry, session: nouns.Session) -> RosterEntry:
    from graph.enrolments import Enrolment
    from graph.learners import Learner

    one = found.enrolment
    return RosterEntry(
        learner=Learner.of(found.learner.profile),
        enrolment=Enrolment.of_listed(one, session)
        if isinstance(one, ListedEnrolment)
        else Enrolment.of(one, session.now()),
    )


_PLACE = attrgetter("place")
stands_for(RosterEntry, context_rosters.RosterEntry, ("learner", "enrolment"), _entry)
stands_for_edge(context_rosters.RosterEntry, _entry, _PLACE)
