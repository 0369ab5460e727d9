"""How the members of a group stand in what it does together.

A page is made in one pass: its subjects (``group_subjects.py``), one plan for all of them, the members' entries by that
plan (``group_entries.py``), the figures that follow, and the page. Members and their names are read live, so that a
change of the group shows at once whatever is kept.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from loaders.session import Session
from resolvers.group_entries import ActivityEntries, PageEntries, page_entries
from resolvers.group_subjects import own_subjects, page_subjects, versions_of
from resolvers.learner_groups import Profiled, profiled
from rules.contents import Content
from rules.entries import NO_ENTRY, Entry
from rules.group_access import check_may_read, sees_members
from rules.group_figures import (
    ACTIVITY_METRICS,
    MEMBER_METRICS,
    ActivityMetric,
    Figure,
    Metrics,
    chosen,
    member_figures,
    of_kinds,
    subject_figures,
    unknown_figures,
)
from rules.identifiers import ProgressKey, parse_aggregate_context
from rules.learner_groups import Activity, Group, Member, Roster
from rules.learners import Learner
from rules.plans import AggregationMode, QueryPlan, Source, Taken, page_plan, still_missing, written_at
from rules.progress import Status, percentage, status_of
from rules.subjects import Subject
from rules.viewers import Viewer
from stores.turns import in_turns

__all__ = [
    "ACTIVITY_METRICS",
    "MEMBER_METRICS",
    "ActivityFigures",
    "GroupPage",
    "MemberEntry",
    "Metrics",
    "chosen",
    "group_activities",
    "is_live",
    "of_kinds",
    "page_version",
]


class MemberEntry(NamedTuple):
    """How a member stands; zeros for one who has not been in the activity, no ``entry`` where Cohort does not know it.
    ``is_of_content``: the activity is a single content. ``left_on``: when a former learner of the activity left, where that was asked for.
    A page has thousands of them, and makes them as tuples."""

    member: Member
    learner: Learner
    entry: Entry | None
    left_on: datetime | None = None
    is_of_content: bool = False

    @property
    def enrolled(self) -> bool | None:
        """Whether the enrolment is active. None where nobody enrols, or Cohort does not know the activity."""
        return None if self.entry is None or self.is_of_content else self.entry.active

    @property
    def status(self) -> Status | None:
        return None if self.entry is None else status_of(self.entry.status)

    @property
    def completion_percentage(self) -> int | None:
        entry = self.entry
        return None if entry is None else percentage(entry.completed_count, entry.required_count)

    @property
    def required_count(self) -> int | None:
        """None where nothing was computed of the member."""
        return None if self.entry is None or self.entry is NO_ENTRY else self.entry.required_count

    def figures(self) -> Sequence[Figure]:
        """The member's figures. They have no value if Cohort does not know the activity."""
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
    mode: AggregationMode
    source: Source
    as_of: datetime | None
    complete: bool

    def value(self, metric: ActivityMetric) -> float | None:
        """None where it is not known or does not apply."""
        return next((figure.value for figure in self.figures if figure.metric == metric.value), None)

    def assessments(self) -> list[tuple[str, Figure]]:
        """The mean score in each assessment that somebody attempted, in the order of their ids."""
        prefix = ActivityMetric.SCORE.value
        return [
            (figure.metric.removeprefix(prefix), figure)
            for figure in self.figures
            if figure.metric.startswith(prefix)
        ]


@dataclass(frozen=True, slots=True)
class GroupPage:
    """The figures of a group's activities, in the group's order. ``taken``: how they came about. ``live``: the live
    version of each collection that has figures here."""

    activities: list[ActivityFigures]
    taken: Taken
    live: Mapping[str, int]

    @property
    def as_of(self) -> datetime | None:
        """When the oldest figures were computed."""
        return min((activity.as_of for activity in self.activities if activity.as_of), default=None)


