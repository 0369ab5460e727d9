"""The entries of a group page: how the members stand in its activities, read the way that the page's plan says."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import cast

import orjson

from loaders.answers import Answer, AnswerOrigin, Written, key_of
from loaders.content_entries import content_entries
from loaders.entries import Found, best_entries, decoded, encoded, entries_from_rows, entries_from_states
from loaders.fresh_entries import fresh_entries
from loaders.session import Session
from loaders.totals import StoredGroupResult, group_results
from resolvers.group_subjects import versions_of
from rules.entries import Entry
from rules.identifiers import ProgressKey, parse_aggregate_context
from rules.learner_groups import Roster
from rules.plans import QueryPlan, Source
from rules.subjects import Subject
from rules.triggers import TriggerKind
from stores.turns import breathe, in_turns, portions


@dataclass(frozen=True, slots=True)
class ActivityEntries:
    """The best entries of one activity by user id; None where Cohort does not know them.

    ``as_of``: when they were computed, None where no aggregation has reached the activity yet. ``complete`` is False
    where something may be missing in them.
    """

    entries: Mapping[str, Entry] | None
    as_of: datetime | None
    complete: bool

    @property
    def will_stay(self) -> bool:
        """Nothing is missing that may be there a moment later: what Cohort does not know, it will not know then."""
        return self.complete or (self.entries is None and self.as_of is not None)


@dataclass(frozen=True, slots=True)
class PageEntries:
    """The entries of all activities of a page, by activity id. ``age``: of the oldest entries, in seconds.

    ``live``: which version is live of each collection that has figures here. A unit has them in others than its own.
    """

    by_activity: Mapping[str, ActivityEntries]
    origin: AnswerOrigin
    age: float
    live: Mapping[str, int] = field(default_factory=dict)


async def page_entries(
    session: Session, plan: QueryPlan, roster: Roster, subjects: Sequence[Subject], *, fresh: bool
) -> PageEntries:
    """Entries of all members who are counted, whoever asks. ``fresh``: with every acknowledged write in them, and
    nothing that is kept from before."""
    if plan.source is Source.BATCH:
        return await _aggregated(session, roster, subjects)
    return await _computed(session, plan.source, roster, subjects, fresh=fresh)


# --- what the last aggregation computed


async def _aggregated(session: Session, roster: Roster, subjects: Sequence[Subject]) -> PageEntries:
    """Whoever became a member since then was not counted: the activity is incomplete until the next run."""
    activities = [subject.activity for subject in subjects]
    results = await group_results(session.stores.rows, roster.group_id, activities)
    oldest = min((result.as_of for result in results.values() if result), default=None)
    entries = {
        (activity.id, user_id): [entry]
        for activity, result in results.items()
        if result
        for user_id, entry in result.entries.items()
    }
    behind = _activities_of(entries, await _outdated(session, entries))
    members = {member.user_id for member in roster.counted()}

    def of_activity(subject: Subject, result: StoredGroupResult | None) -> ActivityEntries:
        if not subject.is_known:
            return ActivityEntries(None, oldest, complete=False)
        if result is None:
            return ActivityEntries(None, None, complete=False)
        current = subject.content is not None and subject.activity.id not in behind
        return ActivityEntries(result.entries, result.as_of, current and members <= result.counted)

    return PageEntries(
        {subject.activity.id: of_activity(subject, results[subject.activity]) for subject in subjects},
        AnswerOrigin.COMPUTED,
        (session.now() - oldest).total_seconds() if oldest else 0.0,
    )


# --- computed now, or kept since

_PageFound = tuple[Mapping[str, Mapping[str, Entry]], Set[str]]
"""The best entry of each member by activity, and the activities of which they are not whole."""


async def _computed(
    session: Session, source: Source, roster: Roster, subjects: Sequence[Subject], *, fresh: bool
) -> PageEntries:
    """Entries that are computed now, or were kept since. They are of all members: each viewer is shown a part of
    them."""
    users = [member.user_id for member in roster.counted()]

    async def compute() -> _PageFound:
        found, incomplete = await _found(session, source, subjects, users, fresh=fresh)
        by_activity: dict[str, dict[str, Entry]] = {subject.activity.id: {} for subject in subjects}
        async for portion in portions(list(found.items())):
            for (activity_id, user_id), entry in best_entries(dict(portion)).items():
                by_activity[activity_id][user_id] = entry
        return by_activity, frozenset(incomplete)

    async def written() -> Written:
        computed = await compute()
        return Written(await _encoded(computed), computed)

    async def kept(*versions: object) -> Answer:
        key = key_of(
            *("group page of entries", source, roster.group_id, roster.version),
            versions_of(subjects),
            *versions,
        )
        return await session.shared.answers.answer(key, written)

    answer = (
        Answer(b"", session.now(), 0.0, AnswerOrigin.COMPUTED, await compute()) if fresh else await kept()
    )
    by_activity, incomplete = await _decoded(answer)
    live = await _live(session, chain(*(entries.values() for entries in by_activity.values())))
    if answer.origin is AnswerOrigin.CACHED:
        whole = (entries.values() for id_, entries in by_activity.items() if id_ not in incomplete)
        if older := await _older(session, chain(*whole), live):
            # Of a unit, in a collection that was published since.
            answer = await kept(sorted({(collection, live[collection]) for collection, _ in older}))
            by_activity, incomplete = await _decoded(answer)

    def of_activity(subject: Subject) -> ActivityEntries:
        activity_id = subject.activity.id
        current = subject.content is not None and activity_id not in incomplete
        return ActivityEntries(
            by_activity[activity_id] if subject.is_known else None,
            answer.as_of,
            complete=current and answer.origin is not AnswerOrigin.STALE,
        )

    return PageEntries(
        {subject.activity.id: of_activity(subject) for subject in subjects}, answer.origin, answer.age, live
    )


async def _encoded(found: _PageFound) -> bytes:
    by_activity, incomplete = found
    rows = {}
    for activity_id, entries in by_activity.items():
        await breathe()
        rows[activity_id] = dict(zip(entries, map(encoded, entries.values()), strict=True))
    return orjson.dumps([sorted(incomplete), rows])


async def _decoded(answer: Answer) -> _PageFound:
    if answer.source is not None:
        return cast("_PageFound", answer.source)
    incomplete, by_activity = orjson.loads(answer.value)
    found: dict[str, dict[str, Entry]] = {}
    for activity_id, entries in by_activity.items():
        found[activity_id] = dict(zip(entries, await in_turns(decoded, entries.values()), strict=True))
    return found, frozenset(incomplete)


async def _live(session: Session, entries: Iterable[Entry]) -> dict[str, int]:
    """The live version of each collection that has entries here."""
    collections = list({entry.collection_id for entry in entries})
    contents = await session.loaders.contents.load_many(collections)
    return {content.identifier: content.live_version for content in contents if content is not None}


async def _older(
    session: Session, entries: Iterable[Entry], live: Mapping[str, int]
) -> Set[tuple[str, int | None]]:
    """The versions of collections, among those of the entries, that count otherwise than the live ones."""
    seen = {(entry.collection_id, entry.tree_version) for entry in entries}
    older = {one for one in seen if one[1] is not None and one[1] < live.get(one[0], 0)}
    versions = list({(collection, live[collection]) for collection, _ in older})
    trees = dict(zip(versions, await session.library.relations.load_many(versions), strict=True))
    return {
        (collection, version)
        for collection, version in older
        if (tree := trees[collection, live[collection]]) is None or not tree.covers(version)
    }


async def _found(
    session: Session, source: Source, subjects: Sequence[Subject], user_ids: Sequence[str], *, fresh: bool
) -> tuple[Found, Set[str]]:
    """All entries, and the activities of which they are not whole. Single contents are read from views in any case."""
    if source is Source.STATES:
        of_collections = _found_in_states(session, subjects, user_ids)
    else:
        of_collections = _found_in_rows(session, subjects, user_ids, fresh=fresh)
    of_contents, (found, incomplete) = await asyncio.gather(
        content_entries(session.stores.rows, session.shared.tracking, subjects, user_ids), of_collections
    )
    return {**found, **of_contents}, incomplete


async def _found_in_states(
    session: Session, subjects: Sequence[Subject], user_ids: Sequence[str]
) -> tuple[Found, Set[str]]:
    """Starts the repair of what is of an older version of the collection."""
    stores = session.stores
    found, complete = await entries_from_states(stores.groups, stores.rows, subjects, user_ids)
    outdated = await _outdated(session, found)
    session.shared.healing.heal_all(TriggerKind.RECONCILE, outdated)
    if complete:
        return found, _activities_of(found, outdated)
    return found, {subject.activity.id for subject in subjects if subject.types}


async def _found_in_rows(
    session: Session, subjects: Sequence[Subject], user_ids: Sequence[str], *, fresh: bool
) -> tuple[Found, Set[str]]:
    """Entries as the workers wrote them. Views are read as well if ``fresh`` wants what no worker has seen, or if a
    version was published that the workers do not know yet."""
    rows = session.stores.rows
    if not fresh:
        found = await entries_from_rows(rows, subjects, user_ids)
        if not await _outdated(session, found):
            return found, set()
    found = await fresh_entries(rows, session.library, session.shared.tracking, subjects, user_ids)
    return found, set()


async def _outdated(session: Session, found: Found) -> dict[ProgressKey, int]:
    """The keys whose entries are of an older version of the collection, which counts otherwise than the live one, with
    the live one."""
    every = [entry for entries in found.values() for entry in entries]
    live = await _live(session, every)
    older = await _older(session, every, live)
    return {
        ProgressKey(user_id, entry.collection_id, parse_aggregate_context(entry.context_id)[1]): live[
            entry.collection_id
        ]
        for (_, user_id), entries in found.items()
        for entry in entries
        if (entry.collection_id, entry.tree_version) in older
    }


def _activities_of(found: Found, keys: Mapping[ProgressKey, int]) -> Set[str]:
    """The activities that have an entry of one of these keys."""
    if not keys:
        return frozenset()
    places = {(key.user_id, key.collection_id) for key in keys}
    return {
        activity_id
        for (activity_id, user_id), entries in found.items()
        if any((user_id, entry.collection_id) in places for entry in entries)
    }
