"""The roster of a context: its learners in one collection, with their enrolments and how they stand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from operator import attrgetter
from typing import NamedTuple, Self

from loaders.context_learners import learners_in
from loaders.contexts import MOST_PASSED
from loaders.enrolments import NarrowEnrolment, narrow_enrolments_of
from loaders.session import Session
from resolvers.enrolments import Enrolled, enrolled, heal
from resolvers.learners import ProfiledLearner
from resolvers.listed_enrolments import ListedEnrolment, listed
from resolvers.ordering import MOST_ORDERED, Ordering, Value, by_id, too_many
from resolvers.paging import Asked, Page
from rules.contexts import Context, check_contains, check_may_report
from rules.errors import InvalidInput
from rules.identifiers import checked_id
from rules.learners import Learner
from rules.progress import Status

PORTION = 200
"""Learners of each bucket that are read at once where everybody is read."""


class RosterOrder(Enum):
    USER_ID = "userId"
    NAME = "name"
    PROGRESS = "progress"
    LAST_ACCESSED_ON = "lastAccessedOn"
    ENROLLED_ON = "enrolledOn"


class _Row(NamedTuple):
    """An enrolment of the list, with what of it is read already."""

    user_id: str
    enrolment: NarrowEnrolment
    enrolled: Enrolled | ListedEnrolment | None = None
    learner: Learner | None = None

    @property
    def status(self) -> Status | None:
        return None if self.enrolled is None else self.enrolled.status

    @property
    def completion_percentage(self) -> int | None:
        return None if self.enrolled is None else self.enrolled.completion_percentage


class RosterEntry(NamedTuple):
    """A learner of a context and how they stand: whole where the status of each leaf is shown."""

    learner: ProfiledLearner
    enrolment: Enrolled | ListedEnrolment
    row: _Row
    order: Ordering[_Row]

    @property
    def node(self) -> Self:
        """It is its own edge."""
        return self

    @property
    def place(self) -> Sequence[str]:
        """What the cursor carries."""
        return self.order.place(self.row)


_VALUES: dict[RosterOrder, Callable[[_Row], Value]] = {
    RosterOrder.USER_ID: by_id,
    RosterOrder.NAME: lambda row: row.learner.name if row.learner else None,
    RosterOrder.PROGRESS: lambda row: row.completion_percentage,
    RosterOrder.LAST_ACCESSED_ON: lambda row: row.enrolled.last_accessed_on if row.enrolled else None,
    RosterOrder.ENROLLED_ON: lambda row: row.enrolment.enrolled_on,
}


@dataclass(frozen=True, slots=True)
class RosterWanted:
    """Which learners of a context, and in which order. None: whatever it is."""

    active: bool | None = None
    statuses: frozenset[Status] | None = None
    by: RosterOrder = RosterOrder.USER_ID
    descending: bool = False

    @property
    def ordering(self) -> Ordering[_Row]:
        return Ordering(self.by.name, _VALUES[self.by], attrgetter("user_id"), self.descending)

    @property
    def is_as_stored(self) -> bool:
        """Whether the store gives a page of them without the others."""
        return self.by is RosterOrder.USER_ID and not self.descending and self.statuses is None

    @property
    def needs_figures(self) -> bool:
        """Whether it depends on how each learner stands."""
        return self.statuses is not None or self.by in (RosterOrder.PROGRESS, RosterOrder.LAST_ACCESSED_ON)


class ContextRoster:
    """The learners of a context in one of its collections, for who may have its reports. The workers keep the list: an
    enrolment is in it once a worker has seen it."""

    def __init__(
        self, session: Session, context: Context, collection_id: str | None, *, leaves: bool = False
    ) -> None:
        """``leaves``: whether the status of each leaf is shown, too. Forbidden, Unauthenticated. InvalidInput if the context has no such collection, or several and none is
        named."""
        check_may_report(session.viewer, context)
        self._session = session
        self._context = context
        self._collection_id = _collection_of(context, collection_id)
        self._leaves = leaves

    async def page(self, wanted: RosterWanted, asked: Asked) -> Page[RosterEntry]:
        """A page of the learners. InvalidInput if there are more than MOST_ORDERED and all would be needed."""
        if wanted.is_as_stored and not asked.backward:
            return await self._page_as_stored(wanted, asked)
        found = await self._everybody(wanted)
        if found is None:
            raise too_many("learners", "order by USER_ID, ascending, without a status, or ask for an exhaust")
        page = wanted.ordering.page(found, asked)
        entries = await self._entries(page.members, wanted)
        return Page(entries, page.has_more, has_earlier=page.has_earlier, total=page.total)

    async def count(self, wanted: RosterWanted) -> int | None:
        """How many there are in all; None where there are too many to count."""
        found = await self._everybody(replace(wanted, by=RosterOrder.USER_ID))
        return None if found is None else len(found)

    async def _page_as_stored(self, wanted: RosterWanted, asked: Asked) -> Page[RosterEntry]:
        """In the order of user ids. Of those who are passed over at most MOST_PASSED are read: a page may then be short
        although there are more."""
        ordering, limit = wanted.ordering, asked.limit
        found: list[_Row] = []
        seen: str | None = None
        passed = 0

        async def page(*, has_more: bool) -> Page[RosterEntry]:
            end = None if seen is None or not has_more else ordering.place_of("", seen)
            return Page(await self._entries(found, wanted), has_more, end)

        async for user_ids in self._learners(ordering.id_of_place(asked), limit + 1):
            for first in range(0, len(user_ids), limit + 1):
                some = user_ids[first : first + limit + 1]
                enrolments = await self._enrolments(some)
                for user_id in some:
                    enrolment = enrolments.get(user_id)
                    is_wanted = enrolment is not None and wanted.active in (None, bool(enrolment.active))
                    if is_wanted and len(found) == limit:
                        return await page(has_more=True)
                    if enrolment is not None and is_wanted:
                        found.append(_Row(user_id, enrolment))
                    seen = user_id
                passed += len(some)
                if passed >= MOST_PASSED:
                    return await page(has_more=True)
        return await page(has_more=False)

    async def _everybody(self, wanted: RosterWanted) -> list[_Row] | None:
        """All that are wanted, with as much as the order needs. None if there are more than MOST_ORDERED learners."""
        user_ids: list[str] = []
        async for page in self._learners(None, PORTION):
            user_ids += page
            if len(user_ids) > MOST_ORDERED:
                return None
        rows = [
            _Row(user_id, enrolment)
            for user_id, enrolment in (await self._enrolments(user_ids)).items()
            if wanted.active in (None, bool(enrolment.active))
        ]
        if wanted.needs_figures:
            shown = zip(rows, await self._shown(rows), strict=True)
            rows = [row._replace(enrolled=one) for row, one in shown]
            rows = [row for row in rows if wanted.statuses is None or row.status in wanted.statuses]
        if wanted.by is RosterOrder.NAME:
            learners = await self._profiles(rows)
            rows = [row._replace(learner=learner) for row, learner in zip(rows, learners, strict=True)]
        return rows

    async def _shown(self, rows: Sequence[_Row]) -> Sequence[Enrolled | ListedEnrolment]:
        if self._leaves:
            enrolments = [row.enrolment.enrolment(row.user_id) for row in rows]
            return await enrolled(self._session, enrolments, statuses=True)
        return await listed(self._session, [row.enrolment for row in rows], [row.user_id for row in rows])

    async def _entries(self, rows: Sequence[_Row], wanted: RosterWanted) -> list[RosterEntry]:
        """The members of a page, with all that it shows."""
        unseen = [row.enrolment.enrolment(row.user_id) for row in rows if row.enrolment.is_unseen]
        heal(self._session, unseen)
        unread = [row for row in rows if row.enrolled is None]
        learners, read = await asyncio.gather(self._profiles(rows), self._shown(unread))
        known = {row.user_id: one for row, one in zip(unread, read, strict=True)}
        order = wanted.ordering
        return [
            RosterEntry(ProfiledLearner(row.user_id, learner), row.enrolled or known[row.user_id], row, order)
            for row, learner in zip(rows, learners, strict=True)
        ]

    async def _profiles(self, rows: Sequence[_Row]) -> list[Learner]:
        found = await self._session.loaders.learners_of_page([row.user_id for row in rows])
        return [learner or Learner(row.user_id) for row, learner in zip(rows, found, strict=True)]

    def _learners(self, after: str | None, size: int) -> AsyncIterator[Sequence[str]]:
        rows, library = self._session.stores.rows, self._session.library
        return learners_in(
            rows, library, self._context.context_id, self._collection_id, after=after, size=size
        )

    async def _enrolments(self, user_ids: Sequence[str]) -> dict[str, NarrowEnrolment]:
        rows, context_id = self._session.stores.rows, self._context.context_id
        return await narrow_enrolments_of(rows, user_ids, self._collection_id, context_id)


def _collection_of(context: Context, collection_id: str | None) -> str:
    if collection_id is not None:
        check_contains(context, checked_id(collection_id, "collectionId"))
        return collection_id
    if len(context.collection_ids) != 1:
        raise InvalidInput(
            f"context {context.context_id} is of several collections; collectionId must name one of them",
            field="collectionId",
        )
    return context.collection_ids[0]
