"""Scores out of attempts: the platform's worked case, and what the order of attempts must not decide."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.attempts import Attempt
from rules.identifiers import ViewKey
from rules.scores import (
    NO_SCORE,
    ActivityScore,
    Best,
    Score,
    activity_score,
    assessment_scores,
    score_percentage,
    scores_by_content,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def attempt(
    score: float | None,
    max_score: float | None,
    minute: int = 0,
    content: str = "quiz",
    name: str | None = None,
) -> Attempt:
    key = ViewKey("ada", "course", "batch", content)
    return Attempt(key, name or f"at-{minute}", score, max_score, START + timedelta(minutes=minute))


def test_the_platforms_worked_case() -> None:
    """2.0 of 3.0 and 1.33 of 3.0: score 2, maximum 3, two attempts (P-4.5); average (2 + 1.33) / 2 = 1.665."""
    scores = assessment_scores([attempt(2.0, 3.0), attempt(1.33, 3.0, 1)])
    assert scores is not None
    assert scores.best_score == Score(2.0, 3.0)
    assert (scores.attempts, scores.lowest) == (2, 1.33)
    assert scores.average == pytest.approx(1.665)
    assert (scores.first.score, scores.last.score, scores.updated_on) == (
        2.0,
        1.33,
        START + timedelta(minutes=1),
    )
    assert scores.best_score.percentage == 66  # floor(66.67)


def test_the_maximum_is_that_of_the_best_attempt() -> None:
    """Of 4 of 5, 3 of 9 and 4 of 6 the best are those with 4, and of these the one out of more."""
    scores = assessment_scores([attempt(4, 5), attempt(3, 9, 1), attempt(4, 6, 2)])
    assert scores is not None
    assert scores.best_score == Score(4, 6)


def test_of_equal_attempts_the_earliest_is_the_best() -> None:
    scores = assessment_scores([attempt(4, 5, 3), attempt(4, 5, 1), attempt(4, 5, 2)])
    assert scores is not None
    assert (scores.best.attempt_id, scores.first.attempt_id, scores.last.attempt_id) == (
        "at-1",
        "at-1",
        "at-3",
    )


def test_an_attempt_without_a_score_counts_for_nothing_and_one_without_a_maximum_has_no_percentage() -> None:
    assert assessment_scores([attempt(None, None)]) is None
    scores = assessment_scores([attempt(2, None), attempt(None, 4, 1)])
    assert scores is not None
    assert (scores.attempts, scores.best_score, scores.best_score.percentage) == (1, Score(2, 0.0), None)
    assert not scores.is_right_at_first
    assert not scores.passes(0)
    assert scores_by_content([attempt(None, None, content="x"), attempt(1, 2, content="y")]).keys() == {"y"}


def test_who_is_right_at_first_had_everything_right_in_the_first_attempt() -> None:
    right = assessment_scores([attempt(1, 4, 1), attempt(4, 4, 0)])
    later = assessment_scores([attempt(4, 4, 1), attempt(1, 4, 0)])
    assert right is not None
    assert later is not None
    assert (right.is_right_at_first, later.is_right_at_first) == (True, False)


@pytest.mark.parametrize(("mark", "passes"), [(29, True), (29.000001, False), (28.5, True), (100, False)])
def test_the_best_attempt_passes_from_the_pass_mark_on(mark: float, passes: bool) -> None:
    """0.29 of 1 are 29 percent, although 100 x 0.29 is 28.999999999999996."""
    scores = assessment_scores([attempt(0.29, 1), attempt(0.1, 1, 1)])
    assert scores is not None
    assert scores.passes(mark) is passes
    assert scores.best_score.percentage == 29


def test_an_activity_adds_up_the_best_of_each_assessment_by_hand() -> None:
    """a: 1 of 4, then 3 of 4. b: 5 of 5, then 2 of 5. c: 0 of 2. The best are 3 of 4, 5 of 5, 0 of 2: 8 of 11, 72 %.
    b was right at first. a publishes 75 % and passes (75 %), c publishes 10 % and does not, x was not attempted."""
    scores = scores_by_content(
        [
            *(attempt(1, 4, 0, "a"), attempt(3, 4, 1, "a")),
            *(attempt(5, 5, 2, "b"), attempt(2, 5, 3, "b")),
            attempt(0, 2, 4, "c"),
        ]
    )
    found = activity_score(scores, {"a": 75, "c": 10, "x": 1})
    minutes = [START + timedelta(minutes=number) for number in range(5)]
    assert found == ActivityScore(
        {"a": Best(3, 4, 2, minutes[1]), "b": Best(5, 5, 2, minutes[3]), "c": Best(0, 2, 1, minutes[4])},
        right_first=1,
        passable=2,
        passed=1,
    )
    assert (found.score, found.max_score, found.percentage) == (8, 11, 72)
    assert (found.assessed, found.attempts) == (3, 5)


def test_nothing_attempted_is_no_score_rather_than_zero() -> None:
    assert activity_score({}, {"a": 50}) == NO_SCORE
    assert (NO_SCORE.score, NO_SCORE.max_score, NO_SCORE.percentage, NO_SCORE.attempts) == (
        None,
        None,
        None,
        0,
    )


@pytest.mark.parametrize(
    ("score", "most", "percentage"),
    [
        (2, 3, 66),
        (3, 3, 100),
        (0, 3, 0),
        (4, 3, 100),
        (-1, 3, 0),
        (1, 0, None),
        (1, -1, None),
        (None, 3, None),
    ],
)
def test_a_percentage_is_cut_off_and_within_bounds(
    score: float | None, most: float, percentage: int | None
) -> None:
    assert score_percentage(score, most) == percentage


_scores = st.none() | st.integers(0, 3).map(float)
_attempts = st.lists(st.tuples(_scores, _scores, st.integers(0, 3), st.sampled_from("ab")), max_size=8)


@given(_attempts, st.randoms(use_true_random=False))
def test_the_order_of_attempts_decides_nothing(
    found: list[tuple[float | None, float | None, int, str]], dice: random.Random
) -> None:
    """Also between attempts of the same moment."""
    attempts = [attempt(*each, name=f"{number}") for number, each in enumerate(found)]
    shuffled = list(attempts)
    dice.shuffle(shuffled)
    assert scores_by_content(shuffled) == scores_by_content(attempts)
    for scores in scores_by_content(attempts).values():
        assert scores.lowest <= scores.average <= scores.best_score.score
