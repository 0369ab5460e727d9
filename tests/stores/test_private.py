"""What the embedded engines keep is for their owner alone, whatever umask a process has."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from druid_specs import ACTIVITY_STATE
from gateway.dev_tokens import with_development_key
from gateway.settings import Settings
from ingest.commands.enrolments import EnrolmentCall, enrol
from stores.files import Files
from stores.groups import Figures, Kind, Lane, Measure
from tests.conftest import Instance, embedded_urls, instance_of


@pytest.fixture(params=[0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Of what is in it, sockets left out, and of itself."""
    paths = [folder, *folder.rglob("*")]
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}


async def text() -> AsyncIterator[bytes]:
    yield b"text"


@pytest.mark.usefixtures("umask")
async def test_data_files_are_their_owners_alone(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    async with instance_of(embedded_urls(), data, copied=False) as instance:
        await instance.publish()
        await instance.batch()
        await enrol(instance.session("ann"), EnrolmentCall("course", "batch"))
        await instance.drain()
        query = Figures(ACTIVITY_STATE, (), (Measure("n", Kind.COUNT),))
        await instance.stores.groups.query(query, Lane.PAGES)
        await instance.arrived(within=20)
        await instance.stores.blobs.put("exports/a/b.csv", text())
        with_development_key(Settings(data=data))
        found = await asyncio.to_thread(modes, data)
    kept = {"rows.db", "rows.db-wal", "events.db", "events.db-wal", "groups.duckdb", "jwt.key", "b.csv"}
    assert kept <= found.keys()
    folders = {"data", "blobs", "test", "exports", "a", ".parts"}
    assert {name: mode for name, mode in found.items() if mode != (0o700 if name in folders else 0o600)} == {}
    assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) == 0o700


@pytest.mark.usefixtures("umask")
async def test_static_files_are_for_everybody_on_the_machine(tmp_path: Path) -> None:
    """An edge that serves them need not be the user who writes them."""
    root = tmp_path / "static"
    await Files(root).write("activities/course/cb:batch.json", b"{}")
    found = await asyncio.to_thread(modes, root)
    assert found == {"static": 0o755, "activities": 0o755, "course": 0o755, "cb:batch.json": 0o644}


async def test_a_folder_that_was_there_keeps_what_it_allows(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(0o750)
    shared.chmod(0o750)
    async with instance_of(embedded_urls(), shared, copied=False) as instance:
        assert isinstance(instance, Instance)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o750
