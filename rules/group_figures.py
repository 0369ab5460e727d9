"""The figures of a group's activity and of each member in it, out of the members' entries."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple, Self

from rules.entries import Entry
from rules.errors import InvalidInput
from rules.metrics import Metric
from rules.moments import known_milliseconds
from rules.progress import Status, percentage
from rules.scores import Best
from rules.subjects import Subject

LEAF_NODES_COUNT = "leafNodesCount"
_ENROLLED = Metric.ENROLLED_COUNT.value
_COMPLETED = Metric.COMPLETED_COUNT.value
_PERCENTAGE = Metric.COMPLETION_PERCENTAGE.value
_TIME_SPENT = Metric.TIME_SPENT.value
_AVERAGE_SCORE = Metric.AVERAGE_SCORE.value
_SCORE, _MAX_SCORE, _ATTEMPTS = "score:", "max_score:", "attempts_count:"
"""What stands before the id of an assessment (P-2.5)."""


class ActivityMetric(Enum):
    """What may be asked for of an activity: a metric by its name, or one of each assessment by what stands before its
    id."""

    ENROLLED_COUNT = _ENROLLED
    COMPLETED_COUNT = _COMPLETED
    COMPLETION_PERCENTAGE = _PERCENTAGE
    LEAF_NODES_COUNT = LEAF_NODES_COUNT
    AVERAGE_SCORE = _AVERAGE_SCORE
    SCORE = _SCORE


class MemberMetric(Enum):
    """The same of a member."""

    COMPLETED_COUNT = _COMPLETED
    COMPLETION_PERCENTAGE = _PERCENTAGE
    TIME_SPENT = _TIME_SPENT
    SCORE = _SCORE
    MAX_SCORE = _MAX_SCORE
    ATTEMPTS_COUNT = _ATTEMPTS


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics that there are: those with these ``names``, and one for each assessment, which begin with ``prefixes``.

    Iterating gives the names. Only figures of assessments that somebody attempted are told.
    """

    names: tuple[str, ...]
    prefixes: tuple[str, ...]

    @classmethod
    def of(cls, kinds: type[Enum]) -> Self:
        """Those of an enum whose values are names and prefixes."""
        values = [str(kind.value) for kind in kinds]
        return cls(
            tuple(value for value in values if not value.endswith(":")),
            tuple(value for value in values if value.endswith(":")),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, metric: object) -> bool:
        return metric in self.names or self.is_of_assessment(metric)

    def is_of_assessment(self, metric: object) -> bool:
        """Whether the metric is of one assessment, such as ``score:do_1``."""
        return isinstance(metric, str) and any(
            metric.startswith(prefix) and len(metric) > len(prefix) for prefix in self.prefixes
        )

    @property
    def described(self) -> str:
        return ", ".join((*self.names, *(f"{prefix}<assessment>" for prefix in self.prefixes)))


ACTIVITY_METRICS = Metrics.of(ActivityMetric)
"""The metrics of an activity: how many members have an active enrolment, how many of these completed it, the percentage
of them, rounded down, and the distinct leaves of its tree. Nobody enrols in a single content: there all members
count. Of those who count and attempted something, ``averageScore`` is the mean of their score percentages, and
``score:<assessment>`` the mean of their best scores in it, both with two decimals."""
MEMBER_METRICS = Metrics.of(MemberMetric)
"""The metrics of a member: completed required leaves, the percentage of them, rounded down, and seconds. Of each assessment
that they attempted: the score and the maximum of the best attempt, and how many attempts there are."""


class Figure(NamedTuple):
    """A metric of an activity or of a member. ``value`` is None where it does not apply or is not known, which is
    another thing than 0. ``last_updated_on`` goes by the events' own times, in epoch milliseconds, and is None where nothing
    happened yet. A page has thousands of them: as tuples they take a quarter of the time."""

    metric: str
    value: float | None
    last_updated_on: int | None = None

    @classmethod
    def of(cls, metric: str, value: float | None, last_updated_on: datetime | None = None) -> Self:
        return cls(metric, value, known_milliseconds(last_updated_on))


def activity_figures(
    entries: Iterable[Entry], *, leaf_nodes_count: int | None, published_on: datetime | None = None
) -> list[Figure]:
    """Returns the figures of a collection or a unit. ``entries`` are the best ones of the members who count, one each.
    The leaves change when the collection is published, the other figures when a member does something."""
    entries = list(entries)
    enrolled = [entry for entry in entries if entry.active]
    return [
        *_completion(entries, enrolled, len(enrolled)),
        Figure.of(LEAF_NODES_COUNT, leaf_nodes_count, published_on),
        *_scores(enrolled),
    ]


