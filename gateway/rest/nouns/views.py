"""The viewer's calls about views and assessments."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from gateway.rest.framework.callers import MANY_VIEWERS, ONLY_A_SERVICE, changed_user, reader_of
from gateway.rest.framework.endpoints import Call, Endpoint, Handler, prefixes
from gateway.rest.framework.envelope import MISSING, Codes
from gateway.rest.framework.fields import After, Limit, Milliseconds, Texts, cursor
from gateway.rest.framework.moments import moment
from gateway.rest.framework.requests import R
from gateway.rest.nouns.places import PLACE_CODES, Done, Place, StatusNumber
from resolvers import assessments, content_states, views
from resolvers.assessments import AssessmentCall
from resolvers.nouns import (
    Absent,
    InvalidInput,
    Role,
    Session,
    Status,
    View,
    ViewCall,
    ViewChange,
    from_milliseconds,
)
from resolvers.opaque_texts import decode_cursor
from resolvers.paging import MOST, Page

CODES: Codes = {
    **PLACE_CODES,
    (MISSING, "events"): "EVENTS_DATA_MISSING",
    "CONTEXT_CLOSED": "NOT_A_ON_GOING_BATCH",
    ("NOT_FOUND", "contextId"): "BATCH_NOT_EXISTS",
    ("INVALID_INPUT", "contextId"): "BATCH_NOT_EXISTS",
    ("NOT_FOUND", "collectionId"): "INVALID_REQUEST_DATA",
    ("INVALID_INPUT", "collectionId"): "INVALID_REQUEST_DATA",
    ("NOT_ENROLLED", "contextId"): "INVALID_REQUEST_DATA",
}
"""The platform's codes. Any other code of ours stands for itself."""
FIGURES_FOR = "a service, an admin or a mentor"
"""Who may have figures of others computed anew."""


# --- requests


class StartView(Place):
    content_id: str
    user_id: str | None = Field(default=None, description="For a service; else the caller's own.")

    def call(self, user_id: str | None) -> ViewCall:
        return ViewCall(self.content_id, *self.place(), user_id)


class EndView(StartView):
    progress_details: dict[str, Any] | None = Field(
        default=None, description="An object of at most 16 KB, given back as it is."
    )
    time_spent: int = Field(default=0, description="Seconds since the last call; added up.")
    call_id: str | None = Field(
        default=None,
        description="Sent again under the same name, it counts once among the last 16 calls of a view.",
    )


class UpdateView(EndView):
    progress: int | None = Field(default=None, description="From 0 to 100; never goes down.")
    status: StatusNumber | None = Field(default=None, description="Refused where it is below the stored one.")


class ReadViews(Place):
    content_id: str | None = None
    content_ids: Texts | None = None
    user_id: str | None = None
    context: Literal["all"] | None = Field(
        default=None, description="In all contexts, of the collection or of all; goes before `contextId`."
    )
    limit: Limit = MOST
    after: After | None = None


class ComputeAnew(Place):
    user_id: str | None = None


class SubmitAssessment(StartView):
    events: list[Any] | None = Field(
        default=None, description="The ASSESS events, one an answer; without any, scores are computed anew."
    )
    assessments: list[Any] | None = Field(
        default=None, description="The name that the platform's portal has for `events`."
    )
    attempt_id: str | None = Field(
        default=None, description="Without it one that follows from learner, content and time."
    )
    assessment_ts: Milliseconds | None = Field(default=None, description="Milliseconds; now unless given.")

    def names_sent(self) -> Mapping[str, str]:
        return {**super().names_sent(), "attemptedOn": "assessmentTs", "at": "assessmentTs"}

    def answers(self) -> list[Any]:
        """The events, by whichever name. Absent if there are none, InvalidInput if both names have some and they differ."""
        if self.events is None and self.assessments is None:
            raise Absent("events is missing", field="events")
        if None not in (self.events, self.assessments) and self.events != self.assessments:
            raise InvalidInput("events and assessments are the same; give one of them", field="assessments")
        return (self.assessments if self.events is None else self.events) or []


