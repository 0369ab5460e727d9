"""What docs/backup.md promises where the rows are in Cassandra: a snapshot that was taken while learners worked brings back, on an
empty server, all that was acknowledged before it. The server is one of the test's own."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from ingest.workers.dead_letters import pending
from stores.tables import TABLES
from stores.topics import ASSESSMENTS
from tests.cassandra_node import cassandra_of_its_own
from tests.conftest import (
    BLOBS,
    DRUID,
    KAFKA,
    REDIS,
    SEARCH,
    Instance,
    drop_data_sources,
    drop_search_index,
    drop_topics,
)
from tests.gateway.conftest import KEY
from tests.gateway.processes import Shell
from tests.gateway.test_backup import at_work, finished, is_there, nothing_of
from tests.graph.test_figures_survive import recounted, told

FOLDERS = ("packages", "exports", "exhausts", "archived-batches")
"""What an instance has in its blob store, below the prefix."""

log = logging.getLogger(__name__)


def settings_of(rows: str, prefix: str, groups: str) -> dict[str, str]:
    return {
        "COHORT_ROWS": rows,
        "COHORT_EVENTS": f"kafka://{KAFKA}",
        "COHORT_CACHE": REDIS,
        "COHORT_GROUPS": groups,
        "COHORT_BLOBS": BLOBS,
        "COHORT_SEARCH": SEARCH,
        "COHORT_PREFIX": prefix,
        "COHORT_JWT_KEY": KEY,
    }


@asynccontextmanager
async def prefixes() -> AsyncIterator[tuple[str, str]]:
    """The prefix of the instance that is lost, and that of the one after it. Nothing of either is left on the servers."""
    run = uuid4().hex[:10]
    both = f"test-{run}", f"test-{run}b"
    async with AsyncExitStack() as stack:
        for prefix in both:
            stack.push_async_callback(drop_topics, prefix)
            stack.push_async_callback(drop_search_index, prefix)
        stack.push_async_callback(drop_data_sources, both[1])
        yield both


@pytest.mark.drill
@pytest.mark.timeout(1200)
async def test_a_snapshot_and_a_new_prefix_bring_back_what_was_acknowledged(tmp_path: Path) -> None:
    backup, listed = tmp_path / "backup", tmp_path / "erased"
    async with prefixes() as (before, after):
        with cassandra_of_its_own(tmp_path / "cassandra") as server:
            (tmp_path / "a").mkdir()
            shell = Shell(settings_of(server.url, before, "duckdb:///groups.duckdb"), tmp_path / "a")
            lost = _instance(shell, tmp_path / "own-a")
            await shell.run("init")
            async with lost.opened() as lost.shared:
                await lost.publish()
                await lost.batch()
            async with at_work(shell) as clients:
                early, late, *_ = await finished(clients, 3)
                await shell.run("learners", "erase", early, "--yes")
                acknowledged = [user for user in await finished(clients, 3) if user not in (early, late)]
                await asyncio.to_thread(server.back_up, backup)
                await shell.run("learners", "erase", late, "--yes")
                await finished(clients, 2)
                listed.write_text(await shell.run("learners", "erased"))
            log.info("%d acknowledged before the snapshot", len(acknowledged))
            await asyncio.to_thread(server.lose)
            await asyncio.to_thread(server.up)

            (tmp_path / "b").mkdir()
            shell = Shell(settings_of(server.url, after, DRUID), tmp_path / "b")
            restored = _instance(shell, tmp_path / "own-b")
            await shell.run("init")
            await asyncio.to_thread(server.restore, backup)
            erased = await shell.run("learners", "erase", "--listed", str(listed), "--yes")
            assert erased.startswith("1 learners deleted, 1 were already; "), erased
            await _copy_blobs(lost, restored)
            copied = await _copy_submissions(before, after)
            assert copied >= len(acknowledged)
            async with shell.running("worker"):
                await shell.run("reconcile", "--states")
                await shell.run("search", "check", "--repair")
                await shell.run("aggregate", "run", "--all")
                async with restored.opened() as restored.shared, asyncio.timeout(180):
                    while await restored.submitted() or await restored.lag():
                        await asyncio.sleep(0.2)
            assert " 0 drifted, 0 failed" in await shell.run("reconcile")
            assert " 0 missing, 0 changed, 0 without" in await shell.run("search", "check")
            async with restored.opened() as restored.shared:
                await is_there(restored, acknowledged)
                await nothing_of(restored, early, late)
                letters = [letter async for letter in pending(restored.stores)]
                assert not [one for one in letters if str(late) in str(one) or str(early) in str(one)], (
                    letters
                )
                log.info("%d dead letters: %s", len(letters), letters[:2])
                await restored.arrived()
                assert await told(restored) == await recounted(restored)
            assert {table.name for table in TABLES} >= {folder.name for folder in backup.iterdir()} - {
                "schema_version"
            }


def _instance(shell: Shell, data: Path) -> Instance:
    names = ("rows", "events", "cache", "groups", "blobs", "search", "prefix")
    data.mkdir()
    return Instance({name: shell.settings[f"COHORT_{name.upper()}"] for name in names}, data)


async def _copy_blobs(lost: Instance, restored: Instance) -> None:
    """As `aws s3 sync s3://bucket/BEFORE s3://bucket/AFTER` does."""
    async with lost.opened() as theirs, restored.opened() as ours:
        for folder in FOLDERS:
            async for blob in theirs.stores.blobs.below(folder):
                await ours.stores.blobs.put(blob.name, theirs.stores.blobs.get(blob.name))


async def _copy_submissions(before: str, after: str) -> int:
    """What the former topic has of submitted attempts goes into the new one, by the same keys. Returns how many."""
    source = AIOKafkaConsumer(
        f"{before}.{ASSESSMENTS.name}", bootstrap_servers=KAFKA, auto_offset_reset="earliest"
    )
    target = AIOKafkaProducer(bootstrap_servers=KAFKA, acks="all")
    await source.start()
    await target.start()
    copied = 0
    try:
        ends = await source.end_offsets(source.assignment())
        while any([await source.position(place) < end for place, end in ends.items()]):
            for records in (await source.getmany(timeout_ms=500)).values():
                for record in records:
                    await target.send_and_wait(
                        f"{after}.{ASSESSMENTS.name}", record.value, record.key, headers=list(record.headers)
                    )
                    copied += 1
    finally:
        await source.stop()
        await target.stop()
    return copied
