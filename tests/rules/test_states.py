"""The whole state of a key, as group queries read it."""

from datetime import UTC, datetime, timedelta

import orjson
from hypothesis import given
from hypothesis import strategies as st

from rules.aggregates import Aggregate
from rules.enrolments import Enrolment
from rules.identifiers import ProgressKey
from rules.learners import ATTRIBUTES, Learner
from rules.progress import Progress, Status
from rules.states import encode_state, state_of, synthetic_time

ON = datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
MS = 1_770_091_506_789
"""ON in epoch ms: 20487 days of 86,400 s, 4 h 5 min 6 s, 789 ms."""
AGGREGATE = Aggregate("unit-1", Progress(Status.IN_PROGRESS, 2, 3), {"a": 2, "b": 2}, 90, ON, "b", None)
ENROLMENT = Enrolment(ProgressKey("ada", "course", "batch"), True, ON)


def state(
    aggregate: Aggregate = AGGREGATE,
    enrolment: Enrolment | None = ENROLMENT,
    learner: Learner | None = None,
) -> dict[str, object]:
    return state_of(
        aggregate,
        user_id="ada",
        collection_id="course",
        aggregate_context_id="cb:batch",
        enrolment=enrolment,
        learner=learner,
        version=42,
    )


def test_a_state_is_whole() -> None:
    """Every field, each time, whatever is known: rollup keeps the newest of each, so none may be left out."""
    assert MS == (20487 * 86400 + 4 * 3600 + 5 * 60 + 6) * 1000 + 789
    known = state(learner=Learner("ada", "Ada", {"state": "Kerala", "gender": "F"}))
    assert known == {
        "time": known["time"],
        "activity_type": "Course",
        "activity_id": "unit-1",
        "context_id": "cb:batch",
        "user_id": "ada",
        "version": 42,
        "collection_id": "course",
        "status": 1,
        "completed_count": 2,
        "required_count": 3,
        "completion_percentage": 66,
        "time_spent": 90,
        "active": 1,
        "enrolled_on": MS,
        "completed_on": None,
        "last_accessed_on": MS,
        **dict.fromkeys(ATTRIBUTES),
        "state": "Kerala",
        "gender": "F",
    }
    assert state(learner=None).keys() == state(enrolment=None).keys() == known.keys()
    assert orjson.loads(encode_state(known)) == known


def test_one_who_left_or_never_enrolled_is_not_active() -> None:
    left = Enrolment(ENROLMENT.key, False, ON, ON)
    assert state(enrolment=left)["active"] == 0
    assert state(enrolment=left)["enrolled_on"] == MS
    assert state(enrolment=None)["active"] == 0
    assert state(enrolment=None)["enrolled_on"] is None


@given(st.text(min_size=1))
def test_the_synthetic_time_is_fixed_for_an_activity_and_within_sixteen_days(activity: str) -> None:
    first = datetime(2020, 1, 1, tzinfo=UTC)
    found = synthetic_time(activity)
    assert found == synthetic_time(activity)
    assert first <= found < first + timedelta(days=16)
    assert (found - first) % timedelta(days=1) == timedelta()


def test_all_sixteen_days_are_used() -> None:
    assert len({synthetic_time(f"do_{number}") for number in range(500)}) == 16


def test_the_synthetic_time_never_changes_between_releases() -> None:
    """crc32("123456789") is 0xCBF43926, the check value of the algorithm; its last hex digit is 6."""
    assert synthetic_time("123456789") == datetime(2020, 1, 7, tzinfo=UTC)
    assert state()["time"] == synthetic_time("unit-1").strftime("%Y-%m-%dT00:00:00Z")
