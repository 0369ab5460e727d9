"""The viewer's calls about assessments: attempts are submitted and read, and scores are read (R-ASSESS-2, R-ASSESS-4)."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from gateway.rest.framework.callers import MANY_VIEWERS, changed_user, reader_of
from gateway.rest.framework.endpoints import Call, Endpoint, prefixes
from gateway.rest.framework.envelope import MISSING, VIEWING, Codes
from gateway.rest.framework.fields import After, Limit, Milliseconds, cursor
from gateway.rest.framework.moments import moment
from gateway.rest.nouns.places import PLACE_CODES, Place
from gateway.rest.nouns.views import CODES as VIEW_CODES
from gateway.rest.nouns.views import Acknowledged, StartView, both
from resolvers import assessment_scores, assessments
from resolvers.assessments import AssessmentCall, Question, Questioned
from resolvers.nouns import Absent, Access, InvalidInput, Session, either, known_milliseconds, known_moment
from resolvers.opaque_texts import decode_cursor
from resolvers.paging import MOST

CODES: Codes = {**VIEW_CODES, (MISSING, "events"): "EVENTS_DATA_MISSING"}
SCORE_CODES: Codes = {**PLACE_CODES, (MISSING, "assessmentId"): "CONTENT_ID_REQUIRED_ERROR"}
MOST_WITH_QUESTIONS = 20
"""Attempts of a page that has their questions: of each there may be some hundred kilobytes."""


# --- requests


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
    questions: bool = Field(
        default=False,
        description=f"Whether to tell the questions of each attempt. A page has at most {MOST_WITH_QUESTIONS} attempts then.",
    )
    limit: Limit = MOST
    after: After | None = None


class ReadScores(Place):
    """Without a collection or a context the scores of the place that was updated last."""

    assessment_id: str | None = Field(
        default=None, description="The assessment; needed, under this name or another."
    )
    content_id: str | None = Field(default=None, description="The viewer's name of `assessmentId`.")
    user_id: str | None = Field(default=None, description="The caller's own where it is left out.")


# --- answers


class QuestionTold(TypedDict):
    id: str
    type: str | None
    title: str | None
    description: str | None
    score: float | None
    max_score: float | None
    duration: float | None
    assess_ts: int | None
    params: list[dict[str, str]]
    resvalues: list[dict[str, str]]


class AttemptTold(TypedDict):
    contentId: str
    attemptId: str
    score: float | None
    max_score: float | None
    lastAttemptedOn: str | None
    questions: NotRequired[list[QuestionTold]]
    questionsSource: NotRequired[str]
    archiveId: NotRequired[str | None]


class AttemptsTold(TypedDict):
    userId: str
    collectionId: str
    contextId: str
    assessments: list[AttemptTold]
    next: str | None


class ScoresTold(TypedDict):
    """As the platform's document names them."""

    userId: str
    batchId: str
    courseId: str
    assessmentId: str
    bestScore: float
    totalMaxScore: float
    lastAttemptedScore: float
    updated_on: int | None


# --- handlers


async def submit(session: Session, call: Call[SubmitAssessment]) -> Acknowledged:
    """Takes the answers. It says so of what will be scored; without answers scores are only asked for."""
    request = call.request
    events = request.answers()
    at = known_moment(request.assessment_ts)
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


async def read_attempts(session: Session, call: Call[ReadAssessments]) -> AttemptsTold:
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
        first=min(request.limit, MOST_WITH_QUESTIONS) if request.questions else request.limit,
        after=decode_cursor(request.after, 2),
    )
    told: list[AttemptTold] = [
        {
            "contentId": attempt.key.content_id,
            "attemptId": attempt.attempt_id,
            "score": attempt.score,
            "max_score": attempt.max_score,
            "lastAttemptedOn": moment(attempt.attempted_on),
        }
        for attempt in page.members
    ]
    if request.questions:
        read = await assessments.questions_of(session, page.members)
        told = [_with_questions(attempt, found) for attempt, found in zip(told, read, strict=True)]
    last = page.members[-1] if page.members else None
    return {
        "userId": user_id,
        "collectionId": collection_id,
        "contextId": context_id or collection_id,
        "assessments": told,
        "next": cursor((last.key.content_id, last.attempt_id)) if last and page.has_more else None,
    }


async def read_scores(session: Session, call: Call[ReadScores]) -> ScoresTold:
    """The best and the last score in an assessment, out of the small table that workers keep."""
    request = call.request
    assessment_id = either(request.assessment_id, request.content_id, "assessmentId", "contentId")
    if assessment_id is None:
        raise Absent("assessmentId is missing", field="assessmentId")
    user_id = reader_of(session, call, request.user_id)
    read = await assessment_scores.latest_scores(session, user_id, assessment_id, *request.place())
    stored = read.stored
    return {
        "userId": read.key.user_id,
        "batchId": read.key.context_id,
        "courseId": read.key.collection_id,
        "assessmentId": read.key.content_id,
        "bestScore": stored.best,
        "totalMaxScore": stored.max,
        "lastAttemptedScore": stored.last,
        "updated_on": known_milliseconds(stored.updated_on),
    }


def _with_questions(attempt: AttemptTold, read: Questioned) -> AttemptTold:
    return {
        **attempt,
        "questions": [_question_answer(question) for question in read.questions],
        "questionsSource": read.source.value,
        "archiveId": read.archive_id,
    }


def _question_answer(question: Question) -> QuestionTold:
    at = question.assessed_on
    return {
        "id": question.id,
        "type": question.type,
        "title": question.title,
        "description": question.description,
        "score": question.score,
        "max_score": question.max_score,
        "duration": question.duration,
        "assess_ts": known_milliseconds(at),
        "params": [dict(each) for each in question.options],
        "resvalues": [dict(each) for each in question.answers],
    }


ENDPOINTS: Sequence[Endpoint[Any]] = (
    *both(
        *("assessment", "submit", "Takes the answers of an attempt.", SubmitAssessment, Acknowledged, submit),
        codes=CODES,
    ),
    *both(
        *(
            "assessment",
            "read",
            "Attempts and their scores.",
            ReadAssessments,
            AttemptsTold,
            read_attempts,
            0,
        ),
        codes=CODES,
    ),
    *(
        Endpoint(
            "POST",
            f"{prefix}/assess/read",
            "api.view.assessment.read",
            "Best and last score in an assessment.",
            ReadScores,
            ScoresTold,
            read_scores,
            SCORE_CODES,
            max_age=0,
            for_others=MANY_VIEWERS,
            only_400=True,
            envelope=VIEWING,
            access=Access.LEARNER,
        )
        for prefix in prefixes("view", 2)
    ),
)
