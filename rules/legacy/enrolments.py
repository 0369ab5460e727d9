"""The existing platform's enrolments as ours, and the views that they tell of."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from rules.enrolments import Enrolment
from rules.identifiers import ProgressKey, ViewKey
from rules.legacy.tables import ENROLMENTS, LegacyRow
from rules.legacy.values import (
    Mapped,
    Unreadable,
    first_moment,
    ids_in,
    migrated_from,
    moment_of,
    status_in,
    value_in,
    whole_in,
)
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.views import View

WAITS = "granted, waits for its collection"
"""The note of an enrolment whose contents can't be known before its collection is published here."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What an enrolment without a date is dated by: the first completion of a content in it, and the start of its
    batch."""

    first_completed_on: datetime | None = None
    batch_started_on: datetime | None = None


@dataclass(frozen=True, slots=True)
class LegacyEnrolment:
    """A row of user_enrolments.

    - ``status`` and ``progress`` (a count of completed contents) are as stored there.
    - ``activity_written_on``: when ``active`` was written there. None where the server does not tell.
    - ``guesses``: moments by which the enrolment may be dated. Empty if the row has its date.
    """

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
    activity_written_on: datetime | None = None
    guesses: frozenset[datetime] = frozenset()

    @property
    def last_changed_on(self) -> datetime:
        """The last time that is known of it. The platform dates no end otherwise."""
        return max(self.enrolled_on, self.changed_on or self.last_accessed_on or self.enrolled_on)

    @property
    def granted_on(self) -> datetime:
        """When its contents were completed, where nothing tells it of themselves."""
        return self.completed_on or self.changed_on or self.last_accessed_on or self.enrolled_on

    def is_granted(self, completed: Collection[str]) -> bool:
        """Whether the platform has completed it without telling of all contents that it counted. ``completed``: those
        that it tells of."""
        is_completed = self.status == Status.COMPLETED or self.completed_on is not None
        return is_completed and (not completed or len(completed) < self.progress)

    @property
    def told_completed(self) -> set[str]:
        """The contents that contentstatus has as completed."""
        return {content for content, status in self.content_status.items() if status == Status.COMPLETED}


def enrolment_of_row(
    row: LegacyRow, zone: tzinfo = UTC, beginning: Beginning | None = None
) -> Mapped[LegacyEnrolment]:
    """The enrolment in a row of user_enrolments. ``zone``: of texts without one. ``beginning``: for a row without a date.

    Raises Unreadable if an id is no id, a value can't be read, or no time at all is known.
    """
    notes: list[str] = []
    key = ProgressKey(*ids_in(row, "user_id", "collection_id", "context_id"))
    accessed = first_moment(row, "lastcontentaccesstime", notes=notes, zone=zone)
    changed = first_moment(row, "datetime", notes=notes, zone=zone)
    completed = first_moment(row, "completedon", notes=notes, zone=zone)
    enrolled, guesses = date_of(row, zone, notes), frozenset[datetime]()
    if enrolled is None:
        began = beginning or Beginning()
        enrolled, by = _guessed(began, completed, changed, accessed)
        notes.append(f"enrolled_date: missing, taken from {by}")
        known = (began.first_completed_on, completed, began.batch_started_on, changed, accessed)
        guesses = frozenset(at for at in known if at is not None)
    active = value_in(row, "active", bool)
    if active is None:
        notes.append("active: missing, taken for true")
    written = row.get("active_written_at")
    enrolment = LegacyEnrolment(
        key,
        active is not False,
        enrolled,
        changed,
        completed,
        _certificates(row),
        value_in(row, "lastreadcontentid", str) or None,
        accessed,
        int(status_in(row.get("status"))),
        whole_in(row, "progress") or 0,
        dict(row.get("contentstatus") or {}),
        None if written is None else moment_of(written // 1000),
        guesses,
    )
    return Mapped(enrolment, notes)


def date_of(row: LegacyRow, zone: tzinfo, notes: list[str]) -> datetime | None:
    """The date of enrolment in a row; None if it has none."""
    return first_moment(row, "enrolled_date", "enrolleddate", notes=notes, zone=zone)


def has_no_date(row: LegacyRow) -> bool:
    """Whether the columns of the date of enrolment are empty."""
    return row.get("enrolled_date") is None and not row.get("enrolleddate")


def _guessed(
    beginning: Beginning, completed: datetime | None, changed: datetime | None, accessed: datetime | None
) -> tuple[datetime, str]:
    """The date of an enrolment that has none, as the platform gives it one (P-2.4), and what it is taken from."""
    if (first := beginning.first_completed_on or completed) is not None:
        return first, "the first completion"
    if beginning.batch_started_on is not None:
        return beginning.batch_started_on, "the start of its batch"
    known = [at for at in (changed, accessed) if at is not None]
    if not known:
        raise Unreadable("no time of enrolment", "enrolled_date")
    return min(known), "the first time known"


def _certificates(row: LegacyRow) -> list[dict[str, str]]:
    """The certificates of both columns, each once, those of the newer column first."""
    found: dict[object, dict[str, str]] = {}
    for column in ("issued_certificates", "certificates"):
        for one in row.get(column) or ():
            certificate = dict(one)
            name = (
                certificate.get("identifier") or certificate.get("id") or tuple(sorted(certificate.items()))
            )
            found.setdefault(name, certificate)
    return list(found.values())


def views_of_enrolment(
    enrolment: LegacyEnrolment, at: datetime, known: Collection[str] = ()
) -> Iterator[View | Unreadable]:
    """The views that contentstatus tells of, but for contents that are ``known`` anyway.

    It has no times but that of the last content read. The date of completion of a completed course is that of its
    contents: none of them was later.
    """
    key = enrolment.key
    for content_id, value in enrolment.content_status.items():
        if content_id in known:
            continue
        try:
            (content_id,) = ids_in({"content_id": content_id}, "content_id")
            status = status_in(value, "contentstatus")
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
            completed_on=enrolment.completed_on if completed else None,
            origin=migrated_from(f"{ENROLMENTS}.contentstatus", at),
        )


def granted_views(enrolment: LegacyEnrolment, contents: Collection[str], at: datetime) -> list[View]:
    """The views of these contents, which nothing tells of, of an enrolment that the platform has completed."""
    key = enrolment.key
    origin = Origin(OriginKind.GRANTED, reason=ENROLMENTS, at=at)
    return [
        View(
            ViewKey(key.user_id, key.collection_id, key.context_id, content_id),
            Status.COMPLETED,
            100,
            completed_on=enrolment.granted_on,
            origin=origin,
        )
        for content_id in sorted(contents)
    ]


def enrolment_values(
    stored: Enrolment | None, certificates: Sequence[Mapping[str, str]] | None, found: LegacyEnrolment
) -> dict[str, Any] | None:
    """The columns to write; empty if all is there already; None if the enrolment was changed here since.

    ``stored`` and ``certificates`` are what is here. The workers' figures are written until a worker has computed them:
    those of a collection that is not published yet would be lost otherwise, and the workers' own replace them.
    """
    issued = [dict(one) for one in found.certificates]
    if stored is None:
        ended_on = None if found.active else found.last_changed_on
        times = {"active": found.active, "enrolled_on": found.enrolled_on, "unenrolled_on": ended_on}
        return {
            **times,
            **_figures(found),
            "certificates": issued or None,
            "granted_on": found.completed_on,
        }
    values: dict[str, Any] = {"certificates": issued} if issued and issued != certificates else {}
    if found.completed_on is not None and found.completed_on != stored.granted_on:
        values["granted_on"] = found.completed_on
    if stored.seen_changed_at is None:
        here = {
            "status": int(stored.status),
            "progress": stored.completed_count,
            "completedon": stored.completed_on,
            "lastreadcontentid": stored.last_read_content_id,
            "lastcontentaccesstime": stored.last_accessed_on,
        }
        values |= {name: value for name, value in _figures(found).items() if value != here[name]}
    times_after = _times(stored, found)
    return values or None if times_after is None else values | times_after


def _figures(found: LegacyEnrolment) -> dict[str, Any]:
    return {
        "status": found.status,
        "progress": max(found.progress, 0),
        "completedon": found.completed_on,
        "lastreadcontentid": found.last_read_content_id,
        "lastcontentaccesstime": found.last_accessed_on,
    }


def _times(stored: Enrolment, found: LegacyEnrolment) -> dict[str, Any] | None:
    """What is to be written of when the enrolment began and ended; None if what is here counts.

    An enrolment that a migration has dated by a guess is dated anew.
    """
    guessed = stored.reenrolled_on is None and stored.enrolled_on in found.guesses
    is_same = guessed or stored.begun_on == found.enrolled_on
    dated = {"enrolled_on": found.enrolled_on} if guessed and stored.enrolled_on != found.enrolled_on else {}
    if stored.active == found.active:
        if not found.active and not stored.has_moved:
            before = stored.unenrolled_on
            if before is None or before < found.last_changed_on:
                return {**dated, "unenrolled_on": found.last_changed_on}
        return dated if is_same else None
    if not _is_later(stored, found, is_same=is_same):
        return dated or None
    pointers = {"moved_to": None, "moved_from": None} if stored.moved_to or stored.moved_from else {}
    if stored.active:
        ended_on = max(found.last_changed_on, stored.begun_on)
        return {**dated, **pointers, "active": False, "unenrolled_on": ended_on}
    # Where only ``active`` went back, it is as if the end had never been seen.
    again = {} if is_same or found.enrolled_on <= stored.begun_on else {"reenrolled_on": found.enrolled_on}
    return {**dated, **again, **pointers, "active": True, "unenrolled_on": None}


def _is_later(stored: Enrolment, found: LegacyEnrolment, *, is_same: bool) -> bool:
    """Whether the platform's end, or its taking up again, is later than the last change here. Without a write time it is
    judged by the dates: one that has ended here stays so unless a later date of enrolment says otherwise."""
    if found.activity_written_on is not None:
        changes = (stored.enrolled_on, stored.reenrolled_on, stored.unenrolled_on)
        return found.activity_written_on > max(at for at in changes if at is not None)
    if stored.active:
        return is_same
    return not is_same and found.enrolled_on >= (stored.unenrolled_on or stored.enrolled_on)
