"""What a loaded tree means for drafts."""

from typing import Any

import orjson
import pytest
from hypothesis import given

from rules.contents import ContentKind
from rules.drafts import DraftStatus, nested
from rules.hierarchy import checked_hierarchy, is_collection
from rules.loading import is_older, loaded_tree, status_of, unfinished, version_key_of
from tests.rules.strategies import Json, trees

LIVE, UNLISTED, DRAFT, RETIRED = (
    DraftStatus.LIVE,
    DraftStatus.UNLISTED,
    DraftStatus.DRAFT,
    DraftStatus.RETIRED,
)


@given(trees())
def test_each_leaf_has_a_draft_and_the_tree_can_be_written_from_them(document: Json) -> None:
    hierarchy = checked_hierarchy(document)
    tree = loaded_tree(hierarchy, live=True)
    leaves = {
        identifier
        for identifier, node in hierarchy.nodes.items()
        if not is_collection(node) and identifier != document["identifier"]
    }
    assert {*tree.leaves} == leaves == {*tree.form.leaves}
    assert all(leaf.kind is ContentKind.CONTENT and leaf.imported for leaf in tree.leaves.values())
    written = nested(
        tree.root.metadata, tree.form, {name: leaf.metadata for name, leaf in tree.leaves.items()}
    )
    again = loaded_tree(checked_hierarchy(written), live=True)
    assert {*again.form.units} == {*tree.form.units}
    assert again.form.children == tree.form.children


def test_the_key_follows_from_every_value_and_from_their_order() -> None:
    document = {"identifier": "a", "name": "A"}
    key = version_key_of(document)
    assert key == version_key_of(orjson.loads(orjson.dumps(document)))
    assert key != version_key_of({**document, "name": "B"})
    assert key != version_key_of({"name": "A", "identifier": "a"})
    assert unfinished(key) != key


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (None, LIVE),
        ("Live", LIVE),
        ("Flagged", LIVE),
        ("Unlisted", UNLISTED),
        ("Retired", RETIRED),
        ("Draft", DRAFT),
        ("Review", DRAFT),
        (7, DRAFT),
    ],
)
def test_the_status_of_a_draft_by_what_the_platform_calls_it(said: Any, status: DraftStatus) -> None:
    assert status_of({"identifier": "a", "name": "A", "status": said}) is status


def test_in_a_live_tree_everything_is_live() -> None:
    film = {"identifier": "film", "name": "Film", "status": "Draft"}
    hidden = {"identifier": "hidden", "name": "Hidden", "status": "Unlisted"}
    book = {"identifier": "book", "name": "Book", "status": "Review", "children": [film, hidden]}
    seen, worked_on = (loaded_tree(checked_hierarchy(book), live=live) for live in (True, False))
    statuses = [[one.status for one in (tree.root, *tree.leaves.values())] for tree in (seen, worked_on)]
    assert statuses == [[LIVE, LIVE, UNLISTED], [DRAFT, DRAFT, UNLISTED]]


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ({"pkgVersion": 1}, {"pkgVersion": 2}, True),
        ({"pkgVersion": 2.0}, {"pkgVersion": 1}, False),
        ({"pkgVersion": 2, "lastUpdatedOn": "2020"}, {"pkgVersion": 1, "lastUpdatedOn": "2021"}, False),
        ({"pkgVersion": 1, "lastUpdatedOn": "2020"}, {"pkgVersion": 1, "lastUpdatedOn": "2021"}, True),
        ({"lastUpdatedOn": "2021"}, {"lastUpdatedOn": "2021"}, False),
        ({"lastUpdatedOn": 2020}, {"lastUpdatedOn": "2021"}, False),
        ({"pkgVersion": "1"}, {"pkgVersion": 2}, False),
        ({}, {"pkgVersion": 2, "lastUpdatedOn": "2021"}, False),
    ],
)
def test_which_of_two_copies_of_a_leaf_is_older(one: Json, other: Json, older: bool) -> None:
    assert is_older(one, other) is older
