"""What learners scored in assessments, as the workers stored it (R-ASSESS-4), and what they scored in an activity."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from loaders.scores import StoredScores, scores_by_key, scores_of_learner
from loaders.scores import scores_page as rows_page
from loaders.session import Session
from resolvers.paging import Page, checked_first
from resolvers.progress import kept_at, place_read
from rules.access import Access
from rules.contents import Content, ContentKind
from rules.contexts import Context, check_contains, is_guide
from rules.errors import NotFound
from rules.identifiers import ProgressKey, ViewKey, checked_id, optional_id
from rules.scores import ActivityScore
from rules.tracking import TrackingMode
from stores.rows import Key

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_PORTION = 200
"""Rows at a time, of a list of which not all is asked for."""

Place = tuple[str, str, str]
"""Where scores stand in a learner's list: assessment, and collection and context where attempts are kept."""


@dataclass(frozen=True, slots=True)
class ScoresRead:
    """Scores in one assessment. ``key`` has the ids that were asked for, ``stored`` those where attempts are kept."""

    key: ViewKey
    stored: StoredScores

    @property
    def place(self) -> Place:
        kept = self.stored.key
        return kept.content_id, kept.collection_id, kept.context_id


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which scores: in one assessment, one collection, under one context. None does not matter."""

    assessment_id: str | None = None
    collection_id: str | None = None
    context_id: str | None = None

    def checked(self) -> "Wanted":
        """The same with ids that can be. InvalidInput names the one that cannot."""
        return Wanted(
            optional_id(self.assessment_id, "assessmentId"),
            optional_id(self.collection_id, "collectionId"),
            optional_id(self.context_id, "contextId"),
        )


async def latest_scores(
    session: Session, user_id: str, assessment_id: str, collection_id: str | None, context_id: str | None
) -> ScoresRead:
    """A learner's scores in an assessment. Without a collection or a context those of the place that was updated last.
    NotFound if there are none.

    One statement, whatever is named.
    """
    user_id = checked_id(user_id, "userId")
    session.viewer.check_may_see(user_id)
    wanted = Wanted(checked_id(assessment_id, "assessmentId"), collection_id, context_id).checked()
    named = await _naming(session, user_id, wanted)
    stored = await scores_of_learner(session.stores.rows, user_id, wanted.assessment_id)
    found = [ScoresRead(key, each) for each in stored if (key := named(each.key)) is not None]
    if not found:
        raise NotFound(f"there are no scores in {wanted.assessment_id}", field="assessmentId")
    return max(found, key=lambda one: (one.stored.updated_on or _EARLIEST, one.place))


async def scores_page(
    session: Session, user_id: str, wanted: Wanted, *, first: int, after: Place | None
) -> Page[ScoresRead]:
    """A page of a learner's scores, in the order of assessment and of where attempts are kept.

    Rows are read until there are enough, so the cost is bounded by the rows that are passed over: a learner has one for
    each assessment and place.
    """
    session.viewer.check_may_see(user_id)
    limit, wanted = checked_first(first), wanted.checked()
    named = await _naming(session, user_id, wanted)
    everything = wanted.collection_id is None and wanted.context_id is None
    most = limit + 1 if everything else max(limit + 1, _PORTION)
    found: list[ScoresRead] = []
    begin: Key | None = after
    while len(found) <= limit:
        page, begin = await rows_page(
            session.stores.rows, user_id, assessment_id=wanted.assessment_id, after=begin, limit=most
        )
        found += [ScoresRead(key, each) for each in page if (key := named(each.key)) is not None]
        if begin is None:
            break
    return Page(found[:limit], len(found) > limit)


async def scores(session: Session, asked: ViewKey) -> ScoresRead:
    """A learner's scores in one assessment and place. ``asked``: the ids of a client. NotFound if there are none."""
    session.viewer.check_may_see(asked.user_id)
    kept = await kept_at(session, asked)
    stored = (await scores_by_key(session.stores.rows, [kept])).get(kept)
    if stored is None:
        raise NotFound(f"there are no scores in {asked.content_id}", field="assessmentId")
    return ScoresRead(asked, stored)


