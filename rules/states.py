"""The whole state of one key, as group queries read it: sent on every change, never a delta (R-QUERY-7)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zlib import crc32

import orjson

from rules.aggregates import Aggregate, AggregateKey, activity_type
from rules.enrolments import Enrolment
from rules.learners import ATTRIBUTES, Learner
from rules.moments import known_milliseconds, known_moment
from rules.progress import Status
from rules.scores import NO_SCORE, ActivityScore, Best

FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
DAYS = 16
"""The number of days that the synthetic times of all activities are spread over."""
LONGEST_SCORES = 8192
"""Bytes of the scores of all assessments in a state: some 140 of them. Druid keeps no more (``maxStringBytes``)."""


def synthetic_time(activity_id: str) -> datetime:
    """Returns a fixed date + hash(activity) mod 16 days. It never changes for a key, and it bounds the number of
    intervals."""
    return FIRST_DAY + timedelta(days=crc32(activity_id.encode()) % DAYS)


@lru_cache(maxsize=10_000)
def written_time(activity_id: str) -> str:
    """Returns the synthetic time as records have it."""
    return synthetic_time(activity_id).strftime("%Y-%m-%dT%H:%M:%SZ")


def interval_of(activity_id: str) -> tuple[datetime, datetime]:
    """Returns the day that has every state of the activity, without its end."""
    start = synthetic_time(activity_id)
    return start, start + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class State:
    """The state of a learner in an activity of a collection, under a context and a version. Of two of the same key the
    higher version counts.

    ``context_id`` is as aggregate rows write it (``cb:<batchId>``), ``time_spent`` in seconds. ``active``: an enrolled
    learner, not one who left or who views without an enrolment. ``tree_version``: the published version of the
    collection that it was computed from. ``attributes`` are the learner's.
    """

    activity_id: str
    collection_id: str
    context_id: str
    user_id: str
    version: int
    tree_version: int | None = None
    status: Status = Status.NOT_STARTED
    completed_count: int = 0
    required_count: int = 0
    completion_percentage: int = 0
    time_spent: int = 0
    active: bool = False
    enrolled_on: datetime | None = None
    completed_on: datetime | None = None
    last_accessed_on: datetime | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    score: ActivityScore = NO_SCORE

    @property
    def activity_type(self) -> str:
        return activity_type(self.activity_id, self.collection_id)

    @property
    def key(self) -> str:
        """The key of the record: all states of a key go to one partition, in order."""
        return f"{self.activity_id}|{self.collection_id}|{self.context_id}|{self.user_id}"


def state_of(
    aggregate: Aggregate,
    *,
    user_id: str,
    collection_id: str,
    aggregate_context_id: str,
    enrolment: Enrolment | None,
    learner: Learner | None,
    version: int,
    tree_version: int,
) -> State:
    return State(
        activity_id=aggregate.activity_id,
        collection_id=collection_id,
        context_id=aggregate_context_id,
        user_id=user_id,
        version=version,
        tree_version=tree_version,
        status=aggregate.progress.status,
        completed_count=aggregate.progress.completed_count,
        required_count=aggregate.progress.required_count,
        completion_percentage=aggregate.progress.completion_percentage,
        time_spent=aggregate.time_spent,
        active=enrolment is not None and enrolment.active,
        enrolled_on=enrolment.enrolled_on if enrolment else None,
        completed_on=aggregate.completed_on,
        last_accessed_on=aggregate.last_accessed_on,
        attributes=learner.attributes if learner else {},
        score=aggregate.score,
    )


def vanished_state(key: AggregateKey, version: int) -> State:
    """Returns the state of a key whose row is deleted. It counts for nothing, and tells nothing of the learner. An
    append-only store can't forget a key, so a deletion is a state like any other."""
    return State(key.activity_id, key.collection_id, key.context_id, key.user_id, version)


def encode_state(state: State) -> bytes:
    """Returns the whole state as it goes onto the topic. Moments are in epoch milliseconds, unknown is null, flags are
    0 or 1."""
    return orjson.dumps(
        {
            "time": written_time(state.activity_id),
            "activity_type": state.activity_type,
            "activity_id": state.activity_id,
            "collection_id": state.collection_id,
            "context_id": state.context_id,
            "user_id": state.user_id,
            "version": state.version,
            "tree_version": state.tree_version,
            "status": int(state.status),
            "completed_count": state.completed_count,
            "required_count": state.required_count,
            "completion_percentage": state.completion_percentage,
            "time_spent": state.time_spent,
            "active": int(state.active),
            "enrolled_on": known_milliseconds(state.enrolled_on),
            "completed_on": known_milliseconds(state.completed_on),
            "last_accessed_on": known_milliseconds(state.last_accessed_on),
            **_score_columns(state.score),
            **{name: state.attributes.get(name) for name in ATTRIBUTES},
        }
    )


def _score_columns(score: ActivityScore) -> Mapping[str, object]:
    return _columns_of(score) if score.assessments else _WITHOUT_SCORE


def _columns_of(score: ActivityScore) -> dict[str, object]:
    scores = encode_scores(score)
    return {
        "score": score.score,
        "max_score": score.max_score,
        "score_percentage": score.percentage,
        "attempts_count": score.attempts,
        "assessed_count": score.assessed,
        "right_first_count": score.right_first,
        "passable_count": score.passable,
        "passed_count": score.passed,
        # What Druid would cut off is no JSON. Then only the rows have it.
        "scores": None if len(scores.encode()) > LONGEST_SCORES else scores,
    }


def encode_scores(score: ActivityScore) -> str:
    """Returns the score in each assessment as JSON: ``{id: [score, maximum, attempts, last attempt in ms]}``."""
    told = {
        content: [*best[:3], known_milliseconds(best.attempted_on)]
        for content, best in score.assessments.items()
    }
    return orjson.dumps(told).decode()


_WITHOUT_SCORE = _columns_of(NO_SCORE)


def decode_scores(
    told: str | None = None,
    right_first: int | None = None,
    passable: int | None = None,
    passed: int | None = None,
) -> ActivityScore:
    """Returns the score that a state told. There is none where it told nothing, as states of before schema 6 do."""
    assessments = orjson.loads(told or "{}")
    if not assessments:
        return NO_SCORE
    return ActivityScore(
        {
            content: Best(score, most, attempts, known_moment(at))
            for content, (score, most, attempts, at) in assessments.items()
        },
        right_first or 0,
        passable or 0,
        passed or 0,
    )
