"""Opens the stores of an instance: the engine of each port is chosen by its URL."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rules.errors import InvalidInput, NotInitialised, StoreUnavailable
from stores.blob_copies import MOST, BlobCopies
from stores.blob_links import BlobLinks
from stores.blobs import Blobs
from stores.cache import Cache
from stores.events import Events
from stores.groups import Groups
from stores.learner_search import LearnerSearch
from stores.private import private_folder
from stores.rows import Rows
from stores.search import Search
from stores.urls import check_store_url, embedded_path, is_embedded, learner_index_path, mirrored_states

PATIENCE = 15.0
"""Seconds that a store may take to be opened and to answer, when it is asked whether it is there."""
_Store = Rows | Events | Cache | Groups | Blobs | Search


@dataclass(frozen=True, slots=True)
class Stores:
    """The open stores of an instance, one of each kind. ``copies``: files of ``blobs`` on this machine. ``data``: the folder in
    which this process may also work on files that it makes (stores/workspaces.py)."""

    rows: Rows
    events: Events
    cache: Cache
    groups: Groups
    blobs: Blobs
    search: Search
    learner_search: LearnerSearch
    copies: BlobCopies
    data: Path

    def with_rows(self, rows: Rows) -> "Stores":
        """The same stores, with rows that are reached in another way. Each request has some: `replace` takes four times as long."""
        return Stores(
            *(rows, self.events, self.cache, self.groups, self.blobs),
            *(self.search, self.learner_search, self.copies, self.data),
        )

    async def ping(self) -> dict[str, str | None]:
        """By kind of store: None where it answers, else why it does not."""

        async def answer(store: _Store) -> str | None:
            try:
                await store.ping()
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it is the answer
                return str(error)
            return None

        kinds = self._kinds
        return dict(zip(kinds, await asyncio.gather(*map(answer, kinds.values())), strict=True))

    async def away(self) -> dict[str, str]:
        """The stores that don't answer, by kind, and why. One in which nothing was created yet answers."""
        return await _away(self._kinds)

    @property
    def _kinds(self) -> dict[str, _Store]:
        return {
            "rows": self.rows,
            "events": self.events,
            "cache": self.cache,
            "groups": self.groups,
            "blobs": self.blobs,
            "search": self.search,
        }


@asynccontextmanager
async def open_stores(
    *,
    rows: str,
    events: str,
    cache: str,
    groups: str,
    prefix: str,
    data: Path,
    blobs: str = "file:///blobs",
    search: str = "fts5:///search.db",
    links: BlobLinks | None = None,
    copies: int = MOST,
) -> AsyncIterator[Stores]:
    """Opens each engine and closes it at the end.

    The URLs are as stores/urls.py has them. ``links`` makes links to blobs in files. ``copies``: bytes of blobs that this
    machine keeps under ``data``. ``prefix`` keeps instances on the same servers apart. Embedded engines keep their files
    under ``data``, which only the owner may read. InvalidInput names the setting whose URL is wrong, StoreUnavailable a store
    that must be there to be opened.
    """
    urls = {
        "rows": rows,
        "events": events,
        "cache": cache,
        "groups": groups,
        "blobs": blobs,
        "search": search,
    }
    for setting, url in urls.items():
        check_store_url(setting, url)
    await asyncio.to_thread(private_folder, data)
    async with AsyncExitStack() as stack:
        opened_rows = await _open_rows(rows, data)
        stack.push_async_callback(opened_rows.close)
        opened_events = await _open_events(events, prefix, data)
        stack.push_async_callback(opened_events.close)
        opened_cache = await _open_cache(cache, prefix, data)
        stack.push_async_callback(opened_cache.close)
        opened_groups = await _open_groups(groups, opened_events, events, prefix, data)
        stack.push_async_callback(opened_groups.close)
        opened_blobs = await _open_blobs(blobs, prefix, data, links)
        stack.push_async_callback(opened_blobs.close)
        opened_search = await _open_search(search, prefix, data)
        stack.push_async_callback(opened_search.close)
        opened_learners = await _open_learner_search(search, prefix, data)
        stack.push_async_callback(opened_learners.close)
        blob_copies = await BlobCopies.open(opened_blobs, data / "copies", copies)
        stack.push_async_callback(blob_copies.close)
        yield Stores(
            *(opened_rows, opened_events, opened_cache, opened_groups, opened_blobs, opened_search),
            learner_search=opened_learners,
            copies=blob_copies,
            data=data,
        )


