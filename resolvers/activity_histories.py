"""What the figures of one activity were, for those who answer for learners or make what they learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from loaders.activity_histories import contexts_with, recorded_days
from loaders.session import Session
from loaders.totals import ActivityPlace, last_aggregation
from rules.access import Access
from rules.active_days import date_of
from rules.activity_histories import (
    DEFAULT_METRICS,
    KEPT_METRICS,
    MOST_DAYS,
    MOST_RECORDED,
    ActivityHistoryQuery,
    activity_history_query,
    check_extent,
    day_by_day,
)
from rules.contents import ContentKind
from rules.errors import InvalidInput, NotFound
from rules.identifiers import ContextType, aggregate_context, checked_id
from rules.metric_columns import Column, ColumnKind, metric_column
from rules.metrics import MetricValue, metric_value

__all__ = [
    "DEFAULT_METRICS",
    "KEPT_METRICS",
    "MOST_DAYS",
    "MOST_RECORDED",
    "ActivityHistory",
    "ActivityHistoryQuery",
    "activity_history",
    "activity_history_query",
]


@dataclass(frozen=True, slots=True)
class ActivityHistory:
    """The answer as a table. ``as_of``: when the last aggregation began that came to its end, None before the first.
    ``complete``: it has counted on the last day that is asked for and has come, or later."""

    columns: tuple[Column, ...]
    rows: list[tuple[MetricValue, ...]]
    day_zone: str
    as_of: datetime | None
    complete: bool


async def activity_history(
    session: Session,
    query: ActivityHistoryQuery,
    activity_id: str,
    *,
    context_id: str | None = None,
    collection_id: str | None = None,
) -> ActivityHistory:
    """The history of a collection, or of a unit in ``collection_id``, under one context or summed over all that the collection
    has. Unauthenticated, Forbidden, NotFound, InvalidInput, StoreUnavailable."""
    session.viewer.check(Access.FIGURES)
    activity, collection = await _activity(session, activity_id, collection_id)
    contexts = await _contexts(session, query, collection, context_id)
    places: Sequence[ActivityPlace] = [(activity, collection, context) for context in contexts]
    rows, zone = session.stores.rows, session.shared.day_zone
    # The time first: a run that ends in between makes the figures newer than it says, not older.
    as_of = await last_aggregation(rows)
    recorded = await recorded_days(rows, places, last=query.last, most=query.days + 1)
    today = zone.day_of(session.shared.now())
    columns = (
        Column("date", ColumnKind.DIMENSION, "date"),
        *map(metric_column, query.metrics),
        Column("recorded", ColumnKind.FLAG, "recorded"),
    )
    table = [
        (
            date_of(each.day).isoformat(),
            *(None if each.counts is None else metric_value(m, each.counts) for m in query.metrics),
            each.recorded,
        )
        for each in day_by_day(query, recorded, today=today)
    ]
    complete = as_of is not None and zone.day_of(as_of) >= min(query.last, today)
    return ActivityHistory(columns, table, zone.name, as_of, complete)


async def _activity(session: Session, activity_id: str, collection_id: str | None) -> tuple[str, str]:
    """The activity and the collection whose figures it has."""
    activity = checked_id(activity_id, "activityId")
    collection = activity if collection_id is None else checked_id(collection_id, "collectionId")
    published = await session.library.published([activity, collection])
    if activity not in published:
        raise NotFound(f"there is no collection or unit {activity}", field="activityId")
    content, tree = published.get(collection, (None, None))
    if content is None or content.kind is not ContentKind.COLLECTION:
        if collection_id is None:
            raise InvalidInput(
                f"{activity} is a unit or a content: name its collection", field="collectionId"
            )
        raise NotFound(f"there is no collection {collection}", field="collectionId")
    if tree is None or activity not in tree.collections:
        raise NotFound(f"there is no unit {activity} in {collection}", field="activityId")
    return activity, collection


async def _contexts(
    session: Session, query: ActivityHistoryQuery, collection_id: str, context_id: str | None
) -> list[str]:
    """The contexts that are summed up, as aggregate rows write them."""
    library = session.library
    if context_id is None:
        most = MOST_RECORDED // query.days
        found = await contexts_with(session.stores.rows, library, collection_id, most=most)
        check_extent(query, most + 1 if found is None else len(found))
        return found or []
    checked = checked_id(context_id, "contextId")
    if checked == collection_id:
        return [aggregate_context(ContextType.COLLECTION, checked)]
    context = await library.context(checked)
    return [context.in_aggregates]
