"""How the members of a group stand in what it does together.

A page is made in one pass: what its activities are, one plan for all of them, the members' entries by that plan, the
figures that follow. Members and their names are read live, so that a change of the group shows at once whatever is kept.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from loaders.answers import Answer, Origin, key_of
from loaders.content_entries import content_entries
from loaders.entries import (
    Found,
    best_entries,
    decoded,
    encoded,
    entries_from_rows,
    entries_from_states,
)
from loaders.fresh_entries import fresh_entries
from loaders.session import Session
from loaders.totals import group_results
from resolvers.learner_groups import Profiled, profiled
from rules.aggregates import UNIT_TYPE
from rules.contents import Content
from rules.entries import NO_ENTRY, Entry
from rules.errors import NotFound
from rules.group_access import check_may_read, sees_members
from rules.group_figures import (
    ACTIVITY_METRICS,
    MEMBER_METRICS,
    Figure,
    chosen,
    member_figures,
    subject_figures,
    unknown_figures,
)
from rules.identifiers import ProgressKey, parse_aggregate_context
from rules.learner_groups import Activity, Group, Member, Roster
from rules.learners import Learner
from rules.plans import Mode, Plan, Source, Taken, page_plan, still_missing, written_at
from rules.subjects import Subject, is_called, roots_within, subject_of, subject_within
from rules.triggers import TriggerKind
from stores.tables import NODE_ROOTS

__all__ = [
    "ACTIVITY_METRICS",
    "MEMBER_METRICS",
    "ActivityFigures",
    "GroupPage",
    "MemberEntry",
    "chosen",
    "group_activities",
    "published_versions",
]


@dataclass(frozen=True, slots=True)
class MemberEntry:
    """How a member stands; zeros for one who has not been in the activity, no ``entry`` where Cohort does not know it."""

    member: Member
    learner: Learner
    entry: Entry | None

    def figures(self) -> Sequence[Figure]:
        """Without a value where they are not known."""
        return unknown_figures(MEMBER_METRICS) if self.entry is None else member_figures(self.entry)


@dataclass(frozen=True, slots=True)
class ActivityFigures:
    """``content``: what is published under the activity's id; None where Cohort publishes nothing there. ``figures`` are
    of all members who are counted; ``members`` has those that the viewer may see, in the order of user ids.

    ``as_of``: when it was computed, None where no aggregation has reached it yet. ``complete`` is False for that, for
    an answer older than it should be, where a part of the data was away, where figures are of an older version of the
    collection than its leaves, and for an activity that Cohort knows nothing of.
    """

    activity: Activity
    content: Content | None
    figures: list[Figure]
    members: list[MemberEntry]
    mode: Mode
    source: Source
    as_of: datetime | None
    complete: bool


@dataclass(frozen=True, slots=True)
class GroupPage:
    """In the order of the group. ``taken``: how the figures came about."""

    activities: list[ActivityFigures]
    taken: Taken

    @property
    def as_of(self) -> datetime | None:
        """Of the oldest figures."""
        return min((activity.as_of for activity in self.activities if activity.as_of), default=None)


@dataclass(frozen=True, slots=True)
class _Stands:
    """Best entries of one activity by user id; None where they are not known."""

    entries: Mapping[str, Entry] | None
    as_of: datetime | None
    complete: bool


async def group_activities(
    session: Session,
    group: Group,
    *,
    activities: Mapping[str, str | None] | None = None,
    mode: Mode | None = None,
    fresh: str | None = None,
    path: Sequence[str | int] = (),
) -> GroupPage:
    """``activities``: only these, by id, with their type where the caller names one; units, nested collections and
    contents of the group's activities may be named too. ``mode``: that of the instance without it; ``fresh``: a token of
    a write that must be in the figures. What was done is noted in the session as well, for its ``extensions``.

    Whoever answers for learners and the group's admins see the entry of every member who is counted, another member the
    own one only.
    NotFound where the group has no such activity; InvalidInput for a token that is none; Forbidden; StoreUnavailable
    where nothing is kept that could be given instead.
    """
    roster, _ = await asyncio.gather(
        session.loaders.rosters.load(group.group_id),
        session.loaders.contents.load_many([activity.id for activity in group.activities]),
    )
    check_may_read(session.viewer, roster)
    subjects = await _subjects(session, group, activities)
    now = session.now()
    since = None if fresh is None else still_missing(written_at(fresh, now), session.shared.answers.ttl, now)
    own = {activity.id for activity in group.activities}
    plan = page_plan(
        members=len(roster.counted()),
        activities=sum(bool(subject.types) for subject in subjects),
        # Aggregated are the group's own activities.
        mode=(mode or session.shared.mode) if own.issuperset(s.activity.id for s in subjects) else Mode.QUERY,
        fresh=since,
        now=now,
    )
    (stands, how), profiles = await asyncio.gather(
        _aggregated(session, plan, roster, subjects)
        if plan.source is Source.BATCH
        else _computed(session, plan, since, roster, subjects),
        profiled(session, _shown(session, roster)),
    )
    taken = Taken(plan, *how, path=tuple(path), reusable=since is None and _whole(stands))
    session.plans.append(taken)
    return GroupPage(
        [
            _figures(session, subject, plan, stands[subject.activity.id], roster, profiles)
            for subject in subjects
        ],
        taken,
    )


async def published_versions(session: Session, group: Group) -> tuple[object, ...]:
    """What the figures of the group's own activities depend on beside its members: which versions are live."""
    return tuple(map(_version, await _own_subjects(session, group.activities)))


