"""A learner's enrolment in a collection under a context."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from rules.contexts import Context
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey
from rules.moments import later
from rules.progress import Progress, Status
from rules.standings import Figures, FirstCompletion


@dataclass(frozen=True, slots=True)
class Copies:
    """What an enrolment repeats of its collection and context, for those who read rows alone (R-ENROL-3)."""

    collection_name: str | None = None
    context_name: str | None = None
    context_start_date: datetime | None = None
    context_end_date: datetime | None = None

    @classmethod
    def of(cls, collection_name: str | None, context: Context | None) -> Self:
        if context is None:
            return cls(collection_name)
        return cls(collection_name, context.name, context.start_date, context.end_date)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A stored enrolment. The commands decide ``active`` and its moments; the workers compute the figures.

    ``enrolled_on`` is the first time and stays. ``reenrolled_on`` is when the learner came back last, None where they
    never left.
    """

    key: ProgressKey
    active: bool
    enrolled_on: datetime
    unenrolled_on: datetime | None = None
    reenrolled_on: datetime | None = None
    changed_at: int = 0
    status: Status = Status.NOT_STARTED
    completed_count: int = 0
    completed_on: datetime | None = None
    completed_version: int | None = None
    last_read_content_id: str | None = None
    last_accessed_on: datetime | None = None
    seen_changed_at: int | None = None
    copies: Copies = Copies()
    certificates: Sequence[Mapping[str, str]] = ()
    """Certificates as they were issued. Cohort hands them out and issues none."""
    moved_to: str | None = None
    """In move mode: the context where the learner goes on with the collection."""
    moved_from: str | None = None
    """In move mode: the context that the progress was taken along from."""
    granted_on: datetime | None = None
    """When the platform before Cohort completed it (R-MIGRATE-1). Only a migration writes it."""

    @property
    def completed(self) -> FirstCompletion | None:
        """The completion that counts. The platform's date counts before what the workers computed."""
        return self.granted or self.computed

    @property
    def granted(self) -> FirstCompletion | None:
        """The platform's completion of this enrolment. A pointer has none: what was moved is dated by its contents."""
        return None if self.has_moved else FirstCompletion.of(self.granted_on, None)

    @property
    def computed(self) -> FirstCompletion | None:
        """The completion that the workers wrote."""
        return FirstCompletion.of(self.completed_on, self.completed_version)

    @property
    def begun_on(self) -> datetime:
        """When the enrolment was begun last. What carries progress along goes by this."""
        return self.reenrolled_on or self.enrolled_on

    def was_begun(self, at: datetime) -> bool:
        """Whether a call of that time made this enrolment. Such a call changes nothing when it is sent again."""
        return at in (self.enrolled_on, self.reenrolled_on)

    @property
    def has_moved(self) -> bool:
        """Whether ``moved_to`` is a pointer to be followed. In an active enrolment it only says that a move is under
        way."""
        return self.moved_to is not None and not self.active

    @property
    def is_unseen(self) -> bool:
        """Whether no worker has seen the last change of a command."""
        return self.changed_at != self.seen_changed_at


def worked_since(enrolment: Enrolment | None, opened_on: datetime | None) -> datetime | None:
    """Returns since when a learner may have worked at a place: enrolled, or since the context opened if that was later.
    None where neither is known.

    Progress that came along from elsewhere may be older than its enrolment.
    """
    enrolled_on = enrolment.enrolled_on if enrolment and enrolment.moved_from is None else None
    return later(enrolled_on, opened_on)


def shown_progress(enrolment: Enrolment, figures: Figures | None, tree: RelationTree | None) -> Progress:
    """Returns how far the learner is in this enrolment. What has moved counts where it is now. If the collection is
    gone, it is what the workers last computed."""
    if enrolment.has_moved and tree is not None:
        return Progress(Status.NOT_STARTED, 0, len(tree.required(tree.root)))
    if figures is not None and tree is not None:
        return figures.progress
    return Progress(enrolment.status, enrolment.completed_count, enrolment.completed_count)


def is_under_way(enrolment: Enrolment, context: Context | None, at: datetime) -> bool:
    """Whether the learner was at work there at that time: enrolled by then and active, in a context that is open."""
    if context is None or not enrolment.active or at < enrolment.begun_on:
        return False
    opens = context.opens_on or context.start_date
    return (opens is None or at >= opens) and (context.end_date is None or at <= context.end_date)


def under_way(found: Iterable[tuple[Enrolment, Context | None]], at: datetime) -> list[Enrolment]:
    """Returns the enrolments that are under way, the latest first."""
    enrolments = [enrolment for enrolment, context in found if is_under_way(enrolment, context, at)]
    return sorted(enrolments, key=lambda e: (e.begun_on, e.key), reverse=True)
