"""Which documents a collection has, and which words a text."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.contents import Content, ContentKind
from rules.errors import InvalidInput
from rules.hierarchy import checked_hierarchy, relations_of
from rules.search import LONGEST_UNIT_NAMES, SearchDocument, documents_of, words_of
from tests.conftest import COURSE

PUBLISHED = datetime(2026, 3, 1, 12, tzinfo=UTC)


def documents(tree: object, status: str = "Live") -> list[SearchDocument]:
    hierarchy = checked_hierarchy(tree, 7)
    relations = relations_of(hierarchy)
    root: dict[str, Any] = hierarchy.root
    content = Content(
        identifier=root["identifier"],
        name=root["name"],
        kind=ContentKind.COLLECTION,
        status=status,
        mime_type=None,
        leaf_nodes_count=len(relations.leaf_nodes),
        root=root["identifier"],
        live_version=7,
        published_on=PUBLISHED,
    )
    return documents_of(content, hierarchy, relations)


def test_a_collection_and_each_unit_have_a_document_and_leaves_have_none() -> None:
    course, *units = documents(COURSE)
    milliseconds = 1_772_366_400_000  # 2026-03-01T12:00:00Z
    assert course == SearchDocument(
        root="course",
        identifier="course",
        version=7,
        name="Course",
        unit_names=("Unit 1", "Unit 2"),
        filters={
            "status": ("Live",),
            "root": ("course",),
            "kind": ("collection",),
            "visibility": ("Default",),
        },
        published_on=milliseconds,
        leaf_nodes_count=4,
    )
    assert [(one.identifier, one.name, one.leaf_nodes_count) for one in units] == [
        ("unit-1", "Unit 1", 2),
        ("unit-2", "Unit 2", 3),
    ]
    assert {one.filters["visibility"] for one in units} == {("Parent",)}
    assert {one.root for one in units} == {"course"}
    assert {one.unit_names for one in units} == {()}


def test_a_unit_that_stands_in_two_places_has_one_document() -> None:
    shared = {"identifier": "s", "name": "Shared", "mimeType": "application/vnd.ekstep.content-collection"}
    unit = {"identifier": "u", "name": "U", "children": [shared]}
    found = documents({"identifier": "c", "name": "C", "children": [unit, shared]})
    assert [one.identifier for one in found] == ["c", "u", "s"]


def test_texts_that_no_index_takes_are_cut() -> None:
    units = [
        {"identifier": f"u-{number}", "name": f"{number:04}" + "x" * 2000, "children": []}
        for number in range(400)
    ]
    for unit in units:
        unit["mimeType"] = "application/vnd.ekstep.content-collection"
    course, *_ = documents(
        {"identifier": "c", "name": "n" * 2000, "description": "d" * 20_000, "children": units}
    )
    assert (len(course.name), len(course.description)) == (1000, 10_000)
    # Each name has 1,000 characters, so that 300 fit.
    assert len(course.unit_names) == 300
    assert sum(map(len, course.unit_names)) == LONGEST_UNIT_NAMES


@given(
    st.builds(
        SearchDocument,
        root=st.text(),
        identifier=st.text(),
        version=st.integers(0, 2**31),
        name=st.text(),
        description=st.text(),
        keywords=st.lists(st.text()).map(tuple),
        unit_names=st.lists(st.text()).map(tuple),
        filters=st.dictionaries(st.text(), st.lists(st.text(), min_size=1).map(tuple)),
        published_on=st.integers(0, 2**53),
        leaf_nodes_count=st.integers(0, 2**31),
    )
)
def test_a_document_that_was_encoded_comes_back(document: SearchDocument) -> None:
    assert SearchDocument.decode(document.encode()) == document


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Rivers of India", ("Rivers", "of", "India")),
        ("  a\tb\nc\u00a0d ", ("a", "b", "c", "d")),
        ("maths & physics", ("maths", "physics")),
        ("foo-bar_baz:qux", ("foo", "bar", "baz", "qux")),
        ("गणित की किताब", ("गणित", "की", "किताब")),
        ("क्\u200dष", ("क्\u200dष",)),
        ("\u0301 \u200d", ()),
        ("x\x00y", ("x", "y")),
        ("H₂O 3.5", ("H₂O", "3", "5")),
    ],
)
def test_words_are_letters_and_digits_of_any_script(text: str, words: tuple[str, ...]) -> None:
    assert words_of(text) == words


@given(st.text(max_size=100))
def test_words_have_nothing_that_an_engine_could_take_for_an_operator(text: str) -> None:
    signs = set(" \t\r\n\0\"'*:()[]{}^~+-&|!?\\/<>=,.;#%_")
    try:
        assert not signs & {character for word in words_of(text) for character in word}
    except InvalidInput:
        assert len(text) > 50