async def away(urls: Mapping[str, str], prefix: str, data: Path) -> dict[str, str]:
    """The stores that don't answer, by kind, and why: each is opened by itself and asked, so that one that is away hides no other.

    ``urls``: by kind. Only stores on servers are asked: an embedded one is where the process is, and may be open to one
    process alone.
    """
    found: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        opened: dict[str, _Store] = {}
        for kind in [kind for kind, url in urls.items() if not is_embedded(url)]:
            try:  # one after the other: a driver's import holds up whoever waits for an answer
                opened[kind] = await _open_alone(kind, urls, prefix, data)
            except (StoreUnavailable, InvalidInput) as error:
                found[kind] = str(error)
            else:
                stack.push_async_callback(opened[kind].close)
        found |= await _away(opened)
    return {kind: found[kind] for kind in urls if kind in found}


async def _away(opened: Mapping[str, _Store]) -> dict[str, str]:
    answers = await asyncio.gather(*map(_answer, opened.values()))
    return {kind: why for kind, why in zip(opened, answers, strict=True) if why is not None}


async def _answer(store: _Store) -> str | None:
    """None if the store answers, else why not."""
    try:
        async with asyncio.timeout(PATIENCE):
            await store.ping()
    except TimeoutError:
        return f"no answer within {PATIENCE:.0f} s"
    except NotInitialised:
        return None  # it answers
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it is the answer
        return str(error) or type(error).__name__
    return None


async def _open_alone(kind: str, urls: Mapping[str, str], prefix: str, data: Path) -> _Store:
    url = urls[kind]
    match kind:
        case "rows":
            return await _open_rows(url, data)
        case "events":
            return await _open_events(url, prefix, data)
        case "cache":
            return await _open_cache(url, prefix, data)
        case "groups":
            from stores.groups_druid import DruidGroups

            return await DruidGroups.open(url, prefix=prefix, events=urls["events"])
        case "blobs":
            return await _open_blobs(url, prefix, data, None)
        case _:
            return await _open_search(url, prefix, data)


async def _open_rows(url: str, data: Path) -> Rows:
    """Opens the rows. Each driver is imported where it is used, so that an embedded instance starts without it."""
    if url.startswith("sqlite:"):
        from stores.rows_sqlite import SqliteRows

        return await SqliteRows.open(data / embedded_path("rows", url))
    from stores.rows_cassandra import CassandraRows

    return await CassandraRows.open(url)


async def _open_events(url: str, prefix: str, data: Path) -> Events:
    if url.startswith("embedded:"):
        from stores.events_embedded import EmbeddedEvents

        return await EmbeddedEvents.open(data / embedded_path("events", url), prefix)
    from stores.events_kafka import KafkaEvents

    return await KafkaEvents.open(url, prefix)


async def _open_cache(url: str, prefix: str, data: Path) -> Cache:
    if url.startswith("embedded:"):
        from stores.cache_embedded import EmbeddedCache

        return await EmbeddedCache.open(prefix, data=data)
    from stores.cache_redis import RedisCache

    return await RedisCache.open(url, prefix)


async def _open_groups(url: str, events: Events, events_url: str, prefix: str, data: Path) -> Groups:
    if url.startswith("duckdb:"):
        from stores.groups_duckdb import DuckGroups

        return await DuckGroups.open(data / embedded_path("groups", url), events)
    from stores.groups_druid import DruidGroups

    druid = await DruidGroups.open(url, prefix=prefix, events=events_url)
    if not (most := mirrored_states(url)):
        return druid
    from stores.groups_mirrored import MirroredGroups

    # An instance that was restored under another prefix must not see the states of the former one.
    path = data / f"mirror-{prefix}.duckdb"
    return await MirroredGroups.open(druid, events, path, most=most)


async def _open_blobs(url: str, prefix: str, data: Path, links: BlobLinks | None) -> Blobs:
    if url.startswith("file:"):
        from stores.blobs_file import FileBlobs

        return await FileBlobs.open(data / embedded_path("blobs", url), prefix, links)
    from stores.blobs_cloud import CloudBlobs

    return await CloudBlobs.open(url, prefix)


async def _open_search(url: str, prefix: str, data: Path) -> Search:
    if url.startswith("fts5:"):
        from stores.search_fts5 import Fts5Search

        return await Fts5Search.open(data / embedded_path("search", url))
    from stores.search_opensearch import OpenSearch

    return await OpenSearch.open(url, prefix)


async def _open_learner_search(url: str, prefix: str, data: Path) -> LearnerSearch:
    """Opens the index of learners, which is beside that of collections."""
    if url.startswith("fts5:"):
        from stores.learner_search_sqlite import SqliteLearnerSearch

        return await SqliteLearnerSearch.open(learner_index_path(data / embedded_path("search", url)))
    from stores.learner_search_opensearch import OpenSearchLearners

    return await OpenSearchLearners.open(url, prefix)
