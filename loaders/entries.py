"""How learners stand in activities, from what the workers wrote: the rows, or the groups store.

Both give the same entries by activity and learner: one for each place that a learner was in.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from druid_specs import ACTIVITY_STATE
from loaders.aggregates import ENTRY_COLUMNS, Place, StoredAggregate, aggregates_by_place
from rules.entries import Entry, best_entry
from rules.progress import Progress
from rules.subjects import Subject
from stores import groups as queries
from stores.groups import Groups, Lane
from stores.rows import Rows
from stores.turns import in_turns, portions

EntryKey = tuple[str, str]
"""Activity id and user id: a group has an activity's id once."""
Entries = dict[EntryKey, Entry]
Found = dict[EntryKey, list[Entry]]
"""All entries of each learner in each activity. A learner who has not been in it may have none."""

_WIDTH = len(Entry._fields)
NO_SCORES = "{}"
"""The scores of a state where nothing was attempted (rules/states.py)."""

STATE_COLUMNS = (
    "activity_id",
    "user_id",
    "collection_id",
    "context_id",
    "active",
    "status",
    "completed_count",
    "required_count",
    "time_spent",
    "last_accessed_on",
    "enrolled_on",
    "tree_version",
    "scores",
    "right_first_count",
    "passable_count",
    "passed_count",
    "assessed_count",
)


async def entries_from_rows(rows: Rows, subjects: Iterable[Subject], user_ids: Collection[str]) -> Found:
    """Entries from the rows, batched for all subjects together."""
    subjects = list(subjects)
    stored = await aggregates_by_place(rows, places_of(subjects, user_ids), ENTRY_COLUMNS)
    keys = [(subject, user_id) for subject in subjects for user_id in user_ids]
    found = await in_turns(lambda key: list(map(entry_of, counted_of(*key, stored))), keys)
    return {
        (subject.activity.id, user_id): entries
        for (subject, user_id), entries in zip(keys, found, strict=True)
    }


async def entries_from_states(
    groups: Groups, rows: Rows, subjects: Iterable[Subject], user_ids: Collection[str]
) -> tuple[Found, bool]:
    """Entries from the groups store by one query, and whether the engine had all of its data. Who attempted more
    assessments than a state can tell is read from the rows."""
    by_id = {subject.activity.id: subject for subject in subjects if subject.types}
    if not by_id or not user_ids:
        return {}, True
    keys = (
        ("activity_id", tuple(sorted(by_id))),
        ("activity_type", tuple(sorted({kind for subject in by_id.values() for kind in subject.types}))),
        ("user_id", tuple(sorted(user_ids))),
    )
    answer = await groups.query(queries.Rows(ACTIVITY_STATE, STATE_COLUMNS, keys), Lane.PAGES)
    found: Found = defaultdict(list)
    untold: set[EntryKey] = set()
    async for portion in portions(cast("Sequence[Sequence[Any]]", answer.rows)):
        for activity_id, user_id, *state, assessed in portion:
            if by_id[activity_id].counts(state[0]):
                entry = decoded(state)
                found[activity_id, user_id].append(entry)
                if (assessed or entry.scores) and entry.score.assessed != (assessed or 0):
                    untold.add((activity_id, user_id))
    if untold:
        subjects = [by_id[activity_id] for activity_id in sorted({activity_id for activity_id, _ in untold})]
        in_rows = await entries_from_rows(rows, subjects, sorted({user_id for _, user_id in untold}))
        found |= {key: in_rows[key] for key in untold}
    return found, answer.complete


def counted_of(
    subject: Subject, user_id: str, stored: Mapping[Place, Sequence[StoredAggregate]]
) -> Iterator[StoredAggregate]:
    """The aggregates of a learner that count for the activity."""
    for kind in subject.types:
        for aggregate in stored[kind, subject.activity.id, user_id]:
            if subject.counts(aggregate.key.collection_id):
                yield aggregate


def places_of(subjects: Iterable[Subject], user_ids: Collection[str]) -> list[Place]:
    """The places in which aggregates of these learners in these activities may be."""
    return [
        (kind, subject.activity.id, user_id)
        for subject in subjects
        for kind in subject.types
        for user_id in user_ids
    ]


def entry_of(stored: StoredAggregate) -> Entry:
    return Entry.of(
        stored.key.collection_id,
        stored.key.context_id,
        stored.active,
        Progress(stored.status, stored.completed_count, stored.required_count),
        stored.time_spent,
        stored.last_accessed_on,
        stored.enrolled_on,
        stored.seen.tree_version,
        stored.score,
    )


def best_entries(found: Mapping[EntryKey, Iterable[Entry]]) -> Entries:
    """The best entry of each learner. A learner whose entries say nothing is left out."""
    return {key: best for key, entries in found.items() if (best := best_entry(entries)) is not None}


def encoded(entry: Entry) -> tuple[Any, ...]:
    """An entry for JSON: orjson writes no tuples of a class of their own."""
    return tuple(entry)


def decoded(stored: Sequence[Any]) -> Entry:
    """The inverse of encoded, also of an entry that was written down without scores, and of a state of the groups store,
    where numbers may be null and ``{}`` stands for no score."""
    if len(stored) < _WIDTH:
        stored = (*stored, *(None,) * (_WIDTH - len(stored)))
    (
        collection_id,
        context_id,
        active,
        status,
        completed,
        required,
        spent,
        accessed,
        enrolled,
        tree_version,
        scores,
        *counts,
    ) = stored
    score = (scores, *(count or 0 for count in counts)) if scores and scores != NO_SCORES else ()
    return Entry(
        collection_id,
        context_id,
        bool(active),
        status or 0,
        completed or 0,
        required or 0,
        spent or 0,
        accessed,
        enrolled,
        tree_version,
        *score,
    )