# --- what the activities are


async def _subjects(session: Session, group: Group, named: Mapping[str, str | None] | None) -> list[Subject]:
    if named is None:
        return await _own_subjects(session, group.activities)
    known = {activity.id: activity for activity in group.activities}
    for activity_id, type_ in named.items():
        if activity_id in known and type_ is not None and not is_called(known[activity_id], type_):
            raise _unknown(group, f"{type_} {activity_id}")
    own = await _own_subjects(session, [activity for activity in group.activities if activity.id in named])
    below = await _subjects_below(
        session, group, {id_: type_ for id_, type_ in named.items() if id_ not in known}
    )
    return [*own, *below]


async def _own_subjects(session: Session, activities: Sequence[Activity]) -> list[Subject]:
    contents = await session.loaders.contents.load_many([activity.id for activity in activities])
    return [subject_of(activity, content) for activity, content in zip(activities, contents, strict=True)]


async def _subjects_below(session: Session, group: Group, named: Mapping[str, str | None]) -> list[Subject]:
    """Of what stands somewhere below the group's activities, in the order of the call."""
    if not named:
        return []
    contents = await session.loaders.contents.load_many(list(named))
    held = await session.stores.rows.partitions(NODE_ROOTS, [(id_,) for id_ in named], ("node", "root"))
    roots = {id_: sorted({row["root"] for row in held[id_,]}) for id_ in named}
    outer = sorted(set().union(*roots.values()))
    await session.loaders.contents.load_many(outer)  # whose trees follow
    published = await session.library.published(outer)
    own = {activity.id for activity in group.activities}
    subjects = []
    for (id_, type_), content in zip(named.items(), contents, strict=True):
        ancestors = {
            root: tree.nodes[id_].ancestors
            for root in roots[id_]
            if (tree := published.get(root, (None, None))[1]) is not None and id_ in tree.nodes
        }
        within = roots_within(own, ancestors)
        if content is None or not within:
            raise _unknown(group, id_ if type_ is None else f"{type_} {id_}")
        subjects.append(subject_within(Activity(id_, type_ or UNIT_TYPE), content, within))
    return subjects


def _unknown(group: Group, what: str) -> NotFound:
    return NotFound(
        f"group {group.group_id} has no activity {what}, and none with such a unit", field="activities"
    )


def _version(subject: Subject) -> tuple[object, ...]:
    """By which answers about the activity are told apart: what it is, and the version that is live."""
    content = subject.content
    live = None if content is None else (content.root, content.live_version)
    within = None if subject.within is None else tuple(sorted(subject.within))
    return subject.activity.id, subject.types, within, live


# --- how the members stand in them


_How = tuple[str, float]
"""Origin and age, as Taken has them."""


async def _computed(
    session: Session, plan: Plan, since: datetime | None, roster: Roster, subjects: Sequence[Subject]
) -> tuple[dict[str, _Stands], _How]:
    """By activity id: now, or what is kept. What is kept is of all members, whoever asks; each viewer is given what they
    may see of it."""
    users = [member.user_id for member in roster.counted()]

    async def compute() -> bytes:
        found, incomplete = await _entries(session, plan.source, subjects, users, fresh=since is not None)
        by_activity: dict[str, dict[str, list[Any]]] = {subject.activity.id: {} for subject in subjects}
        for (activity_id, user_id), entry in best_entries(found).items():
            by_activity[activity_id][user_id] = encoded(entry)
        return orjson.dumps([sorted(incomplete), by_activity])

    if since is None:
        versions = tuple(map(_version, subjects))
        key = key_of("group page", plan.source, roster.group_id, roster.version, versions)
        answer = await session.shared.answers.answer(key, compute)
    else:
        answer = Answer(await compute(), session.now(), 0.0, Origin.COMPUTED)
    incomplete, by_activity = orjson.loads(answer.value)
    stands = {
        subject.activity.id: _Stands(
            {user_id: decoded(entry) for user_id, entry in by_activity[subject.activity.id].items()}
            if subject.is_known
            else None,
            answer.as_of,
            complete=(
                subject.content is not None
                and subject.activity.id not in incomplete
                and answer.origin is not Origin.STALE
            ),
        )
        for subject in subjects
    }
    return stands, (answer.origin.value.lower(), answer.age)


