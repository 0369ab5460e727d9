"""The existing platform's views as ours, and how they are merged with those that are here."""

from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any

import orjson

from rules.identifiers import ViewKey
from rules.legacy.tables import CONSUMPTION, LegacyRow
from rules.legacy.values import (
    Mapped,
    Unreadable,
    first_moment,
    ids_in,
    migrated_from,
    number_in,
    status_in,
    value_in,
    whole_in,
)
from rules.moments import later
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.views import LARGEST_DETAILS, View

NOT_STARTED = "not started"


def view_of_consumption(row: LegacyRow, at: datetime, zone: tzinfo = UTC) -> Mapped[View]:
    """A row of user_content_consumption under the ids that a client names (R-VIEW-3).

    ``at``: when it is brought over. ``zone``: of texts without one. Raises Unreadable where there is nothing to bring, or
    nowhere to bring it to.
    """
    notes: list[str] = []
    user_id, content_id = ids_in(row, "user_id", "content_id")
    # What is blank defaults as in a call.
    collection_id = row.get("collection_id") or content_id
    named = {"collection_id": collection_id, "context_id": row.get("context_id") or collection_id}
    collection_id, context_id = ids_in(named, "collection_id", "context_id")
    key = ViewKey(user_id, collection_id, context_id, content_id)
    if key.is_content_alone and key.progress_key.has_context:
        raise Unreadable("a content by itself under a context")
    progress = max(whole_in(row, "progress") or 0, int(number_in(row, "completionpercentage") or 0))
    if not 0 <= progress <= 100:
        notes.append("progress: not from 0 to 100")
        progress = min(max(progress, 0), 100)
    status = max(status_in(row.get("status")), Status.IN_PROGRESS if progress else Status.NOT_STARTED)
    if status is Status.NOT_STARTED:
        raise Unreadable(NOT_STARTED)
    accessed = first_moment(row, "last_access_time", "lastaccesstime", "datetime", notes=notes, zone=zone)
    updated = (
        first_moment(row, "last_updated_time", "lastupdatedtime", "datetime", notes=notes, zone=zone)
        or accessed
    )
    completed = None
    if status is Status.COMPLETED:
        progress = 100
        completed = first_moment(row, "last_completed_time", "lastcompletedtime", notes=notes, zone=zone)
        if completed is None:
            completed = updated
            notes.append("last_completed_time: missing, taken from the last update")
    if (whole_in(row, "viewcount") or 0) > 1 or (whole_in(row, "completedcount") or 0) > 1:
        notes.append("viewcount, completedcount: above 1, not brought over")
    view = View(
        key,
        status,
        progress,
        last_accessed_on=accessed,
        last_updated_on=updated,
        completed_on=completed,
        progress_details=_details(value_in(row, "progressdetails", str), notes),
        origin=migrated_from(CONSUMPTION, at),
    )
    return Mapped(view, list(dict.fromkeys(notes)))


def _details(text: str | None, notes: list[str]) -> Any:
    if not text or not text.strip():
        return None
    try:
        details = orjson.loads(text)
    except orjson.JSONDecodeError:
        details = None
    if not isinstance(details, dict):
        notes.append("progressdetails: no JSON object")
        return None
    if len(orjson.dumps(details)) > LARGEST_DETAILS:
        notes.append(f"progressdetails: above {LARGEST_DETAILS} bytes")
        return None
    return details or None


def placed(view: View, stored: ViewKey) -> View:
    """The view under the key by which the instance's mode keeps it."""
    if view.key == stored:
        return view
    if view.origin is None:
        return replace(view, key=stored)
    place = (view.key.collection_id, view.key.context_id)
    return replace(view, key=stored, origin=replace(view.origin, place=place))


def merged(stored: View | None, found: View) -> View | None:
    """The stored view with what the existing platform has of it, None where that is nothing new.

    Nothing goes down. Of several completions one counts, whichever comes first: what the learner did here since, then
    what a row of consumption tells, then a guess out of the enrolment; of equal ones the later. So the row is the same in
    whichever order its parts come, and however often.
    """
    if stored is None:
        return found
    counts = found if _standing(found) > _standing(stored) else stored
    progress = max(stored.progress, found.progress)
    accessed = later(stored.last_accessed_on, found.last_accessed_on)
    updated = later(stored.last_updated_on, found.last_updated_on)
    details = stored.progress_details
    if details is None or (updated != stored.last_updated_on and found.progress_details is not None):
        details = found.progress_details
    if counts is stored and (progress, accessed, updated, details) == (
        *(stored.progress, stored.last_accessed_on, stored.last_updated_on),
        stored.progress_details,
    ):
        return None
    return replace(
        stored,
        status=counts.status,
        progress=progress,
        last_accessed_on=accessed,
        last_updated_on=updated,
        completed_on=counts.completed_on,
        progress_details=details,
        origin=counts.origin,
    )


def outdoes_guess(status: int, completed_on: datetime | None, origin: Origin | None, guess: int) -> bool:
    """True if a view that is here, of these columns, says all that contentstatus can say with the status ``guess``. Of its
    content contentstatus then adds nothing but, of the one last read, a time of access."""
    if status != guess:
        return status > guess
    return (status != Status.COMPLETED or completed_on is not None) and _knowledge(origin) > _GUESSED


_GRANTED, _GUESSED, _TOLD, _HERE = range(4)
_NEVER = datetime.min.replace(tzinfo=UTC)


def _standing(view: View) -> tuple[Status, bool, int, datetime, tuple[str, str]]:
    """What says which of two views of a content counts. A completion without a date counts less than one with a date. The
    place decides where a mode keeps several places' views together."""
    origin, at = view.origin, view.completed_on
    place = ("", "") if origin is None or origin.place is None else origin.place
    return view.status, at is not None, _knowledge(origin), at or _NEVER, place


def _knowledge(origin: Origin | None) -> int:
    """How well the status of a view is known. Whatever is not from the platform happened here."""
    if origin is not None and origin.kind is OriginKind.MIGRATED:
        return _TOLD if origin.reason == CONSUMPTION else _GUESSED
    return _GRANTED if origin is not None and origin.kind is OriginKind.GRANTED else _HERE
