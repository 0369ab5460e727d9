"""A learner's list of enrolments: which of them, in which order, and how many (R-ENROL-5).

The store has one order: collection and context. A page of it costs what the page shows. Every other order, and every
filter but ``active``, reads the rows of all of the learner's enrolments first. So they are for at most MOST_ORDERED.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import repeat
from typing import NamedTuple

from loaders.enrolments import NarrowEnrolment, narrow_enrolments_page
from loaders.session import Session
from resolvers.enrolments import Enrolled, enrolled, enrolments_page, heal
from resolvers.listed_enrolments import ListedEnrolment, ListedPage, listed, listed_enrolments
from resolvers.ordering import MOST_ORDERED, Ordering, Value
from resolvers.paging import Asked, Page, checked_many
from rules.errors import InvalidInput
from rules.identifiers import checked_id
from rules.progress import Status

_BETWEEN = "\t"
"""Between collection and context in a cursor. No id has it, and it is below whatever an id has, so that these texts have
the order of the store."""


class EnrolmentOrder(Enum):
    """By what a learner's enrolments are ordered."""

    COLLECTION = "collection"
    NAME = "name"
    LAST_ACCESSED_ON = "last access"
    ENROLLED_ON = "enrolment"


UPWARDS = (EnrolmentOrder.COLLECTION, EnrolmentOrder.NAME)
"""Orders that begin with the smallest unless told; the others begin with the latest."""


