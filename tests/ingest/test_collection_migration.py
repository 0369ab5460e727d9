"""The existing platform's hierarchies are brought over: what learners see, and what authors were at work on."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from ingest.importers.legacy import MigratedCollections, migrate_collections
from ingest.job_kinds import job_kind
from ingest.jobs.runner import Jobs
from ingest.writes.leases import ABANDONED_AFTER
from loaders.session import Shared
from rules.drafts import DraftStatus
from rules.errors import InvalidInput, NotFound, StoreUnavailable
from rules.hierarchy import children_of
from rules.jobs import JobState
from stores.rows import Row
from stores.tables import JOBS
from tests.conftest import CASSANDRA, Instance, cluster
from tests.ingest.legacy_hierarchies import URL, hierarchies, image, leaf, live, row, rows, unit
from tests.ingest.legacy_platform import MemorySource
from tests.ingest.test_loading import draft_of, edited, everything, live_tree, tree_of_draft

SKIPPED = {"a unit, stored under its own id": 1, "retired": 1, "no hierarchy in the row": 1}
WHY = {
    "do_torn": "the hierarchy is no JSON",
    "do_loop": "collection.children[0].children[0]: do_loop is below itself",
    "do_nameless": "collection.children[0].name must be a text",
    "do_other": "the hierarchy is of another identifier than its row",
}
NOTES = {
    "the root has no name in the row: it is named by its id": 1,
    "the row without .img is not live: not published": 1,
}
FIRST = {
    "read": 12,
    "loaded": 5,
    "unchanged": 0,
    "published": 3,
    "drafts": 3,
    "kept": 0,
    "refused": 4,
    "why": WHY,
    "skipped": SKIPPED,
    "notes": NOTES,
}
AGAIN = {**FIRST, "loaded": 0, "unchanged": 5, "published": 0, "drafts": 0}


async def migrate(shared: Shared, found: list[Row] | None = None, **options: Any) -> MigratedCollections:
    """From memory."""
    options = {"source": MemorySource(hierarchies(found)), "rate": 1e6, "ranges": 2, **options}
    return await migrate_collections(shared, URL, **options)


def units(tree: dict[str, Any]) -> list[str]:
    return [child["identifier"] for child in children_of(tree)]


class RealKeyspace:
    """One on the real server, with the platform's table."""

    def __init__(self) -> None:
        self._name = f"test_legacy_{uuid4().hex[:10]}"

    @property
    def url(self) -> str:
        return f"{CASSANDRA}/{self._name}"

    def create(self) -> None:
        (table,) = hierarchies().values()
        with cluster(CASSANDRA) as connected:
            session = connected.connect()
            replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
            session.execute(f"CREATE KEYSPACE {self._name} WITH replication = {replication}", timeout=60)
            session.execute(table.cql(self._name), timeout=60)
            marks = ", ".join("?" * len(table.columns))
            text = f"INSERT INTO {self._name}.{table.name} ({', '.join(table.columns)}) VALUES ({marks})"
            statement = session.prepare(text)
            for one in table.rows:
                session.execute(statement, [one[name] for name in table.columns])

    def drop(self) -> None:
        with cluster(CASSANDRA) as connected:
            connected.connect().execute(f"DROP KEYSPACE IF EXISTS {self._name}", timeout=60)


@pytest.fixture
async def keyspace() -> AsyncIterator[RealKeyspace]:
    made = RealKeyspace()
    try:
        yield made
    finally:
        await asyncio.to_thread(made.drop)


async def test_live_trees_are_published_and_the_others_wait_as_drafts(embedded: Instance) -> None:
    report = await migrate(embedded.shared)
    assert report.report.document() == FIRST
    await _is_brought_over(embedded)
    once = await everything(embedded)
    assert (await migrate(embedded.shared)).report.document() == AGAIN
    assert await everything(embedded) == once


async def _is_brought_over(cohort: Instance) -> None:
    for identifier in ("do_live", "do_same", "do_edited"):
        version, tree = await live_tree(cohort, identifier)
        assert (version, tree["pkgVersion"], tree["name"]) == (1, 4, identifier.upper())
    statuses = {
        identifier: draft and (draft.status, draft.imported)
        for identifier in ("do_live", "do_same", "do_edited", "do_new", "do_old", "film", "new", "chapter")
        if (draft := await draft_of(cohort, identifier)) or True
    }
    assert statuses == {
        **dict.fromkeys(("do_live", "do_same", "film"), (DraftStatus.LIVE, True)),
        **dict.fromkeys(("do_edited", "do_new", "do_old", "new"), (DraftStatus.DRAFT, True)),
        "chapter": None,
    }
    edit = await tree_of_draft(cohort, "do_edited")
    assert units(edit) == ["edited-unit", "extra"]
    assert (edit["name"], edit["subject"]) == ("DO_EDITED", ["Maths"])
    (film,) = children_of(edit["children"][0])
    assert film["relationalMetadata"] == {"optional": True, "keywords": ["k"], "relName": "Look"}
    assert units((await live_tree(cohort, "do_edited"))[1]) == ["edited-unit"]
    new = await tree_of_draft(cohort, "do_new")
    assert (new["name"], units(new)) == ("do_new", ["new-unit"])


