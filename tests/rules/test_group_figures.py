"""The figures of a group's activity and of a member in it."""

from datetime import UTC, datetime

import pytest

from rules.entries import NO_ENTRY, Entry
from rules.errors import InvalidInput
from rules.group_figures import (
    ACTIVITY_METRICS,
    MEMBER_METRICS,
    Figure,
    activity_figures,
    chosen,
    content_figures,
    member_figures,
    unknown_figures,
)
from rules.progress import Progress, Status

EARLY, LATE, PUBLISHED = (datetime(2026, 2, day, tzinfo=UTC) for day in (1, 2, 3))


def entry(active: bool, completed: int, at: datetime | None) -> Entry:
    status = Status.COMPLETED if completed == 3 else Status.IN_PROGRESS
    return Entry("course", "cb:a", active, Progress(status, completed, 3), 40, at, EARLY)


def test_enrolled_completed_and_percentage_are_of_active_enrolments_alone() -> None:
    """Three enrolled, two of them completed: floor(200 / 3) = 66. One who left had completed it, one never came."""
    entries = [
        entry(True, 3, EARLY),
        entry(True, 3, LATE),
        entry(True, 2, EARLY),
        entry(False, 3, EARLY),
        NO_ENTRY,
    ]
    assert activity_figures(entries, leaf_nodes_count=4, published_on=PUBLISHED) == [
        Figure("enrolledCount", 3, LATE),
        Figure("completedCount", 2, LATE),
        Figure("completionPercentage", 66, LATE),
        Figure("leafNodesCount", 4, PUBLISHED),
    ]


def test_where_nobody_did_anything_there_are_zeros_and_no_date() -> None:
    nothing = [Figure(metric, 0) for metric in ACTIVITY_METRICS]
    for entries in ([], [NO_ENTRY, NO_ENTRY]):
        assert activity_figures(entries, leaf_nodes_count=0) == nothing
    assert member_figures(NO_ENTRY) == [Figure(metric, 0) for metric in MEMBER_METRICS]


def test_nobody_enrols_in_a_single_content_and_all_members_count() -> None:
    """Of four members two completed it: 50 %. How many are enrolled does not apply, which is another thing than none."""
    entries = [entry(False, 3, EARLY), entry(False, 3, LATE), entry(False, 2, EARLY), NO_ENTRY]
    assert content_figures(entries, published_on=PUBLISHED) == [
        Figure("enrolledCount", None),
        Figure("completedCount", 2, LATE),
        Figure("completionPercentage", 50, LATE),
        Figure("leafNodesCount", 1, PUBLISHED),
    ]


def test_what_is_not_known_has_no_value() -> None:
    assert {figure.value for figure in unknown_figures(ACTIVITY_METRICS)} == {None}
    leaves = activity_figures([], leaf_nodes_count=None)[-1]
    assert leaves == Figure("leafNodesCount", None)


def test_a_member_has_required_leaves_that_are_completed_a_percentage_and_seconds() -> None:
    """floor(100 x 2 / 3) = 66, where the platform's clients round to 67."""
    assert member_figures(entry(True, 2, LATE)) == [
        Figure("completedCount", 2, LATE),
        Figure("completionPercentage", 66, LATE),
        Figure("timeSpent", 40, LATE),
    ]


def test_metrics_are_chosen_by_name_and_an_unknown_one_lists_what_there_is() -> None:
    figures = member_figures(entry(True, 2, LATE))
    assert chosen(figures, None, MEMBER_METRICS) == figures
    assert chosen(figures, ["timeSpent", "completedCount"], MEMBER_METRICS) == [figures[0], figures[2]]
    assert chosen(figures, [], MEMBER_METRICS) == []
    with pytest.raises(
        InvalidInput, match="no metric score; there are completedCount, completionPercentage, timeSpent"
    ):
        chosen([], ["score"], MEMBER_METRICS)
