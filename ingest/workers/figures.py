"""The figures of one key as they should be, and what its rows say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from loaders.aggregates import Seen, StoredAggregate
from rules.active_days import NO_DAYS, encode_days
from rules.aggregates import Aggregate, AggregateKey, next_version
from rules.contents import Content
from rules.contexts import Context
from rules.enrolments import Copies, Enrolment
from rules.identifiers import ProgressKey


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What rows should say for one key, and what they say.

    - ``figures``: an aggregate for the root and for each touched unit.
    - ``stored``: what is stored for each of these. None, or no entry, for nothing.
    - ``dropped``: what is stored for units that the published version no longer has.
    - ``days``: on which the learner was active.
    """

    key: ProgressKey
    aggregate_context_id: str
    content: Content
    context: Context | None
    enrolment: Enrolment | None
    changed_at: int | None
    tree_version: int
    figures: Sequence[Aggregate]
    stored: Mapping[str, StoredAggregate | None]
    dropped: Mapping[str, StoredAggregate]
    days: frozenset[int] = NO_DAYS

    @property
    def root(self) -> Aggregate:
        return self.figures[0]

    def aggregate_key(self, activity_id: str) -> AggregateKey:
        return AggregateKey(activity_id, self.key.collection_id, self.aggregate_context_id, self.key.user_id)

    def seen(self, figure: Aggregate) -> Seen:
        """Returns what the figure's row is computed from. Attempts have no mark of their last change: their scores are
        compared as figures.
        """
        if figure is not self.root:
            return Seen(tree_version=self.tree_version)
        return Seen(self.changed_at, self.enrolment.changed_at if self.enrolment else None, self.tree_version)

    @property
    def drifted(self) -> list[str]:
        """Returns the activities whose row differs from the figures or should be gone, and ``enrolment`` if that
        differs.

        What a row was computed from is no figure: views in the learner's other contexts of the collection change it
        too.
        """
        changed = [figure.activity_id for figure in self.figures if self.figures_differ(figure)]
        return [*changed, *self.dropped, *(["enrolment"] if self.enrolment_figures_differ else [])]

    @property
    def is_behind(self) -> bool:
        """True if the workers have something to write: the figures drifted, or what they were computed from has
        changed."""
        changed = any(self.has_changed(figure) for figure in self.figures)
        return changed or bool(self.dropped) or self.enrolment_has_changed

    def has_changed(self, figure: Aggregate) -> bool:
        """True if the row is to be written."""
        stored = self.stored.get(figure.activity_id)
        return stored is None or stored.seen != self.seen(figure) or self.figures_differ(figure)

    def figures_differ(self, figure: Aggregate) -> bool:
        stored = self.stored.get(figure.activity_id)
        return (
            stored is None
            or stored.active != self.active
            or stored.enrolled_on != self.enrolled_on
            or stored.completed_count != figure.progress.completed_count
            or stored.required_count != figure.progress.required_count
            or stored.status != figure.progress.status
            or not stored.shows(figure.content_status)
            or stored.time_spent != figure.time_spent
            or stored.completed != figure.completed
            or stored.last_accessed_on != figure.last_accessed_on
            or stored.score != figure.score
            or (figure is self.root and stored.days != encode_days(self.days))
        )

    @property
    def stored_days(self) -> frozenset[int]:
        """Returns the active days that are stored."""
        root = self.stored[self.root.activity_id]
        return NO_DAYS if root is None else root.active_days

    @property
    def enrolment_has_changed(self) -> bool:
        """True if the workers' columns of the enrolment are to be written."""
        enrolment = self.enrolment
        return enrolment is not None and (enrolment.is_unseen or self.enrolment_figures_differ)

    @property
    def enrolment_figures_differ(self) -> bool:
        enrolment, root = self.enrolment, self.root
        return enrolment is not None and (
            enrolment.status != root.progress.status
            or enrolment.completed_count != root.progress.completed_count
            or enrolment.computed != root.completed
            or enrolment.last_accessed_on != root.last_accessed_on
            or enrolment.last_read_content_id != root.last_content_id
            or enrolment.copies != self.copies
        )

    @property
    def active(self) -> bool:
        return self.enrolment is not None and self.enrolment.active

    @property
    def enrolled_on(self) -> datetime | None:
        return self.enrolment.enrolled_on if self.enrolment else None

    @property
    def copies(self) -> Copies:
        """Returns what the enrolment repeats of its collection and context."""
        return Copies.of(self.content.name, self.context)

    def next_version(self, appended_at: int, offset: int) -> int:
        """Returns the version for the rows that a trigger at this place in the log changes.

        It is above the versions of the root and of the dropped units. These were read before the views and attempts,
        so whoever reads those later also gets the higher version.
        """
        read_first = (self.stored[self.root.activity_id], *self.dropped.values())
        highest = max((stored.version for stored in read_first if stored), default=None)
        return next_version(highest, appended_at, offset)

    def versions(self, version: int, *, renew: bool) -> dict[str, int]:
        """Gives each activity its version: the new one if its state differs, else the stored one.

        The state also holds the enrolment and the learner's profile. If the enrolment changed, or the profile
        (``renew``), every activity gets the new version: two different states must never share one. The root has the
        highest version.
        """
        root = self.stored[self.root.activity_id]
        renew = renew or root is None or root.seen.enrolment != self.seen(self.root).enrolment
        versions = {}
        for figure in self.figures:
            stored = self.stored.get(figure.activity_id)
            keeps = stored is not None and not renew and not self.has_changed(figure)
            versions[figure.activity_id] = stored.version if stored is not None and keeps else version
        if version in versions.values() or self.enrolment_has_changed:
            versions[self.root.activity_id] = version
        return versions