async def activity_score(session: Session, key: ProgressKey, context: Context | None) -> ActivityScore:
    """What a learner scored in a collection, out of the attempts themselves: right before any worker has run. The guides
    of ``context``, the enrolment's, see it as they do in its reports."""
    viewer = session.viewer
    named = viewer.user_id == key.user_id or (context is not None and is_guide(viewer, context))
    viewer.check(Access.LEARNER_OR_GUIDES, named=named, field="userId")
    return await session.loaders.scores.load(key)


async def is_there(session: Session, assessment_id: str) -> bool:
    """Whether the assessment is published."""
    return await session.library.contents.load(assessment_id) is not None


async def scores_in(session: Session, view: ViewKey) -> ScoresRead | None:
    """A learner's scores at the content of a view. ``view``: a place that was looked up already. None without attempts."""
    session.viewer.check_may_see(view.user_id)
    kept = session.shared.tracking.stored(view)
    stored = (await scores_by_key(session.stores.rows, [kept])).get(kept)
    return None if stored is None else ScoresRead(view, stored)


async def collection_of(session: Session, key: ViewKey) -> Content | None:
    """The collection that a content was viewed or taken in. None if it is gone, or there was none."""
    if key.is_content_alone:
        return None
    found = await session.library.contents.load(key.collection_id)
    return found if found is not None and found.kind is ContentKind.COLLECTION else None


async def context_of(session: Session, key: ViewKey) -> Context | None:
    """The context that a content was viewed or taken under. None if it is gone, or there was none."""
    if not key.progress_key.has_context:
        return None
    return await session.library.contexts.load(key.context_id)


async def _naming(session: Session, user_id: str, wanted: Wanted) -> Callable[[ViewKey], ViewKey | None]:
    """Gives for a key where attempts are kept the same key by the ids that are wanted. None if it is not among what is
    wanted. It does not look at the assessment.

    A mode that keeps attempts elsewhere than they were made is asked where (rules/tracking.py). What is kept by content
    counts in the collections whose live tree has it as a leaf.
    """
    tracking, collection_id, context_id = session.shared.tracking, wanted.collection_id, wanted.context_id
    kept_as_named = tracking.mode in (TrackingMode.STRICT, TrackingMode.COPY)
    if (
        (collection_id is None and context_id is None)
        or kept_as_named
        or (context_id is None and not tracking.keeps_by_content)
    ):
        return lambda kept: (
            kept
            if collection_id in (None, kept.collection_id) and context_id in (None, kept.context_id)
            else None
        )
    collections = await _collections(session, collection_id, context_id)
    places = {each: await place_read(session, user_id, each, context_id) for each in collections}
    published = await session.library.published(list(collections)) if tracking.keeps_by_content else {}
    leaves = {each: tree.leaf_nodes for each, (_, tree) in published.items() if tree is not None}

    def named(kept: ViewKey) -> ViewKey | None:
        for collection, place in places.items():
            asked = kept._replace(collection_id=place.collection_id, context_id=place.context_id)
            counts = not tracking.keeps_by_content or kept.content_id in leaves.get(collection, {collection})
            if counts and tracking.stored(asked) == kept:
                return kept._replace(collection_id=collection, context_id=context_id or collection)
        return None

    return named


async def _collections(
    session: Session, collection_id: str | None, context_id: str | None
) -> tuple[str, ...]:
    """The collections whose scores are wanted. NotFound or InvalidInput if the collection has no such context."""
    if collection_id is not None and context_id in (None, collection_id):
        return (collection_id,)
    if context_id is None:
        return ()
    context = await session.library.context(context_id)
    if collection_id is None:
        return tuple(sorted(context.collection_ids))
    check_contains(context, collection_id)
    return (collection_id,)
