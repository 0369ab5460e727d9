"""The port of the learner index: documents of profiles, found by beginnings of words, by user id and by attributes.

Engines: a SQLite file, and an index in OpenSearch, beside those of the search port (stores/search.py) and by the same setting.
The index is never the only copy: ``ingest/learner_index/`` can always make it anew from the profiles. Who searches finds
what was written before the search began. A write is conditional on the document that its writer has read.

Both engines find the same in the same order: they only compare texts that rules/learner_search.py makes. Texts are
ordered by their bytes in UTF-8. Calls keep to the deadline (stores/deadline.py). StoreUnavailable says that the engine did
not answer, or has no index yet.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rules.errors import InvalidInput
from rules.learner_search import LearnerDocument, LearnerOrder, LearnerText
from stores.meter import Meter

Place = tuple[str, ...]
"""A hit's place in the order, after which a page can begin: the values of the order's ORDERED_BY."""

ORDERED_BY: Mapping[LearnerOrder, Sequence[str]] = {
    LearnerOrder.RELEVANCE: ("relevance", "name_in_order", "user_id"),
    LearnerOrder.NAME: ("name_in_order", "user_id"),
    LearnerOrder.USER_ID: ("user_id",),
}
"""What each order compares, one after the other. The other way round, all of it is."""


@dataclass(frozen=True, slots=True)
class LearnerQuery:
    """Which learners to find. ``text``: all without it. ``filters``: by attribute; one of the values must be there.
    ``backwards``: in the opposite of the usual order, which is from the most relevant one, or from the smallest on."""

    text: LearnerText | None = None
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    order: LearnerOrder = LearnerOrder.NAME
    backwards: bool = False
    first: int = 20
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class LearnerHit:
    user_id: str
    place: Place


@dataclass(frozen=True, slots=True)
class LearnerHits:
    """A page of what was found, and how much that is on all pages."""

    hits: Sequence[LearnerHit]
    total: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class IndexedLearner:
    """A document as it was read. ``revision`` changes with each write of it."""

    document: LearnerDocument
    revision: str


@dataclass(frozen=True, slots=True)
class LearnerWrite:
    """Writes the learner's document, or deletes it if that is None. ``revision``: the one that was read; None where there
    was no document."""

    user_id: str
    document: LearnerDocument | None
    revision: str | None


class LearnerSearch(Protocol):
    meter: Meter

    async def init(self) -> list[str]:
        """Creates the index where it is missing, or made by an earlier version: then it is empty. A line for what was
        done."""
        ...

    async def find(self, query: LearnerQuery) -> LearnerHits: ...

    async def documents(self, user_ids: Sequence[str]) -> Mapping[str, IndexedLearner]:
        """Returns the documents of these learners as they are now, without those that have none."""
        ...

    def user_ids(self) -> AsyncIterator[Sequence[str]]:
        """Gives every learner that the index has a document of, a page at a time, in order."""
        ...

    async def write(self, writes: Sequence[LearnerWrite]) -> Sequence[LearnerWrite]:
        """Makes the writes whose revision is still there, and returns the others. Whatever was written is found when it
        returns; where it fails, any part of it may be written."""
        ...

    async def scrub(self) -> None:
        """Makes the index's files forget what was deleted, where that is in the engine's hands."""
        ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


def filter_value(name: str, value: str) -> str:
    """Returns an attribute with its value as engines compare it."""
    return f"{name}={value}"


def place_values(order: LearnerOrder, place: Place) -> tuple[str | int, ...]:
    """Returns the values that a place was made from. InvalidInput where there can be no such place in this order."""
    by_relevance = order is LearnerOrder.RELEVANCE
    if len(place) == len(ORDERED_BY[order]):
        if not by_relevance:
            return place
        if place[0].isdecimal() and place[0].isascii() and len(place[0]) < 10:
            return int(place[0]), *place[1:]
    raise InvalidInput("after must be a cursor of this list", field="after")
