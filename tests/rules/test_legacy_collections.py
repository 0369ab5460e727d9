"""What the existing platform's hierarchies become, row by row."""

from typing import Any

import pytest

from rules.drafts import DraftStatus, nested
from rules.errors import InvalidInput
from rules.legacy.collections import NO_HIERARCHY, RETIRED, UNIT, LegacyCollection, collection_of, root_of
from rules.legacy.values import Unreadable
from tests.ingest.legacy_hierarchies import image, leaf, live, row, unit

Json = dict[str, Any]
FILM = leaf("film")


def brought(
    plain: Json | None, edit: Json | None, places: object = None
) -> tuple[LegacyCollection, list[str]]:
    """A collection ``do`` from its two trees, and the notes."""
    mapped = collection_of(plain and row("do", plain), edit and row("do.img", edit, places))
    return mapped.value, [*mapped.notes]


def edit_tree(collection: LegacyCollection) -> Json:
    tree = collection.tree
    return nested(tree.root.metadata, tree.form, {name: one.metadata for name, one in tree.leaves.items()})


def test_the_id_of_a_version_for_authors_is_that_of_its_collection() -> None:
    assert (root_of("do_1.img"), root_of("do_1"), root_of("do.img_1")) == ("do_1", "do_1", "do.img_1")


def test_a_live_tree_alone_is_both_forms() -> None:
    collection, notes = brought(live("do", unit("u", FILM)), None)
    assert collection.live is not None
    assert (collection.live.root["pkgVersion"], collection.is_edited, notes) == (4, False, [])
    assert collection.tree.root.status is DraftStatus.LIVE


def test_an_unlisted_collection_stays_so() -> None:
    collection, _ = brought(live("do", unit("u", FILM), status="Unlisted"), None)
    assert collection.tree.root.status is DraftStatus.UNLISTED


@pytest.mark.parametrize(
    "edit",
    [
        image("do", unit("u", leaf("film", name="As it was", status="Draft"))),
        image("do", unit("u", FILM, status="Draft", versionKey="1", pkgVersion=1, index=1, parent="do.img")),
        image("do.img", unit("u", FILM)),
        live("do", unit("u", FILM), lastPublishedOn="2020", pkgVersion=1, status="Draft"),
    ],
    ids=[
        "a leaf's copy is old",
        "what publishing writes",
        "the suffix in the root's id",
        "with metadata of the root",
    ],
)
def test_a_version_for_authors_that_says_the_same_is_no_draft(edit: Json) -> None:
    collection, _ = brought(live("do", unit("u", FILM)), edit)
    assert not collection.is_edited
    assert edit_tree(collection)["children"][0]["leafNodesCount"] == 1, "it is the live tree"


@pytest.mark.parametrize(
    "edit",
    [
        image("do", unit("u", FILM, name="Renamed")),
        image("do", unit("u", FILM, description="New")),
        image("do", unit("u", FILM), unit("v")),
        image("do", unit("u")),
        image("do", unit("u", FILM, leaf("text"))),
        image("do", unit("other", FILM)),
        live("do", unit("u", FILM), subject=["Physics"]),
    ],
)
def test_what_an_author_changed_waits_as_a_draft(edit: Json) -> None:
    collection, _ = brought(live("do", unit("u", FILM)), edit)
    assert collection.is_edited
    assert collection.tree.root.name == "DO", "the root's metadata is the live one's where it has none"
    assert collection.live is not None
    assert [child["identifier"] for child in collection.live.root["children"]] == ["u"]


def test_a_leaf_that_is_live_is_as_learners_see_it() -> None:
    edit = image("do", unit("u", leaf("film", name="Old copy", status="Draft"), leaf("new", status="Review")))
    collection, _ = brought(live("do", unit("u", FILM)), edit)
    leaves = collection.tree.leaves
    assert (leaves["film"].name, leaves["film"].status) == ("Film", DraftStatus.LIVE)
    assert leaves["new"].status is DraftStatus.DRAFT


def test_another_version_key_follows_from_either_tree() -> None:
    published, edit = live("do", unit("u", FILM)), image("do", unit("u", FILM, name="Renamed"))
    key = brought(published, edit)[0].tree.root.version_key
    assert brought(published, edit)[0].tree.root.version_key == key
    assert brought({**published, "name": "Other"}, edit)[0].tree.root.version_key != key
    assert brought(published, {**edit, "keywords": ["k"]})[0].tree.root.version_key != key


