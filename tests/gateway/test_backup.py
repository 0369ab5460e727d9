"""What an operator relies on when the machine with the embedded stores is lost (docs/backup.md)."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.settings import Settings, load_settings
from ingest.workers.dead_letters import pending
from stores.backup import EmbeddedFiles, back_up, restore
from stores.schema import version_of
from stores.tables import AGGREGATES, ATTEMPTS, ENROLMENTS, TABLES, VIEWS
from tests.conftest import Instance, embedded_urls
from tests.gateway.class_at_work import ClassAtWork
from tests.gateway.conftest import KEY, copy_data
from tests.gateway.processes import Shell, ready
from tests.gateway.test_cli import cohort
from tests.graph.test_figures_survive import recounted, told
from tests.ingest.test_sample import rows_of
from tests.stack.small import free_port

pytestmark = pytest.mark.long

CLIENTS = 3


def opened(data: Path) -> Instance:
    """The instance of these settings. ``opened`` opens it anew each time."""
    return Instance({**embedded_urls(), "prefix": "cohort"}, data)


async def ran(*words: str, code: int = 0) -> str:
    """What a command printed, run in this process, as that is faster."""
    done = await asyncio.to_thread(cohort, *words)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


async def aggregate_all(within: float = 120) -> None:
    """Once nobody else is at it: a worker begins with one when it starts."""
    async with asyncio.timeout(within):
        while (done := await asyncio.to_thread(cohort, "aggregate", "run", "--all")).returncode:
            assert "is aggregating" in done.stderr, done.stderr
            await asyncio.sleep(0.1)


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


async def is_there(instance: Instance, users: Iterable[str]) -> None:
    """All that these learners were acknowledged is in the rows, and computed."""
    views = {(row["userid"], row["contentid"]): row for row in await rows_of(instance.shared, VIEWS)}
    attempts = {(row["user_id"], row["attempt_id"]) for row in await rows_of(instance.shared, ATTEMPTS)}
    enrolled = {row["userid"]: row for row in await rows_of(instance.shared, ENROLMENTS)}
    for user in users:
        assert {content: views[user, content]["status"] for content in "abc"} == {"a": 2, "b": 2, "c": 1}
        assert views[user, "a"]["timespent"] == 7
        assert (user, "first") in attempts
        assert enrolled[user]["progress"] == 2, "two of the three required"


async def nothing_of(instance: Instance, *users: str) -> None:
    for table in TABLES:
        if table.name not in ("erasure", "job"):
            found = [
                row for row in await rows_of(instance.shared, table) if {*users} & {*map(str, row.values())}
            ]
            assert found == [], table.name


@pytest.mark.timeout(400)
async def test_a_backup_while_learners_work_brings_back_all_that_was_acknowledged_before_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COHORT_JWT_KEY", KEY)
    await copy_data(settings, course=True)
    folder, listed = tmp_path / "backup", tmp_path / "erased"
    shell = Shell({"COHORT_JWT_KEY": KEY}, tmp_path)
    async with at_work(shell) as clients:
        early, late, *_ = await finished(clients, 3)
        await ran("learners", "erase", early, "--yes")
        acknowledged = [user for user in await finished(clients, 2) if user not in (early, late)]
        said = await ran("backup", str(folder))
        await ran("learners", "erase", late, "--yes")
        await finished(clients, 2)  # work goes on
        listed.write_text(await ran("learners", "erased"))
    await asyncio.to_thread(shutil.rmtree, settings.data)
    assert said.startswith("events, rows, blobs as of ")
    assert {line.split("\t")[0] for line in listed.read_text().splitlines()} == {early, late}

    steps = [line.partition("#")[0].strip() for line in (await ran("restore", str(folder))).splitlines()[1:]]
    assert steps == [
        "cohort init",
        "cohort learners erase --listed FILE",
        "cohort worker &",
        "cohort reconcile --states",
        "cohort search check --repair",
        "cohort aggregate run --all",
    ]
    await ran("init")
    erased = await ran("learners", "erase", "--listed", str(listed), "--yes")
    assert erased.startswith("1 learners deleted, 1 were already; ")
    instance = opened(settings.data)
    async with shell.running("worker"):
        await ran("reconcile", "--states")
        await ran("search", "check", "--repair")
        await aggregate_all()
        async with instance.opened() as instance.shared, asyncio.timeout(120):
            while await instance.submitted() or await instance.lag():
                await asyncio.sleep(0.1)
    assert " 0 drifted, 0 failed" in await ran("reconcile")
    assert " 0 missing, 0 changed, 0 without" in await ran("search", "check")
    async with instance.opened() as instance.shared:
        await is_there(instance, acknowledged)
        await nothing_of(instance, early, late)
        assert [letter async for letter in pending(instance.stores)] == []
        await instance.arrived()
        assert await told(instance) == await recounted(instance)
        aggregated = {row["user_id"] for row in await rows_of(instance.shared, AGGREGATES)}
        assert {*acknowledged} <= aggregated


async def test_a_submission_that_nobody_had_scored_is_scored_after_the_restore(
    settings: Settings, served: Any, tmp_path: Path
) -> None:
    """No worker ran before the backup: the attempt was in the log alone."""
    files, folder = EmbeddedFiles(settings.stores, settings.prefix, settings.data), tmp_path / "backup"
    await ClassAtWork(served.client, settings).learn("ann")
    assert await served.submitted() == 1
    await back_up(files, folder, began="2026-03-01T12:00:00.000Z", schema=version_of(TABLES))
    await served.drain()
    elsewhere = EmbeddedFiles(settings.stores, settings.prefix, tmp_path / "elsewhere")
    await restore(elsewhere, folder, known=version_of(TABLES))
    with sqlite3.connect(elsewhere.path("events")) as log:
        groups = {name for (name,) in log.execute("SELECT DISTINCT consumers FROM places")}
        assert not [name for name in groups if name.startswith("cohort.groups-")], (
            "no file of then holds records back"
        )
        assert log.execute("SELECT count(*) FROM members").fetchone() == (0,)
    instance = opened(elsewhere.data)
    async with instance.opened() as instance.shared:
        assert await instance.submitted() == 1
        await instance.drain()
        await is_there(instance, ["ann"])


@pytest.mark.usefixtures("initialised")
def test_a_backup_that_is_not_whole_or_not_of_here_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    data, folder = load_settings().data.absolute(), tmp_path / "backup"
    assert cohort("backup", str(folder)).returncode == 0

    def refused(words: str, **environment: str) -> None:
        done = cohort("restore", str(folder), **environment)
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1

    refused("events.db is there: move it away")
    shutil.rmtree(data)
    manifest = orjson.loads((folder / "backup.json").read_bytes())
    rows = (folder / "rows" / "rows.db").read_bytes()
    (folder / "rows" / "rows.db").write_bytes(rows[:-1] + bytes([rows[-1] ^ 1]))
    refused("rows.db is damaged: its checksum is another")
    assert not [path for path in data.rglob("*") if path.is_file()]
    (folder / "rows" / "rows.db").write_bytes(rows)
    refused("is of the prefix cohort, and other is set", COHORT_PREFIX="other")
    refused(
        "has events, rows, blobs, and rows, blobs of these are in files", COHORT_EVENTS="kafka://127.0.0.1:1"
    )
    (folder / "backup.json").write_bytes(orjson.dumps({**manifest, "schema": 10_000}))
    refused("run a newer Cohort")
    outside = {**manifest["files"], "blobs/../../outside": {"bytes": 0, "sha256": ""}}
    (folder / "backup.json").write_bytes(orjson.dumps({**manifest, "files": outside}))
    refused("names blobs/../../outside, which is of no store")
    (folder / "backup.json").unlink()
    refused("has no whole backup")
    assert "is not empty: name a new folder" in cohort("backup", str(folder)).stderr


@pytest.mark.usefixtures("initialised")
def test_a_backup_is_for_its_owner_alone_and_has_every_file_for_download(tmp_path: Path) -> None:
    blob = load_settings().data / "blobs" / "cohort" / "exports" / "ada" / "1.zip"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"all of ada")
    folder = tmp_path / "backup"
    assert cohort("backup", str(folder)).returncode == 0
    assert {path.stat().st_mode & 0o077 for path in [folder, *folder.rglob("*")]} == {0}
    manifest = orjson.loads((folder / "backup.json").read_bytes())
    assert {*manifest["files"]} == {"events/events.db", "rows/rows.db", "blobs/exports/ada/1.zip"}
    shutil.rmtree(load_settings().data)
    assert cohort("restore", str(folder)).returncode == 0
    assert blob.read_bytes() == b"all of ada"


@pytest.mark.usefixtures("initialised")
def test_a_list_of_erased_learners_that_is_none_names_its_line(tmp_path: Path) -> None:
    listed = tmp_path / "erased"
    for line, reason in (
        ("ada", "line 2 is no user id, tab and time"),
        ("ada\t2026-03-01T12:00:00", "has no time zone"),
    ):
        listed.write_text(f"bob\t2026-03-01T12:00:00.000Z\n{line}\n")
        done = cohort("learners", "erase", "--listed", str(listed), "--yes")
        assert (done.returncode, reason in done.stderr) == (1, True), done.stderr
    assert cohort("learners", "erased").stdout == "", "nobody was erased"
    assert cohort("learners", "erase").returncode == 2
