"""The whole state of one key, as group queries read it: sent on every change, never a delta (design, section 5)."""

from datetime import UTC, datetime, timedelta
from zlib import crc32

import orjson

from rules.aggregates import ACTIVITY_TYPE, Aggregate
from rules.enrolments import Enrolment
from rules.learners import ATTRIBUTES, Learner

_FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
_DAYS = 16


def synthetic_time(activity_id: str) -> datetime:
    """A fixed date + hash(activity) mod 16 days: never changes for a key and bounds the number of intervals."""
    return _FIRST_DAY + timedelta(days=crc32(activity_id.encode()) % _DAYS)


def state_of(
    aggregate: Aggregate,
    *,
    user_id: str,
    collection_id: str,
    aggregate_context_id: str,
    enrolment: Enrolment | None,
    learner: Learner | None,
    version: int,
) -> dict[str, object]:
    """The state as it goes onto the topic. Times in epoch milliseconds, time spent in seconds, unknown is null.

    ``active`` is 1 for an enrolled learner, 0 for one who left or who views without an enrolment.
    """
    attributes = learner.attributes if learner else {}
    return {
        "time": synthetic_time(aggregate.activity_id).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "activity_type": ACTIVITY_TYPE,
        "activity_id": aggregate.activity_id,
        "context_id": aggregate_context_id,
        "user_id": user_id,
        "version": version,
        "collection_id": collection_id,
        "status": int(aggregate.progress.status),
        "completed_count": aggregate.progress.completed_count,
        "required_count": aggregate.progress.required_count,
        "completion_percentage": aggregate.progress.completion_percentage,
        "time_spent": aggregate.time_spent,
        "active": int(enrolment is not None and enrolment.active),
        "enrolled_on": _ms(enrolment.enrolled_on if enrolment else None),
        "completed_on": _ms(aggregate.completed_on),
        "last_accessed_on": _ms(aggregate.last_accessed_on),
        **{name: attributes.get(name) for name in ATTRIBUTES},
    }


def encode_state(state: dict[str, object]) -> bytes:
    return orjson.dumps(state)


def _ms(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1000)
