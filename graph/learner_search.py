"""Learners who are searched for."""

from typing import Annotated, Self, TypeVar

import strawberry

from graph import enums
from graph.access import Access, to
from graph.fields import field
from graph.info import Info
from graph.learners import Learner
from graph.metrics import OrderDirection
from graph.paging import After, Edge, First, PageInfo, page_size
from resolvers import nouns
from resolvers.learner_search import FoundLearners, LearnersOrder, search_learners
from resolvers.opaque_texts import encode

T = TypeVar("T")


def with_attribute_filters(filters: type[T]) -> type[T]:
    """Adds an input field for each attribute that rules/learners.py declares."""
    for name in nouns.ATTRIBUTES:
        filters.__annotations__[name] = list[str] | None
        described = strawberry.field(default=None, description=f"Values of {name.replace('_', ' ')}.")
        setattr(filters, name, described)
    return filters


@strawberry.input(
    description="Which learners, by their attributes. All fields must hold, of each field's values one. Values are compared "
    "as they are; an empty list is as good as none."
)
@with_attribute_filters
class LearnerFilter:
    def by_name(self) -> dict[str, list[str] | None]:
        """Returns the values by the attributes' names."""
        return {name: getattr(self, name) for name in nouns.ATTRIBUTES}


@strawberry.input(
    description="The order of a list of learners. What it leaves open is ordered by name, then by user id."
)
class LearnerOrder:
    by: enums.LearnerOrderBy = strawberry.field(description="By what.")
    direction: OrderDirection | None = strawberry.field(
        default=None, description="Without it relevance goes down, everything else goes up."
    )

    def order(self) -> LearnersOrder:
        return LearnersOrder(
            self.by, None if self.direction is None else self.direction is OrderDirection.DESC
        )


@strawberry.type(description="A page of the learners who were found.", directives=[to(Access.WITH_OBJECT)])
class LearnerConnection:
    edges: list[Edge[Learner]] = strawberry.field(
        description="The learners of the page, in order. One who is gone since they were found is left out."
    )
    page_info: PageInfo = strawberry.field(description="Where the page stands in its list.")
    total_count: int = strawberry.field(description="How many were found, on all pages.")

    @classmethod
    def of(cls, learners: FoundLearners, *, begun: bool) -> Self:
        hits = learners.page.hits
        ends = [encode(*learners.order.cursor(hit)) for hit in (*hits[:1], *hits[-1:])]
        return cls(
            edges=[
                Edge(node=Learner.of(profile), member=hit, place=learners.order.cursor)
                for profile, hit in learners.found
            ],
            page_info=PageInfo(
                has_next_page=learners.page.has_more,
                has_previous_page=begun,
                start_cursor=ends[0] if ends else None,
                end_cursor=ends[-1] if ends else None,
            ),
            total_count=learners.page.total,
        )


@strawberry.type
class LearnerSearchQueries:
    @field(
        description="Learners by name, user id and attributes, for a mentor, a reporter, an admin or a service; FORBIDDEN to "
        "others. A text finds those whose name has a word that begins with each word of the text, and those whose user "
        "id begins with the text. Who has no profile is found by the whole user id alone, without a filter, and comes first.",
        access=Access.EVERY_LEARNER,
    )
    async def search_learners(
        self,
        info: Info,
        text: Annotated[
            str | None,
            strawberry.argument(
                description="Beginnings of words in any language, or of a user id, at most 500 characters; all learners who "
                "have a profile without it."
            ),
        ] = None,
        filter: Annotated[  # noqa: A002 - the schema's name for it
            LearnerFilter | None, strawberry.argument(description="Which of them.")
        ] = None,
        order_by: Annotated[
            LearnerOrder | None,
            strawberry.argument(description="By relevance if there is a text, else by name, without this."),
        ] = None,
        first: First = None,
        after: After = None,
    ) -> LearnerConnection | None:
        found = await search_learners(
            info.context,
            text,
            {} if filter is None else filter.by_name(),
            None if order_by is None else order_by.order(),
            page_size(first),
            after,
        )
        return LearnerConnection.of(found, begun=after is not None)
