"""A learner's views of contents, and the commands of a player."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.commands.views import end_view, start_view, update_view
from loaders.session import Session
from loaders.views import shown, view_of, views_under
from resolvers.listed_views import ListedViews, listed_views
from resolvers.paging import Page, checked_first, checked_many
from resolvers.progress import begun_without, place_read, placed_key
from rules.contents import ContentKind
from rules.errors import NotFound
from rules.identifiers import ProgressKey, ViewKey, checked_id, optional_id, scope_of, view_key
from rules.progress import Status
from rules.views import View
from stores.rows import Row
from stores.tables import LEARNER_SCOPES, VIEWS

__all__ = [
    "Location",
    "ViewsWanted",
    "end_view",
    "start_view",
    "update_view",
    "view",
    "views_everywhere",
    "views_page",
    "views_page_in_short",
    "whole_view",
]


async def view(
    session: Session, user_id: str, content_id: str, collection_id: str | None, context_id: str | None
) -> View:
    """A learner's view of a content, or one that is not started. NotFound if there is no such content."""
    session.viewer.check_may_see(user_id)
    key = view_key(user_id, content_id, collection_id, context_id)
    if not key.is_content_alone:
        place = await place_read(session, user_id, key.collection_id, optional_id(context_id, "contextId"))
        key = ViewKey(*_parts(place), key.content_id)
    found = await session.loaders.views.load(key)
    if found is None and (other := begun_without(key.progress_key, context_id)) is not None:
        found = await session.loaders.views.load(ViewKey(*_parts(other), key.content_id))
    if found is not None:
        return found
    if key.is_content_alone:
        content = await session.library.content(key.content_id, "contentId")
        if content.kind is not ContentKind.CONTENT:
            raise NotFound(f"{key.content_id} is a {content.kind.value}, not a content", field="contentId")
    else:
        collection = await session.library.collection(key.collection_id)
        await placed_key(session, user_id, collection, context_id)
        if key.content_id not in (await session.library.relation_tree(collection)).leaf_nodes:
            raise NotFound(
                f"collection {key.collection_id} has no content {key.content_id}", field="contentId"
            )
    return View(key, Status.NOT_STARTED)


async def whole_view(session: Session, key: ViewKey) -> View:
    """The whole view of a key. The caller got the key from something that the viewer may see."""
    session.viewer.check_may_see(key.user_id)
    return await session.loaders.views.load(key) or View(key, Status.NOT_STARTED)


@dataclass(frozen=True, slots=True)
class ViewsWanted:
    """Which of a learner's views: those under one context, or in the collection by itself. ``content_ids``: of these contents; of all
    for None."""

    collection_id: str
    context_id: str | None
    content_ids: Sequence[str] | None = None

    def contents(self) -> list[str] | None:
        """The contents in their order, each once. InvalidInput where there are too many, or one is no id."""
        if self.content_ids is None:
            return None
        return sorted({checked_id(one, "contentIds") for one in checked_many(self.content_ids, "contentIds")})

    def places(self, place: ProgressKey) -> list[ProgressKey]:
        """Where they are kept: the later ones win. ``place``: the active context's."""
        begun = begun_without(place, self.context_id)
        return [place] if begun is None else [begun, place]


async def views_page(
    session: Session, user_id: str, wanted: ViewsWanted, *, first: int, after: str | None
) -> Page[View]:
    """A page of the views that the learner has started, in the order of content ids. ``after``: the content id of the last view seen."""
    session.viewer.check_may_see(user_id)
    limit = checked_first(first)
    place = await _place(session, user_id, wanted)
    contents = wanted.contents()
    if contents is None and session.shared.tracking.keeps_by_content:
        return await _page_of_leaves(session, place, after=after, limit=limit)
    pages = await asyncio.gather(
        *(
            _views_under(session, each, contents, after=after, limit=limit + 1)
            for each in wanted.places(place)
        )
    )
    merged = {view.key.content_id: view for page in pages for view in page}
    found = [merged[content] for content in sorted(merged)]
    return Page(found[:limit], len(found) > limit)


async def views_page_in_short(
    session: Session, user_id: str, wanted: ViewsWanted, *, first: int, after: str | None
) -> Page[View] | ListedViews:
    """The same where nobody asks for what the player noted: views of all contents may be listed ones."""
    if wanted.content_ids is not None or session.shared.tracking.keeps_by_content:
        return await views_page(session, user_id, wanted, first=first, after=after)
    session.viewer.check_may_see(user_id)
    limit = checked_first(first)
    place = await _place(session, user_id, wanted)
    return await listed_views(session, place, wanted.places(place), after=after, limit=limit)


