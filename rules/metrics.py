"""What is counted of an activity's enrolments, and the metrics that follow from it (R-QUERY-9).

Active enrolments are counted, and beside them those that were left. Counts can be added up over activities and
dimensions, but for LEARNERS. Metrics are computed from these sums, never from other metrics, so that a total over rows is
right for percentages and averages, too.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import cast

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
SCORE_SPREAD, PROGRESS_SPREAD, DAYS_SPREAD = SPREADS = ("score_spread", "progress_spread", "days_spread")
"""The counts that medians and percentiles follow from. Each is a mapping: how many enrolments have which whole number, of
score percentage, progress, and days to complete."""
LEARNERS = "learners"
"""Distinct learners. One who is in two groups is in the count of each, so these can't be added up."""
LEFT = "left"
"""Enrolments that learners left."""
AT_RISK = "at_risk"
"""Enrolments that are not completed, whose learner was not seen for some days."""
TO_COMPLETE = ("completions_timed", "seconds_to_complete")
"""Enrolments with the moments of enrolment and completion, and the seconds between them, added up."""
UNSEEN = frozenset({*SPREADS, LEARNERS, LEFT, AT_RISK, *TO_COMPLETE})
"""Counts that totals do not have: only states tell them."""

SUMS = ("enrolled", "completed", "progress_sum", *BANDS, "time_spent", *SCORE_COUNTS)
LATEST = "last_accessed_on"
"""A moment in epoch milliseconds. Of several the latest counts."""
COUNTS = (*SUMS, LATEST)
"""``progress_sum`` is the sum of percentages, ``time_spent`` of seconds."""

Spread = Mapping[int, int]
Counts = Mapping[str, int | Spread | None]
MetricValue = int | float | str | dict[str, int] | dict[str, float] | None

