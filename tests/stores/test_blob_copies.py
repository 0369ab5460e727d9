"""Copies of blobs on this machine: bounded, shared, and not kept for long."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from rules.errors import DeadlineExceeded, NotFound, StoreUnavailable
from stores import blob_copies
from stores.blob_copies import KEPT, BlobCopies
from stores.blobs_file import FileBlobs
from stores.deadline import deadline


@pytest.fixture
async def blobs(tmp_path: Path) -> FileBlobs:
    """Ten blobs of 1000 bytes: each of one digit."""
    blobs = await FileBlobs.open(tmp_path / "blobs", "test")
    for number in range(10):
        await put(blobs, f"some/{number}.csv.gz", str(number).encode() * 1000)
    return blobs


async def put(blobs: FileBlobs, name: str, content: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    await blobs.put(name, chunks())


@pytest.fixture
async def copies(blobs: FileBlobs, tmp_path: Path) -> AsyncIterator[BlobCopies]:
    copies = await BlobCopies.open(blobs, tmp_path / "copies", 3000)
    yield copies
    await copies.close()
    assert not (tmp_path / "copies").exists()


async def read(copies: BlobCopies, number: int, checksum: str | None = None) -> bytes:
    async with copies.copy(f"some/{number}.csv.gz", checksum) as path:
        assert path.name.endswith(".csv.gz")
        return await asyncio.to_thread(path.read_bytes)


def kept(folder: Path) -> list[str]:
    """The digits that the copies begin with, whatever has them open."""
    return sorted(path.read_text()[0] for path in folder.glob("*.copy.*"))


async def test_the_bytes_of_all_copies_are_bounded_and_those_used_last_stay(
    copies: BlobCopies, blobs: FileBlobs, tmp_path: Path
) -> None:
    for number in (0, 1, 2, 0, 3):
        assert await read(copies, number) == str(number).encode() * 1000
    assert kept(tmp_path / "copies") == ["0", "2", "3"]
    with blobs.meter.measure() as calls:
        for number in (0, 2, 3):
            await read(copies, number)
    assert calls["get"] == 0


async def test_a_blob_larger_than_all_copies_together_may_be_is_read_all_the_same(
    copies: BlobCopies, blobs: FileBlobs, tmp_path: Path
) -> None:
    await put(blobs, "some/large.csv.gz", b"x" * 4000)
    async with copies.copy("some/large.csv.gz") as path:
        assert kept(tmp_path / "copies") == []
        assert len(await asyncio.to_thread(path.read_bytes)) == 4000
    assert [*(tmp_path / "copies").iterdir()] == []


async def test_what_is_open_stays_until_it_is_closed(copies: BlobCopies, tmp_path: Path) -> None:
    async with copies.copy("some/0.csv.gz") as path:
        await copies.forget("some/0.csv.gz")
        for number in range(1, 6):
            await read(copies, number)
        assert await asyncio.to_thread(path.read_bytes) == b"0" * 1000
    assert "0" not in kept(tmp_path / "copies")


async def test_who_asks_at_the_same_time_shares_one_fetch(copies: BlobCopies, blobs: FileBlobs) -> None:
    with blobs.meter.measure() as calls:
        assert {*await asyncio.gather(*(read(copies, 1) for _ in range(20)))} == {b"1" * 1000}
    assert calls["get"] == 1


async def test_processes_share_copies_and_take_none_from_each_other(
    copies: BlobCopies, blobs: FileBlobs, tmp_path: Path
) -> None:
    other = await BlobCopies.open(blobs, tmp_path / "copies", 1000)
    await read(copies, 1)
    with blobs.meter.measure() as calls:
        await read(other, 1)
    assert calls["get"] == 0
    for _ in range(3):
        wanted = [read(of, number) for number in range(6) for of in (copies, other)]
        assert [one[:1] for one in await asyncio.gather(*wanted)] == [
            str(number).encode() for number in range(6) for _ in range(2)
        ]
    await other.close()


async def test_a_copy_is_deleted_when_its_time_is_over_however_often_it_is_used(
    copies: BlobCopies, tmp_path: Path
) -> None:
    await read(copies, 1)
    (copy,) = (tmp_path / "copies").glob("*.copy.*")
    old = time.time() - KEPT - 1
    os.utime(copy, (time.time(), old))
    await read(copies, 2)
    assert kept(tmp_path / "copies") == ["2"]


async def test_a_copy_is_deleted_in_time_although_nobody_asks_again(
    copies: BlobCopies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_copies, "KEPT", 0.1)
    await read(copies, 1)
    async with asyncio.timeout(60):
        while any((tmp_path / "copies").glob("*.copy.*")):  # none is read: it may go at any moment
            await asyncio.sleep(0.05)


async def test_what_the_dead_have_left_goes(blobs: FileBlobs, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    dead = BlobCopies(blobs, folder)
    await read(dead, 1)
    async with dead.scratch() as scratch:
        (scratch / "lines").write_text("{}")
        (folder / "half.part").write_text("{}")
        for path in (*folder.iterdir(), scratch):
            os.utime(path, (time.time(), time.time() - 100_000))
        await BlobCopies.open(blobs, folder)
        assert [*folder.iterdir()] == []


async def test_only_the_owner_may_read_copies(copies: BlobCopies, tmp_path: Path) -> None:
    async with copies.copy("some/1.csv.gz") as path, copies.scratch() as scratch:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for folder in (scratch, tmp_path / "copies"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_content_with_another_checksum_is_refused_and_not_kept(
    copies: BlobCopies, tmp_path: Path
) -> None:
    right = sha256(b"1" * 1000).hexdigest()
    assert await read(copies, 1, right) == b"1" * 1000
    with pytest.raises(StoreUnavailable, match="damaged"):
        await read(copies, 2, right)
    assert kept(tmp_path / "copies") == ["1"]


async def test_a_name_that_got_another_content_is_not_read_from_an_old_copy(
    copies: BlobCopies, blobs: FileBlobs
) -> None:
    await read(copies, 1, sha256(b"1" * 1000).hexdigest())
    await put(blobs, "some/1.csv.gz", b"new")
    assert await read(copies, 1, sha256(b"new").hexdigest()) == b"new"


async def test_a_missing_blob_is_not_found_each_time(copies: BlobCopies) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            async with copies.copy("some/none.csv.gz"):
                pass


async def test_who_leaves_does_not_take_the_fetch_from_others(
    copies: BlobCopies, blobs: FileBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, goes_on = blobs.get, asyncio.Event()

    async def slow(name: str) -> AsyncIterator[bytes]:
        await goes_on.wait()
        async for chunk in get(name):
            yield chunk

    monkeypatch.setattr(blobs, "get", slow)
    with deadline(0.05), pytest.raises(DeadlineExceeded):
        await read(copies, 1)
    patient = asyncio.create_task(read(copies, 1))
    await asyncio.sleep(0.05)
    goes_on.set()
    assert await patient == b"1" * 1000
