"""Assessments that learners submit (reference 2.2, 2.7, 4.6): checked, then in the log, then the caller is answered.

Scores are computed by whoever reads the topic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.views import ViewCall, placed
from loaders.session import Session
from rules.assessments import Submission, attempt_of, checked_events, encoded
from rules.errors import InvalidInput
from rules.viewers import CLOCK_SKEW, Role
from stores.events import Message
from stores.topics import ASSESSMENTS


@dataclass(frozen=True, slots=True)
class AssessmentCall:
    """What was answered where, and when. ``user_id`` is for services; ids left out default as those of a view;
    ``attempted_on`` is now unless given."""

    content_id: str
    collection_id: str | None = None
    context_id: str | None = None
    user_id: str | None = None
    attempt_id: str | None = None
    attempted_on: datetime | None = None
    events: Sequence[Any] = ()


async def submit_assessment(session: Session, call: AssessmentCall) -> Submission:
    """What was sent to the log; sent again with the same attempt or time, it is the same attempt.

    A learner's is judged by whether the context is open now, a service's by when it was attempted. InvalidInput,
    NotFound, ContextClosed, Forbidden; Erased where it was attempted before what was there was deleted; StoreUnavailable
    where it may be sent again.
    """
    events = checked_events(list(call.events))
    attempted_on = _attempted(session, call.attempted_on)
    at = call.attempted_on if session.viewer.has(Role.SERVICE) else None
    view = ViewCall(call.content_id, call.collection_id, call.context_id, call.user_id, at)
    place = await placed(session, view, attempted_on if call.attempted_on is not None else None)
    attempt_id = attempt_of(place.asked, call.attempt_id, attempted_on)
    submission = Submission(place.asked, attempt_id, attempted_on, events)
    await session.stores.events.send(ASSESSMENTS.name, Message(place.asked.user_id, encoded(submission)))
    return submission


def _attempted(session: Session, at: datetime | None) -> datetime:
    """Whole milliseconds; by a device's clock, which may be a little ahead."""
    now = session.now()
    moment = at or now
    if moment.tzinfo is None:
        raise InvalidInput("attemptedOn needs a time zone, as in 2026-01-31T12:00:00Z", field="attemptedOn")
    if moment > now + CLOCK_SKEW:
        raise InvalidInput("attemptedOn must not be in the future", field="attemptedOn")
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
