"""The learner index in OpenSearch (stores/opensearch_index.py). Its texts are keywords: nothing is analysed here."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, ClassVar

import orjson

from rules.learner_search import USER_ID_WEIGHT, LearnerDocument, LearnerOrder, LearnerText
from stores.learner_search import (
    ORDERED_BY,
    IndexedLearner,
    LearnerHit,
    LearnerHits,
    LearnerQuery,
    LearnerSearch,
    LearnerWrite,
    filter_value,
    place_values,
)
from stores.opensearch_index import PAGE, OpenSearchIndex, revision_of, write_action
from stores.timing import timed


@timed("learner search", LearnerSearch)
class OpenSearchLearners(OpenSearchIndex):
    kind = "learners"
    called = "learner index"
    version = 1
    body: ClassVar[Mapping[str, Any]] = {
        "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
        "mappings": {
            "dynamic": "strict",
            "properties": {
                "user_id": {"type": "keyword"},
                "name_in_order": {"type": "keyword"},
                "words": {"type": "keyword"},
                "filters": {"type": "keyword"},
                "document": {"type": "object", "enabled": False},
            },
        },
    }
    filled_by = "`cohort init` fills it"

    async def find(self, query: LearnerQuery) -> LearnerHits:
        self.meter.count("search learners")
        columns = ["_score" if one == "relevance" else one for one in ORDERED_BY[query.order]]
        body: dict[str, Any] = {
            "query": {
                "bool": {"filter": [*_named(query.text), *_filters(query.filters)], **_relevance(query)}
            },
            "sort": [{column: _direction(column, backwards=query.backwards)} for column in columns],
            "size": query.first + 1,
            "track_total_hits": True,
            "_source": False,
        }
        if query.after is not None:
            body["search_after"] = list(place_values(query.order, query.after))
        found = await self._search(body)
        page = found["hits"]["hits"]
        hits = [LearnerHit(one["sort"][-1], tuple(map(_text, one["sort"]))) for one in page[: query.first]]
        return LearnerHits(hits, found["hits"]["total"]["value"], len(page) > query.first)

    async def documents(self, user_ids: Sequence[str]) -> Mapping[str, IndexedLearner]:
        """Reads by id, which sees each write at once."""
        if not user_ids:
            return {}
        self.meter.count("read learner documents")
        async with self._call():
            answer = await self._client.mget(body={"ids": [*map(_id, user_ids)]}, index=self._alias)
        found: dict[str, IndexedLearner] = {}
        for user_id, one in zip(user_ids, answer["docs"], strict=True):
            if "error" in one:
                raise self._refusal(one["error"])
            if one["found"]:
                found[user_id] = IndexedLearner(
                    LearnerDocument(**one["_source"]["document"]), revision_of(one)
                )
        return found

    async def user_ids(self) -> AsyncIterator[Sequence[str]]:
        await self._refresh()
        body: dict[str, Any] = {"sort": [{"user_id": "asc"}], "size": PAGE, "_source": False}
        while True:
            page = [one["sort"] for one in (await self._search(body))["hits"]["hits"]]
            if page:
                yield [user_id for (user_id,) in page]
            if len(page) < PAGE:
                return
            body["search_after"] = page[-1]

    async def write(self, writes: Sequence[LearnerWrite]) -> Sequence[LearnerWrite]:
        if not writes:
            return []
        self.meter.count("write learner documents", len(writes))
        return await self._bulk(writes, _lines)

    async def scrub(self) -> None:
        """The server does, as it merges segments."""


def _direction(column: str, *, backwards: bool) -> str:
    """Relevance goes down where all else goes up."""
    return "desc" if backwards != (column == "_score") else "asc"


def _named(text: LearnerText | None) -> list[dict[str, Any]]:
    """Returns the clause for those whom a text names."""
    if text is None:
        return []
    by_name = [{"prefix": {"words": word}} for word in text.words]
    either: list[dict[str, Any]] = [{"prefix": {"user_id": text.user_id}}]
    if by_name:
        either.append({"bool": {"filter": by_name}})
    return [{"bool": {"should": either, "minimum_should_match": 1}}]


def _relevance(query: LearnerQuery) -> dict[str, Any]:
    if query.text is None or query.order is not LearnerOrder.RELEVANCE:
        return {}
    weights = [
        ("user_id", query.text.user_id, USER_ID_WEIGHT),
        *(("words", word, 1) for word in query.text.words),
    ]
    return {
        "should": [
            {"constant_score": {"filter": {"term": {name: value}}, "boost": weight}}
            for name, value, weight in weights
        ]
    }


def _filters(filters: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    return [
        {"terms": {"filters": [filter_value(name, value) for value in values]}}
        for name, values in filters.items()
    ]


def _lines(write: LearnerWrite) -> Iterator[bytes]:
    document = write.document
    yield orjson.dumps(write_action(_id(write.user_id), write.revision, delete=document is None))
    if document is not None:
        yield orjson.dumps(
            {
                "user_id": document.user_id,
                "name_in_order": document.name_in_order,
                "words": document.words,
                "filters": [filter_value(*attribute) for attribute in document.attributes.items()],
                "document": document,
            }
        )


def _id(user_id: str) -> str:
    """A hash: user ids may be longer than what OpenSearch takes."""
    return blake2b(user_id.encode(), digest_size=16).hexdigest()


def _text(value: str | float) -> str:
    """Scores are whole."""
    return value if isinstance(value, str) else str(int(value))
