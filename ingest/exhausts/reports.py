"""The rows of exhausts, read for some learners at a time. Each read is one batch for all of these learners."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from loaders.activity_scores import activity_scores
from loaders.archived_questions import MISSING, ArchivedQuestions
from loaders.attempts import attempt_key, attempts_by_key
from loaders.enrolments import enrolments_by_key
from loaders.learners import learners_by_id
from loaders.session import Shared
from loaders.standings import Standings
from loaders.whole_attempts import whole_attempts
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
from rules.scores import NO_SCORE

ATTEMPTS_AT_ONCE = 200
"""Attempts whose questions are held at a time."""


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
        shared, place = self._shared, self._place
        enrolments = await _enrolments(shared, place, user_ids)
        if not enrolments:
            return
        keys = [enrolment.key for enrolment in enrolments]
        tree = await _tree(shared, place)
        figures, learners, scores = await asyncio.gather(
            self._standings.figures(keys, statuses=False),
            learners_by_id(shared.stores.rows, [key.user_id for key in keys]),
            activity_scores(shared.stores.rows, shared.library, shared.tracking, keys),
        )
        found = []
        for enrolment, shown, learner, scored in zip(enrolments, figures, learners, scores, strict=True):
            score = NO_SCORE if enrolment.has_moved else scored  # it counts where the learner is now
            self._assessments |= score.assessments.keys()
            report = LearnerReport(
                enrolment,
                shown_progress(enrolment, shown, tree),
                enrolment.completed or (shown.completed if shown else None),
                (shown.last_accessed_on if shown else None) or enrolment.last_accessed_on,
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
        tree = await _tree(self._shared, place)
        trees = {} if tree is None else {place.collection_id: tree}
        attempts = await attempts_by_key(rows, self._shared.tracking, keys, trees, None)
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

    async def _whole(self, attempts: Sequence[Attempt]) -> list[WholeAttempt]:
        """The attempts with their questions, in this order. One that has none anywhere is without."""
        found = await whole_attempts(self._shared.stores.rows, self._archive, attempts)
        wholes = []
        for attempt in attempts:
            each = found[attempt_key(attempt)]
            if not isinstance(each, StoreUnavailable):
                wholes.append(each.whole)
            elif each.message == MISSING:
                # It comes not back by itself: to wait for it as for a store that is away would hold up all others.
                raise NotFound(MISSING) from each
            else:
                raise each
        return wholes


async def _enrolments(shared: Shared, place: ExhaustPlace, user_ids: Sequence[str]) -> list[Enrolment]:
    """The enrolments of these learners, without those that are erased."""
    keys = [ProgressKey(user_id, place.collection_id, place.context_id) for user_id in user_ids]
    found = await enrolments_by_key(shared.stores.rows, keys)
    return [enrolment for enrolment in found if enrolment is not None]


async def _tree(shared: Shared, place: ExhaustPlace) -> RelationTree | None:
    published = await shared.library.published([place.collection_id])
    return published.get(place.collection_id, (None, None))[1]
