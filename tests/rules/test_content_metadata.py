"""What authors may say of a content: by the platform's names, with the types of those that clients rely on."""

from typing import Any

import pytest

from rules.content_metadata import (
    COMPUTED_KEYS,
    LARGEST,
    LARGEST_RELATION,
    MOST_LEVELS,
    changed_metadata,
)
from rules.contents import ContentKind
from rules.errors import InvalidInput
from rules.hierarchy_updates import checked_relation

Json = dict[str, Any]
PDF: Json = {
    "identifier": "c",
    "name": "C",
    "mimeType": "application/pdf",
    "status": "Live",
    "subject": ["Maths"],
}


def after(changes: Json, kind: ContentKind = ContentKind.CONTENT) -> Json:
    return changed_metadata(PDF, changes, kind)


def test_changes_keep_the_order_of_the_keys() -> None:
    changed = after({"name": "D", "board": "CBSE", "subject": None})
    assert list(changed.items()) == [
        *(("identifier", "c"), ("name", "D"), ("mimeType", "application/pdf"), ("status", "Live")),
        ("board", "CBSE"),
    ]


def test_there_is_room_for_keys_that_nobody_here_knows() -> None:
    said = {"trackable": {"enabled": "Yes"}, "mediaType": "content", "n": 1.5}
    assert after(said) == PDF | said


def test_a_single_text_is_as_good_as_a_list() -> None:
    assert after({"medium": "English"})["medium"] == "English"


@pytest.mark.parametrize("key", sorted(COMPUTED_KEYS - {"identifier", "status"}))
def test_computed_keys_can_t_be_set(key: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{key} can't be set") as refused:
        after({key: 1})
    assert refused.value.field == key


def test_all_computed_keys_of_a_call_are_named_and_one_that_is_so_already_is_not() -> None:
    with pytest.raises(InvalidInput, match=r"^childNodes, pkgVersion, status can't be set"):
        after({"status": "Draft", "pkgVersion": 2, "childNodes": []})
    assert after({"identifier": "c", "status": "Live"}) == PDF


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": None}, "name"),
        ({"name": "  "}, "name"),
        ({"name": 1}, "name"),
        ({"mimeType": None}, "mimeType"),
        ({"mimeType": "application/vnd.ekstep.content-collection"}, "mimeType"),
        ({"visibility": "Parent"}, "visibility"),
        ({"keywords": [1]}, "keywords"),
        ({"gradeLevel": {"a": 1}}, "gradeLevel"),
        ({"description": ["d"]}, "description"),
        ({"appIcon": "javascript:alert(1)"}, "appIcon"),
        ({"appIcon": "http://"}, "appIcon"),
        ({"appIcon": "https://[x/i.png"}, "appIcon"),
        ({"appIcon": "file:///etc/passwd"}, "appIcon"),
        ({"passMark": "40"}, "passMark"),
        ({"passMark": 101}, "passMark"),
        ({" ": 1}, "metadata"),
        ({"big": "x" * LARGEST}, "metadata"),
        ({"n": 2**70}, "metadata"),
    ],
)
def test_what_can_t_be_right_is_refused(changes: Json, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        after(changes)
    assert refused.value.field == field


def test_icons_and_mime_types_may_change() -> None:
    changed = after({"appIcon": "https://cdn.example/i.png", "mimeType": "video/mp4"})
    assert (changed["appIcon"], changed["mimeType"]) == ("https://cdn.example/i.png", "video/mp4")


def nested(levels: int) -> Any:
    value: Any = "deep"
    for number in range(levels):
        value = [value] if number % 2 else {"a": value}
    return value


def test_metadata_is_no_deeper_than_a_tree_of_it_can_be_written() -> None:
    """Encoders of JSON take some 250 levels. A tree of 32 levels has 64 of its own: objects and lists of children."""
    assert after({"x": nested(MOST_LEVELS - 1)})  # the metadata itself is a level
    for levels in (MOST_LEVELS, 240, 300):
        with pytest.raises(InvalidInput) as refused:
            after({"x": nested(levels)})
        assert refused.value.field == "metadata"


@pytest.mark.parametrize("value", [nested(MOST_LEVELS), nested(300), 2**64, "x" * LARGEST_RELATION])
def test_what_a_child_says_in_one_place_is_small_json(value: object) -> None:
    assert checked_relation({"optional": True, "x": nested(3)}, "relation")
    with pytest.raises(InvalidInput) as refused:
        checked_relation({"x": value}, "relation")
    assert refused.value.field == "relation"
