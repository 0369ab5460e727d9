"""Content state update and read, the platform's calls about views and assessments."""

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from gateway.rest.framework.callers import MANY_VIEWERS, ONLY_A_SERVICE, changed_user, reader_of
from gateway.rest.framework.endpoints import Call, Endpoint
from gateway.rest.framework.envelope import MISSING, Codes, Json, message_of, platform_code
from gateway.rest.framework.fields import MOST_ITEMS, Milliseconds, Moment, Texts
from gateway.rest.framework.moments import moment
from gateway.rest.nouns.places import PLACE_CODES, Place, StatusNumber
from resolvers import content_states
from resolvers.assessments import AssessmentCall
from resolvers.content_states import ContentState, StateRead
from resolvers.nouns import (
    Absent,
    Access,
    CohortError,
    InvalidInput,
    Session,
    Status,
    either,
    from_milliseconds,
)

SUCCESS = "SUCCESS"
NOT_ONGOING, NO_BATCH = "NOT_A_ON_GOING_BATCH", "BATCH_NOT_EXISTS"
PROGRESS, SCORE = "progress", "score"
FIELDS = {PROGRESS: PROGRESS, SCORE: SCORE, "assessmentScore": SCORE}
"""The fields that a read may ask for, by each of their names. ``assessmentScore`` is an older name of Cohort's own."""

CODES: Codes = {
    **PLACE_CODES,
    (MISSING, "status"): "CONTENT_STATUS_MISSING_ERROR",
    (MISSING, "attemptId"): "ATTEMPT_ID_REQUIRED_ERROR",
    (MISSING, "events"): "EVENTS_DATA_MISSING",
    (MISSING, "assessmentTs"): "ATTEMPTED_DATE_REQUIRED",
    ("INVALID_INPUT", "lastAccessTime"): "DATE_FORMAT_ERRROR",
    ("INVALID_INPUT", "lastCompletedTime"): "DATE_FORMAT_ERRROR",
    (MISSING, "request"): "MANDATORY_PARAMETER_MISSING",
    ("INVALID_INPUT", "collectionId"): "INVALID_REQUEST_DATA",
    ("INVALID_INPUT", "contextId"): NO_BATCH,
    ("NOT_FOUND", "contextId"): NO_BATCH,
    ("NOT_FOUND", "collectionId"): "INVALID_REQUEST_DATA",
    "CONTEXT_CLOSED": NOT_ONGOING,
    "NOT_ENROLLED": "INVALID_REQUEST_DATA",
}
"""The platform's codes for whole calls and for items."""


# --- requests


class StateAsked(Place):
    content_id: str
    status: StatusNumber
    user_id: str | None = None
    progress: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="From 0 to 100; what is behind the point is cut off."
    )
    progressdetails: dict[str, Any] | None = Field(
        default=None, description="An object of at most 16 KB, given back as it is."
    )
    last_access_time: Moment | None = None
    last_completed_time: Moment | None = None

    def names_sent(self) -> Mapping[str, str]:
        accessed, completed = self.last_access_time, self.last_completed_time
        later = completed is not None and (accessed is None or completed > accessed)
        return {
            **super().names_sent(),
            "progressDetails": "progressdetails",
            "at": "lastCompletedTime" if later else "lastAccessTime",
        }

    def state(self, user_id: str | None) -> ContentState:
        return ContentState(
            self.content_id,
            self.status,
            *self.place(),
            user_id=user_id,
            progress=None if self.progress is None else int(self.progress),
            progress_details=self.progressdetails,
            last_accessed_on=self.last_access_time,
            last_completed_on=self.last_completed_time,
        )


