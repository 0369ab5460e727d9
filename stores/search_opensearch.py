"""The search port in OpenSearch: one index, which readers and writers know by an alias."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import orjson
from opensearchpy import AsyncOpenSearch, ImproperlyConfigured, NotFoundError, RequestError, TransportError

from rules.errors import InvalidInput, NotInitialised, StoreUnavailable
from rules.search import FILTERS, JOINERS, PARENT, SearchDocument, parted
from stores.deadline import remaining
from stores.meter import Meter
from stores.search import (
    FACET_VALUES,
    WEIGHTS,
    Hit,
    Hits,
    Indexed,
    IndexWrite,
    SearchOrder,
    SearchQuery,
    UnitHit,
    place_value,
)

VERSION = 1
"""Of the mapping below. With another one, ``init`` makes a new index, to be filled anew, and deletes the old one."""
TIMEOUT = 10.0
"""Seconds that a call may take where no deadline is nearer."""
CONNECTIONS = 10
PAGE = 1_000
"""Documents or collections that are read at a time."""
MOST_BEGINNINGS = 1_000
"""Words that may begin as a text of Chinese or Japanese ends."""
BULK_BYTES = 512 * 1024
"""About how many bytes go into one bulk call."""
FORM = "search must be fts5:///FILE, opensearch://HOST:PORT or opensearchs://USER:PASSWORD@HOST:PORT"
LONGEST_REASON = 300
"""Characters of OpenSearch's reason that an error repeats."""
_CONFLICT, _GONE = 409, 404
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


class OpenSearch:
    """The alias is ``PREFIX.search``. Nothing is written where it is missing."""

    def __init__(self, client: AsyncOpenSearch, prefix: str, timeout: float, place: str) -> None:
        self.meter = Meter()
        self._client = client
        self._alias = f"{prefix}.search"
        self._timeout = timeout
        self._place = place

    @classmethod
    async def open(
        cls,
        url: str,
        prefix: str,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - of each later call
    ) -> Self:
        """``opensearch://HOST:PORT``, or ``opensearchs://USER:PASSWORD@HOST:PORT`` for TLS, percent-encoded. Does not
        need the server yet. InvalidInput says what is wrong with the URL."""
        parts = urlsplit(url)
        try:
            port = parts.port or 9200
        except ValueError:
            raise InvalidInput(FORM, field="search") from None
        if not parts.hostname or parts.path.strip("/") or parts.query:
            raise InvalidInput(FORM, field="search")
        secure = parts.scheme == "opensearchs"
        credentials = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        try:
            client = AsyncOpenSearch(
                hosts=[{"host": parts.hostname, "port": port}],
                http_auth=credentials,
                use_ssl=secure,
                verify_certs=secure,
                maxsize=CONNECTIONS,
                timeout=timeout + 5,  # ``_call`` is to be the first
                max_retries=0,
            )
        except ImproperlyConfigured as error:
            raise InvalidInput(f"search: {error}", field="search") from None
        return cls(client, prefix, timeout, f"OpenSearch at {parts.hostname}:{port}")

    async def init(self) -> list[str]:
        index = f"{self._alias}-{VERSION}"
        async with self._call():
            if await self._client.indices.exists_alias(name=self._alias, index=index):
                return []
            if not await self._client.indices.exists(index=index):
                try:
                    await self._client.indices.create(index=index, body=dict(_INDEX))
                except RequestError as error:
                    if error.error != "resource_already_exists_exception":  # another process was faster
                        raise
            try:
                earlier = [*await self._client.indices.get_alias(name=self._alias)]
            except NotFoundError:
                earlier = []
            actions: list[dict[str, Any]] = [{"add": {"index": index, "alias": self._alias}}]
            actions += [{"remove_index": {"index": old}} for old in earlier if old != index]
            await self._client.indices.update_aliases(body={"actions": actions})
        return [f"created the search index {index}; `cohort search check --repair` fills it"]

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
            documents += [
                Indexed(SearchDocument.of(one["_source"]), f"{one['_seq_no']}:{one['_primary_term']}")
                for one in page
            ]
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
        left: list[IndexWrite] = []
        for bulk, body in _bulks(writes):
            async with self._call():
                answer = await self._client.bulk(body=body, index=self._alias, require_alias=True)
            for write, item in zip(bulk, answer["items"], strict=True):
                (done,) = item.values()
                if done["status"] == _CONFLICT:
                    left.append(write)
                elif "error" in done:
                    raise self._refusal(f"{done['status']}: {done['error']}")
        await self._refresh()
        return left

    async def ping(self) -> None:
        async with self._call():
            if not await self._client.indices.exists_alias(name=self._alias):
                raise NotFoundError(_GONE, "the alias is missing", {})

    async def close(self) -> None:
        await self._client.close()

    async def _search(self, body: Mapping[str, Any]) -> Any:
        async with self._call() as left:
            # All pages of a list are read from the same copy of the index: scores differ between copies.
            params = {"preference": "cohort", "allow_partial_search_results": "false"}
            within = {"timeout": f"{max(1, int(left * 1000))}ms"}
            found = await self._client.search(body={**body, **within}, index=self._alias, params=params)
        if found["timed_out"]:
            remaining(self._timeout)
            raise self._refusal("a search took too long")
        return found

    async def _refresh(self) -> None:
        """Makes what was written visible to searches."""
        async with self._call():
            await self._client.indices.refresh(index=self._alias)

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[float]:
        """Keeps to the deadline. Turns OpenSearch's errors into ours."""
        left = remaining(self._timeout)
        try:
            async with asyncio.timeout(left):
                yield left
        except TimeoutError as error:
            remaining(self._timeout)  # DeadlineExceeded, where it was that
            raise StoreUnavailable(
                f"the search did not answer within {left:.1f} s", detail=self._place
            ) from error
        except NotFoundError as error:
            raise NotInitialised(
                "the search has no index yet: `cohort init` creates it",
                detail=f"{self._place}: {self._alias}",
            ) from error
        except TransportError as error:
            raise self._refusal(error) from error

    def _refusal(self, why: object) -> StoreUnavailable:
        return StoreUnavailable("the search is away", detail=f"{self._place}: {str(why)[:LONGEST_REASON]}")


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


def _bulks(writes: Iterable[IndexWrite]) -> Iterator[tuple[list[IndexWrite], bytes]]:
    """Gives the writes of each bulk call, and its body."""
    bulk: list[IndexWrite] = []
    body = bytearray()
    for write in writes:
        bulk.append(write)
        for line in _lines(write):
            body += line + b"\n"
        if len(body) >= BULK_BYTES:
            yield bulk, bytes(body)
            bulk, body = [], bytearray()
    if bulk:
        yield bulk, bytes(body)


def _lines(write: IndexWrite) -> Iterator[bytes]:
    document = write.document
    where: dict[str, Any] = {"_id": _id(document)}
    if write.revision is not None:
        number, term = map(int, write.revision.split(":"))
        where |= {"if_seq_no": number, "if_primary_term": term}
    if write.delete:
        yield orjson.dumps({"delete": where})
        return
    yield orjson.dumps({"create" if write.revision is None else "index": where})
    yield orjson.dumps({**orjson.loads(document.encode()), "name_in_order": document.name_in_order})


def _id(document: SearchDocument) -> str:
    """A hash: identifiers may be longer than what OpenSearch takes."""
    return blake2b(orjson.dumps(document.key), digest_size=16).hexdigest()


def _text(value: str | int | float) -> str:
    return value if isinstance(value, str) else repr(value)
