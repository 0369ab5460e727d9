"""What a publish says of the root and the units of a tree (R-COLL-5)."""

import copy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.hierarchy import COLLECTION_MIME_TYPE, Hierarchy, is_collection, relations_of, walk
from rules.packages import PackageVariant
from rules.publication import Release, is_unit, next_package_version, platform_moment, released, without

Json = dict[str, Any]
COLLECTION, PDF, VIDEO = COLLECTION_MIME_TYPE, "application/pdf", "video/mp4"

RELEASE = Release(
    package_version=7,
    status="Live",
    published_on="2026-03-01T12:00:00.000+0000",
    published_by="ann",
    version_key="key",
    package_urls={
        PackageVariant.SPINE: "https://cohort.example/content/v1/package/book/7/spine",
        PackageVariant.ONLINE: "https://cohort.example/content/v1/package/book/7/online",
    },
)


def leaf(identifier: str, mime_type: str = PDF, size: object = 100, **more: object) -> Json:
    return {
        "identifier": identifier,
        "name": identifier,
        "mimeType": mime_type,
        "contentType": "Resource",
        "size": size,
        **more,
    }


def unit(identifier: str, *children: Json, **more: object) -> Json:
    return {
        "identifier": identifier,
        "visibility": "Parent",
        "name": identifier,
        "mimeType": COLLECTION,
        "contentType": "TextBookUnit",
        "children": [*children],
        **more,
    }


BOOK: Json = {
    "name": "Book",
    "status": "Draft",
    "identifier": "book",
    "visibility": "Default",
    "mimeType": COLLECTION,
    "contentType": "TextBook",
    "children": [
        unit("one", leaf("a"), leaf("b", VIDEO, 50.0), unit("deep", leaf("a"), leaf("c", size=None))),
        unit("two", leaf("b", VIDEO, 50.0), leaf("d", size="large")),
    ],
    "subject": ["Maths"],
}
"""Distinct leaves: a (100), b (50, video), c and d without a size that counts. Distinct nodes below: one, a, b, deep, c,
two, d."""


def node_of(tree: Json, identifier: str) -> Json:
    return Hierarchy(tree).nodes[identifier]


def test_the_root_says_what_is_in_all_of_the_tree() -> None:
    live = released(BOOK, RELEASE)
    assert {name: live[name] for name in live if name not in BOOK or name == "status"} == {
        "status": "Live",
        "pkgVersion": 7,
        "lastPublishedOn": "2026-03-01T12:00:00.000+0000",
        "lastPublishedBy": "ann",
        "versionKey": "key",
        "leafNodes": ["a", "b", "c", "d"],
        "leafNodesCount": 4,
        "childNodes": ["one", "a", "b", "deep", "c", "two", "d"],
        "mimeTypesCount": f'{{"{COLLECTION}":3,"application/pdf":3,"video/mp4":1}}',
        "contentTypesCount": '{"TextBookUnit":3,"Resource":4}',
        "totalCompressedSize": 150,
        "downloadUrl": "https://cohort.example/content/v1/package/book/7/spine",
        "variants": {
            "spine": {"ecarUrl": "https://cohort.example/content/v1/package/book/7/spine"},
            "online": {"ecarUrl": "https://cohort.example/content/v1/package/book/7/online"},
        },
    }


def test_a_unit_says_what_is_below_it_and_where_the_book_is() -> None:
    deep = node_of(released(BOOK, RELEASE), "deep")
    assert (deep["leafNodes"], deep["leafNodesCount"], deep["childNodes"]) == (["a", "c"], 2, ["a", "c"])
    assert (deep["mimeTypesCount"], deep["totalCompressedSize"]) == ('{"application/pdf":2}', 100)
    assert (deep["status"], deep["pkgVersion"], deep["versionKey"]) == ("Live", 7, "key")
    assert deep["downloadUrl"] == RELEASE.of_packages()["downloadUrl"]


def test_an_empty_unit_has_nothing_below_it() -> None:
    empty = node_of(released({**BOOK, "children": [unit("empty")]}, RELEASE), "empty")
    assert (empty["leafNodes"], empty["leafNodesCount"], empty["mimeTypesCount"]) == ([], 0, "{}")


def test_sizes_of_packages_are_told_once_they_are_written() -> None:
    sized = Release(
        **{name: getattr(RELEASE, name) for name in RELEASE.__slots__ if name != "sizes"},
        sizes={PackageVariant.SPINE: 10, PackageVariant.ONLINE: 20},
    )
    variants = released(BOOK, sized)["variants"]
    assert (variants["spine"]["size"], variants["online"]["size"]) == (10, 20)


def test_keys_keep_their_order_and_new_ones_come_behind() -> None:
    live = released(BOOK, RELEASE)
    assert [*live][: len(BOOK)] == [*BOOK]
    assert [*live][len(BOOK) :][:2] == ["pkgVersion", "lastPublishedOn"]


