"""Enrolments of a learner, in the order of collection and context."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from rules.enrolments import Copies, Enrolment
from rules.identifiers import ProgressKey
from rules.moments import known_moment, moment
from rules.progress import status_of
from stores.columns import Milliseconds, NarrowColumn
from stores.rows import Condition, Equal, NarrowRow, Row, Rows
from stores.tables import ENROLMENTS
from stores.values import check_key

Place = tuple[str, str]
"""Collection and context: where in a learner's list an enrolment stands."""


@dataclass(frozen=True, slots=True)
class EnrolmentPlace:
    """The short form of an enrolment. ``last_accessed_on``: as the workers last saw it."""

    collection_id: str
    context_id: str
    active: bool
    last_accessed_on: datetime | None


PLACES_AT_ONCE = 1_000
"""Rows that ``enrolment_places`` reads in a statement: some 80 bytes each."""


async def enrolments_by_key(rows: Rows, keys: Sequence[ProgressKey]) -> list[Enrolment | None]:
    found = await rows.get_many(ENROLMENTS, [row_key(key) for key in keys])
    return [enrolment_of(found.get(row_key(key))) for key in keys]


async def enrolments_in(rows: Rows, user_id: str, collection_id: str) -> list[Enrolment]:
    """A learner's enrolments in one collection under all contexts, active or not: one statement."""
    found = await rows.partition(ENROLMENTS, (user_id,), prefix=(collection_id,))
    return [enrolment for enrolment in map(enrolment_of, found) if enrolment is not None]


async def enrolments_in_places(rows: Rows, places: Iterable[tuple[str, str]]) -> list[list[Enrolment]]:
    """The same for many learners and collections: a statement each."""
    return await asyncio.gather(*(enrolments_in(rows, *place) for place in places))


async def enrolled_somewhere(rows: Rows, user_ids: Sequence[str]) -> set[str]:
    """Those of the learners who are or were enrolled in anything."""
    found = await rows.partitions(ENROLMENTS, [(user_id,) for user_id in user_ids], ("userid", "enrolled_on"))
    return {
        row["userid"] for partition in found.values() for row in partition if row["enrolled_on"] is not None
    }


async def enrolments_page(
    rows: Rows, user_id: str, *, after: Place | None, limit: int, active: bool | None
) -> tuple[list[Enrolment], bool]:
    """At most ``limit`` enrolments, and whether there are more. ``active`` None: also the enrolments that ended.

    Rows are read in pages until there are enough, so the cost is bounded by the rows that are passed over.
    """
    found: list[Enrolment] = []
    while len(found) <= limit:
        page = await rows.partition(ENROLMENTS, (user_id,), after=after, limit=limit + 1)
        found += [
            enrolment
            for enrolment in map(enrolment_of, page)
            if enrolment is not None and active in (None, enrolment.active)
        ]
        if len(page) <= limit:
            break
        after = (page[-1]["collectionid"], page[-1]["contextid"])
    return found[:limit], len(found) > limit


async def enrolment_places(rows: Rows, user_id: str) -> list[EnrolmentPlace]:
    """The short form of a learner's enrolments, in the order of collection and context. No other columns are read.

    One statement reads PLACES_AT_ONCE enrolments.
    """
    columns = ("collectionid", "contextid", "active", "enrolled_on", "lastcontentaccesstime")
    found: list[EnrolmentPlace] = []
    after: Place | None = None
    while True:
        page = await rows.partition(
            ENROLMENTS, (user_id,), after=after, limit=PLACES_AT_ONCE, columns=columns
        )
        found += [
            EnrolmentPlace(
                row["collectionid"],
                row["contextid"],
                bool(row["active"]),
                row["lastcontentaccesstime"],
            )
            for row in page
            if row["enrolled_on"] is not None
        ]
        if len(page) < PLACES_AT_ONCE:
            return found
        after = (page[-1]["collectionid"], page[-1]["contextid"])


