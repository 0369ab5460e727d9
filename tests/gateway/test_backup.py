"""What an operator relies on when the machine with the embedded stores is lost (docs/backup.md)."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest

from gateway.settings import load_settings
from ingest.workers.dead_letters import pending
from stores.tables import AGGREGATES, ATTEMPTS, ENROLMENTS, TABLES, VIEWS
from stores.topics import TOPICS
from tests.conftest import Instance, embedded_urls
from tests.gateway.class_at_work import ClassAtWork
from tests.gateway.conftest import KEY
from tests.gateway.processes import Shell, ready
from tests.graph.test_figures_survive import recounted, told
from tests.ingest.test_sample import rows_of
from tests.stack.small import free_port

CLIENTS = 3


async def begun(shell: Shell, data: Path) -> Instance:
    """An instance on embedded engines, with a course that is open."""
    await shell.run("init")
    cohort = Instance({**embedded_urls(), "prefix": "cohort"}, data)
    async with cohort.opened() as cohort.shared:
        await cohort.publish()
        await cohort.batch()
    return cohort


@asynccontextmanager
async def at_work(shell: Shell) -> AsyncIterator[ClassAtWork]:
    """A gateway, a worker and clients that write. Both processes are killed at the end of the block."""
    port = free_port()
    gateway, worker = await shell.start("serve", "--port", str(port)), await shell.start("worker")
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            await ready(client)
            clients = ClassAtWork(client, load_settings(jwt_key=KEY))
            async with clients.by(CLIENTS):
                yield clients
    finally:
        await asyncio.gather(gateway.kill(), worker.kill())


async def finished(clients: ClassAtWork, more: int, within: float = 120) -> list[str]:
    """All who have finished once there are so many more."""
    wanted = len(clients.finished) + more
    async with asyncio.timeout(within):
        while len(clients.finished) < wanted:
            clients.check()
            await asyncio.sleep(0.05)
    return [*clients.finished]


async def is_there(cohort: Instance, users: Iterable[str]) -> None:
    """All that these learners were acknowledged is in the rows, and computed."""
    views = {(row["userid"], row["contentid"]): row for row in await rows_of(cohort.shared, VIEWS)}
    attempts = {(row["user_id"], row["attempt_id"]) for row in await rows_of(cohort.shared, ATTEMPTS)}
    enrolled = {row["userid"]: row for row in await rows_of(cohort.shared, ENROLMENTS)}
    for user in users:
        assert {content: views[user, content]["status"] for content in "abc"} == {"a": 2, "b": 2, "c": 1}
        assert views[user, "a"]["timespent"] == 7
        assert (user, "first") in attempts
        assert enrolled[user]["progress"] == 2, "two of the three required"


async def nothing_of(cohort: Instance, *users: str) -> None:
    for table in TABLES:
        if table.name not in ("erasure", "job"):
            found = [
                row for row in await rows_of(cohort.shared, table) if {*users} & {*map(str, row.values())}
            ]
            assert found == [], table.name


@pytest.mark.timeout(400)
async def test_a_backup_while_learners_work_brings_back_all_that_was_acknowledged_before_it(
    tmp_path: Path,
) -> None:
    data, folder, listed = tmp_path / "data", tmp_path / "backup", tmp_path / "erased"
    shell = Shell({"COHORT_JWT_KEY": KEY, "COHORT_DATA": str(data)}, tmp_path)
    cohort = await begun(shell, data)
    async with at_work(shell) as clients:
        early, late, *_ = await finished(clients, 4)
        await shell.run("learners", "erase", early, "--yes")
        acknowledged = [user for user in await finished(clients, 2) if user not in (early, late)]
        told_of = await shell.run("backup", str(folder))
        await shell.run("learners", "erase", late, "--yes")
        await finished(clients, 2)  # work goes on
        listed.write_text(await shell.run("learners", "erased"))
    shutil.rmtree(data)
    assert told_of.startswith("events, rows, blobs as of ")
    assert {line.split("\t")[0] for line in listed.read_text().splitlines()} == {early, late}

    steps = await shell.run("restore", str(folder))
    assert steps.splitlines()[1:] == [
        "  cohort init",
        "  cohort learners erase --listed FILE   # who was erased since; FILE is of `cohort learners erased`",
        "  cohort worker &                       # from here on; or cohort serve, where it is all of the instance",
        "  cohort reconcile --states",
        "  cohort search check --repair",
        "  cohort aggregate run --all",
    ]
    await shell.run("init")
    erased = await shell.run("learners", "erase", "--listed", str(listed), "--yes")
    assert erased.startswith("1 learners deleted, 1 were already; ")
    async with shell.running("worker"):
        await shell.run("reconcile", "--states")
        await shell.run("search", "check", "--repair")
        await shell.run("aggregate", "run", "--all")
        async with cohort.opened() as cohort.shared, asyncio.timeout(120):
            while await cohort.submitted() or await cohort.lag():
                await asyncio.sleep(0.1)
    assert " 0 drifted, 0 failed" in await shell.run("reconcile")
    assert " 0 missing, 0 changed, 0 without" in await shell.run("search", "check")
    async with cohort.opened() as cohort.shared:
        await is_there(cohort, acknowledged)
        await nothing_of(cohort, early, late)
        assert [letter async for letter in pending(cohort.stores)] == []
        await cohort.arrived()
        assert await told(cohort) == await recounted(cohort)
        aggregated = {row["user_id"] for row in await rows_of(cohort.shared, AGGREGATES)}
        assert {*acknowledged} <= aggregated


@pytest.mark.usefixtures("initialised")
async def test_a_submission_that_nobody_had_scored_is_scored_after_the_restore(tmp_path: Path) -> None:
    """No worker ran before the backup: the attempt was in the log alone."""
    data, folder = tmp_path / "data", tmp_path / "backup"
    shell = Shell({"COHORT_JWT_KEY": KEY, "COHORT_DATA": str(data)}, tmp_path)
    cohort = await begun(shell, data)
    port = free_port()
    async with (
        shell.running("serve", "--port", str(port)),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        await ready(client)
        await ClassAtWork(client, load_settings(jwt_key=KEY)).learn("ann")
        await shell.run("backup", str(folder))
    shutil.rmtree(data)
    await shell.run("restore", str(folder))
    await shell.run("init")
    async with cohort.opened() as cohort.shared:
        assert await cohort.submitted() == 1
        await cohort.drain()
        await is_there(cohort, ["ann"])
        consumers = await cohort.stores.events.lag("groups-of-then", [topic.name for topic in TOPICS[:1]])
        assert consumers["triggers"] > 0


async def small_backup(shell: Shell) -> Path:
    await shell.run("init")
    folder = shell.folder / "backup"
    await shell.run("backup", str(folder))
    return folder


async def test_a_backup_that_is_not_whole_or_not_of_here_is_refused_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    shell = Shell({"COHORT_JWT_KEY": KEY, "COHORT_DATA": str(data)}, tmp_path)
    folder = await small_backup(shell)

    async def refused(words: str, by: Shell = shell) -> None:
        said = await by.run("restore", str(folder), code=1)
        assert words in said, said
        assert len(said.splitlines()) == 1, said

    await refused(f"{data / 'events.db'} is there: move it away")
    shutil.rmtree(data)
    manifest = orjson.loads((folder / "backup.json").read_bytes())
    rows = (folder / "rows" / "rows.db").read_bytes()
    (folder / "rows" / "rows.db").write_bytes(rows[:-1] + bytes([rows[-1] ^ 1]))
    await refused("rows.db is damaged: its checksum is another")
    assert not [path for path in data.rglob("*") if path.is_file()]
    (folder / "rows" / "rows.db").write_bytes(rows)
    await refused(
        "is of the prefix cohort, and other is set",
        Shell({**shell.settings, "COHORT_PREFIX": "other"}, tmp_path),
    )
    (folder / "backup.json").write_bytes(orjson.dumps({**manifest, "schema": 10_000}))
    await refused("run a newer Cohort")
    outside = {**manifest["files"], "blobs/../../outside": {"bytes": 0, "sha256": ""}}
    (folder / "backup.json").write_bytes(orjson.dumps({**manifest, "files": outside}))
    await refused("names blobs/../../outside, which is of no store")
    (folder / "backup.json").unlink()
    await refused("has no whole backup")
    assert "is not empty: name a new folder" in await shell.run("backup", str(folder), code=1)


async def test_a_backup_is_for_its_owner_alone_and_says_what_it_lacks(tmp_path: Path) -> None:
    shell = Shell({"COHORT_JWT_KEY": KEY, "COHORT_DATA": str(tmp_path / "data")}, tmp_path)
    folder = await small_backup(shell)
    assert {path.stat().st_mode & 0o077 for path in [folder, *folder.rglob("*")]} == {0}
    manifest = orjson.loads((folder / "backup.json").read_bytes())
    assert manifest["stores"] == ["events", "rows", "blobs"]
    assert {*manifest["files"]} == {"events/events.db", "rows/rows.db"}
