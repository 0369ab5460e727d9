"""The one rule of progress (R-PROGRESS-1). Every number a client sees comes from here."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """Of a view, an enrolment, a unit or a collection. The values are stored (P-1.1)."""

    NOT_STARTED = 0
    IN_PROGRESS = 1
    COMPLETED = 2


_STATUSES = tuple(Status)


def status_of(stored: int | None) -> Status:
    """Returns the status of a column's value; nothing stored is not started. It takes a tenth of the time of calling
    the enum."""
    return _STATUSES[stored or 0]


def percentage(completed: int, required: int) -> int:
    """floor(100 × completed / required): 100 only when nothing is missing, 0 where nothing is required."""
    if not required:
        return 0
    return 100 if completed >= required else 100 * completed // required


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a learner is in a collection or a unit. Counts are of distinct required leaves."""

    status: Status
    completed_count: int
    required_count: int

    @property
    def completion_percentage(self) -> int:
        return percentage(self.completed_count, self.required_count)


def progress_of(required: Set[str], statuses: Mapping[str, int]) -> Progress:
    """Computes the progress: completed are the required leaves with status 2. It is in progress from the first required
    leaf that was started."""
    touched = [statuses[leaf] for leaf in required if leaf in statuses]
    completed = touched.count(Status.COMPLETED)
    if required and completed == len(required):
        status = Status.COMPLETED
    elif any(touched):
        status = Status.IN_PROGRESS
    else:
        status = Status.NOT_STARTED
    return Progress(status, completed, len(required))
