"""The existing platform's batches as contexts."""

from dataclasses import replace
from datetime import UTC, datetime, tzinfo

from rules.contexts import BUCKETS, Context, EnrolmentType
from rules.identifiers import ContextType
from rules.legacy.tables import LegacyRow
from rules.legacy.values import Mapped, Unreadable, first_moment, ids_in, value_in, whole_in
from rules.moments import EARLIEST
from rules.texts import without_hidden

_COMPLETED = 2
"""The status of a batch that is over."""


def context_of_batch(row: LegacyRow, zone: tzinfo = UTC, buckets: int = BUCKETS) -> Mapped[Context]:
    """A row of course_batch. Dates that contradict each other are kept, and noted. An end is the last moment of its day
    in the platform's ``zone``. One that has the status of a batch that is over has an end. ``buckets``: of a context that is not there yet."""
    notes: list[str] = []
    collection_id, context_id = ids_in(row, "collection_id", "context_id")
    if collection_id == context_id:
        raise Unreadable("a batch with the id of its course", "context_id", context_id)

    def at(*columns: str, end_of_day: bool = False) -> datetime | None:
        return first_moment(row, *columns, notes=notes, zone=zone, end_of_day=end_of_day)

    start = at("start_date", "startdate")
    end = at("end_date", "enddate", end_of_day=True)
    enrolment_end = at("enrollment_enddate", "enrollmentenddate", end_of_day=True)
    created = at("created_date", "createddate")
    updated = at("updated_date", "updateddate")
    if end is None and whole_in(row, "status") == _COMPLETED:
        end = updated or enrolment_end or created or start or EARLIEST
        notes.append("end_date: missing in a batch that is over, taken from the last date known")
    if start is not None and end is not None and end < start:
        notes.append("end_date: before the start_date, kept")
    told = value_in(row, "name", str) or ""
    name = without_hidden(told).strip()
    if name != told.strip():
        notes.append("name: a control character in it is a space")
    if not name:
        notes.append("name: blank, taken from the batchid")
    context = Context(
        context_id,
        ContextType.BATCH,
        name or context_id,
        (collection_id,),
        start,
        end,
        enrolment_end_date=enrolment_end,
        enrolment_type=_enrolment_type(row, notes),
        description=without_hidden(value_in(row, "description", str) or "", lines=True) or None,
        mentors=frozenset(filter(None, row.get("mentors") or ())),
        buckets=buckets,
        created_by=value_in(row, "createdby", str) or None,
        created_on=created,
        updated_on=updated or created,
    )
    return Mapped(context, notes)


def _enrolment_type(row: LegacyRow, notes: list[str]) -> EnrolmentType:
    """Who may enrol. The platform lets learners enrol themselves in what is called open, and in nothing else (P-1.2)."""
    given = (value_in(row, "enrollmenttype", str) or "").strip().lower()
    if given == EnrolmentType.OPEN.value:
        return EnrolmentType.OPEN
    if given != EnrolmentType.INVITE_ONLY.value:
        notes.append(f"enrollmenttype: {'unknown' if given else 'missing'}, taken for invite-only")
    return EnrolmentType.INVITE_ONLY


def merged_context(stored: Context | None, found: Context) -> Context | None:
    """The context to write, None for no change. It gains a course that it did not have; for the rest the later change
    wins. What was changed there without a new date is taken too, unless two courses share the id of the batch."""
    if stored is None:
        return found
    collections = tuple(sorted({*stored.collection_ids, *found.collection_ids}))
    if stored.updated_on == found.updated_on:
        newer = stored.collection_ids == found.collection_ids
    else:
        newer = found.updated_on is not None and (
            stored.updated_on is None or found.updated_on > stored.updated_on
        )
    after = stored
    if newer:
        after = replace(found, type=stored.type, buckets=stored.buckets, opens_on=stored.opens_on)
    after = replace(after, collection_ids=collections)
    return None if after == stored else after
