"""Aggregates as the workers wrote them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rules.aggregates import ACTIVITY_TYPE
from rules.progress import Status, status_of
from stores.rows import Row, Rows
from stores.tables import AGGREGATES

AggregateKey = tuple[str, str, str]
"""activity id, user id, context as aggregate rows write it (``cb:<batchId>``)."""
ENTRY_COLUMNS = tuple(
    column for column in AGGREGATES.types if column not in ("content_status", "agg_last_updated")
)
"""What pages of groups show. The status of each leaf is most of a row, and most of what reading it costs."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a root's aggregate was computed from: the last change of the learner's views in the collection, of the
    enrolment, and the published version. A unit's has none of its own, so that a view does not rewrite all units."""

    changed_at: int | None = None
    enrolment: int | None = None
    tree_version: int | None = None


@dataclass(frozen=True, slots=True)
class StoredAggregate:
    """A row of ``user_activity_agg``: all of its state (rules/states.py) but the learner's attributes.

    ``collection_id`` is None in a row of an earlier schema, which knew neither ``active`` nor ``enrolled_on``.
    ``content_status`` and ``last_updated_on`` are empty where only ENTRY_COLUMNS were read.
    """

    activity_id: str
    user_id: str
    context_id: str
    collection_id: str | None
    completed_count: int
    required_count: int
    time_spent: int
    content_status: dict[str, int]
    status: Status
    active: bool
    enrolled_on: datetime | None
    completed_on: datetime | None
    last_accessed_on: datetime | None
    last_updated_on: datetime | None
    version: int
    seen: Seen


async def aggregates_by_key(rows: Rows, keys: Sequence[AggregateKey]) -> list[StoredAggregate | None]:
    """By whole partitions, a row for each context the learner was in: keys that differ in the activity alone share a
    statement, whatever their contexts."""
    found = await aggregates_by_activity(rows, [key[:2] for key in keys])
    by_key = {
        (*place, aggregate.context_id): aggregate
        for place, aggregates in found.items()
        for aggregate in aggregates
    }
    return [by_key.get(key) for key in keys]


async def aggregates_by_activity(
    rows: Rows,
    keys: Sequence[tuple[str, str]],
    activity_type: str = ACTIVITY_TYPE,
    columns: Sequence[str] | None = None,
) -> dict[tuple[str, str], list[StoredAggregate]]:
    """Of each activity and learner those of all contexts, in the order of the contexts; an empty list where there is
    none. Batched as the rows port batches partitions. ``columns``: ENTRY_COLUMNS, or all of them for None."""
    distinct = dict.fromkeys((activity_type, *key) for key in keys)
    found = await rows.partitions(AGGREGATES, list(distinct), columns)
    return {
        (activity_id, user_id): [stored for row in partition if (stored := _stored(row)) is not None]
        for (_, activity_id, user_id), partition in found.items()
    }


def _stored(row: Row) -> StoredAggregate | None:
    """None for what is left of a row that only an older or partial write reached."""
    if row["version"] is None:
        return None
    figures = row["aggregates"] or {}
    updated = row.get("agg_last_updated") or {}
    return StoredAggregate(
        activity_id=row["activity_id"],
        user_id=row["user_id"],
        context_id=row["context_id"],
        collection_id=row["collection_id"],
        completed_count=int(figures.get("completedCount", 0)),
        required_count=int(figures.get("requiredCount", 0)),
        time_spent=int(figures.get("timeSpent", 0)),
        content_status=row.get("content_status") or {},
        status=status_of(row["status"]),
        active=bool(row["active"]),
        enrolled_on=row["enrolled_on"],
        completed_on=row["completed_on"],
        last_accessed_on=row["last_access_time"],
        last_updated_on=updated.get("completedCount"),
        version=row["version"],
        seen=Seen(row["seen_changed_at"], row["seen_enrolment"], row["seen_version"]),
    )
