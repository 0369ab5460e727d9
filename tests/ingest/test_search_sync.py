"""The search index follows what is published, and a damaged one is found and repaired (R-COLL-6)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from ingest.job_kinds import job_kind
from ingest.jobs.runner import Jobs
from ingest.publishing.direct import publish_collection
from ingest.publishing.search_check import SearchCheckReport, check_search
from ingest.publishing.search_sync import SearchSyncReport, sync_search
from loaders.session import Shared
from rules.errors import StoreUnavailable
from rules.jobs import JobState
from rules.search import SearchDocument
from stores.rows import Write
from stores.search import Indexed, IndexWrite, Search, SearchQuery
from stores.search_opensearch import OpenSearch
from stores.tables import CONTENTS
from tests.conftest import COURSE, LEAF, NOW, Instance

UNIT_1: Any = COURSE["children"][0]
GROWN = {
    "identifier": "course",
    "name": "Course",
    "subject": "Science",
    "children": [
        {**UNIT_1, "name": "Unit one"},
        {
            "identifier": "unit-3",
            "name": "Unit 3",
            "children": [{"identifier": "c", "name": "C", "mimeType": LEAF}],
        },
    ],
}
"""unit-1 has another name, unit-2 is gone, unit-3 is new."""


class Lost:
    """An index that loses what it is given."""

    async def documents(self, root: str) -> list[Indexed]:
        return []

    async def write(self, writes: Sequence[IndexWrite]) -> list[IndexWrite]:
        return []


async def publish(cohort: Instance, document: object = COURSE) -> None:
    """By a process whose last step, the index, came to nothing."""
    stores = replace(cohort.stores, search=cast("Search", Lost()))
    session = replace(cohort.session(), shared=Shared.of(stores, cohort.shared.now))
    await publish_collection(session, document)


async def indexed(cohort: Instance, root: str = "course") -> dict[str, SearchDocument]:
    found = await cohort.stores.search.documents(root)
    return {one.document.identifier: one.document for one in found}


async def retire(cohort: Instance, identifier: str) -> None:
    """As the command does it (ingest/commands/drafts.py)."""
    await cohort.stores.rows.write(Write(CONTENTS, (identifier,), {"status": "Retired"}, insert=False))
    cohort.shared.library.contents.forget(identifier)


async def test_what_is_new_is_created_what_differs_updated_what_is_gone_deleted(cohort: Instance) -> None:
    await publish(cohort)
    assert await sync_search(cohort.shared, "course") == SearchSyncReport(created=3)
    first = await indexed(cohort)
    assert {one.identifier: one.filters["visibility"] for one in first.values()} == {
        "course": ("Default",),
        "unit-1": ("Parent",),
        "unit-2": ("Parent",),
    }
    assert {one.leaf_nodes_count for one in first.values()} == {4, 2, 3}
    assert first["course"].unit_names == ("Unit 1", "Unit 2")
    assert first["course"].version == 1
    assert await sync_search(cohort.shared, "course") == SearchSyncReport()

    await publish(cohort, GROWN)
    # Of the root and unit-1 name or version are others, unit-3 is new, unit-2 is gone.
    assert await sync_search(cohort.shared, "course") == SearchSyncReport(created=1, updated=2, deleted=1)
    second = await indexed(cohort)
    assert {name: one.name for name, one in second.items()} == {
        "course": "Course",
        "unit-1": "Unit one",
        "unit-3": "Unit 3",
    }
    assert second["course"].filters["subject"] == ("Science",)
    assert {one.version for one in second.values()} == {2}
    assert await sync_search(cohort.shared, "course") == SearchSyncReport()


async def test_who_publishes_brings_the_index_up_to_date(cohort: Instance) -> None:
    await cohort.publish()
    assert set(await indexed(cohort)) == {"course", "unit-1", "unit-2"}
    assert await sync_search(cohort.shared, "course") == SearchSyncReport()
    await publish(cohort, GROWN)
    await cohort.publish(GROWN)  # live already: the same call again does what is missing
    assert set(await indexed(cohort)) == {"course", "unit-1", "unit-3"}


async def test_a_retired_collection_and_one_that_never_was_lose_their_documents(cohort: Instance) -> None:
    await publish(cohort)
    await sync_search(cohort.shared, "course")
    await retire(cohort, "course")
    assert await sync_search(cohort.shared, "course") == SearchSyncReport(deleted=3)
    assert await indexed(cohort) == {}
    assert await sync_search(cohort.shared, "course") == SearchSyncReport()
    assert await sync_search(cohort.shared, "unknown") == SearchSyncReport()


async def test_a_unit_and_a_content_have_no_documents_of_their_own(embedded: Instance) -> None:
    await publish(embedded)
    await publish(embedded, {"identifier": "video", "name": "Video", "mimeType": "video/mp4"})
    for identifier in ("unit-1", "a", "video"):
        assert await sync_search(embedded.shared, identifier) == SearchSyncReport()


async def test_a_unit_of_two_collections_has_a_document_in_each(cohort: Instance) -> None:
    await publish(cohort)
    await publish(cohort, {"identifier": "program", "name": "Program", "children": [COURSE]})
    for _ in range(2):
        for root in ("course", "program"):
            await sync_search(cohort.shared, root)
    assert set(await indexed(cohort)) == {"course", "unit-1", "unit-2"}
    assert set(await indexed(cohort, "program")) == {"program", "course", "unit-1", "unit-2"}
    assert (await check_search(cohort.shared, None, repair=False)).remaining == 0


async def test_metadata_becomes_filters(embedded: Instance) -> None:
    """A value is a text or a list of texts. Others, blank ones and those of more than 256 characters are left out."""
    told = {
        "subject": ["Science", "Science", " Mathematics "],
        "medium": "English",
        "gradeLevel": ["Class 1", 2, None, ""],
        "board": {"name": "no text"},
        "audience": "x" * 257,
        "framework": "  ",
        "keywords": ["river", "hill"],
        "description": "About rivers",
        "createdBy": "ann",
        "status": "Unlisted",
    }
    await publish(embedded, {**COURSE, **told})
    await sync_search(embedded.shared, "course")
    course = (await indexed(embedded))["course"]
    assert course.filters == {
        "subject": ("Science", "Mathematics"),
        "medium": ("English",),
        "gradeLevel": ("Class 1",),
        "createdBy": ("ann",),
        "status": ("Unlisted",),
        "root": ("course",),
        "kind": ("collection",),
        "visibility": ("Default",),
    }
    assert (course.keywords, course.description) == (("river", "hill"), "About rivers")


class Between:
    """The index, with something that happens right after the first read of it."""

    def __init__(self, search: Search, happens: Any) -> None:
        self._search = search
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._search, name)

    async def documents(self, root: str) -> list[Indexed]:
        found = await self._search.documents(root)
        happens, self._happens = self._happens, None
        if happens is not None:
            await happens()
        return found


async def test_who_is_late_undoes_nothing_that_another_process_did(cohort: Instance) -> None:
    """A process has read the index; another one publishes and brings it up to date; the first goes on."""
    await publish(cohort)
    await sync_search(cohort.shared, "course")

    async def meanwhile() -> None:
        other = Shared.of(cohort.stores, lambda: NOW)
        await publish(cohort, GROWN)
        await sync_search(other, "course")

    slow = replace(cohort.stores, search=Between(cohort.stores.search, meanwhile))
    await sync_search(Shared.of(slow, lambda: NOW), "course")
    assert set(await indexed(cohort)) == {"course", "unit-1", "unit-3"}
    assert {one.version for one in (await indexed(cohort)).values()} == {2}
    assert await sync_search(cohort.shared, "course") == SearchSyncReport()


async def test_many_at_once_agree(cohort: Instance) -> None:
    await publish(cohort)
    reports = await asyncio.gather(*(sync_search(cohort.shared, "course") for _ in range(5)))
    assert sum(report.created for report in reports) == 3
    assert await sync_search(cohort.shared, "course") == SearchSyncReport()


async def damage(cohort: Instance) -> None:
    """Of ten courses: 0 lacks everything, 1 a unit, 2 has another name, 3 a unit too many, 4 is retired; and there are
    documents of a collection that never was."""
    for number in range(10):
        await publish(
            cohort,
            {
                "identifier": f"c{number}",
                "name": f"Course {number}",
                "children": [
                    {
                        "identifier": f"c{number}-{unit}",
                        "name": f"Unit {unit}",
                        "children": [{"identifier": f"c{number}-{unit}-leaf", "name": "L", "mimeType": LEAF}],
                    }
                    for unit in range(2)
                ],
            },
        )
        await sync_search(cohort.shared, f"c{number}")
    search = cohort.stores.search

    async def stored(root: str, identifier: str) -> Indexed:
        return next(one for one in await search.documents(root) if one.document.identifier == identifier)

    def deleted(*found: Indexed) -> Sequence[IndexWrite]:
        return [IndexWrite(one.document, one.revision, delete=True) for one in found]

    await search.write(deleted(*await search.documents("c0"), await stored("c1", "c1-0")))
    renamed = await stored("c2", "c2")
    await search.write([IndexWrite(replace(renamed.document, name="Wrong", version=99), renamed.revision)])
    extra = replace((await stored("c3", "c3-0")).document, identifier="c3-9")
    stranger = replace(extra, root="never", identifier="never", filters={"root": ("never",)})
    await search.write([IndexWrite(extra, None), IndexWrite(stranger, None)])
    await retire(cohort, "c4")


async def test_a_damaged_index_is_found_and_repaired(cohort: Instance) -> None:
    await damage(cohort)
    found = await check_search(cohort.shared, None, repair=False, rate=10_000)
    # Missing: all three of c0 and a unit of c1. Changed: c2. Extra: one of c3, all three of c4, one of a stranger.
    expected = SearchCheckReport(collections=11, missing=4, changed=1, extra=5)
    assert replace(found, examples=[]) == expected
    assert found.remaining == 10
    assert sorted(found.examples) == [
        "changed c2 c2",
        "extra c3 c3-9",
        "extra c4 c4",
        "extra c4 c4-0",
        "extra c4 c4-1",
        "extra never never",
        "missing c0 c0",
        "missing c0 c0-0",
        "missing c0 c0-1",
        "missing c1 c1-0",
    ]
    again = await check_search(cohort.shared, None, repair=False, rate=10_000)
    assert again == found, "who only looks changes nothing"

    repaired = await check_search(cohort.shared, None, repair=True, rate=10_000)
    assert replace(repaired, examples=[]) == replace(expected, repaired=10)
    assert repaired.remaining == 0
    clean = await check_search(cohort.shared, None, repair=False, rate=10_000)
    assert clean == SearchCheckReport(collections=10)
    hits = await cohort.stores.search.find(SearchQuery(filters={"visibility": ["Default"]}, first=100))
    assert sorted(hit.identifier for hit in hits.hits) == [
        f"c{number}" for number in range(10) if number != 4
    ]


async def test_one_collection_is_checked_by_itself(cohort: Instance) -> None:
    await damage(cohort)
    found = await check_search(cohort.shared, "c0", repair=False)
    assert (found.collections, found.missing, found.remaining) == (1, 3, 3)
    assert (await check_search(cohort.shared, "c0", repair=True)).remaining == 0
    assert (await check_search(cohort.shared, "c1", repair=False)).missing == 1, "the others are as they were"
    assert (await check_search(cohort.shared, "never", repair=True)).extra == 1
    assert (await check_search(cohort.shared, "never", repair=False)) == SearchCheckReport(collections=1)
    assert [job for job in await Jobs(cohort.shared).list() if job.kind == "search-check"] == []


async def test_an_index_that_was_lost_is_filled_anew(
    cohort: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(cohort)
    await sync_search(cohort.shared, "course")
    before = await indexed(cohort)
    if isinstance(cohort.stores.search, OpenSearch):
        monkeypatch.setattr(OpenSearch, "version", 2)
    else:
        monkeypatch.setattr("stores.search_fts5.VERSION", 2)
    await cohort.stores.search.init()
    assert await indexed(cohort) == {}
    report = await check_search(cohort.shared, None, repair=True)
    assert (report.missing, report.repaired) == (3, 3)
    assert await indexed(cohort) == before


async def test_an_interrupted_check_goes_on(embedded: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    await damage(embedded)
    calls = 0

    async def away(root: str) -> list[Indexed]:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise StoreUnavailable("the search is away")
        return await documents(root)

    documents = embedded.stores.search.documents
    monkeypatch.setattr(embedded.stores.search, "documents", away)
    with pytest.raises(StoreUnavailable):
        await check_search(embedded.shared, None, repair=True, rate=10_000)
    monkeypatch.undo()
    (job,) = await Jobs(embedded.shared).list()
    assert job.state is JobState.INTERRUPTED
    done = await Jobs(embedded.shared).resume(job_kind("search-check"), job.id)
    assert done.state is JobState.DONE
    assert (await check_search(embedded.shared, None, repair=False)).remaining == 0


async def test_a_collection_whose_tree_is_gone_is_told_and_left(embedded: Instance) -> None:
    await publish(embedded)
    await publish(embedded, {**COURSE, "identifier": "other"})
    await sync_search(embedded.shared, "course")
    await embedded.stores.rows.write(Write(CONTENTS, ("course",), {"live_version": 77}, insert=False))
    embedded.shared.library.contents.forget("course")
    report = await check_search(embedded.shared, None, repair=True)
    assert (report.failed, report.remaining) == (1, 1)
    assert "failed course" in report.examples
    assert len(await indexed(embedded)) == 3
    assert len(await indexed(embedded, "other")) == 3, "the check went on"
