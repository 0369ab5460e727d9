"""The existing platform's batches as contexts."""

from dataclasses import replace

from rules.contexts import Context, EnrolmentType
from rules.identifiers import ContextType
from rules.legacy.tables import LegacyRow
from rules.legacy.values import Mapped, Unreadable, first_moment, ids_in


def context_of_batch(row: LegacyRow) -> Mapped[Context]:
    """A row of course_batch. Dates that contradict each other are kept, and noted."""
    notes: list[str] = []
    collection_id, context_id = ids_in(row, "collection_id", "context_id")
    if collection_id == context_id:
        raise Unreadable("a batch with the id of its course")
    kind, given = EnrolmentType.OPEN, (row.get("enrollmenttype") or "").strip().lower()
    if given and given != kind.value:
        kind = EnrolmentType.INVITE_ONLY
        if given != kind.value:
            notes.append("enrollmenttype: unknown, taken for invite-only")
    start = first_moment(row, "start_date", "startdate", notes=notes)
    end = first_moment(row, "end_date", "enddate", notes=notes, end_of_day=True)
    if start is not None and end is not None and end < start:
        notes.append("end_date: before the start_date, kept")
    name = (row.get("name") or "").strip()
    if not name:
        notes.append("name: blank, taken from the batchid")
    created = first_moment(row, "created_date", "createddate", notes=notes)
    context = Context(
        context_id,
        ContextType.BATCH,
        name or context_id,
        (collection_id,),
        start,
        end,
        enrolment_end_date=first_moment(
            row, "enrollment_enddate", "enrollmentenddate", notes=notes, end_of_day=True
        ),
        enrolment_type=kind,
        description=row.get("description") or None,
        mentors=frozenset(filter(None, row.get("mentors") or ())),
        created_by=row.get("createdby") or None,
        created_on=created,
        updated_on=first_moment(row, "updated_date", "updateddate", notes=notes) or created,
    )
    return Mapped(context, notes)


def merged_context(stored: Context | None, found: Context) -> Context | None:
    """The context to write, None for no change. It gains a course that it did not have; for the rest the later change
    wins."""
    if stored is None:
        return found
    collections = tuple(sorted({*stored.collection_ids, *found.collection_ids}))
    newer = found.updated_on is not None and (
        stored.updated_on is None or found.updated_on > stored.updated_on
    )
    after = replace(
        found if newer else stored, collection_ids=collections, type=stored.type, buckets=stored.buckets
    )
    return None if after == stored else after