@pytest.mark.parametrize(
    "places",
    [
        {"u": {"root": False, "children": ["film"], "relationalMetadata": {"film": {"optional": True}}}},
        {"u": {"film": {"optional": True}}},
        {"u": {"film": {"optional": True}, "unknown": {"optional": True}}, "unknown": {}, "v": 7},
    ],
    ids=["as a call says it", "by child", "with what is not in the tree"],
)
def test_what_children_say_of_a_place_is_merged_into_it(places: Json) -> None:
    edit = image("do", unit("u", leaf("film", relationalMetadata={"keywords": ["k"]})), unit("v", FILM))
    collection, notes = brought(None, edit, places)
    first, second = (one["children"][0] for one in edit_tree(collection)["children"])
    assert first["relationalMetadata"] == {"keywords": ["k"], "optional": True}
    assert "relationalMetadata" not in second
    assert notes == ["the root has no name in the row: it is named by its id"]


def test_places_that_publishing_has_emptied_are_those_that_are_live() -> None:
    film = leaf("film", relationalMetadata={"optional": True})
    collection, _ = brought(live("do", unit("u", film)), image("do", unit("u", FILM)))
    assert not collection.is_edited
    collection, _ = brought(live("do", unit("u", film)), image("do", unit("u", FILM), unit("new")))
    assert edit_tree(collection)["children"][0]["children"][0]["relationalMetadata"] == {"optional": True}


def test_places_that_are_no_json_are_left_out_and_told() -> None:
    torn = {**row("do.img", image("do", unit("u", FILM), name="Do")), "relational_metadata": "{torn"}
    for stored in (torn, {**torn, "relational_metadata": "[]"}):
        mapped = collection_of(None, stored)
        assert mapped.notes == ["relational_metadata: no JSON object, left out"]
        assert mapped.value.is_edited


@pytest.mark.parametrize(
    ("plain", "edit", "reason"),
    [
        (None, None, NO_HIERARCHY),
        (unit("do", FILM), None, UNIT),
        ({"identifier": "do", "parent": "book", "children": []}, None, UNIT),
        (live("do", status="Retired"), None, RETIRED),
        (live("do", status="Retired"), image("do", unit("u")), RETIRED),
        (None, live("do", status="Retired"), RETIRED),
    ],
)
def test_what_is_passed_over(plain: Json | None, edit: Json | None, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        brought(plain, edit)
    assert refused.value.reason == reason


def test_a_retired_version_for_authors_does_not_retire_what_is_live() -> None:
    collection, notes = brought(live("do", unit("u", FILM)), live("do", status="Retired"))
    assert (collection.live is not None, collection.is_edited) == (True, False)
    assert notes == ["the version for authors is retired: not brought over"]


def test_a_plain_row_that_is_not_live_is_not_published() -> None:
    collection, notes = brought(live("do", unit("u", FILM), status="Review"), None)
    assert (collection.live, collection.is_edited) == (None, True)
    assert notes == ["the row without .img is not live: not published"]
    newer, _ = brought(live("do", status="Draft"), image("do", unit("newer")))
    assert [child["identifier"] for child in edit_tree(newer)["children"]] == ["newer"]


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        ("{torn", "the hierarchy is no JSON"),
        ("[]", "the hierarchy is no JSON object"),
        ('{"identifier": "other"}', "the hierarchy is of another identifier than its row"),
    ],
)
def test_what_can_t_be_read(stored: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        collection_of(row("do", stored), None)
    with pytest.raises(Unreadable, match=reason):
        collection_of(row("do", live("do")), row("do.img", stored))


@pytest.mark.parametrize(
    "children", [[{"identifier": "u"}], [unit("u", unit("do"))], [FILM, FILM], ["film"], "film"]
)
def test_a_refused_tree_is_named_by_its_path(children: Any) -> None:
    for plain, edit in ((live("do"), image("do")), (None, image("do"))):
        with pytest.raises(InvalidInput, match="collection"):
            brought(plain, {**edit, "children": children})
    with pytest.raises(InvalidInput, match="collection"):
        brought({**live("do"), "children": children}, None)
