"""Cells: who is counted where, what vanishes, and how a cell is told."""

from datetime import UTC, datetime, timedelta
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from druid_specs import ACTIVITY_TOTALS
from rules.metrics import COUNTS, SUMS, joined
from rules.progress import Status
from rules.scores import ActivityScore, Best
from rules.states import State
from rules.totals import ALL, Dimensions, Tally, Total, cell_key, cell_state, figures_of, vanished

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON = 1_772_366_400_000
SMALL = Dimensions(("district",), {"enrolled_month": "enrolled_on", "completed_month": "completed_on"})
NOTHING: dict[str, int | None] = {**dict.fromkeys(SUMS, 0), "last_accessed_on": None}


def counted(**counts: int) -> dict[str, int | None]:
    return {**NOTHING, **counts}


def state(user: str, percentage: int = 0, **others: object) -> State:
    known: dict[str, object] = {
        "active": True,
        "enrolled_on": NOW,
        "completion_percentage": percentage,
        **others,
    }
    return State("course", "cb:batch", user, 1, "course", **known)  # type: ignore[arg-type]


def test_each_learner_is_counted_once_in_every_dimension() -> None:
    """Three learners: two of Pune with 100 % (30 s, at noon) and 33 % (10 s, an hour before), one of nowhere known
    who has not begun. One has left, with 100 %."""
    north = {"district": "Pune"}
    states = [
        state(
            *("ada", 100),
            status=Status.COMPLETED,
            completed_on=NOW,
            time_spent=30,
            last_accessed_on=NOW,
            attributes=north,
        ),
        state("ben", 33, time_spent=10, last_accessed_on=NOW - timedelta(hours=1), attributes=north),
        state("cleo", enrolled_on=datetime(2026, 2, 28, 23, 59, tzinfo=UTC)),
        state("dan", 100, active=False, status=Status.COMPLETED, attributes=north),
    ]
    completed = counted(
        enrolled=1, completed=1, progress_sum=100, progress_100=1, time_spent=30, last_accessed_on=NOON
    )
    of_pune = counted(
        enrolled=2,
        completed=1,
        progress_sum=133,
        progress_25_49=1,
        progress_100=1,
        time_spent=40,
        last_accessed_on=NOON,
    )
    idle = counted(enrolled=1, progress_0=1)
    assert Tally(SMALL).count(states).cells() == {
        ALL: counted(
            enrolled=3,
            completed=1,
            progress_sum=133,
            progress_0=1,
            progress_25_49=1,
            progress_100=1,
            time_spent=40,
            last_accessed_on=NOON,
        ),
        ("district", "Pune"): of_pune,
        ("district", None): idle,
        ("enrolled_month", "2026-03"): of_pune,
        ("enrolled_month", "2026-02"): idle,
        ("completed_month", "2026-03"): completed,
        ("completed_month", None): counted(
            enrolled=2,
            progress_sum=33,
            progress_0=1,
            progress_25_49=1,
            time_spent=10,
            last_accessed_on=NOON - 3_600_000,
        ),
    }


def test_scores_are_counted_of_who_attempted_something() -> None:
    """Ada has 2 of 3 points and 5.5 of 10, 57 %, with three attempts; Ben's survey has no maximum, so no percentage;
    Cleo attempted nothing, and Dan left."""
    ada = ActivityScore({"quiz": Best(2.0, 3.0, 2, NOW), "test": Best(5.5, 10.0, 1, NOW)}, 1, 2, 1)
    ben = ActivityScore({"survey": Best(0.0, 0.0, 4, NOW)})
    told = [
        state("ada", score=ada),
        state("ben", score=ben),
        state("cleo"),
        state("dan", active=False, score=ada),
    ]
    everybody = Tally(SMALL).count(told).cells()[ALL]
    counts = {"scored": 1, "score_sum": 57, "score_50_59": 1, "attempted": 2, "attempts": 7, "assessed": 3}
    assert everybody == counted(enrolled=3, progress_0=3, **counts, right_first=1, passable=2, passed=1)
    assert figures_of({ALL: everybody}).items() >= {
        ("averageScore", 57.0),
        ("passRate", 50.0),
        ("attemptsPerLearner", 3.5),
        ("firstAttemptRight", 33.0),
    }


