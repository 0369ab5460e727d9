"""Figures of many keys from narrow rows (``Rows.tuples``): lists read hundreds of them, and no object is made of a row whose
figures are fresh."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from loaders.aggregates import Seen, StoredAggregate
from rules.aggregates import AggregateKey
from rules.moments import known_milliseconds, known_moment, milliseconds
from rules.progress import Status, status_of
from rules.standings import Figures
from stores.columns import Element, Milliseconds, NarrowColumn
from stores.rows import NarrowRow


class NarrowAggregate(NamedTuple):
    """A row of ``user_activity_agg_v2`` as COLUMNS have it. Moments are epoch milliseconds."""

    activity_id: str
    context_id: str
    collection_id: str
    version: int | None
    completed_count: float | None
    required_count: float | None
    time_spent: float | None
    status: int | None
    completed_on: int | None
    completed_version: int | None
    last_accessed_on: int | None
    seen_changed_at: int | None
    seen_version: int | None

    def stored(self, user_id: str) -> StoredAggregate:
        """The root's aggregate in this row, as far as it was read: enough to tell what it has seen and when it was complete."""
        return StoredAggregate(
            key=AggregateKey(self.collection_id, self.collection_id, self.context_id, user_id),
            completed_count=int(self.completed_count or 0),
            required_count=int(self.required_count or 0),
            time_spent=int(self.time_spent or 0),
            content_status={},
            status=status_of(self.status),
            active=False,
            enrolled_on=None,
            completed_on=known_moment(self.completed_on),
            last_accessed_on=known_moment(self.last_accessed_on),
            last_updated_on=None,
            version=self.version or 0,
            seen=Seen(self.seen_changed_at, None, self.seen_version),
            completed_version=self.completed_version,
        )


COLUMNS: tuple[NarrowColumn, ...] = (
    "activity_id",
    "context_id",
    "collection_id",
    "version",
    Element("aggregates", "completedCount"),
    Element("aggregates", "requiredCount"),
    Element("aggregates", "timeSpent"),
    "status",
    Milliseconds("completed_on"),
    "completed_version",
    Milliseconds("last_access_time"),
    "seen_changed_at",
    "seen_version",
)
"""Where each field of NarrowAggregate is read: with it the column of the key in which the places of a list differ, so that rows
are told apart by what they have."""


class NarrowFigures(NamedTuple):
    """As rules.standings.Figures, without statuses. Moments are epoch milliseconds."""

    status: Status
    completed_count: int
    required_count: int
    completed_on: int | None
    completed_version: int | None
    last_accessed_on: int | None
    time_spent: int

    @classmethod
    def of(cls, figures: Figures) -> Self:
        progress, completed = figures.progress, figures.completed
        return cls(
            progress.status,
            progress.completed_count,
            progress.required_count,
            None if completed is None else milliseconds(completed.on),
            None if completed is None else completed.version,
            known_milliseconds(figures.last_accessed_on),
            figures.time_spent,
        )

    @classmethod
    def of_row(cls, row: NarrowRow) -> Self:
        """Of a row, as COLUMNS have it, whose figures are fresh."""
        _, _, _, _, completed, required, time_spent, status, completed_on, version, last, _, _ = row
        return _of_values(
            cls,
            (
                status_of(status),
                int(completed or 0),
                int(required or 0),
                completed_on,
                None if completed_on is None else version,
                last,
                int(time_spent or 0),
            ),
        )


_of_values = tuple.__new__
"""Makes a named tuple of all its values, in a third of the time of ``_make``, which counts them."""


def root_row(rows: Sequence[NarrowRow], context_id: str, collection_id: str) -> NarrowRow | None:
    """Of the rows of a place, the root's under this context (as rows write it); None also for one that only a partial write
    reached."""
    for row in rows:
        if row[1] == context_id and row[2] == collection_id:
            return None if row[3] is None else row
    return None
