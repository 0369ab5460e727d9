"""The documents in a package, and what packages are called."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.hierarchy import walk
from rules.packages import (
    PackageVariant,
    icon_name,
    icon_paths,
    icon_urls,
    manifest,
    nested_document,
    package_name,
    package_url,
    packages_of,
    safe_id,
    version_of,
)
from tests.rules.strategies import trees

UNIT = "application/vnd.ekstep.content-collection"
BOOK: dict[str, Any] = {
    "identifier": "book",
    "name": "Book",
    "visibility": "Default",
    "mimeType": UNIT,
    "appIcon": "https://icons.example/book.png",
    "posterImage": "https://icons.example/poster.png",
    "lastPublishedOn": "2026-03-01T12:00:00.000+0000",
    "depth": 0,
    "index": 0,
    "children": [
        {
            "identifier": "unit",
            "name": "Unit",
            "mimeType": UNIT,
            "appIcon": "https://icons.example/unit.png",
            "description": None,
            "children": [
                {
                    "identifier": "leaf",
                    "name": "Leaf",
                    "visibility": "Default",
                    "appIcon": "https://icons.example/leaf.png",
                    "artifactUrl": "https://files.example/leaf.pdf",
                    "index": 1,
                    "depth": 2,
                },
                {
                    "identifier": "video",
                    "name": "Video",
                    "artifactUrl": "https://video.example/1",
                    "downloadUrl": "https://files.example/video.ecar",
                    "contentDisposition": "online-only",
                },
            ],
            "keywords": ["after the children"],
        },
        {"identifier": "leaf", "name": "Leaf", "visibility": "Default", "index": 2, "depth": 1},
    ],
}
"""A leaf in two places, a video that is only watched online, a unit whose keys go on behind its children."""
STORED = {
    "https://icons.example/book.png": "packages/book/3/icons/aa.png",
    "https://icons.example/unit.png": "packages/book/3/icons/bb.png",
}
HEADER = {"ts": "2026-03-01T12:00:00.000+0000", "params": {"resmsgid": "message"}}


def test_the_manifest_has_every_node_once_as_clients_of_the_platform_read_it() -> None:
    written = json.loads(b"".join(manifest(BOOK, "message", icon_paths(BOOK, STORED))))
    assert list(written) == ["id", "ver", "ts", "params", "archive"]
    archive = written.pop("archive")
    assert written == {"id": "ekstep.content.archive", "ver": "1.2", **HEADER}
    assert (archive["count"], archive["ttl"], list(archive)) == (4, 24, ["count", "ttl", "items"])
    book, unit, leaf, video = archive["items"]
    assert book == {
        "identifier": "book",
        "name": "Book",
        "visibility": "Default",
        "mimeType": UNIT,
        "appIcon": "book/aa.png",
        "lastPublishedOn": "2026-03-01T12:00:00.000+0000",
        "children": [
            {"identifier": "unit", "name": "Unit", "description": None},
            {"identifier": "leaf", "name": "Leaf", "index": 2, "depth": 1},
        ],
    }
    assert unit == {
        "identifier": "unit",
        "name": "Unit",
        "mimeType": UNIT,
        "appIcon": "unit/bb.png",
        "keywords": ["after the children"],
        "children": [
            {"identifier": "leaf", "name": "Leaf", "index": 1, "depth": 2},
            {"identifier": "video", "name": "Video"},
        ],
        "visibility": "Parent",
    }
    assert leaf == {
        "identifier": "leaf",
        "name": "Leaf",
        "visibility": "Parent",
        "appIcon": "https://icons.example/leaf.png",
        "artifactUrl": "https://files.example/leaf.pdf",
        "downloadUrl": "https://files.example/leaf.pdf",
    }
    assert video == {
        "identifier": "video",
        "name": "Video",
        "artifactUrl": "https://video.example/1",
        "contentDisposition": "online-only",
        "visibility": "Parent",
    }


def test_icons_come_along_for_the_collection_and_its_units_and_not_for_leaves() -> None:
    assert icon_urls(BOOK) == ["https://icons.example/book.png", "https://icons.example/unit.png"]
    shared = {**BOOK, "children": [{**BOOK["children"][0], "appIcon": BOOK["appIcon"]}]}
    assert icon_urls(shared) == ["https://icons.example/book.png"]
    assert icon_paths(shared, STORED) == {"https://icons.example/book.png": "book/aa.png"}
    without = {**BOOK, "appIcon": None, "children": [{**BOOK["children"][0], "appIcon": ""}]}
    assert icon_urls(without) == []
    assert icon_paths(BOOK, {}) == {}


def test_the_tree_is_as_it_was_published_with_every_key_in_its_place() -> None:
    written = json.loads(b"".join(nested_document(BOOK, "message")))
    assert list(written) == ["id", "ver", "ts", "params", "collection"]
    assert {**written, "collection": None} == {
        "id": "sunbird.collection.hierarchy",
        "ver": "1.0",
        **HEADER,
        "collection": None,
    }
    assert json.dumps(written["collection"]) == json.dumps(BOOK)


@given(trees(), st.booleans())
def test_of_any_tree_nothing_is_lost_and_nothing_comes_twice(tree: Any, children_first: bool) -> None:
    if children_first:
        tree = {"children": tree["children"], **tree}
    nested = json.loads(b"".join(nested_document(tree, "message")))["collection"]
    assert json.dumps(nested) == json.dumps(tree)
    archive = orjson.loads(b"".join(manifest(tree, "message", {})))["archive"]
    names = [item["identifier"] for item in archive["items"]]
    assert names == list(dict.fromkeys(node["identifier"] for node in walk(tree)))
    assert archive["count"] == len(names)


@pytest.mark.parametrize(
    ("identifier", "safe"), [("do_113.img", "do_113.img"), ("a-B_9", "a-B_9"), ("x" * 80, "x" * 80)]
)
def test_an_id_that_may_be_in_the_name_of_a_file_stays(identifier: str, safe: str) -> None:
    assert safe_id(identifier) == safe


@given(st.lists(st.text(min_size=1, max_size=256), min_size=2, max_size=2, unique=True))
def test_packages_of_two_collections_never_meet_nor_leave_their_folder(pair: list[str]) -> None:
    one, other = (package_name(identifier, 1, PackageVariant.SPINE) for identifier in pair)
    assert one != other
    assert one.count("/") == 3
    assert not any(part.startswith(".") for part in one.split("/"))
    assert all(len(part) <= 121 for part in one.split("/"))


def test_an_id_that_looks_like_a_digest_is_not_taken_for_one() -> None:
    digest = safe_id("../etc")
    assert digest.startswith("id-")
    assert safe_id(digest) != digest


def test_names_say_of_which_version_a_file_is() -> None:
    package = package_name("do_1", 12, PackageVariant.ONLINE)
    assert package == "packages/do_1/12/do_1_12_online.ecar"
    icon = icon_name("do_1", 12, "ab", "png")
    assert icon == "packages/do_1/12/icons/ab.png"
    assert [version_of(package), version_of(icon)] == [12, 12]
    assert package.startswith(f"{packages_of('do_1')}/")


@pytest.mark.parametrize("public", ["https://cohort.example/api", "https://cohort.example/api/"])
def test_the_url_of_a_package_is_one_for_every_id(public: str) -> None:
    assert (
        package_url(public, "do 1/ä", 2, PackageVariant.SPINE)
        == "https://cohort.example/api/content/v1/package/do%201%2F%C3%A4/2/spine"
    )
    assert package_url("", "do_1", 2, PackageVariant.ONLINE) == "/content/v1/package/do_1/2/online"
