"""From events to questions, sums and versions (R-ASSESS-3, P-4.5)."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.assessments import checked_events
from rules.attempts import Attempt, write_time
from rules.identifiers import ViewKey
from rules.scores import scores_by_content
from rules.scoring import content_hash, grand_total, questions_of, scored

KEY = ViewKey("ada", "course", "batch", "a")
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def answer(
    question: str, score: float | str | None = 1, maximum: float | str | None = 1, **more: Any
) -> dict[str, Any]:
    """An ASSESS event. ``more`` goes into its edata, but for ``ets``."""
    event: dict[str, Any] = {"eid": "ASSESS", "ets": more.pop("ets", 1_000)}
    return {**event, "edata": {"item": {"id": question, "maxscore": maximum}, "score": score, **more}}


def test_the_reference_s_two_attempts_have_its_scores() -> None:
    """1 + 1 + 0 of 3 is 2.0/3.0. 0.33 + 1 + 0 of 3 is 1.33/3.0. The best one counts: 2 of 3, out of 2 attempts."""
    first = scored(KEY, "1", AT, [answer("q1", 1), answer("q2", 1), answer("q3", 0)])
    second = scored(KEY, "2", AT, [answer("q1", 0.33), answer("q2", 1), answer("q3", 0)])
    assert (first.grand_total, second.grand_total) == ("2.0/3.0", "1.33/3.0")
    scores = scores_by_content([first.attempt, second.attempt])["a"]
    assert (scores.best_score.score, scores.best_score.max_score, scores.attempts) == (2.0, 3.0, 2)
    assert (scores.lowest, scores.average) == (1.33, 1.665)  # (2 + 1.33) / 2


@pytest.mark.parametrize(
    ("score", "maximum", "written"),
    [
        (0, 0, "0.0/0.0"),
        (2, 3, "2.0/3.0"),
        (4 / 3, 3, "1.33/3.0"),  # 1.3333…
        (0.125, 0.375, "0.12/0.38"),  # both stand exactly between two: to the even one
        (-0.001, 10.256, "0.0/10.26"),
    ],
)
def test_a_grand_total_has_one_decimal_or_two(score: float, maximum: float, written: str) -> None:
    assert grand_total(score, maximum) == written


def test_of_several_answers_to_a_question_the_latest_counts() -> None:
    """Sum: 2 (q1, at 3,000) + 1 (q2) = 3 of 2 + 1 = 3."""
    whole = scored(
        KEY,
        "1",
        AT,
        [
            answer("q1", 2, 2, ets=3_000),
            answer("q1", 0, 2, ets=2_000),
            answer("q2"),
            answer(" q1 ", 1, 2, ets=1_000),
        ],
    )
    assert [(q.id, q.score) for q in whole.questions] == [("q1", 2.0), ("q2", 1.0)]
    assert (whole.attempt.score, whole.attempt.max_score) == (3.0, 3.0)


def test_an_answer_without_a_time_is_older_than_one_with_a_time() -> None:
    (question,) = questions_of([answer("q1", 1), answer("q1", 2, ets=None)])
    assert (question.score, question.assessed_on) == (1.0, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    (alone,) = questions_of([answer("q1", 2, ets=None)])
    assert alone.assessed_on is None


def test_of_answers_of_the_same_time_the_highest_score_counts() -> None:
    for events in ([answer("q1", 1), answer("q1", 2)], [answer("q1", 2), answer("q1", 1)]):
        assert [q.score for q in questions_of(events)] == [2.0]


def test_what_players_say_as_texts_are_numbers() -> None:
    """SCORM has no numbers. What was left out adds nothing."""
    whole = scored(KEY, "1", AT, [answer("q1", " 1.5", "2", duration="7"), answer("q2", None, None)])
    assert (whole.attempt.score, whole.attempt.max_score) == (1.5, 2.0)
    assert [q.duration for q in whole.questions] == [7.0, None]
    assert [q.score for q in whole.questions] == [1.5, None]


def test_options_and_answers_become_texts() -> None:
    options = [{"1": '{"text":"Red"}'}, {"answer": {"correct": ["1"]}, "n": 2}]
    (question,) = questions_of([answer("q1", resvalues=[{"1": None}, "Red", ["a", 1]])])
    assert question.answers == [{"1": "null"}, {"value": "Red"}, {"value": '["a",1]'}]
    event = answer("q1")
    event["edata"]["item"]["params"] = options
    (question,) = questions_of([event])
    assert question.options == [{"1": '{"text":"Red"}'}, {"answer": '{"correct":["1"]}', "n": "2"}]


def test_questions_stand_in_the_order_of_the_assessment() -> None:
    events = [answer("q2", index=2), answer("q9"), answer("q1", index=1), answer("q3")]
    assert [q.id for q in questions_of(events)] == ["q1", "q2", "q3", "q9"]


ANSWERS = st.lists(
    st.builds(
        answer,
        st.sampled_from(["q1", "q2", "q3"]),
        st.sampled_from([0, 0.1, 0.2, 0.33, 1, 2, "1.5", None]),
        st.sampled_from([0.1, 1, 2, 3, None]),
        ets=st.sampled_from([None, 1_000, 2_000]),
        index=st.sampled_from([None, 1, 2]),
        resvalues=st.sampled_from([None, [], [{"1": 2}]]),
    ),
    max_size=8,
)


@given(ANSWERS, st.randoms(use_true_random=False))
def test_the_order_of_answers_and_repeating_them_change_nothing(
    events: list[dict[str, Any]], dice: Any
) -> None:
    checked_events(events)
    again = [*events, *events]
    dice.shuffle(again)
    assert scored(KEY, "1", AT, again) == scored(KEY, "1", AT, events)


@given(ANSWERS)
def test_sums_are_those_of_the_questions_to_the_last_digit(events: list[dict[str, Any]]) -> None:
    whole = scored(KEY, "1", AT, events)
    assert whole.attempt.score == math.fsum(q.score or 0 for q in whole.questions)
    assert whole.attempt.max_score == math.fsum(q.max_score or 0 for q in whole.questions)
    assert len({q.id for q in whole.questions}) == len(whole.questions)


def test_the_hash_tells_versions_apart_and_says_nothing_of_times() -> None:
    one, other = questions_of([answer("q1")]), questions_of([answer("q1", resvalues=[{"1": "b"}])])
    assert content_hash(1, 1, one) == content_hash(1, 1, list(one)) != content_hash(1, 1, other)
    assert scored(KEY, "1", AT, [answer("q1")]).attempt.content_hash == content_hash(1, 1, one)


def test_versions_of_one_moment_have_write_times_of_their_own() -> None:
    own = write_time(AT)
    attempt = Attempt(KEY, "1", 1, 1, AT, content_hash="b")
    assert attempt.version > Attempt(KEY, "1", 1, 1, AT, content_hash="a").version
    assert own < write_time(AT, own) < write_time(AT.replace(microsecond=1000))
