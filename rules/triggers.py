"""What commands send to the workers: "the rows of this learner changed, look again". Never a delta."""

from dataclasses import dataclass
from enum import Enum

import orjson

from rules.errors import InvalidInput
from rules.identifiers import ProgressKey, checked_id


class TriggerKind(Enum):
    VIEW = "view"
    ENROLMENT = "enrolment"
    PROFILE = "profile"
    RECONCILE = "reconcile"
    ERASURE = "erasure"
    """The rows are deleted: what was computed from them goes too, unless there are new ones."""
    FORGET = "forget"
    """An erasure is at its end, of a place or, where none is named, of the learner: what the log and files still hold goes
    as well."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """JSON on the wire: ``{kind, userId, collectionId?, contextId?, contentId?}``; a profile trigger is of all a learner
    has. ``content_id`` is the one content that was viewed; any of the key's may have been where there is none."""

    kind: TriggerKind
    user_id: str
    collection_id: str | None = None
    context_id: str | None = None
    content_id: str | None = None

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
        }
        return orjson.dumps({name: value for name, value in named.items() if value is not None})


def parse_trigger(value: bytes) -> Trigger:
    """The trigger in these bytes; InvalidInput with the reason where there is none."""
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
    return Trigger(
        *(kind, user_id, text_of(document, "collectionId"), text_of(document, "contextId"), content_id)
    )


def parse_object(value: bytes) -> dict[str, object]:
    """The JSON object in these bytes."""
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidInput("must be a JSON object")
    return document


def text_of(document: dict[str, object], field: str) -> str:
    """A checked id out of an event."""
    value = document.get(field)
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be a text", field=field)
    return checked_id(value, field)
