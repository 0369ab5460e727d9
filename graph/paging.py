"""Relay connections.

A list goes on with ``first`` and ``after``. One that goes both ways has ``last`` and ``before`` too, and its resolver turns
the four into what is asked for (``resolvers.paging.asked``).
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

import strawberry

from resolvers.opaque_texts import encode
from resolvers.paging import MOST, USUAL, Page

T = TypeVar("T")
D = TypeVar("D")

First = Annotated[
    int | None,
    strawberry.argument(description=f"How many at most: {USUAL} unless told, and never more than {MOST}."),
]
After = Annotated[
    str | None,
    strawberry.argument(description="The cursor after which the page begins; the first page without it."),
]
Last = Annotated[
    int | None,
    strawberry.argument(
        description=f"The last ones, in the same order: {USUAL} unless told, and never more than {MOST}. Not with `first`, "
        "`after`."
    ),
]
Before = Annotated[
    str | None,
    strawberry.argument(description="The cursor before which the page ends; the end of the list without it."),
]


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there are more after this page.")
    has_previous_page: bool = strawberry.field(
        description="Whether there are any before this page. A list that goes one way says whether the page began after a "
        "cursor."
    )
    start_cursor: str | None = strawberry.field(description="The cursor of the first edge.")
    end_cursor: str | None = strawberry.field(
        description="Where the page ends, usually the cursor of the last edge: `after` of the next page."
    )


@strawberry.type(description="A member of a list and its place in it.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="The member's place, opaque.")
    node: T = strawberry.field(description="The member.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The members of the page, in the list's order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands in its list.")


def page_size(first: int | None) -> int:
    return USUAL if first is None else first


def connection(
    page: Page[D], node: Callable[[D], T], place: Callable[[D], Sequence[str]], *, begun: bool = False
) -> Connection[T]:
    """A connection for a page. ``place``: what the cursor of a member carries; ``begun``: the page has
    an ``after``; it counts where the page itself does not say whether there are members before it."""
    edges = [Edge(cursor=encode(*place(member)), node=node(member)) for member in page.members]
    return Connection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.has_more,
            has_previous_page=begun if page.has_earlier is None else page.has_earlier,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=encode(*page.end) if page.end else edges[-1].cursor if edges else None,
        ),
    )
