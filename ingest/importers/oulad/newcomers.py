"""Sends students of whom nothing is stored yet, many at a time. They leave what the commands leave of them.

The commands look up for each call what the calls of all new students have in common, and write row by row. Here the
profiles of many are written together, the enrolments of each in one conditional write, and the views of a place in one
for each MOST_CHANGES. An enrolment that the files end is written ended. The rules, the order of the writes and the marks
of the views are those of the commands: rows first, then triggers. So a portion that was cut off is sent again by the
commands, which find the rows and send their triggers.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from functools import partial

from ingest.calls.acknowledgement import acknowledge
from ingest.calls.placing import Placed, placed_on, viewable_contents
from ingest.commands.learners import profile_trigger, profile_write
from ingest.importers.lanes import each
from ingest.importers.oulad.attempts import assessment_call
from ingest.importers.oulad.dataset import Registration, Student, parts
from ingest.importers.oulad.keys import progress_key, submissions, view_keys
from ingest.importers.oulad.patience import AT_ONCE, patiently
from ingest.importers.oulad.report import OuladReport
from ingest.writes.announcement import Announcement
from ingest.writes.transfers import enter_scopes, put
from ingest.writes.triggers import trigger_of
from loaders.enrolments import enrolments_by_key, row_key
from loaders.erasures import erasures_of
from loaders.session import Session
from rules.assessments import Submission as AnsweredAttempt
from rules.assessments import attempt_of, checked_events, encoded
from rules.contexts import Context, check_contains, check_takes_enrolment
from rules.enrolments import Enrolment, worked_since
from rules.errors import EnrolmentClosed
from rules.identifiers import ProgressKey
from rules.learners import Learner, checked_learner
from rules.moments import counted_on
from rules.progress import Status
from rules.tracking import TrackingMode
from rules.triggers import TriggerKind
from rules.views import View
from stores.events import Message
from stores.rows import MOST_CHANGES, Change
from stores.tables import ENROLMENTS, VIEWS
from stores.topics import ASSESSMENTS, TRIGGERS

ENROLMENTS_AT_ONCE = 32
"""Conditional writes of enrolments at the same time: nothing else keeps the store from them, as it does a command's."""


async def send_newcomers(session: Session, students: Sequence[Student], report: OuladReport) -> Set[int]:
    """Sends profiles, enrolments, their ends, views, and attempts. Returns the ids of the students of whom all of this was sent.

    The commands have to send the others: those who were erased (the command says so), those of whom somebody wrote a row
    meanwhile, and everybody where the tracking mode writes more than a call says.
    """
    shared = session.shared
    if not students or shared.tracking.mode is not TrackingMode.STRICT:
        return frozenset()
    erased = await patiently(erasures_of, shared.stores.rows, [student.user_id for student in students])
    sending = _Newcomers(session)
    new = [student for student in students if student.user_id not in erased]
    await sending.send_profiles_and_enrolments(new)
    await each(new, sending.send_views, AT_ONCE)
    sent = [student for student in new if student.id not in sending.refused]
    await sending.send_attempts(sent)
    for student in sent:
        _count(student, report)
    return {student.id for student in sent}


def _count(student: Student, report: OuladReport) -> None:
    report.learners.add(there=False)
    for registration in student.registrations:
        report.views.loaded += len(registration.first_days)
        if registration.is_registered:
            report.enrolments.add(there=False)
            if registration.unenrolled_on is not None:
                report.unenrolments.add(there=False)
        for submission in registration.submissions.values():
            scored = submission.score is not None
            (report.attempts if scored else report.unscored).add(there=False)
            report.banked.loaded += scored and submission.is_banked


