"""Ids as clients send them, and the keys of rows that follow from them (R-VIEW-3)."""

from dataclasses import dataclass
from enum import Enum
from zlib import crc32

from rules.errors import Absent, InvalidInput

LONGEST_ID = 256
CONTENT_SCOPES = 16


def checked_id(value: str | None, field: str) -> str:
    """``value`` without surrounding space; Absent where it is blank, InvalidInput where it is too long or holds control
    characters."""
    text = (value or "").strip()
    if not text:
        raise Absent(f"{field} must not be blank", field=field)
    if len(text) > LONGEST_ID:
        raise InvalidInput(f"{field} must have at most {LONGEST_ID} characters", field=field)
    if not text.isprintable():
        raise InvalidInput(f"{field} must not hold control characters", field=field)
    return text


def optional_id(value: str | None, field: str) -> str | None:
    """None where the id was left out; a blank one that was given is an error, not a default."""
    return None if value is None else checked_id(value, field)


def either(value: str | None, legacy: str | None, field: str, legacy_field: str) -> str | None:
    """An id that has two names, under whichever it was given: courseId is collectionId, batchId is contextId.
    InvalidInput where both were given and differ."""
    if value is not None and legacy is not None and value.strip() != legacy.strip():
        raise InvalidInput(
            f"{field} and {legacy_field} are the same id; give one of them", field=legacy_field
        )
    return legacy if value is None else value


@dataclass(frozen=True, slots=True, order=True)
class ProgressKey:
    """Whose progress in what: the unit of recomputation."""

    user_id: str
    collection_id: str
    context_id: str

    @property
    def has_context(self) -> bool:
        """False where a collection was taken by itself (scenario 2), or a content (scenario 1)."""
        return self.context_id != self.collection_id


@dataclass(frozen=True, slots=True, order=True)
class ViewKey:
    """The row of one content view."""

    user_id: str
    collection_id: str
    context_id: str
    content_id: str

    @property
    def is_content_alone(self) -> bool:
        """Scenario 1: a content found by search, outside any collection."""
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
    """The row for a call with these ids: what is left out defaults to the next one in (R-VIEW-3).

    A context without a collection is refused: no scenario has it, and it would fall under a row nobody reads.
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
    """The partition of a view row beside the user.

    The collection; for a content by itself one of 16 buckets, so that reading many leaves touches few partitions
    and no partition grows with a learner's life (R-RUN-2).
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
    """``cb:<batchId>`` and the like, as aggregate rows have it."""
    return f"{context_type.value}:{context_id}"


def parse_aggregate_context(value: str) -> tuple[ContextType, str]:
    """The inverse of aggregate_context."""
    prefix, _, context_id = value.partition(":")
    return ContextType(prefix), context_id
