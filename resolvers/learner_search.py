"""Learners who are searched for, by those who may see every learner (R-PEOPLE-1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loaders.session import Session
from resolvers.learners import has_rows
from resolvers.opaque_texts import decode
from resolvers.paging import checked_first, checked_many
from rules.access import Access
from rules.errors import InvalidInput
from rules.identifiers import LONGEST_ID
from rules.learner_search import LearnerOrder, LearnerText
from rules.learners import Learner
from stores.learner_search import LearnerHit, LearnerHits, LearnerQuery, Place

__all__ = ["FoundLearners", "LearnersOrder", "search_learners"]

ALONE: Place = ()
"""The place of a learner without a profile, who is found by the whole user id: before all others, in every order."""


@dataclass(frozen=True, slots=True)
class LearnersOrder:
    """``descending`` of None is the usual direction: the most relevant first, names and user ids from the smallest on."""

    by: LearnerOrder
    descending: bool | None = None

    @property
    def is_backwards(self) -> bool:
        """Returns whether it is the opposite of the usual direction."""
        if self.descending is None:
            return False
        return self.descending is not (self.by is LearnerOrder.RELEVANCE)

    def cursor(self, hit: LearnerHit) -> tuple[str, ...]:
        """Returns what the cursor of a hit carries: the order, and the place in it."""
        return self._name, *hit.place

    def place(self, cursor: str | None) -> Place | None:
        """Returns the place that a cursor carries. InvalidInput if it is of another order."""
        if cursor is None:
            return None
        name, *place = decode(cursor, "after")
        if name != self._name:
            raise InvalidInput("after must be a cursor of this list, in the same order", field="after")
        return tuple(place)

    @property
    def _name(self) -> str:
        return f"{self.by.value} {'backwards' if self.is_backwards else 'usual'}"


@dataclass(frozen=True, slots=True)
class FoundLearners:
    """A page of the learners who were found. ``found``: the hits whose learner is still there, with the profile."""

    order: LearnersOrder
    page: LearnerHits
    found: Sequence[tuple[Learner, LearnerHit]]


async def search_learners(
    session: Session,
    text: str | None,
    filters: Mapping[str, Sequence[str] | None],
    order: LearnersOrder | None,
    first: int,
    after: str | None,
) -> FoundLearners:
    """Searches. ``filters`` by the names of rules.learners.ATTRIBUTES; one that is empty is as good as none.

    Unauthenticated, Forbidden, InvalidInput.
    """
    session.viewer.check(Access.EVERY_LEARNER)
    asked = {name: checked_many(values, f"filter.{name}") for name, values in filters.items() if values}
    wanted = LearnerText.of(text) if text is not None and text.strip() else None
    order = order or LearnersOrder(LearnerOrder.NAME if wanted is None else LearnerOrder.RELEVANCE)
    place = order.place(after)
    alone = None if wanted is None or asked else await _without_profile(session, wanted.user_id)
    query = LearnerQuery(
        text=wanted,
        filters=asked,
        order=order.by,
        backwards=order.is_backwards,
        first=checked_first(first),
        after=place or None,
    )
    page = await session.stores.learner_search.find(query)
    if alone is not None:
        page = _with(page, LearnerHit(alone, ALONE), first, begins=place is None)
    profiles = await session.loaders.learners.load_many([hit.user_id for hit in page.hits])
    found = [
        (profile or Learner(hit.user_id), hit)
        for profile, hit in zip(profiles, page.hits, strict=True)
        # Between an erasure and the index's there is a moment.
        if profile is not None or hit.place == ALONE
    ]
    return FoundLearners(order, page, found)


async def _without_profile(session: Session, user_id: str) -> str | None:
    """Returns the user id if it is that of a learner who is known by enrolments or views alone."""
    if len(user_id) > LONGEST_ID or await session.loaders.learners.load(user_id) is not None:
        return None
    return user_id if await has_rows(session, user_id) else None


def _with(page: LearnerHits, alone: LearnerHit, first: int, *, begins: bool) -> LearnerHits:
    """Returns the page with one more learner in the list, who comes before all others."""
    if not begins:
        return replace(page, total=page.total + 1)
    hits = [alone, *page.hits]
    return LearnerHits(hits[:first], page.total + 1, page.has_more or len(hits) > first)
