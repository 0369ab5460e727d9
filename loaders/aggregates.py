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


@dataclass(frozen=True, slots=True)
class Seen:
    """What a root's aggregate was computed from: the last change of the learner's views in the collection, of the
    enrolment, and the published version. A unit's has none of its own, so that a view does not rewrite all units."""

    changed_at: int | None = None
    enrolment: int | None = None
    tree_version: int | None = None


@dataclass(frozen=True, slots=True)
class StoredAggregate:
    """A row of ``user_activity_agg``."""

    completed_count: int
    required_count: int
    time_spent: int
    content_status: dict[str, int]
    status: Status
    completed_on: datetime | None
    last_accessed_on: datetime | None
    last_updated_on: datetime | None
    version: int
    seen: Seen


async def aggregates_by_key(rows: Rows, keys: Sequence[AggregateKey]) -> list[StoredAggregate | None]:
    """By whole partitions, a row for each context the learner was in: keys that differ in the activity alone share a
    statement, whatever their contexts."""
    found = await rows.partitions(AGGREGATES, list({(ACTIVITY_TYPE, *key[:2]) for key in keys}))
    by_key = {
        (row["activity_id"], row["user_id"], row["context_id"]): row
        for partition in found.values()
        for row in partition
    }
    return [_stored(by_key.get(key)) for key in keys]


def _stored(row: Row | None) -> StoredAggregate | None:
    if row is None or row["version"] is None:
        return None
    figures = row["aggregates"] or {}
    updated = row["agg_last_updated"] or {}
    return StoredAggregate(
        completed_count=int(figures.get("completedCount", 0)),
        required_count=int(figures.get("requiredCount", 0)),
        time_spent=int(figures.get("timeSpent", 0)),
        content_status=row["content_status"] or {},
        status=status_of(row["status"]),
        completed_on=row["completed_on"],
        last_accessed_on=row["last_access_time"],
        last_updated_on=updated.get("completedCount"),
        version=row["version"],
        seen=Seen(row["seen_changed_at"], row["seen_enrolment"], row["seen_version"]),
    )
