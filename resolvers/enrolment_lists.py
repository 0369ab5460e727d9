"""A learner's list of enrolments: which of them, in which order, and how many (R-ENROL-5).

The store has one order: collection and context. A page of it costs what the page shows. Every other order, and every
filter but ``active``, reads the short form of all of the learner's enrolments first. So they are for at most MOST_ORDERED.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from loaders import enrolments as rows
from loaders.enrolments import EnrolmentPlace
from loaders.session import Session
from resolvers.enrolments import Enrolled, enrolled, enrolments_page, heal
from resolvers.listed_enrolments import ListedEnrolment, ListedPage, listed_enrolments
from resolvers.ordering import MOST_ORDERED, Ordering, Value
from resolvers.paging import Asked, Page, checked_many
from rules.errors import InvalidInput
from rules.identifiers import ProgressKey, checked_id
from rules.moments import EARLIEST
from rules.progress import Status

_BETWEEN = "\t"
"""Between collection and context in a cursor. No id has it, and it is below whatever an id has, so that these texts have
the order of the store."""
_NOWHERE = EnrolmentPlace("", "", active=True, enrolled_on=EARLIEST, last_accessed_on=None)


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

    def takes(self, place: EnrolmentPlace) -> bool:
        """Whether the enrolment is wanted, as far as its short form tells."""
        return (
            self.active in (None, place.active)
            and (self.collection_ids is None or place.collection_id in self.collection_ids)
            and (self.context_ids is None or place.context_id in self.context_ids)
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """A member of the list. ``cursor``: what its cursor carries, by the values that the list was ordered by."""

    enrolled: Enrolled
    cursor: Sequence[str]


async def listed_page(
    session: Session, user_id: str, wanted: EnrolmentsWanted, asked: Asked
) -> Page[Listed] | ListedPage:
    """The page that is asked for. InvalidInput if it needs all enrolments and the learner has more than MOST_ORDERED.

    ``total`` is there if all had to be read.
    """
    session.viewer.check_may_see(user_id)
    wanted = wanted.checked()
    needed_for = wanted.reads_all or ("last" if asked.backward else None)
    if needed_for is None:
        return await _stored_page(session, user_id, wanted, asked)
    places = await _places(session, user_id, wanted, needed_for)
    of_status = None if wanted.statuses is None else await _of_status(session, user_id, places, wanted)
    if of_status is not None:
        places = [place for place in places if place in of_status]
    order = await _ordering(session, wanted, places)
    page = order.page(places, asked)
    shown = of_status or dict(await _shown(session, user_id, page.members, wanted))
    members = [Listed(shown[place], order.place(place)) for place in page.members if place in shown]
    return Page(members, page.has_more, has_earlier=page.has_earlier, total=page.total)


async def enrolments_count(session: Session, user_id: str, wanted: EnrolmentsWanted) -> int:
    """How many enrolments the whole list has. InvalidInput if the learner has more than MOST_ORDERED."""
    session.viewer.check_may_see(user_id)
    places = await _places(session, user_id, wanted.checked(), "totalCount")
    if wanted.statuses is None:
        return len(places)
    return len(await _of_status(session, user_id, places, wanted))


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


async def _places(
    session: Session, user_id: str, wanted: EnrolmentsWanted, needed_for: str
) -> list[EnrolmentPlace]:
    found = await rows.enrolment_places(session.stores.rows, user_id, most=MOST_ORDERED + 1)
    if len(found) > MOST_ORDERED:
        raise InvalidInput(
            f"the learner has more than {MOST_ORDERED:,} enrolments: they are listed forwards by COLLECTION, all or by active, "
            "and not counted",
            field=needed_for,
        )
    return [place for place in found if wanted.takes(place)]


async def _of_status(
    session: Session, user_id: str, places: Sequence[EnrolmentPlace], wanted: EnrolmentsWanted
) -> Mapping[EnrolmentPlace, Enrolled]:
    """The enrolments with one of these statuses, as they are shown: workers may not have seen the last view yet."""
    shown = await _shown(session, user_id, places, wanted)
    return {place: one for place, one in shown if one.progress.status in (wanted.statuses or ())}


async def _shown(
    session: Session, user_id: str, places: Sequence[EnrolmentPlace], wanted: EnrolmentsWanted
) -> list[tuple[EnrolmentPlace, Enrolled]]:
    """The enrolments of these places, without those that went meanwhile."""
    keys = [ProgressKey(user_id, place.collection_id, place.context_id) for place in places]
    read = await rows.enrolments_by_key(session.stores.rows, keys) if keys else []
    found = [(place, one) for place, one in zip(places, read, strict=True) if one is not None]
    heal(session, [one for _, one in found])
    answers = await enrolled(session, [one for _, one in found], statuses=wanted.leaves)
    return [(place, answer) for (place, _), answer in zip(found, answers, strict=True)]


async def _ordering(
    session: Session, wanted: EnrolmentsWanted, places: Sequence[EnrolmentPlace]
) -> Ordering[EnrolmentPlace]:
    match wanted.order:
        case EnrolmentOrder.COLLECTION:
            return _by_key(wanted)
        case EnrolmentOrder.NAME:
            ids = list({place.collection_id for place in places})
            contents = dict(zip(ids, await session.library.contents.load_many(ids), strict=True))
            names = {identifier: content.name for identifier, content in contents.items() if content}
            return _by(wanted, lambda place: names.get(place.collection_id))
        case EnrolmentOrder.LAST_ACCESSED_ON:
            return _by(wanted, lambda place: place.last_accessed_on)
        case EnrolmentOrder.ENROLLED_ON:
            return _by(wanted, lambda place: place.enrolled_on)


def _by_key(wanted: EnrolmentsWanted) -> Ordering[EnrolmentPlace]:
    return _by(wanted, lambda _: 0)


def _by(wanted: EnrolmentsWanted, value: Callable[[EnrolmentPlace], Value]) -> Ordering[EnrolmentPlace]:
    return Ordering(
        wanted.order.name,
        value,
        lambda place: _place(place.collection_id, place.context_id),
        descending=wanted.is_descending,
    )


_BEGIN = _by_key(EnrolmentsWanted()).place(_NOWHERE)[:-1]
"""Alike in all cursors of the order of the store."""
