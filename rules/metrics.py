"""What is counted of an activity's enrolments, and the metrics that follow from it (R-QUERY-9).

Active enrolments are counted. Counts can be added up over activities and dimensions. Metrics are computed from these
sums, never from other metrics, so that a total over rows is right for percentages and averages, too.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

from rules.moments import moment, written
from rules.progress import percentage

BANDS = {
    "progress_0": (0, 0),
    "progress_1_24": (1, 24),
    "progress_25_49": (25, 49),
    "progress_50_74": (50, 74),
    "progress_75_99": (75, 99),
    "progress_100": (100, 100),
}
"""The counts of the distribution. Each counts enrolments whose percentage is in its range, both ends included."""

SCORE_BANDS = {f"score_{least}_{least + 9}": (least, least + 9) for least in range(0, 100, 10)} | {
    "score_100": (100, 100)
}
"""The counts of the distribution of scores: bands of ten. Each counts learners whose score percentage is in its range,
both ends included."""
SCORE_COUNTS = (
    "scored",
    "score_sum",
    *SCORE_BANDS,
    "attempted",
    "attempts",
    "assessed",
    "right_first",
    "passable",
    "passed",
)
"""What is counted of assessments:

- ``scored``: learners who have a score percentage. ``score_sum``: the sum of these whole percentages.
- ``attempted``: learners who attempted an assessment. ``attempts``: all attempts of theirs.
- ``assessed``: assessments that were attempted, one for each learner. ``right_first``: those of them whose first attempt
  had everything right. ``passable``: those with a pass mark. ``passed``: those that the best attempt passed.
