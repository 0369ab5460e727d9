"""No text that people see hides what it says."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.content_metadata import changed_metadata
from rules.contents import ContentKind
from rules.contexts import Context, checked_context
from rules.errors import InvalidInput
from rules.hierarchy import checked_hierarchy
from rules.identifiers import ContextType
from rules.learners import Learner, checked_learner
from rules.legacy.batches import context_of_batch
from rules.legacy.collections import collection_of
from rules.texts import check_text, without_hidden

HIDDEN = {
    "null": "\x00",
    "bell": "\x07",
    "delete": "\x7f",
    "next line": "\x85",
    "line separator": "\u2028",
    "right-to-left override": "\u202e",
    "isolate": "\u2066",
}
DECENT = ["Ada", "Zoë 🧮", "अक्षय", "می‌خواهم", "日本　語", "שלום"]


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_a_name_with_a_hidden_character_is_refused_wherever_a_name_is_said(hidden: str) -> None:
    name = f"Ada{hidden}nimda"
    context = Context("batch", ContextType.BATCH, name, ("course",))
    sayings: dict[str, Callable[[], object]] = {
        "name": lambda: checked_learner(Learner("ada", name)),
        "state": lambda: checked_learner(Learner("ada", attributes={"state": name})),
        "name ": lambda: checked_context(context),
        "collection.children[0].name": lambda: checked_hierarchy(
            {"identifier": "course", "name": "Course", "children": [{"identifier": "leaf", "name": name}]}
        ),
        "name  ": lambda: changed_metadata({}, {"name": name}, ContentKind.COLLECTION),
        "keywords": lambda: changed_metadata({}, {"keywords": ["plain", name]}, ContentKind.COLLECTION),
    }
    for field, saying in sayings.items():
        with pytest.raises(InvalidInput, match=rf"character 4 is U\+{ord(hidden):04X}") as refused:
            saying()
        assert refused.value.field == field.strip()


@pytest.mark.parametrize("name", DECENT)
def test_every_script_may_be_written(name: str) -> None:
    assert checked_learner(Learner("ada", name, {"school": name})).name == name
    assert without_hidden(name) == name


def test_a_description_may_have_lines_and_a_name_not() -> None:
    check_text("one\n\ttwo\r\nthree", "description", lines=True)
    with pytest.raises(InvalidInput):
        check_text("one\ntwo", "name")
    with pytest.raises(InvalidInput):
        check_text("one\n\u202etwo", "description", lines=True)


@given(st.text(st.characters(codec="utf-8")), st.booleans())
def test_what_another_system_wrote_can_be_stored_once_its_hidden_characters_are_spaces(
    text: str, lines: bool
) -> None:
    kept = without_hidden(text, lines=lines)
    check_text(kept, "name", lines=lines)
    assert len(kept) == len(text)
    assert all(ours in (theirs, " ") for ours, theirs in zip(kept, text, strict=True))


def test_a_migration_brings_names_over_without_what_they_hide() -> None:
    """A course is not lost for a tab in the name of a unit; the report says what was changed."""
    tree = (
        b'{"identifier": "course", "name": "Co\\turse", "status": "Live", "visibility": "Default", "children": '
        b'[{"identifier": "leaf", "name": "Le\\u202eaf"}]}'
    )
    brought = collection_of({"identifier": "course", "hierarchy": tree.decode()}, None)
    assert brought.value.live is not None
    assert [node["name"] for node in brought.value.live.nodes.values()] == ["Co urse", "Le af"]
    assert brought.notes == ["name: a control character in it is a space"]
    batch = context_of_batch(
        {"collection_id": "course", "context_id": "batch", "name": "A\x00B", "description": "a\nb\x07"}
    )
    assert (batch.value.name, batch.value.description) == ("A B", "a\nb ")
    assert "name: a control character in it is a space" in batch.notes
