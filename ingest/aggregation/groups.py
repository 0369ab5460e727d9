"""How the members of groups stand in the groups' activities: rows of ``activity_agg_v2`` under ``gr:<groupId>``.

They are no cells of ``activity-totals``: the members of a group are enrolled elsewhere and counted there.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from ingest.aggregation import static_files
from ingest.aggregation.turn import Turn
from loaders.content_entries import content_entries
from loaders.entries import best_entries, entries_from_rows
from loaders.learner_groups import groups_by_id, rosters_by_id
from loaders.totals import StoredGroupResult, group_results, group_row_key, members_blob
from rules.contents import Content
from rules.entries import NO_ENTRY, Entry
from rules.group_figures import LEAF_NODES_COUNT, subject_figures
from rules.learner_groups import Activity, Group, GroupStatus
from rules.moments import moment
from rules.subjects import Subject, subject_of
from stores.rows import Row, Write
from stores.tables import ACTIVITY_AGGREGATES, GROUP_AGGREGATES

TOGETHER = 8
"""Groups that are read together. With the limits of a group it bounds the memory."""

Touched = Mapping[str, Set[str] | None]
"""The ids of the activities to be looked at, by group. None means all of them."""


@dataclass(frozen=True, slots=True)
class _Computed:
    """What was computed of a group.

    - ``found``: the members' entries, for each activity that was looked at and is known.
    - ``listed``: the activities that may have a row.
    """

    group: Group
    user_ids: Sequence[str]
    found: Mapping[Subject, Mapping[str, Entry]]
    listed: Set[Activity]


async def aggregate_groups(turn: Turn, touched: Touched) -> None:
    """Writes what has changed. Removes the rows of removed activities and of deleted groups."""
    ids = list(touched)
    for first in range(0, len(ids), TOGETHER):
        await _aggregate_together(
            turn, {group_id: touched[group_id] for group_id in ids[first : first + TOGETHER]}
        )


async def _aggregate_together(turn: Turn, touched: Touched) -> None:
    rows, ids = turn.shared.stores.rows, list(touched)
    groups, rosters, listed = await asyncio.gather(
        groups_by_id(rows, ids),
        rosters_by_id(rows, ids),
        rows.get_many(GROUP_AGGREGATES, [(group_id,) for group_id in ids]),
    )
    for group_id, group, roster in zip(ids, groups, rosters, strict=True):
        before = _activities(listed.get((group_id,)))
        if group is None or group.status is GroupStatus.INACTIVE:
            await _remove(turn, group_id, before)
            continue
        named = touched[group_id]
        subjects = [
            subject
            for subject in map(subject_of, group.activities, await _contents(turn, group))
            if subject.is_known and (named is None or subject.activity.id in named)
        ]
        user_ids = [member.user_id for member in roster.counted()]
        of_collections, of_contents = await asyncio.gather(
            entries_from_rows(rows, subjects, user_ids),
            content_entries(rows, turn.shared.tracking, subjects, user_ids),
        )
        entries = best_entries({**of_collections, **of_contents})
        found = {
            subject: {user: entry for user in user_ids if (entry := entries.get((subject.activity.id, user)))}
            for subject in subjects
        }
        await _settle(turn, _Computed(group, user_ids, found, before))


async def _settle(turn: Turn, computed: _Computed) -> None:
    """Writes what has changed of a group. Removes what is no activity of it any more."""
    rows, group = turn.shared.stores.rows, computed.group
    stored = await group_results(rows, group.group_id, group.activities)
    changed = {
        subject: entries
        for subject, entries in computed.found.items()
        if turn.everything or _differs(stored[subject.activity], entries, computed.user_ids)
    }
    listed = computed.listed | {subject.activity for subject in changed}
    removed = computed.listed - set(group.activities)
    if listed - computed.listed:  # the list goes before its rows, so that no row is left behind
        await rows.write(_listing(turn, group.group_id, listed, turn.announcing))
    await rows.write(
        *(_result_write(turn, computed, subject, entries) for subject, entries in changed.items()),
        *_deletes(turn, group.group_id, removed),
    )
    if removed:
        await rows.write(_listing(turn, group.group_id, listed - removed, turn.version))
    turn.report.groups += len(changed)
    turn.report.removed += len(removed)
    if turn.files is not None:
        subjects = list(map(subject_of, group.activities, await _contents(turn, group)))
        known = {s: result.entries for s in subjects if (result := stored[s.activity]) is not None}
        content = static_files.group_file(group.group_id, computed.user_ids, {**known, **computed.found})
        await turn.write_file(static_files.group_name(group.group_id), content)


async def _contents(turn: Turn, group: Group) -> list[Content | None]:
    return await turn.shared.library.contents.load_many([activity.id for activity in group.activities])


async def _remove(turn: Turn, group_id: str, listed: Set[Activity]) -> None:
    """Removes what there is of a deleted group."""
    rows = turn.shared.stores.rows
    await rows.write(*_deletes(turn, group_id, listed))
    if listed:
        await rows.write(Write(GROUP_AGGREGATES, (group_id,), {}, timestamp=turn.version, delete=True))
    turn.report.removed += len(listed)
    await turn.remove_file(static_files.group_name(group_id))


def _differs(stored: StoredGroupResult | None, entries: Mapping[str, Entry], user_ids: Sequence[str]) -> bool:
    return stored is None or stored.entries != entries or stored.counted != set(user_ids)


def _result_write(turn: Turn, computed: _Computed, subject: Subject, entries: Mapping[str, Entry]) -> Write:
    """Returns the write, USING TIMESTAMP version like all of these rows."""
    of_members = [entries.get(user, NO_ENTRY) for user in computed.user_ids]
    figures = [
        figure
        for figure in subject_figures(subject, of_members)
        if figure.metric != LEAF_NODES_COUNT  # of the content, not of the members
    ]
    values = {
        "aggregates": {f.metric: float(f.value) for f in figures if f.value is not None},
        "agg_last_updated": {
            f.metric: moment(f.last_updated_on) for f in figures if f.last_updated_on is not None
        },
        "members": members_blob({user: entries.get(user) for user in computed.user_ids}),
        "version": turn.version,
        "as_of": turn.as_of,
    }
    key = group_row_key(computed.group.group_id, subject.activity)
    return Write(ACTIVITY_AGGREGATES, key, values, timestamp=turn.version)


def _deletes(turn: Turn, group_id: str, activities: Set[Activity]) -> Iterator[Write]:
    for activity in activities:
        key = group_row_key(group_id, activity)
        yield Write(ACTIVITY_AGGREGATES, key, {}, timestamp=turn.version, delete=True)


def _listing(turn: Turn, group_id: str, activities: Set[Activity], timestamp: int) -> Write:
    ordered = sorted(activities, key=lambda activity: (activity.id, activity.type))
    values = {
        "activities": [{"id": activity.id, "type": activity.type} for activity in ordered],
        "version": turn.version,
    }
    return Write(GROUP_AGGREGATES, (group_id,), values, timestamp=timestamp)


def _activities(row: Row | None) -> frozenset[Activity]:
    return frozenset(Activity(pair["id"], pair["type"]) for pair in (row and row["activities"]) or ())