class AssessmentAsked(Place):
    content_id: str
    attempt_id: str
    assessment_ts: Milliseconds
    events: list[Any] = Field(description="The ASSESS events, one an answer.")
    user_id: str | None = None

    def names_sent(self) -> Mapping[str, str]:
        return {**super().names_sent(), "attemptedOn": "assessmentTs", "at": "assessmentTs"}

    def submission(self, user_id: str | None) -> AssessmentCall:
        return AssessmentCall(
            self.content_id,
            *self.place(),
            user_id=user_id,
            attempt_id=self.attempt_id,
            attempted_on=from_milliseconds(self.assessment_ts),
            events=self.events,
        )


class UpdateStates(Place):
    """Without contents and assessments the enrolment is computed anew. Then the ids of the place are needed."""

    user_id: str | None = Field(default=None, description="For a service; else the caller's own.")
    contents: list[StateAsked] = Field(default=[], max_length=MOST_ITEMS)
    assessments: list[AssessmentAsked] = Field(default=[], max_length=MOST_ITEMS)


class ReadStates(Place):
    user_id: str | None = Field(default=None, description="The caller's own where it is left out.")
    course_ids: Texts = Field(default=[], description="The first of them is `courseId`.")
    content_ids: Texts | None = Field(default=None, description="Only of these.")
    fields: Texts = Field(
        default=[PROGRESS, SCORE],
        description=f"`{PROGRESS}`: progressdetails, `{SCORE}`: scores; both unless given.",
    )

    def wanted(self) -> frozenset[str]:
        """The fields that are asked for. InvalidInput lists the known ones."""
        for name in self.fields:
            if name not in FIELDS:
                raise InvalidInput(
                    f"fields: there is no {name}; there are {PROGRESS}, {SCORE}", field="fields"
                )
        return frozenset(FIELDS[name] for name in self.fields)


# --- answers


class ItemError(TypedDict):
    contentId: str
    courseId: str | None
    batchId: str | None
    userId: str | None
    code: str
    message: str


class StatesUpdated(TypedDict):
    """It also has SUCCESS by content id if all items of that content were taken, with its assessments, and by batch id if
    all its assessments were taken."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    NOT_A_ON_GOING_BATCH: NotRequired[list[str]]
    BATCH_NOT_EXISTS: NotRequired[list[str]]
    errors: NotRequired[list[ItemError]]


class AttemptScore(TypedDict):
    attemptId: str
    lastAttemptedOn: str | None
    totalMaxScore: float | None
    totalScore: float | None


class StateTold(TypedDict):
    contentId: str
    courseId: str
    collectionId: str
    batchId: str
    contextId: str
    status: int
    progress: int
    viewCount: int
    completedCount: int
    lastAccessTime: str | None
    lastCompletedTime: str | None
    progressdetails: NotRequired[dict[str, Any]]
    score: NotRequired[list[AttemptScore]]


class StatesTold(TypedDict):
    contentList: list[StateTold]


# --- handlers


async def update(session: Session, call: Call[UpdateStates]) -> Json:
    """Takes states and assessments, and answers with a StatesUpdated. Each item is taken or refused by itself."""
    request = call.request
    user_id = changed_user(session, call, request.user_id)
    if not request.contents and not request.assessments:
        place = request.whole_place()
        if user_id is None:
            raise Absent("userId is missing", field="userId")
        await content_states.sync_enrolment(session, *place, user_id)
        return {"response": SUCCESS}
    states = [one.state(_whose(one.user_id, user_id)) for one in request.contents]
    calls = [one.submission(_whose(one.user_id, user_id)) for one in request.assessments]
    updated, submitted = await content_states.take(session, states, calls)
    names = [one.names_sent() for one in (*request.contents, *request.assessments)]
    return _update_answer(
        [
            *((one, outcome, {one.content_id}) for one, outcome in zip(states, updated, strict=True)),
            *((one, outcome, _keys(one)) for one, outcome in zip(calls, submitted, strict=True)),
        ],
        names,
    )


async def read(session: Session, call: Call[ReadStates]) -> StatesTold:
    request = call.request
    user_id = reader_of(session, call, request.user_id)
    collection_id, context_id = request.place()
    collection_id = either(collection_id, next(iter(request.course_ids), None), "courseId", "courseIds")
    if collection_id is None and not request.content_ids:
        raise Absent("courseId (or collectionId) is missing", field="courseId")
    fields = request.wanted()
    found = await content_states.content_states(
        session,
        user_id,
        collection_id,
        context_id,
        content_ids=request.content_ids,
        scores=SCORE in fields,
    )
    return {"contentList": [_state_answer(one, fields) for one in found]}


def _whose(of_item: str | None, of_call: str | None) -> str | None:
    return of_call if of_item is None else of_item


_Item = tuple[ContentState | AssessmentCall, object, Set[str]]
"""What was asked, what became of it, and its keys in the result."""


def _keys(call: AssessmentCall) -> Set[str]:
    """The keys of an assessment: its batch, and its content if it counts as a state of it."""
    batch = call.context_id or call.content_id
    return {batch, call.content_id} if call.events else {batch}


def _update_answer(items: Sequence[_Item], names_sent: Sequence[Mapping[str, str]]) -> Json:
    """The result under the platform's keys, with an entry for each refused item."""
    refused = [
        (asked, error, names)
        for (asked, error, _), names in zip(items, names_sent, strict=True)
        if isinstance(error, CohortError)
    ]
    failed = {key for _, error, keys in items if isinstance(error, CohortError) for key in keys}
    result: Json = {key: SUCCESS for _, _, keys in items for key in keys - failed}
    errors: list[ItemError] = []
    for asked, error, names in refused:
        code = platform_code(error, CODES)
        if code in (NOT_ONGOING, NO_BATCH) and asked.context_id is not None:
            batches = result.setdefault(code, [])
            if asked.context_id not in batches:
                batches.append(asked.context_id)
        errors.append(
            {
                "contentId": asked.content_id,
                "courseId": asked.collection_id,
                "batchId": asked.context_id,
                "userId": asked.user_id,
                "code": code,
                "message": message_of(error, names),
            }
        )
    if errors:
        result["errors"] = errors
    return result


