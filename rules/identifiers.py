"""Ids as clients send them, and the keys of rows that follow from them (R-VIEW-3)."""

from enum import Enum
from typing import NamedTuple
from zlib import crc32

from rules.errors import Absent, InvalidInput

LONGEST_ID = 256
CONTENT_SCOPES = 16


def checked_id(value: str | None, field: str) -> str:
    """Returns ``value`` without the space around it. Absent says that it is blank, InvalidInput that it is too long or
    has control characters."""
    text = (value or "").strip()
    if not text:
        raise Absent(f"{field} must not be blank", field=field)
    if len(text) > LONGEST_ID:
        raise InvalidInput(f"{field} must have at most {LONGEST_ID} characters", field=field)
    if not text.isprintable():
        raise InvalidInput(f"{field} must not hold control characters", field=field)
    return text


def optional_id(value: str | None, field: str) -> str | None:
    """Returns the checked id, None where it was left out. An id that was given blank is an error, not a default."""
    return None if value is None else checked_id(value, field)


def either(value: str | None, legacy: str | None, field: str, legacy_field: str) -> str | None:
    """Returns an id that has two names, whichever name it was given under: courseId is collectionId, batchId is
    contextId (R-LEGACY-2). InvalidInput says that both were given and differ."""
    if value is not None and legacy is not None and value.strip() != legacy.strip():
        raise InvalidInput(
            f"{field} and {legacy_field} are the same id; give one of them", field=legacy_field
        )
    return legacy if value is None else value


class ProgressKey(NamedTuple):
    """A learner in a place: whose progress it is, and in what. Workers recompute one key at a time."""

    user_id: str
    collection_id: str
    context_id: str

    @property
    def has_context(self) -> bool:
        """Whether a context was named. It is False for a collection by itself (scenario 2) and a content by itself
        (scenario 1)."""
        return self.context_id != self.collection_id


class ViewKey(NamedTuple):
    """The key of one view."""

    user_id: str
    collection_id: str
    context_id: str
    content_id: str

    @property
    def is_content_alone(self) -> bool:
        """Whether the content was viewed by itself (scenario 1)."""
        return self.collection_id == self.content_id

    @property
    def progress_key(self) -> ProgressKey:
        return ProgressKey(self.user_id, self.collection_id, self.context_id)

    @property
    def scope(self) -> str:
        return scope_of(self.collection_id, self.content_id)


def view_key(
    user_id: str, content_id: str, collection_id: str | None = None, context_id: str | None = None
) -> ViewKey:
    """Returns the key for a call with these ids. The context defaults to the collection, the collection to the content
    (R-VIEW-3).

    A context without a collection is refused: no scenario has it, and nobody would read its row.
    """
    user = checked_id(user_id, "userId")
    content = checked_id(content_id, "contentId")
    collection = optional_id(collection_id, "collectionId")
    context = optional_id(context_id, "contextId")
    if context is not None and collection is None:
        raise Absent("contextId needs a collectionId beside it", field="collectionId")
    collection = collection or content
    return ViewKey(user, collection, context or collection, content)


def scope_of(collection_id: str, content_id: str | None = None) -> str:
    """Returns the part of a view's partition key beside the user.

    It is the collection. For a content by itself it is one of 16 buckets: so reading many leaves touches few
    partitions, and no partition grows with a learner's life (R-RUN-2).
    """
    if content_id is not None and content_id == collection_id:
        return f"content:{crc32(content_id.encode()) % CONTENT_SCOPES}"
    return collection_id


class ContextType(Enum):
    """What gives a collection its dates and people. The value is the prefix in aggregate rows (P-1.1)."""

    BATCH = "cb"
    PROGRAM = "pr"
    PROGRAM_BATCH = "pb"
    EVENT = "ev"
    GROUP = "gr"
    COLLECTION = "co"
    """The collection itself, taken without a context (scenario 2)."""


def aggregate_context(context_type: ContextType, context_id: str) -> str:
    """Returns the context as aggregate rows write it, such as ``cb:<batchId>``."""
    return f"{context_type._value_}:{context_id}"  # the value itself: lists ask for hundreds


def parse_aggregate_context(value: str) -> tuple[ContextType, str]:
    """The inverse of aggregate_context."""
    prefix, _, context_id = value.partition(":")
    return ContextType(prefix), context_id
