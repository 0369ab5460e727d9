"""What follows from a tree, and which trees are refused."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.aggregates import aggregates_of
from rules.errors import InvalidInput
from rules.hierarchy import (
    COLLECTION_MIME_TYPE,
    DEEPEST,
    RelationTree,
    checked_hierarchy,
    document_of,
    is_optional,
    relations_of,
)
from rules.progress import Status
from rules.standings import Touch
from tests.rules.strategies import LEAVES, Json, trees

OPTIONAL: Json = {"relationalMetadata": {"optional": "true"}}


def leaf(identifier: str, **more: Any) -> Json:
    return {"identifier": identifier, "name": identifier, "mimeType": "application/pdf", **more}


def unit(identifier: str, *children: Json, **more: Any) -> Json:
    return {"identifier": identifier, "name": identifier, "children": list(children), **more}


def relations(document: Json) -> RelationTree:
    return relations_of(checked_hierarchy(document))


def test_a_leaf_in_two_units_has_both_above_it_and_counts_once() -> None:
    tree = relations(unit("root", unit("one", leaf("a"), leaf("b")), unit("two", unit("three", leaf("b")))))
    assert tree.nodes["b"].ancestors == {"root", "one", "two", "three"}
    assert tree.nodes["a"].ancestors == {"root", "one"}
    assert tree.leaf_nodes == {"a", "b"}
    assert tree.collections == ("root", "one", "three", "two")
    assert tree.touched_by(frozenset({"a"})) == {"root", "one"}
    assert tree.touched_by(frozenset({"unknown"})) == {"root"}


def test_an_optional_leaf_is_optional_up_to_the_root() -> None:
    tree = relations(unit("root", unit("one", unit("two", leaf("a"), leaf("b", **OPTIONAL)))))
    for node in ("root", "one", "two"):
        assert tree.nodes[node].optional_nodes == {"b"}
        assert tree.required(node) == {"a"}


def test_a_retired_leaf_is_not_required() -> None:
    """A retired unit is no leaf: its leaves count as they are marked."""
    retired = {"status": "Retired"}
    tree = relations(
        unit("root", unit("one", leaf("a"), leaf("b", **retired)), unit("two", leaf("c"), **retired))
    )
    assert tree.required("root") == {"a", "c"}
    assert tree.required("one") == {"a"}
    assert tree.leaf_nodes == {"a", "b", "c"}


def test_the_leaves_of_an_optional_unit_stay_required() -> None:
    """Only the unit's id is in the set; it is not descended into (P-4.1)."""
    extra = unit("extra", leaf("a"), leaf("b", **OPTIONAL), **OPTIONAL)
    tree = relations(unit("root", unit("one", extra), leaf("c")))
    assert tree.nodes["one"].optional_nodes == {"extra"}
    assert tree.required("one") == {"a", "b"}
    assert tree.required("root") == {"a", "b", "c"}
    assert tree.required("extra") == {"a"}


def test_a_leaf_that_is_optional_in_one_unit_is_not_required_of_the_root() -> None:
    """The sets are subtracted by id; the other unit goes on requiring it (P-4.1)."""
    tree = relations(unit("root", unit("one", leaf("a", **OPTIONAL), leaf("b")), unit("two", leaf("a"))))
    assert tree.required("root") == {"b"}
    assert tree.required("one") == {"b"}
    assert tree.required("two") == {"a"}


def test_stored_leaf_nodes_are_never_trusted() -> None:
    tree = relations(unit("root", unit("one", leaf("a"), leafNodes=["x", "y"]), leafNodes=["z"]))
    assert tree.leaf_nodes == {"a"}


def test_a_unit_without_children_is_no_leaf() -> None:
    empty = {"identifier": "empty", "name": "Empty", "mimeType": COLLECTION_MIME_TYPE}
    assert relations(unit("root", leaf("a"), empty)).leaf_nodes == {"a"}


def paths(node: Json, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Json]]:
    yield above, node
    for child in node.get("children", ()):
        yield from paths(child, (*above, node["identifier"]))


def optional_below(node: Json) -> set[str]:
    """A naive recount: optional children, and recursively those of the children that are not optional (P-4.1)."""
    found: set[str] = set()
    for child in node.get("children", ()):
        found |= {child["identifier"]} if is_optional(child) else optional_below(child)
    return found


