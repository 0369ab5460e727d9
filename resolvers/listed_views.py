"""Views as a page of a place shows them, from narrow rows: whatever else there is of one is made when it is asked for."""

import asyncio
from typing import NamedTuple, Self

from loaders.session import Session
from loaders.views import NarrowView, narrow_views, origin_shown
from resolvers.paging import Page
from rules.identifiers import ProgressKey
from rules.origins import Origin
from rules.progress import Status, status_of


class ListedView(NamedTuple):
    """As rules.views.View, flat, with what a client sees under its name, but for what the player noted. Moments are epoch
    milliseconds. ``place``: as the client named it."""

    content_id: str
    status: Status
    progress: int
    last_accessed_on: int | None
    completed_on: int | None
    place: ProgressKey
    time_spent: int
    started_on: int | None
    last_updated_on: int | None
    origin: Origin | None

    @property
    def node(self) -> Self:
        """It is its own edge."""
        return self

    @property
    def whole(self) -> Self:
        """It has what GraphQL's View looks for in a whole view."""
        return self


class ListedViews(Page[ListedView]):
    """A page of the views that are kept under their place."""


async def listed_views(
    session: Session, place: ProgressKey, places: list[ProgressKey], *, after: str | None, limit: int
) -> ListedViews:
    """The first views of ``places`` after this content, in the order of content ids: of two of a content the one in the last
    place. ``place``: where the client looks."""
    tracking, rows = session.shared.tracking, session.stores.rows
    sources = [tracking.source(each) for each in places]
    pages = await asyncio.gather(
        *(
            narrow_views(rows, each, source, after=after, limit=limit + 1)
            for each, source in zip(places, sources, strict=True)
        )
    )
    merged: dict[str, ListedView] = {}
    for each, source, page in zip(places, sources, pages, strict=True):
        merged |= {row.content_id: _listed(each, source, row) for row in page}
    found = [merged[content] for content in sorted(merged)]
    return ListedViews(found[:limit], len(found) > limit)


def _listed(place: ProgressKey, kept: ProgressKey, row: NarrowView) -> ListedView:
    origin = Origin.decode(row.origin) if row.origin else None
    if origin is not None or kept != place:
        origin = origin_shown(origin, kept[1:], place[1:])
    content, status, progress, time_spent, started, accessed, updated, completed, _ = row
    return ListedView._make(
        (
            *(content, status_of(status), progress or 0, accessed, completed, place, time_spent or 0),
            *(started, updated, origin),
        )
    )