class ReadAssessments(Place):
    content_id: str | None = None
    user_id: str | None = None
    limit: Limit = MOST
    after: After | None = None


# --- answers


class ViewTold(TypedDict):
    contentId: str
    collectionId: str
    contextId: str
    status: int
    progress: int
    viewCount: int
    completedCount: int
    completionPercentage: int
    lastAccessTime: str | None
    lastCompletedTime: str | None
    progressDetails: dict[str, Any]
    timeSpent: int


class ViewsTold(TypedDict):
    userId: str
    collectionId: str | None
    contextId: str | None
    type: str
    contents: list[ViewTold]
    next: str | None


class AttemptTold(TypedDict):
    contentId: str
    attemptId: str
    score: float | None
    max_score: float | None
    lastAttemptedOn: str | None


class AttemptsTold(TypedDict):
    userId: str
    collectionId: str
    contextId: str
    assessments: list[AttemptTold]
    next: str | None


Acknowledged = dict[str, str]
"""A sentence by content, such as "Progress started"."""


# --- handlers


async def start(session: Session, call: Call[StartView]) -> Acknowledged:
    request = call.request
    await views.start_view(session, request.call(changed_user(session, call, request.user_id)))
    return {request.content_id: "Progress started"}


async def update(session: Session, call: Call[UpdateView]) -> Acknowledged:
    request = call.request
    change = ViewChange(
        session.now(),
        request.progress,
        request.progress_details,
        request.time_spent,
        request.status,
        request.call_id,
    )
    await views.update_view(session, request.call(changed_user(session, call, request.user_id)), change)
    return {request.content_id: "Progress Updated"}


async def end(session: Session, call: Call[EndView]) -> Acknowledged:
    request = call.request
    change = ViewChange(
        session.now(),
        progress_details=request.progress_details,
        time_spent=request.time_spent,
        call_id=request.call_id,
    )
    await views.end_view(session, request.call(changed_user(session, call, request.user_id)), change)
    return {request.content_id: "Progress ended"}


async def read(session: Session, call: Call[ReadViews]) -> ViewsTold:
    """Views of one content, of some or all contents in a place, or in all places."""
    request = call.request
    user_id = reader_of(session, call, request.user_id)
    collection_id, context_id = request.place()
    named = [*(request.content_ids or ()), *([request.content_id] if request.content_id is not None else ())]
    end: tuple[str, ...] | None
    if request.context is not None:
        if named:
            raise InvalidInput(
                "context=all is of a collection or of everything, not of contents", field="context"
            )
        after = decode_cursor(request.after, 3)
        page = await views.views_everywhere(
            session,
            user_id,
            collection_id=collection_id,
            first=request.limit,
            after=None if after is None else (after[0], after[1], after[2]),
        )
        last = page.members[-1].key if page.members else None
        end = None if last is None else (last.collection_id, last.context_id, last.content_id)
    elif collection_id is None:
        if not named:
            raise Absent("contentId (or collectionId) is missing", field="contentId")
        if context_id is not None:
            raise Absent("contextId needs a collectionId beside it", field="collectionId")
        page = Page([await views.view(session, user_id, content, None, None) for content in named], False)
        end = None
    else:
        page = await views.views_page(
            session,
            user_id,
            collection_id,
            context_id,
            content_ids=named or None,
            first=request.limit,
            after=next(iter(decode_cursor(request.after, 1) or ()), None),
        )
        end = (page.members[-1].key.content_id,) if page.members else None
    return {
        "userId": user_id,
        "collectionId": collection_id,
        "contextId": None if request.context else context_id or collection_id,
        "type": "contextall" if request.context else "content",
        "contents": [_view_answer(view) for view in page.members],
        "next": cursor(end) if page.has_more else None,
    }


async def compute_anew(session: Session, call: Call[ComputeAnew]) -> Done:
    """Has the workers compute a learner's figures anew, whatever they have seen."""
    request = call.request
    user_id = changed_user(session, call, request.user_id, Role.MENTOR, Role.ADMIN)
    await content_states.sync_enrolment(session, *request.whole_place(), user_id)
    return {"response": "SUCCESS"}