def test_leaves_and_collections_of_their_own_stay_as_they_are() -> None:
    course = {**unit("course", leaf("x")), "visibility": "Default", "pkgVersion": 3}
    program = {**BOOK, "children": [course, leaf("a")]}
    live = released(program, RELEASE)
    assert live["children"] == [course, leaf("a")]
    assert live["leafNodes"] == ["x", "a"]


def test_a_content_without_a_tree_has_no_counts_and_no_package() -> None:
    live = released(leaf("alone", status="Draft"), RELEASE)
    assert live == {**leaf("alone", status="Live"), **RELEASE.of_each()}


def test_a_moment_is_written_as_the_platform_writes_it() -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    assert platform_moment(datetime(2026, 1, 31, 17, 30, tzinfo=india)) == "2026-01-31T12:00:00.000+0000"
    at = datetime(2026, 1, 31, 12, 0, 0, 7_999, tzinfo=UTC)
    assert platform_moment(at) == "2026-01-31T12:00:00.007+0000"


def test_a_tree_without_leaves_keeps_the_others_and_numbers_them_anew() -> None:
    tree = {
        **BOOK,
        "children": [unit("one", leaf("a", index=1), leaf("b", index=2), leaf("c", index=3), index=1)],
    }
    (one,) = without(tree, {"b"})["children"]
    assert [(child["identifier"], child["index"]) for child in one["children"]] == [("a", 1), ("c", 2)]


def test_a_unit_that_loses_its_last_leaf_is_no_leaf() -> None:
    """A node without children and without a type would count as something to be learned."""
    plain: Json = {"identifier": "u", "name": "U", "children": [{"identifier": "a", "name": "A"}]}
    tree = without({"identifier": "r", "name": "R", "children": [plain, leaf("b")]}, {"a"})
    assert relations_of(Hierarchy(tree)).leaf_nodes == {"b"}


# --- whatever the tree

leaves = st.sampled_from("abcdef").map(leaf)


@st.composite
def trees(draw: st.DrawFn) -> Json:
    names = (f"u{number}" for number in range(100))

    def below(depth: int) -> list[Json]:
        kinds = draw(st.lists(st.booleans() if depth < 3 else st.just(value=False), max_size=4))
        found = [unit(next(names), *below(depth + 1)) if inner else draw(leaves) for inner in kinds]
        return list({node["identifier"]: node for node in found}.values())

    return {**BOOK, "children": below(0)}


@given(trees())
def test_counts_agree_with_the_relations_and_nothing_else_changes(tree: Json) -> None:
    before = copy.deepcopy(tree)
    live = released(tree, RELEASE)
    assert tree == before
    relations = relations_of(Hierarchy(live))
    for node in walk(live):
        if is_unit(node) or node is live:
            assert len(node["leafNodes"]) == len(set(node["leafNodes"])) == node["leafNodesCount"]
            assert set(node["leafNodes"]) == relations.nodes[node["identifier"]].leaf_nodes
            inner = {one["identifier"] for one in walk(node)} - {node["identifier"]}
            assert set(node["childNodes"]) == inner
            assert sum(orjson.loads(node["mimeTypesCount"]).values()) == len(inner)
    shape = [(node["identifier"], is_collection(node)) for node in walk(tree)]
    assert [(node["identifier"], is_collection(node)) for node in walk(live)] == shape


@given(trees(), st.sets(st.sampled_from("abcdef")))
def test_what_is_left_without_leaves_is_all_the_rest_in_order(tree: Json, leaves: set[str]) -> None:
    kept = [node["identifier"] for node in walk(tree) if node["identifier"] not in leaves]
    assert [node["identifier"] for node in walk(without(tree, leaves))] == kept


@pytest.mark.parametrize(
    ("version", "before", "expected"),
    [
        (1, [], 1),
        (3, [{"pkgVersion": 2}], 3),
        (2, [{"pkgVersion": 3}], 4),
        (2, [{"pkgVersion": 3.0}, {"pkgVersion": 5}], 6),
        (2, [{"pkgVersion": "9"}, {"pkgVersion": None}, {"pkgVersion": float("nan")}], 2),
    ],
)
def test_the_package_version_only_goes_up(version: int, before: list[Json], expected: int) -> None:
    assert next_package_version(version, *before) == expected


@pytest.mark.parametrize("size", [1e300, 2**64, 2**63, -1, "1 MB", True, None])
def test_a_size_that_can_be_none_counts_for_nothing(size: object) -> None:
    """One author's leaf must not keep the collections of others from being published."""
    tree = unit("book", leaf("a", size=100), *(leaf(f"b{number}", size=size) for number in range(3)))
    root = released(tree, RELEASE)
    assert root["totalCompressedSize"] == 100
    orjson.dumps(root["totalCompressedSize"])


@pytest.mark.parametrize("said", [1e300, 2**64, float("inf"), float("nan")])
def test_a_package_version_that_can_be_none_is_passed_over(said: float) -> None:
    assert next_package_version(3, {"pkgVersion": said}) == 3
