"""The figures of a group's activity and of each member in it, out of the members' entries (seed 000, Group Activity
Aggregates; reference 2.5, 4.10)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rules.entries import NO_ENTRY, Entry
from rules.errors import InvalidInput
from rules.metrics import Metric
from rules.progress import Status, percentage

LEAF_NODES_COUNT = "leafNodesCount"
_ENROLLED = Metric.ENROLLED_COUNT.value
_COMPLETED = Metric.COMPLETED_COUNT.value
_PERCENTAGE = Metric.COMPLETION_PERCENTAGE.value
_TIME_SPENT = Metric.TIME_SPENT.value

ACTIVITY_METRICS = (_ENROLLED, _COMPLETED, _PERCENTAGE, LEAF_NODES_COUNT)
"""Of an activity: members with an active enrolment; of these, those who completed it; how many of a hundred of them
did, rounded down; distinct leaves of its tree."""
MEMBER_METRICS = (_COMPLETED, _PERCENTAGE, _TIME_SPENT)
"""Of a member: required leaves that are completed; how many of a hundred, rounded down; seconds."""


@dataclass(frozen=True, slots=True)
class Figure:
    """``last_updated_on``: by the events' own times; None where nothing happened yet."""

    metric: str
    value: int
    last_updated_on: datetime | None


def activity_figures(
    entries: Iterable[Entry], *, leaf_nodes_count: int = 0, published_on: datetime | None = None
) -> list[Figure]:
    """Of these members' best entries, one each. The leaves change when the collection is published, the other figures
    when a member does something."""
    entries = list(entries)
    enrolled = [entry for entry in entries if entry.active]
    completed = sum(entry.progress.status is Status.COMPLETED for entry in enrolled)
    updated = max((at for entry in entries if (at := entry.last_updated_on)), default=None)
    return [
        Figure(_ENROLLED, len(enrolled), updated),
        Figure(_COMPLETED, completed, updated),
        Figure(_PERCENTAGE, percentage(completed, len(enrolled)), updated),
        Figure(LEAF_NODES_COUNT, leaf_nodes_count, published_on),
    ]


def member_figures(entry: Entry | None, metrics: Collection[str] | None = None) -> Sequence[Figure]:
    """Those ``chosen``; none of an entry that is not the viewer's to see (None)."""
    shown = entry or NO_ENTRY
    updated = shown.last_updated_on
    figures = [
        Figure(_COMPLETED, shown.progress.completed_count, updated),
        Figure(_PERCENTAGE, shown.progress.completion_percentage, updated),
        Figure(_TIME_SPENT, shown.time_spent, updated),
    ]
    wanted = chosen(figures, metrics)  # refuses an unknown one whoever is asked about
    return wanted if entry else []


def chosen(figures: Sequence[Figure], metrics: Collection[str] | None) -> Sequence[Figure]:
    """Those that are named, in the order of the declaration; all of them for None. InvalidInput lists what there is."""
    if metrics is None:
        return figures
    known = [figure.metric for figure in figures]
    for metric in metrics:
        if metric not in known:
            raise InvalidInput(f"there is no metric {metric}; there are {', '.join(known)}", field="metrics")
    return [figure for figure in figures if figure.metric in metrics]
