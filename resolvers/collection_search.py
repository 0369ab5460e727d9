"""Collections that are searched for. Any authenticated viewer may; only authors find what is not live."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loaders.session import Session
from resolvers.opaque_texts import decode_cursor
from resolvers.paging import checked_first, checked_many
from rules.access import Access
from rules.contents import Content, ContentKind
from rules.errors import InvalidInput
from rules.search import DEFAULT, LIVE, words_of
from stores.search import Hit, SearchOrder, SearchQuery, UnitHit

__all__ = ["UNITS", "Catalogue", "CatalogueOrder", "Hit", "search_collections"]

UNITS = 5
"""Units that a hit names, at most."""
UPWARDS = (SearchOrder.NAME,)
"""What is ordered from the smallest on if nothing else is said."""


@dataclass(frozen=True, slots=True)
class CatalogueOrder:
    by: SearchOrder
    descending: bool | None = None

    @property
    def is_descending(self) -> bool:
        return self.by not in UPWARDS if self.descending is None else self.descending

    def cursor(self, hit: Hit) -> tuple[str, ...]:
        """Returns what the cursor of a hit carries: the order, and the place in it."""
        return self._name, *hit.place

    def place(self, cursor: str | None) -> tuple[str, str] | None:
        """Returns the place that a cursor carries. InvalidInput if it is of another order."""
        parts = decode_cursor(cursor, 3)
        if parts is None:
            return None
        if parts[0] != self._name:
            raise InvalidInput("after must be a cursor of this list, in the same order", field="after")
        return parts[1], parts[2]

    @property
    def _name(self) -> str:
        return f"{self.by.value} {'down' if self.is_descending else 'up'}"


@dataclass(slots=True)
class Catalogue:
    """A page of the collections that were found. ``hits``: what the index has of it; ``found``: those of them that are
    still there."""

    session: Session
    words: Sequence[str]
    order: CatalogueOrder
    hits: Sequence[Hit] = ()
    found: Sequence[tuple[Content, Hit]] = ()
    total: int = 0
    has_more: bool = False
    facets: Mapping[str, Sequence[tuple[str, int]]] = field(default_factory=dict)
    _units: asyncio.Task[Mapping[str, Sequence[UnitHit]]] | None = None

    async def units(self, collection: str) -> Sequence[UnitHit]:
        """Returns the units of the collection that have a word of the text. One search serves the whole page."""
        if self._units is None:
            roots = [content.identifier for content, _ in self.found]
            search = self.session.stores.search
            self._units = asyncio.ensure_future(search.units(self.words, roots, UNITS))
        return (await self._units).get(collection, ())


async def search_collections(
    session: Session,
    text: str | None,
    filters: Mapping[str, Sequence[str] | None],
    order: CatalogueOrder | None,
    first: int,
    after: str | None,
    facets: Sequence[str],
) -> Catalogue:
    """Searches. ``filters`` by the names of rules.search.FILTERS; one that is empty is as good as none.

    Unauthenticated. Forbidden if a viewer who is no author asks for another status than Live. InvalidInput.
    """
    session.viewer.known()
    asked = {name: checked_many(values, f"filter.{name}") for name, values in filters.items() if values}
    statuses = asked["status"] = _statuses(session, asked.get("status"))
    text = (text or "").strip()
    words = words_of(text)
    order = order or CatalogueOrder(SearchOrder.RELEVANCE if text else SearchOrder.NAME)
    catalogue = Catalogue(session, words, order, facets=dict.fromkeys(facets, ()))
    query = SearchQuery(
        words=words,
        filters={**asked, "visibility": [DEFAULT]},
        order=order.by,
        descending=order.is_descending,
        first=checked_first(first),
        after=order.place(after),
        facets=facets,
    )
    if text and not words:
        return catalogue  # signs alone: no name has them
    page = await session.stores.search.find(query)
    contents = await session.loaders.contents.load_many([hit.identifier for hit in page.hits])
    catalogue.found = [
        (content, hit)
        for content, hit in zip(contents, page.hits, strict=True)
        # Between a change and the index's there is a moment.
        if content is not None and content.kind is ContentKind.COLLECTION and content.status in statuses
    ]
    catalogue.hits, catalogue.has_more = page.hits, page.has_more
    catalogue.total, catalogue.facets = page.total, page.facets
    return catalogue


def _statuses(session: Session, asked: Sequence[str] | None) -> Sequence[str]:
    if asked is None or {*asked} == {LIVE}:
        return [LIVE]
    session.viewer.check(Access.AUTHORS, may=f"search for another status than {LIVE}", field="filter.status")
    return asked