def _state_answer(found: StateRead, fields: Collection[str]) -> StateTold:
    view = found.view
    state: StateTold = {
        "contentId": view.key.content_id,
        "courseId": view.key.collection_id,
        "collectionId": view.key.collection_id,
        "batchId": view.key.context_id,
        "contextId": view.key.context_id,
        "status": int(view.status),
        "progress": view.progress,
        "viewCount": int(view.status is not Status.NOT_STARTED),
        "completedCount": int(view.status is Status.COMPLETED),
        "lastAccessTime": moment(view.last_accessed_on),
        "lastCompletedTime": moment(view.completed_on),
    }
    if PROGRESS in fields:
        state["progressdetails"] = view.progress_details or {}
    if SCORE in fields:
        state["score"] = [
            {
                "attemptId": attempt.attempt_id,
                "lastAttemptedOn": moment(attempt.attempted_on),
                "totalMaxScore": attempt.max_score,
                "totalScore": attempt.score,
            }
            for attempt in found.attempts
        ]
    return state


ENDPOINTS: Sequence[Endpoint[Any]] = (
    Endpoint(
        "PATCH",
        "/course/v1/content/state/update",
        "api.content.state.update",
        "Takes what a learner did with contents, and answers in assessments.",
        UpdateStates,
        StatesUpdated,
        update,
        CODES,
        for_others=ONLY_A_SERVICE,
        only_400=True,
        access=Access.CALLER,
    ),
    Endpoint(
        "POST",
        "/course/v1/content/state/read",
        "api.content.state.read",
        "What a learner has done with the contents of a course.",
        ReadStates,
        StatesTold,
        read,
        CODES,
        0,
        for_others=MANY_VIEWERS,
        only_400=True,
        access=Access.LEARNER,
    ),
)