async def _place(session: Session, user_id: str, wanted: ViewsWanted) -> ProgressKey:
    """Where the learner's views are. NotFound if there is no such collection or context."""
    collection = await session.library.collection(checked_id(wanted.collection_id, "collectionId"))
    return await placed_key(session, user_id, collection, optional_id(wanted.context_id, "contextId"))


async def _views_under(
    session: Session, place: ProgressKey, wanted: Sequence[str] | None, *, after: str | None, limit: int
) -> list[View]:
    """The views of these contents, or the first ``limit`` views of the place, in the order of content ids."""
    if wanted is not None:
        keys = [ViewKey(*_parts(place), content) for content in wanted if after is None or content > after]
        return [view for view in await session.loaders.views.load_many(keys) if view is not None]
    source = session.shared.tracking.source(place)
    views = await views_under(session.stores.rows, place, source, after=after, limit=limit)
    return [shown(view, ViewKey(*_parts(place), view.key.content_id)) for view in views]


PLACES_AT_ONCE = 16
"""The most places of a learner's list that are read at the same time."""

Location = tuple[str, str, str]
"""The place of a view in all that a learner has viewed: collection, context and content."""


async def views_everywhere(
    session: Session,
    user_id: str,
    *,
    collection_id: str | None = None,
    first: int,
    after: Location | None,
) -> Page[View]:
    """A page of the views in every place where the learner has any, as they are kept, in the order of collection,
    context and content. ``collection_id``: only in this collection, under all of its contexts.

    The learner's list of places leads to them. No more places are read than the page has views. A content by itself
    costs a statement for each bucket, another place costs one. Of these 1, 2, 4, 8, then PLACES_AT_ONCE are read at
    the same time, so that few are read in vain if the first ones fill the page.
    """
    session.viewer.check_may_see(user_id)
    most = checked_first(first) + 1
    rows, collection_id = session.stores.rows, optional_id(collection_id, "collectionId")
    if collection_id is not None and session.shared.tracking.keeps_by_content:
        by_itself = ProgressKey(user_id, collection_id, collection_id)
        return await _page_of_leaves(session, by_itself, after=after and after[2], limit=most - 1)
    found: list[View] = []
    place: tuple[str, str] | None = None
    if after is not None:
        place = after[0], after[1]
        begun = await rows.get(LEARNER_SCOPES, (user_id, *place))
        found += await _views_of_places(session, user_id, [begun] if begun else [], after=after, most=most)
    while len(found) < most:
        places = await rows.partition(
            LEARNER_SCOPES,
            (user_id,),
            prefix=() if collection_id is None else (collection_id,),
            after=place,
            limit=most - len(found),
        )
        if not places:
            break
        found += await _views_of_places(session, user_id, places, after=None, most=most - len(found))
        place = places[-1]["collectionid"], places[-1]["contextid"]
    return Page(found[: most - 1], len(found) == most)


async def _views_of_places(
    session: Session, user_id: str, places: Sequence[Row], *, after: Location | None, most: int
) -> list[View]:
    """The first ``most`` views in these places of the learner's list, in their order."""
    rows = session.stores.rows
    alone = {
        place["collectionid"]: (user_id, place["scope"], *(place["collectionid"],) * 3)
        for place in places
        if place["scope"] == scope_of(place["collectionid"], place["collectionid"])
    }
    by_content = await rows.get_many(VIEWS, list(alone.values())) if alone and after is None else {}

    async def stored(place: Row, limit: int) -> list[View]:
        if place["collectionid"] in alone:
            view = view_of(by_content.get(alone[place["collectionid"]]))
            return [] if view is None else [view]
        key = ProgressKey(user_id, place["collectionid"], place["contextid"])
        return await views_under(rows, key, key, after=after and after[2], limit=limit)

    found: list[View] = []
    begin, at_once = 0, 1
    while begin < len(places) and len(found) < most:
        together = places[begin : begin + at_once]
        for of_place in await asyncio.gather(*(stored(place, most - len(found)) for place in together)):
            found += of_place
        begin, at_once = begin + at_once, min(2 * at_once, PLACES_AT_ONCE)
    return found[:most]


async def _page_of_leaves(
    session: Session, place: ProgressKey, *, after: str | None, limit: int
) -> Page[View]:
    """The page in a mode that keeps views by content. Which leaves were started comes from the aggregate if it has
    seen the last change, else from the rows in short. Then the page's rows are read."""
    standing = await session.loaders.standings.load(place)
    started = sorted(
        leaf
        for leaf, status in (standing.statuses if standing else {}).items()
        if status and (after is None or leaf > after)
    )
    keys = [ViewKey(*_parts(place), leaf) for leaf in started[: limit + 1]]
    found = [view for view in await session.loaders.views.load_many(keys) if view is not None]
    return Page(found[:limit], len(started) > limit)


def _parts(place: ProgressKey) -> tuple[str, str, str]:
    return place.user_id, place.collection_id, place.context_id
