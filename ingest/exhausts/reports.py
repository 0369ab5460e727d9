"""The rows of exhausts, read for some learners at a time. Each read is one batch for all of these learners."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Protocol

from loaders.archived_questions import MISSING, ArchivedQuestions
from loaders.attempts import SCORE_COLUMNS, attempt_key, attempts_by_key
from loaders.enrolments import enrolments_by_key
from loaders.learners import learners_by_id
from loaders.questions import whole_attempt_of
from loaders.session import Shared
from loaders.standings import Standings
from rules.attempts import Attempt, WholeAttempt
from rules.enrolments import Enrolment, shown_progress
from rules.errors import NotFound, StoreUnavailable
from rules.exhausts import (
    RESPONSE_COLUMNS,
    Cells,
    Columns,
    ExhaustPlace,
    LearnerReport,
    progress_columns,
    progress_row,
    response_rows,
)
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey
from rules.scores import activity_score, scores_by_content
from stores.tables import ATTEMPTS_WITH_QUESTIONS

ATTEMPTS_AT_ONCE = 200
"""Attempts whose questions are held at a time."""
_SLIM = (*SCORE_COLUMNS, "content_hash", "archived_in")


class Report(Protocol):
    """Where the rows of an exhaust come from."""

    def rows(self, user_ids: Sequence[str]) -> AsyncIterator[Sequence[Cells]]:
        """Gives the rows of these learners, in the order of their ids, some at a time."""
        ...

    @property
    def columns(self) -> Columns:
        """The columns of all rows that were given by now."""
        ...


class ProgressReport:
    """A row for each learner: profile, enrolment, progress and scores in one join."""

    def __init__(self, shared: Shared, place: ExhaustPlace) -> None:
        self._shared = shared
        self._place = place
        self._standings = Standings(
            shared.stores, shared.library, shared.healing, shared.now, shared.tracking
        )
        self._assessments: set[str] = set()

    @property
    def columns(self) -> Columns:
        return progress_columns(self._assessments)

    async def rows(self, user_ids: Sequence[str]) -> AsyncIterator[Sequence[Cells]]:
        rows, place = self._shared.stores.rows, self._place
        enrolments = await _enrolments(self._shared, place, user_ids)
        if not enrolments:
            return
        keys = [enrolment.key for enrolment in enrolments]
        tree = await _tree(self._shared, place)
        standings, learners, attempts = await asyncio.gather(
            self._standings.standings(keys),
            learners_by_id(rows, [key.user_id for key in keys]),
            attempts_by_key(rows, self._shared.tracking, keys, _by_collection(place, tree)),
        )
        found = []
        for enrolment, standing, learner in zip(enrolments, standings, learners, strict=True):
            scored = (
                attempt
                for attempt in attempts[enrolment.key]
                if tree is not None and attempt.key.content_id in tree.leaf_nodes
            )
            score = activity_score(scores_by_content(scored))
            self._assessments |= score.assessments.keys()
            report = LearnerReport(
                enrolment,
                shown_progress(enrolment, standing, tree),
                enrolment.completed or (standing.completed if standing else None),
                (standing.last_accessed_on if standing else None) or enrolment.last_accessed_on,
                score,
                learner,
            )
            found.append(progress_row(place, report))
        yield found


class ResponseReport:
    """A row for each question of each attempt: of live rows and archive together, the newest version once."""

    columns = RESPONSE_COLUMNS

    def __init__(self, shared: Shared, place: ExhaustPlace, archive: ArchivedQuestions) -> None:
        self._shared = shared
        self._place = place
        self._archive = archive

    async def rows(self, user_ids: Sequence[str]) -> AsyncIterator[Sequence[Cells]]:
        rows, place = self._shared.stores.rows, self._place
        keys = [enrolment.key for enrolment in await _enrolments(self._shared, place, user_ids)]
        if not keys:
            return
        trees = _by_collection(place, await _tree(self._shared, place))
        attempts = await attempts_by_key(rows, self._shared.tracking, keys, trees, _SLIM)
        ordered = [attempt for key in keys for attempt in attempts[key]]
        for first in range(0, len(ordered), ATTEMPTS_AT_ONCE):
            some = ordered[first : first + ATTEMPTS_AT_ONCE]
            titles = await self._titles(some)
            yield [
                row
                for whole in await self._whole(some)
                for row in response_rows(place, whole, titles.get(whole.attempt.key.content_id))
            ]

    async def _titles(self, attempts: Sequence[Attempt]) -> dict[str, str]:
        ids = sorted({attempt.key.content_id for attempt in attempts})
        contents = await self._shared.library.contents.load_many(ids)
        return {content.identifier: content.name for content in contents if content is not None}

    async def _whole(self, attempts: Sequence[Attempt]) -> Iterator[WholeAttempt]:
        """The attempts with their questions. One that has none anywhere is left out."""
        found = await self._shared.stores.rows.get_many(
            ATTEMPTS_WITH_QUESTIONS, [attempt_key(attempt) for attempt in attempts]
        )
        live = {key: whole_attempt_of(row) for key, row in found.items()}
        archived = await self._archived(
            [attempt for attempt in attempts if not _is_newest(attempt, live.get(attempt_key(attempt)))]
        )
        chosen = (
            newest(attempt, live.get(attempt_key(attempt)), archived.get(attempt_key(attempt)))
            for attempt in attempts
        )
        return (whole for whole in chosen if whole is not None)

    async def _archived(self, attempts: Sequence[Attempt]) -> Mapping[tuple[object, ...], WholeAttempt]:
        try:
            return await self._archive.load(attempts)
        except StoreUnavailable as error:
            if error.message != MISSING:
                raise
            # It comes not back by itself: to wait for it as for a store that is away would hold up all others.
            raise NotFound(MISSING) from error


def newest(attempt: Attempt, live: WholeAttempt | None, archived: WholeAttempt | None) -> WholeAttempt | None:
    """Returns the one whose version the slim row has. If none has it, a write is under way: then the newer one. None if
    the questions are nowhere."""
    found = [whole for whole in (live, archived) if whole is not None]
    exact = (whole for whole in found if _is_newest(attempt, whole))
    return next(exact, max(found, key=lambda whole: whole.attempt.version, default=None))


def _is_newest(attempt: Attempt, whole: WholeAttempt | None) -> bool:
    return whole is not None and whole.attempt.version == attempt.version


async def _enrolments(shared: Shared, place: ExhaustPlace, user_ids: Sequence[str]) -> list[Enrolment]:
    """The enrolments of these learners, without those that are erased."""
    keys = [ProgressKey(user_id, place.collection_id, place.context_id) for user_id in user_ids]
    found = await enrolments_by_key(shared.stores.rows, keys)
    return [enrolment for enrolment in found if enrolment is not None]


async def _tree(shared: Shared, place: ExhaustPlace) -> RelationTree | None:
    published = await shared.library.published([place.collection_id])
    return published.get(place.collection_id, (None, None))[1]


def _by_collection(place: ExhaustPlace, tree: RelationTree | None) -> Mapping[str, RelationTree]:
    return {} if tree is None else {place.collection_id: tree}
