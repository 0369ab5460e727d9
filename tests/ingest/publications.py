"""Publishing in tests: a collection under names of its own, its publication, and all that a publish leaves behind."""

import zlib
from typing import Any

import orjson

from ingest.jobs.records import JobRecord
from ingest.jobs.runner import Jobs
from ingest.publishing.direct import publish_collection
from ingest.publishing.job import PUBLISHING, PublishOrder
from ingest.publishing.publisher import Publisher
from loaders.session import Session, Shared
from rules.contents import ContentKind
from rules.hierarchy import COLLECTION_MIME_TYPE, Json
from rules.viewers import Role, Viewer
from stores.rows import Rows
from stores.tables import CONTENTS, DRAFTS, HIERARCHIES, JOBS, NODE_ROOTS, RELATIONS
from stores.topics import PUBLISH_REQUESTS, PUBLISHER_GROUP
from tests.conftest import LEAF, NOW, Instance
from tests.ingest.drafts import save_collection

CREATOR = Viewer("ann", frozenset({Role.CREATOR}))
NOT_COMPARED = {"owner", "updated_on", "started_on", "claimed_by"}
"""Columns that tell who ran a job, and when, and who wrote the versions before."""


def unit(identifier: str, *children: Json, **more: object) -> Json:
    return {
        "identifier": identifier,
        "name": f"Unit {identifier}",
        "mimeType": COLLECTION_MIME_TYPE,
        "visibility": "Parent",
        **more,
        "children": [*children],
    }


def leaf(identifier: str, **more: object) -> Json:
    return {
        "identifier": identifier,
        "name": f"Leaf {identifier}",
        "mimeType": LEAF,
        "visibility": "Default",
        "size": 10,
        **more,
    }


def book(name: str = "book", title: str = "Book", more: int = 0) -> Json:
    """Two units, one of them with a unit inside, six leaves, one of them in two places; all of their ids begin with
    ``name``. ``more`` leaves in a third unit."""
    third = [unit(f"{name}-3", *(leaf(f"{name}-m{number}") for number in range(more)))] if more else []
    shared = leaf(f"{name}-b")
    inner = unit(f"{name}-1-1", leaf(f"{name}-c"), leaf(f"{name}-d"))
    first = unit(f"{name}-1", leaf(f"{name}-a"), shared, inner, appIcon="https://icons.example/1.png")
    second = unit(f"{name}-2", shared, leaf(f"{name}-e"), leaf(f"{name}-f"))
    return {
        "identifier": name,
        "name": title,
        "mimeType": COLLECTION_MIME_TYPE,
        "visibility": "Default",
        "children": [first, second, *third],
    }


async def third_version(shared: Shared) -> str:
    """A publication of the third version of ``book()`` that waits, after two that are live and past. Its id."""
    service = Session(Viewer("service", frozenset({Role.SERVICE})), shared)
    await publish_collection(service, book(title="First"))
    await publish_collection(service, book(title="Second", more=2))
    await save_collection(shared.stores.rows, book(title="Third", more=1))
    order = PublishOrder("job", "book", ContentKind.COLLECTION, False, "ann", NOW, "")
    return (await Jobs(shared).create(PUBLISHING, order.job, order.arguments())).id


async def run_publishers(instance: Instance, *publishers: Publisher, within: float = 60) -> None:
    """Until no request is left."""
    import asyncio

    running = publishers or (Publisher(instance.shared, wait=0.005),)
    tasks = [asyncio.create_task(publisher.run()) for publisher in running]
    try:
        async with asyncio.timeout(within):
            while any((await instance.stores.events.lag(PUBLISHER_GROUP, [PUBLISH_REQUESTS.name])).values()):
                await asyncio.sleep(0.02)
    finally:
        for publisher in running:
            publisher.stop()
        await asyncio.gather(*tasks)


async def job_of(shared: Shared, job_id: str) -> JobRecord:
    return await Jobs(shared).get(PUBLISHING.name, job_id)


async def all_left(shared: Shared) -> dict[str, Any]:
    """All that is stored of collections: rows by table, jobs, and blobs with what is in them."""
    rows = shared.stores.rows
    found: dict[str, Any] = {
        table.name: sorted([_shown(row) for row in await _all_rows(rows, table)])
        for table in (CONTENTS, DRAFTS, HIERARCHIES, JOBS, NODE_ROOTS, RELATIONS)
    }
    async for blob in shared.stores.blobs.below("packages"):
        found[blob.name] = b"".join([chunk async for chunk in shared.stores.blobs.get(blob.name)])
    roots = {row["root"] for row in await _all_rows(rows, CONTENTS)}
    indexed = [await shared.stores.search.documents(root) for root in roots]
    found["index"] = sorted(repr(one.document) for documents in indexed for one in documents)
    return found


async def _all_rows(rows: Rows, table: Any) -> list[dict[str, Any]]:
    return [row for span in rows.ranges(1) async for page in rows.walk(table, span) for row in page.rows]


def _shown(row: dict[str, Any]) -> str:
    if row.get("step") == "search":
        row = row | {"report": None}  # how much the last run of it had to write
    if row.get("data") is not None:
        row = row | {"data": zlib.decompress(row["data"]).decode()}
    shown = {
        name: sorted(value) if isinstance(value, frozenset | set) else value
        for name, value in row.items()
        if name not in NOT_COMPARED
    }
    return orjson.dumps(shown, option=orjson.OPT_SORT_KEYS).decode()
