"""A learner's list of enrolments."""

from operator import attrgetter
from typing import Annotated

import strawberry

from graph import enums
from graph.access import Access, to
from graph.enrolments import Enrolment
from graph.execution.lookahead import asks_for_leaves
from graph.fields import field
from graph.info import Info
from graph.metrics import OrderDirection
from graph.paging import After, Before, Connection, First, Last, connection, light_connection, stands_for_edge
from resolvers import enrolment_lists
from resolvers.enrolment_lists import EnrolmentsWanted, OrderedEnrolment, OrderedPage
from resolvers.listed_enrolments import ListedEnrolment, ListedPage
from resolvers.ordering import MOST_ORDERED, PARTS
from resolvers.paging import MOST, asked

_ALL_READ = f"For learners with at most {MOST_ORDERED:,} enrolments, as all of them are read."


@strawberry.input(description="Which enrolments a list is of. What is given must all hold.")
class EnrolmentFilter:
    active: bool | None = strawberry.field(
        default=None, description="Only active ones, or only those that ended; both without it."
    )
    status: list[enums.Status] | None = strawberry.field(
        default=None,
        description=f"Only with one of these statuses, as they are shown. {_ALL_READ} The progress in all of them is "
        "computed.",
    )
    collection_ids: list[str] | None = strawberry.field(
        default=None, description=f"Only in these collections, at most {MOST}. {_ALL_READ}"
    )
    context_ids: list[str] | None = strawberry.field(
        default=None, description=f"Only under these contexts, at most {MOST}. {_ALL_READ}"
    )


@strawberry.input(
    description="The order of a list of enrolments. What it leaves open is ordered by collection and context, and no "
    f"value is less than any. COLLECTION with ASC costs what the page shows. Everything else: {_ALL_READ[0].lower()}{_ALL_READ[1:]}"
)
class EnrolmentOrder:
    by: enums.EnrolmentOrderBy = strawberry.field(description="By what.")
    direction: OrderDirection | None = strawberry.field(
        default=None, description="Without it collections and names go up, moments go down."
    )


@strawberry.type(description="A page of a learner's enrolments.", directives=[to(Access.WITH_OBJECT)])
class EnrolmentConnection(Connection[Enrolment]):
    user_id: strawberry.Private[str]
    wanted: strawberry.Private[EnrolmentsWanted]
    total: strawberry.Private[int | None]
    """Where the page's resolver has counted them."""

    @field(description=f"How many there are in all. {_ALL_READ}")
    async def total_count(self, info: Info) -> int | None:
        if self.total is None:
            self.total = await enrolment_lists.enrolments_count(info.context, self.user_id, self.wanted)
        return self.total


Filter = Annotated[EnrolmentFilter | None, strawberry.argument(description="Which of them; all without it.")]
OrderBy = Annotated[
    EnrolmentOrder | None,
    strawberry.argument(description="The order; by collection and context without it."),
]


async def enrolments_of(
    info: Info,
    user_id: str,
    first: First,
    after: After,
    last: Last,
    before: Before,
    filter: EnrolmentFilter | None,  # noqa: A002 - the schema's name for it
    order_by: EnrolmentOrder | None,
) -> EnrolmentConnection:
    wanted = _wanted(filter or EnrolmentFilter(), order_by, leaves=asks_for_leaves(info))
    page = await enrolment_lists.listed_page(
        info.context, user_id, wanted, asked(first, after, last, before, parts=PARTS)
    )
    now, begun = info.context.now(), after is not None
    shown: Connection[Enrolment]
    if isinstance(page, ListedPage | OrderedPage):
        shown = light_connection(page, begun=begun)
    else:
        shown = connection(
            page, lambda listed: Enrolment.of(listed.enrolled, now), lambda listed: listed.cursor, begun=begun
        )
    return EnrolmentConnection(
        edges=shown.edges, page_info=shown.page_info, user_id=user_id, wanted=wanted, total=page.total
    )


stands_for_edge(
    OrderedEnrolment,
    lambda ordered, session: Enrolment.of_listed(ordered.node, session),
    attrgetter("cursor"),
)
stands_for_edge(ListedEnrolment, Enrolment.of_listed, enrolment_lists.place_of)


def _wanted(chosen: EnrolmentFilter, order_by: EnrolmentOrder | None, *, leaves: bool) -> EnrolmentsWanted:
    direction = order_by and order_by.direction
    return EnrolmentsWanted(
        active=chosen.active,
        statuses=chosen.status,
        collection_ids=chosen.collection_ids,
        context_ids=chosen.context_ids,
        order=order_by.by if order_by else enums.EnrolmentOrderBy.COLLECTION,
        descending=None if direction is None else direction is OrderDirection.DESC,
        leaves=leaves,
    )
