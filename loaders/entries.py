"""How learners stand in activities, from what the workers wrote: the rows, or the groups store.

Both give the same entries by activity and learner, the best of each learner's contexts; a learner who has not been in
an activity has none.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, cast

from druid_specs import ACTIVITY_STATE
from loaders.aggregates import ENTRY_COLUMNS, StoredAggregate, aggregates_by_activity
from rules.entries import Entry, best_entry, stored_type
from rules.learner_groups import Activity
from rules.moments import milliseconds, moment
from rules.progress import Progress, status_of
from stores import groups as queries
from stores.groups import Groups, Lane
from stores.rows import Rows

EntryKey = tuple[str, str]
"""Activity id and user id: a group has an activity's id once."""
Entries = dict[EntryKey, Entry]
Stored = dict[EntryKey, list[StoredAggregate]]

STATE_COLUMNS = (
    "activity_type",
    "activity_id",
    "user_id",
    "context_id",
    "active",
    "status",
    "completed_count",
    "required_count",
    "time_spent",
    "last_accessed_on",
    "enrolled_on",
)


async def entries_from_rows(rows: Rows, activities: Iterable[Activity], user_ids: Collection[str]) -> Entries:
    return best_entries(
        {
            key: map(entry_of, aggregates)
            for key, aggregates in (await stored_aggregates(rows, activities, user_ids)).items()
        }
    )


async def entries_from_states(
    groups: Groups, activities: Iterable[Activity], user_ids: Collection[str]
) -> tuple[Entries, bool]:
    """By one query, whatever the page shows; and whether the engine had all of its data."""
    types = {activity.id: stored_type(activity.type) for activity in activities}
    if not types or not user_ids:
        return {}, True
    keys = (
        ("activity_id", tuple(sorted(types))),
        ("activity_type", tuple(sorted(set(types.values())))),
        ("user_id", tuple(sorted(user_ids))),
    )
    answer = await groups.query(queries.Rows(ACTIVITY_STATE, STATE_COLUMNS, keys), Lane.PAGES)
    found: dict[EntryKey, list[Entry]] = defaultdict(list)
    for activity_type, activity_id, user_id, *state in cast("Sequence[Sequence[Any]]", answer.rows):
        if types[activity_id] == activity_type:
            found[activity_id, user_id].append(decoded(state))
    return best_entries(found), answer.complete


async def stored_aggregates(rows: Rows, activities: Iterable[Activity], user_ids: Collection[str]) -> Stored:
    """Of each activity and learner those of all contexts. Batched for activities of one type together."""
    by_type: dict[str, list[str]] = defaultdict(list)
    for activity in activities:
        by_type[stored_type(activity.type)].append(activity.id)
    found = await asyncio.gather(
        *(
            aggregates_by_activity(
                rows, [(id_, user_id) for id_ in ids for user_id in user_ids], kind, ENTRY_COLUMNS
            )
            for kind, ids in by_type.items()
        )
    )
    return dict(chain.from_iterable(by_key.items() for by_key in found))


def entry_of(stored: StoredAggregate) -> Entry:
    progress = Progress(stored.status, stored.completed_count, stored.required_count)
    return Entry(
        stored.context_id,
        stored.active,
        progress,
        stored.time_spent,
        stored.last_accessed_on,
        stored.enrolled_on,
    )


def best_entries(found: Mapping[EntryKey, Iterable[Entry]]) -> Entries:
    return {key: best for key, entries in found.items() if (best := best_entry(entries)) is not None}


def encoded(entry: Entry) -> list[Any]:
    """For JSON. Times in epoch milliseconds."""
    progress = entry.progress
    return [
        entry.context_id,
        entry.active,
        int(progress.status),
        progress.completed_count,
        progress.required_count,
        entry.time_spent,
        _milliseconds(entry.last_accessed_on),
        _milliseconds(entry.enrolled_on),
    ]


def decoded(stored: Sequence[Any]) -> Entry:
    """The inverse of encoded."""
    context_id, active, status, completed, required, time_spent, accessed, enrolled = stored
    progress = Progress(status_of(status), completed or 0, required or 0)
    return Entry(context_id, bool(active), progress, time_spent or 0, _moment(accessed), _moment(enrolled))


def _milliseconds(at: datetime | None) -> int | None:
    return None if at is None else milliseconds(at)


def _moment(stored: int | None) -> datetime | None:
    return None if stored is None else moment(stored)