PERCENTILES = (10, 25, 50, 75, 90)
SECONDS_OF_A_DAY = 86_400


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
    LEARNERS_COUNT = "learnersCount"
    LEFT_COUNT = "leftCount"
    AT_RISK_COUNT = "atRiskCount"
    MEDIAN_PROGRESS = "medianProgress"
    PROGRESS_PERCENTILES = "progressPercentiles"
    AVERAGE_DAYS_TO_COMPLETE = "averageDaysToComplete"
    MEDIAN_DAYS_TO_COMPLETE = "medianDaysToComplete"

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
    Metric.MEDIAN_SCORE: (SCORE_SPREAD,),
    Metric.SCORE_DISTRIBUTION: tuple(SCORE_BANDS),
    Metric.PASS_RATE: ("passed", "passable"),
    Metric.ATTEMPTS_PER_LEARNER: ("attempts", "attempted"),
    Metric.FIRST_ATTEMPT_RIGHT: ("right_first", "assessed"),
    Metric.LEARNERS_COUNT: (LEARNERS,),
    Metric.LEFT_COUNT: (LEFT,),
    Metric.AT_RISK_COUNT: (AT_RISK,),
    Metric.MEDIAN_PROGRESS: (PROGRESS_SPREAD,),
    Metric.PROGRESS_PERCENTILES: (PROGRESS_SPREAD,),
    Metric.AVERAGE_DAYS_TO_COMPLETE: TO_COMPLETE,
    Metric.MEDIAN_DAYS_TO_COMPLETE: (DAYS_SPREAD,),
}
DISTRIBUTIONS = frozenset(
    {Metric.PROGRESS_DISTRIBUTION, Metric.SCORE_DISTRIBUTION, Metric.PROGRESS_PERCENTILES}
)
"""Metrics whose value is an object of several numbers."""
ADDITIVE = frozenset(
    {
        Metric.ENROLLED_COUNT,
        Metric.COMPLETED_COUNT,
        Metric.LEFT_COUNT,
        Metric.AT_RISK_COUNT,
        Metric.TIME_SPENT,
    }
)
"""Metrics whose values add up to that of the totals, so that each has a share of it."""
_COUNTED = ADDITIVE | {Metric.LEARNERS_COUNT}
"""Metrics that are a count as it is."""
_MEDIANS = frozenset({Metric.MEDIAN_SCORE, Metric.MEDIAN_PROGRESS, Metric.MEDIAN_DAYS_TO_COMPLETE})
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
    - ``medianProgress`` and ``medianDaysToComplete`` are as ``medianScore`` is; days are whole ones, rounded down.
      ``progressPercentiles`` is by PERCENTILES, such as ``{"10": 4.5, …}``, or None (``percentile``).
    - ``averageDaysToComplete`` has two decimals, None where no enrolment has both moments. Where the completion is before
      the enrolment, as after some migrations, it took no time.
    """
    if metric in _MEDIANS:
        spread = _spread(counts, _NEEDS[metric][0])
        return percentile(spread, 50) if spread else None
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
        case Metric.PROGRESS_PERCENTILES:
            ordered = _spread(counts, PROGRESS_SPREAD)
            return {str(each): percentile(ordered, each) for each in PERCENTILES} if ordered else None
        case Metric.AVERAGE_DAYS_TO_COMPLETE:
            timed, seconds = (_count(counts, name) for name in TO_COMPLETE)
            return round(seconds / timed / SECONDS_OF_A_DAY, 2) if timed else None
        case Metric.LAST_ACTIVITY:
            at = cast("int | None", counts.get(LATEST))
            return None if at is None else written(moment(at))
        case _:
            return _count(counts, _NEEDS[metric][0])


def metric_reader(metric: Metric) -> Callable[[Counts], MetricValue]:
    """``metric_value`` of one metric, for tables of many rows."""
    if metric not in _COUNTED:
        return partial(metric_value, metric)
    (name,) = _NEEDS[metric]
    return lambda counts: cast("int | None", counts.get(name)) or 0


def seen_before(now: datetime, days: int) -> datetime:
    """Returns the moment before which a learner was last seen who is at risk: so many days before the full hour, so that
    it stays the same for a while."""
    return now.replace(minute=0, second=0, microsecond=0) - timedelta(days=days)


def band_label(band: str) -> str:
    """Returns the name of a band for clients: ``progress_1_24`` is ``1-24``."""
    return band.partition("_")[2].replace("_", "-")


def band_of(percentage: int, bands: Mapping[str, tuple[int, int]] = BANDS) -> str:
    """Returns the band that counts an enrolment with this percentage."""
    return next(band for band, (least, most) in bands.items() if least <= percentage <= most)


def joined(name: str, values: Iterable[int | Spread | None]) -> int | Spread | None:
    """Joins the counts of several groups: their sum, number by number in a spread, or the latest moment."""
    known = [value for value in values if value is not None]
    if name in SPREADS:
        return sum((Counter(value) for value in cast("list[Spread]", known)), Counter())
    numbers = cast("list[int]", known)
    return max(numbers, default=None) if name == LATEST else sum(numbers)


def percentile(spread: Spread, percent: int) -> float:
    """Returns the number below which ``percent`` of 100 are, of those that ``spread`` counts, which are one at least.

    The numbers are in order, the first at 0 % and the last at 100 %. Between two neighbours it is on the straight line from
    one to the other, with two decimals. So the 50th is the median. It is ``statistics.quantiles(method="inclusive")``,
    ``quantile_cont`` of DuckDB, and PERCENTILE.INC of spreadsheets.

    >>> percentile({0: 1, 50: 1, 66: 1, 90: 1}, 50)
    58.0
    """
    place, part = divmod(percent * (sum(spread.values()) - 1), 100)
    low, high = _number_at(spread, place), _number_at(spread, place + (part > 0))
    return (100 * low + part * (high - low)) / 100


def _number_at(spread: Spread, place: int) -> int:
    """Returns the number at this place of the ordered ones, from 0."""
    until = 0
    for number in sorted(spread):
        until += spread[number]
        if place < until:
            return number
    raise IndexError(place)


def _count(counts: Counts, name: str) -> int:
    return cast("int | None", counts.get(name)) or 0


def _spread(counts: Counts, name: str) -> Spread:
    return cast("Spread | None", counts.get(name)) or {}