class NarrowEnrolment(NamedTuple):
    """A learner's row of ``user_enrolments`` as _NARROW has it: what lists show. Moments are epoch milliseconds."""

    collection_id: str
    context_id: str
    active: bool | None
    enrolled_on: int
    unenrolled_on: int | None
    reenrolled_on: int | None
    changed_at: int | None
    seen_changed_at: int | None
    status: int | None
    completed_count: int | None
    completed_on: int | None
    completed_version: int | None
    last_accessed_on: int | None
    moved_to: str | None
    moved_from: str | None
    granted_on: int | None

    @property
    def has_moved(self) -> bool:
        """As of an Enrolment."""
        return self.moved_to is not None and not self.active

    @property
    def is_unseen(self) -> bool:
        """As of an Enrolment."""
        return (self.changed_at or 0) != self.seen_changed_at

    def enrolment(self, user_id: str) -> Enrolment:
        """The same as an Enrolment, without copies, certificates and the content that was read last."""
        return Enrolment(
            key=ProgressKey(user_id, self.collection_id, self.context_id),
            active=bool(self.active),
            enrolled_on=moment(self.enrolled_on),
            unenrolled_on=known_moment(self.unenrolled_on),
            reenrolled_on=known_moment(self.reenrolled_on),
            changed_at=self.changed_at or 0,
            status=status_of(self.status),
            completed_count=self.completed_count or 0,
            completed_on=known_moment(self.completed_on),
            completed_version=self.completed_version,
            last_accessed_on=known_moment(self.last_accessed_on),
            seen_changed_at=self.seen_changed_at,
            moved_to=self.moved_to,
            moved_from=self.moved_from,
            granted_on=known_moment(self.granted_on),
        )


_NARROW: tuple[NarrowColumn, ...] = (
    "collectionid",
    "contextid",
    "active",
    Milliseconds("enrolled_on"),
    Milliseconds("unenrolled_on"),
    Milliseconds("reenrolled_on"),
    "changed_at",
    "seen_changed_at",
    "status",
    "progress",
    Milliseconds("completedon"),
    "completed_version",
    Milliseconds("lastcontentaccesstime"),
    "moved_to",
    "moved_from",
    Milliseconds("granted_on"),
)


async def narrow_enrolments_page(
    rows: Rows, user_id: str, *, after: Place | None, limit: int, active: bool | None
) -> tuple[list[NarrowEnrolment], bool]:
    """As ``enrolments_page``."""
    place = check_key(ENROLMENTS, tuple(ENROLMENTS.partition), (user_id,))
    found: list[NarrowEnrolment] = []
    while len(found) <= limit:
        page = (await rows.tuples(ENROLMENTS, [place], _NARROW, after=after, limit=limit + 1))[place]
        found += _enrolled_in(page if active is None else [row for row in page if bool(row[2]) is active])
        if len(page) <= limit:
            break
        after = page[-1][:2]
    return found[:limit], len(found) > limit


async def narrow_enrolments_of(
    rows: Rows, user_ids: Sequence[str], collection_id: str, context_id: str
) -> dict[str, NarrowEnrolment]:
    """The enrolments of learners in one place, by learner; without those who never enrolled there. The ids are of rows."""
    found = await rows.tuples(
        ENROLMENTS, [(user_id,) for user_id in user_ids], _NARROW, prefix=(collection_id, context_id)
    )
    return {user_id: one for (user_id,), page in found.items() for one in _enrolled_in(page)}


def _enrolled_in(page: Sequence[NarrowRow]) -> list[NarrowEnrolment]:
    """The enrolments in rows of _NARROW. A row without a moment has only figures of an enrolment that is gone."""
    new = tuple.__new__  # does not count the values again
    return [new(NarrowEnrolment, row) for row in page if row[3] is not None]


def enrolment_of(row: Row | None) -> Enrolment | None:
    """The enrolment in a row. None if there is no row, or only figures of an enrolment that is gone: only enrolling
    makes one."""
    if row is None or row["enrolled_on"] is None:
        return None
    return Enrolment(
        key=ProgressKey(row["userid"], row["collectionid"], row["contextid"]),
        active=bool(row["active"]),
        enrolled_on=row["enrolled_on"],
        unenrolled_on=row["unenrolled_on"],
        reenrolled_on=row["reenrolled_on"],
        changed_at=row["changed_at"] or 0,
        status=status_of(row["status"]),
        completed_count=row["progress"] or 0,
        completed_on=row["completedon"],
        completed_version=row["completed_version"],
        last_read_content_id=row["lastreadcontentid"],
        last_accessed_on=row["lastcontentaccesstime"],
        seen_changed_at=row["seen_changed_at"],
        copies=Copies(
            row["collection_name"],
            row["context_name"],
            row["context_start_date"],
            row["context_end_date"],
        ),
        certificates=tuple(row["certificates"] or ()),
        moved_to=row["moved_to"],
        moved_from=row["moved_from"],
        granted_on=row["granted_on"],
    )


def as_read(enrolment: Enrolment) -> list[Condition]:
    """The conditions that no other call has changed the enrolment since it was read."""
    return [
        Equal("active", enrolment.active),
        Equal("enrolled_on", enrolment.enrolled_on),
        Equal("reenrolled_on", enrolment.reenrolled_on),
        Equal("moved_to", enrolment.moved_to),
    ]


def row_key(key: ProgressKey) -> tuple[str, str, str]:
    """The primary key of the enrolment's row."""
    return key.user_id, key.collection_id, key.context_id
