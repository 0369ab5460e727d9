"""`cohort archive`, and the archive that a worker runs by itself."""

import asyncio
import json
import re
from datetime import timedelta

import pytest

from gateway.settings import load_settings
from gateway.wiring import running
from loaders.session import utc_now
from rules.archives import ArchiveState
from tests.archives import archives, store_old_attempt
from tests.gateway.test_cli import cohort


async def _store(*days: int) -> None:
    async with running(load_settings()) as instance:
        for number in days:
            at = utc_now().replace(microsecond=0) - timedelta(days=number)
            await store_old_attempt(instance.shared, "ada", f"a{number}", at)


@pytest.mark.usefixtures("initialised")
async def test_a_run_says_what_it_did_and_the_list_where_it_is() -> None:
    await _store(100, 50, 1)
    done = await asyncio.to_thread(cohort, "archive", "run")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"3 attempts looked at, 1 due: 1 archived in 1 files of \d+ bytes, 0 left, 0 files failed, 0 of earlier runs\n",
        done.stdout,
    )
    assert done.stderr.splitlines()[-2:] == ["looked at: 3 of 3", "due: 1 of 1"]
    more = await asyncio.to_thread(
        cohort, "archive", "run", "--older-than", "10", "--format", "csv.gz", "--json"
    )
    report = json.loads(more.stdout)
    assert (report["walked"], report["due"], report["archived"], report["files"]) == (2, 1, 1, 1)
    listed = await asyncio.to_thread(cohort, "archive", "list", "--context", "batch", "--json")
    found = [json.loads(line) for line in listed.stdout.splitlines()]
    assert sorted(one["format"] for one in found) == ["csv.gz", "parquet"]
    assert {one["state"] for one in found} == {"archived"}
    assert all(len(one["checksum"]) == 64 and one["bytes"] > 0 and one["attempts"] == 1 for one in found)
    lines = (await asyncio.to_thread(cohort, "archive", "list")).stdout.splitlines()
    assert len(lines) == 2
    assert all("archived-batches/assessment/batch-20" in line for line in lines)
    assert (await asyncio.to_thread(cohort, "archive", "list", "--context", "other")).stdout == (
        "nothing is archived\n"
    )


@pytest.mark.usefixtures("initialised")
def test_an_age_below_zero_is_refused() -> None:
    refused = cohort("archive", "run", "--older-than", "-1")
    assert refused.returncode == 1
    assert refused.stderr == "cohort: the age must be 0 days or more\n"


@pytest.mark.usefixtures("initialised")
async def test_a_worker_archives_by_itself() -> None:
    await _store(100)
    settings = load_settings(archive_every=0.05, aggregate_every=0)
    async with running(settings, worker=True) as instance, asyncio.timeout(60):
        while not await archives(instance.shared, ArchiveState.ARCHIVED):
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("initialised")
async def test_without_a_schedule_a_worker_does_not() -> None:
    await _store(100)
    async with running(load_settings(archive_every=0), worker=True) as instance:
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "archive"]
        assert not await archives(instance.shared)


@pytest.mark.usefixtures("initialised")
async def test_what_was_archived_is_verified_and_restored() -> None:
    await _store(100, 50)
    assert (await asyncio.to_thread(cohort, "archive", "run")).returncode == 0
    sound = await asyncio.to_thread(cohort, "archive", "verify")
    assert (sound.returncode, sound.stdout) == (
        0,
        "1 files with 1 attempts and 2 slim rows looked at, 0 passed over: 0 differences\n",
    )
    listed = await asyncio.to_thread(cohort, "archive", "list", "--json")
    request, blob = (json.loads(listed.stdout)[name] for name in ("requestId", "blob"))
    restored = await asyncio.to_thread(cohort, "archive", "restore", request)
    assert (restored.returncode, restored.stdout) == (
        0,
        "1 attempts of 1 requests are live again, 0 had newer versions or are deleted\n",
    )
    assert (await asyncio.to_thread(cohort, "archive", "run")).returncode == 0
    (again,) = [
        json.loads(line)
        for line in (await asyncio.to_thread(cohort, "archive", "list", "--json")).stdout.splitlines()
        if json.loads(line)["state"] == "archived"
    ]
    assert again["requestId"] != request
    async with running(load_settings()) as instance:
        await instance.stores.blobs.delete(again["blob"])
    told = await asyncio.to_thread(cohort, "archive", "verify", "--request", again["requestId"], "--json")
    report = json.loads(told.stdout)
    assert (told.returncode, report["files"], report["differences"]) == (1, 0, 1)
    assert report["examples"] == [f"request {again['requestId']}: its file {again['blob']} is missing"]
    unknown = await asyncio.to_thread(cohort, "archive", "restore", "--context", "nowhere")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "cohort: the archive has nothing of the context nowhere\n",
    )
    assert blob != again["blob"]
