"""A learner's views of contents, and the commands of a player."""

from collections.abc import Sequence

from ingest.views import end_view, start_view, update_view
from loaders.session import Session
from loaders.views import shown, view_of
from resolvers.paging import Page, checked_first, checked_many
from resolvers.progress import placed_key
from rules.contents import Content, ContentKind
from rules.errors import NotFound
from rules.identifiers import ProgressKey, ViewKey, checked_id, optional_id, scope_of, view_key
from rules.progress import Status
from rules.views import View
from stores.tables import VIEWS

__all__ = ["end_view", "start_view", "update_view", "view", "views_page", "whole_view"]


async def view(
    session: Session, user_id: str, content_id: str, collection_id: str | None, context_id: str | None
) -> View:
    """Not started where there is none of a content that is there; NotFound where that is not."""
    session.viewer.check_may_see(user_id)
    key = view_key(user_id, content_id, collection_id, context_id)
    found = await session.loaders.views.load(key)
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
    """What the short form of a view leaves out; the caller got the key from what the viewer may see."""
    session.viewer.check_may_see(key.user_id)
    return await session.loaders.views.load(key) or View(key, Status.NOT_STARTED)


async def views_page(
    session: Session,
    user_id: str,
    collection_id: str,
    context_id: str | None,
    *,
    content_ids: Sequence[str] | None,
    first: int,
    after: str | None,
) -> Page[View]:
    """The started ones of one context, or of the collection by itself, in the order of content ids.

    ``content_ids``: only of these. ``after``: the content id of the last one seen.
    """
    session.viewer.check_may_see(user_id)
    limit = checked_first(first)
    collection = await session.library.collection(checked_id(collection_id, "collectionId"))
    place = await placed_key(session, user_id, collection, optional_id(context_id, "contextId"))
    if content_ids is not None:
        wanted = sorted({checked_id(c, "contentIds") for c in checked_many(content_ids, "contentIds")})
        keys = [ViewKey(*_parts(place), c) for c in wanted if after is None or c > after]
        found = [view for view in await session.loaders.views.load_many(keys) if view is not None]
        return Page(found[:limit], len(found) > limit)
    tracking = session.shared.tracking
    if tracking.keeps_by_content:
        return await _page_of_leaves(session, place, collection, after=after, limit=limit)
    prefix = _parts(tracking.source(place))[1:]
    rows = await session.stores.rows.partition(
        VIEWS,
        (user_id, scope_of(place.collection_id)),
        prefix=prefix,
        after=None if after is None else (*prefix, after),
        limit=limit + 1,
    )
    views = [shown(v, ViewKey(*_parts(place), v.key.content_id)) for v in map(view_of, rows) if v is not None]
    return Page(views[:limit], len(rows) > limit)


async def _page_of_leaves(
    session: Session, place: ProgressKey, collection: Content, *, after: str | None, limit: int
) -> Page[View]:
    """Where views are kept by content: of the leaves, a page of them at a time until there are enough."""
    tree = await session.library.relation_tree(collection)
    leaves = [leaf for leaf in sorted(tree.leaf_nodes) if after is None or leaf > after]
    found: list[View] = []
    for start in range(0, len(leaves), limit + 1):
        keys = [ViewKey(*_parts(place), leaf) for leaf in leaves[start : start + limit + 1]]
        found += [view for view in await session.loaders.views.load_many(keys) if view is not None]
        if len(found) > limit:
            break
    return Page(found[:limit], len(found) > limit)


def _parts(place: ProgressKey) -> tuple[str, str, str]:
    return place.user_id, place.collection_id, place.context_id
