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
from rules.scores import NO_SCORE, ActivityScore, Best

EARLY, LATE, PUBLISHED = (datetime(2026, 2, day, tzinfo=UTC) for day in (1, 2, 3))


def entry(active: bool, completed: int, at: datetime | None, score: ActivityScore = NO_SCORE) -> Entry:
    status = Status.COMPLETED if completed == 3 else Status.IN_PROGRESS
    return Entry.of("course", "cb:a", active, Progress(status, completed, 3), 40, at, EARLY, score=score)


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
        Figure.of("enrolledCount", 3, LATE),
        Figure.of("completedCount", 2, LATE),
        Figure.of("completionPercentage", 66, LATE),
        Figure.of("leafNodesCount", 4, PUBLISHED),
        Figure.of("averageScore", None),
    ]


def test_where_nobody_did_anything_there_are_zeros_and_no_date() -> None:
    nothing = [Figure(metric, None if metric == "averageScore" else 0) for metric in ACTIVITY_METRICS]
    for entries in ([], [NO_ENTRY, NO_ENTRY]):
        assert activity_figures(entries, leaf_nodes_count=0) == nothing
    assert member_figures(NO_ENTRY) == [Figure(metric, 0) for metric in MEMBER_METRICS]


def test_nobody_enrols_in_a_single_content_and_all_members_count() -> None:
    """Of four members two completed it: 50 %. How many are enrolled does not apply, which is another thing than none."""
    entries = [entry(False, 3, EARLY), entry(False, 3, LATE), entry(False, 2, EARLY), NO_ENTRY]
    assert content_figures(entries, published_on=PUBLISHED) == [
        Figure.of("enrolledCount", None),
        Figure.of("completedCount", 2, LATE),
        Figure.of("completionPercentage", 50, LATE),
        Figure.of("leafNodesCount", 1, PUBLISHED),
        Figure.of("averageScore", None),
    ]


def test_what_is_not_known_has_no_value() -> None:
    assert {figure.value for figure in unknown_figures(ACTIVITY_METRICS)} == {None}
    leaves = activity_figures([], leaf_nodes_count=None)[3]
    assert leaves == Figure.of("leafNodesCount", None)


def test_a_member_has_required_leaves_that_are_completed_a_percentage_and_seconds() -> None:
    """floor(100 x 2 / 3) = 66, where the platform's clients round to 67."""
    assert member_figures(entry(True, 2, LATE)) == [
        Figure.of("completedCount", 2, LATE),
        Figure.of("completionPercentage", 66, LATE),
        Figure.of("timeSpent", 40, LATE),
    ]


def scored(active: bool, **bests: Best) -> Entry:
    return entry(active, 1, EARLY, ActivityScore(bests))


def test_an_activity_has_the_mean_of_the_best_scores_of_those_who_count_and_attempted() -> None:
    """Quiz: 2 and 1 of 3 points, on average 1.5, the last attempt LATE; test: 4 of 7 points by one. Percentages are
    6 of 10 points, 60, and 1 of 3, 33: on average 46.5. One attempted nothing, and one who left had everything right."""
    quiz, test = Best(2.0, 3.0, 2, EARLY), Best(4.0, 7.0, 1, EARLY)
    entries = [
        scored(True, quiz=quiz, test=test),
        scored(True, quiz=Best(1.0, 3.0, 1, LATE)),
        scored(True),
        scored(False, quiz=Best(3.0, 3.0, 1, PUBLISHED)),
    ]
    assert activity_figures(entries, leaf_nodes_count=4)[4:] == [
        Figure.of("averageScore", 46.5, LATE),
        Figure.of("score:quiz", 1.5, LATE),
        Figure.of("score:test", 4.0, EARLY),
    ]
    # Of a single content everybody counts: 2, 1 and 3 points.
    assert content_figures(entries)[5] == Figure.of("score:quiz", 2.0, PUBLISHED)


def test_a_mean_has_two_decimals() -> None:
    """1, 1 and 0 of 1: 2 / 3."""
    entries = [scored(True, quiz=Best(score, 1.0, 1, None)) for score in (1.0, 1.0, 0.0)]
    assert activity_figures(entries, leaf_nodes_count=1)[4:] == [
        Figure.of("averageScore", 66.67),
        Figure.of("score:quiz", 0.67),
    ]


def test_a_member_has_score_maximum_and_attempts_of_each_assessment_that_they_attempted() -> None:
    """As the platform: two attempts with 2.0 and 1.33 of 3 points are score 2, maximum 3, two attempts."""
    assert member_figures(scored(True, do_1=Best(2.0, 3.0, 2, LATE)))[3:] == [
        Figure.of("score:do_1", 2.0, LATE),
        Figure.of("max_score:do_1", 3.0, LATE),
        Figure.of("attempts_count:do_1", 2, LATE),
    ]


def test_metrics_of_assessments_are_chosen_by_name() -> None:
    figures = member_figures(scored(True, a=Best(2.0, 3.0, 2, LATE), b=Best(1.0, 3.0, 1, LATE)))
    assert chosen(figures, ["attempts_count:b", "score:a", "score:unknown"], MEMBER_METRICS) == [
        figures[3],
        figures[8],
    ]
    of_activity = activity_figures([scored(True, a=Best(2.0, 3.0, 2, LATE))], leaf_nodes_count=1)
    assert chosen(of_activity, ["score:a"], ACTIVITY_METRICS) == [of_activity[5]]
    for metric in ("score:", "attempts_count:a", "scores:a"):
        with pytest.raises(InvalidInput, match="leafNodesCount, averageScore, score:<assessment>"):
            chosen(of_activity, [metric], ACTIVITY_METRICS)


def test_metrics_are_chosen_by_name_and_an_unknown_one_lists_what_there_is() -> None:
    figures = member_figures(entry(True, 2, LATE))
    assert chosen(figures, None, MEMBER_METRICS) == figures
    assert chosen(figures, ["timeSpent", "completedCount"], MEMBER_METRICS) == [figures[0], figures[2]]
    assert chosen(figures, [], MEMBER_METRICS) == []
    with pytest.raises(
        InvalidInput, match="no metric score; there are completedCount, completionPercentage, timeSpent"
    ):
        chosen([], ["score"], MEMBER_METRICS)
