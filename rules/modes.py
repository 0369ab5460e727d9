"""Going from one tracking mode to another: what is written where, and what learners see differently afterwards.

Nobody loses what they see: a view that was shown somewhere is merged into the one that the new mode shows there.
Merging lowers nothing, and doing it again changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from rules.identifiers import ViewKey
from rules.moments import earlier, later
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.tracking import Tracking, TrackingMode
from rules.views import RECENT_CALLS, View

HAVE_RULES = (TrackingMode.COPY, TrackingMode.MOVE)
_CHANGING = "changing"


def carries_nothing(tracking: Tracking) -> str | None:
    """Returns why an instance in copy or move mode carries nothing over: its rules can't be read. Returns None
    elsewhere."""
    return tracking.rules.problem if tracking.mode in HAVE_RULES else None


@dataclass(frozen=True, slots=True)
class Agreed:
    """The mode that the rows are kept in, as the whole instance has agreed. ``to`` is set while a change is under
    way."""

    mode: TrackingMode
    to: TrackingMode | None = None

    def encode(self) -> str:
        """Returns the text that is stored: ``strict``, or ``changing:strict:copy``."""
        if self.to is None:
            return self.mode.value
        return f"{_CHANGING}:{self.mode.value}:{self.to.value}"

    @classmethod
    def decode(cls, text: str) -> "Agreed":
        if text.startswith(f"{_CHANGING}:"):
            _, mode, to = text.split(":")
            return cls(TrackingMode(mode), TrackingMode(to))
        return cls(TrackingMode(text))


@dataclass(frozen=True, slots=True)
class ModeChange:
    """A change from one mode to another. ``at`` is when it began."""

    old: TrackingMode
    new: TrackingMode
    at: datetime

    @property
    def reason(self) -> str:
        """The reason that origins tell, in words."""
        return f"the instance went over from {self.old.value} to {self.new.value}"

    def arriving(self, views: Iterable[View], to: ViewKey) -> View:
        """Merges at least one view into one under the key ``to``. The view that was completed first is the origin."""
        first, *others = sorted(views, key=_how_early)
        view = self._carried(first, to)
        for other in others:
            view = merged(view, self._carried(other, to)) or view
        return view

    def _carried(self, view: View, to: ViewKey) -> View:
        origin = view.origin
        # An origin that names the place where the view goes back to would explain nothing.
        if origin is None or origin.place == (to.collection_id, to.context_id):
            origin = Origin.of(OriginKind.MODE_CHANGED, view.key, self.reason, self.at)
        # Entries that no caller sent are a move's own, about another key.
        calls = tuple(call for call in view.recent_calls if call.isprintable())
        return replace(view, key=to, origin=origin, recent_calls=calls, changed_at=None)


def merged(there: View | None, arriving: View) -> View | None:
    """Merges an arriving view into the one that is ``there`` under the same key. Returns None where that changes
    nothing.

    Status, progress and time spent keep the larger value. They are not added up, since the same minutes may stand in
    both. A completion that is there keeps its date and its origin.
    """
    if there is None:
        return arriving
    rises = arriving.status > there.status
    ours, theirs = there.last_updated_on, arriving.last_updated_on
    newer = theirs is not None and (ours is None or theirs > ours)
    details = arriving.progress_details if newer else there.progress_details
    if details is None:
        details = there.progress_details if newer else arriving.progress_details
    unknown = [call for call in arriving.recent_calls if call not in there.recent_calls]
    after = replace(
        there,
        status=max(there.status, arriving.status),
        progress=max(there.progress, arriving.progress),
        time_spent=max(there.time_spent, arriving.time_spent),
        started_on=earlier(there.started_on, arriving.started_on),
        last_accessed_on=later(there.last_accessed_on, arriving.last_accessed_on),
        last_updated_on=later(there.last_updated_on, arriving.last_updated_on),
        completed_on=arriving.completed_on if rises else there.completed_on,
        progress_details=details,
        # Only its own calls may still be sent again.
        recent_calls=(*unknown, *there.recent_calls)[-RECENT_CALLS:],
        origin=arriving.origin if rises else there.origin,
    )
    return None if after == there else after


_FURTHEST = "Where places showed different views of a content, they all show the one that was furthest."
_LEFT = {
    TrackingMode.STRICT: (),
    TrackingMode.CARRY_FORWARD_FULL: (
        "What was completed stays so in every collection that a learner is or was enrolled in, and alone; elsewhere it "
        "does not count any more.",
    ),
    TrackingMode.CARRY_FORWARD_COLLECTION: (
        "What was completed stays so in every context that a learner is or was enrolled in; contexts that they join "
        "later begin anew.",
    ),
    TrackingMode.COPY: ("What was copied stays; completions elsewhere are copied no more.",),
    TrackingMode.MOVE: (
        "Progress that was taken along stays where it is; contexts that were left show it as well, and lead nowhere.",
    ),
}
_ENTERED = {
    TrackingMode.STRICT: ("A view counts in the context that it is taken in, and nowhere else.",),
    TrackingMode.CARRY_FORWARD_FULL: (
        "A content completed anywhere is completed in every collection and alone, also where it was not before.",
        _FURTHEST,
    ),
    TrackingMode.CARRY_FORWARD_COLLECTION: (
        "A content completed in a collection is completed under each of its contexts, also where it was not before.",
        _FURTHEST,
    ),
    TrackingMode.COPY: (
        "Completions elsewhere, those of before too, are copied into active enrolments where the rules let them count.",
    ),
    TrackingMode.MOVE: (
        "Who enrols into another context of a collection takes the progress along, where the rules let it.",
    ),
}


def seen_differently(old: TrackingMode, new: TrackingMode) -> list[str]:
    """Returns what learners see differently after the change, a sentence each."""
    lines = [*_LEFT[old], *_ENTERED[new]]
    # In both of these a collection without a context is the learner's active context of it.
    if old in HAVE_RULES and new not in HAVE_RULES:
        lines.append("A collection that is opened without a context shows what was done without one.")
    if new in HAVE_RULES and old not in HAVE_RULES:
        lines.append(
            "A collection that is opened without a context shows the learner's active context of it."
        )
    return lines


def _how_early(view: View) -> tuple[bool, float, tuple[str, str]]:
    at = view.completed_on or view.started_on
    place = (view.key.collection_id, view.key.context_id)
    return view.status is not Status.COMPLETED, at.timestamp() if at else 0.0, place
