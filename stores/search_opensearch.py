"""The search port in OpenSearch (stores/opensearch_index.py)."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from rules.search import FILTERS, JOINERS, PARENT, SearchDocument, parted
from stores.opensearch_index import PAGE, OpenSearchIndex, revision_of, write_action
from stores.search import (
    FACET_VALUES,
    WEIGHTS,
    Hit,
    Hits,
    Indexed,
    IndexWrite,
    Search,
    SearchOrder,
    SearchQuery,
    UnitHit,
    place_value,
)
from stores.timing import timed

MOST_BEGINNINGS = 1_000
"""Words that may begin as a text of Chinese or Japanese ends."""
_ORDER = {
    SearchOrder.RELEVANCE: "_score",
    SearchOrder.NAME: "name_in_order",
    SearchOrder.LAST_PUBLISHED_ON: "published_on",
    SearchOrder.LEAF_NODES_COUNT: "leaf_nodes_count",
}
_WORDS = {"type": "text", "analyzer": "words", "index_options": "positions"}
_INDEX: Mapping[str, Any] = {
    "settings": {
        # With one shard the counts of facets are exact; a catalogue is small.
        "number_of_shards": 1,
        "auto_expand_replicas": "0-1",
        "analysis": {
            # The tokenizer alone keeps together what only some signs part, such as ``Unit1:Motion``.
            "char_filter": {
                "signs": {
                    "type": "pattern_replace",
                    "pattern": rf"[^\p{{L}}\p{{M}}\p{{N}}{JOINERS}]",
                    "replacement": " ",
                }
            },
            "analyzer": {
                "words": {
                    "type": "custom",
                    "char_filter": ["signs"],
                    "tokenizer": "standard",
                    "filter": ["lowercase", "asciifolding"],
                }
            },
        },
    },
    "mappings": {
        "dynamic": "strict",
        "properties": {
            "root": {"type": "keyword"},
            "identifier": {"type": "keyword"},
            "version": {"type": "integer"},
            "name": _WORDS,
            "name_in_order": {"type": "keyword"},
            "description": _WORDS,
            "keywords": _WORDS,
            "unit_names": _WORDS,
            "filters": {"properties": {name: {"type": "keyword"} for name in FILTERS}},
            "published_on": {"type": "long"},
            "leaf_nodes_count": {"type": "integer"},
        },
    },
}


@timed("search", Search)
class OpenSearch(OpenSearchIndex):
    kind = "search"
    called = "search"
    version = 1
    body = _INDEX
    filled_by = "`cohort search check --repair` fills it"

    async def find(self, query: SearchQuery) -> Hits:
        self.meter.count("search")
        direction = "desc" if query.descending else "asc"
        body: dict[str, Any] = {
            "query": {"bool": {"must": _must(query.words), "filter": _filters(query.filters)}},
            "sort": [{_ORDER[query.order]: direction}, {"identifier": "asc"}],
            "size": query.first + 1,
            "track_total_hits": True,
            "_source": False,
            "aggs": {
                name: {"terms": {"field": f"filters.{name}", "size": FACET_VALUES}} for name in query.facets
            },
        }
        if query.after is not None:
            body["search_after"] = [place_value(query.order, query.after), query.after[1]]
        found = await self._search(body)
        page = found["hits"]["hits"]
        hits = [Hit(one["sort"][1], (_text(one["sort"][0]), one["sort"][1])) for one in page[: query.first]]
        facets = {
            name: [(bucket["key"], bucket["doc_count"]) for bucket in counted["buckets"]]
            for name, counted in found.get("aggregations", {}).items()
        }
        return Hits(
            hits,
            found["hits"]["total"]["value"],
            len(page) > query.first,
            {name: facets[name] for name in query.facets},
        )

    async def units(
        self, words: Sequence[str], roots: Sequence[str], each: int
    ) -> Mapping[str, Sequence[UnitHit]]:
        if not words or not roots:
            return {}
        self.meter.count("search units")
        filters = _filters({"root": roots, "visibility": [PARENT]})
        best = {"name": "best", "size": each, "_source": ["identifier", "name"]}
        found = await self._search(
            {
                "query": {
                    "bool": {"should": _must(words), "minimum_should_match": 1, "filter": filters},
                },
                "collapse": {
                    "field": "root",
                    "inner_hits": best | {"sort": [{"_score": "desc"}, {"identifier": "asc"}]},
                },
                "size": len(roots),
                "_source": ["root"],
            }
        )
        units = {root: list[UnitHit]() for root in roots}
        for one in found["hits"]["hits"]:
            sources = [hit["_source"] for hit in one["inner_hits"]["best"]["hits"]["hits"]]
            units[one["_source"]["root"]] = [UnitHit(unit["identifier"], unit["name"]) for unit in sources]
        return units

    async def documents(self, root: str) -> list[Indexed]:
        await self._refresh()
        documents: list[Indexed] = []
        async for page in self._pages({"term": {"root": root}}):
            documents += [Indexed(SearchDocument.of(one["_source"]), revision_of(one)) for one in page]
        return documents

    async def _pages(self, query: Mapping[str, Any]) -> AsyncIterator[list[Any]]:
        body = {
            "query": query,
            "sort": [{"identifier": "asc"}],
            "size": PAGE,
            "seq_no_primary_term": True,
            "track_total_hits": False,
        }
        while True:
            self.meter.count("read documents")
            page = (await self._search(body))["hits"]["hits"]
            if page:
                yield page
            if len(page) < PAGE:
                return
            body["search_after"] = page[-1]["sort"]

    async def roots(self) -> AsyncIterator[Sequence[str]]:
        await self._refresh()
        of: dict[str, Any] = {"size": PAGE, "sources": [{"root": {"terms": {"field": "root"}}}]}
        while True:
            found = await self._search({"size": 0, "aggs": {"roots": {"composite": of}}})
            page = [bucket["key"]["root"] for bucket in found["aggregations"]["roots"]["buckets"]]
            if page:
                yield page
            if len(page) < PAGE:
                return
            of["after"] = {"root": page[-1]}

    async def write(self, writes: Sequence[IndexWrite]) -> Sequence[IndexWrite]:
        if not writes:
            return []
        self.meter.count("write documents", len(writes))
        return await self._bulk(writes, _lines)


def _must(words: Sequence[str]) -> list[dict[str, Any]]:
    """Returns a clause for each word, which may be a phrase for the analyser. The last word may go on."""
    fields = [f"{name}^{weight}" for name, weight in WEIGHTS.items()]
    if not words:
        return []

    def clause(word: str, kind: str, **more: object) -> dict[str, Any]:
        return {"multi_match": {"query": word, "type": kind, "fields": fields, **more}}

    whole = [clause(word, "phrase") for word in words]
    # Only the first of the two knows an order of words, only the second has no bound.
    going_on = (
        clause(words[-1], "phrase_prefix", max_expansions=MOST_BEGINNINGS)
        if len(parted(words[-1]).split()) > 1
        else clause(words[-1], "bool_prefix")
    )
    # The word itself weighs more than what begins with it, which counts the same wherever it is found.
    last = {"bool": {"must": [going_on], "should": [whole[-1]]}}
    return [*whole[:-1], last]


def _filters(filters: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    return [{"terms": {f"filters.{name}": list(values)}} for name, values in filters.items()]


def _lines(write: IndexWrite) -> Iterator[bytes]:
    document = write.document
    yield orjson.dumps(write_action(_id(document), write.revision, delete=write.delete))
    if not write.delete:
        yield orjson.dumps({**orjson.loads(document.encode()), "name_in_order": document.name_in_order})


def _id(document: SearchDocument) -> str:
    """A hash: identifiers may be longer than what OpenSearch takes."""
    return blake2b(orjson.dumps(document.key), digest_size=16).hexdigest()


def _text(value: str | int | float) -> str:
    return value if isinstance(value, str) else repr(value)
