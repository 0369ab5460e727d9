"""Assessments that learners submit (R-ASSESS-1). Each is checked, then put into the log, then the caller is answered.

The attempt takers read the topic and compute the scores (ingest/attempts/).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.calls.placing import Placed, ViewCall, placed
from loaders.session import Session
from rules.assessments import Submission, attempt_of, checked_events, encoded
from rules.enrolments import worked_since
from rules.errors import InvalidInput
from rules.moments import counted_on
from rules.viewers import CLOCK_SKEW, Role
from stores.events import Message
from stores.topics import ASSESSMENTS


@dataclass(frozen=True, slots=True)
class AssessmentCall:
    """What was answered where, and when.

    - ``user_id`` is for services.
    - Ids that are left out get the same defaults as those of a view.
    - ``attempted_on`` is now unless it is given.
    """

    content_id: str
    collection_id: str | None = None
    context_id: str | None = None
    user_id: str | None = None
    attempt_id: str | None = None
    attempted_on: datetime | None = None
    events: Sequence[Any] = ()


async def submit_assessment(session: Session, call: AssessmentCall) -> Submission:
    """Sends the attempt to the log and returns it. Sent again with the same attempt or time, it is the same attempt.

    - If a learner calls, the context must be open now.
    - If a service calls, the context must have been open at the time of the attempt.

    Raises InvalidInput, NotFound, ContextClosed, Forbidden. Raises Erased if the attempt is older than an erasure
    there. If it raises StoreUnavailable, the call may be sent again.
    """
    events = checked_events(list(call.events))
    told = _attempted(session, call.attempted_on)
    at = call.attempted_on if session.viewer.has(Role.SERVICE) else None
    view = ViewCall(call.content_id, call.collection_id, call.context_id, call.user_id, at)
    place = await placed(session, view, told if call.attempted_on is not None else None)
    attempt_id = attempt_of(place.asked, call.attempt_id, told)
    attempted_on = told
    if call.attempted_on is not None:
        since = (await begun_on(session, [place])).get(place)
        attempted_on = counted_on(told, place.at, since)
    submission = Submission(place.asked, attempt_id, attempted_on, events)
    await session.stores.events.send(ASSESSMENTS.name, Message(place.asked.user_id, encoded(submission)))
    return submission


async def begun_on(session: Session, places: Collection[Placed]) -> dict[Placed, datetime]:
    """Returns since when the learner is at each place (``worked_since``). Places where that is not known are left out.
    It costs one read for all places."""
    keys = list(
        dict.fromkeys(place.asked.progress_key for place in places if place.asked.progress_key.has_context)
    )
    enrolments = dict(zip(keys, await session.loaders.enrolments.load_many(keys), strict=True))
    found = {}
    for place in places:
        since = worked_since(enrolments.get(place.asked.progress_key), place.opened_on)
        if since is not None:
            found[place] = since
    return found


def _attempted(session: Session, at: datetime | None) -> datetime:
    """Returns the caller's time in whole milliseconds.

    Raises InvalidInput if a service tells a time in the future. A device's clock may be wrong.
    """
    now = session.now()
    moment = at or now
    if moment.tzinfo is None:
        raise InvalidInput("attemptedOn needs a time zone, as in 2026-01-31T12:00:00Z", field="attemptedOn")
    if moment > now + CLOCK_SKEW and session.viewer.has(Role.SERVICE):
        raise InvalidInput("attemptedOn must not be in the future", field="attemptedOn")
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
