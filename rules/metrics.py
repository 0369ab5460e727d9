"""What is counted of an activity's enrolments, and the metrics that follow from it (R-QUERY-9).

Active enrolments are counted. Counts can be added up over activities and dimensions. Metrics are computed from these
sums, never from other metrics, so that a total over rows is right for percentages and averages, too.
"""

from collections.abc import Iterable, Mapping
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

SUMS = ("enrolled", "completed", "progress_sum", *BANDS, "time_spent")
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
}


def metric_value(metric: Metric, counts: Counts) -> MetricValue:
    """Returns the metric's value for these counts. A count that is missing or None is 0.

    ``averageProgress`` is a percentage with two decimals, None where nobody is enrolled; ``completionPercentage`` is
    whole and 0 then (R-PROGRESS-1); ``timeSpent`` in seconds; ``lastActivity`` in RFC 3339, UTC, or None;
    ``progressDistribution`` by band, such as ``{"0": 3, "1-24": 0, …}``.
    """
    match metric:
        case Metric.COMPLETION_PERCENTAGE:
            return percentage(_count(counts, "completed"), _count(counts, "enrolled"))
        case Metric.AVERAGE_PROGRESS:
            enrolled = _count(counts, "enrolled")
            return round(_count(counts, "progress_sum") / enrolled, 2) if enrolled else None
        case Metric.PROGRESS_DISTRIBUTION:
            return {band_label(band): _count(counts, band) for band in BANDS}
        case Metric.LAST_ACTIVITY:
            at = counts.get(LATEST)
            return None if at is None else written(moment(at))
        case _:
            return _count(counts, _NEEDS[metric][0])


def band_label(band: str) -> str:
    """Returns the name of a band for clients: ``progress_1_24`` is ``1-24``."""
    return band.removeprefix("progress_").replace("_", "-")


def band_of(percentage: int) -> str:
    """Returns the band that counts an enrolment with this percentage."""
    return next(band for band, (least, most) in BANDS.items() if least <= percentage <= most)


def joined(name: str, values: Iterable[int | None]) -> int | None:
    """Joins the counts of several groups: their sum, or the latest moment."""
    known = [value for value in values if value is not None]
    return max(known, default=None) if name == LATEST else sum(known)


def _count(counts: Counts, name: str) -> int:
    return counts.get(name) or 0
