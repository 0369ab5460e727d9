"""What a client finds in a package, and an operator in the blob store."""

import io
import json
import tracemalloc
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import orjson
import pytest

from ingest.publishing.package import PIECE, drop_packages, write_package
from rules.errors import NotFound
from rules.packages import PackageVariant
from stores.blobs import file_name, media_type
from tests.conftest import Instance
from tests.rules.test_packages import BOOK, STORED
from tests.stores.test_blobs_contract import names, pieces, read
from tests.stores.web_server import PNG

SPINE, ONLINE = PackageVariant.SPINE, PackageVariant.ONLINE


@pytest.fixture
async def book(cohort: Instance) -> AsyncIterator[Instance]:
    """With the icons of BOOK stored for version 3."""
    for name in STORED.values():
        await cohort.stores.blobs.put(name, pieces(PNG, name.encode()))
    yield cohort
    await cohort.stores.blobs.delete(*await names(cohort.stores.blobs, "packages"))


async def opened(instance: Instance, name: str) -> ZipFile:
    return ZipFile(io.BytesIO(await read(instance.stores.blobs, name)))


async def test_a_spine_has_manifest_tree_and_icons_whole(book: Instance) -> None:
    written = await write_package(book.shared, "book", 3, BOOK, STORED, SPINE)
    content = await read(book.stores.blobs, "packages/book/3/book_3_spine.ecar")
    assert (written.name, written.size, written.digest) == (
        "packages/book/3/book_3_spine.ecar",
        len(content),
        sha256(content).hexdigest(),
    )
    with ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.json", "hierarchy.json", "book/aa.png", "unit/bb.png"]
        assert {entry.date_time for entry in archive.infolist()} == {(2026, 3, 1, 12, 0, 0)}
        assert {entry.compress_type for entry in archive.infolist()} == {ZIP_DEFLATED}
        manifest = json.loads(archive.read("manifest.json"))
        assert [item["identifier"] for item in manifest["archive"]["items"]] == [
            *("book", "unit", "leaf", "video"),
        ]
        icons = {item["identifier"]: item.get("appIcon") for item in manifest["archive"]["items"]}
        assert icons == {
            "book": "book/aa.png",
            "unit": "unit/bb.png",
            "leaf": "https://icons.example/leaf.png",
            "video": None,
        }
        assert json.dumps(json.loads(archive.read("hierarchy.json"))["collection"]) == json.dumps(BOOK)
        assert archive.read("book/aa.png") == PNG + STORED["https://icons.example/book.png"].encode()
        assert archive.read("unit/bb.png") == PNG + STORED["https://icons.example/unit.png"].encode()


async def test_an_online_package_has_no_files_and_every_icon_keeps_its_url(book: Instance) -> None:
    written = await write_package(book.shared, "book", 3, BOOK, STORED, ONLINE)
    assert written.name == "packages/book/3/book_3_online.ecar"
    with await opened(book, written.name) as archive:
        assert archive.namelist() == ["manifest.json", "hierarchy.json"]
        items = json.loads(archive.read("manifest.json"))["archive"]["items"]
        assert [item.get("appIcon") for item in items[:2]] == list(STORED)
        assert json.loads(archive.read("hierarchy.json"))["collection"] == BOOK


async def test_written_again_a_package_has_the_same_bytes(book: Instance) -> None:
    for variant in PackageVariant:
        first = await write_package(book.shared, "book", 3, BOOK, STORED, variant)
        content = await read(book.stores.blobs, first.name)
        assert (
            await write_package(book.shared, "book", 3, BOOK, dict(reversed(STORED.items())), variant)
            == first
        )
        assert await read(book.stores.blobs, first.name) == content
    other = await write_package(book.shared, "book", 4, BOOK, STORED, SPINE)
    with await opened(book, other.name) as of_4, await opened(book, first.name) as of_3:
        ids = [json.loads(one.read("manifest.json"))["params"]["resmsgid"] for one in (of_4, of_3)]
    assert ids[0] != ids[1]


