"""What becomes of a view when the instance goes over to another mode."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.carry_rules import parse_rules
from rules.identifiers import ViewKey
from rules.modes import Agreed, ModeChange, carries_nothing, merged, seen_differently
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.tracking import Tracking, TrackingMode
from rules.views import View

DAY = datetime(2026, 3, 1, tzinfo=UTC)
CHANGE = ModeChange(TrackingMode.STRICT, TrackingMode.CARRY_FORWARD_FULL, DAY)
TO = ViewKey("ada", "leaf", "leaf", "leaf")


def taken(context: str, status: Status = Status.COMPLETED, day: int = 1, **values: object) -> View:
    at = DAY - timedelta(days=30 - day)
    done = at if status is Status.COMPLETED else None
    progress = 100 if status is Status.COMPLETED else 10
    key = ViewKey("ada", "course", context, "leaf")
    return View(key, status, progress, 0, at, at, at, done, **values)  # type: ignore[arg-type]


def test_whichever_was_completed_first_is_where_it_comes_from() -> None:
    view = CHANGE.arriving(
        [taken("late", day=9), taken("early", day=2), taken("begun", Status.IN_PROGRESS)], TO
    )
    assert view == View(
        TO,
        Status.COMPLETED,
        100,
        0,
        started_on=DAY - timedelta(days=29),
        last_accessed_on=DAY - timedelta(days=21),
        last_updated_on=DAY - timedelta(days=21),
        completed_on=DAY - timedelta(days=28),
        origin=Origin(
            OriginKind.MODE_CHANGED,
            ("course", "early"),
            "the instance went over from strict to carry-forward-full",
            DAY,
        ),
    )


def test_an_origin_that_is_there_already_stays() -> None:
    copied = Origin(OriginKind.COPIED, ("course", "first"), "always", DAY)
    assert CHANGE.arriving([taken("batch", origin=copied)], TO).origin == copied


def test_an_origin_that_would_name_the_place_itself_does_not() -> None:
    before = Origin(OriginKind.MODE_CHANGED, ("leaf", "leaf"), "an earlier change", DAY)
    origin = CHANGE.arriving([taken("batch", origin=before)], TO).origin
    assert origin is not None
    assert origin.place == ("course", "batch")


def test_what_a_move_keeps_among_the_calls_stays_behind() -> None:
    calls = ("\tmoved\tfirst\t60", "mine")
    assert CHANGE.arriving([taken("batch", recent_calls=calls)], TO).recent_calls == ("mine",)


def test_a_completion_that_is_there_keeps_its_date_and_needs_no_origin() -> None:
    there = View(TO, Status.COMPLETED, 100, 40, DAY, DAY, DAY, DAY, {"page": 2}, ("own",))
    arriving = CHANGE.arriving([taken("batch", progress_details={"page": 1}, recent_calls=("mine",))], TO)
    after = merged(there, arriving)
    assert after is not None
    assert (after.completed_on, after.origin, after.time_spent) == (DAY, None, 40)
    assert (after.progress_details, after.recent_calls) == ({"page": 2}, ("mine", "own"))


_moments = st.one_of(st.none(), st.integers(0, 5).map(lambda day: DAY + timedelta(days=day)))
_views = st.builds(
    View,
    st.sampled_from(["one", "two", "three"]).map(lambda context: ViewKey("ada", "course", context, "leaf")),
    st.sampled_from(Status),
    st.integers(0, 100),
    st.integers(0, 1000),
    _moments,
    _moments,
    _moments,
    _moments,
    st.one_of(st.none(), st.fixed_dictionaries({"page": st.integers(0, 3)})),
    st.lists(st.text("abcdefghij", min_size=1), max_size=16, unique=True).map(tuple),
)


@given(st.lists(_views, min_size=1, max_size=4), st.one_of(st.none(), _views))
def test_merging_lowers_nothing_and_again_changes_nothing(views: list[View], there: View | None) -> None:
    arriving = CHANGE.arriving(views, TO)
    after = merged(there, arriving) or there
    assert after is not None
    for view in [*views, *([there] if there else [])]:
        assert after.status >= view.status
        assert after.progress >= view.progress
        assert after.time_spent >= view.time_spent
    assert merged(after, arriving) is None
    # One after the other comes to an end as well, whatever the order.
    for order in (views, views[::-1]):
        one_by_one = [CHANGE.arriving([view], TO) for view in order]
        end = reduce(lambda at, view: merged(at, view) or at, one_by_one, after)
        assert all(merged(end, view) is None for view in one_by_one)


@pytest.mark.parametrize(("old", "new"), list(permutations(TrackingMode, 2)))
def test_what_is_seen_differently_is_said_of_every_change(old: TrackingMode, new: TrackingMode) -> None:
    lines = seen_differently(old, new)
    assert len(lines) == len(set(lines)) > 0
    follow = {TrackingMode.COPY, TrackingMode.MOVE}
    said = sum("opened without a context" in line for line in lines)
    assert said == ((old in follow) != (new in follow)), lines


@pytest.mark.parametrize("text", ["strict", "copy", "changing:strict:carry-forward-full"])
def test_what_was_agreed_on_is_read_as_it_was_written(text: str) -> None:
    assert Agreed.decode(text).encode() == text


def test_rules_that_cannot_be_read_are_told_of_where_there_should_be_some() -> None:
    for mode in TrackingMode:
        needs = mode in (TrackingMode.COPY, TrackingMode.MOVE)
        assert carries_nothing(Tracking(mode, parse_rules(None))) == (
            "no rules are declared" if needs else None
        )
        assert carries_nothing(Tracking(mode, parse_rules('{"rules": [{"type": "always"}]}'))) is None
