"""What the blobs port promises, on a directory and on a real S3 server."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from rules.errors import DeadlineExceeded, Forbidden, InvalidInput, NotFound, StoreUnavailable
from stores.blob_links import BlobLinks
from stores.blobs import CHUNK, LONGEST_LINK, Blobs
from stores.blobs_cloud import CloudBlobs
from stores.blobs_file import FileBlobs
from stores.deadline import deadline
from tests.conftest import BLOBS

HOUR = timedelta(hours=1)


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.stack)])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def blobs(engine: str, tmp_path: Path) -> AsyncIterator[Blobs]:
    opened = await open_blobs(engine, tmp_path, f"test-{uuid4().hex[:10]}")
    yield opened
    await opened.delete(*[blob.name async for blob in opened.below("a")])
    await opened.close()


async def open_blobs(engine: str, directory: Path, prefix: str) -> Blobs:
    if engine == "file":
        return await FileBlobs.open(directory, prefix, BlobLinks(["k" * 32]))
    return await CloudBlobs.open(BLOBS, prefix)


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read(blobs: Blobs, name: str) -> bytes:
    return b"".join([chunk async for chunk in blobs.get(name)])


async def names(blobs: Blobs, prefix: str) -> list[str]:
    return sorted([blob.name async for blob in blobs.below(prefix)])


@pytest.mark.parametrize("chunks", [(), (b"",), (b"one", b"", b"two"), (b"a" * 1000, b"b")])
async def test_what_was_put_is_read_back(blobs: Blobs, chunks: tuple[bytes, ...]) -> None:
    whole = b"".join(chunks)
    before = datetime.now(UTC) - timedelta(seconds=2)  # stores keep whole seconds
    assert await blobs.put("a/b.csv", pieces(*chunks)) == len(whole)
    assert await read(blobs, "a/b.csv") == whole
    found = await blobs.find("a/b.csv")
    assert found is not None
    assert (found.name, found.size) == ("a/b.csv", len(whole))
    assert before <= found.written_on <= datetime.now(UTC) + timedelta(seconds=2)


async def test_a_large_one_goes_through_in_pieces(blobs: Blobs) -> None:
    given = []

    async def content() -> AsyncIterator[bytes]:
        for number in range(11):
            given.append(number)
            yield bytes([number]) * (CHUNK // 4)

    assert await blobs.put("a/large", content()) == 11 * (CHUNK // 4)
    assert given == list(range(11))
    sizes, first_bytes = [], b""
    async for chunk in blobs.get("a/large"):
        sizes.append(len(chunk))
        first_bytes += chunk[:1]
    assert sum(sizes) == 11 * (CHUNK // 4)
    assert max(sizes) < CHUNK
    assert first_bytes == bytes(sorted(first_bytes))


@pytest.mark.parametrize("size", [1, CHUNK + 1])
async def test_what_was_not_written_whole_is_not_there_and_what_was_there_stays(
    blobs: Blobs, size: int
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"a" * size
        raise NotFound("the source has gone")

    for _ in range(2):
        with pytest.raises(NotFound, match="the source has gone"):
            await blobs.put("a/new", broken())
    await blobs.put("a/old", pieces(b"old"))
    with pytest.raises(NotFound, match="the source has gone"):
        await blobs.put("a/old", broken())
    assert await names(blobs, "a") == ["a/old"]
    assert await read(blobs, "a/old") == b"old"


async def test_nobody_sees_half_of_it_while_it_is_written(blobs: Blobs) -> None:
    await blobs.put("a/one", pieces(b"before"))
    seen = []

    async def content() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"after"
            seen.append(await read(blobs, "a/one"))
            seen.append(str(await names(blobs, "a")).encode())

    await blobs.put("a/one", content())
    assert seen == [b"before", b"['a/one']"] * 3
    assert await read(blobs, "a/one") == b"after" * 3


async def test_who_reads_while_it_is_replaced_gets_one_of_the_two(blobs: Blobs) -> None:
    versions = [bytes([letter]) * 700_000 for letter in b"xy"]
    await blobs.put("a/one", pieces(versions[0]))
    reading = blobs.get("a/one")
    first = await anext(reading)
    await blobs.put("a/one", pieces(versions[1]))
    rest = b"".join([chunk async for chunk in reading])
    assert first + rest == versions[0]
    assert await read(blobs, "a/one") == versions[1]


async def test_a_list_is_of_whole_parts_of_names(blobs: Blobs) -> None:
    for name in ("a/x/1.csv", "a/x/2.csv", "a/x/deep/3.csv", "a/xy/4.csv", "b.csv"):
        await blobs.put(name, pieces(b"1"))
    assert await names(blobs, "a/x") == ["a/x/1.csv", "a/x/2.csv", "a/x/deep/3.csv"]
    assert await names(blobs, "a") == ["a/x/1.csv", "a/x/2.csv", "a/x/deep/3.csv", "a/xy/4.csv"]
    assert await names(blobs, "a/nothing") == []
    await blobs.delete("b.csv")


async def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(blobs: Blobs) -> None:
    for name in ("a/x/1", "a/x/2", "a/y"):
        await blobs.put(name, pieces(b"1"))
    await blobs.delete("a/x/1", "a/x/2", "a/none")
    await blobs.delete("a/x/1")
    await blobs.delete()
    assert await blobs.find("a/x/1") is None
    with pytest.raises(NotFound):
        await read(blobs, "a/x/1")
    assert await names(blobs, "a") == ["a/y"]
    await blobs.put("a/x/1", pieces(b"again"))
    assert await read(blobs, "a/x/1") == b"again"


async def test_many_at_once_do_not_meet(blobs: Blobs) -> None:
    async def one(number: int) -> None:
        name = f"a/{number % 3}/{number}"
        await blobs.put(name, pieces(str(number).encode()))
        assert await read(blobs, name) == str(number).encode()
        await blobs.delete(name)

    await asyncio.gather(*map(one, range(30)))
    assert await names(blobs, "a") == []


async def test_two_instances_in_one_place_do_not_meet(engine: str, blobs: Blobs, tmp_path: Path) -> None:
    other = await open_blobs(engine, tmp_path, f"test-{uuid4().hex[:10]}")
    await blobs.put("a/one", pieces(b"1"))
    assert await other.find("a/one") is None
    assert await names(other, "a") == []
    await other.delete("a/one")
    assert await read(blobs, "a/one") == b"1"


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.b", "a b", "a/\x00", "ä", "a" * 500]
)
async def test_a_name_that_not_every_engine_takes_is_refused(blobs: Blobs, name: str) -> None:
    for call in (
        blobs.put(name, pieces(b"1")),
        blobs.find(name),
        blobs.delete(name),
        blobs.link(name, HOUR),
        read(blobs, name),
        names(blobs, name),
    ):
        with pytest.raises(InvalidInput, match="letters, digits"):
            await call


async def test_a_folder_is_no_blob(blobs: Blobs) -> None:
    await blobs.put("a/b/c", pieces(b"1"))
    assert await blobs.find("a/b") is None
    with pytest.raises(NotFound):
        await read(blobs, "a/b")
    await blobs.delete("a/b")
    assert await names(blobs, "a") == ["a/b/c"]


@pytest.mark.parametrize("life", [timedelta(0), timedelta(seconds=-5), LONGEST_LINK + timedelta(seconds=1)])
async def test_a_link_holds_neither_no_time_nor_for_ever(blobs: Blobs, life: timedelta) -> None:
    with pytest.raises(InvalidInput, match="a link holds from a second to 7 days"):
        await blobs.link("a/b.csv", life)


async def test_nothing_is_waited_for_beyond_the_deadline(blobs: Blobs) -> None:
    await blobs.put("a/one", pieces(b"1"))

    async def slow() -> AsyncIterator[bytes]:
        yield b"a" * (CHUNK + 1)
        await asyncio.sleep(0.2)
        yield b"a"

    with deadline(0.1), pytest.raises(DeadlineExceeded):
        await blobs.put("a/two", slow())
    with deadline(0):
        for call in (
            blobs.find("a/one"),
            blobs.delete("a/one"),
            read(blobs, "a/one"),
            names(blobs, "a"),
            blobs.ping(),
        ):
            with pytest.raises(DeadlineExceeded):
                await call
    assert await names(blobs, "a") == ["a/one"]


async def test_it_says_that_it_is_there(blobs: Blobs) -> None:
    await blobs.ping()


# --- each engine's own


@pytest.mark.stack
async def test_a_link_of_s3_is_open_to_whoever_has_it_for_its_time_as_it_was_given(tmp_path: Path) -> None:
    blobs = await open_blobs("s3", tmp_path, f"test-{uuid4().hex[:10]}")
    await blobs.put("a/summary.csv", pieces(b"courseid\r\n"))
    link = await blobs.link("a/summary.csv", HOUR)
    brief = await blobs.link("a/summary.csv", timedelta(seconds=1))
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(link)
        assert (answer.status_code, answer.content) == (200, b"courseid\r\n")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="summary.csv"'
        assert (await client.get(link.replace("summary.csv", "other.csv"))).status_code == 403
        assert (await client.get(link.partition("?")[0])).status_code == 403
        async with asyncio.timeout(60):
            while (await client.get(brief)).status_code == 200:
                await asyncio.sleep(0.2)
        assert (await client.get(brief)).status_code == 403
    await blobs.delete("a/summary.csv")


async def test_an_object_store_that_is_away_is_told_without_its_address_to_clients() -> None:
    blobs = await CloudBlobs.open("s3://k:s@bucket?endpoint=http://127.0.0.1:9&region=r", "test", timeout=1)
    for call in (
        blobs.put("a", pieces(b"1")),
        blobs.put("a", pieces(b"1" * (CHUNK + 1))),
        blobs.find("a"),
        blobs.delete("a"),
        blobs.ping(),
        read(blobs, "a"),
        names(blobs, "a"),
    ):
        with pytest.raises(StoreUnavailable) as told:
            await call
        assert told.value.message == "the blob store is away"
        assert "127.0.0.1" in (told.value.detail or "")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket?nonsense=1", "nonsense"),
        ("gs://key:secret@bucket", "environment"),
    ],
)
async def test_a_url_that_makes_no_sense_is_refused(url: str, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        await CloudBlobs.open(url, "test")


async def test_other_clouds_sign_links_of_their_own() -> None:
    blobs = await CloudBlobs.open("az://account:a2V5@container/folder", "test")
    link = urlsplit(await blobs.link("a/b.csv", HOUR))
    assert link.hostname is not None
    assert link.hostname.startswith("account.")
    assert link.path == "/container/folder/test/a/b.csv"
    assert "sig=" in link.query


def test_a_link_to_a_file_holds_as_it_was_given_and_until_it_expires() -> None:
    clock = [1_000_000.0]
    links = BlobLinks(["k" * 32], "https://cohort.example/", lambda: clock[0])
    url = urlsplit(links.url("a/b.csv", HOUR))
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://cohort.example/blobs/a/b.csv"
    query = dict(part.split("=") for part in url.query.split("&"))
    assert query["expires"] == "1003600"
    links.check("a/b.csv", **query)
    clock[0] += 3600
    links.check("a/b.csv", **query)
    for name, changed in (
        ("a/c.csv", query),
        ("a/b.csv", query | {"expires": "1003601"}),
        ("a/b.csv", query | {"signature": "0" * 64}),
        ("a/b.csv", query | {"signature": "ä"}),
        ("a/b.csv", query | {"signature": "", "expires": "no number"}),
    ):
        with pytest.raises(Forbidden, match="not given out so"):
            links.check(name, **changed)
    with pytest.raises(Forbidden, match="not given out so"):
        BlobLinks(["K" * 32], "", lambda: clock[0]).check("a/b.csv", **query)
    clock[0] += 1
    with pytest.raises(Forbidden, match="has expired"):
        links.check("a/b.csv", **query)


async def test_without_a_key_a_directory_gives_no_links(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="can't be given"):
        await (await FileBlobs.open(tmp_path, "test")).link("a", HOUR)


async def test_what_a_dead_process_was_writing_goes_once_it_is_old(tmp_path: Path) -> None:
    await FileBlobs.open(tmp_path, "test")
    old, new = tmp_path / ".parts/old", tmp_path / ".parts/new"
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    blobs = await FileBlobs.open(tmp_path, "test")
    assert not old.exists()
    assert new.exists()
    assert await names(blobs, "a") == []


async def test_a_directory_that_is_away_is_told_without_its_path_to_clients(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable) as told:
        await FileBlobs.open(tmp_path / "file", "test")
    assert told.value.message == "the blob store is away"
    blobs = await FileBlobs.open(tmp_path / "fine", "test")
    (tmp_path / "fine/.parts").rmdir()
    for call in (blobs.put("a", pieces(b"1")), blobs.ping()):
        with pytest.raises(StoreUnavailable):
            await call
