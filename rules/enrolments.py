"""A learner's enrolment in a collection under a context."""

from dataclasses import dataclass
from datetime import datetime

from rules.identifiers import ProgressKey
from rules.progress import Status


@dataclass(frozen=True, slots=True)
class Copies:
    """What an enrolment repeats of its collection and context, for those who read rows alone (design, section 3)."""

    collection_name: str | None = None
    context_name: str | None = None
    context_start_date: datetime | None = None
    context_end_date: datetime | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """As stored. What the commands decide (active, times) and what the workers computed stand side by side."""

    key: ProgressKey
    active: bool
    enrolled_on: datetime
    unenrolled_on: datetime | None = None
    changed_at: int = 0
    status: Status = Status.NOT_STARTED
    completed_count: int = 0
    completed_on: datetime | None = None
    last_read_content_id: str | None = None
    last_accessed_on: datetime | None = None
    seen_changed_at: int | None = None
    copies: Copies = Copies()
    moved_to: str | None = None
    """In move mode: the context where the learner goes on with the collection."""
    moved_from: str | None = None
    """In move mode: the context that the progress was taken along from."""

    @property
    def has_moved(self) -> bool:
        """Whether ``moved_to`` is a pointer to be followed; in an active enrolment a move is only under way."""
        return self.moved_to is not None and not self.active