async def test_a_dry_run_says_the_same_and_writes_nothing(embedded: Instance) -> None:
    assert (await migrate(embedded.shared, dry_run=True)).report.document() == FIRST
    assert not any((await everything(embedded)).values())
    await migrate(embedded.shared)
    assert (await migrate(embedded.shared, dry_run=True)).report.document() == AGAIN


async def test_what_was_edited_here_since_stays_and_what_is_new_there_comes(embedded: Instance) -> None:
    await migrate(embedded.shared)
    await edited(embedded, "do_same")
    changed = [
        row(one["identifier"], live(one["identifier"], unit("changed", leaf("film"))))
        if one["identifier"] in ("do_live", "do_same")
        else one
        for one in rows()
    ]
    report = (await migrate(embedded.shared, changed)).report
    assert (report.loaded, report.published, report.kept, report.unchanged) == (1, 1, 1, 3)
    assert report.why["do_same"] == "do_same has been edited here since: it is not replaced"
    assert not report.is_whole
    same = await draft_of(embedded, "do_same")
    assert same is not None
    assert same.name == "An author's"
    assert (await live_tree(embedded, "do_same"))[0] == 1
    version, tree = await live_tree(embedded, "do_live")
    assert (version, units(tree)) == (2, ["changed"])


@pytest.mark.stack
async def test_the_platform_s_keyspace_is_brought_over(cohort: Instance, keyspace: RealKeyspace) -> None:
    await asyncio.to_thread(keyspace.create)
    dry = await migrate_collections(cohort.shared, keyspace.url, rate=1e6, ranges=2, dry_run=True)
    report = await migrate_collections(cohort.shared, keyspace.url, rate=1e6, ranges=2)
    assert dry.report.document() == report.report.document() == FIRST
    await _is_brought_over(cohort)
    again = await migrate_collections(cohort.shared, keyspace.url, rate=1e6, ranges=2)
    assert again.report.document() == AGAIN


async def test_killed_in_the_middle_it_is_resumed_and_nothing_is_missing(
    cohort: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL when drafts are written and the live version is not; another process takes the job over."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            *("-m", "tests.ingest.collections_process"),
            *(json.dumps(cohort.urls), str(cohort.data)),
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"hanging\n"
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert await cohort.shared.library.contents.load("do_edited") is None

    async def in_memory(_: str) -> MemorySource:
        return MemorySource(hierarchies())

    monkeypatch.setattr("ingest.importers.legacy.collections.open_source", in_memory)
    later = replace(cohort.shared, now=lambda: datetime.now(UTC) + ABANDONED_AFTER + timedelta(seconds=1))
    (job,) = await Jobs(later).list()
    assert (job.kind, job.state) == ("migrate-collections", JobState.RUNNING)
    resumed = await Jobs(later).resume(job_kind(job.kind), job.id)
    assert (resumed.state, resumed.done) == (JobState.DONE, FIRST["read"])
    await _is_brought_over(cohort)
    assert (await migrate(later)).report.document() == AGAIN


async def test_after_a_failure_it_goes_on_where_it_stopped(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.importers.legacy.collections.PAGE", 1)

    class Away(MemorySource):
        async def rows(self, *given: Any) -> list[Row]:
            if self.pages > 9:
                raise StoreUnavailable("away")
            return await super().rows(*given)

    with pytest.raises(StoreUnavailable):
        await migrate(embedded.shared, source=Away(hierarchies()))
    told: list[tuple[str, int, int]] = []
    rest = MemorySource(hierarchies())
    report = await migrate(embedded.shared, source=rest, on_progress=lambda *each: told.append(each))
    assert report.report.document() == FIRST
    assert rest.pages < len(rows()), "not from the beginning"
    assert rest.closed
    assert told[-1] == ("content_hierarchy", 2, 2)
    (job,) = await Jobs(embedded.shared).list()
    assert job.state is JobState.DONE


async def test_the_password_is_stored_nowhere(embedded: Instance) -> None:
    await migrate(embedded.shared)
    found = [
        one
        for part in embedded.stores.rows.ranges(1)
        async for page in embedded.stores.rows.walk(JOBS, part)
        for one in page.rows
    ]
    assert "secret" not in str(found)
    assert "cassandra://sunbird@lms/dev_hierarchy_store" in str(found)


async def test_a_keyspace_without_hierarchies_is_refused(embedded: Instance) -> None:
    with pytest.raises(NotFound, match="has no table content_hierarchy"):
        await migrate(embedded.shared, source=MemorySource({}))
    (table,) = hierarchies().values()
    own = replace(table, columns={**table.columns, "chunks": "int"})
    with pytest.raises(InvalidInput, match="a table of Cohort's own"):
        await migrate(embedded.shared, source=MemorySource({own.name: own}))
    with pytest.raises(InvalidInput, match="rate must be above 0"):
        await migrate(embedded.shared, rate=0)


async def test_a_platform_without_relational_metadata_is_one_too(embedded: Instance) -> None:
    (table,) = hierarchies([row("do_new.img", image("do_new", unit("u", leaf("film"))))]).values()
    older = replace(table, columns={"identifier": "text", "hierarchy": "text"})
    report = await migrate(embedded.shared, source=MemorySource({older.name: older}))
    assert (report.report.loaded, report.report.drafts) == (1, 1)
