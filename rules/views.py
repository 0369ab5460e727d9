"""One learner's view of one content: its states and how a call changes it (R-VIEW-1, R-VIEW-2)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rules.errors import InvalidInput, StatusGoesDown
from rules.identifiers import ViewKey, optional_id
from rules.moments import later
from rules.origins import Origin, OriginKind
from rules.progress import Status

LARGEST_DETAILS = 16 * 1024
"""The most bytes of progress details, serialised."""
LONGEST_CALL = 24 * 3600
"""The most seconds of time spent that one call may add."""
RECENT_CALLS = 16
"""The number of call ids that a view remembers. A learner's devices send again only what they sent last."""
MARK = "\t"
"""The beginning of what is remembered beside call ids, as by rules/moves.py. Calls do not push it out; their ids have
no tabs."""


@dataclass(frozen=True, slots=True)
class View:
    """A view as stored. ``progress`` is 0-100, ``time_spent`` in seconds, times in UTC."""

    key: ViewKey
    status: Status
    progress: int = 0
    time_spent: int = 0
    started_on: datetime | None = None
    last_accessed_on: datetime | None = None
    last_updated_on: datetime | None = None
    completed_on: datetime | None = None
    progress_details: Any = None
    recent_calls: tuple[str, ...] = ()
    changed_at: int | None = None
    origin: Origin | None = None
    """Where the status came from; None where it was earned here."""


@dataclass(frozen=True, slots=True)
class ViewChange:
    """What an update or an end asks for. None leaves a value as it is; ``time_spent`` is added."""

    at: datetime
    progress: int | None = None
    progress_details: Any = None
    time_spent: int = 0
    status: Status | None = None
    call_id: str | None = None


def checked_change(change: ViewChange) -> ViewChange:
    """Returns the change. InvalidInput says that a number is out of its range, or that the call's id is blank."""
    if change.progress is not None and not 0 <= change.progress <= 100:
        raise InvalidInput("progress must be from 0 to 100", field="progress")
    if not 0 <= change.time_spent <= LONGEST_CALL:
        raise InvalidInput(f"timeSpent must be from 0 to {LONGEST_CALL} seconds", field="timeSpent")
    return (
        change if change.call_id is None else replace(change, call_id=optional_id(change.call_id, "callId"))
    )


def updated(view: View, change: ViewChange) -> View | None:
    """Returns the view after an update, None where nothing changes: a revisit never changes a completed view
    (R-VIEW-2).

    Progress keeps the largest value, details those of the latest call. Time spent adds up, once for each of the last
    RECENT_CALLS call ids. StatusGoesDown says that the call names a status below the stored one.
    """
    if change.status is not None and change.status < view.status:
        raise StatusGoesDown(
            f"the view is {view.status.name}; it can't become {change.status.name}", field="status"
        )
    if view.status == Status.COMPLETED or change.call_id in view.recent_calls:
        return None
    return replace(
        view,
        progress=max(view.progress, change.progress or 0),
        time_spent=view.time_spent + change.time_spent,
        last_accessed_on=later(view.last_accessed_on, change.at),
        last_updated_on=later(view.last_updated_on, change.at),
        progress_details=(
            change.progress_details if change.progress_details is not None else view.progress_details
        ),
        recent_calls=_with_call(view.recent_calls, change.call_id),
    )


def ended(view: View, change: ViewChange) -> View | None:
    """Returns the view after its end, None where it had ended before. One that was brought in progress from another
    platform is completed here."""
    counted = change.call_id in view.recent_calls
    after = updated(view, replace(change, call_id=None, time_spent=0) if counted else change)
    if after is None:
        return None
    brought = after.origin is not None and after.origin.kind is OriginKind.MIGRATED
    return replace(
        after,
        status=Status.COMPLETED,
        progress=100,
        completed_on=change.at,
        origin=None if brought else after.origin,
    )


def _with_call(calls: tuple[str, ...], call_id: str | None) -> tuple[str, ...]:
    return calls if call_id is None else remembered((*calls, call_id))


def remembered(calls: Iterable[str]) -> tuple[str, ...]:
    """Returns the latest of these calls, in order, and all marks behind them."""
    found = list(calls)
    marks = [call for call in found if call.startswith(MARK)]
    return (*[call for call in found if not call.startswith(MARK)][-RECENT_CALLS:], *marks)
