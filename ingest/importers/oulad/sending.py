"""Sends what was read through the ordinary commands, each at its real time, with a service's rights. Students of whom
nothing is stored yet are sent together (newcomers.py).

Every command may be sent again, so a portion that was interrupted is simply sent whole. If somebody changed a thing
since an earlier load (a profile, an enrolment at another time, a group), it is left as it is, and counted.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Self

from ingest.calls.placing import ViewCall
from ingest.commands.assessments import submit_assessment
from ingest.commands.contexts import create_context
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.learner_groups import GroupCall, NewGroup, create_group, update_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view
from ingest.importers.lanes import each
from ingest.importers.oulad.attempts import assessment_call
from ingest.importers.oulad.dataset import Presentation, RegionGroup, Registration, Student
from ingest.importers.oulad.keys import progress_key, submissions, view_keys
from ingest.importers.oulad.newcomers import send_newcomers
from ingest.importers.oulad.patience import AT_ONCE, patiently
from ingest.importers.oulad.report import OuladReport
from ingest.publishing.direct import publish_collection
from ingest.writes.triggers import send_trigger
from loaders.attempts import attempt_key
from loaders.enrolments import enrolments_by_key
from loaders.learner_groups import groups_by_id, rosters_by_id
from loaders.learners import learners_by_id
from loaders.session import Session, Shared
from loaders.views import views_by_key
from rules.attempts import Attempt
from rules.enrolments import Enrolment
from rules.group_changes import AddMember, RemoveMember
from rules.identifiers import ProgressKey, ViewKey
from rules.learner_groups import Group, GroupStatus, Member, Roster
from rules.learners import Learner
from rules.progress import Status
from rules.triggers import TriggerKind
from rules.viewers import Role, Viewer
from rules.views import View, ViewChange
from stores.tables import ATTEMPTS

LOADER = Viewer("oulad", frozenset({Role.SERVICE}))


async def send_course(shared: Shared, presentation: Presentation, report: OuladReport) -> None:
    """Sends the course and its batch. Raises InvalidInput if the batch has other dates: the views would not fit it."""
    session = Session(LOADER, shared)
    publication = await publish_collection(session, presentation.document)
    stored, wanted = await shared.library.contexts.load(presentation.context_id), presentation.batch
    dates = (wanted.opens_on, wanted.start_date, wanted.end_date)
    if stored is None or (stored.opens_on, stored.start_date, stored.end_date) != dates:
        await create_context(session, wanted)
    report.courses.add(there=stored is not None and not publication.changed)


async def send_students(shared: Shared, students: Sequence[Student], report: OuladReport) -> None:
    """Sends the students. Returns when all are sent. Those with the most views begin first, so none is left over at the
    end."""
    stored, session = await _Stored.read(shared, students), Session(LOADER, shared)
    new = [student for student in students if stored.has_nothing_of(student)]
    sent = await send_newcomers(session, new, report)

    async def send(student: Student) -> None:
        await _Sending(Session(LOADER, shared), student, stored, report).run()

    others = [student for student in students if student.id not in sent]
    await each(sorted(others, key=calls_of, reverse=True), send, AT_ONCE)


async def send_groups(shared: Shared, groups: Sequence[RegionGroup], report: OuladReport) -> None:
    """Sends all groups at once. The members of each come one after another.

    Nobody is their admin: the data names no tutor, and a service may change every group.

    - A member whom somebody removed since stays away.
    - A member whom somebody added stays.
    - Members whom an earlier load added stay as long as the files have them there.
    """
    rows, ids = shared.stores.rows, [group.group_id for group in groups]
    stored, rosters = await asyncio.gather(groups_by_id(rows, ids), rosters_by_id(rows, ids))

    async def send(found: tuple[RegionGroup, Group | None, Roster]) -> None:
        await _send_group(Session(LOADER, shared), *found, report)

    await each(zip(groups, stored, rosters, strict=True), send, AT_ONCE)


async def _send_group(
    session: Session, wanted: RegionGroup, stored: Group | None, roster: Roster, report: OuladReport
) -> None:
    if stored is not None and not _is_as_wanted(wanted, stored):
        report.groups.different += 1
        return
    added = [AddMember(user_id) for user_id in wanted.user_ids if _may_be_added(roster.members.get(user_id))]
    gone = [
        RemoveMember(member.user_id)
        for member in roster.active()
        if member.created_by == LOADER.user_id and member.user_id not in wanted.user_ids
    ]
    if stored is None:
        new = NewGroup(
            wanted.name, members=tuple(added), activities=(wanted.activity,), group_id=wanted.group_id
        )
        changed = await create_group(session, new)
    else:
        changed = await update_group(session, GroupCall(wanted.group_id, members=(*gone, *added)))
    report.groups.add(there=stored is not None)
    refused = {error.id for error in changed.item_errors}
    newcomers = {member.user_id for member in added}
    for user_id in wanted.user_ids:
        if user_id in refused or (user_id not in newcomers and roster.member(user_id) is None):
            report.memberships.different += 1
        else:
            report.memberships.add(there=user_id not in newcomers)


def _is_as_wanted(wanted: RegionGroup, stored: Group) -> bool:
    ours = (GroupStatus.ACTIVE, wanted.name, (wanted.activity,))
    return (stored.status, stored.name, stored.activities) == ours


def _may_be_added(member: Member | None) -> bool:
    """False for a member who is there, and for one whom somebody else removed. One whom an earlier version added is
    invited."""
    if member is None or member.invited:
        return True
    return not member.is_active and member.removed_by == LOADER.user_id


def calls_of(student: Student) -> int:
    """Returns roughly how much work a student is."""
    return 1 + sum(1 + 2 * len(one.first_days) + len(one.submissions) for one in student.registrations)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is already stored of some students. It is read in batches."""

    learners: Mapping[str, Learner | None]
    enrolments: Mapping[ProgressKey, Enrolment | None]
    views: Mapping[ViewKey, View | None]
    scores: Mapping[ViewKey, float | None]
    """Of the attempts that an earlier load submitted and that were taken since."""

    @classmethod
    async def read(cls, shared: Shared, students: Iterable[Student]) -> Self:
        rows = shared.stores.rows
        users = [student.user_id for student in students]
        registrations = [
            (student, registration) for student in students for registration in student.registrations
        ]
        places = [progress_key(*each) for each in registrations]
        views = [key for each in registrations for key in view_keys(*each)]
        attempts = {
            attempt_key(Attempt(shared.tracking.stored(key), submission.attempt_id, None, None, None)): key
            for each in registrations
            for key, submission in submissions(*each).items()
        }
        scores = await rows.get_many(ATTEMPTS, list(attempts), ("total_score",)) if attempts else {}
        return cls(
            dict(zip(users, await learners_by_id(rows, users), strict=True)),
            dict(zip(places, await enrolments_by_key(rows, places), strict=True)),
            dict(zip(views, await views_by_key(rows, shared.tracking, views), strict=True)),
            {attempts[key]: row["total_score"] for key, row in scores.items()},
        )

    def has_nothing_of(self, student: Student) -> bool:
        """True if neither the learner nor anything of theirs is stored."""
        if self.learners[student.user_id] is not None:
            return False
        return not any(
            self.enrolments[progress_key(student, registration)] is not None
            or any(self.views[key] is not None for key in view_keys(student, registration))
            or any(key in self.scores for key in submissions(student, registration))
            for registration in student.registrations
        )


