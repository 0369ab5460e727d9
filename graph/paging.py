"""Relay connections.

A list goes on with ``first`` and ``after``. One that goes both ways has ``last`` and ``before`` too, and its resolver turns
the four into what is asked for (``resolvers.paging.asked``).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from graph.access import Access, to
from graph.execution.light import ByClass, stands_for
from graph.fields import field
from resolvers.nouns import Session
from resolvers.opaque_texts import encode
from resolvers.ordering import MOST_ORDERED
from resolvers.paging import MOST, USUAL, Page

T = TypeVar("T")
D = TypeVar("D")
C = TypeVar("C", bound="CountedConnection[Any]")

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


@strawberry.type(description="Where a page stands in its list.", directives=[to(Access.WITH_OBJECT)])
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


@strawberry.type(description="A member of a list and its place in it.", directives=[to(Access.WITH_OBJECT)])
class Edge(Generic[T]):
    node: T = strawberry.field(description="The member.")
    member: strawberry.Private[Any]
    place: strawberry.Private[Callable[[Any], Sequence[str]]]
    """What the cursor of the member carries. It is made for those who ask: a page may have thousands of members."""

    @field(description="The member's place, opaque.", at_hand=lambda edge: encode(*_PLACE(edge)))
    def cursor(self) -> str:
        return encode(*_PLACE(self))


_PLACE: ByClass[Sequence[str]] = ByClass(lambda edge: edge.place(edge.member))
"""What an edge's cursor carries."""


def stands_for_edge(
    light: type, node: Callable[[Any, Session], Any], place: Callable[[Any], Sequence[str]]
) -> None:
    """Has members of class ``light`` stand for their edges (graph/execution/light.py). They have a ``node`` that stands for the edge's;
    the function ``node`` makes the whole one. ``place``: what a member's cursor carries."""
    _PLACE.of(light, place)
    stands_for(
        *(Edge, light, ("node", "cursor")),
        lambda member, session: Edge(node=node(member, session), member=member, place=place),
    )


@strawberry.type(description="A page of a list.", directives=[to(Access.WITH_OBJECT)])
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The members of the page, in the list's order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands in its list.")


@strawberry.type(
    description="A page of a list whose members can be counted.", directives=[to(Access.WITH_OBJECT)]
)
class CountedConnection(Connection[T]):
    known: strawberry.Private[int | None]
    count: strawberry.Private[Callable[[], Awaitable[int | None]]]

    @field(
        description=f"How many members the list has, by the filter. Null where there are more than {MOST_ORDERED}, "
        "which are too many to count."
    )
    async def total_count(self) -> int | None:
        return await self.count() if self.known is None else self.known


def page_size(first: int | None) -> int:
    return USUAL if first is None else first


def connection(
    page: Page[D], node: Callable[[D], T], place: Callable[[D], Sequence[str]], *, begun: bool = False
) -> Connection[T]:
    """A connection for a page. ``place``: what the cursor of a member carries; ``begun``: the page has
    an ``after``; it counts where the page itself does not say whether there are members before it."""
    edges = [Edge(node=node(member), member=member, place=place) for member in page.members]
    return Connection(edges=edges, page_info=_page_info(page, place, begun=begun))


def light_connection(page: Page[Any], *, begun: bool) -> Connection[Any]:
    """The same, of members that stand for their edges (``stands_for_edge``)."""
    return Connection(edges=[*page.members], page_info=_page_info(page, _PLACE, begun=begun))


def _page_info(page: Page[D], place: Callable[[D], Sequence[str]], *, begun: bool) -> PageInfo:
    ends = [encode(*place(member)) for member in (*page.members[:1], *page.members[-1:])]
    return PageInfo(
        has_next_page=page.has_more,
        has_previous_page=begun if page.has_earlier is None else page.has_earlier,
        start_cursor=ends[0] if ends else None,
        end_cursor=encode(*page.end) if page.end else ends[-1] if ends else None,
    )


def counted_connection(
    of: type[C],
    page: Page[D],
    node: Callable[[D], Any] | None,
    place: Callable[[D], Sequence[str]],
    count: Callable[[], Awaitable[int | None]],
    *,
    begun: bool,
) -> C:
    """The same, of a list with ``totalCount``. ``count``: reads it, if the page does not have it and it is asked for. ``node``:
    None where members stand for their edges."""
    if node is None:
        found: Connection[Any] = light_connection(page, begun=begun)
    else:
        found = connection(page, node, place, begun=begun)
    return of(edges=found.edges, page_info=found.page_info, known=page.total, count=count)
