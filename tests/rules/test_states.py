"""The whole state of a key, as group queries read it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import orjson
from hypothesis import given
from hypothesis import strategies as st

from rules.aggregates import Aggregate, AggregateKey
from rules.enrolments import Enrolment
from rules.identifiers import ProgressKey
from rules.learners import ATTRIBUTES, Learner
from rules.progress import Progress, Status
from rules.scores import NO_SCORE, ActivityScore, Best
from rules.states import (
    DAYS,
    FIRST_DAY,
    LONGEST_SCORES,
    State,
    decode_scores,
    encode_scores,
    encode_state,
    interval_of,
    state_of,
    synthetic_time,
    vanished_state,
)

ON = datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
MS = 1_770_091_506_789
"""ON in epoch ms: 20487 days of 86,400 s, 4 h 5 min 6 s, 789 ms."""
AGGREGATE = Aggregate("unit-1", Progress(Status.IN_PROGRESS, 2, 3), {"a": 2, "b": 2}, 90, ON, "b", None)
ENROLMENT = Enrolment(ProgressKey("ada", "course", "batch"), True, ON)


NO_SCORES = {
    **dict.fromkeys(("score", "max_score", "score_percentage")),
    **dict.fromkeys(("attempts_count", "assessed_count", "right_first_count", "passable_count"), 0),
    "passed_count": 0,
    "scores": "{}",
}
"""Of one who attempted nothing."""


def state(
    aggregate: Aggregate = AGGREGATE,
    enrolment: Enrolment | None = ENROLMENT,
    learner: Learner | None = None,
) -> dict[str, object]:
    """As it goes onto the topic."""
    state = state_of(
        aggregate,
        user_id="ada",
        collection_id="course",
        aggregate_context_id="cb:batch",
        enrolment=enrolment,
        learner=learner,
        version=42,
        tree_version=3,
    )
    return cast("dict[str, object]", orjson.loads(encode_state(state)))


def test_a_state_is_whole() -> None:
    """Every field, each time, whatever is known: rollup keeps the newest of each, so none may be left out."""
    assert MS == (20487 * 86400 + 4 * 3600 + 5 * 60 + 6) * 1000 + 789
    known = state(learner=Learner("ada", "Ada", {"state": "Kerala", "gender": "F"}))
    assert known == {
        # gzip's trailer says that crc32("unit-1") is 0xA80DD62D; its last hex digit is 13.
        "time": "2020-01-14T00:00:00Z",
        "activity_type": "CourseUnit",
        "activity_id": "unit-1",
        "collection_id": "course",
        "context_id": "cb:batch",
        "user_id": "ada",
        "version": 42,
        "tree_version": 3,
        "status": 1,
        "completed_count": 2,
        "required_count": 3,
        "completion_percentage": 66,
        "time_spent": 90,
        "active": 1,
        "enrolled_on": MS,
        "completed_on": None,
        "last_accessed_on": MS,
        **NO_SCORES,
        **dict.fromkeys(ATTRIBUTES),
        "state": "Kerala",
        "gender": "F",
    }
    assert state(learner=None).keys() == state(enrolment=None).keys() == known.keys()


def test_a_state_has_the_scores_of_its_assessments_and_what_they_come_to() -> None:
    """2 of 3 and 5.5 of 10 points: 7.5 of 13 are floor(57.69) %. Of three attempts the last was at ON."""
    score = ActivityScore({"quiz": Best(2.0, 3.0, 2, ON), "test": Best(5.5, 10.0, 1, None)}, 1, 2, 1)
    told = state(replace(AGGREGATE, score=score))
    assert {name: told[name] for name in NO_SCORES} == {
        "score": 7.5,
        "max_score": 13.0,
        "score_percentage": 57,
        "attempts_count": 3,
        "assessed_count": 2,
        "right_first_count": 1,
        "passable_count": 2,
        "passed_count": 1,
        "scores": f'{{"quiz":[2.0,3.0,2,{MS}],"test":[5.5,10.0,1,null]}}',
    }


def test_scores_of_more_assessments_than_a_state_has_room_for_are_left_to_the_rows() -> None:
    """Cut off, they would be no JSON. What they come to is told all the same."""
    score = ActivityScore(
        {f"do_{n:020}": Best(1.0, 1.0, 1, ON) for n in range(200)}, passable=200, passed=200
    )
    assert len(encode_scores(score)) > LONGEST_SCORES
    told = state(replace(AGGREGATE, score=score))
    assert (told["scores"], told["score"], told["assessed_count"]) == (None, 200.0, 200)


scores = st.builds(
    lambda assessments, *counts: ActivityScore(assessments, *counts) if assessments else NO_SCORE,
    st.dictionaries(
        st.text(min_size=1),
        st.builds(
            Best,
            st.floats(allow_nan=False, allow_infinity=False),
            st.floats(allow_nan=False, allow_infinity=False),
            st.integers(1, 1000),
            st.none() | st.sampled_from([ON, ON + timedelta(milliseconds=1)]),
        ),
    ),
    *([st.integers(0, 1000)] * 3),
)


@given(scores)
def test_scores_are_read_as_they_were_told(score: ActivityScore) -> None:
    told = encode_scores(score), score.right_first, score.passable, score.passed
    assert decode_scores(*told) == score


def test_a_state_of_before_there_were_scores_has_none() -> None:
    assert decode_scores() == decode_scores(None, None, None, None) == NO_SCORE


def test_a_unit_shares_no_key_with_a_collection_nor_with_the_same_unit_of_another_one() -> None:
    """The same course may be a collection of its own and a unit of two programs, all under one context."""
    by_itself, in_one, in_other = (
        State("course", collection, "cb:batch", "ada", 1) for collection in ("course", "program", "other")
    )
    assert [each.activity_type for each in (by_itself, in_one, in_other)] == [
        "Course",
        "CourseUnit",
        "CourseUnit",
    ]
    assert len({each.key for each in (by_itself, in_one, in_other)}) == 3


def test_a_vanished_state_is_whole_counts_for_nothing_and_tells_nothing() -> None:
    """Rollup keeps the newest of each field, so each is there: what counts 0, what tells null."""
    vanished = vanished_state(AggregateKey("unit-1", "course", "cb:batch", "ada"), 43)
    known = state(learner=Learner("ada", "Ada", {"state": "Kerala"}))
    found = orjson.loads(encode_state(vanished))
    key = ("time", "activity_type", "activity_id", "collection_id", "context_id", "user_id")
    assert found == {
        **{name: known[name] for name in key},
        "version": 43,
        **dict.fromkeys(("status", "completed_count", "required_count", "completion_percentage"), 0),
        **dict.fromkeys(("time_spent", "active"), 0),
        **dict.fromkeys(("tree_version", "enrolled_on", "completed_on", "last_accessed_on", *ATTRIBUTES)),
        **NO_SCORES,
    }
    assert found.keys() == known.keys()
    assert vanished.key == "unit-1|course|cb:batch|ada"


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


@given(st.text(min_size=1))
def test_the_interval_of_an_activity_is_the_day_that_holds_its_states(activity: str) -> None:
    start, end = interval_of(activity)
    assert (start, end - start) == (synthetic_time(activity), timedelta(days=1))
    assert start >= FIRST_DAY
    assert end <= FIRST_DAY + timedelta(days=DAYS)
