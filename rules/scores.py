"""Scores: of an assessment out of its attempts, and of an activity out of its assessments (R-ASSESS-3, P-4.5).

Everything is computed from the slim attempts, so archiving questions changes nothing.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from rules.attempts import Attempt

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_DIGITS = 6
"""Decimals that a quotient is rounded to before it is cut: 0.29 of 1 is 29 percent, not 28."""


@dataclass(frozen=True, slots=True)
class Score:
    """Of a learner's best attempt at an assessment."""

    score: float
    max_score: float

    @property
    def percentage(self) -> int | None:
        return score_percentage(self.score, self.max_score)


@dataclass(frozen=True, slots=True)
class AssessmentScores:
    """A learner's scores in one assessment, out of all attempts that have a score.

    ``best``: of the attempt with the highest score; of equal ones that with the higher maximum, then the earliest.
    ``first`` and ``last`` go by the moments of the attempts. ``average`` is of the scores, not of percentages.
    """

    best: Attempt
    lowest: float
    average: float
    first: Attempt
    last: Attempt
    attempts: int

    @property
    def updated_on(self) -> datetime | None:
        """When the scores last changed, by the attempts' own times."""
        return self.last.attempted_on

    @property
    def is_right_at_first(self) -> bool:
        """Whether the first attempt had everything right: its score is the maximum."""
        best = self.first.max_score
        return bool(best) and best is not None and _score(self.first) >= best

    @property
    def best_score(self) -> Score:
        return Score(_score(self.best), self.best.max_score or 0.0)

    def passes(self, pass_mark: float) -> bool:
        """Whether the best attempt reached the pass mark, in percent of the maximum."""
        best = self.best_score
        return best.max_score > 0 and round(100 * best.score / best.max_score, _DIGITS) >= pass_mark


def assessment_scores(attempts: Iterable[Attempt]) -> AssessmentScores | None:
    """Returns the scores of the attempts at one assessment, in whatever order they come. None if none has a score."""
    scored = sorted((one for one in attempts if one.score is not None), key=_moment)
    if not scored:
        return None
    best = max(scored, key=lambda one: (_score(one), one.max_score or 0.0))
    return AssessmentScores(
        best=best,
        lowest=min(map(_score, scored)),
        average=math.fsum(map(_score, scored)) / len(scored),
        first=scored[0],
        last=scored[-1],
        attempts=len(scored),
    )


def scores_by_content(attempts: Iterable[Attempt]) -> dict[str, AssessmentScores]:
    """Returns the scores by assessment."""
    by_content: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_content[attempt.key.content_id].append(attempt)
    found = {content: assessment_scores(those) for content, those in sorted(by_content.items())}
    return {content: scores for content, scores in found.items() if scores is not None}


class Best(NamedTuple):
    """What aggregates say of one assessment: the best attempt's score and maximum, how many attempts there are, and
    when the last one was."""

    score: float
    max_score: float
    attempts: int
    attempted_on: datetime | None

    @property
    def percentage(self) -> int | None:
        return score_percentage(self.score, self.max_score)


@dataclass(frozen=True, slots=True)
class ActivityScore:
    """A learner's score in an activity: in all assessments below it that they attempted.

    - ``right_first``: assessments whose first attempt had everything right.
    - ``passable``: assessments with a published pass mark. ``passed``: those of them that the best attempt passed.
    """

    assessments: Mapping[str, Best] = field(default_factory=dict)
    right_first: int = 0
    passable: int = 0
    passed: int = 0

    @property
    def assessed(self) -> int:
        """How many assessments were attempted."""
        return len(self.assessments)

    @property
    def score(self) -> float | None:
        """The sum of the best scores. None if nothing was attempted."""
        return math.fsum(best.score for best in self.assessments.values()) if self.assessments else None

    @property
    def max_score(self) -> float | None:
        return math.fsum(best.max_score for best in self.assessments.values()) if self.assessments else None

    @property
    def attempts(self) -> int:
        return sum(best.attempts for best in self.assessments.values())

    @property
    def percentage(self) -> int | None:
        return score_percentage(self.score, self.max_score)


NO_SCORE = ActivityScore()


def activity_score(
    scores: Mapping[str, AssessmentScores], pass_marks: Mapping[str, float] | None = None
) -> ActivityScore:
    """Returns the score of an activity. ``scores`` are those of the assessments in it. ``pass_marks``: in percent, of
    the assessments that publish one."""
    marks = {content: mark for content, mark in (pass_marks or {}).items() if content in scores}
    return ActivityScore(
        {
            content: Best(*_pair(each.best_score), each.attempts, each.updated_on)
            for content, each in sorted(scores.items())
        },
        right_first=sum(each.is_right_at_first for each in scores.values()),
        passable=len(marks),
        passed=sum(scores[content].passes(mark) for content, mark in marks.items()),
    )


def score_percentage(score: float | None, max_score: float | None) -> int | None:
    """floor(100 × score / maximum), from 0 to 100. None where the maximum is 0 or unknown: then it says nothing."""
    if score is None or not max_score or max_score < 0:
        return None
    return max(0, min(100, math.floor(round(100 * score / max_score, _DIGITS))))


def _score(attempt: Attempt) -> float:
    return attempt.score or 0.0


def _moment(attempt: Attempt) -> tuple[datetime, str]:
    return attempt.attempted_on or _EARLIEST, attempt.attempt_id


def _pair(score: Score) -> tuple[float, float]:
    return score.score, score.max_score