def content_figures(entries: Iterable[Entry], *, published_on: datetime | None = None) -> list[Figure]:
    """Returns the figures of a single content. ``entries`` are the best ones of the members who count, one each."""
    entries = list(entries)
    return [
        *_completion(entries, entries, None),
        Figure.of(LEAF_NODES_COUNT, 1, published_on),
        *_scores(entries),
    ]


def subject_figures(subject: Subject, entries: Iterable[Entry]) -> list[Figure]:
    """Returns the figures of a known activity. ``entries`` are the best ones of the members who count, one each."""
    content = subject.content
    published_on = content.published_on if content else None
    if subject.is_single_content:
        return content_figures(entries, published_on=published_on)
    count = content.leaf_nodes_count if content else None
    return activity_figures(entries, leaf_nodes_count=count, published_on=published_on)


def _completion(entries: Sequence[Entry], counted: Sequence[Entry], enrolled: int | None) -> list[Figure]:
    completed = [entry.status for entry in counted].count(Status.COMPLETED)
    updated = max((at for entry in entries if (at := entry.updated_at) is not None), default=None)
    return [
        Figure(_ENROLLED, enrolled, None if enrolled is None else updated),
        Figure(_COMPLETED, completed, updated),
        Figure(_PERCENTAGE, percentage(completed, len(counted)), updated),
    ]


def _scores(counted: Sequence[Entry]) -> Iterator[Figure]:
    """Yields the average, and the mean of the best scores in each assessment that somebody attempted."""
    scores = [entry.score for entry in counted if entry.scores is not None]
    percentages = [percent for score in scores if (percent := score.percentage) is not None]
    attempted: defaultdict[str, list[Best]] = defaultdict(list)
    for score in scores:
        for assessment, best in score.assessments.items():
            attempted[assessment].append(best)
    every = [best for those in attempted.values() for best in those]
    yield Figure.of(_AVERAGE_SCORE, _mean(percentages), _last_attempt(every))
    for assessment, those in sorted(attempted.items()):
        yield Figure.of(_SCORE + assessment, _mean([best.score for best in those]), _last_attempt(those))


def _mean(values: Sequence[float]) -> float | None:
    return round(math.fsum(values) / len(values), 2) if values else None


def _last_attempt(attempted: Iterable[Best]) -> datetime | None:
    return max((best.attempted_on for best in attempted if best.attempted_on), default=None)


def unknown_figures(metrics: Iterable[str]) -> list[Figure]:
    """Returns the figures of an activity that Cohort knows nothing of."""
    return [Figure(metric, None) for metric in metrics]


def member_figures(entry: Entry) -> list[Figure]:
    """Returns the figures of a member."""
    updated = entry.updated_at
    figures = [
        Figure(_COMPLETED, entry.completed_count, updated),
        Figure(_PERCENTAGE, percentage(entry.completed_count, entry.required_count), updated),
        Figure(_TIME_SPENT, entry.time_spent, updated),
    ]
    if entry.scores is not None:
        figures += [
            Figure.of(prefix + assessment, value, best.attempted_on)
            for assessment, best in sorted(entry.score.assessments.items())
            for prefix, value in (
                (_SCORE, best.score),
                (_MAX_SCORE, best.max_score),
                (_ATTEMPTS, best.attempts),
            )
        ]
    return figures


def chosen(figures: Sequence[Figure], metrics: Collection[str] | None, known: Metrics) -> Sequence[Figure]:
    """Returns the figures that are named, in the order of the declaration, and all of them for None. InvalidInput lists
    the ``known`` metrics where another one is named, also where there are no figures."""
    for metric in metrics or ():
        if metric not in known:
            raise InvalidInput(f"there is no metric {metric}; there are {known.described}", field="metrics")
    return figures if metrics is None else [figure for figure in figures if figure.metric in metrics]


def of_kinds(figures: Sequence[Figure], kinds: Collection[Enum] | None) -> Sequence[Figure]:
    """Returns the figures of these kinds (ActivityMetric or MemberMetric), in the order of the declaration, and all of
    them for None."""
    if kinds is None:
        return figures
    values = {kind.value for kind in kinds}
    return [figure for figure in figures if _kind(figure.metric) in values]


def _kind(metric: str) -> str:
    """The name of a metric; of one of an assessment what stands before its id."""
    name, mark, _ = metric.partition(":")
    return name + mark
