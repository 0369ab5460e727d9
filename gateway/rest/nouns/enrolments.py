"""Enrolments as the platform's clients call them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from gateway.rest.framework.callers import changed_user
from gateway.rest.framework.endpoints import Call, Endpoint
from gateway.rest.framework.envelope import Codes, Refused
from gateway.rest.framework.fields import After, Commas, cursor
from gateway.rest.framework.moments import moment
from gateway.rest.framework.prices import ENROLMENTS
from gateway.rest.framework.requests import RequestModel
from gateway.rest.nouns.contents import among, content_metadata, text_of
from gateway.rest.nouns.places import PLACE_CODES, Done, Place
from resolvers import collections, contexts, enrolments
from resolvers.enrolments import Enrolled, Recency
from resolvers.nouns import Access, CohortError, EnrolmentCall, EnrolmentClosed, InvalidInput, Role, Session
from resolvers.opaque_texts import decode_cursor
from resolvers.paging import MOST

CODES: Codes = {
    **PLACE_CODES,
    ("NOT_FOUND", "contextId"): "INVALID_COURSE_BATCH_ID",
    ("NOT_FOUND", "collectionId"): "INVALID_COURSE_BATCH_ID",
    ("INVALID_INPUT", "contextId"): "INVALID_COURSE_BATCH_ID",
    ("INVALID_INPUT", "collectionId"): "INVALID_COURSE_BATCH_ID",
    ("FORBIDDEN", "contextId"): "ENROLLMENT_TYPE_VALIDATION",
    "ALREADY_ENROLLED": "USER_ALREADY_ENROLLED_COURSE",
    "NOT_ENROLLED": "USER_NOT_ENROLLED_COURSE",
    "ALREADY_COMPLETED": "COURSE_BATCH_ALREADY_COMPLETED",
    ("ENROLMENT_CLOSED", "end"): "COURSE_BATCH_ALREADY_COMPLETED",
    ("ENROLMENT_CLOSED", "enrolmentEnd"): "COURSE_BATCH_ENROLLMENT_DATE_ENDED",
}
"""The fields ``end`` and ``enrolmentEnd`` say which date of the context is past."""
ENROL_FOR = "a service, an admin or a mentor of the batch"
BATCH_IDS = ("identifier", "batchId")
"""Fields of ``batch`` that are always sent."""
MOST_LISTED = 1000
"""Enrolments in one list. The platform's clients give no limit and expect all of them."""


# --- requests


class Enrol(Place):
    passed_over = frozenset({"contentId"})

    user_id: str | None = Field(
        default=None, description="For a mentor of the batch, an admin or a service; else the caller."
    )


class ListEnrolments(RequestModel):
    fields: Commas | None = Field(
        default=None, description="What `content` has; all that there is without it."
    )
    batch_details: Commas | None = Field(
        default=None, description="What `batch` has; all that there is without it."
    )
    limit: Annotated[
        int, Field(ge=1, le=MOST_LISTED, description=f"How many at most, up to {MOST_LISTED}.")
    ] = MOST_LISTED
    after: After | None = None


# --- answers


class CourseTold(TypedDict):
    courseId: str
    collectionId: str
    contentId: str
    batchId: str
    contextId: str
    userId: str
    courseName: str
    description: str
    courseLogoUrl: str
    leafNodesCount: int | None
    content: dict[str, Any]
    batch: dict[str, Any]
    status: int
    progress: int
    completionPercentage: int
    contentStatus: dict[str, int]
    enrolledDate: str | None
    completedOn: str | None
    completedVersion: int | None
    lastContentAccessTime: str | None
    lastReadContentId: str | None
    lastReadContentStatus: int | None
    issuedCertificates: list[dict[str, str]]
    certificates: list[dict[str, str]]
    dateTime: str | None
    active: bool
    addedBy: str


class EnrolmentsTold(TypedDict):
    courses: list[CourseTold]
    next: str | None


COURSE_NAMES = ("description", "appIcon")
"""Metadata of a course that its enrolments tell beside ``content``."""


# --- handlers


async def enrol(session: Session, call: Call[Enrol]) -> Done:
    wanted = _call(session, call)
    try:
        await enrolments.enrol(session, wanted)
    except EnrolmentClosed as error:
        raise await _closed(session, wanted, error) from None
    return {"response": "SUCCESS"}


async def unenrol(session: Session, call: Call[Enrol]) -> Done:
    await enrolments.unenrol(session, _call(session, call))
    return {"response": "SUCCESS"}


async def list_enrolments(session: Session, call: Call[ListEnrolments]) -> EnrolmentsTold:
    """A learner's active enrolments, those last accessed first. With ``next`` a client reads on."""
    request = call.request
    end = _recency(decode_cursor(request.after, 3))
    courses: list[CourseTold] = []
    left = request.limit
    while left > 0:
        page, end = await enrolments.recent_enrolments_page(
            session, call.path["user_id"], first=min(left, MOST), after=end
        )
        contents = [found.collection for found in page.members if found.collection is not None]
        names = None if request.fields is None else {*request.fields, *COURSE_NAMES}
        published = await collections.metadata(session, contents, names)
        courses += [_course_answer(session, found, request, published) for found in page.members]
        left -= MOST
        if end is None:
            break
    return {
        "courses": courses,
        "next": cursor(end and (str(end[0]), end[1], end[2])),
    }


