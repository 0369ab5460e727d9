"""Enrolments with how the learner stands in each, and the commands that make and end them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.commands.enrolments import enrol, unenrol
from loaders import enrolments as rows
from loaders.aggregates import StoredAggregate, aggregates_by_key
from loaders.enrolments import Place
from loaders.session import Session
from loaders.standings import aggregate_context_of, root_key
from resolvers import collections
from resolvers.learner_trees import LearnerTree
from resolvers.paging import Page, checked_first
from rules.contents import Content
from rules.contexts import Context
from rules.enrolments import Enrolment, shown_progress
from rules.errors import NotFound
from rules.identifiers import ProgressKey, checked_id
from rules.moments import milliseconds
from rules.progress import Progress, Status
from rules.standings import Figures, FirstCompletion
from rules.triggers import TriggerKind

__all__ = [
    "Enrolled",
    "enrol",
    "enrolled",
    "enrolment",
    "enrolments_page",
    "learner_tree",
    "recent_enrolments_page",
    "unenrol",
]


Recency = tuple[int, str, str]
"""The place of an enrolment in a learner's list by last access: negative milliseconds of the last access, then
collection and context."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An enrolment, how the learner stands, and what it is in; None for a collection or context that is gone."""

    enrolment: Enrolment
    progress: Progress
    completed: FirstCompletion | None
    last_accessed_on: datetime | None
    collection: Content | None
    context: Context | None
    read_statuses: Mapping[str, int] | None
    """The status of each started leaf; empty if the collection is gone. None if they were not asked for."""
    time_spent: int | None
    """Seconds in all of the collection's leaves, 0 in a place that was moved from. None if nobody knows any more."""

    @property
    def statuses(self) -> Mapping[str, int]:
        assert self.read_statuses is not None, "a page that shows statuses asks for them"  # noqa: S101 - a fault of ours
        return self.read_statuses

    @property
    def status(self) -> Status:
        return self.progress.status

    @property
    def completion_percentage(self) -> int:
        return self.progress.completion_percentage

    @property
    def completed_on(self) -> datetime | None:
        return self.completed.on if self.completed else None

    @property
    def completed_version(self) -> int | None:
        return self.completed.version if self.completed else None


async def enrolments_page(
    session: Session,
    user_id: str,
    *,
    first: int,
    after: Place | None,
    active: bool | None,
    statuses: bool = False,
) -> Page[Enrolled]:
    """A page of a learner's enrolments, in the order of collection and context. ``active`` None: also the enrolments
    that ended. ``statuses``: with the status of each leaf."""
    session.viewer.check_may_see(user_id)
    found, more = await rows.enrolments_page(
        session.stores.rows, user_id, after=after, limit=checked_first(first), active=active
    )
    heal(session, found)
    return Page(await enrolled(session, found, statuses=statuses), more)


async def recent_enrolments_page(
    session: Session, user_id: str, *, first: int, after: Recency | None
) -> tuple[Page[Enrolled], Recency | None]:
    """A page of the active enrolments with the status of each leaf, those last accessed first, as the platform sorts them;
    and where the page ends.

    To sort them all their keys are read, a thousand in a statement. Everything else is read of the page's enrolments
    alone. ``enrolments_page`` reads no more than a page, in the order of storage.
    """
    session.viewer.check_may_see(user_id)
    limit = checked_first(first)
    places = sorted(
        (-milliseconds(at) if (at := place.last_accessed_on) else 0, place.collection_id, place.context_id)
        for place in await rows.enrolment_places(session.stores.rows, user_id)
        if place.active
    )
    left = [place for place in places if after is None or place > after]
    wanted = [ProgressKey(user_id, collection, context) for _, collection, context in left[:limit]]
    read = await rows.enrolments_by_key(session.stores.rows, wanted)
    found = [one for one in read if one is not None and one.active]
    heal(session, found)
    end = left[:limit][-1] if len(left) > limit else None
    return Page(await enrolled(session, found, statuses=True), len(left) > limit), end


