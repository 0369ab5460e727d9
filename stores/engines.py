"""Opens the stores of an instance: the engine of each port is chosen by its URL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rules.errors import InvalidInput
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

    async def ping(self) -> dict[str, str | None]:
        """By kind of store: None where it answers, else why it does not."""

        async def answer(store: _Store) -> str | None:
            try:
                await store.ping()
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it is the answer
                return str(error)
            return None

        kinds: dict[str, _Store] = {
            "rows": self.rows,
            "events": self.events,
            "cache": self.cache,
            "groups": self.groups,
            "blobs": self.blobs,
            "search": self.search,
        }
        return dict(zip(kinds, await asyncio.gather(*map(answer, kinds.values())), strict=True))


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

    ``rows``: ``sqlite:///FILE`` or ``cassandra://user:password@host,host/keyspace``; ``events``: ``embedded:`` or
    ``kafka://host:9092,host:9092``; ``cache``: ``embedded:`` or ``redis://…``; ``groups``: ``duckdb:///FILE`` or
    ``druid://broker:8082?coordinator=host:8081``; ``blobs``: ``file:///FOLDER`` or ``s3://…``, ``az://…``, ``gs://…`` as
    CloudBlobs.open has them; ``search``: ``fts5:///FILE``, ``opensearch://host:9200`` or ``opensearchs://user:password@…``.
    ``links`` makes links to blobs in files. ``copies``: bytes of blobs that this machine keeps under ``data``. ``prefix`` keeps instances on the same servers
    apart. Embedded engines keep their files under ``data``, which only the owner may read. InvalidInput names the
    setting whose URL is of another kind.
    """
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
        opened_search, opened_learners = await _open_search(search, prefix, data)
        stack.push_async_callback(opened_search.close)
        stack.push_async_callback(opened_learners.close)
        blob_copies = await BlobCopies.open(opened_blobs, data / "copies", copies)
        stack.push_async_callback(blob_copies.close)
        yield Stores(
            *(opened_rows, opened_events, opened_cache, opened_groups, opened_blobs, opened_search),
            learner_search=opened_learners,
            copies=blob_copies,
            data=data,
        )


async def _open_rows(url: str, data: Path) -> Rows:
    """Opens the rows. Each driver is imported where it is used, so that an embedded instance starts without it."""
    if url.startswith("sqlite:"):
        from stores.rows_sqlite import SqliteRows

        path = url.removeprefix("sqlite:").removeprefix("//").removeprefix("/") or "rows.db"
        return await SqliteRows.open(data / path)
    if url.startswith("cassandra:"):
        from stores.rows_cassandra import CassandraRows

        return await CassandraRows.open(url)
    raise InvalidInput("rows must be sqlite:///FILE or cassandra://HOSTS/KEYSPACE", field="rows")


async def _open_events(url: str, prefix: str, data: Path) -> Events:
    if url.startswith("embedded:"):
        from stores.events_embedded import EmbeddedEvents

        return await EmbeddedEvents.open(data / "events.db", prefix)
    if url.startswith("kafka:"):
        from stores.events_kafka import KafkaEvents

        return await KafkaEvents.open(urlsplit(url).netloc, prefix)
    raise InvalidInput("events must be embedded: or kafka://HOST:PORT,…", field="events")


async def _open_cache(url: str, prefix: str, data: Path) -> Cache:
    if url.startswith("embedded:"):
        from stores.cache_embedded import EmbeddedCache

        return await EmbeddedCache.open(prefix, data=data)
    if url.startswith(("redis:", "rediss:", "unix:")):
        from stores.cache_redis import RedisCache

        return await RedisCache.open(url, prefix)
    raise InvalidInput("cache must be embedded: or redis://HOST:PORT/DB", field="cache")


async def _open_groups(url: str, events: Events, events_url: str, prefix: str, data: Path) -> Groups:
    if url.startswith("duckdb:"):
        from stores.groups_duckdb import DuckGroups

        path = url.removeprefix("duckdb:").removeprefix("//").removeprefix("/") or "groups.duckdb"
        return await DuckGroups.open(data / path, events)
    if url.startswith(("druid:", "druids:")):
        from stores.groups_druid import DruidGroups

        return await DruidGroups.open(url, prefix=prefix, events=events_url)
    raise InvalidInput(
        "groups must be duckdb:///FILE or druid://BROKER:PORT?coordinator=HOST:PORT", field="groups"
    )


async def _open_blobs(url: str, prefix: str, data: Path, links: BlobLinks | None) -> Blobs:
    scheme, _, place = url.partition("://")
    if scheme == "file":
        from stores.blobs_file import FileBlobs

        return await FileBlobs.open(data / (place.removeprefix("/") or "blobs"), prefix, links)
    if scheme in ("s3", "az", "gs"):
        from stores.blobs_cloud import CloudBlobs

        return await CloudBlobs.open(url, prefix)
    raise InvalidInput(
        "blobs must be file:///FOLDER, s3://BUCKET, az://CONTAINER or gs://BUCKET", field="blobs"
    )


async def _open_search(url: str, prefix: str, data: Path) -> tuple[Search, LearnerSearch]:
    """Opens the two indexes of one place: that of collections, and that of learners."""
    scheme, _, place = url.partition(":")
    if scheme == "fts5":
        from stores.learner_search_sqlite import SqliteLearnerSearch
        from stores.search_fts5 import Fts5Search

        path = data / (place.lstrip("/") or "search.db")
        search = await Fts5Search.open(path)
        return search, await SqliteLearnerSearch.open(path.with_stem(f"{path.stem}-learners"))
    if scheme in ("opensearch", "opensearchs"):
        from stores.learner_search_opensearch import OpenSearchLearners
        from stores.search_opensearch import OpenSearch

        return await OpenSearch.open(url, prefix), await OpenSearchLearners.open(url, prefix)
    raise InvalidInput(
        "search must be fts5:///FILE, opensearch://HOST:PORT or opensearchs://USER:PASSWORD@HOST:PORT",
        field="search",
    )
