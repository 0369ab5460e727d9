"""The edit form and the nested form hold the same; an edit changes what it names and nothing else."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.contents import ContentKind
from rules.drafts import Draft, DraftStatus, EditForm, described, flattened, nested, own_metadata
from rules.errors import CohortError, InvalidInput, NotFound
from rules.form_checks import FormLimits, check_form, check_nested
from rules.form_edits import (
    Edited,
    reordered,
    updated,
    with_children,
    with_relation,
    without_children,
    without_leaves,
)
from rules.hierarchy import checked_hierarchy, relations_of, walk
from rules.hierarchy_updates import HierarchyUpdate
from tests.conftest import NOW
from tests.rules.forms import LEAVES, published_trees

Json = dict[str, Any]
UNIT = "application/vnd.ekstep.content-collection"
LIMITS = FormLimits()


def unit(name: str = "Unit", **more: Any) -> Json:
    return {"name": name, "mimeType": UNIT, "visibility": "Parent", **more}


def form(children: Json, places: Json | None = None, units: Json | None = None) -> EditForm:
    """Its units are the nodes below ``root`` whose ids begin with u."""
    found = {
        node: {"identifier": node, **unit(node)}
        for node in (*children, *(c for below in children.values() for c in below))
        if node[0] == "u"
    }
    return EditForm("root", found if units is None else units, children, places or {})


def leaves(*identifiers: str) -> dict[str, Json]:
    return {identifier: {"identifier": identifier, "name": identifier} for identifier in identifiers}


BOOK = form(
    {"root": ["u1", "u2"], "u1": ["a", "b", "u3"], "u2": ["b", "c"], "u3": ["d"]},
    {"u2": {"b": {"relationalMetadata": {"optional": True}}}},
)
"""The leaf b stands in two units, and is optional in one of them."""
ROOT: Json = {"identifier": "root", "name": "Book", "mimeType": UNIT}


def change(
    nodes: Json | None = None, hierarchy: Json | None = None, new: Any = (), before: EditForm = BOOK
) -> Edited:
    update = HierarchyUpdate.of("root", nodes or {}, hierarchy or {})
    return updated(before, ROOT, update, leaves(*new), LIMITS)


# --- conversion


@given(published_trees())
def test_a_tree_comes_back_byte_for_byte(tree: Json) -> None:
    edit_form, of_leaves = flattened(tree)
    stored = EditForm.decode(edit_form.encode())
    again = nested({**tree, "children": []}, stored, of_leaves)
    assert orjson.dumps(again) == orjson.dumps(tree)


@given(published_trees(), st.data())
def test_collections_within_a_tree_are_named_and_come_back_as_they_are(
    tree: Json, data: st.DataObject
) -> None:
    inner = [node["identifier"] for node in walk(tree) if node["mimeType"] == UNIT and node is not tree]
    published = set(data.draw(st.lists(st.sampled_from(inner), unique=True)) if inner else [])
    edit_form, of_leaves = flattened(tree, published)
    assert not published & edit_form.units.keys()
    assert orjson.dumps(nested({**tree, "children": []}, edit_form, of_leaves)) == orjson.dumps(tree)


def test_a_collection_within_a_tree_is_as_deep_as_it_stands() -> None:
    course = {
        "identifier": "a",
        "name": "A",
        "depth": 0,
        "children": [{"identifier": "x", "name": "X", "depth": 1}],
    }
    tree = nested(ROOT, form({"root": ["u1"], "u1": ["a"]}), {"a": course})
    placed = tree["children"][0]["children"][0]
    assert (placed["depth"], placed["children"][0]["depth"], course["depth"]) == (2, 3, 0)


@given(published_trees())
def test_the_edit_form_has_the_tree_s_leaves_units_and_relations(tree: Json) -> None:
    edit_form, of_leaves = flattened(tree)
    inner = {node["identifier"] for node in walk(tree) if node["mimeType"] == UNIT}
    assert {*edit_form.units, "root"} == inner
    assert sorted(edit_form.leaves) == sorted({node["identifier"] for node in walk(tree)} - inner)
    check_form(edit_form, of_leaves)
    again = nested({**tree, "children": []}, edit_form, of_leaves)
    assert relations_of(checked_hierarchy(again)) == relations_of(checked_hierarchy(tree))


def test_what_follows_from_a_place_is_written_for_each_place() -> None:
    tree = nested(ROOT, BOOK, leaves(*"abcd"))
    first, second = tree["children"]
    assert (tree["index"], tree["depth"], "parent" in tree) == (0, 0, False)
    assert [(n["identifier"], n["parent"], n["index"], n["depth"]) for n in first["children"]] == [
        ("a", "u1", 1, 2),
        ("b", "u1", 2, 2),
        ("u3", "u1", 3, 2),
    ]
    assert second["children"][0] == {
        "identifier": "b",
        "name": "b",
        "relationalMetadata": {"optional": True},
        "parent": "u2",
        "index": 1,
        "depth": 2,
    }
    assert "relationalMetadata" not in first["children"][1]


def test_a_leaf_that_is_optional_in_one_unit_stays_required_in_the_other() -> None:
    relations = relations_of(checked_hierarchy(nested(ROOT, BOOK, leaves(*"abcd")))).nodes
    assert relations["u1"].required == {"a", "b", "d"}
    assert relations["u2"].required == {"c"}


# --- checks


@pytest.mark.parametrize(
    ("wrong", "of_leaves", "told"),
    [
        (form({"root": ["u1"], "u1": ["u2"], "u2": ["u1"]}), "", "below itself: u1 > u2 > u1"),
        (form({"root": ["u1"], "u1": ["root"]}), "", "below itself: root > u1 > root"),
        (form({"root": ["u1"], "u2": ["a"]}), "a", "units that no parent holds: u2"),
        (form({"root": ["a", "x", "y"]}), "a", "children which are not available: x, y"),
        (form({"root": ["a"], "a": ["b"]}), "ab", "leaves can't have children: a"),
        (form({"root": ["a"], "x": ["a"]}), "a", "parents that are no units of root: x"),
        (form({"root": ["a", "b", "a"]}), "ab", "root has children twice: a"),
    ],
)
def test_what_is_no_tree_is_refused_with_the_ids(wrong: EditForm, of_leaves: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as refused:
        check_form(wrong, leaves(*of_leaves), field="hierarchy")
    assert refused.value.field == "hierarchy"


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"mimeType": UNIT}, "nodesModified.u1.metadata.name"),
        (unit(" "), "nodesModified.u1.metadata.name"),
        (unit(visibility="Default"), "nodesModified.u1.metadata.visibility"),
    ],
)
def test_a_unit_has_a_name_and_the_visibility_parent(metadata: Json, field: str) -> None:
    with pytest.raises(InvalidInput, match="u1") as refused:
        check_form(form({"root": ["u1"]}, units={"u1": metadata}), {})
    assert refused.value.field == field


def test_a_leaf_is_no_unit_of_another_collection() -> None:
    with pytest.raises(InvalidInput, match="units of other collections can't be leaves: a"):
        check_form(form({"root": ["a"]}), {"a": {"visibility": "Parent"}})


def test_a_course_within_a_loaded_program_stays_what_it_is() -> None:
    check_form(form({"root": ["u1"]}, units={"u1": unit(visibility="Default")}), {}, published={"u1"})


def test_levels_and_nodes_are_bounded() -> None:
    check_form(BOOK, leaves(*"abcd"), FormLimits(levels=4, nodes=9))  # root, u1 u2 u3, a b b c d: nine places
    with pytest.raises(InvalidInput, match="below level 3, the deepest allowed: d"):
        check_form(BOOK, leaves(*"abcd"), FormLimits(levels=3))
    with pytest.raises(InvalidInput, match="at most 8 nodes, and would have 9"):
        check_form(BOOK, leaves(*"abcd"), FormLimits(nodes=8))


def test_what_stands_within_the_tree_counts_in_each_place() -> None:
    """Of a collection within another one that is its whole tree: here of three levels and five nodes."""
    course = {
        "identifier": "c",
        "children": [{"identifier": "m", "children": [{"identifier": leaf} for leaf in "xyz"]}],
    }
    twice = form({"root": ["u1", "u2"], "u1": ["c"], "u2": ["c"]})
    check_nested(ROOT, twice, {"c": course}, FormLimits(levels=5, nodes=13), "hierarchy")  # 3 + 2 x 5
    with pytest.raises(InvalidInput, match="at most 12 nodes, and would have 13"):
        check_nested(ROOT, twice, {"c": course}, FormLimits(nodes=12), "hierarchy")
    with pytest.raises(InvalidInput, match="below level 4, the deepest allowed: c"):
        check_nested(ROOT, twice, {"c": course}, FormLimits(levels=4), "hierarchy")


def test_a_leaf_that_many_units_share_counts_in_bytes_for_each() -> None:
    mb = 1024 * 1024
    large = {"identifier": "a", "description": "x" * mb}
    units = [f"u{number}" for number in range(5)]
    shared = form({"root": units, **{unit: ["a"] for unit in units}})
    check_nested(ROOT, shared, {"a": large}, FormLimits(size=6 * mb), "hierarchy")
    with pytest.raises(InvalidInput, match="at most 4 MB, and would have 5"):
        check_nested(ROOT, shared, {"a": large}, FormLimits(size=4 * mb), "hierarchy")


def test_an_error_names_twenty_ids_and_counts_the_others() -> None:
    missing = [f"x{number}" for number in range(25)]
    with pytest.raises(InvalidInput, match="x19 and 5 more"):
        check_form(form({"root": missing}), {})


# --- hierarchy updates


def test_a_partial_update_never_drops_siblings() -> None:
    edited = change(hierarchy={"u2": {"children": ["c", "e"]}}, new="e")
    assert edited.form.children == {
        "root": ["u1", "u2"],
        "u1": ["a", "b", "u3"],
        "u2": ["c", "e"],
        "u3": ["d"],
    }
    assert edited.removed == ()  # b still stands in u1


def test_a_unit_that_loses_its_only_place_is_removed_with_what_is_below_it() -> None:
    edited = change(hierarchy={"u1": {"children": ["a", "b"]}})
    assert edited.removed == ("u3", "d")
    assert "u3" not in edited.form.units
    assert "u3" not in edited.form.children
    check_form(edited.form, leaves(*"abc"))


def test_a_unit_moves_where_both_parents_are_named() -> None:
    edited = change(hierarchy={"u1": {"children": ["a", "b"]}, "u2": {"children": ["b", "c", "u3"]}})
    assert (edited.form.children["u2"], edited.removed) == (["b", "c", "u3"], ())
    assert edited.form.places == BOOK.places
    with pytest.raises(InvalidInput, match="unit u3 would stand in u1, u2: a unit has one place"):
        change(hierarchy={"u2": {"children": ["b", "c", "u3"]}})


def test_new_units_get_generated_ids_everywhere() -> None:
    asked = HierarchyUpdate.of(
        "root",
        {"t1": {"isNew": True, "metadata": {"name": "New", "code": "t1"}}, "t2": {"isNew": True}},
        {
            "root": {"children": ["u1", "u2", "t1"], "relationalMetadata": {"t1": {"optional": True}}},
            "t1": {"children": ["t2"]},
            "t2": {"name": "Inner", "children": ["a"]},
        },
    )
    assert asked.temporary == ["t1", "t2"]
    edited = updated(BOOK, ROOT, asked.with_ids({"t1": "do_1", "t2": "do_2"}), {}, LIMITS)
    assert edited.form.children["root"] == ["u1", "u2", "do_1"]
    assert (edited.form.children["do_1"], edited.form.children["do_2"]) == (["do_2"], ["a"])
    assert edited.form.places["root"] == {"do_1": {"relationalMetadata": {"optional": True}}}
    assert edited.form.units["do_1"] == {"identifier": "do_1", **unit("New"), "code": "t1"}
    assert edited.form.units["do_2"]["name"] == "Inner"


def test_metadata_of_the_root_and_of_units_changes_key_by_key() -> None:
    before = form(
        {"root": ["u1"]},
        units={"u1": {"name": "One", "subject": ["Maths"], "code": "c", "visibility": "Parent"}},
    )
    edited = change(
        {
            "root": {"root": True, "metadata": {"name": "Renamed"}},
            "u1": {"metadata": {"code": None, "board": "CBSE"}},
        },
        before=before,
    )
    assert edited.root == {**ROOT, "name": "Renamed"}
    assert list(edited.form.units["u1"].items()) == [
        *(("name", "One"), ("subject", ["Maths"]), ("visibility", "Parent"), ("board", "CBSE"))
    ]


def test_a_child_that_is_not_named_anew_keeps_what_it_says_in_its_place() -> None:
    edited = change(hierarchy={"u2": {"children": ["c", "b"]}})
    assert edited.form.places == BOOK.places
    cleared = change(hierarchy={"u2": {"children": ["c", "b"], "relationalMetadata": {"b": {}}}})
    assert cleared.form.places == {}


@pytest.mark.parametrize(
    ("nodes", "hierarchy", "told", "field"),
    [
        ({}, {}, "hierarchy data is empty", "hierarchy"),
        (
            {"t": {"isNew": True, "metadata": {"name": "T"}}},
            {},
            "new units that no parent holds: t",
            "hierarchy",
        ),
        (
            {"t": {"isNew": True}},
            {"u1": {"children": ["t"]}},
            "unit t has no name",
            "nodesModified.t.metadata.name",
        ),
        ({"u1": {"root": True}}, {}, "u1 is not the root, root", "nodesModified.u1.root"),
        ({"root": {"isNew": True}}, {}, "root is there already", "nodesModified.root.isNew"),
        ({"a": {"metadata": {"name": "A"}}}, {}, "a is no unit of root", "nodesModified.a"),
        (
            {"u1": {"metadata": {"name": None}}},
            {},
            "u1: name can be changed but not cleared",
            "nodesModified.u1.metadata.name",
        ),
        (
            {"u1": {"metadata": {"childNodes": []}}},
            {},
            "u1: childNodes can't be set",
            "nodesModified.u1.metadata.childNodes",
        ),
        (
            {"u1": {"metadata": {"visibility": "Default"}}},
            {},
            "u1: units have the visibility Parent",
            "nodesModified.u1.metadata.visibility",
        ),
        ({"u1": {"metadata": []}}, {"u1": 1}, "hierarchy.u1 must be an object", "hierarchy.u1"),
        ({"u1": {"isNew": "yes"}}, {}, "isNew must be true or false", "nodesModified.u1.isNew"),
        ({}, {"u1": {"children": "a"}}, "must be a list of ids", "hierarchy.u1.children"),
        ({}, {"x": {"children": ["a"]}}, "parents that are no units of root: x", "hierarchy"),
        ({}, {"a": {"children": ["b"]}}, "leaves can't have children: a", "hierarchy"),
        ({}, {"u3": {"children": ["u1"]}}, "below itself", "hierarchy"),
        ({}, {"u3": {"children": ["e"]}}, "children which are not available: e", "hierarchy"),
        (
            {},
            {"u3": {"relationalMetadata": {"a": {"optional": True}}}},
            "u3 has no children a",
            "hierarchy.u3.relationalMetadata",
        ),
        (
            {},
            {"u3": {"relationalMetadata": {"d": {"optional": "maybe"}}}},
            "must be true or false",
            "hierarchy.u3.relationalMetadata.d.optional",
        ),
        (
            {},
            {"u3": {"relationalMetadata": {"d": {"keywords": "k"}}}},
            "must be a list of texts",
            "hierarchy.u3.relationalMetadata.d.keywords",
        ),
    ],
)
def test_an_update_that_can_t_be_right_is_refused(
    nodes: Json, hierarchy: Json, told: str, field: str
) -> None:
    with pytest.raises(InvalidInput, match=told) as refused:
        change(nodes, hierarchy)
    assert refused.value.field == field


def test_leaves_may_be_named_as_the_platform_s_editors_do() -> None:
    """They send an entry without children for each leaf."""
    assert (
        change(
            {"a": {"isNew": False, "metadata": {}}}, {"a": {"children": []}, "u3": {"children": ["d"]}}
        ).form
        == BOOK
    )


def test_a_cycle_apart_from_the_root_is_no_removal() -> None:
    """Two units that are put below each other would vanish without a word."""
    with pytest.raises(InvalidInput, match="below itself"):
        change(
            hierarchy={"root": {"children": ["u2"]}, "u1": {"children": ["u3"]}, "u3": {"children": ["u1"]}}
        )


# --- single edits


def add(unit_id: str, *children: str, position: int | None = None, **places: Json) -> Edited:
    return with_children(BOOK, ROOT, unit_id, children, places, position, leaves(*"ef"), LIMITS)


def test_children_are_added_behind_the_others_or_at_a_position() -> None:
    assert add("u1", "e", "f").form.children["u1"] == ["a", "b", "u3", "e", "f"]
    assert add("u1", "e", "f", position=1).form.children["u1"] == ["a", "e", "f", "b", "u3"]
    added = add("u2", "e", e={"optional": True, "relName": None})
    assert added.form.places["u2"] == {**BOOK.places["u2"], "e": {"relationalMetadata": {"optional": True}}}


def test_a_child_that_is_there_keeps_its_place_unless_a_position_is_given() -> None:
    assert add("u1", "a").form == BOOK
    assert add("u1", "b", position=0).form.children["u1"] == ["b", "a", "u3"]


def test_children_that_can_t_be_added_are_refused() -> None:
    refused: list[tuple[Callable[[], Edited], str]] = [
        (lambda: add("u1", "e", "e"), "children are named twice: e"),
        (lambda: add("u1", "x"), "children which are not available: x"),
        (lambda: add("u1", "e", position=4), "position must be from 0 to 3"),
        (lambda: add("u1", "e", f={}), "children do not have f"),
        (lambda: add("u2", "u3"), "a unit has one place"),
    ]
    for call, told in refused:
        with pytest.raises(InvalidInput, match=told):
            call()
    with pytest.raises(NotFound, match="unitId a does not exist in root"):
        add("a", "e")


def test_removed_children_take_along_what_is_below_them() -> None:
    edited = without_children(BOOK, ROOT, "u1", ["u3", "b", "x"])
    assert edited.form.children == {"root": ["u1", "u2"], "u1": ["a"], "u2": ["b", "c"]}
    assert edited.removed == ("u3", "d")
    assert without_children(BOOK, ROOT, "u2", ["b"]).form.places == {}


def test_a_relation_changes_at_its_place_alone() -> None:
    edited = with_relation(BOOK, ROOT, "u2", "b", {"keywords": ["k"], "optional": None})
    assert edited.form.places == {"u2": {"b": {"relationalMetadata": {"keywords": ["k"]}}}}
    assert with_relation(BOOK, ROOT, "u2", "b", {"optional": None}).form.places == {}
    assert with_relation(BOOK, ROOT, "u1", "u3", {"name": "Third"}).form.units["u3"]["name"] == "Third"
    with pytest.raises(InvalidInput, match="b is a content of its own"):
        with_relation(BOOK, ROOT, "u2", "b", {"name": "B"})
    with pytest.raises(NotFound, match="u2 has no child a"):
        with_relation(BOOK, ROOT, "u2", "a", {"optional": True})


def test_a_mark_beside_the_relation_is_cleared_with_it() -> None:
    """The platform has ``optional`` in the relation, others beside it."""
    before = form({"root": ["a"]}, {"root": {"a": {"optional": True}}})
    cleared = with_relation(before, ROOT, "root", "a", {"optional": None}).form
    assert relations_of(checked_hierarchy(nested(ROOT, cleared, leaves("a")))).nodes["root"].required == {"a"}


def test_an_order_has_every_child_once() -> None:
    assert reordered(BOOK, ROOT, "u1", ["u3", "a", "b"]).form.children["u1"] == ["u3", "a", "b"]
    for order, told in (
        (["a", "b"], "missing: u3"),
        (["a", "b", "u3", "x"], "u1 has no children x"),
        (["a", "b", "u3", "a"], "named twice: a"),
    ):
        with pytest.raises(InvalidInput, match=told):
            reordered(BOOK, ROOT, "u1", order)


@given(published_trees(), st.data())
def test_an_edit_leaves_everything_else_as_it_was(tree: Json, data: st.DataObject) -> None:
    """Whatever is done to one parent: other parents, other units' metadata and other places are the same, and the result is
    a tree."""
    before, of_leaves = flattened(tree)
    root = {**tree, "children": []}
    parent = data.draw(st.sampled_from([*before.children]))
    there = before.children[parent]
    new = data.draw(st.lists(st.sampled_from([*LEAVES, "new-1", "new-2"]), unique=True, min_size=1))
    every = {**of_leaves, **leaves(*LEAVES, "new-1", "new-2")}
    edits = {
        "add": lambda: with_children(before, root, parent, new, {}, None, every, LIMITS),
        "insert": lambda: with_children(before, root, parent, new, {}, 0, every, LIMITS),
        "remove": lambda: without_children(before, root, parent, new),
        "reorder": lambda: reordered(before, root, parent, data.draw(st.permutations(there))),
        "relate": lambda: with_relation(before, root, parent, there[0], {"optional": True}),
        "update": lambda: updated(
            before,
            root,
            HierarchyUpdate.of("root", {}, {parent: {"children": [*there, "new-1"]}}),
            every,
            LIMITS,
        ),
    }
    kind = data.draw(st.sampled_from([name for name in edits if there or name not in ("relate", "reorder")]))
    try:
        after = edits[kind]()
    except CohortError as refused:
        pytest.fail(f"{kind} was refused: {refused}")
    assert after.root == root
    assert after.form.units == before.units
    assert {p: c for p, c in after.form.children.items() if p != parent} == {
        p: c for p, c in before.children.items() if p != parent
    }
    assert {p: said for p, said in after.form.places.items() if p != parent} == {
        p: said for p, said in before.places.items() if p != parent
    }
    kept = [child for child in there if kind != "remove" or child not in new]
    assert set(kept) <= set(after.form.children[parent])
    if kind not in ("reorder", "insert"):
        assert [child for child in after.form.children[parent] if child in kept] == kept
    check_form(after.form, every)


def test_retired_leaves_are_left_out_wherever_they_stand() -> None:
    assert without_leaves(BOOK, {"b"}).children == {
        "root": ["u1", "u2"],
        "u1": ["a", "u3"],
        "u2": ["c"],
        "u3": ["d"],
    }


# --- drafts


def test_a_draft_tells_its_status_and_version_key_where_they_stood() -> None:
    metadata = {"identifier": "c", "status": "Live", "name": "C", "createdBy": "ann"}
    draft = Draft(
        "c",
        ContentKind.CONTENT,
        DraftStatus.DRAFT,
        metadata,
        "k",
        created_by="bob",
        created_on=NOW,
        updated_by="eve",
        updated_on=NOW,
    )
    assert list(described(draft).items()) == [
        *(("identifier", "c"), ("status", "Draft"), ("name", "C"), ("createdBy", "ann"), ("versionKey", "k")),
        *(("createdOn", "2026-03-01T12:00:00.000Z"), ("lastUpdatedOn", "2026-03-01T12:00:00.000Z")),
        ("lastUpdatedBy", "eve"),
    ]
    assert own_metadata({"name": "C", "depth": 1, "optional": True, "children": []}) == {"name": "C"}
