"""What calls of learners name: a collection and a context under the platform's names or the viewer's, a learner, a
moment, a page."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema
from typing_extensions import TypedDict

from gateway.rest.endpoints import TIME, A, Asked, Call
from gateway.rest.envelope import MISSING, MOMENT_FORMAT, Codes, parse_moment
from gateway.rest.names import BLANK
from graph.ids import decode_cursor, encode
from resolvers.nouns import Absent, Forbidden, Session, Status, either
from resolvers.paging import MOST
from rules.viewers import Role

PLACE_CODES: Codes = {
    (MISSING, "courseId"): "COURSE_ID_REQUIRED_ERROR",
    (MISSING, "collectionId"): "COURSE_ID_REQUIRED_ERROR",
    (MISSING, "batchId"): "COURSE_BATCH_ID_MISSING",
    (MISSING, "contextId"): "COURSE_BATCH_ID_MISSING",
    (MISSING, "contentId"): "CONTENT_ID_REQUIRED_ERROR",
    (MISSING, "userId"): "USERID_MISSING",
}
"""Of what calls of learners name, whichever call it is."""
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


def _moment(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"a text of the form {MOMENT_FORMAT}")
    try:
        return parse_moment(value)
    except ValueError:
        raise ValueError(f"of the form {MOMENT_FORMAT}, as 2026-01-31 12:00:00:000+0000") from None


Moment = Annotated[
    datetime,
    TIME,
    BeforeValidator(_moment),
    WithJsonSchema(
        {
            "type": "string",
            "description": f'{MOMENT_FORMAT}; blank or "null" is as good as left out.',
            "pattern": rf"^({BLANK}|\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d:\d{{3}}(Z|[+-]\d\d:?\d\d))$",
            "examples": ["2026-01-31 12:00:00:000+0000"],
        }
    ),
]


def _whole(value: object) -> object:
    if type(value) is not int:  # neither true nor 2.0, which an enum takes for its values
        raise ValueError(f"a whole number, one of {', '.join(str(int(status)) for status in Status)}")
    return value


StatusNumber = Annotated[Status, Field(strict=False), BeforeValidator(_whole)]
Milliseconds = Annotated[
    int,
    TIME,
    Field(ge=0, le=LATEST_MS),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": LATEST_MS},
                {"type": "string", "pattern": f"^{BLANK}$"},
            ],
            "description": "Milliseconds since 1970; a blank text is as good as none.",
        }
    ),
]
Limit = Annotated[int, Field(ge=1, le=MOST, description=f"How many at most, up to {MOST}.")]
After = Annotated[str, Field(description="`next` of the page before.")]


class Place(Asked):
    """Each id under either of its names. Given under both, it must be the same."""

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
        """Absent, by the platform's name, where one of them was left out."""
        collection_id, context_id = self.place()
        if collection_id is None:
            raise Absent("courseId (or collectionId) is missing", field="courseId")
        if context_id is None:
            raise Absent("batchId (or contextId) is missing", field="batchId")
        return collection_id, context_id


class Done(TypedDict):
    response: str


def named_user(call: Call[A], user_id: str | None) -> str | None:
    """Whom a call is for where that is not the caller: by the body, else by the header. Whether it may be, the command
    decides; Forbidden where the two differ."""
    if user_id is not None and call.acting_for is not None and user_id != call.acting_for:
        raise Forbidden("userId must be the user in X-Authenticated-For", field="userId")
    return call.acting_for if user_id is None else user_id


def changed_user(session: Session, call: Call[A], user_id: str | None, *others: Role) -> str | None:
    """As ``named_user``, of a call that changes something; Forbidden, which says who may, where the caller is neither
    a service nor has one of these roles."""
    user_id = named_user(call, user_id)
    own = session.viewer.known()
    if user_id is not None and user_id != own and not session.viewer.has(Role.SERVICE, *others):
        raise Forbidden(f"only {call.for_others} may act for another user", field="userId")
    return user_id


def reader_of(session: Session, call: Call[A], user_id: str | None) -> str:
    """Whose data is read. Unauthenticated without a token; whether the caller may see them, the resolver decides."""
    own = session.viewer.known()
    return named_user(call, user_id) or own


def cursor(place: tuple[str, ...] | None) -> str | None:
    return None if place is None else encode(*place)


def place_after(text: str | None, length: int) -> tuple[str, ...] | None:
    """InvalidInput where the cursor is none of this list."""
    return decode_cursor(text, length)