async def test_a_package_that_was_not_written_whole_is_not_there(book: Instance) -> None:
    """As its manifest must never lead to an icon that is not in it."""
    await book.stores.blobs.delete(STORED["https://icons.example/unit.png"])
    with pytest.raises(NotFound):
        await write_package(book.shared, "book", 3, BOOK, STORED, SPINE)
    assert await book.stores.blobs.find("packages/book/3/book_3_spine.ecar") is None


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("2026-03-01T23:30:00.000-0100", (2026, 3, 2, 0, 30, 0)),
        ("2026-03-01T12:00:00.123Z", (2026, 3, 1, 12, 0, 0)),
        ("2026-03-01T12:00:00", (2026, 3, 1, 12, 0, 0)),
        ("1970-01-01T00:00:00Z", (1980, 1, 1, 0, 0, 0)),
        ("yesterday", (1980, 1, 1, 0, 0, 0)),
        (None, (1980, 1, 1, 0, 0, 0)),
    ],
)
async def test_entries_have_the_moment_of_the_publish_as_far_as_a_zip_can_say_it(
    embedded: Instance, published: str | None, expected: tuple[int, ...]
) -> None:
    tree = {**BOOK, "lastPublishedOn": published}
    written = await write_package(embedded.shared, "book", 3, tree, {}, SPINE)
    with await opened(embedded, written.name) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {expected}
        assert json.loads(archive.read("manifest.json"))["ts"] == (published or "")


async def test_no_id_leads_out_of_the_package_or_its_folder(embedded: Instance) -> None:
    tree = {**BOOK, "identifier": "../../book", "children": []}
    icons = {tree["appIcon"]: "packages/x/1/icons/aa.png"}
    await embedded.stores.blobs.put("packages/x/1/icons/aa.png", pieces(PNG))
    written = await write_package(embedded.shared, "../../book", 1, tree, icons, SPINE)
    assert ".." not in written.name
    with await opened(embedded, written.name) as archive:
        assert not any(".." in name or name.startswith("/") for name in archive.namelist())
        (item,) = json.loads(archive.read("manifest.json"))["archive"]["items"]
        assert item["identifier"] == "../../book"
        assert archive.read(item["appIcon"]) == PNG


async def test_a_large_package_is_never_in_memory_whole(embedded: Instance) -> None:
    """5,000 units and 30,000 leaves: beside the tree a few pieces at a time."""
    tree = large_tree(5_000, 6)
    whole = len(orjson.dumps(tree))
    tracemalloc.start()
    try:
        written = await write_package(embedded.shared, "large", 1, tree, {}, SPINE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert whole > 15 * 1024 * 1024
    assert peak < 8 * 1024 * 1024, f"{peak:,} bytes"  # most of it: which ids were seen
    with await opened(embedded, written.name) as archive:
        assert json.loads(archive.read("manifest.json"))["archive"]["count"] == 35_001
        assert archive.getinfo("hierarchy.json").file_size > whole > 8 * PIECE


def large_tree(units: int, leaves: int) -> dict[str, Any]:
    def node(identifier: str, **more: Any) -> dict[str, Any]:
        return {"identifier": identifier, "name": identifier, "description": identifier * 40, **more}

    return node(
        "large",
        children=[
            node(f"unit-{unit}", children=[node(f"leaf-{unit}-{leaf}") for leaf in range(leaves)])
            for unit in range(units)
        ],
    )


async def test_packages_and_icons_go_but_those_of_the_live_version_and_the_one_before(
    cohort: Instance,
) -> None:
    """Here 1 was live, then 2, then 4; a publish of 3 died, and one of 5 is under way."""
    blobs = cohort.stores.blobs
    for version in (1, 2, 3, 4, 5):
        for variant in PackageVariant:
            await write_package(cohort.shared, "book", version, BOOK, {}, variant)
        await blobs.put(f"packages/book/{version}/icons/aa.png", pieces(PNG))
    await write_package(cohort.shared, "booklet", 1, BOOK, {}, SPINE)
    assert await drop_packages(cohort.shared, "book", 4, 2) == 6
    left = await names(blobs, "packages/book")
    assert sorted({name.split("/")[2] for name in left}) == ["2", "4", "5"]
    assert len(left) == 9
    assert await drop_packages(cohort.shared, "book", 4, 2) == 0
    assert len(await names(blobs, "packages/booklet")) == 1
    await blobs.delete(*left, *await names(blobs, "packages/booklet"))


async def test_a_link_to_a_package_has_it_saved_under_a_name_of_its_own(embedded: Instance) -> None:
    written = await write_package(embedded.shared, "book", 3, BOOK, {}, ONLINE)
    assert file_name(written.name) == "book_3_online.ecar"
    assert media_type(written.name) == "application/zip"
