"""The viewer's calls about views. Those about assessments have a module of their own."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from gateway.rest.framework.callers import MANY_VIEWERS, ONLY_A_SERVICE, changed_user, reader_of
from gateway.rest.framework.endpoints import Call, Endpoint, Handler, prefixes
from gateway.rest.framework.envelope import Codes
from gateway.rest.framework.fields import After, Limit, Texts, cursor
from gateway.rest.framework.moments import moment
from gateway.rest.framework.requests import R
from gateway.rest.nouns.places import PLACE_CODES, Done, Place, StatusNumber
from resolvers import content_states, views
from resolvers.nouns import (
    Absent,
    Access,
    InvalidInput,
    Role,
    Session,
    Status,
    View,
    ViewCall,
    ViewChange,
)
from resolvers.opaque_texts import decode_cursor
from resolvers.paging import MOST, Page

CODES: Codes = {
    **PLACE_CODES,
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
            views.ViewsWanted(collection_id, context_id, named or None),
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


def both(
    noun: str,
    name: str,
    summary: str,
    request: type[R],
    result: object,
    handler: Handler[R],
    max_age: int | None = None,
    for_others: str | None = None,
    codes: Codes = CODES,
    access: Access | None = None,
) -> list[Endpoint[R]]:
    """The call under both prefixes.

    ``for_others`` is by default whoever may read others' data for a call that reads, and a service for other calls. So is
    ``access``.
    """
    api_id = f"api.{noun}.{name}"
    others = for_others or (ONLY_A_SERVICE if max_age is None else MANY_VIEWERS)
    return [
        Endpoint(
            *("POST", f"{prefix}/{name}", api_id, summary, request, result, handler, codes, max_age, others),
            only_400=True,
            access=access or (Access.CALLER if max_age is None else Access.LEARNER),
        )
        for prefix in prefixes(noun)
    ]


ENDPOINTS: Sequence[Endpoint[Any]] = (
    *both(
        "view",
        "start",
        "Starts a view; one that was started before stays as it is.",
        StartView,
        Acknowledged,
        start,
    ),
    *both(
        "view",
        "update",
        "Notes progress of a started view; of a completed one nothing is stored.",
        UpdateView,
        Acknowledged,
        update,
    ),
    *both("view", "end", "Completes a started view.", EndView, Acknowledged, end),
    *both("view", "read", "Views of a content, a collection, or everywhere.", ReadViews, ViewsTold, read, 0),
    *both(
        "view",
        "agg",
        "Has figures of an enrolment computed anew.",
        ComputeAnew,
        Done,
        compute_anew,
        None,
        FIGURES_FOR,
        access=Access.RECOUNTER,
    ),
)
