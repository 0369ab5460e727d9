"""Finds the row that a call is about. Checks who acts for whom, at which time, and whether that is allowed."""

from collections.abc import Set
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from ingest.modes.strategies import added_by
from loaders.erasures import check_not_erased
from loaders.session import Session
from rules.contents import ContentKind
from rules.contexts import Context, check_contains, check_open
from rules.errors import CohortError, InvalidInput, NotFound
from rules.identifiers import ProgressKey, ViewKey, checked_id, view_key
from rules.progress import Status
from rules.views import LARGEST_DETAILS, View, ViewChange


@dataclass(frozen=True, slots=True)
class ViewCall:
    """What every call names. ``user_id`` and ``at`` are for services. Ids that are left out get the defaults of the
    scenarios."""

    content_id: str
    collection_id: str | None = None
    context_id: str | None = None
    user_id: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a call goes, and when.

    - ``asked``: the key as the caller names it.
    - ``key``: the key where the instance's mode keeps the view.
    - ``at``: when it happened.
    - ``opened_on``: since when one may work there, if that is known.
    """

    asked: ViewKey
    key: ViewKey
    at: datetime
    opened_on: datetime | None = None


async def placed(session: Session, call: ViewCall, happened_on: datetime | None = None) -> Placed:
    """Returns the row and the time of a call, after checking that all it names exists and is open.

    ``happened_on`` is the device's time. It is used only to check for an erasure since then.
    """
    key, at = named(session, call)
    told = at if call.at is not None else happened_on
    if told is not None:
        await check_not_erased(session.stores.rows, key.progress_key, told)
    place = placed_on(session, await viewable_contents(session, key), key, at)
    if told is not None and place.asked != key:
        await check_not_erased(session.stores.rows, place.asked.progress_key, told)
    return place


def named(session: Session, call: ViewCall) -> tuple[ViewKey, datetime]:
    """Returns the key and the time that the call names. Raises InvalidInput or Forbidden if it may not name them."""
    viewer = session.viewer
    user_id = viewer.acting_for(None if call.user_id is None else checked_id(call.user_id, "userId"))
    at = viewer.time_of_call(call.at, session.now())
    return view_key(user_id, call.content_id, call.collection_id, call.context_id), at


@dataclass(frozen=True, slots=True)
class ViewableContents:
    """Contents that may be viewed, and the current context or the error that forbids it.

    ``context`` is None if no context was named. Otherwise it is the one that holds the progress now, or the error.
    """

    contents: Set[str]
    context: Context | CohortError | None = None

    def current(self, key: ProgressKey) -> ProgressKey:
        """Returns the key where the progress of ``key`` is now. These contents must have been found for ``key``."""
        return key._replace(context_id=self.context.context_id) if isinstance(self.context, Context) else key


def placed_on(session: Session, viewable: ViewableContents, key: ViewKey, at: datetime) -> Placed:
    """Places the key among its own viewable contents. Raises NotFound, ContextClosed, or the error of the context."""
    if key.content_id not in viewable.contents:
        raise NotFound(f"collection {key.collection_id} has no content {key.content_id}", field="contentId")
    if isinstance(viewable.context, CohortError):
        raise viewable.context
    opened_on = None
    if viewable.context is not None:
        key = key._replace(context_id=viewable.context.context_id)
        check_open(viewable.context, at)
        opened_on = viewable.context.opened_on
    return Placed(key, session.shared.tracking.stored(key), at, opened_on)


async def viewable_contents(session: Session, key: ViewKey) -> ViewableContents:
    """Returns the viewable contents of a key. All contents of one place have the same. Raises NotFound if there are
    none.

    A place here is a collection under one context, or under none.
    """
    if key.is_content_alone:
        content = await session.library.content(key.content_id, "contentId")
        if content.kind is not ContentKind.CONTENT:
            raise NotFound(f"{key.content_id} is a {content.kind.value}, not a content", field="contentId")
        if key.progress_key.has_context:
            raise NotFound(
                f"{key.content_id} is a content, not a collection; a context is of a collection",
                field="collectionId",
            )
        return ViewableContents({key.content_id})
    collection = await session.library.collection(key.collection_id)
    tree = await session.library.relation_tree(collection)
    if not key.progress_key.has_context:
        return ViewableContents(tree.leaf_nodes)
    try:
        return ViewableContents(tree.leaf_nodes, await _current_context(session, key.progress_key))
    except CohortError as error:
        return ViewableContents(tree.leaf_nodes, error)


async def _current_context(session: Session, key: ProgressKey) -> Context:
    check_contains(await session.library.context(key.context_id), key.collection_id)
    current = await added_by(session.shared.tracking).current_key(session.shared, key)
    return await session.library.context(current.context_id)


def check_details(change: ViewChange) -> None:
    details = change.progress_details
    if details is None:
        return
    if not isinstance(details, dict):
        raise InvalidInput("progressDetails must be a JSON object", field="progressDetails")
    try:
        size = len(orjson.dumps(details))
    except (TypeError, orjson.JSONEncodeError) as error:
        raise InvalidInput(f"progressDetails must be JSON: {error}", field="progressDetails") from None
    if size > LARGEST_DETAILS:
        raise InvalidInput(
            f"progressDetails must have at most {LARGEST_DETAILS} bytes, not {size}", field="progressDetails"
        )


def with_origin(session: Session, place: Placed, before: View | None, after: View) -> View:
    """Adds the origin if the mode keeps the view elsewhere. The origin is where the view was begun, then where it was
    completed."""
    tracking = session.shared.tracking
    completed = after.status is Status.COMPLETED and (before is None or before.status is not Status.COMPLETED)
    if not tracking.carries or not (before is None or completed):
        return after
    return replace(after, origin=tracking.origin(place.asked, place.at))
