"""Contents during a publish, and after one that died: as the live version has them, never as the next one will."""

from copy import deepcopy
from typing import Any

import pytest

from loaders.library import Library, content_values, metadata_values
from loaders.session import Session
from rules.contents import Content, ContentKind
from stores.rows import Write
from stores.tables import CONTENTS, NODE_ROOTS, RELATIONS
from tests.conftest import COURSE, LEAF, NOW, Instance


def reader(cohort: Instance) -> Library:
    """Of another process, that has nothing in memory."""
    return Library(cohort.stores.rows, cohort.stores.cache)


def node_of_next(identifier: str, root: str = "course", version: int = 2, name: str = "Next") -> list[Write]:
    """What a publish has written of a leaf when its collection's pointer has not flipped yet."""
    content = Content(identifier, name, ContentKind.CONTENT, "Unlisted", "video/mp4", 0, root, version, NOW)
    node = {"identifier": identifier, "name": name, "mimeType": "video/mp4", "license": "next"}
    return [
        Write(RELATIONS, (root, version, identifier), {"ancestors": frozenset({root})}),
        Write(NODE_ROOTS, (identifier, root), {"version": version}),
        Write(CONTENTS, (identifier,), content_values(content, node)),
    ]


async def told(library: Library, identifier: str) -> tuple[object, ...] | None:
    (content,) = await library.contents.load_many([identifier])
    if content is None:
        return None
    metadata = (await library.metadata_of([content]))[identifier]
    assert metadata["name"] == content.name
    return content.name, content.status, content.mime_type, content.root, content.live_version


AS_LIVE = ("A", "Live", LEAF, "course", 1)


async def test_a_node_is_as_it_is_live_until_the_pointer_flips(cohort: Instance) -> None:
    await cohort.publish()
    library = reader(cohort)
    assert await told(library, "a") == AS_LIVE
    await cohort.stores.rows.write(*node_of_next("a"), *node_of_next("new"))
    library.contents.forget("a")
    for seeing in (library, reader(cohort)):
        assert await told(seeing, "a") == AS_LIVE
        assert await told(seeing, "new") is None, "it is not there yet"
    renamed: Any = deepcopy(COURSE)
    renamed["children"][0]["children"][0]["name"] = "Next"
    renamed["children"].append({"identifier": "new", "name": "New", "mimeType": LEAF})
    await cohort.publish(renamed)
    for seeing in (library, reader(cohort)):
        seeing.contents.forget("a")
        found = await told(seeing, "a")
        assert found is not None
        assert found[0] == "Next"
        assert await told(seeing, "new") is not None


async def test_a_node_of_a_publish_that_died_is_another_collections(embedded: Instance) -> None:
    """The publish of ``other`` died before its pointer, ahead for good; ``course`` still holds a."""
    await embedded.publish()
    await embedded.stores.rows.write(*node_of_next("a", "other", 7))
    assert await told(reader(embedded), "a") == AS_LIVE
    unit = await reader(embedded).content("unit-1", "id")
    assert (unit.kind, unit.leaf_nodes_count, unit.root) == (ContentKind.UNIT, 2, "course")


async def test_a_unit_of_a_publish_that_died_is_as_it_was(embedded: Instance) -> None:
    await embedded.publish()
    dead = Content("unit-1", "Next", ContentKind.UNIT, "Live", None, 9, "course", 5, NOW)
    values = content_values(dead, {"identifier": "unit-1", "name": "Next"})
    await embedded.stores.rows.write(Write(CONTENTS, ("unit-1",), values))
    library = reader(embedded)
    unit = await library.content("unit-1", "id")
    assert (unit.name, unit.kind, unit.leaf_nodes_count, unit.live_version) == (
        "Unit 1",
        ContentKind.UNIT,
        2,
        1,
    )
    assert (await library.hierarchy(unit)).root["name"] == "Unit 1"
    assert (await library.relation_tree(unit)).version == 1