@dataclass(frozen=True, slots=True)
class _Newcomers:
    """``refused``: the ids of students who turned out to be none, by a row that is there. ``contexts``: those that were
    checked, by id."""

    session: Session
    refused: set[int] = field(default_factory=set)
    contexts: dict[str, Context] = field(default_factory=dict)

    async def send_profiles_and_enrolments(self, students: Sequence[Student]) -> None:
        stores, learners = self.session.stores, [self._profile(student) for student in students]
        changes = [(student, await self._enrolments(student)) for student in students]
        await patiently(stores.rows.write, *map(profile_write, learners))
        await each([(student, those) for student, those in changes if those], self._enrol, ENROLMENTS_AT_ONCE)
        triggers = []
        for student, those in changes:
            triggers.append(profile_trigger(student.user_id))
            if student.id not in self.refused:
                triggers += [trigger_of(TriggerKind.ENROLMENT, ProgressKey(*each.key)) for each in those]
        await patiently(stores.events.send, TRIGGERS.name, *triggers)

    def _profile(self, student: Student) -> Learner:
        at, attributes = student.latest.presentation.starts, student.latest.attributes
        known = {name: value for name, value in attributes.items() if value is not None}
        at = self.session.viewer.time_of_call(at, self.session.now())
        return checked_learner(Learner(student.user_id, student.name, known, at))

    async def _enrolments(self, student: Student) -> list[Change]:
        session, changed_at = self.session, self.session.shared.change_moment()
        viewer, changes = session.viewer, []
        for registration in student.registrations:
            if not registration.is_registered:
                continue
            key = progress_key(student, registration)
            at = viewer.time_of_call(registration.enrolled_on, session.now())
            ends = registration.unenrolled_on and viewer.time_of_call(
                registration.unenrolled_on, session.now()
            )
            check_takes_enrolment(await self._context(key), at, invited=True)
            values = {
                "active": ends is None,
                "enrolled_on": at,
                "unenrolled_on": ends,
                "changed_at": changed_at,
            }
            changes.append(Change(row_key(key), values))
        return changes

    async def _context(self, key: ProgressKey) -> Context:
        """Returns the context after the checks that are the same for all who enrol there."""
        if key.context_id not in self.contexts:
            library = self.session.library
            context = await patiently(library.context, key.context_id)
            check_contains(context, key.collection_id)
            if (await patiently(library.collection, key.collection_id)).is_retired:
                raise EnrolmentClosed(f"{key.collection_id} is retired", field="collectionId")
            self.contexts[key.context_id] = context
        return self.contexts[key.context_id]

    async def _is_erased(self, student: Student) -> bool:
        """Whether the student was erased since the portion began. Then it is refused: the command says so."""
        rows = self.session.stores.rows
        if student.user_id in await patiently(erasures_of, rows, [student.user_id]):
            self.refused.add(student.id)
        return student.id in self.refused

    async def _enrol(self, asked: tuple[Student, Sequence[Change]]) -> None:
        student, changes = asked
        if await self._is_erased(student):
            return
        rows = self.session.stores.rows
        for some in parts(changes, MOST_CHANGES):
            if await patiently(rows.write_together, ENROLMENTS, some):
                continue
            # A write that was tried again may have met itself.
            keys = [ProgressKey(*change.key) for change in some]
            stored = await patiently(enrolments_by_key, rows, keys)
            if [each and each.changed_at for each in stored] != [c.values["changed_at"] for c in some]:
                self.refused.add(student.id)
                return

    async def send_views(self, student: Student) -> None:
        for registration in student.registrations:
            if student.id in self.refused:
                return
            if registration.first_days and not await patiently(self._view, student, registration):
                self.refused.add(student.id)

    async def _view(self, student: Student, registration: Registration) -> bool:
        """Sends the views of a place within the protocol of a call (ingest/calls/acknowledgement.py). Returns False if some of
        them are there already.

        The trigger of all of them tells the days, also those on which the student came back to sites: they change no
        view, but the student was active.
        """
        session, shared, key = self.session, self.session.shared, progress_key(student, registration)
        at = partial(session.viewer.time_of_call, now=session.now())
        days = {
            each: at(registration.presentation.noon(day))
            for each, day in view_keys(student, registration).items()
        }
        viewable = await viewable_contents(session, next(iter(days)))
        if await self._is_erased(student):
            return False
        views = [_completed(placed_on(session, viewable, each, moment)) for each, moment in days.items()]
        written: list[View] = []
        announcement = Announcement(shared)
        async with announcement.writing([key]):
            changed_at = shared.change_moment()
            await enter_scopes(shared, {key: views[0].key.scope})
            for some in parts(views, MOST_CHANGES):
                if not await shared.stores.rows.write_together(
                    VIEWS, [put(view, None, changed_at) for view in some]
                ):
                    break
                written += some
        later = [registration.presentation.noon(day) for day in registration.later_days]
        active = [*days.values(), *(moment for moment in later if moment <= session.now())]
        await acknowledge(shared, announcement, written, {key: active})
        return len(written) == len(views)

    async def send_attempts(self, students: Sequence[Student]) -> None:
        messages = [
            message
            for student in students
            for registration in student.registrations
            if registration.submissions
            for message in await self._attempts(student, registration)
        ]
        await patiently(self.session.stores.events.send, ASSESSMENTS.name, *messages)

    async def _attempts(self, student: Student, registration: Registration) -> list[Message]:
        """Returns what ``submit_assessment`` sends of them."""
        session, place = self.session, progress_key(student, registration)
        enrolment = Enrolment(place, active=True, enrolled_on=registration.enrolled_on)
        found = submissions(student, registration)
        viewable = await patiently(viewable_contents, session, next(iter(found)))
        messages = []
        for key, submission in found.items():
            if submission.score is None:
                continue
            call = assessment_call(key, submission, registration.presentation)
            told = session.viewer.time_of_call(call.attempted_on, session.now())
            placed = placed_on(session, viewable, key, told)
            since = worked_since(enrolment if registration.is_registered else None, placed.opened_on)
            attempt = AnsweredAttempt(
                placed.asked,
                attempt_of(placed.asked, call.attempt_id, told),
                counted_on(told, placed.at, since),
                checked_events(list(call.events)),
            )
            messages.append(Message(student.user_id, encoded(attempt)))
        return messages


def _completed(place: Placed) -> View:
    """Returns what start and end of a view at the same moment leave."""
    at = place.at
    return View(
        *(place.key, Status.COMPLETED, 100),
        started_on=at,
        last_accessed_on=at,
        last_updated_on=at,
        completed_on=at,
    )