async def _entries(
    session: Session, source: Source, subjects: Sequence[Subject], user_ids: Sequence[str], *, fresh: bool
) -> tuple[Found, Set[str]]:
    """All entries, and the activities of which they are not whole. ``fresh``: of rows, with what no worker has seen yet."""
    stores, shared = session.stores, session.shared

    async def from_views() -> Found:
        return await fresh_entries(stores.rows, session.library, shared.tracking, subjects, user_ids)

    async def of_collections() -> tuple[Found, Set[str]]:
        if source is Source.STATES:
            found, complete = await entries_from_states(stores.groups, subjects, user_ids)
            outdated = await _outdated(session, found)
            shared.healing.heal_all(TriggerKind.RECONCILE, outdated)
            if complete:
                return found, _activities_of(found, outdated)
            return found, {subject.activity.id for subject in subjects if subject.types}
        if fresh:
            return await from_views(), set()
        found = await entries_from_rows(stores.rows, subjects, user_ids)
        # Of a version that was published since, the workers know nothing yet.
        return (await from_views() if await _outdated(session, found) else found), set()

    of_contents, (found, incomplete) = await asyncio.gather(
        content_entries(stores.rows, shared.tracking, subjects, user_ids), of_collections()
    )
    return {**found, **of_contents}, incomplete


async def _outdated(session: Session, found: Found) -> dict[ProgressKey, int]:
    """Keys whose figures are of an older version of the collection than the live one, with that."""
    collections = list({entry.collection_id for entries in found.values() for entry in entries})
    contents = await session.loaders.contents.load_many(collections)
    live = {content.identifier: content.live_version for content in contents if content is not None}
    return {
        ProgressKey(user_id, entry.collection_id, parse_aggregate_context(entry.context_id)[1]): live[
            entry.collection_id
        ]
        for (_, user_id), entries in found.items()
        for entry in entries
        if entry.tree_version is not None and entry.tree_version < live.get(entry.collection_id, 0)
    }


def _activities_of(found: Found, keys: Mapping[ProgressKey, int]) -> Set[str]:
    """The activities that have an entry of one of these keys."""
    places = {(key.user_id, key.collection_id) for key in keys}
    return {
        activity_id
        for (activity_id, user_id), entries in found.items()
        if any((user_id, entry.collection_id) in places for entry in entries)
    }


async def _aggregated(
    session: Session, plan: Plan, roster: Roster, subjects: Sequence[Subject]
) -> tuple[dict[str, _Stands], _How]:
    """What the last aggregation computed; its age is that of the oldest figures. Who has become a member since then was
    not counted in it: incomplete until the next run."""
    found = await group_results(
        session.stores.rows, roster.group_id, [subject.activity for subject in subjects]
    )
    oldest = min((result.as_of for result in found.values() if result), default=None)
    age = (session.now() - oldest).total_seconds() if oldest else 0.0
    members = {member.user_id for member in roster.counted()}
    entries = {
        (activity.id, user_id): [entry]
        for activity, result in found.items()
        if result
        for user_id, entry in result.entries.items()
    }
    behind = _activities_of(entries, await _outdated(session, entries))
    stands = {}
    for subject in subjects:
        result = found[subject.activity]
        if not subject.is_known:
            stands[subject.activity.id] = _Stands(None, oldest, complete=False)
            continue
        if result is None:
            stands[subject.activity.id] = _Stands(None, None, complete=False)
            continue
        current = subject.activity.id not in behind
        whole = subject.content is not None and members <= result.counted and current
        stands[subject.activity.id] = _Stands(result.entries, result.as_of, whole)
    return stands, (Origin.COMPUTED.value.lower(), age)


def _whole(stands: Mapping[str, _Stands]) -> bool:
    """Whether a client may use the page again: an activity that is not Cohort's to know will not be known later."""
    return all(each.complete or (each.entries is None and each.as_of is not None) for each in stands.values())


# --- the figures


def _shown(session: Session, roster: Roster) -> list[Member]:
    """Members whom the viewer is told of."""
    if sees_members(session.viewer, roster):
        return roster.counted()
    own = roster.member(session.viewer.user_id)
    return [own] if own is not None and own.is_counted else []


def _figures(
    session: Session,
    subject: Subject,
    plan: Plan,
    stands: _Stands,
    roster: Roster,
    shown: Iterable[Profiled],
) -> ActivityFigures:
    entries = stands.entries
    if entries is None:
        figures = unknown_figures(ACTIVITY_METRICS)
    else:
        of_members = (entries.get(member.user_id, NO_ENTRY) for member in roster.counted())
        figures = subject_figures(subject, of_members)
    members = [
        MemberEntry(
            one.member,
            one.learner,
            entries.get(one.member.user_id, NO_ENTRY) if entries is not None else None,
        )
        for one in shown
    ]
    source = Source.ROWS if subject.is_single_content and plan.source is Source.STATES else plan.source
    return ActivityFigures(
        subject.activity, subject.content, figures, members, plan.mode, source, stands.as_of, stands.complete
    )