"""
PERCENTS = {f"percent_{percent}": percent for percent in range(101)}
"""The counts that a median follows from: learners by their score percentage. Totals do not have them."""

SUMS = ("enrolled", "completed", "progress_sum", *BANDS, "time_spent", *SCORE_COUNTS)
LATEST = "last_accessed_on"
"""A moment in epoch milliseconds. Of several the latest counts."""
COUNTS = (*SUMS, LATEST)
"""``progress_sum`` is the sum of percentages, ``time_spent`` of seconds."""

Counts = Mapping[str, int | None]
MetricValue = int | float | str | dict[str, int] | None


class Metric(Enum):
    """By the names that answers have."""

    ENROLLED_COUNT = "enrolledCount"
    COMPLETED_COUNT = "completedCount"
    COMPLETION_PERCENTAGE = "completionPercentage"
    AVERAGE_PROGRESS = "averageProgress"
    PROGRESS_DISTRIBUTION = "progressDistribution"
    TIME_SPENT = "timeSpent"
    LAST_ACTIVITY = "lastActivity"
    AVERAGE_SCORE = "averageScore"
    MEDIAN_SCORE = "medianScore"
    SCORE_DISTRIBUTION = "scoreDistribution"
    PASS_RATE = "passRate"  # noqa: S105 - no password
    ATTEMPTS_PER_LEARNER = "attemptsPerLearner"
    FIRST_ATTEMPT_RIGHT = "firstAttemptRight"

    @property
    def counts(self) -> tuple[str, ...]:
        """The counts that the metric is computed from."""
        return _NEEDS[self]


_NEEDS = {
    Metric.ENROLLED_COUNT: ("enrolled",),
    Metric.COMPLETED_COUNT: ("completed",),
    Metric.COMPLETION_PERCENTAGE: ("completed", "enrolled"),
    Metric.AVERAGE_PROGRESS: ("progress_sum", "enrolled"),
    Metric.PROGRESS_DISTRIBUTION: tuple(BANDS),
    Metric.TIME_SPENT: ("time_spent",),
    Metric.LAST_ACTIVITY: (LATEST,),
    Metric.AVERAGE_SCORE: ("score_sum", "scored"),
    Metric.MEDIAN_SCORE: tuple(PERCENTS),
    Metric.SCORE_DISTRIBUTION: tuple(SCORE_BANDS),
    Metric.PASS_RATE: ("passed", "passable"),
    Metric.ATTEMPTS_PER_LEARNER: ("attempts", "attempted"),
    Metric.FIRST_ATTEMPT_RIGHT: ("right_first", "assessed"),
}
DISTRIBUTIONS = frozenset({Metric.PROGRESS_DISTRIBUTION, Metric.SCORE_DISTRIBUTION})
"""Metrics whose value is an object of several numbers."""
_MEANS = frozenset({Metric.AVERAGE_PROGRESS, Metric.AVERAGE_SCORE, Metric.ATTEMPTS_PER_LEARNER})
_SHARES = frozenset({Metric.PASS_RATE, Metric.FIRST_ATTEMPT_RIGHT})


def metric_value(metric: Metric, counts: Counts) -> MetricValue:
    """Returns the metric's value for these counts. A count that is missing or None is 0.

    - ``averageProgress`` is a percentage with two decimals, None where nobody is enrolled. ``completionPercentage`` is
      whole, and 0 then (R-PROGRESS-1).
    - ``timeSpent`` is in seconds. ``lastActivity`` is in RFC 3339, UTC, or None.
    - ``averageScore`` has two decimals, ``medianScore`` a half where it is between two whole percentages. Both are None
      where nobody was scored.
    - ``passRate`` and ``firstAttemptRight`` are percentages, rounded down; ``attemptsPerLearner`` has two decimals. Each is
      None where there is nothing to divide by (R-ASSESS-8).
    - ``progressDistribution`` and ``scoreDistribution`` are by band, such as ``{"0": 3, "1-24": 0, …}``.
    """
    if metric in _MEANS or metric in _SHARES:
        part, whole = (_count(counts, name) for name in _NEEDS[metric])
        if not whole:
            return None
        return round(part / whole, 2) if metric in _MEANS else percentage(part, whole)
    match metric:
        case Metric.COMPLETION_PERCENTAGE:
            return percentage(_count(counts, "completed"), _count(counts, "enrolled"))
        case Metric.PROGRESS_DISTRIBUTION | Metric.SCORE_DISTRIBUTION:
            return {band_label(band): _count(counts, band) for band in _NEEDS[metric]}
        case Metric.MEDIAN_SCORE:
            return _median(counts)
        case Metric.LAST_ACTIVITY:
            at = counts.get(LATEST)
            return None if at is None else written(moment(at))
        case _:
            return _count(counts, _NEEDS[metric][0])


def band_label(band: str) -> str:
    """Returns the name of a band for clients: ``progress_1_24`` is ``1-24``."""
    return band.partition("_")[2].replace("_", "-")


def band_of(percentage: int, bands: Mapping[str, tuple[int, int]] = BANDS) -> str:
    """Returns the band that counts an enrolment with this percentage."""
    return next(band for band, (least, most) in bands.items() if least <= percentage <= most)


def joined(name: str, values: Iterable[int | None]) -> int | None:
    """Joins the counts of several groups: their sum, or the latest moment."""
    known = [value for value in values if value is not None]
    return max(known, default=None) if name == LATEST else sum(known)


def _median(counts: Counts) -> float | None:
    """Returns the percentage in the middle of the ordered ones, or the mean of the two that are."""
    scored = sum(_count(counts, name) for name in PERCENTS)
    if not scored:
        return None
    middle = {(scored - 1) // 2, scored // 2}
    return sum(_percent_at(counts, place) for place in middle) / len(middle)


def _percent_at(counts: Counts, place: int) -> int:
    """Returns the percentage at this place of the ordered ones, from 0."""
    ordered = _ordered_percents(counts)
    return next(percent for percent, until in ordered if place < until)


def _ordered_percents(counts: Counts) -> Iterator[tuple[int, int]]:
    """Yields each percentage, and how many learners have it or a lower one."""
    until = 0
    for name, percent in PERCENTS.items():
        until += _count(counts, name)
        yield percent, until


def _count(counts: Counts, name: str) -> int:
    return counts.get(name) or 0
