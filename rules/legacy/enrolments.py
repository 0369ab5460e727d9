"""The existing platform's enrolments as ours, and the views that their contentstatus tells of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rules.enrolments import Enrolment
from rules.identifiers import ProgressKey, ViewKey
from rules.legacy.tables import ENROLMENTS, LegacyRow
from rules.legacy.values import Mapped, Unreadable, first_moment, ids_in, migrated_from, status_in
from rules.progress import Status
from rules.views import View


@dataclass(frozen=True, slots=True)
class LegacyEnrolment:
    """A row of user_enrolments. ``status`` and ``progress`` (a count of completed contents) are as stored there."""

    key: ProgressKey
    active: bool
    enrolled_on: datetime
    changed_on: datetime | None = None
    completed_on: datetime | None = None
    certificates: Sequence[Mapping[str, str]] = ()
    last_read_content_id: str | None = None
    last_accessed_on: datetime | None = None
    status: int = 0
    progress: int = 0
    content_status: Mapping[str, int] = field(default_factory=dict)


def enrolment_of_row(row: LegacyRow) -> Mapped[LegacyEnrolment]:
    """The enrolment in a row of user_enrolments. Unreadable if an id is no id, or no time at all is known."""
    notes: list[str] = []
    key = ProgressKey(*ids_in(row, "user_id", "collection_id", "context_id"))
    accessed = first_moment(row, "lastcontentaccesstime", notes=notes)
    changed = first_moment(row, "datetime", notes=notes)
    enrolled = first_moment(row, "enrolled_date", "enrolleddate", notes=notes)
    if enrolled is None:
        enrolled = min((at for at in (changed, accessed) if at is not None), default=None)
        if enrolled is None:
            raise Unreadable("no time of enrolment")
        notes.append("enrolled_date: missing, taken from the first time known")
    enrolment = LegacyEnrolment(
        key,
        bool(row.get("active")),
        enrolled,
        changed,
        first_moment(row, "completedon", notes=notes),
        [dict(one) for one in row.get("issued_certificates") or row.get("certificates") or ()],
        row.get("lastreadcontentid") or None,
        accessed,
        row.get("status") or 0,
        row.get("progress") or 0,
        dict(row.get("contentstatus") or {}),
    )
    return Mapped(enrolment, notes)


def views_of_enrolment(enrolment: LegacyEnrolment, at: datetime) -> Iterator[View | Unreadable]:
    """The views that contentstatus tells of.

    It has no times. The date of completion of a completed course is that of its contents: none of them was later.
    """
    key, updated = enrolment.key, enrolment.changed_on or enrolment.last_accessed_on
    for content_id, value in enrolment.content_status.items():
        try:
            (content_id,) = ids_in({"content_id": content_id}, "content_id")
            status = status_in(value)
        except Unreadable as error:
            yield error
            continue
        if status is Status.NOT_STARTED or content_id == key.collection_id:
            continue
        completed = status is Status.COMPLETED
        yield View(
            ViewKey(key.user_id, key.collection_id, key.context_id, content_id),
            status,
            100 if completed else 0,
            last_accessed_on=(
                enrolment.last_accessed_on if content_id == enrolment.last_read_content_id else None
            ),
            last_updated_on=updated,
            completed_on=enrolment.completed_on if completed else None,
            origin=migrated_from(f"{ENROLMENTS}.contentstatus", at),
        )


def enrolment_values(
    stored: Enrolment | None, certificates: Sequence[Mapping[str, str]] | None, found: LegacyEnrolment
) -> dict[str, Any] | None:
    """The columns to write; empty if all is there already; None if the enrolment was changed here since.

    ``stored`` and ``certificates`` are what is here. The workers' figures are written with a new enrolment alone:
    those of a collection that is not published yet would be lost otherwise, and the workers' own replace them.
    """
    ended_on = None if found.active else found.changed_on or found.last_accessed_on or found.enrolled_on
    times = {"active": found.active, "enrolled_on": found.enrolled_on, "unenrolled_on": ended_on}
    issued = [dict(one) for one in found.certificates]
    values: dict[str, Any] = {"certificates": issued} if issued and issued != certificates else {}
    if stored is None:
        return times | {
            "certificates": issued or None,
            "status": min(max(found.status, 0), 2),
            "progress": max(found.progress, 0),
            "completedon": found.completed_on,
            "lastreadcontentid": found.last_read_content_id,
            "lastcontentaccesstime": found.last_accessed_on,
        }
    if stored.begun_on == found.enrolled_on:
        if stored.active == found.active:
            return values
        # Ended there since it was brought over; ended here, it stays so.
        return values | {"active": False, "unenrolled_on": ended_on} if stored.active else None
    again = (
        not stored.active
        and found.active
        and found.enrolled_on >= (stored.unenrolled_on or stored.enrolled_on)
    )
    return (
        values | {"active": True, "reenrolled_on": found.enrolled_on, "unenrolled_on": None}
        if again
        else None
    )
