"""What workers compute: the platform's worked fixtures, and what must survive a republish."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.aggregates import Aggregate, aggregates_of, aggregates_of_leaves, next_version
from rules.attempts import Attempt
from rules.hierarchy import RelationTree, checked_hierarchy, relations_of
from rules.identifiers import ViewKey
from rules.progress import Status
from rules.scores import NO_SCORE, scores_by_content
from rules.standings import FirstCompletion, Touch, standing_of
from tests.rules.strategies import LEAVES, Json, trees

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def course(units: Mapping[str, list[Any]]) -> RelationTree:
    """Of units and their leaves; a leaf in a list of its own is optional there."""

    def leaf(named: Any) -> Json:
        if isinstance(named, list):
            return {"identifier": named[0], "name": "", "relationalMetadata": {"optional": True}}
        return {"identifier": named, "name": ""}

    children = [
        {"identifier": unit, "name": unit, "children": [leaf(named) for named in leaves]}
        for unit, leaves in units.items()
    ]
    return relations_of(checked_hierarchy({"identifier": "course", "name": "Course", "children": children}))


def view(
    content: str, status: int = 2, *, on: datetime = START, at: datetime | None = None, seconds: int = 0
) -> tuple[str, Touch]:
    """``on``: when it was completed, ``at``: last accessed."""
    completed = status == 2
    return content, Touch(
        Status(status), 100 if completed else 10, at or on, on if completed else None, seconds
    )


def aggregates(
    tree: RelationTree,
    views: list[tuple[str, Touch]],
    completed_before: Mapping[str, datetime | None] | None = None,
) -> list[Aggregate]:
    before = {activity: FirstCompletion.of(at, None) for activity, at in (completed_before or {}).items()}
    return aggregates_of(tree, dict(views), before)


def figures(found: list[Aggregate]) -> dict[str, tuple[int, int]]:
    """completed / required by activity."""
    return {f.activity_id: (f.progress.completed_count, f.progress.required_count) for f in found}


def test_the_first_worked_fixture() -> None:
    """The first case of P-4.2: ..299(2), ..300(2 in the row, 1 in the event), ..301(1)."""
    tree = course({"unit1": ["299"], "unit2": ["300"], "unit3": ["301", "300"]})
    found = aggregates(tree, [view("299"), view("300"), view("301", 1)])
    assert figures(found) == {"unit1": (1, 1), "unit2": (1, 1), "unit3": (1, 2), "course": (2, 3)}
    status = {f.activity_id: f.progress.status for f in found}
    assert status == {"unit1": 2, "unit2": 2, "unit3": 1, "course": 1}


def test_the_second_worked_fixture() -> None:
    """CASE_2: R1..R4 all 2; R4 optional at unit2. The fixture leaves the root's optional set out (course 4/4); the
    real updater puts R4 there too, as the rule has it: course 3/3. It is complete either way."""
    tree = course({"unit1": ["R1", "R3"], "unit2": ["R2", "R3", ["R4"]]})
    found = aggregates(tree, [view(name) for name in ("R1", "R2", "R3", "R4")])
    assert figures(found) == {"unit1": (2, 2), "unit2": (2, 2), "course": (3, 3)}
    assert {f.progress.status for f in found} == {Status.COMPLETED}


def test_the_third_worked_fixture() -> None:
    """CASE_3: no rows before; R11 and R22 completed; unit11={R11,R22}, unit22={R11}."""
    tree = course({"unit11": ["R11", "R22"], "unit22": ["R11"]})
    found = aggregates(tree, [view("R11"), view("R22")])
    assert figures(found) == {"unit11": (2, 2), "unit22": (1, 1), "course": (2, 2)}
    assert found[0].activity_id == "course"


def test_only_units_above_a_viewed_leaf_have_figures() -> None:
    tree = course({"one": ["a"], "two": ["b"]})
    assert figures(aggregates(tree, [view("a", 1)])) == {"course": (0, 2), "one": (0, 1)}
    assert figures(aggregates(tree, [])) == {"course": (0, 2)}


def test_the_completion_is_the_last_one_that_was_needed() -> None:
    """d is optional and was done later: the course was complete with b, on day 5."""
    tree = course({"one": ["a"], "two": ["b", ["d"]]})
    views = [view("a", on=day(2)), view("b", on=day(5)), view("d", on=day(9))]
    completed = {f.activity_id: f.completed_on for f in aggregates(tree, views)}
    assert completed == {"course": day(5), "one": day(2), "two": day(5)}


def test_a_completion_date_stays_when_a_republished_course_asks_for_more() -> None:
    grown = course({"one": ["a", "new"]})
    (root, unit) = aggregates(grown, [view("a", on=day(1))], {"course": day(1), "one": day(1)})
    for figure in (root, unit):
        assert (figure.progress.status, figure.progress.completion_percentage) == (Status.IN_PROGRESS, 50)
        assert figure.completed_on == day(1)
    views = [view("a", on=day(1)), view("new", on=day(8))]
    again = aggregates(grown, views, {"course": day(1), "one": None})
    assert [figure.completed_on for figure in again] == [day(1), day(8)]


def test_views_of_leaves_that_left_the_course_do_not_count() -> None:
    shrunk = course({"one": ["a"]})
    (root, _) = aggregates(shrunk, [view("a", seconds=5), view("gone", at=day(9), seconds=50)])
    assert root.content_status == {"a": 2}
    assert (root.time_spent, root.last_accessed_on, root.last_content_id) == (5, START, "a")


def test_time_adds_up_and_the_last_content_is_the_one_accessed_last() -> None:
    tree = course({"one": ["a", "b"], "two": ["b"]})
    views = [view("a", at=day(3), seconds=10), view("b", 1, at=day(4), seconds=7)]
    by_id = {f.activity_id: f for f in aggregates(tree, views)}
    assert {name: figure.time_spent for name, figure in by_id.items()} == {"course": 17, "one": 17, "two": 7}
    assert by_id["course"].last_accessed_on == day(4)
    assert by_id["course"].last_content_id == "b"
    assert by_id["course"].content_status == {"a": 2, "b": 1}


@given(trees(), st.dictionaries(st.sampled_from(LEAVES), st.tuples(st.integers(1, 2), st.integers(0, 30))))
def test_figures_do_not_depend_on_the_order_and_readers_see_the_same(
    document: Json, done: dict[str, tuple[int, int]]
) -> None:
    tree = relations_of(checked_hierarchy(document))
    views = [view(leaf, status, on=day(on)) for leaf, (status, on) in done.items()]
    found = aggregates(tree, views)
    assert found == aggregates(tree, views[::-1])
    standing = standing_of(dict(views), tree)
    for figure in found:
        assert standing.progress(tree, figure.activity_id) == figure.progress
    assert standing.statuses == found[0].content_status
    assert standing.completed_on == found[0].completed_on
    assert standing.last_accessed_on == found[0].last_accessed_on


def test_a_row_counts_as_it_is_whatever_follows_what_figures_need() -> None:
    """Status, seconds, last access and completion in milliseconds, then anything. What is not known counts for nothing."""
    tree = course({"one": ["a", "b"], "two": ["c"]})
    rows = {"a": (2, 5, 7_000, 6_000, "more"), "b": (1, None, 0, None), "c": (2, 1, None, None)}
    by_id = {figure.activity_id: figure for figure in aggregates_of_leaves(tree, rows, {})}
    at = {seconds: datetime.fromtimestamp(seconds, UTC) for seconds in (0, 7)}
    assert {
        name: (f.content_status, f.time_spent, f.last_accessed_on, f.last_content_id, f.completed)
        for name, f in by_id.items()
    } == {
        "course": ({"a": 2, "b": 1, "c": 2}, 6, at[7], "a", None),
        "one": ({"a": 2, "b": 1}, 5, at[7], "a", None),
        "two": ({"c": 2}, 1, None, None, None),
    }
    assert [*by_id["course"].content_status] == ["a", "b", "c"]
    (_, one, _) = aggregates_of_leaves(tree, {**rows, "b": (2, 0, 0, 0)}, {})
    assert one.completed_on == datetime.fromtimestamp(6, UTC)


@given(st.none() | st.integers(0, 2**62), st.integers(0, 2**42), st.integers(0, 2**40))
def test_a_version_is_always_above_the_stored_one(stored: int | None, at: int, offset: int) -> None:
    version = next_version(stored, at, offset)
    assert version > (stored or 0) or (stored is None and version >= 1)
    assert version < 2**63


@given(st.integers(1, 2**42), st.integers(0, 2**20 - 2), st.integers(1, 1000))
def test_a_later_trigger_has_a_higher_version(at: int, offset: int, later: int) -> None:
    assert next_version(None, at, offset + 1) > next_version(None, at, offset)
    assert next_version(None, at + later, 0) > next_version(None, at, offset)


def test_a_version_has_the_place_in_the_log() -> None:
    """The log-append time in ms << 20 | the offset's low 20 bits (R-AGG-2)."""
    assert next_version(None, 1_772_366_400_000, 5) == (1_772_366_400_000 << 20) | 5
    assert next_version(None, 1, 2**20 + 7) == (1 << 20) | 7
    assert next_version(10**18 * 5, 1_772_366_400_000, 5) == 10**18 * 5 + 1