@dataclass(frozen=True, slots=True)
class EnrolmentsWanted:
    """Which enrolments, and in which order. None does not matter; ``descending`` of None is as UPWARDS says. ``leaves``:
    whether the status of each leaf is shown, too."""

    active: bool | None = None
    statuses: Sequence[Status] | None = None
    collection_ids: Sequence[str] | None = None
    context_ids: Sequence[str] | None = None
    order: EnrolmentOrder = EnrolmentOrder.COLLECTION
    descending: bool | None = None
    leaves: bool = False

    def checked(self) -> "EnrolmentsWanted":
        """The same. InvalidInput for ids that can't be, and for too many of them."""
        for field, ids in (("collectionIds", self.collection_ids), ("contextIds", self.context_ids)):
            for each in checked_many(ids or (), field):
                checked_id(each, field)
        return self

    @property
    def is_descending(self) -> bool:
        return self.order not in UPWARDS if self.descending is None else self.descending

    @property
    def reads_all(self) -> str | None:
        """The argument for which all of the learner's enrolments must be read. None if the store has what is wanted."""
        if (self.statuses, self.collection_ids, self.context_ids) != (None, None, None):
            return "filter"
        if self.order is not EnrolmentOrder.COLLECTION or self.is_descending:
            return "orderBy"
        return None

    def takes(self, row: NarrowEnrolment) -> bool:
        """Whether the enrolment is wanted, as far as its row tells."""
        return (
            self.active in (None, bool(row.active))
            and (self.collection_ids is None or row.collection_id in self.collection_ids)
            and (self.context_ids is None or row.context_id in self.context_ids)
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """A member of a list that shows the status of each leaf. ``cursor``: what its cursor carries, by the values that the list
    was ordered by."""

    enrolled: Enrolled
    cursor: Sequence[str]


class OrderedEnrolment(NamedTuple):
    """A member of a list in another order than the store's, which is its own edge."""

    node: ListedEnrolment
    order: Ordering[NarrowEnrolment]

    @property
    def cursor(self) -> Sequence[str]:
        """As of Listed."""
        return self.order.place(self.node.row)


class OrderedPage(Page[OrderedEnrolment]):
    """A page in another order than the store's."""


async def listed_page(
    session: Session, user_id: str, wanted: EnrolmentsWanted, asked: Asked
) -> Page[Listed] | ListedPage | OrderedPage:
    """The page that is asked for. InvalidInput if it needs all enrolments and the learner has more than MOST_ORDERED.

    ``total`` is there if all had to be read.
    """
    session.viewer.check_may_see(user_id)
    wanted = wanted.checked()
    needed_for = wanted.reads_all or ("last" if asked.backward else None)
    if needed_for is None:
        return await _stored_page(session, user_id, wanted, asked)
    rows = await _rows(session, user_id, wanted, needed_for)
    of_status = None if wanted.statuses is None else await _of_status(session, user_id, rows, wanted)
    if of_status is not None:
        rows = [row for row in rows if row[:2] in of_status]
    order = await _ordering(session, wanted, rows)
    page = order.page(rows, asked)
    shown = of_status or await _shown(session, user_id, page.members, wanted)
    bounds = page.has_more, None, page.has_earlier, page.total
    members = [(row, shown[row[:2]]) for row in page.members]
    if wanted.leaves:
        return Page(
            [Listed(one, order.place(row)) for row, one in members if isinstance(one, Enrolled)], *bounds
        )
    light = [OrderedEnrolment(one, order) for _, one in members if isinstance(one, ListedEnrolment)]
    return OrderedPage(light, *bounds)


async def enrolments_count(session: Session, user_id: str, wanted: EnrolmentsWanted) -> int:
    """How many enrolments the whole list has. InvalidInput if the learner has more than MOST_ORDERED."""
    session.viewer.check_may_see(user_id)
    rows = await _rows(session, user_id, wanted.checked(), "totalCount")
    if wanted.statuses is None:
        return len(rows)
    return len(await _of_status(session, user_id, rows, wanted))


async def _stored_page(
    session: Session, user_id: str, wanted: EnrolmentsWanted, asked: Asked
) -> Page[Listed] | ListedPage:
    """A page in the order of the store."""
    after = None
    if asked.place is not None:
        collection_id, between, context_id = asked.place[-1].partition(_BETWEEN)
        if asked.place[:-1] != _BEGIN or not between:
            raise InvalidInput("after must be a cursor of this list and order", field="after")
        after = collection_id, context_id
    if wanted.leaves:
        whole = await enrolments_page(
            session, user_id, first=asked.limit, after=after, active=wanted.active, statuses=True
        )
        members = [
            Listed(one, (*_BEGIN, _place(one.enrolment.key.collection_id, one.enrolment.key.context_id)))
            for one in whole.members
        ]
        return Page(members, whole.has_more)
    return await listed_enrolments(session, user_id, first=asked.limit, after=after, active=wanted.active)


def place_of(listed: ListedEnrolment) -> Sequence[str]:
    """What its cursor carries in the order of the store."""
    return (*_BEGIN, _place(listed.collection_id, listed.context_id))


def _place(collection_id: str, context_id: str) -> str:
    return f"{collection_id}{_BETWEEN}{context_id}"


async def _rows(
    session: Session, user_id: str, wanted: EnrolmentsWanted, needed_for: str
) -> list[NarrowEnrolment]:
    found, more = await narrow_enrolments_page(
        session.stores.rows, user_id, after=None, limit=MOST_ORDERED, active=None
    )
    if more:
        raise InvalidInput(
            f"the learner has more than {MOST_ORDERED:,} enrolments: they are listed forwards by COLLECTION, all or by active, "
            "and not counted",
            field=needed_for,
        )
    return [row for row in found if wanted.takes(row)]


_Shown = Mapping[tuple[str, ...], Enrolled | ListedEnrolment]
"""By collection and context."""


async def _of_status(
    session: Session, user_id: str, rows: Sequence[NarrowEnrolment], wanted: EnrolmentsWanted
) -> _Shown:
    """The enrolments with one of these statuses, as they are shown: workers may not have seen the last view yet."""
    shown = await _shown(session, user_id, rows, wanted)
    return {place: one for place, one in shown.items() if one.status in (wanted.statuses or ())}


async def _shown(
    session: Session, user_id: str, rows: Sequence[NarrowEnrolment], wanted: EnrolmentsWanted
) -> _Shown:
    heal(session, [row.enrolment(user_id) for row in rows if row.is_unseen])
    places = [row[:2] for row in rows]
    if not wanted.leaves:
        return dict(zip(places, await listed(session, rows, repeat(user_id)), strict=True))
    whole = await enrolled(session, [row.enrolment(user_id) for row in rows], statuses=True)
    return dict(zip(places, whole, strict=True))


async def _ordering(
    session: Session, wanted: EnrolmentsWanted, rows: Sequence[NarrowEnrolment]
) -> Ordering[NarrowEnrolment]:
    match wanted.order:
        case EnrolmentOrder.COLLECTION:
            return _by_key(wanted)
        case EnrolmentOrder.NAME:
            ids = list({row.collection_id for row in rows})
            contents = dict(zip(ids, await session.library.contents.load_many(ids), strict=True))
            names = {identifier: content.name for identifier, content in contents.items() if content}
            return _by(wanted, lambda row: names.get(row.collection_id))
        case EnrolmentOrder.LAST_ACCESSED_ON:
            return _by(wanted, lambda row: row.last_accessed_on)
        case EnrolmentOrder.ENROLLED_ON:
            return _by(wanted, lambda row: row.enrolled_on)


def _by_key(wanted: EnrolmentsWanted) -> Ordering[NarrowEnrolment]:
    return _by(wanted, lambda _: 0)


def _by(wanted: EnrolmentsWanted, value: Callable[[NarrowEnrolment], Value]) -> Ordering[NarrowEnrolment]:
    return Ordering(
        wanted.order.name,
        value,
        lambda row: _place(row.collection_id, row.context_id),
        descending=wanted.is_descending,
    )


_BEGIN = _by_key(EnrolmentsWanted()).place_of(0, "")[:-1]
"""Alike in all cursors of the order of the store."""