async def test_a_leaf_that_left_one_collection_is_of_the_other_that_holds_it(embedded: Instance) -> None:
    """``course`` published b last, and then again without it."""
    await embedded.publish({"identifier": "other", "name": "Other", "children": [LEAF_B]})
    await embedded.publish()
    document: Any = deepcopy(COURSE)
    for unit in document["children"]:
        unit["children"] = [child for child in unit["children"] if child["identifier"] != "b"]
    await embedded.publish(document)
    found = await told(reader(embedded), "b")
    assert found is not None
    assert found[3:] == ("other", 1)


LEAF_B = {"identifier": "b", "name": "B", "mimeType": LEAF}


async def test_a_request_that_reads_anew_sees_the_same(embedded: Instance) -> None:
    """``current`` compares what is known with the rows: one that is ahead is nothing new, and costs one look at the root."""
    await embedded.publish()
    shared = type(embedded.shared).of(embedded.stores, embedded.shared.now)
    (known,) = await shared.library.current(["a"])
    await embedded.stores.rows.write(*node_of_next("a"))
    with embedded.stores.rows.meter.measure() as rows:
        assert await shared.library.current(["a"]) == [known]
    assert dict(rows) == {f"select {CONTENTS.name}": 2}
    await embedded.publish(COURSE | {"description": "again"})
    session = Session(embedded.session("ann").viewer, shared)
    content = await session.loaders.contents.load("a")
    assert content is not None
    assert content.live_version == 2


async def test_a_node_costs_one_statement_more_and_none_where_its_root_is_known(embedded: Instance) -> None:
    await embedded.publish()
    library = reader(embedded)
    for identifiers, statements in ((["a", "b", "unit-1"], 2), (["c", "d", "unit-2"], 1)):
        with embedded.stores.rows.meter.measure() as rows:
            await library.contents.load_many(identifiers)
        assert dict(rows) == {f"select {CONTENTS.name}": statements}


PAGES = {f"page {number}": "x" * 9_000 for number in range(5)}
LARGE = {"identifier": "large", "name": "Large", "mimeType": LEAF, "about": "short", **PAGES}


async def test_metadata_are_whole_whatever_their_size(embedded: Instance) -> None:
    """45 KB: the row has room for 32, so that three of the five pages stay; the tree has them all."""
    unit = {"identifier": "unit", "name": "Unit", **PAGES, "children": [LARGE]}
    await embedded.publish({"identifier": "big", "name": "Big", **PAGES, "children": [unit]})
    library = reader(embedded)
    contents = [await library.content(one, "id") for one in ("big", "unit", "large")]
    found = await library.metadata_of(contents)
    assert found["large"] == LARGE
    assert list(found["large"]) == list(LARGE)
    assert found["unit"] == {"identifier": "unit", "name": "Unit", **PAGES}
    assert found["big"] == {"identifier": "big", "name": "Big", **PAGES}
    row = await embedded.stores.rows.get(CONTENTS, ("large",))
    assert row is not None
    assert row["metadata_left"] == {"page 0", "page 1"}


@pytest.mark.parametrize(
    ("names", "trees"), [(["about"], 0), (["page 4"], 0), (["about", "page 0"], 1), (None, 1)]
)
async def test_the_tree_is_read_only_for_a_name_that_the_row_does_not_have(
    embedded: Instance, names: list[str] | None, trees: int
) -> None:
    await embedded.publish({"identifier": "big", "name": "Big", "children": [LARGE]})
    library = reader(embedded)
    leaf = await library.content("large", "id")
    with embedded.stores.rows.meter.measure() as rows:
        found = (await library.metadata_of([leaf], names))["large"]
    assert rows["select content_hierarchy"] == trees
    assert {name: found[name] for name in names or LARGE} == {name: LARGE[name] for name in names or LARGE}


async def test_metadata_of_a_version_that_is_gone_are_of_the_live_one(embedded: Instance) -> None:
    """Another process published twice within the seconds for which this one remembers the pointer."""
    await embedded.publish()
    library = reader(embedded)
    known = await library.collection("course")
    for number in (2, 3):
        await embedded.publish(COURSE | {"description": f"{number}"})
    assert (await library.metadata_of([known]))["course"]["description"] == "3"


def test_a_row_that_has_all_names_nothing_that_is_left() -> None:
    assert metadata_values({"identifier": "a", "name": "A", "children": []})["metadata_left"] is None
