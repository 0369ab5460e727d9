"""Scores in rows: what is written of them is read again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.aggregates import _score_of, aggregate_place, aggregates_by_key, score_figures, score_times
from loaders.scores import StoredScores, scores_by_key, scores_key, scores_of_learner, scores_values
from rules.attempts import Attempt
from rules.identifiers import ViewKey
from rules.scores import NO_SCORE, ActivityScore, Best, assessment_scores
from stores.rows import Write
from stores.tables import AGGREGATES, SCORES
from tests.aggregates import figures_key
from tests.conftest import NOW, Instance

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
numbers = st.floats(0, 1000, allow_nan=False)
bests = st.builds(
    Best, numbers, numbers, st.integers(1, 99), st.none() | st.datetimes(timezones=st.just(UTC))
)
activity_scores = st.builds(
    ActivityScore,
    st.dictionaries(st.sampled_from(["a", "score:a", "max_score:a", "completedCount"]), bests, min_size=1),
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(0, 4),
)


@given(activity_scores)
def test_a_score_is_read_out_of_an_aggregates_maps_as_it_was_written(score: ActivityScore) -> None:
    """Whatever a content is called; beside the other figures."""
    figures = {"completedCount": 1.0, "requiredCount": 2.0, "timeSpent": 3.0, **score_figures(score)}
    assert len(figures) == 3 + 3 + 3 * score.assessed
    assert _score_of(figures, {"completedCount": EARLIER, **score_times(score)}) == score


def test_nothing_is_written_of_an_activity_without_attempts() -> None:
    assert score_figures(NO_SCORE) == score_times(NO_SCORE) == {}
    assert _score_of({"completedCount": 1.0, "requiredCount": 2.0, "timeSpent": 3.0}, {}) == NO_SCORE


async def test_the_platforms_names_of_a_score_are_those_of_the_row(cohort: Instance) -> None:
    """Two attempts, 2.0 of 3.0 the best (P-4.5)."""
    score = ActivityScore({"quiz": Best(2.0, 3.0, 2, NOW)}, right_first=0, passable=1, passed=1)
    key = figures_key("course", "ada")
    assert score_figures(score) == {
        "score:quiz": 2.0,
        "max_score:quiz": 3.0,
        "attempts_count:quiz": 2.0,
        "rightFirstCount": 0.0,
        "passableCount": 1.0,
        "passedCount": 1.0,
    }
    values = {"aggregates": score_figures(score), "agg_last_updated": score_times(score), "version": 7}
    await cohort.stores.rows.write(Write(AGGREGATES, aggregate_place(key), values, timestamp=7))
    (found,) = await aggregates_by_key(cohort.stores.rows, [key])
    assert found is not None
    assert found.score == score


async def test_scores_are_read_by_key_and_of_a_learner_by_assessment(cohort: Instance) -> None:
    """1.0, then 3.0 of 4.0, then 2.0: the best is the second; average (1 + 3 + 2) / 3 = 2."""
    keys = [
        ViewKey("ada", "course", "batch", "quiz"),
        ViewKey("ada", "quiz", "quiz", "quiz"),
        ViewKey("ada", "course", "batch", "other"),
    ]
    written = []
    for key in keys:
        attempts = [
            Attempt(key, f"attempt-{number}", score, 4.0, NOW + timedelta(minutes=number))
            for number, score in enumerate([1.0, 3.0, 2.0])
        ]
        scores = assessment_scores(attempts)
        assert scores is not None
        stored = StoredScores.of(key, scores, 7)
        written.append(stored)
        await cohort.stores.rows.write(Write(SCORES, scores_key(key), scores_values(stored), timestamp=7))
        assert stored.says(scores)
    first, alone, other = written
    assert (first.best, first.max, first.lowest, first.first, first.last) == (3.0, 4.0, 1.0, 1.0, 2.0)
    assert (first.average, first.attempts, first.updated_on) == (2.0, 3, NOW + timedelta(minutes=2))
    assert (first.best_attempt_id, first.last_attempt_id) == ("attempt-1", "attempt-2")
    rows = cohort.stores.rows
    assert await scores_by_key(rows, [keys[0], ViewKey("bob", "course", "batch", "quiz")]) == {keys[0]: first}
    assert await scores_of_learner(rows, "ada") == [other, first, alone]
    assert await scores_of_learner(rows, "ada", "quiz") == [first, alone]
    assert await scores_of_learner(rows, "bob") == []


@pytest.mark.parametrize("keys", [[], [ViewKey("ada", "course", "batch", "quiz")]])
async def test_who_has_no_scores_has_none(embedded: Instance, keys: list[ViewKey]) -> None:
    assert await scores_by_key(embedded.stores.rows, keys) == {}
