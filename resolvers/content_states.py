"""Content states, the platform's form of views: what a device did in one call, and what a learner has done
(P-2.2, P-2.3)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingest.commands.content_states import sync_enrolment, take, update_states
from loaders.attempts import latest_attempts
from loaders.session import Session
from resolvers.paging import checked_many
from resolvers.progress import begun_without, placed_key, trees_of
from rules.attempts import Attempt
from rules.content_states import ContentState
from rules.errors import Absent, InvalidInput
from rules.identifiers import ProgressKey, ViewKey, checked_id, optional_id
from rules.progress import Status
from rules.views import View

__all__ = ["ContentState", "StateRead", "content_states", "sync_enrolment", "take", "update_states"]


@dataclass(frozen=True, slots=True)
class StateRead:
    """A view, not started where there are only ``attempts``, the latest first."""

    view: View
    attempts: Sequence[Attempt] = ()


async def content_states(
    session: Session,
    user_id: str,
    collection_id: str | None,
    context_id: str | None,
    *,
    content_ids: Sequence[str] | None = None,
    scores: bool = True,
) -> list[StateRead]:
    """Of what the learner has started or attempted, in the order of content ids; of these contents where they are named.

    Which ones were started comes from the aggregate where it has seen the last change, else from the rows; then their
    rows are read by key: of one collection under one context there are as many as it has leaves, and no others.
    Without a collection the contents are taken by themselves, and must be named.
    """
    session.viewer.check_may_see(user_id)
    named = (
        None
        if content_ids is None
        else sorted({checked_id(c, "contentIds") for c in checked_many(content_ids, "contentIds")})
    )
    if collection_id is None:
        if optional_id(context_id, "contextId") is not None:
            raise Absent("contextId needs a collectionId beside it", field="collectionId")
        if not named:
            raise InvalidInput("collectionId or contentIds must be given", field="collectionId")
        keys = [ViewKey(user_id, content, content, content) for content in named]
        return await _alone(session, keys, scores=scores)
    collection = await session.library.collection(checked_id(collection_id, "collectionId"))
    key = await placed_key(session, user_id, collection, context_id)
    attempts: Mapping[str, Sequence[Attempt]] = {}
    if scores:
        wanted = None if named is None else frozenset(named)
        started, attempts = await asyncio.gather(
            _started(session, key, named), _attempts(session, key, wanted)
        )
    else:
        started = await _started(session, key, named)
    other = begun_without(key, optional_id(context_id, "contextId"))
    if other is not None and named is None:
        started = [*started, *await _started(session, other, None)]
    views = await _views(session, [_view_key(key, content) for content in sorted({*started, *attempts})])
    if other is not None:
        missing = [view.key.content_id for view in views if view.status is Status.NOT_STARTED]
        there = await session.loaders.views.load_many([_view_key(other, content) for content in missing])
        begun = {view.key.content_id: view for view in there if view is not None}
        views = [begun.get(view.key.content_id, view) for view in views]
    return [StateRead(view, attempts.get(view.key.content_id, ())) for view in views if _told(view, attempts)]


async def _alone(session: Session, keys: Sequence[ViewKey], *, scores: bool) -> list[StateRead]:
    views = await _views(session, keys)
    found = [StateRead(view) for view in views]
    if scores:
        attempts = await asyncio.gather(*(_attempts(session, key.progress_key, None) for key in keys))
        found = [
            StateRead(view, of_one.get(view.key.content_id, ()))
            for view, of_one in zip(views, attempts, strict=True)
        ]
    return [one for one in found if one.attempts or one.view.status is not Status.NOT_STARTED]


async def _attempts(
    session: Session, key: ProgressKey, named: frozenset[str] | None
) -> Mapping[str, Sequence[Attempt]]:
    """The latest attempts by content, wherever the instance keeps them."""
    return await latest_attempts(
        session.stores.rows, session.shared.tracking, key, await trees_of(session, key), named
    )


async def _started(session: Session, key: ProgressKey, named: Sequence[str] | None) -> Sequence[str]:
    """The contents to look at."""
    if named is not None:
        return named
    standing = await session.loaders.standings.load(key)
    return [] if standing is None else [content for content, status in standing.statuses.items() if status]


async def _views(session: Session, keys: Sequence[ViewKey]) -> list[View]:
    found = await session.loaders.views.load_many(list(keys))
    return [view or View(key, Status.NOT_STARTED) for view, key in zip(found, keys, strict=True)]


def _view_key(key: ProgressKey, content_id: str) -> ViewKey:
    return ViewKey(key.user_id, key.collection_id, key.context_id, content_id)


def _told(view: View, attempts: Mapping[str, Sequence[Attempt]]) -> bool:
    return view.status is not Status.NOT_STARTED or view.key.content_id in attempts
