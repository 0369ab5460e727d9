"""How the members of a group stand in its activities (seed 000, Group Activity Aggregates; design, section 5).

One plan for all activities of a page, and one query or one batch of rows. Members and their names are read live, so a
change of the group shows at once whatever is kept.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from loaders.answers import Answer, Origin, key_of
from loaders.entries import Entries, decoded, encoded, entries_from_rows, entries_from_states
from loaders.fresh_entries import fresh_entries
from loaders.session import Session
from loaders.totals import group_results
from resolvers.learner_groups import Profiled, profiled
from rules.contents import Content
from rules.entries import NO_ENTRY, Entry
from rules.errors import NotFound
from rules.group_figures import (
    ACTIVITY_METRICS,
    MEMBER_METRICS,
    Figure,
    activity_figures,
    chosen,
    member_figures,
)
from rules.learner_groups import (
    CONTENT_TYPES,
    Activity,
    Group,
    GroupRole,
    Member,
    Roster,
    check_may_read,
    may_be_shown,
)
from rules.learners import Learner
from rules.plans import Mode, Plan, Source, Taken, page_plan, still_missing, written_at
from rules.viewers import Role

__all__ = [
    "ACTIVITY_METRICS",
    "MEMBER_METRICS",
    "ActivityFigures",
    "MemberEntry",
    "chosen",
    "group_activities",
    "member_figures",
]


@dataclass(frozen=True, slots=True)
class MemberEntry:
    """How a member stands; zeros for one who has not been in the activity. No ``entry`` where the viewer may not see
    it: to the group's admins, of those who have not opened the group."""

    member: Member
    learner: Learner
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class ActivityFigures:
    """``content``: None where it is none that Cohort publishes. ``figures`` are of all current members; ``members``
    has those that the viewer may see, in the order of user ids.

    ``as_of``: when it was computed, None where no aggregation has reached it yet. ``complete`` is False for that, for
    an answer older than it should be, and where a part of the data was away.
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
class _Found:
    """Entries of one activity by user id."""

    entries: Mapping[str, Entry]
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
) -> list[ActivityFigures]:
    """In the order of the group. ``activities``: only these, by id, with their type where the caller names one.
    ``mode``: that of the instance without it; ``fresh``: a token of a write that must be in the figures.

    Whoever answers for learners sees every member's entry, the group's admins those of members who have opened the
    group, another member the own one only.
    NotFound where the group has no such activity; InvalidInput for a token that is none; Forbidden; StoreUnavailable
    where nothing is kept that could be given instead.
    """
    roster = await session.loaders.rosters.load(group.group_id)
    check_may_read(session.viewer, roster)
    wanted = _wanted(group, activities)
    now = session.now()
    ttl = session.shared.answers.ttl
    since = None if fresh is None else still_missing(written_at(fresh, now), ttl, now)
    plan = page_plan(
        members=len(roster.active()),
        activities=len(wanted),
        mode=mode or session.shared.mode,
        fresh=since,
        now=now,
    )
    found, contents, profiles = await asyncio.gather(
        _carried_out(session, plan, since, roster, wanted, path),
        session.library.contents.load_many([activity.id for activity in wanted]),
        profiled(session, _shown(session, roster)),
    )
    return [
        _figures(session, activity, content, plan, found[activity.id], roster, profiles)
        for activity, content in zip(wanted, contents, strict=True)
    ]


def _wanted(group: Group, named: Mapping[str, str | None] | None) -> list[Activity]:
    if named is None:
        return list(group.activities)
    known = {activity.id: activity for activity in group.activities}
    for activity_id, activity_type in named.items():
        activity = known.get(activity_id)
        if activity is None or activity_type not in (None, activity.type):
            what = activity_id if activity_type is None else f"{activity_type} {activity_id}"
            raise NotFound(f"group {group.group_id} has no activity {what}", field="activities")
    return [activity for activity in group.activities if activity.id in named]


def _shown(session: Session, roster: Roster) -> list[Member]:
    """Members whom the viewer is told of."""
    own = roster.member(session.viewer.user_id)
    leads = own is not None and own.role is GroupRole.ADMIN
    if leads or session.viewer.has(Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE):
        return roster.active()
    return [] if own is None else [own]


def _figures(
    session: Session,
    activity: Activity,
    content: Content | None,
    plan: Plan,
    found: _Found,
    roster: Roster,
    shown: Iterable[Profiled],
) -> ActivityFigures:
    ours = content if activity.type in CONTENT_TYPES else None
    figures = activity_figures(
        (found.entries.get(member.user_id, NO_ENTRY) for member in roster.active()),
        leaf_nodes_count=ours.leaf_nodes_count if ours else 0,
        published_on=ours.published_on if ours else None,
    )
    entries = ((one, found.entries.get(one.member.user_id, NO_ENTRY)) for one in shown)
    members = [
        MemberEntry(one.member, one.learner, entry if may_be_shown(session.viewer, one.member) else None)
        for one, entry in entries
    ]
    return ActivityFigures(
        activity, ours, figures, members, plan.mode, plan.source, found.as_of, found.complete
    )


async def _carried_out(
    session: Session,
    plan: Plan,
    since: datetime | None,
    roster: Roster,
    activities: Sequence[Activity],
    path: Sequence[str | int],
) -> dict[str, _Found]:
    """By activity id. Notes in the session what was done."""
    if plan.source is Source.BATCH:
        return await _aggregated(session, plan, roster, activities, path)
    users = [member.user_id for member in roster.active()]

    now, answers = session.now(), session.shared.answers

    async def compute() -> bytes:
        entries, complete = await _entries(session, plan.source, activities, users, fresh=since is not None)
        by_activity: dict[str, dict[str, list[Any]]] = {activity.id: {} for activity in activities}
        for (activity_id, user_id), entry in entries.items():
            by_activity[activity_id][user_id] = encoded(entry)
        return orjson.dumps([complete, by_activity])

    if since is None:
        # What is kept is of all members, whoever asks; each viewer is given what they may see of it.
        key = key_of("group page", plan.source, roster.group_id, roster.version, activities)
        answer = await answers.answer(key, compute)
    else:
        answer = Answer(await compute(), now, 0.0, Origin.COMPUTED)
    complete, by_activity = orjson.loads(answer.value)
    complete = complete and answer.origin is not Origin.STALE
    taken = (answer.origin.value.lower(), answer.age, tuple(path))
    session.plans.append(Taken(plan, *taken, reusable=complete and since is None))
    return {
        activity_id: _Found(
            {user_id: decoded(entry) for user_id, entry in entries.items()},
            answer.as_of,
            complete,
        )
        for activity_id, entries in by_activity.items()
    }


async def _entries(
    session: Session, source: Source, activities: Sequence[Activity], user_ids: Sequence[str], *, fresh: bool
) -> tuple[Entries, bool]:
    """``fresh``: of rows, with what no worker has seen yet."""
    stores = session.stores
    if source is Source.STATES:
        return await entries_from_states(stores.groups, activities, user_ids)
    if fresh:
        return await fresh_entries(
            stores.rows, session.library, session.shared.tracking, activities, user_ids
        ), True
    return await entries_from_rows(stores.rows, activities, user_ids), True


async def _aggregated(
    session: Session, plan: Plan, roster: Roster, activities: Sequence[Activity], path: Sequence[str | int]
) -> dict[str, _Found]:
    """What the last aggregation computed; its age is that of the oldest figures. Who has become a member since then was
    not counted in it: incomplete until the next run."""
    found = await group_results(session.stores.rows, roster.group_id, activities)
    oldest = min((result.as_of for result in found.values() if result), default=None)
    age = (session.now() - oldest).total_seconds() if oldest else 0.0
    members = {member.user_id for member in roster.active()}
    results = {
        activity.id: _Found(result.entries, result.as_of, members <= result.counted)
        if result
        else _Found({}, None, False)
        for activity, result in found.items()
    }
    whole = all(result.complete for result in results.values())
    session.plans.append(Taken(plan, Origin.COMPUTED.value.lower(), age, tuple(path), reusable=whole))
    return results
