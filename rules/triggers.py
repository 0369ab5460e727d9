"""What commands send to the workers: "the rows of this learner changed, look again" (R-AGG-1). It is never a delta."""

from dataclasses import dataclass
from enum import Enum

import orjson

from rules.errors import InvalidInput
from rules.identifiers import ProgressKey, checked_id

_LATEST = 253_402_300_800_000
"""The end of the year 9999, in milliseconds since 1970."""


class TriggerKind(Enum):
    VIEW = "view"
    ATTEMPT = "attempt"
    """An attempt at an assessment was scored. The place is the one where it is kept."""
    ENROLMENT = "enrolment"
    PROFILE = "profile"
    RECONCILE = "reconcile"
    ERASURE = "erasure"
    """The rows are deleted. What was computed from them goes too, unless there are new rows."""
    FORGET = "forget"
    """The erasure of a place is at its end, or of the whole learner where no place is named. What the log and files
    still have goes as well."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger, in JSON ``{kind, userId, collectionId?, contextId?, contentId?, at?, again?}``. A profile trigger is about
    all that a learner has. ``content_id`` is the content that was viewed; without it any content of the place may have
    been. Of an attempt it is the assessment.

    ``at``: when the learner did it, in milliseconds since 1970, one for each day. It says on which days they were active
    (R-ACTIVE-1), not what changed. ``again``: what group queries know of these days is sent again.
    """

    kind: TriggerKind
    user_id: str
    collection_id: str | None = None
    context_id: str | None = None
    content_id: str | None = None
    at: tuple[int, ...] = ()
    again: bool = False

    @property
    def progress_key(self) -> ProgressKey | None:
        if self.collection_id is None or self.context_id is None:
            return None
        return ProgressKey(self.user_id, self.collection_id, self.context_id)

    def encode(self) -> bytes:
        named = {
            "kind": self.kind.value,
            "userId": self.user_id,
            "collectionId": self.collection_id,
            "contextId": self.context_id,
            "contentId": self.content_id,
            "at": self.at or None,
            "again": self.again or None,
        }
        return orjson.dumps({name: value for name, value in named.items() if value is not None})


def parse_trigger(value: bytes) -> Trigger:
    """Returns the trigger in these bytes. InvalidInput says why there is none."""
    document = parse_object(value)
    try:
        kind = TriggerKind(document.get("kind"))
    except ValueError:
        kinds = ", ".join(kind.value for kind in TriggerKind)
        raise InvalidInput(f"kind must be one of {kinds}", field="kind") from None
    user_id = text_of(document, "userId")
    if kind is TriggerKind.PROFILE or (kind is TriggerKind.FORGET and document.get("collectionId") is None):
        return Trigger(kind, user_id)
    content_id = text_of(document, "contentId") if document.get("contentId") is not None else None
    place = text_of(document, "collectionId"), text_of(document, "contextId")
    return Trigger(kind, user_id, *place, content_id, _moments(document), document.get("again") is True)


def _moments(document: dict[str, object]) -> tuple[int, ...]:
    told = document.get("at", [])
    if not isinstance(told, list) or not all(type(at) is int and 0 <= at < _LATEST for at in told):
        raise InvalidInput("at must be a list of milliseconds since 1970", field="at")
    return tuple(told)


def parse_object(value: bytes) -> dict[str, object]:
    """Returns the JSON object in these bytes. InvalidInput says why there is none."""
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidInput("must be a JSON object")
    return document


def text_of(document: dict[str, object], field: str) -> str:
    """Returns a checked id out of an event."""
    value = document.get(field)
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be a text", field=field)
    return checked_id(value, field)