async def submit(session: Session, call: Call[SubmitAssessment]) -> Acknowledged:
    """Takes the answers. It says so of what will be scored; without answers scores are only asked for."""
    request = call.request
    events = request.answers()
    at = None if request.assessment_ts is None else from_milliseconds(request.assessment_ts)
    submission = AssessmentCall(
        request.content_id,
        *request.place(),
        user_id=changed_user(session, call, request.user_id),
        attempt_id=request.attempt_id,
        attempted_on=at,
        events=events,
    )
    await assessments.submit_assessment(session, submission)
    return {request.content_id: "Score Updated" if events else "Score Requested"}


async def read_assessments(session: Session, call: Call[ReadAssessments]) -> AttemptsTold:
    """The attempts whose scores were computed, in the order of content and attempt."""
    request = call.request
    user_id = reader_of(session, call, request.user_id)
    collection_id, context_id = request.place()
    collection_id = collection_id or request.content_id
    if collection_id is None:
        raise Absent("contentId (or collectionId) is missing", field="contentId")
    page = await assessments.attempts_page(
        session,
        user_id,
        collection_id,
        context_id,
        content_id=request.content_id,
        first=request.limit,
        after=decode_cursor(request.after, 2),
    )
    last = page.members[-1] if page.members else None
    return {
        "userId": user_id,
        "collectionId": collection_id,
        "contextId": context_id or collection_id,
        "assessments": [
            {
                "contentId": attempt.key.content_id,
                "attemptId": attempt.attempt_id,
                "score": attempt.score,
                "max_score": attempt.max_score,
                "lastAttemptedOn": moment(attempt.attempted_on),
            }
            for attempt in page.members
        ],
        "next": cursor((last.key.content_id, last.attempt_id)) if last and page.has_more else None,
    }


def _view_answer(view: View) -> ViewTold:
    return {
        "contentId": view.key.content_id,
        "collectionId": view.key.collection_id,
        "contextId": view.key.context_id,
        "status": int(view.status),
        "progress": view.progress,
        "viewCount": int(view.status is not Status.NOT_STARTED),
        "completedCount": int(view.status is Status.COMPLETED),
        "completionPercentage": view.progress,
        "lastAccessTime": moment(view.last_accessed_on),
        "lastCompletedTime": moment(view.completed_on),
        "progressDetails": view.progress_details or {},
        "timeSpent": view.time_spent,
    }


def _both(
    noun: str,
    name: str,
    summary: str,
    request: type[R],
    result: object,
    handler: Handler[R],
    max_age: int | None = None,
    for_others: str | None = None,
) -> list[Endpoint[R]]:
    """The call under both prefixes.

    ``for_others`` is by default whoever may read others' data for a call that reads, and a service for other calls.
    """
    api_id = f"api.{noun}.{name}"
    others = for_others or (ONLY_A_SERVICE if max_age is None else MANY_VIEWERS)
    return [
        Endpoint(
            *("POST", f"{prefix}/{name}", api_id, summary, request, result, handler, CODES, max_age, others),
            only_400=True,
        )
        for prefix in prefixes(noun)
    ]


ENDPOINTS: Sequence[Endpoint[Any]] = (
    *_both(
        "view",
        "start",
        "Starts a view; one that was started before stays as it is.",
        StartView,
        Acknowledged,
        start,
    ),
    *_both(
        "view",
        "update",
        "Notes progress of a started view; of a completed one nothing is stored.",
        UpdateView,
        Acknowledged,
        update,
    ),
    *_both("view", "end", "Completes a started view.", EndView, Acknowledged, end),
    *_both("view", "read", "Views of a content, a collection, or everywhere.", ReadViews, ViewsTold, read, 0),
    *_both(
        "view",
        "agg",
        "Has figures of an enrolment computed anew.",
        ComputeAnew,
        Done,
        compute_anew,
        None,
        FIGURES_FOR,
    ),
    *_both(
        "assessment", "submit", "Takes the answers of an attempt.", SubmitAssessment, Acknowledged, submit
    ),
    *_both(
        "assessment", "read", "Attempts and their scores.", ReadAssessments, AttemptsTold, read_assessments, 0
    ),
)
