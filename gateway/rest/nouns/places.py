"""What calls about a learner name: a collection and a context, under the platform's names or the viewer's, and a status."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from gateway.rest.framework.envelope import MISSING, Codes
from gateway.rest.framework.requests import RequestModel
from resolvers.nouns import Absent, Status, either

PLACE_CODES: Codes = {
    (MISSING, "courseId"): "COURSE_ID_REQUIRED_ERROR",
    (MISSING, "collectionId"): "COURSE_ID_REQUIRED_ERROR",
    (MISSING, "batchId"): "COURSE_BATCH_ID_MISSING",
    (MISSING, "contextId"): "COURSE_BATCH_ID_MISSING",
    (MISSING, "contentId"): "CONTENT_ID_REQUIRED_ERROR",
    (MISSING, "userId"): "USERID_MISSING",
}
"""The platform's codes of all calls about a learner."""


def _whole(value: object) -> object:
    if type(value) is not int:  # neither true nor 2.0, which an enum takes for its values
        raise ValueError(f"a whole number, one of {', '.join(str(int(status)) for status in Status)}")
    return value


StatusNumber = Annotated[Status, Field(strict=False), BeforeValidator(_whole)]


class Place(RequestModel):
    """Each id has two names. A call that gives both must give the same id."""

    collection_id: str | None = None
    context_id: str | None = None
    course_id: str | None = Field(default=None, description="The platform's name of `collectionId`.")
    batch_id: str | None = Field(default=None, description="The platform's name of `contextId`.")

    def names_sent(self) -> Mapping[str, str]:
        names = {}
        if self.collection_id is None and self.course_id is not None:
            names["collectionId"] = "courseId"
        if self.context_id is None and self.batch_id is not None:
            names["contextId"] = "batchId"
        return names

    def place(self) -> tuple[str | None, str | None]:
        """Collection and context. InvalidInput where an id has two values under its two names."""
        return (
            either(self.collection_id, self.course_id, "collectionId", "courseId"),
            either(self.context_id, self.batch_id, "contextId", "batchId"),
        )

    def whole_place(self) -> tuple[str, str]:
        """Collection and context. Absent, with the platform's name, where one of them was left out."""
        collection_id, context_id = self.place()
        if collection_id is None:
            raise Absent("courseId (or collectionId) is missing", field="courseId")
        if context_id is None:
            raise Absent("batchId (or contextId) is missing", field="batchId")
        return collection_id, context_id


class Done(TypedDict):
    response: str