async def enrolment(session: Session, user_id: str, collection_id: str, context_id: str) -> Enrolled:
    """One enrolment, ended or not. NotFound if the learner never enrolled there."""
    session.viewer.check_may_see(user_id)
    key = ProgressKey(user_id, checked_id(collection_id, "collectionId"), checked_id(context_id, "contextId"))
    found = await session.loaders.enrolments.load(key)
    if found is None:
        raise NotFound(f"no enrolment in {key.collection_id} under {key.context_id}", field="contextId")
    heal(session, [found])
    (answer,) = await enrolled(session, [found], statuses=True)
    return answer


async def enrolled(
    session: Session, enrolments: Sequence[Enrolment], *, statuses: bool = False
) -> list[Enrolled]:
    """The enrolments with all that a page of them shows, read in one batch of each kind. ``statuses``: with the status of
    each leaf, which takes most of the time."""
    keys = [enrolment.key for enrolment in enrolments]
    figures, published, contexts = await asyncio.gather(
        session.loaders.figures_of_page(keys, statuses=statuses),
        session.library.published(list({key.collection_id for key in keys})),
        session.library.contexts.load_many([key.context_id for key in keys]),
    )
    contents = [published.get(key.collection_id, (None, None))[0] for key in keys]
    trees = {identifier: tree for identifier, (_, tree) in published.items() if tree is not None}
    gone = await _stored_figures(
        session,
        [
            (e, context)
            for e, context in zip(enrolments, contexts, strict=True)
            if e.key.collection_id not in trees
        ],
    )
    return [
        Enrolled(
            enrolment,
            Progress(enrolment.status, enrolment.completed_count, gone[enrolment.key].required_count)
            if enrolment.key in gone
            else shown_progress(enrolment, shown, trees.get(enrolment.key.collection_id)),
            enrolment.completed or (shown.completed if shown else None),
            (shown.last_accessed_on if shown else None) or enrolment.last_accessed_on,
            content,
            context,
            shown.statuses if shown else {},
            _time_spent(enrolment, shown, gone.get(enrolment.key)),
        )
        for enrolment, shown, content, context in zip(enrolments, figures, contents, contexts, strict=True)
    ]


def heal(session: Session, enrolments: Iterable[Enrolment]) -> None:
    """Sends the trigger again of each enrolment whose last change no worker has seen: it may have been lost with the
    call that made the change."""
    for enrolment in enrolments:
        if enrolment.is_unseen:
            session.shared.healing.heal(TriggerKind.ENROLMENT, enrolment.key, enrolment.changed_at)


async def learner_tree(session: Session, found: Enrolled) -> LearnerTree | None:
    """The collection's tree as the learner stands in it. None if the collection is gone. What has moved has nothing here.

    The trees of a page are read together, and kept by the process.
    """
    if found.collection is None:
        return None
    try:
        tree = await collections.tree(session, found.collection)
    except NotFound:
        return None
    if found.enrolment.has_moved:
        return LearnerTree(tree, {})
    if found.read_statuses is not None:
        return LearnerTree(tree, found.read_statuses)
    standing = await session.loaders.standings.load(found.enrolment.key)
    return LearnerTree(tree, standing.statuses if standing else {})


def _time_spent(enrolment: Enrolment, figures: Figures | None, stored: StoredAggregate | None) -> int | None:
    if enrolment.has_moved:
        return 0
    if figures is not None:
        return figures.time_spent
    return stored.time_spent if stored else None


async def _stored_figures(
    session: Session, gone: Sequence[tuple[Enrolment, Context | None]]
) -> dict[ProgressKey, StoredAggregate]:
    """The figures that the workers last computed in collections that are gone."""
    if not gone:
        return {}
    found = await aggregates_by_key(
        session.stores.rows,
        [root_key(e.key, aggregate_context_of(e.key, context)) for e, context in gone],
    )
    return {
        enrolment.key: aggregate
        for (enrolment, _), aggregate in zip(gone, found, strict=True)
        if aggregate is not None
    }