@pytest.mark.parametrize("stored", [None, 0])
def test_the_first_version_is_above_nothing(stored: int | None) -> None:
    assert next_version(stored, 0, 0) == 1


def test_scores_join_the_figures_of_each_activity_above_an_assessment_and_begin_nothing() -> None:
    """u1 has a and b, u2 has b and c, u3 has d. a: 3 of 4, b: 2 of 2; c was viewed alone, z is no leaf.

    u1: 5 of 6. u2: 2 of 2. The course: 5 of 6, with b counted once. u3 has neither views nor attempts.
    a asks for 80 percent and has 75; b asks for 100 and has them; c publishes 50 and was not attempted.
    """
    tree = course({"u1": ["a", "b"], "u2": ["b", "c"], "u3": ["d"]})
    tree = replace(tree, pass_marks={"a": 80, "b": 100, "c": 50})
    attempts = [
        Attempt(ViewKey("ada", "course", "batch", content), "1", score, best, day(2))
        for content, score, best in (("a", 3, 4), ("b", 2, 2), ("z", 9, 9))
    ]
    found = aggregates_of(tree, dict([view("c")]), {}, scores_by_content(attempts))
    assert {
        f.activity_id: (f.score.score, f.score.max_score, f.score.passable, f.score.passed) for f in found
    } == {"course": (5, 6, 2, 1), "u1": (5, 6, 2, 1), "u2": (2, 2, 1, 1)}
    assert figures(found) == {"course": (1, 4), "u1": (0, 2), "u2": (1, 2)}
    u1 = next(f for f in found if f.activity_id == "u1")
    assert (u1.progress.status, u1.content_status, u1.last_accessed_on, u1.completed) == (
        Status.NOT_STARTED,
        {},
        None,
        None,
    )


def test_an_attempt_at_no_leaf_gives_the_collection_figures_without_a_score() -> None:
    scores = scores_by_content([Attempt(ViewKey("ada", "course", "batch", "z"), "1", 1, 2, START)])
    (root,) = aggregates_of(course({"u1": ["a"]}), {}, {}, scores)
    assert (root.activity_id, root.score, figures([root])) == ("course", NO_SCORE, {"course": (0, 1)})
