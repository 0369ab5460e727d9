"""Assessments: submitting them, the attempts at them, and the questions of these."""

import re
from collections.abc import Sequence
from datetime import datetime

from ingest.commands.assessments import AssessmentCall, submit_assessment
from loaders.attempts import attempts_by_key
from loaders.attempts import attempts_page as rows_page
from loaders.session import Session
from loaders.whole_attempts import Questioned, QuestionsSource
from resolvers.paging import Page, checked_first
from resolvers.progress import kept_at, placed_key, trees_of, within
from rules.assessments import Submission
from rules.attempts import Attempt, Question
from rules.errors import InvalidInput, NotFound
from rules.identifiers import ProgressKey, ViewKey, checked_id, optional_id
from rules.moments import milliseconds
from rules.scores import Score, assessment_scores

__all__ = [
    "AssessmentCall",
    "Attempt",
    "Question",
    "Questioned",
    "QuestionsSource",
    "Submission",
    "attempt",
    "attempt_kept",
    "attempts_at",
    "attempts_page",
    "best_score",
    "cursor_of",
    "questions",
    "questions_of",
    "submit_assessment",
]

_WHOLE = re.compile(r"-?[0-9]{1,18}")
Moment = tuple[int, str]
"""Where an attempt stands among those at one assessment: its milliseconds, 0 where nobody knows, and its id."""


async def attempts_page(
    session: Session,
    user_id: str,
    collection_id: str,
    context_id: str | None,
    *,
    content_id: str | None = None,
    first: int,
    after: Sequence[str] | None,
) -> Page[Attempt]:
    """A page of a learner's attempts in one place, in the order of content and attempt, wherever the instance keeps
    them.

    If ``collection_id`` is the id of the content, the place is the content by itself. ``after``: content and attempt
    of the last one seen.
    """
    session.viewer.check_may_see(user_id)
    limit = checked_first(first)
    collection_id, content_id = (
        checked_id(collection_id, "collectionId"),
        optional_id(content_id, "contentId"),
    )
    if collection_id == content_id:
        place = ProgressKey(user_id, content_id, content_id)
    else:
        collection = await session.library.collection(collection_id)
        place = await placed_key(session, user_id, collection, context_id)
    rows, tracking = session.stores.rows, session.shared.tracking
    if content_id is None and tracking.keeps_by_content:
        counted = (await attempts_by_key(rows, tracking, [place], await trees_of(session, place), None))[
            place
        ]
        left = [one for one in counted if after is None or (one.key.content_id, one.attempt_id) > (*after,)]
        return Page(left[:limit], len(left) > limit)
    kept = tracking.source(place) if content_id is None else tracking.stored(within(place, content_id))
    found = await rows_page(
        rows,
        (kept.user_id, kept.collection_id, kept.context_id),
        content_id=content_id,
        after=after,
        limit=limit + 1,
    )
    return Page(found[:limit], len(found) > limit)


async def attempts_at(
    session: Session, kept: ViewKey, *, first: int, after: Sequence[str] | None
) -> Page[Attempt]:
    """A page of the attempts at one assessment, the latest first. ``kept``: where they are kept. ``after``: what
    ``cursor_of`` gives of the last one seen.

    All of them are read at once, for all assessments that a request shows (``loaders.attempts``).
    """
    session.viewer.check_may_see(kept.user_id)
    limit, begin = checked_first(first), _begin(after)
    found = sorted(await session.loaders.attempts.load(kept), key=_moment, reverse=True)
    left = [one for one in found if begin is None or _moment(one) < begin]
    return Page(left[:limit], len(left) > limit)


async def attempt(session: Session, asked: ViewKey, attempt_id: str) -> Attempt:
    """One attempt. ``asked``: the ids of a client. NotFound, Forbidden."""
    session.viewer.check_may_see(asked.user_id)
    found = await attempt_kept(session, await kept_at(session, asked), attempt_id)
    if found is None:
        raise NotFound(f"there is no attempt {attempt_id} at {asked.content_id}", field="attemptId")
    return found


async def attempt_kept(session: Session, kept: ViewKey, attempt_id: str) -> Attempt | None:
    """One attempt, by where it is kept. None if there is none. Forbidden."""
    session.viewer.check_may_see(kept.user_id)
    found = await session.loaders.attempts.load(kept)
    return next((one for one in found if one.attempt_id == attempt_id), None)


async def best_score(session: Session, view: ViewKey) -> Score | None:
    """The score of the best attempt at the content of a view. ``view``: a place that was looked up already."""
    session.viewer.check_may_see(view.user_id)
    scores = assessment_scores(await session.loaders.attempts.load(session.shared.tracking.stored(view)))
    return None if scores is None else scores.best_score


async def questions(session: Session, found: Attempt) -> Questioned:
    """The questions of an attempt, and where they were read. The caller got it from something that the viewer may see.
    StoreUnavailable if the archive has them and is away."""
    session.viewer.check_may_see(found.key.user_id)
    return await session.loaders.questions.load(found)


async def questions_of(session: Session, found: Sequence[Attempt]) -> list[Questioned]:
    """The questions of attempts, in their order; otherwise as ``questions``."""
    for user_id in {one.key.user_id for one in found}:
        session.viewer.check_may_see(user_id)
    return await session.loaders.questions.load_many(list(found))


def cursor_of(found: Attempt) -> tuple[str, str]:
    """What the cursor of an attempt carries (``attempts_at``)."""
    at, attempt_id = _moment(found)
    return str(at), attempt_id


def _moment(found: Attempt) -> Moment:
    at: datetime | None = found.attempted_on
    return 0 if at is None else milliseconds(at), found.attempt_id


def _begin(after: Sequence[str] | None) -> Moment | None:
    if after is None:
        return None
    at, attempt_id = after
    if not _WHOLE.fullmatch(at):
        raise InvalidInput("after must be a cursor of this list", field="after")
    return int(at), attempt_id
