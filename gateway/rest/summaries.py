"""The viewer's calls about summaries of enrolments (R-LEGACY-3, P-2.7). Whose they are is in the path or, for one, in the
call; a learner's own, or of somebody whom the caller may see."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from gateway.rest.contents import text_of
from gateway.rest.endpoints import MANY_VIEWERS, A, Asked, ByValue, Call, Endpoint, Handler
from gateway.rest.envelope import Codes, moment
from gateway.rest.places import PLACE_CODES, After, Limit, Place, changed_user, cursor, place_after, reader_of
from resolvers import erasures, summaries
from resolvers.erasures import ErasureCall
from resolvers.nouns import Absent, Session, checked_id
from resolvers.paging import MOST
from resolvers.summaries import EnrolmentSummary, SummaryFormat
from rules.viewers import Role

CODES: Codes = {
    **PLACE_CODES,
    ("NOT_FOUND", "contextId"): "INVALID_REQUEST_DATA",
    ("NOT_FOUND", "collectionId"): "INVALID_REQUEST_DATA",
}


# --- what is asked


class ReadSummary(Place):
    """Without a context of what was done in the collection by itself."""

    user_id: str | None = Field(default=None, description="The caller's own where it is left out.")


class ListSummaries(Asked):
    limit: Limit = MOST
    after: After | None = None


class DownloadSummaries(Asked):
    format: Annotated[SummaryFormat, ByValue] = SummaryFormat.JSON


class DeleteSummaries(Place):
    """Without a collection all that the learner has; therefore nothing that is not known is passed over."""

    model_config = ConfigDict(extra="forbid")


# --- what is told


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
    """Beside these a word about the learner, by user id."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    purged: list[PlaceTold]
    done: bool


# --- the calls


async def read(session: Session, call: Call[ReadSummary]) -> SummaryTold:
    user_id = reader_of(session, call, call.request.user_id)
    collection_id, context_id = call.request.place()
    if collection_id is None:
        raise Absent("courseId (or collectionId) is missing", field="courseId")
    return _told(await summaries.read_summary(session, user_id, collection_id, context_id))


async def list_summaries(session: Session, call: Call[ListSummaries]) -> SummariesTold:
    """All enrolments, those that ended as well, in the order of collection and context."""
    after = place_after(call.request.after, 2)
    page = await summaries.summaries_page(
        session,
        checked_id(call.path["user_id"], "userId"),
        first=call.request.limit,
        after=None if after is None else (after[0], after[1]),
    )
    last = page.members[-1].key if page.members and page.has_more else None
    return {
        "summary": [_told(one) for one in page.members],
        "next": cursor(None if last is None else (last.collection_id, last.context_id)),
    }


async def download(session: Session, call: Call[DownloadSummaries]) -> DownloadTold:
    """A link to a file of all of them, which expires."""
    file = await summaries.download(session, call.path["user_id"], call.request.format)
    return {"url": file.url, "expiresOn": moment(file.expires_on), "rows": file.rows, "size": file.size}


async def delete(session: Session, call: Call[DeleteSummaries]) -> dict[str, Any]:
    """As Deleted: one enrolment, or all that the learner has."""
    user_id = changed_user(session, call, call.path["user_id"], Role.ADMIN)
    erased = await erasures.erase(session, ErasureCall(user_id, *call.request.place()))
    return {
        erased.user_id: "Enrolment Deleted Succesfully",  # as the platform writes it
        "purged": [{"collectionId": place[0], "contextId": place[1]} for place in erased.purged],
        "done": erased.done,
    }


def _told(summary: EnrolmentSummary) -> SummaryTold:
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
        "lastContentAccessTime": moment(summary.last_accessed_on),
        "progress": summary.progress.completed_count,
        "completionPercentage": summary.progress.completion_percentage,
        "status": int(summary.progress.status),
    }


def _both(
    method: str,
    name: str,
    summary: str,
    request: type[A],
    result: object,
    handler: Handler[A],
    rest: str = "/{user_id:path}",
    max_age: int | None = None,
    for_others: str | None = None,
) -> list[Endpoint[A]]:
    """Under the service's own prefix and under the one that clients see."""
    api_id = f"api.summary.{name}"
    return [
        Endpoint(
            *(method, f"{prefix}/{name}{rest}", api_id, summary, request, result, handler, CODES, max_age),
            for_others=for_others,
            only_400=True,
        )
        for prefix in ("/v1/summary", "/summary/v1")
    ]


ENDPOINTS: Sequence[Endpoint[Any]] = (
    *_both("POST", "read", "One enrolment in full.", ReadSummary, SummaryTold, read, "", 0, MANY_VIEWERS),
    *_both("GET", "list", "All enrolments.", ListSummaries, SummariesTold, list_summaries, max_age=0),
    *_both("GET", "download", "All enrolments as a file.", DownloadSummaries, DownloadTold, download),
    *_both(
        "DELETE",
        "delete",
        "Deletes one enrolment, or without a collection all of a learner; other parameters are refused.",
        DeleteSummaries,
        Deleted,
        delete,
        for_others="a service or an admin",
    ),
)