@dataclass(frozen=True, slots=True)
class _Sending:
    """Sends one student, in order: the profile; then for each presentation the enrolment, the views, the attempts, the end
    of it."""

    session: Session
    student: Student
    stored: _Stored
    report: OuladReport

    async def run(self) -> None:
        await self._send_profile()
        for registration in self.student.registrations:
            is_ours = registration.is_registered and await self._send_enrolment(registration)
            await self._send_views(registration)
            await self._send_days(registration)
            await self._send_attempts(registration)
            if is_ours:
                await self._send_end(registration)

    async def _send_profile(self) -> None:
        user_id, latest = self.student.user_id, self.student.latest
        stored, at = self.stored.learners[user_id], latest.presentation.starts
        if stored is not None and stored.updated_on is not None and stored.updated_on > at:
            self.report.learners.different += 1
            return
        self.session.loaders.learners.prime(user_id, stored)
        profile = ProfileCall(self.student.name, latest.attributes, user_id, at)
        saved = await patiently(save_profile, self.session, profile)
        self.report.learners.add(there=saved == stored)

    async def _send_enrolment(self, registration: Registration) -> bool:
        """Sends the enrolment. Returns True if it is as the dataset has it, by this call or since before."""
        key = progress_key(self.student, registration)
        stored = self.stored.enrolments[key]
        if stored is not None and not _is_from(registration, stored):
            self.report.enrolments.different += 1
            return False
        await patiently(enrol, self.session, _enrolment_call(key, registration.enrolled_on))
        self.report.enrolments.add(there=stored is not None)
        return True

    async def _send_end(self, registration: Registration) -> None:
        key = progress_key(self.student, registration)
        stored = self.stored.enrolments[key]
        if registration.unenrolled_on is not None:
            call = _enrolment_call(key, registration.unenrolled_on)
            await patiently(unenrol, self.session, call)
            self.report.unenrolments.add(there=stored is not None and not stored.active)

    async def _send_views(self, registration: Registration) -> None:
        """Sends the views. A completed one is started once more, which only sends its trigger.

        The run that completed it may have died before it sent the trigger.
        """
        for key, day in view_keys(self.student, registration).items():
            at = registration.presentation.noon(day)
            call = ViewCall(key.content_id, key.collection_id, key.context_id, key.user_id, at)
            stored = self.stored.views[key]
            is_there = stored is not None and stored.status is Status.COMPLETED
            await patiently(start_view, self.session, call)
            if not is_there:
                await patiently(end_view, self.session, call, ViewChange(at))
            self.report.views.add(there=is_there)

    async def _send_days(self, registration: Registration) -> None:
        """Sends, in one trigger, the days on which the student came back to sites. They change no view, but the student was
        active."""
        presentation, tracking = registration.presentation, self.session.shared.tracking
        moments = [presentation.noon(day) for day in registration.later_days]
        known = [at for at in moments if at <= self.session.now()]
        view = next(iter(view_keys(self.student, registration)), None)
        if view is not None and known:
            place = tracking.stored(view).progress_key
            send = partial(send_trigger, at=known)
            await patiently(send, self.session.stores, TriggerKind.VIEW, place)

    async def _send_attempts(self, registration: Registration) -> None:
        """Submits the attempts that are not there. One that is there with another score was corrected since, here or in
        the files, and is left as it is."""
        for key, submission in submissions(self.student, registration).items():
            if submission.score is None:
                self.report.unscored.add(there=False)
                continue
            is_there = key in self.stored.scores
            differs = is_there and self.stored.scores[key] != submission.score
            if not is_there:
                call = assessment_call(key, submission, registration.presentation)
                await patiently(submit_assessment, self.session, call)
            for counts in (self.report.attempts, self.report.banked)[: 1 + submission.is_banked]:
                counts.different += differs
                if not differs:
                    counts.add(there=is_there)


def _is_from(registration: Registration, stored: Enrolment) -> bool:
    """True if a load made the stored enrolment, even if it has not come to its end yet."""
    if stored.begun_on != registration.enrolled_on:
        return False
    return stored.active or stored.unenrolled_on == registration.unenrolled_on


def _enrolment_call(key: ProgressKey, at: datetime) -> EnrolmentCall:
    return EnrolmentCall(key.collection_id, key.context_id, key.user_id, at)
