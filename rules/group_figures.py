"""The figures of a group's activity and of each member in it, out of the members' entries."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rules.entries import Entry
from rules.errors import InvalidInput
from rules.metrics import Metric
from rules.progress import Status, percentage
from rules.subjects import Subject

LEAF_NODES_COUNT = "leafNodesCount"
_ENROLLED = Metric.ENROLLED_COUNT.value
_COMPLETED = Metric.COMPLETED_COUNT.value
_PERCENTAGE = Metric.COMPLETION_PERCENTAGE.value
_TIME_SPENT = Metric.TIME_SPENT.value

ACTIVITY_METRICS = (_ENROLLED, _COMPLETED, _PERCENTAGE, LEAF_NODES_COUNT)
"""The metrics of an activity: how many members have an active enrolment, how many of these completed it, the percentage
of them, rounded down, and the distinct leaves of its tree. Nobody enrols in a single content: there all members
count."""
MEMBER_METRICS = (_COMPLETED, _PERCENTAGE, _TIME_SPENT)
"""The metrics of a member: completed required leaves, the percentage of them, rounded down, and seconds."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric of an activity or of a member. ``value`` is None where it does not apply or is not known, which is
    another thing than 0. ``last_updated_on`` goes by the events' own times, and is None where nothing happened yet."""

    metric: str
    value: int | None
    last_updated_on: datetime | None = None


def activity_figures(
    entries: Iterable[Entry], *, leaf_nodes_count: int | None, published_on: datetime | None = None
) -> list[Figure]:
    """Returns the figures of a collection or a unit. ``entries`` are the best ones of the members who count, one each.
    The leaves change when the collection is published, the other figures when a member does something."""
    entries = list(entries)
    enrolled = [entry for entry in entries if entry.active]
    return [
        *_completion(entries, enrolled, len(enrolled)),
        Figure(LEAF_NODES_COUNT, leaf_nodes_count, published_on),
    ]


def content_figures(entries: Iterable[Entry], *, published_on: datetime | None = None) -> list[Figure]:
    """Returns the figures of a single content. ``entries`` are the best ones of the members who count, one each."""
    entries = list(entries)
    return [*_completion(entries, entries, None), Figure(LEAF_NODES_COUNT, 1, published_on)]


def subject_figures(subject: Subject, entries: Iterable[Entry]) -> list[Figure]:
    """Returns the figures of a known activity. ``entries`` are the best ones of the members who count, one each."""
    content = subject.content
    published_on = content.published_on if content else None
    if subject.is_single_content:
        return content_figures(entries, published_on=published_on)
    count = content.leaf_nodes_count if content else None
    return activity_figures(entries, leaf_nodes_count=count, published_on=published_on)


def _completion(entries: Sequence[Entry], counted: Sequence[Entry], enrolled: int | None) -> list[Figure]:
    completed = sum(entry.progress.status is Status.COMPLETED for entry in counted)
    updated = max((at for entry in entries if (at := entry.last_updated_on)), default=None)
    return [
        Figure(_ENROLLED, enrolled, None if enrolled is None else updated),
        Figure(_COMPLETED, completed, updated),
        Figure(_PERCENTAGE, percentage(completed, len(counted)), updated),
    ]


def unknown_figures(metrics: Sequence[str]) -> list[Figure]:
    """Returns the figures of an activity that Cohort knows nothing of."""
    return [Figure(metric, None) for metric in metrics]


def member_figures(entry: Entry) -> list[Figure]:
    """Returns the figures of a member."""
    updated = entry.last_updated_on
    return [
        Figure(_COMPLETED, entry.progress.completed_count, updated),
        Figure(_PERCENTAGE, entry.progress.completion_percentage, updated),
        Figure(_TIME_SPENT, entry.time_spent, updated),
    ]


def chosen(
    figures: Sequence[Figure], metrics: Collection[str] | None, known: Sequence[str]
) -> Sequence[Figure]:
    """Returns the figures that are named, in the order of the declaration, and all of them for None. InvalidInput lists
    the ``known`` metrics where another one is named, also where there are no figures."""
    for metric in metrics or ():
        if metric not in known:
            raise InvalidInput(f"there is no metric {metric}; there are {', '.join(known)}", field="metrics")
    return figures if metrics is None else [figure for figure in figures if figure.metric in metrics]
