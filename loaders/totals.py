"""What the batch aggregation computed last: figures of activities, of members of groups, and when it ran."""

import zlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from loaders.entries import decoded, encoded
from rules.aggregates import activity_type
from rules.entries import Entry
from rules.identifiers import ContextType, aggregate_context
from rules.learner_groups import Activity
from rules.metrics import COUNTS, Counts
from rules.moments import moment
from rules.totals import Cell, ordered_cells
from stores.rows import Row, Rows
from stores.tables import ACTIVITY_AGGREGATES, AGGREGATIONS

ACTIVITIES = "activities"
"""The name of the one aggregation in ``aggregation``."""

OF_GROUP = ""
"""Stands for the collection in a row of a group, whose members learn in collections of their own."""

ActivityPlace = tuple[str, str, str]
"""Activity, the collection it is looked at in, and context as aggregate rows write it (``cb:<batchId>``)."""


@dataclass(frozen=True, slots=True)
class StoredActivityResult:
    """A row of ``activity_agg_v2`` under the context of an enrolment. ``figures`` and when each last changed by metric.
    ``as_of``: when they were computed; ``last_aggregation`` says since when they are known to hold.

    ``pending``: cells that a run was about to send which has not come to its end; None where the last one has.
    """

    activity_id: str
    collection_id: str
    context_id: str
    figures: Mapping[str, float]
    last_updated: Mapping[str, datetime]
    cells: Mapping[Cell, Counts]
    pending: frozenset[Cell] | None
    as_of: datetime
    version: int


@dataclass(frozen=True, slots=True)
class StoredGroupResult:
    """A row of ``activity_agg_v2`` under a group. ``entries``: by member, the best of each; who has none is left out.
    ``counted``: everybody who was a member then, with an entry or without.

    ``as_of``: when the last run began that came to its end, or the one that wrote the row where that is later: a run
    writes only what has changed.
    """

    entries: Mapping[str, Entry]
    counted: Set[str]
    as_of: datetime
    version: int


async def last_aggregation(rows: Rows) -> datetime | None:
    """The time at which the last complete run began: nothing from before is missing. None before the first run."""
    row = await rows.get(AGGREGATIONS, (ACTIVITIES,), ("as_of",))
    return row["as_of"] if row else None


async def group_results(
    rows: Rows, group_id: str, activities: Sequence[Activity]
) -> dict[Activity, StoredGroupResult | None]:
    """The last results of these activities of the group; None for an activity that was not aggregated yet."""
    keys = {activity: group_row_key(group_id, activity) for activity in activities}
    columns = ("members", "as_of", "version")
    # The time first: a run that ends in between makes the figures newer than it says, not older.
    as_of = await last_aggregation(rows)
    found = await rows.get_many(ACTIVITY_AGGREGATES, list(keys.values()), columns)
    return {activity: _group_result(found.get(key), as_of) for activity, key in keys.items()}


async def activity_results(
    rows: Rows, places: Sequence[ActivityPlace]
) -> dict[ActivityPlace, StoredActivityResult | None]:
    """The last results of collections and units under the contexts of enrolments; None for what was not aggregated
    yet. A result has version 0 if a first run only began it."""
    keys = {place: activity_row_key(place) for place in places}
    found = await rows.get_many(ACTIVITY_AGGREGATES, list(keys.values()))
    return {place: _activity_result(found.get(key)) for place, key in keys.items()}


def activity_row_key(place: ActivityPlace) -> tuple[str, str, str, str]:
    """The primary key of the row."""
    activity_id, collection_id, context_id = place
    return activity_type(activity_id, collection_id), activity_id, context_id, collection_id


def group_row_key(group_id: str, activity: Activity) -> tuple[str, str, str, str]:
    """The primary key of the row of a group's activity."""
    return activity.type, activity.id, aggregate_context(ContextType.GROUP, group_id), OF_GROUP


def _activity_result(row: Row | None) -> StoredActivityResult | None:
    if row is None:
        return None
    return StoredActivityResult(
        activity_id=row["activity_id"],
        collection_id=row["collection_id"],
        context_id=row["context_id"],
        figures=row["aggregates"] or {},
        last_updated=row["agg_last_updated"] or {},
        cells=_cells(row["cells"]),
        pending=None if row["pending"] is None else frozenset(map(_cell, _unpacked(row["pending"]))),
        as_of=row["as_of"] or moment(0),
        version=row["version"] or 0,
    )


def cells_blob(cells: Mapping[Cell, Counts]) -> bytes:
    """Cells as rows store them, in the order of their names, so that equal cells have equal bytes."""
    ordered = ordered_cells(cells)
    return _packed(
        {
            "counts": COUNTS,
            "cells": [[*cell, *(cells[cell].get(name) for name in COUNTS)] for cell in ordered],
        }
    )


def pending_blob(cells: frozenset[Cell]) -> bytes:
    return _packed(list(cells))


def members_blob(entries: Mapping[str, Entry | None]) -> bytes:
    """The members of a group in an activity as rows store them, in the order of their ids; None for one who has not
    been in it."""
    ordered = sorted(entries.items())
    return _packed({user_id: encoded(entry) if entry else None for user_id, entry in ordered})


def _group_result(row: Row | None, as_of: datetime | None) -> StoredGroupResult | None:
    if row is None or row["members"] is None:
        return None
    members = _unpacked(row["members"])
    entries = {user_id: decoded(stored) for user_id, stored in members.items() if stored}
    return StoredGroupResult(
        entries, members.keys(), max(row["as_of"], as_of or row["as_of"]), row["version"]
    )


def _cells(blob: bytes | None) -> dict[Cell, Counts]:
    if blob is None:
        return {}
    document = _unpacked(blob)
    names = document["counts"]
    return {_cell(cell): dict(zip(names, cell[2:], strict=True)) for cell in document["cells"]}


def _cell(stored: Sequence[Any]) -> Cell:
    return stored[0], stored[1]


def _packed(document: object) -> bytes:
    return zlib.compress(orjson.dumps(document))


def _unpacked(blob: bytes) -> Any:
    return orjson.loads(zlib.decompress(blob))