def test_a_month_is_that_of_utc() -> None:
    """Half past one in the morning in Kolkata is still the evening before in UTC."""
    late = datetime.fromisoformat("2026-04-01T01:30:00+05:30")
    assert ("enrolled_month", "2026-03") in Tally(SMALL).count([state("ada", enrolled_on=late)]).cells()


def test_no_value_and_an_empty_one_are_two_values() -> None:
    cells = Tally(SMALL).count([state("ada", attributes={"district": ""}), state("ben")]).cells()
    assert cells["district", ""]["enrolled"] == cells["district", None]["enrolled"] == 1


def test_where_nobody_is_enrolled_everybody_is_zero() -> None:
    assert Tally(SMALL).count([state("ada", active=False)]).cells() == {ALL: NOTHING}


def test_a_cell_that_is_gone_is_told_once_more_as_zero() -> None:
    before = [ALL, ("district", "Pune"), ("district", "Nashik")]
    assert vanished(before, [ALL, ("district", "Nashik"), ("district", None)]) == {
        ("district", "Pune"): NOTHING
    }


def test_figures_of_everybody_are_numbers_by_name() -> None:
    """Of three enrolled one has completed: floor(100 x 1 / 3). The average of 100, 33 and 0 is 44.33."""
    cells = {ALL: counted(enrolled=3, completed=1, progress_sum=133, time_spent=40)}
    assert figures_of(cells) == {
        "enrolledCount": 3.0,
        "completedCount": 1.0,
        "completionPercentage": 33.0,
        "averageProgress": 44.33,
        "timeSpent": 40.0,
    }
    assert "averageProgress" not in figures_of({ALL: NOTHING})


def test_a_cell_is_told_with_every_column_that_the_data_source_has() -> None:
    unit = Total("unit-1", "course", "cb:batch", 8, NOW)
    told = cell_state(unit, ("district", None), counted(enrolled=2))
    assert told.keys() == {"time", *ACTIVITY_TOTALS.key, "version", *ACTIVITY_TOTALS.latest}
    assert (told["activity_type"], told["value"], told["enrolled"], told["version"]) == (
        "CourseUnit",
        None,
        2,
        8,
    )
    assert told["as_of"] == NOON
    course = cell_state(Total("course", "course", "cb:batch", 8, NOW), ALL, NOTHING)
    assert course["activity_type"] == "Course"
    assert cell_key(unit, ("district", "Pune")) == "unit-1|course|cb:batch|district|Pune"


moments = st.none() | st.datetimes(datetime(2025, 11, 1), datetime(2026, 2, 1), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.none() | st.sampled_from(["", "a", "b"])
states = st.lists(
    st.builds(
        lambda user, percentage, district, **others: state(
            str(user), percentage, attributes={} if district is None else {"district": district}, **others
        ),
        user=st.integers(),
        percentage=st.integers(0, 100),
        district=texts,
        active=st.booleans(),
        status=st.sampled_from(Status),
        time_spent=st.integers(0, 10**6),
        enrolled_on=moments,
        completed_on=moments,
        last_accessed_on=moments,
        score=st.builds(
            lambda bests, counts: ActivityScore({f"a{n}": best for n, best in enumerate(bests)}, *counts),
            st.lists(
                st.builds(
                    Best, st.sampled_from([0.0, 1.0, 2.5]), st.sampled_from([0.0, 3.0]), st.just(2), moments
                )
            ),
            st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
        ),
    )
)


@given(states)
def test_the_values_of_every_dimension_add_up_to_everybody(states: list[State]) -> None:
    cells = Tally(SMALL).count(states).cells()
    by_dimension = groupby(sorted(cells.items(), key=lambda item: item[0][0]), key=lambda item: item[0][0])
    for _, group in by_dimension:
        values = [counts for _, counts in group]
        total = {name: joined(name, [counts[name] for counts in values]) for name in COUNTS}
        assert total == cells[ALL]
    assert cells[ALL]["enrolled"] == sum(state.active for state in states)


@given(states, st.integers(1, 5))
def test_portions_count_like_the_whole(states: list[State], size: int) -> None:
    tally = Tally(SMALL)
    for first in range(0, len(states), size):
        tally.count(states[first : first + size])
    assert tally.cells() == Tally(SMALL).count(states).cells()
