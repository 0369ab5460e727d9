"""Edits of a tree: each whole or not at all, and none of several is lost."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.commands.drafts import NewContent, create_content, retire_content, update_content
from ingest.commands.hierarchy_edits import (
    HierarchyEdited,
    add_children,
    remove_children,
    reorder_children,
    update_hierarchy,
    update_relation,
)
from ingest.publishing.sources import draft_source
from loaders.session import Session
from resolvers.drafts import edit_tree
from rules.content_metadata import MOST_LEVELS
from rules.drafts import DraftStatus
from rules.errors import CohortError, Conflict, InvalidInput, NotFound, StoreUnavailable
from rules.form_checks import FormLimits
from rules.hierarchy import COLLECTION_MIME_TYPE, DEEPEST
from tests.conftest import COURSE, LEAF, Instance, embedded_urls, examples, instance_of
from tests.ingest.drafting import author, children, forms, stored, tree_of, write_leaves
from tests.ingest.interruptions import Interruption, dies

NEW_UNIT = {"t": {"isNew": True, "metadata": {"name": "New"}}}


async def made_course(cohort: Instance) -> None:
    """The published course, and leaves that may be added to it."""
    await cohort.publish()
    await write_leaves(cohort.shared, "e", "f")


async def test_a_partial_update_changes_what_it_names(cohort: Instance) -> None:
    await made_course(cohort)
    edited = await update_hierarchy(
        author(cohort.shared),
        "course",
        {
            **NEW_UNIT,
            "unit-1": {"metadata": {"name": "First"}},
            "course": {"root": True, "metadata": {"board": "B"}},
        },
        {"unit-2": {"children": ["c", "t"]}, "t": {"children": ["e"]}},
    )
    new = edited.identifiers["t"]
    assert new.startswith("do_")
    assert edited.removed == ("d",)  # b still stands in unit-1
    draft, form = await stored(cohort)
    assert draft == edited.draft
    assert (draft.status, draft.metadata["board"], draft.updated_by) == (DraftStatus.DRAFT, "B", "ada")
    assert form.children == {
        "course": ["unit-1", "unit-2"],
        "unit-1": ["a", "b"],
        "unit-2": ["c", new],
        new: ["e"],
    }
    assert form.units["unit-1"]["name"] == "First"
    assert await forms(cohort) == {("course", f"edit:{draft.form_key}")}


async def test_authors_read_the_tree_that_they_edit_and_learners_the_published_one(cohort: Instance) -> None:
    await made_course(cohort)
    await add_children(author(cohort.shared), "course", "unit-1", ["e"], {"e": {"optional": True}}, 0)
    read = await edit_tree(author(cohort.shared), "course")
    (draft, _) = await stored(cohort)
    assert read.draft == draft
    first = read.root["children"][0]
    assert [
        (node["identifier"], node["index"], node["depth"], node["parent"]) for node in first["children"]
    ] == [
        *(("e", 1, 2, "unit-1"), ("a", 2, 2, "unit-1"), ("b", 3, 2, "unit-1")),
    ]
    assert first["children"][0]["relationalMetadata"] == {"optional": True}
    assert (first["children"][0]["status"], read.root["versionKey"]) == ("Draft", draft.version_key)
    content = await cohort.shared.library.collection("course")
    assert (await cohort.shared.library.hierarchy(content)).root == COURSE


async def test_every_kind_of_edit(cohort: Instance) -> None:
    await made_course(cohort)
    session = author(cohort.shared)
    await add_children(session, "course", "unit-1", ["e", "f"])
    await reorder_children(session, "course", "unit-1", ["f", "e", "b", "a"])
    removed = await remove_children(session, "course", "unit-1", ["a", "f"])
    await update_relation(session, "course", "unit-2", "d", {"optional": None, "keywords": ["k"]})
    await update_relation(session, "course", "course", "unit-1", {"name": "First"})
    _, form = await stored(cohort)
    assert form.children == {"course": ["unit-1", "unit-2"], "unit-1": ["e", "b"], "unit-2": ["b", "c", "d"]}
    assert form.places == {"unit-2": {"d": {"relationalMetadata": {"keywords": ["k"]}}}}
    assert (form.units["unit-1"]["name"], removed.removed) == ("First", ("f", "a"))


async def test_a_call_sent_again_changes_nothing(embedded: Instance) -> None:
    await made_course(embedded)
    session = author(embedded.shared)
    calls: list[Callable[[], Awaitable[HierarchyEdited]]] = [
        lambda: add_children(session, "course", "unit-1", ["e"]),
        lambda: remove_children(session, "course", "unit-1", ["a"]),
        lambda: reorder_children(session, "course", "unit-1", ["e", "b"]),
        lambda: update_relation(session, "course", "unit-1", "e", {"optional": True}),
    ]
    for call in calls:
        once = await call()
        assert (await call()).draft == once.draft


async def test_a_refused_edit_writes_nothing(embedded: Instance) -> None:
    await made_course(embedded)
    session = author(embedded.shared)
    await add_children(session, "course", "unit-1", ["e"])
    before, left = await stored(embedded), await forms(embedded)
    await create_content(session, NewContent("Book", COLLECTION_MIME_TYPE, "book"))
    refusals: list[tuple[Callable[[], Awaitable[HierarchyEdited]], type[CohortError], str]] = [
        (lambda: add_children(session, "course", "unit-9", ["f"]), NotFound, "unitId"),
        (lambda: add_children(session, "course", "unit-1", []), InvalidInput, "children"),
        (lambda: add_children(session, "course", "unit-1", ["course"]), InvalidInput, "children"),
        (lambda: add_children(session, "nothing", "unit-1", ["f"]), NotFound, "rootId"),
        (lambda: add_children(session, "unit-1", "unit-1", ["f"]), NotFound, "rootId"),
        (lambda: add_children(session, "e", "e", ["f"]), InvalidInput, "rootId"),
        (lambda: add_children(session, "course", "unit-1", ["f"], version_key="old"), Conflict, "versionKey"),
        (lambda: update_hierarchy(session, "course", {}, {}), InvalidInput, "hierarchy"),
        (lambda: update_hierarchy(session, "course", NEW_UNIT, {}), InvalidInput, "hierarchy"),
        (lambda: reorder_children(session, "course", "unit-1", ["a"]), InvalidInput, "children"),
        (lambda: update_relation(session, "course", "unit-1", "f", {}), NotFound, "childId"),
    ]
    for call, error, field in refusals:
        with pytest.raises(error) as refused:
            await call()
        assert refused.value.field == field
    assert (await stored(embedded), await forms(embedded)) == (before, left)


async def test_a_node_that_is_there_can_t_be_new(embedded: Instance) -> None:
    """It would take the place of the unit that it is named like, and all below that would be lost."""
    await made_course(embedded)
    session = author(embedded.shared)
    await edit_tree(session, "course")  # makes its draft
    before = await stored(embedded)
    for there in ("unit-1", "a"):
        new = {there: {"isNew": True, "metadata": {"name": "New"}}}
        with pytest.raises(InvalidInput, match=f"{there} can't be new") as refused:
            await update_hierarchy(session, "course", new, {"course": {"children": [there]}})
        assert refused.value.field == f"nodesModified.{there}.isNew"
    assert await stored(embedded) == before


async def test_an_id_with_space_around_it_is_the_same_id(embedded: Instance) -> None:
    await made_course(embedded)
    twice = {
        "t": {"isNew": True, "metadata": {"name": "T"}},
        " t": {"isNew": True, "metadata": {"name": "U"}},
    }
    with pytest.raises(InvalidInput, match="nodesModified has an id twice"):
        await update_hierarchy(author(embedded.shared), "course", twice, {"unit-1": {"children": ["t"]}})


async def test_a_tree_as_deep_as_its_metadata_may_be_is_read(embedded: Instance) -> None:
    await made_course(embedded)
    session = author(embedded.shared)
    await create_content(session, NewContent("Book", COLLECTION_MIME_TYPE, "book"))
    deep: object = "deep"
    for _ in range(MOST_LEVELS - 1):
        deep = {"a": deep}
    names = ["book", *(f"t{number}" for number in range(DEEPEST - 1))]
    await update_hierarchy(
        session,
        "book",
        {name: {"isNew": True, "metadata": {"name": name, "x": deep}} for name in names[1:]},
        {name: {"children": [below]} for name, below in pairwise(names)},
    )
    orjson.dumps({"data": {"collection": {"hierarchy": await tree_of(embedded, "book")}}})


async def test_collections_within_collections_do_not_make_a_tree_without_bounds(embedded: Instance) -> None:
    """A few collections, each ten times in the next one, would be as large as no store can hold."""
    await made_course(embedded)  # eight places: four of its own, and four of its leaves
    shared = replace(embedded.shared, form_limits=FormLimits(nodes=30))
    session = author(shared)
    await create_content(session, NewContent("Program", COLLECTION_MIME_TYPE, "program"))
    units = {f"t{number}": {"isNew": True, "metadata": {"name": "Unit"}} for number in range(4)}
    children = {unit: {"children": ["course"]} for unit in units}
    await update_hierarchy(session, "program", units, children | {"program": {"children": list(units)}})
    with pytest.raises(InvalidInput, match="at most 30 nodes, and would have 37"):  # 1 + 4 x (1 + 8)
        await edit_tree(session, "program")
    with pytest.raises(InvalidInput, match="at most 30 nodes, and would have 37"):
        await draft_source(shared, "program", None)


async def test_size_and_depth_are_those_of_the_settings(embedded: Instance) -> None:
    await made_course(embedded)
    shared = replace(
        embedded.shared, form_limits=FormLimits(levels=3, nodes=9)
    )  # the course has eight places
    await add_children(author(shared), "course", "unit-1", ["e"])
    with pytest.raises(InvalidInput, match="at most 9 nodes, and would have 10"):
        await add_children(author(shared), "course", "unit-1", ["f"])
    with pytest.raises(InvalidInput, match="below level 3"):
        await update_hierarchy(
            author(shared), "course", NEW_UNIT, {"unit-1": {"children": ["a", "t"]}, "t": {"children": ["b"]}}
        )


async def test_a_unit_of_another_collection_is_no_child(embedded: Instance) -> None:
    await made_course(embedded)
    await create_content(author(embedded.shared), NewContent("Book", COLLECTION_MIME_TYPE, "book"))
    with pytest.raises(InvalidInput, match="units of other collections can't be leaves: unit-1"):
        await add_children(author(embedded.shared), "book", "book", ["unit-1"])


async def test_a_leaf_published_in_another_collection_brings_its_metadata(embedded: Instance) -> None:
    await made_course(embedded)
    await create_content(author(embedded.shared), NewContent("Book", COLLECTION_MIME_TYPE, "book"))
    await add_children(author(embedded.shared), "book", "book", ["d"])
    (leaf,) = (await tree_of(embedded, "book"))["children"]
    assert leaf == {
        "identifier": "d",
        "name": "D",
        "mimeType": "application/pdf",
        "parent": "book",
        "index": 1,
        "depth": 1,
    }  # optional is what it was in the course


async def test_a_collection_within_another_is_shown_as_it_is_published(cohort: Instance) -> None:
    """A program names its courses, and has no copies of them."""
    await made_course(cohort)
    session = author(cohort.shared)
    await create_content(session, NewContent("Program", COLLECTION_MIME_TYPE, "program"))
    await add_children(session, "program", "program", ["course", "e"])
    await update_relation(session, "course", "course", "unit-1", {"name": "Not published"})
    (course, e) = (await tree_of(cohort, "program"))["children"]
    assert (course["identifier"], course["parent"], course["index"], course["depth"]) == (
        "course",
        "program",
        1,
        1,
    )
    first = course["children"][0]
    assert (first["name"], first["depth"], [leaf["depth"] for leaf in first["children"]]) == (
        "Unit 1",
        2,
        [3, 3],
    )
    assert (e["index"], await children(cohort, "program")) == (2, {"program": ["course", "e"]})


async def test_a_loaded_program_names_its_courses(cohort: Instance) -> None:
    await made_course(cohort)
    await cohort.publish({"identifier": "program", "name": "Program", "children": [COURSE]})
    await add_children(author(cohort.shared), "program", "program", ["e"])
    assert await children(cohort, "program") == {"program": ["course", "e"]}
    with pytest.raises(InvalidInput, match="below itself: course > program > course"):
        await add_children(author(cohort.shared), "course", "course", ["program"])


# --- several editors


async def test_of_two_editors_with_one_version_key_the_second_is_told(cohort: Instance) -> None:
    await made_course(cohort)
    key = (await edit_tree(author(cohort.shared), "course")).draft.version_key
    async with cohort.opened() as other:
        calls = (
            add_children(author(cohort.shared), "course", "unit-1", ["e"], version_key=key),
            add_children(author(other), "course", "unit-2", ["f"], version_key=key),
        )
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "HierarchyEdited"]
    found = await children(cohort)
    assert ("e" in found["unit-1"]) is not ("f" in found["unit-2"])
    draft, _ = await stored(cohort)
    assert await forms(cohort) == {("course", f"edit:{draft.form_key}")}


async def test_editors_without_a_version_key_all_get_through(cohort: Instance) -> None:
    """Of two processes, six edits each: eleven writes fail each other at most."""
    await made_course(cohort)
    leaves = [f"leaf-{number}" for number in range(12)]
    await write_leaves(cohort.shared, *leaves)
    async with cohort.opened() as other:
        await asyncio.gather(
            *(
                add_children(author(shared), "course", unit, [leaf])
                for leaf, shared, unit in zip(
                    leaves, [cohort.shared, other] * 6, ["unit-1", "unit-1", "unit-2"] * 4, strict=True
                )
            )
        )
    found = await children(cohort)
    assert {*found["unit-1"], *found["unit-2"]} == {"a", "b", "c", "d", *leaves}
    draft, _ = await stored(cohort)
    assert await forms(cohort) == {("course", f"edit:{draft.form_key}")}


KINDS = ["add", "rename", "rename a unit", "relate", "remove"]


@settings(max_examples=examples(20))
@given(st.lists(st.sampled_from(KINDS), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_no_edit_is_lost_whatever_runs_beside_it(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], dice: random.Random
) -> None:
    """Two processes edit at once. Each edit leaves a trace of its own, and afterwards every one of them is there."""

    async def edit(session: Session, kind: str, leaf: str) -> None:
        await asyncio.sleep(dice.random() / 100)
        match kind:
            case "add":
                await add_children(session, "course", "unit-2", [leaf])
            case "rename":
                await update_content(session, "course", None, {leaf: kind})
            case "rename a unit":
                await update_hierarchy(session, "course", {"unit-2": {"metadata": {leaf: kind}}}, {})
            case "relate":
                await update_relation(session, "course", "unit-1", "a", {leaf: kind})
            case "remove":
                await remove_children(session, "course", "unit-1", [leaf])

    async def run() -> None:
        leaves = {f"leaf-{number}": kind for number, kind in enumerate(kinds)}
        removed = [leaf for leaf, kind in leaves.items() if kind == "remove"]
        async with instance_of(embedded_urls(), tmp_path_factory.mktemp("edits")) as cohort:
            await cohort.publish()
            await write_leaves(cohort.shared, *leaves)
            await add_children(author(cohort.shared), "course", "unit-1", ["a", *removed])
            async with cohort.opened() as other:
                sessions = [author(dice.choice([cohort.shared, other])) for _ in leaves]
                await asyncio.gather(*map(edit, sessions, leaves.values(), leaves))
            draft, form = await stored(cohort)
        traces = {
            "add": form.children["unit-2"],
            "rename": draft.metadata,
            "rename a unit": form.units["unit-2"],
            "relate": form.places.get("unit-1", {}).get("a", {}).get("relationalMetadata", {}),
            "remove": {*leaves}.difference(form.children["unit-1"]),
        }
        assert [leaf for leaf, kind in leaves.items() if leaf not in traces[kind]] == []

    asyncio.run(run())


async def killed() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("then", [dies, killed])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(3))
async def test_an_edit_that_is_killed_leaves_the_old_tree_or_the_new(
    cohort: Instance, step: int, after: bool, then: Callable[[], Awaitable[None]]
) -> None:
    """Its steps: the chunks of the new form, the draft, the chunks of the old one. Until the draft has changed the old tree
    is there, and after that the new one; the same call sent again ends in the new one."""
    await made_course(cohort)
    await add_children(author(cohort.shared), "course", "unit-1", ["e"])
    old = await children(cohort)
    new = old | {"unit-2": ["b", "c", "d", "f"]}
    dying = Interruption(step, then, after=after)
    with suppress(StoreUnavailable, asyncio.CancelledError):
        await add_children(author(dying.of(cohort.shared)), "course", "unit-2", ["f"])
    assert dying.happened
    assert await children(cohort) == (old if step == 0 or (step == 1 and not after) else new)
    await add_children(author(cohort.shared), "course", "unit-2", ["f"])
    await reorder_children(author(cohort.shared), "course", "unit-1", ["e", "a", "b"])
    assert await children(cohort) == new | {"unit-1": ["e", "a", "b"]}
    draft, _ = await stored(cohort)
    left = await forms(cohort)
    assert ("course", f"edit:{draft.form_key}") in left
    assert len(left) <= 2  # what the writer left behind does no harm


@pytest.mark.parametrize("step", range(10))
async def test_a_first_edit_that_is_killed_may_be_made_again(embedded: Instance, step: int) -> None:
    """Its draft comes last, after the leaves' and the form's."""
    await made_course(embedded)
    dying = Interruption(step, killed)
    with suppress(asyncio.CancelledError):
        await add_children(author(dying.of(embedded.shared)), "course", "unit-2", ["f"])
    await add_children(author(embedded.shared), "course", "unit-2", ["f"])
    assert await children(embedded) == {
        "course": ["unit-1", "unit-2"],
        "unit-1": ["a", "b"],
        "unit-2": ["b", "c", "d", "f"],
    }
    assert len((await tree_of(embedded))["children"][1]["children"]) == 4


async def test_a_reader_beside_an_editor_sees_one_tree_or_the_next(embedded: Instance) -> None:
    await made_course(embedded)
    await add_children(author(embedded.shared), "course", "unit-1", ["e"])
    seen: set[tuple[str, ...]] = set()
    done = False

    async def read() -> None:
        while not done:
            tree = await tree_of(embedded)
            seen.add(tuple(child["identifier"] for child in tree["children"][0]["children"]))

    reading = asyncio.create_task(read())
    for _ in range(10):
        await reorder_children(author(embedded.shared), "course", "unit-1", ["e", "b", "a"])
        await reorder_children(author(embedded.shared), "course", "unit-1", ["a", "b", "e"])
    done = True
    await reading
    assert seen <= {("a", "b", "e"), ("e", "b", "a")}


# --- cost


async def test_an_edit_costs_the_same_statements_however_large_the_tree(cohort: Instance) -> None:
    leaves = [{"identifier": f"leaf-{n}", "name": f"Leaf {n}", "mimeType": LEAF} for n in range(300)]
    await cohort.publish(
        {**COURSE, "children": [*COURSE["children"], {"identifier": "u", "name": "U", "children": leaves}]}
    )
    await write_leaves(cohort.shared, "e", "f")
    session = author(cohort.shared)
    await add_children(session, "course", "unit-1", ["e"])
    with cohort.stores.rows.meter.measure() as cost:
        await reorder_children(session, "course", "unit-1", ["e", "a", "b"])
    # The draft and its form are read; the new form is written, the draft flipped; the old form is looked up and deleted.
    assert dict(cost) == {
        "select content_draft": 1,
        "select content_hierarchy": 2,
        "insert content_hierarchy": 1,
        "conditional update content_draft": 1,
        "delete content_hierarchy": 1,
    }
    with cohort.stores.rows.meter.measure() as cost:
        await add_children(session, "course", "unit-1", ["f"])
    assert (
        sum(cost.values()) == 6 + 3
    )  # and the new child: its draft, its content, and whether that is still the one


async def test_a_retired_content_is_put_nowhere_although_the_form_still_has_it_elsewhere(
    cohort: Instance,
) -> None:
    await made_course(cohort)
    await add_children(author(cohort.shared), "course", "unit-2", ["e"])
    await retire_content(author(cohort.shared), "a")  # of unit-1
    before = await stored(cohort)
    with pytest.raises(InvalidInput, match="not available: a") as refused:
        await add_children(author(cohort.shared), "course", "unit-2", ["a"])
    assert refused.value.field == "children"
    with pytest.raises(InvalidInput, match="not available: a") as refused:
        await update_hierarchy(author(cohort.shared), "course", {}, {"unit-2": {"children": ["c", "a"]}})
    assert refused.value.field == "hierarchy"
    assert await stored(cohort) == before


async def test_authors_order_and_count_the_children_that_they_are_shown(cohort: Instance) -> None:
    await made_course(cohort)
    await retire_content(author(cohort.shared), "a")  # the first of unit-1
    shown = [node["identifier"] for node in (await tree_of(cohort))["children"][0]["children"]]
    assert shown == ["b"]
    await add_children(author(cohort.shared), "course", "unit-1", ["e"], position=1)
    assert (await children(cohort))["unit-1"] == ["b", "e"]
    await reorder_children(author(cohort.shared), "course", "unit-1", ["e", "b"])
    assert (await children(cohort))["unit-1"] == ["e", "b"]


async def test_an_order_leaves_out_what_was_retired(cohort: Instance) -> None:
    await made_course(cohort)
    await add_children(author(cohort.shared), "course", "unit-1", ["e"])
    await retire_content(author(cohort.shared), "b")
    await reorder_children(author(cohort.shared), "course", "unit-1", ["e", "a"])
    assert (await children(cohort))["unit-1"] == ["e", "a"]


async def test_a_whole_tree_is_taken_from_an_editor_that_does_not_know_of_a_retired_content_yet(
    cohort: Instance,
) -> None:
    await made_course(cohort)
    await retire_content(author(cohort.shared), "a")
    await update_hierarchy(
        author(cohort.shared),
        "course",
        {},
        {"unit-1": {"children": ["a", "b", "e"]}, "unit-2": {"children": ["c"]}},
    )
    shown = [node["identifier"] for node in (await tree_of(cohort))["children"][0]["children"]]
    assert shown == ["b", "e"]


@pytest.mark.parametrize(
    ("nodes", "parents", "message", "field"),
    [
        (NEW_UNIT, {"unit-1": {"children": ["a"]}}, "new units that no parent holds: t", "hierarchy"),
        (
            {"t": {"isNew": True}},
            {"course": {"children": ["unit-1", "unit-2", "t"]}},
            "unit t has no name",
            "nodesModified.t.metadata.name",
        ),
        (
            {"t": {"isNew": True, "metadata": {"name": "New", "appIcon": 1}}},
            {"course": {"children": ["unit-1", "unit-2", "t"]}},
            "t: appIcon must be a text",
            "nodesModified.t.metadata.appIcon",
        ),
        (
            {"unit-1": {"metadata": {"name": " "}}},
            {},
            "unit-1: name can be changed but not cleared, and must not be blank",
            "nodesModified.unit-1.metadata.name",
        ),
    ],
)
async def test_a_refused_update_is_told_in_the_ids_of_the_call(
    cohort: Instance, nodes: dict[str, object], parents: dict[str, object], message: str, field: str
) -> None:
    await made_course(cohort)
    with pytest.raises(InvalidInput) as refused:
        await update_hierarchy(author(cohort.shared), "course", nodes, parents)
    assert (refused.value.message, refused.value.field) == (message, field)
