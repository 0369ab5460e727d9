"""How calls change a view: whatever their order, nothing goes down and nothing counts twice."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import InvalidInput, StatusGoesDown
from rules.identifiers import view_key
from rules.progress import Status
from rules.views import LONGEST_CALL, RECENT_CALLS, View, ViewChange, checked_change, ended, updated

START = datetime(2026, 1, 1, tzinfo=UTC)
VIEW = View(view_key("u", "x", "c", "b"), Status.IN_PROGRESS, started_on=START, last_accessed_on=START)

MOMENTS = st.integers(0, 1000).map(lambda minutes: START + timedelta(minutes=minutes))
CHANGES = st.builds(
    ViewChange,
    at=MOMENTS,
    progress=st.none() | st.integers(0, 100),
    progress_details=st.none() | st.just({"page": 3}),
    time_spent=st.integers(0, 600),
    call_id=st.none() | st.sampled_from(["one", "two", "three"]),
)
CALLS = st.lists(st.tuples(st.sampled_from([updated, updated, ended]), CHANGES), max_size=12)


@given(CALLS)
def test_neither_status_nor_progress_nor_time_ever_goes_down(calls: list[tuple[object, ViewChange]]) -> None:
    view = VIEW
    for call, change in calls:
        after = (ended if call is ended else updated)(view, change) or view
        assert after.status >= view.status
        assert after.progress >= view.progress
        assert after.time_spent >= view.time_spent
        assert after.last_accessed_on is not None
        assert view.last_accessed_on is not None
        assert after.last_accessed_on >= view.last_accessed_on
        if view.status is Status.COMPLETED:
            assert after == view
        view = after
    assert view.started_on == START
    assert (view.status is Status.COMPLETED) == any(call is ended for call, _ in calls)
    if view.status is Status.COMPLETED:
        assert view.progress == 100


@given(st.lists(CHANGES, max_size=12))
def test_time_spent_is_the_sum_of_the_distinct_calls(changes: list[ViewChange]) -> None:
    view, expected, seen = VIEW, 0, set()
    for change in changes:
        view = updated(view, change) or view
        if change.call_id not in seen:
            expected += change.time_spent
        if change.call_id is not None:
            seen.add(change.call_id)
    assert view.time_spent == expected


def test_a_retry_counts_once_though_another_device_called_in_between() -> None:
    view = VIEW
    for call_id in ("phone", "laptop", "phone"):
        view = updated(view, ViewChange(START, time_spent=10, call_id=call_id)) or view
    assert view.time_spent == 20


def test_calls_are_remembered_as_far_back_as_promised() -> None:
    view = VIEW
    for number in range(100):
        view = updated(view, ViewChange(START, call_id=str(number))) or view
    assert len(view.recent_calls) == RECENT_CALLS
    for number in range(100 - RECENT_CALLS, 100):
        assert updated(view, ViewChange(START, time_spent=10, call_id=str(number))) is None


def test_the_end_of_a_counted_call_ends_without_counting_again() -> None:
    view = updated(VIEW, ViewChange(START, time_spent=10, call_id="one")) or VIEW
    done = ended(view, ViewChange(START, time_spent=10, call_id="one"))
    assert done is not None
    assert (done.status, done.time_spent) == (Status.COMPLETED, 10)


def test_a_completed_view_stays_completed_as_it_was() -> None:
    done = ended(VIEW, ViewChange(START + timedelta(minutes=5)))
    assert done is not None
    assert (done.status, done.progress, done.completed_on) == (2, 100, START + timedelta(minutes=5))
    late = ViewChange(START + timedelta(days=9), progress=3, time_spent=60, progress_details={"page": 1})
    assert updated(done, late) is None
    assert ended(done, late) is None


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        (Status.IN_PROGRESS, Status.NOT_STARTED),
        (Status.COMPLETED, Status.NOT_STARTED),
        (Status.COMPLETED, Status.IN_PROGRESS),
    ],
)
def test_a_status_that_goes_down_is_an_error_that_names_both(stored: Status, asked: Status) -> None:
    view = View(VIEW.key, stored)
    with pytest.raises(StatusGoesDown) as refused:
        updated(view, ViewChange(START, status=asked))
    assert refused.value.field == "status"
    assert stored.name in refused.value.message
    assert asked.name in refused.value.message


def test_details_are_the_latest_that_were_given() -> None:
    noted = updated(VIEW, ViewChange(START, progress_details={"page": 3})) or VIEW
    assert (updated(noted, ViewChange(START, progress=5)) or VIEW).progress_details == {"page": 3}
    assert (updated(noted, ViewChange(START, progress_details={})) or VIEW).progress_details == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (ViewChange(START, progress=-1), "progress"),
        (ViewChange(START, progress=101), "progress"),
        (ViewChange(START, time_spent=-1), "timeSpent"),
        (ViewChange(START, time_spent=LONGEST_CALL + 1), "timeSpent"),
        (ViewChange(START, call_id=""), "callId"),
        (ViewChange(START, call_id="a\nb"), "callId"),
        (ViewChange(START, call_id="x" * 257), "callId"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(change: ViewChange, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_change(change)
    assert refused.value.field == field


def test_the_limits_themselves_are_in_range() -> None:
    change = ViewChange(START, progress=100, time_spent=LONGEST_CALL, call_id="x" * 256)
    assert checked_change(change) == change
