"""The modes of an instance: under which keys views are kept, and what a completion elsewhere counts (R-MODE-1,
P-4.7)."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rules.carry_rules import NOTHING, CarryRules
from rules.identifiers import ProgressKey, ViewKey
from rules.origins import Origin, OriginKind


class TrackingMode(Enum):
    """One for a whole instance; `cohort modes change` goes from one to another."""

    STRICT = "strict"
    """A view counts in the context that it was taken in, and nowhere else."""
    CARRY_FORWARD_FULL = "carry-forward-full"
    """A content once completed is completed in every collection."""
    CARRY_FORWARD_COLLECTION = "carry-forward-collection"
    """A content completed in a collection is completed under each of the collection's contexts."""
    COPY = "copy"
    """As strict; a completion elsewhere is copied in where the rules let it count."""
    MOVE = "move"
    """As strict; who enrols takes the progress of a collection along from the context where it was under way."""


_CARRIED = {
    TrackingMode.CARRY_FORWARD_FULL: "a content once completed is completed in every collection",
    TrackingMode.CARRY_FORWARD_COLLECTION: "a content completed in a collection is completed under each of its contexts",
}


@dataclass(frozen=True, slots=True)
class Tracking:
    """How an instance keeps views. ``rules`` are those of copy and move; the other modes have none."""

    mode: TrackingMode = TrackingMode.STRICT
    rules: CarryRules = NOTHING

    def stored(self, asked: ViewKey) -> ViewKey:
        """Returns the key of the row for the ids that a client names; docs/modes.md has the table."""
        if not self.carries:
            return asked
        if self.mode is TrackingMode.CARRY_FORWARD_FULL:
            return ViewKey(asked.user_id, asked.content_id, asked.content_id, asked.content_id)
        source = self.source(asked.progress_key)
        return ViewKey(asked.user_id, source.collection_id, source.context_id, asked.content_id)

    def source(self, key: ProgressKey) -> ProgressKey:
        """Returns the key that the views of this one are kept under. Full carry forward keeps views by content, under
        no key of a collection: then the same key is returned."""
        if self.mode is TrackingMode.CARRY_FORWARD_COLLECTION:
            return ProgressKey(key.user_id, key.collection_id, key.collection_id)
        return key

    def origin(self, asked: ViewKey, at: datetime) -> Origin | None:
        """Returns the origin of a view that is kept elsewhere than it was taken: where that was, and why it shows
        elsewhere."""
        if self.stored(asked) == asked:
            return None
        return Origin.of(OriginKind.CARRIED, asked, _CARRIED[self.mode], at)

    @property
    def keeps_by_content(self) -> bool:
        return self.mode is TrackingMode.CARRY_FORWARD_FULL

    @property
    def carries(self) -> bool:
        """Whether a view may show in other places than where it was taken, without being written there."""
        return self.mode in (TrackingMode.CARRY_FORWARD_FULL, TrackingMode.CARRY_FORWARD_COLLECTION)
