"""A learner's scores in assessments, as the workers wrote them (R-ASSESS-2, P-1.1)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from rules.identifiers import ViewKey
from rules.scores import AssessmentScores, Score
from stores.keys import MOST_KEYS
from stores.rows import Key, Row, Rows
from stores.tables import SCORES


@dataclass(frozen=True, slots=True)
class StoredScores:
    """A row of ``assessment_aggregator_v2``.

    ``key``: where the attempts are kept. ``max``: of the best attempt, 0 where nobody knows. ``updated_on``: when the
    last attempt was.
    """

    key: ViewKey
    best: float
    max: float
    lowest: float
    average: float
    first: float
    last: float
    attempts: int
    updated_on: datetime | None
    best_attempt_id: str
    last_attempt_id: str
    version: int

    @property
    def best_score(self) -> Score:
        return Score(self.best, self.max)

    @classmethod
    def of(cls, key: ViewKey, scores: AssessmentScores, version: int) -> Self:
        """What is to be stored of these scores."""
        return cls(
            key=key,
            best=scores.best_score.score,
            max=scores.best_score.max_score,
            lowest=scores.lowest,
            average=scores.average,
            first=scores.first.score or 0.0,
            last=scores.last.score or 0.0,
            attempts=scores.attempts,
            updated_on=scores.updated_on,
            best_attempt_id=scores.best.attempt_id,
            last_attempt_id=scores.last.attempt_id,
            version=version,
        )

    def says(self, scores: AssessmentScores) -> bool:
        """Whether the row has these scores."""
        return self == self.of(self.key, scores, self.version)


async def scores_of_learner(rows: Rows, user_id: str, assessment_id: str | None = None) -> list[StoredScores]:
    """The scores of a learner, or those in one assessment, in the order of assessment, collection and context. A page
    is not needed: it is one row for each assessment and place."""
    prefix = () if assessment_id is None else (assessment_id,)
    found = await rows.partition(SCORES, (user_id,), prefix=prefix)
    return [stored for row in found if (stored := _stored(row)) is not None]


async def scores_page(
    rows: Rows, user_id: str, *, assessment_id: str | None, after: Key | None, limit: int
) -> tuple[list[StoredScores], Key | None]:
    """At most ``limit`` scores of a learner, in all assessments or in one, in the order of assessment, collection and
    context; and these three of the last row, if there may be more. ``after``: those of the last row seen."""
    prefix = () if assessment_id is None else (assessment_id,)
    found = await rows.partition(SCORES, (user_id,), prefix=prefix, after=after, limit=limit)
    end = None if len(found) < limit else tuple(found[-1][name] for name in SCORES.clustering)
    return [stored for row in found if (stored := _stored(row)) is not None], end


async def scores_of_learners(
    rows: Rows, user_ids: Collection[str], assessment_ids: Collection[str] | None
) -> dict[ViewKey, StoredScores]:
    """The scores of these learners in these assessments, wherever they are kept. Costs one statement for 100 learners,
    whatever each attempted. ``assessment_ids`` of None are all; more than one statement takes are read as all."""
    users = [(user,) for user in sorted(user_ids)]
    among = None if assessment_ids is None or len(assessment_ids) > MOST_KEYS else sorted(assessment_ids)
    found = await rows.partitions(SCORES, users, among=among) if users else {}
    stored = (_stored(row) for partition in found.values() for row in partition)
    return {each.key: each for each in stored if each is not None}


async def scores_by_key(rows: Rows, keys: Sequence[ViewKey]) -> dict[ViewKey, StoredScores]:
    """The scores of these keys, as far as there are any. A key says where attempts are kept."""
    found = await rows.get_many(SCORES, [scores_key(key) for key in dict.fromkeys(keys)]) if keys else {}
    stored = (_stored(row) for row in found.values())
    return {each.key: each for each in stored if each is not None}


def scores_key(key: ViewKey) -> Key:
    """The primary key of the row."""
    return key.user_id, key.content_id, key.collection_id, key.context_id


def scores_values(stored: StoredScores) -> dict[str, Any]:
    """The columns of the row, apart from its key."""
    return {
        "best_score": stored.best,
        "total_max_score": stored.max,
        "best_attempt_id": stored.best_attempt_id,
        "lowest_score": stored.lowest,
        "average_score": stored.average,
        "first_attempted_score": stored.first,
        "last_attempted_score": stored.last,
        "last_attempt_id": stored.last_attempt_id,
        "attempts_count": stored.attempts,
        "updated_on": stored.updated_on,
        "version": stored.version,
    }


def _stored(row: Row) -> StoredScores | None:
    """The scores in a row. None for a row that only an older or partial write reached."""
    if row["version"] is None:
        return None
    return StoredScores(
        key=ViewKey(row["user_id"], row["collection_id"], row["context_id"], row["assessment_id"]),
        best=row["best_score"],
        max=row["total_max_score"],
        lowest=row["lowest_score"],
        average=row["average_score"],
        first=row["first_attempted_score"],
        last=row["last_attempted_score"],
        attempts=row["attempts_count"],
        updated_on=row["updated_on"],
        best_attempt_id=row["best_attempt_id"],
        last_attempt_id=row["last_attempt_id"],
        version=row["version"],
    )
