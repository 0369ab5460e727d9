"""The search port: documents of collections and units, found by words and filters. Engines: SQLite FTS5 and OpenSearch.

The index is never the only copy: ``ingest/publishing/`` can always make it anew from what is published. Who searches
finds what was written before the search began. A write is conditional on the document that its writer has read, so that of two
processes that bring the index up to date at once none undoes what the other did.

Both engines find the same documents, in the same order unless that is relevance, where only this holds: a word in the name
weighs more than one in the keywords, that more than one in the description, that more than one in a unit's name. Words are
what Unicode says; capitals and accents of Latin letters make no difference. Calls keep to the deadline (stores/deadline.py).
StoreUnavailable says that the engine did not answer, or has no index yet.
"""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from rules.errors import InvalidInput
from rules.search import SearchDocument
from stores.meter import Meter

WEIGHTS = {"name": 8.0, "keywords": 4.0, "description": 2.0, "unit_names": 1.0}
"""The fields that are searched for words, and how much a word in each weighs."""
FACET_VALUES = 100
"""The most values that a facet has: the most frequent ones."""
LARGEST_WHOLE = 2**63 - 1


class SearchOrder(Enum):
    """By what hits are ordered. What it leaves open is ordered by the identifier, always upwards."""

    RELEVANCE = "relevance"
    NAME = "name"
    LAST_PUBLISHED_ON = "lastPublishedOn"
    LEAF_NODES_COUNT = "leafNodesCount"


Place = tuple[str, str]
"""A hit's place in the order, after which a page can begin: the value that it is ordered by, and its identifier."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to find.

    - ``words``: all of them must occur, the last one as the beginning of a word (rules/search.py). None of them: every
      document; that a text had no word is the caller's to see.
    - ``filters``: by the names of FILTERS. One value of each must be there. A filter without values finds nothing.
    - ``facets``: the names of FILTERS whose values are counted, in all that is found.
    """

    words: Sequence[str] = ()
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    order: SearchOrder = SearchOrder.RELEVANCE
    descending: bool = True
    first: int = 20
    after: Place | None = None
    facets: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    identifier: str
    place: Place


@dataclass(frozen=True, slots=True)
class Hits:
    """A page of what was found. ``facets``: by name the values and their counts, the most frequent first, then by value."""

    hits: Sequence[Hit]
    total: int
    has_more: bool
    facets: Mapping[str, Sequence[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class UnitHit:
    identifier: str
    name: str


@dataclass(frozen=True, slots=True)
class Indexed:
    """A document as it was read. ``revision`` changes with each write of it."""

    document: SearchDocument
    revision: str


@dataclass(frozen=True, slots=True)
class IndexWrite:
    """Writes a document, or deletes it. ``revision``: the one that was read; None where there was no document."""

    document: SearchDocument
    revision: str | None
    delete: bool = False


class Search(Protocol):
    meter: Meter

    async def init(self) -> list[str]:
        """Creates the index where it is missing, or made by an earlier version: then it is empty. A line for what was
        done."""
        ...

    async def find(self, query: SearchQuery) -> Hits: ...

    async def units(
        self, words: Sequence[str], roots: Sequence[str], each: int
    ) -> Mapping[str, Sequence[UnitHit]]:
        """Returns the units of these collections that have any of the words, by collection: the ``each`` best ones."""
        ...

    async def documents(self, root: str) -> list[Indexed]:
        """Returns all documents of a collection, as they are now."""
        ...

    def roots(self) -> AsyncIterator[Sequence[str]]:
        """Gives every collection that the index has documents of, a page at a time, in order."""
        ...

    async def write(self, writes: Sequence[IndexWrite]) -> Sequence[IndexWrite]:
        """Makes the writes whose revision is still there, and returns the others. Whatever was written is found when it
        returns; where it fails, any part of it may be written."""
        ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


def place_value(order: SearchOrder, place: Place) -> str | int | float:
    """Returns the value that a place was made from. InvalidInput where there can be no such place in this order."""
    try:
        if order is SearchOrder.NAME:
            return place[0]
        if order is SearchOrder.RELEVANCE:
            score = float(place[0])
            if math.isfinite(score):
                return score
        else:
            whole = int(place[0]) if len(place[0]) < 20 else LARGEST_WHOLE + 1
            if abs(whole) <= LARGEST_WHOLE:
                return whole
    except ValueError:
        pass
    raise InvalidInput("after must be a cursor of this list", field="after")