def _call(session: Session, call: Call[Enrol]) -> EnrolmentCall:
    place = call.request.whole_place()
    user_id = changed_user(session, call, call.request.user_id, Role.MENTOR, Role.ADMIN)
    return EnrolmentCall(*place, user_id)


async def _closed(session: Session, call: EnrolmentCall, error: CohortError) -> Refused:
    """The refusal with the platform's code, which tells a batch that has ended from one that takes no more learners."""
    context = await contexts.context(session, call.context_id)
    ended = context.end_date is not None and session.now() > context.end_date
    return Refused(error, CODES["ENROLMENT_CLOSED", "end" if ended else "enrolmentEnd"])


def _recency(parts: Sequence[str] | None) -> Recency | None:
    if parts is None:
        return None
    try:
        return int(parts[0]), parts[1], parts[2]
    except ValueError:
        raise InvalidInput("after must be a cursor of this list", field="after") from None


def _course_answer(
    session: Session, found: Enrolled, request: ListEnrolments, published: Mapping[str, Mapping[str, Any]]
) -> CourseTold:
    enrolment, key = found.enrolment, found.enrolment.key
    content = _content(found, published.get(key.collection_id, {}))
    read = enrolment.last_read_content_id
    certificates = [dict(certificate) for certificate in enrolment.certificates]
    return {
        "courseId": key.collection_id,
        "collectionId": key.collection_id,
        "contentId": key.collection_id,
        "batchId": key.context_id,
        "contextId": key.context_id,
        "userId": key.user_id,
        "courseName": content["name"],
        "description": text_of(content.get("description")),
        "courseLogoUrl": text_of(content.get("appIcon")),
        "leafNodesCount": found.collection.leaf_nodes_count if found.collection else None,
        "content": among(content, request.fields),
        "batch": among(
            _batch(session, found),
            None if request.batch_details is None else {*BATCH_IDS, *request.batch_details},
        ),
        "status": int(found.progress.status),
        "progress": found.progress.completed_count,
        "completionPercentage": found.progress.completion_percentage,
        "contentStatus": {content: status for content, status in found.statuses.items() if status},
        "enrolledDate": moment(enrolment.enrolled_on),
        "completedOn": moment(found.completed_on),
        "completedVersion": found.completed_version,
        "lastContentAccessTime": moment(found.last_accessed_on),
        "lastReadContentId": read,
        "lastReadContentStatus": None if read is None else found.statuses.get(read),
        "issuedCertificates": certificates,
        "certificates": certificates,
        "dateTime": moment(found.last_accessed_on or enrolment.enrolled_on),
        "active": enrolment.active,
        "addedBy": "",  # nobody notes who enrols whom
    }


def _content(found: Enrolled, published: Mapping[str, Any]) -> dict[str, Any]:
    """The course's metadata. If the course is gone, only what its enrolment repeats of it."""
    if found.collection is not None:
        return content_metadata(found.collection, published)
    return {
        "identifier": found.enrolment.key.collection_id,
        "name": text_of(found.enrolment.copies.collection_name),
    }


def _batch(session: Session, found: Enrolled) -> dict[str, Any]:
    context, copies, key = found.context, found.enrolment.copies, found.enrolment.key
    named = {
        **dict.fromkeys(BATCH_IDS, key.context_id),
        "courseId": key.collection_id,
        "collectionId": key.collection_id,
    }
    if context is None:
        return named | {
            "name": text_of(copies.context_name),
            "startDate": moment(copies.context_start_date),
            "endDate": moment(copies.context_end_date),
        }
    return named | {
        "name": context.name,
        "description": text_of(context.description),
        "startDate": moment(context.start_date),
        "endDate": moment(context.end_date),
        "enrollmentEndDate": moment(context.enrolment_end_date),
        "enrollmentType": context.enrolment_type.value,
        "status": context.status_at(session.now()).value,
        "mentors": sorted(context.mentors),
        "createdBy": text_of(context.created_by),
        "createdDate": moment(context.created_on),
        "updatedDate": moment(context.updated_on),
    }


ENDPOINTS: Sequence[Endpoint[Any]] = (
    Endpoint(
        *("POST", "/course/v1/enrol", "api.course.enrol", "Enrols a learner.", Enrol, Done, enrol, CODES),
        for_others=ENROL_FOR,
        only_400=True,
        access=Access.ENROLLER,
    ),
    Endpoint(
        *(
            "POST",
            "/course/v1/unenrol",
            "api.course.unenrol",
            "Ends an enrolment.",
            Enrol,
            Done,
            unenrol,
            CODES,
        ),
        for_others=ENROL_FOR,
        only_400=True,
        access=Access.ENROLLER,
    ),
    Endpoint(
        "GET",
        "/course/v1/user/enrollment/list/{user_id:path}",
        "api.user.enrollment.list",
        "A learner's active enrolments, those last accessed first.",
        ListEnrolments,
        EnrolmentsTold,
        list_enrolments,
        CODES,
        0,
        only_400=True,
        access=Access.LEARNER,
        price=ENROLMENTS,
    ),
)
