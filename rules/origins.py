"""Where a view's status came from, when the learner did not earn it in that very place (R-MODE-8)."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache

import orjson

from rules.identifiers import ViewKey
from rules.moments import known_milliseconds, known_moment


class OriginKind(Enum):
    """How a status got where it is."""

    CARRIED = "carried"
    """Shown here and stored where ``place`` says: carry forward keeps one row for every place."""
    COPIED = "copied"
    """Written here because the learner completed the content at ``place``, and the instance's rules let it count."""
    MOVED = "moved"
    """The learner went on with the collection here; it was at ``place`` before."""
    CLOSED = "closed"
    """Ended by force: nobody had touched it for long."""
    MIGRATED = "migrated"
    """Brought from the platform that Cohort took over from."""
    GRANTED = "granted"
    """The platform that Cohort took over from had completed the whole collection, and kept no details of its contents."""
    MODE_CHANGED = "mode-changed"
    """Kept as it was shown at ``place`` when the instance went over to another mode."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a status came from. ``place`` is the collection and the context where it was earned, if that is another
    place; ``reason`` is the rule or command, in words; ``at`` is when it was carried over."""

    kind: OriginKind
    place: tuple[str, str] | None = None
    reason: str = ""
    at: datetime | None = None

    @classmethod
    def of(cls, kind: OriginKind, key: ViewKey, reason: str, at: datetime) -> "Origin":
        """Returns an origin at the place of this view."""
        return cls(kind, (key.collection_id, key.context_id), reason, at)

    def encode(self) -> str:
        """Returns the text of the column ``origin``."""
        at = known_milliseconds(self.at)
        return orjson.dumps([self.kind.value, self.place, self.reason, at]).decode()

    @classmethod
    @lru_cache(maxsize=4096)
    def decode(cls, text: str) -> "Origin":
        """Returns the origin in the text of the column. Most rows of a page have the same one."""
        kind, place, reason, at = orjson.loads(text)
        return cls(OriginKind(kind), place and (place[0], place[1]), reason, known_moment(at))