@given(trees())
def test_relations_are_what_a_naive_recount_finds(document: Json) -> None:
    tree = relations(document)
    everything = list(paths(document))
    leaves = {node["identifier"] for _, node in everything if "children" not in node}
    assert tree.leaf_nodes == leaves
    for identifier in {node["identifier"] for _, node in everything}:
        above = {step for path, node in everything if node["identifier"] == identifier for step in path}
        assert tree.nodes[identifier].ancestors == above
    for _, node in everything:
        if "children" in node:
            inside = {child["identifier"] for _, child in paths(node) if "children" not in child}
            assert tree.nodes[node["identifier"]].leaf_nodes == inside
            assert tree.nodes[node["identifier"]].optional_nodes == optional_below(node)
            assert tree.required(node["identifier"]) == inside - optional_below(node)


@given(trees())
def test_an_id_leads_to_its_node(document: Json) -> None:
    hierarchy = checked_hierarchy(document, 7)
    for _, node in paths(document):
        found = hierarchy.node(node["identifier"])
        assert found is not None
        assert found["identifier"] == node["identifier"]
    assert hierarchy.node("unknown") is None
    assert relations_of(hierarchy).version == 7


TREE = unit("course", unit("one", leaf("a")))


def tower(levels: int) -> Json:
    node = leaf("bottom")
    for level in range(levels - 1):
        node = unit(f"level-{level}", node)
    return node


