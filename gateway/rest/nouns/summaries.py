"""The viewer's calls about summaries of enrolments, of the caller or of a learner whom the caller may see."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from gateway.rest.framework.callers import MANY_VIEWERS, changed_user, reader_of
from gateway.rest.framework.endpoints import Call, Endpoint, Handler, prefixes
from gateway.rest.framework.envelope import Codes
from gateway.rest.framework.fields import After, ByValue, Limit, cursor
from gateway.rest.framework.moments import moment
from gateway.rest.framework.prices import ENROLMENTS, CallPrice
from gateway.rest.framework.requests import R, RequestModel
from gateway.rest.nouns.contents import text_of
from gateway.rest.nouns.places import PLACE_CODES, Place
from resolvers import erasures, summaries
from resolvers.erasures import ErasureCall
from resolvers.nouns import Absent, Access, Role, Session, checked_id
from resolvers.opaque_texts import decode_cursor
from resolvers.paging import MOST
from resolvers.summaries import EnrolmentSummary, SummaryFormat

CODES: Codes = {
    **PLACE_CODES,
    ("NOT_FOUND", "contextId"): "INVALID_REQUEST_DATA",
    ("NOT_FOUND", "collectionId"): "INVALID_REQUEST_DATA",
}


# --- requests


class ReadSummary(Place):
    """Without a context it is the summary of what was done in the collection by itself."""

    user_id: str | None = Field(default=None, description="The caller's own where it is left out.")


class ListSummaries(RequestModel):
    limit: Limit = MOST
    after: After | None = None


class DownloadSummaries(RequestModel):
    format: Annotated[SummaryFormat, ByValue] = SummaryFormat.JSON


class DeleteSummaries(Place):
    """Without a collection all that the learner has. Therefore unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


# --- answers


class ScoreTold(TypedDict):
    score: float
    max_score: float


class CollectionTold(TypedDict):
    identifier: str
    name: str
    logo: str
    leafNodesCount: int | None
    description: str


class SummaryTold(TypedDict):
    userId: str
    collectionId: str
    contextId: str
    enrolledDate: str | None
    active: bool
    contentStatus: dict[str, int]
    assessmentStatus: dict[str, ScoreTold]
    collection: CollectionTold
    issuedCertificates: list[dict[str, str]]
    completedOn: str | None
    completedVersion: int | None
    lastContentAccessTime: str | None
    progress: int
    completionPercentage: int
    status: int


class SummariesTold(TypedDict):
    summary: list[SummaryTold]
    next: str | None


class DownloadTold(TypedDict):
    url: str | None
    expiresOn: str | None
    rows: int
    size: int


class PlaceTold(TypedDict):
    collectionId: str
    contextId: str


class Deleted(TypedDict):
    """It also has a sentence under the learner's user id."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    purged: list[PlaceTold]
    done: bool


# --- handlers


async def read(session: Session, call: Call[ReadSummary]) -> SummaryTold:
    user_id = reader_of(session, call, call.request.user_id)
    collection_id, context_id = call.request.place()
    if collection_id is None:
        raise Absent("courseId (or collectionId) is missing", field="courseId")
    return _summary_answer(await summaries.read_summary(session, user_id, collection_id, context_id))


async def list_summaries(session: Session, call: Call[ListSummaries]) -> SummariesTold:
    """All enrolments, also those that ended, in the order of collection and context."""
    after = decode_cursor(call.request.after, 2)
    page = await summaries.summaries_page(
        session,
        checked_id(call.path["user_id"], "userId"),
        first=call.request.limit,
        after=None if after is None else (after[0], after[1]),
    )
    last = page.members[-1].key if page.members and page.has_more else None
    return {
        "summary": [_summary_answer(one) for one in page.members],
        "next": cursor(None if last is None else (last.collection_id, last.context_id)),
    }


async def download(session: Session, call: Call[DownloadSummaries]) -> DownloadTold:
    """A link to a file with all summaries. It expires."""
    file = await summaries.download(session, call.path["user_id"], call.request.format)
    return {"url": file.url, "expiresOn": moment(file.expires_on), "rows": file.rows, "size": file.size}


async def delete(session: Session, call: Call[DeleteSummaries]) -> dict[str, Any]:
    """Deletes one enrolment, or all that the learner has, and answers with a Deleted."""
    user_id = changed_user(session, call, call.path["user_id"], Role.ADMIN)
    erased = await erasures.erase(session, ErasureCall(user_id, *call.request.place()))
    return {
        erased.user_id: "Enrolment Deleted Succesfully",  # as the platform writes it
        "purged": [{"collectionId": place[0], "contextId": place[1]} for place in erased.purged],
        "done": erased.done,
    }


def _summary_answer(summary: EnrolmentSummary) -> SummaryTold:
    key, collection = summary.key, summary.collection
    return {
        "userId": key.user_id,
        "collectionId": key.collection_id,
        "contextId": key.context_id,
        "enrolledDate": moment(summary.enrolled_on),
        "active": summary.active,
        "contentStatus": dict(summary.content_status or {}),
        "assessmentStatus": {
            content: {"score": score.score, "max_score": score.max_score}
            for content, score in (summary.scores or {}).items()
        },
        "collection": {
            "identifier": key.collection_id,
            "name": text_of(collection and collection.name),
            "logo": text_of(collection and collection.logo),
            "leafNodesCount": collection.leaf_nodes_count if collection else None,
            "description": text_of(collection and collection.description),
        },
        "issuedCertificates": [dict(certificate) for certificate in summary.certificates],
        "completedOn": moment(summary.completed_on),
        "completedVersion": summary.completed_version,
        "lastContentAccessTime": moment(summary.last_accessed_on),
        "progress": summary.progress.completed_count,
        "completionPercentage": summary.progress.completion_percentage,
        "status": int(summary.progress.status),
    }


def _both(
    method: str,
    name: str,
    summary: str,
    request: type[R],
    result: object,
    handler: Handler[R],
    rest: str = "/{user_id:path}",
    max_age: int | None = None,
    for_others: str | None = None,
    access: Access = Access.LEARNER,
    price: CallPrice | None = None,
) -> list[Endpoint[R]]:
    """The call under both prefixes."""
    api_id = f"api.summary.{name}"
    return [
        Endpoint(
            *(method, f"{prefix}/{name}{rest}", api_id, summary, request, result, handler, CODES, max_age),
            for_others=for_others,
            only_400=True,
            access=access,
            price=price,
        )
        for prefix in prefixes("summary")
    ]


ENDPOINTS: Sequence[Endpoint[Any]] = (
    *_both("POST", "read", "One enrolment in full.", ReadSummary, SummaryTold, read, "", 0, MANY_VIEWERS),
    *_both(
        "GET",
        "list",
        "All enrolments.",
        ListSummaries,
        SummariesTold,
        list_summaries,
        max_age=0,
        price=ENROLMENTS,
    ),
    *_both(
        "GET",
        "download",
        "All enrolments as a file.",
        DownloadSummaries,
        DownloadTold,
        download,
        price=ENROLMENTS,
    ),
    *_both(
        "DELETE",
        "delete",
        "Deletes one enrolment, or without a collection all of a learner; other parameters are refused.",
        DeleteSummaries,
        Deleted,
        delete,
        for_others="a service or an admin",
        access=Access.PERSON,
    ),
)
