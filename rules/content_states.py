"""The platform's state of a content in one call (P-2.2, P-4.4): start, progress and end together."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rules.identifiers import ViewKey
from rules.moments import counted_on, later
from rules.progress import Status
from rules.views import View, ViewChange, ended, updated


@dataclass(frozen=True, slots=True)
class ContentState:
    """What a client says of one content. ``progress`` is 0-100; the times are its device's."""

    content_id: str
    status: Status
    collection_id: str | None = None
    context_id: str | None = None
    user_id: str | None = None
    progress: int | None = None
    progress_details: Any = None
    last_accessed_on: datetime | None = None
    last_completed_on: datetime | None = None

    @property
    def happened_on(self) -> datetime | None:
        """The latest of the device's times, None where it sent none."""
        return max(filter(None, (self.last_accessed_on, self.last_completed_on)), default=None)


def stated(
    view: View | None, key: ViewKey, state: ContentState, at: datetime, since: datetime | None = None
) -> View | None:
    """Returns the view after the state, None where the state changes nothing.

    A view begins with its first state that is not "not started". Neither status nor progress goes down, and a completed
    view stays as it is. The view's times are those of the state. They are never later than the call (``at``), and never
    earlier than the learner's beginning there (``since``, see ``counted_on``).
    """
    if state.status is Status.NOT_STARTED:
        return None
    accessed = counted_on(state.last_accessed_on, at, since)
    at = at if since is None else max(at, since)
    if view is None:
        return _begun(key, state, accessed, at, since)
    change = ViewChange(accessed, state.progress, state.progress_details)
    if state.status is Status.COMPLETED:
        after = ended(view, change)
        if after is not None:
            completed = counted_on(state.last_completed_on or accessed, at, since)
            after = replace(
                after, completed_on=completed, last_accessed_on=later(after.last_accessed_on, completed)
            )
    else:
        after = updated(view, change)
    if after is None or after == view:
        return None
    return replace(after, last_updated_on=later(after.last_updated_on, at))


def _begun(
    key: ViewKey, state: ContentState, accessed: datetime, at: datetime, since: datetime | None
) -> View:
    """Returns the view that begins with the state. It is as one that began with its time and then got the state, made at once:
    a device tells of hundreds that nobody has seen before."""
    completed = None
    if state.status is Status.COMPLETED:
        completed = counted_on(state.last_completed_on or accessed, at, since)
    return View(
        key,
        state.status,
        progress=max(0, state.progress or 0) if completed is None else 100,
        started_on=accessed,
        last_accessed_on=accessed if completed is None else max(accessed, completed),
        last_updated_on=at,
        completed_on=completed,
        progress_details=state.progress_details,
    )