async def group_activities(
    session: Session,
    group: Group,
    *,
    activities: Mapping[str, str | None] | None = None,
    mode: AggregationMode | None = None,
    fresh: str | None = None,
    with_left: bool = False,
) -> GroupPage:
    """``activities``: only these, by id, with their type where the caller names one; units, nested collections and
    contents of the group's activities may be named too. ``mode``: that of the instance without it; ``fresh``: a token of
    a write that must be in the figures. ``with_left`` reads when members left, by one statement if any of them did.

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
    subjects = await page_subjects(session, group, activities)
    plan, missing = _plan(session, group, roster, subjects, mode, fresh)
    entries, profiles = await asyncio.gather(
        page_entries(session, plan, roster, subjects, fresh=missing is not None),
        profiled(session, _shown(session.viewer, roster)),
    )
    left = await _left(session, entries, profiles) if with_left else {}
    counted = [member.user_id for member in roster.counted()]
    figures = await in_turns(
        lambda subject: _figures(
            subject, plan, entries.by_activity[subject.activity.id], counted, profiles, left
        ),
        subjects,
    )
    reusable = missing is None and all(each.will_stay for each in entries.by_activity.values())
    taken = Taken(plan, entries.origin.value.lower(), entries.age, reusable=reusable)
    return GroupPage(figures, taken, entries.live)


async def page_version(session: Session, group: Group, named: Iterable[str]) -> tuple[object, ...]:
    """What figures of the group depend on, whoever asks: the group, its members, and the versions that are live, of its
    activities and of what is ``named`` below them."""
    own = [activity.id for activity in group.activities]
    below = sorted(set(named) - set(own))
    roster, contents = await asyncio.gather(
        session.loaders.rosters.load(group.group_id), session.loaders.contents.load_many([*own, *below])
    )
    versions = [None if one is None else (one.root, one.live_version) for one in contents[len(own) :]]
    subjects = await own_subjects(session, group.activities)
    return group.group_id, group.version, roster.version, versions_of(subjects), *below, *versions


async def is_live(session: Session, versions: Mapping[str, int]) -> bool:
    """Whether these versions of these collections are still the live ones."""
    contents = await session.loaders.contents.load_many(list(versions))
    return all(
        content is not None and content.live_version == version
        for content, version in zip(contents, versions.values(), strict=True)
    )


def _plan(
    session: Session,
    group: Group,
    roster: Roster,
    subjects: Sequence[Subject],
    mode: AggregationMode | None,
    fresh: str | None,
) -> tuple[QueryPlan, datetime | None]:
    """The plan, and the write that the answer must have in it, while what is kept may lack it."""
    now = session.now()
    missing = (
        None if fresh is None else still_missing(written_at(fresh, now), session.shared.answers.ttl, now)
    )
    own = {activity.id for activity in group.activities}
    # Only the group's own activities are aggregated.
    aggregated = own.issuperset(subject.activity.id for subject in subjects)
    plan = page_plan(
        members=len(roster.counted()),
        activities=sum(bool(subject.types) for subject in subjects),
        mode=(mode or session.shared.mode) if aggregated else AggregationMode.QUERY,
        fresh=missing,
        now=now,
    )
    return plan, missing


def _shown(viewer: Viewer, roster: Roster) -> list[Member]:
    """The members whose entries the viewer may see."""
    if sees_members(viewer, roster):
        return roster.counted()
    own = roster.member(viewer.user_id)
    return [own] if own is not None and own.is_counted else []


_Place = tuple[str, str, str]
"""User id, collection, and context as an entry has it."""


async def _left(session: Session, found: PageEntries, shown: Sequence[Profiled]) -> dict[_Place, datetime]:
    """When the members who are shown left what they are no more enrolled in. Who moved elsewhere has not left."""
    places: dict[_Place, ProgressKey] = {}
    for known in found.by_activity.values():
        for one in shown:
            user_id = one.member.user_id
            entry = (known.entries or {}).get(user_id)
            if entry is not None and entry.has_left:
                context_id = parse_aggregate_context(entry.context_id)[1]
                places[user_id, entry.collection_id, entry.context_id] = ProgressKey(
                    user_id, entry.collection_id, context_id
                )
    enrolments = await session.loaders.enrolments.load_many(list(places.values()))
    return {
        place: enrolment.unenrolled_on
        for place, enrolment in zip(places, enrolments, strict=True)
        if enrolment is not None
        and not (enrolment.active or enrolment.has_moved)
        and enrolment.unenrolled_on is not None
    }


def _figures(
    subject: Subject,
    plan: QueryPlan,
    known: ActivityEntries,
    counted: Sequence[str],
    shown: Iterable[Profiled],
    left: Mapping[_Place, datetime],
) -> ActivityFigures:
    """Figures of all members who are ``counted``; entries of those who are ``shown``."""
    entries, is_of_content = known.entries, subject.is_single_content
    of_counted: dict[str, Entry] = {}
    if entries is None:
        figures = unknown_figures(ACTIVITY_METRICS)
    else:
        of_counted = {user_id: entries.get(user_id, NO_ENTRY) for user_id in counted}
        figures = subject_figures(subject, of_counted.values())
    members = [
        MemberEntry(
            one.member,
            one.learner,
            entry := of_counted.get(one.member.user_id),
            _left_on(one.member.user_id, entry, left) if left else None,
            is_of_content,
        )
        for one in shown
    ]
    source = Source.ROWS if is_of_content and plan.source is Source.STATES else plan.source
    return ActivityFigures(
        subject.activity, subject.content, figures, members, plan.mode, source, known.as_of, known.complete
    )


def _left_on(user_id: str, entry: Entry | None, left: Mapping[_Place, datetime]) -> datetime | None:
    return None if entry is None else left.get((user_id, entry.collection_id, entry.context_id))
