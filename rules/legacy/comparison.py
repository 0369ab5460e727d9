"""What the existing platform shows of an enrolment, and why Cohort shows something else."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rules.hierarchy import RelationTree
from rules.legacy.enrolments import LegacyEnrolment
from rules.progress import Progress, Status


@dataclass(frozen=True, slots=True)
class Figures:
    """What a client is shown of an enrolment."""

    status: int
    percentage: int


def legacy_figures(completed_count: int, leaf_nodes_count: int) -> Figures:
    """As the existing platform's enrolment list computes them when read (P-2.4)."""
    if completed_count <= 0:
        return Figures(0, 0)
    if completed_count < leaf_nodes_count:
        return Figures(1, completed_count * 100 // leaf_nodes_count)
    return Figures(2, 100)


STARTED = "started, and nothing completed yet: the platform calls it not started"
SHRANK = "the course has fewer contents now: the platform counts those that are gone"
OPTIONAL = "optional contents: the platform divides by them too"
FROZEN = "completed once, and again what the course asked for since: the platform never looks again"
LAGGED = "the platform had not counted what it has stored, or the learner went on here"
NO_DATE = (
    "a date of completion that the platform has not noted: Cohort takes that of the last content it needed"
)
UNEXPLAINED = "unexplained"


def reason_of_difference(
    enrolment: LegacyEnrolment, tree: RelationTree, statuses: Mapping[str, int], ours: Progress
) -> str:
    """The reason why the two rules show different figures for one enrolment; UNEXPLAINED if none of the known reasons
    holds.

    ``statuses``: by content, as they are here.
    """
    required = tree.required(tree.root)
    counted = {content for content, status in enrolment.content_status.items() if status == Status.COMPLETED}
    completed = {content for content, status in statuses.items() if status == Status.COMPLETED}
    before = legacy_figures(enrolment.progress, len(tree.leaf_nodes))
    if before == Figures(0, 0) and (ours.status, ours.completed_count) == (Status.IN_PROGRESS, 0):
        return STARTED
    if counted - tree.leaf_nodes:
        return SHRANK
    if (completed & required) - counted:
        if enrolment.status == Status.COMPLETED:
            return FROZEN
        # Where it counted more than what is here, something is missing.
        if enrolment.progress <= len(completed & tree.leaf_nodes):
            return LAGGED
    if required != tree.leaf_nodes:
        return OPTIONAL
    return UNEXPLAINED


def reason_of_other_date(there: datetime | None, here: datetime | None) -> str | None:
    """The reason why both show different dates of completion for one enrolment; None if they show the same."""
    if there == here:
        return None
    return NO_DATE if there is None else UNEXPLAINED