def test_the_deepest_tree_is_taken() -> None:
    assert relations(tower(DEEPEST)).leaf_nodes == {"bottom"}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (None, "collection"),
        ([], "collection"),
        ("course", "collection"),
        ({"name": "Course"}, "collection.identifier"),
        ({"identifier": 7, "name": "Course"}, "collection.identifier"),
        ({"identifier": " ", "name": "Course"}, "collection.identifier"),
        ({"identifier": " course", "name": "Course"}, "collection.identifier"),
        ({"identifier": "c" * 257, "name": "Course"}, "collection.identifier"),
        ({"identifier": "a\nb", "name": "Course"}, "collection.identifier"),
        ({"identifier": "course"}, "collection.name"),
        ({"identifier": "course", "name": 1}, "collection.name"),
        (unit("course", children={"identifier": "a"}), "collection.children"),
        (unit("course", children="a"), "collection.children"),
        (unit("course", leaf("a"), "b"), "collection.children[1]"),  # type: ignore[arg-type]
        (unit("course", unit("one", {"name": "A"})), "collection.children[0].children[0].identifier"),
        (unit("course", unit("one", unit("course", leaf("a")))), "collection.children[0].children[0]"),
        (unit("course", unit("one", leaf("a")), unit("one", leaf("b"))), "collection.children[1]"),
        (unit("course", leaf("a"), {"identifier": "a", "name": "Another"}), "collection.children[1]"),
        (unit("course", leaf("a"), leaf("a", mimeType=COLLECTION_MIME_TYPE)), "collection.children[1]"),
        (
            unit("course", unit("one", leaf("a")), unit("one", leaf("a", **OPTIONAL))),
            "collection.children[1]",
        ),
        (unit("course", leaf("a", mimeType=7)), "collection.children[0].mimeType"),
        *(
            (unit("course", leaf("a"), leaf("b", passMark=mark)), "collection.children[1].passMark")
            for mark in (-1, 100.5, "40", True, [40])
        ),
        (
            unit("course", unit("one", leaf("a", passMark=40)), leaf("a", passMark=50)),
            "collection.children[1]",
        ),
        (
            unit("course", leaf("a", relationalMetadata="optional")),
            "collection.children[0].relationalMetadata",
        ),
        (tower(DEEPEST + 1), "collection" + ".children[0]" * DEEPEST),
        (unit("course", leaf("a"), leaf("b"), leaf("a")), "collection.children[2]"),
        (unit("course", unit("one", leaf("a"), leaf("a"))), "collection.children[0].children[1]"),
    ],
)
def test_a_malformed_tree_is_refused_with_the_path_of_what_is_wrong(document: object, path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_hierarchy(document)
    assert refused.value.field == path
    assert path in refused.value.message


@pytest.mark.parametrize(
    "answer",
    [
        TREE,
        {"id": "api.content.hierarchy.get", "responseCode": "OK", "result": {"content": TREE}},
        {"result": {"collection": TREE}},
        {"content": TREE},
        {"collection": TREE},
        {**TREE, "content": {"identifier": "not the tree"}, "result": 1},
    ],
    ids=["bare", "content", "collection", "content alone", "collection alone", "metadata of these names"],
)
def test_the_tree_is_found_in_an_answer_of_the_platform_s_read_call(answer: Json) -> None:
    found = document_of(answer)
    assert isinstance(found, dict)
    assert (found["identifier"], found["children"]) == ("course", TREE["children"])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"result": {}}, "neither content nor collection"),
        ({"result": None}, "neither content nor collection"),
        ({"responseCode": "RESOURCE_NOT_FOUND", "result": {}}, "RESOURCE_NOT_FOUND"),
        ({"params": {"errmsg": "rootId x does not exist"}, "result": {}}, "rootId x does not exist"),
    ],
)
def test_an_answer_without_a_tree_is_refused_with_what_it_says(answer: Json, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        document_of(answer)
    assert refused.value.field == "result"


@pytest.mark.parametrize("document", [None, 3, [], {}, {"name": "nothing"}])
def test_what_is_no_answer_is_left_to_the_check(document: object) -> None:
    assert document_of(document) is document


# --- versions that count alike


def published(document: Json, version: int) -> RelationTree:
    return relations_of(checked_hierarchy(document, version))


def test_leaves_publish_pass_marks() -> None:
    """In percent, both ends included; nothing is none, and a unit has none."""
    tree = unit(
        "root",
        unit("one", leaf("a", passMark=0), leaf("b", passMark=66.5), passMark=10),
        leaf("c", passMark=None),
        leaf("d", passMark=100),
    )
    assert published(tree, 1).pass_marks == {"a": 0.0, "b": 66.5, "d": 100.0}


def test_a_version_with_another_pass_mark_counts_otherwise() -> None:
    def marked(**marks: object) -> Json:
        return unit("root", unit("one", leaf("a", **marks), leaf("b")))

    first = published(marked(passMark=50), 1).following(None)
    same = published(marked(passMark=50.0), 2).following(first)
    assert (same.covers(1), published(marked(passMark=51), 3).following(same).covers(2)) == (True, False)
    assert not published(marked(), 3).following(same).covers(2)


@given(trees(), trees(), st.sets(st.sampled_from(LEAVES)))
def test_versions_that_count_alike_give_every_learner_the_same_figures(
    one: Json, other: Json, done: set[str]
) -> None:
    first, second = published(one, 1), published({**other, "identifier": one["identifier"]}, 2)
    touches = {leaf: Touch(Status.COMPLETED, 100) for leaf in done}
    figures = [
        {
            found.activity_id: (found.progress, found.content_status)
            for found in aggregates_of(tree, touches, dict.fromkeys(tree.collections))
        }
        for tree in (first, second)
    ]
    if first.counts_like(second):
        assert figures[0] == figures[1]
        assert second.following(first).covers(1)
    else:
        assert not second.following(first).covers(1)
    assert second.following(first).covers(2)


def test_a_version_covers_those_before_it_that_count_alike() -> None:
    course = unit("root", unit("one", leaf("a"), leaf("b")))
    turned = unit("root", unit("one", leaf("b", name="New"), leaf("a")), description="New")
    grown = unit("root", unit("one", leaf("a"), leaf("b"), leaf("c")))
    optional = unit("root", unit("one", leaf("a"), leaf("b"), leaf("c", **OPTIONAL)))
    first = published(course, 1).following(None)
    second = published(turned, 3).following(first)
    third = published(turned, 4).following(second)
    assert [third.covers(version) for version in (None, 1, 2, 3, 4, 5)] == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]
    fourth = published(grown, 5).following(third)
    assert [fourth.covers(version) for version in (1, 3, 4, 5)] == [False, False, False, True]
    assert not published(optional, 6).following(fourth).covers(5)
    assert not published(turned, 5).following(third, renamed=True).covers(4), "enrolments repeat the name"
