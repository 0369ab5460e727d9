"""Published trees as bytes: from memory, else from the cache, else from the rows, and never half of one."""

import asyncio
import zlib
from dataclasses import replace
from hashlib import sha512
from typing import Any

import orjson
import pytest

from loaders.library import Library
from loaders.trees import KEPT_FOR, LIVE, Trees, encode_hierarchy
from rules.errors import NotFound
from stores.rows import Write
from stores.tables import HIERARCHIES
from tests.conftest import COURSE, Instance

ROOT = ("course", "course", 1)


def reader(cohort: Instance) -> Library:
    """Of another process, that has nothing in memory."""
    return Library(cohort.stores.rows, cohort.stores.cache)


async def read(library: Library, node: str | None = None) -> Any:
    return orjson.loads(await library.serialised(await library.collection("course"), node))


async def test_a_tree_is_read_from_the_rows_once_for_all_processes(cohort: Instance) -> None:
    await cohort.publish()
    costs = []
    first, second = reader(cohort), reader(cohort)
    for library in (first, first, second):
        with cohort.stores.rows.meter.measure() as rows, cohort.stores.cache.meter.measure() as cache:
            assert await read(library) == COURSE
        costs.append((rows[f"select {HIERARCHIES.name}"], cache["cache mget"], cache["cache set"]))
    assert costs == [(1, 1, 1), (0, 0, 0), (0, 1, 0)]


async def test_many_who_ask_at_once_are_one_read(embedded: Instance) -> None:
    await embedded.publish()
    library = reader(embedded)
    content = await library.collection("course")
    with embedded.stores.rows.meter.measure() as rows:
        found = await asyncio.gather(*(library.serialised(content) for _ in range(20)))
    assert {orjson.loads(one)["name"] for one in found} == {"Course"}
    assert rows[f"select {HIERARCHIES.name}"] == 1


async def test_a_unit_is_answered_by_its_own_bytes_and_a_leaf_by_the_tree(embedded: Instance) -> None:
    await embedded.publish()
    course: Any = COURSE
    unit = course["children"][1]
    assert await read(reader(embedded), "unit-2") == unit
    assert await read(reader(embedded), "d") == unit["children"][2]
    with pytest.raises(NotFound) as refused:
        await read(reader(embedded), "nowhere")
    assert refused.value.field == "node"


async def test_while_the_cache_is_away_the_rows_answer(embedded: Instance) -> None:
    class Away:
        async def get_many(self, keys: list[str]) -> list[None]:
            return [None for _ in keys]

        async def set(self, *_: object) -> None:
            """As the port does while the server is away."""

    await embedded.publish()
    stores = replace(embedded.stores, cache=Away())  # type: ignore[arg-type]
    assert await read(Library(stores.rows, stores.cache)) == COURSE


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"no zlib",
        zlib.compress(orjson.dumps(COURSE))[:-3],
        zlib.compress(orjson.dumps(COURSE))[:-1] + b"x",
    ],
    ids=["empty", "other bytes", "cut off", "another checksum"],
)
async def test_what_the_cache_has_is_not_believed_unless_it_is_whole(
    embedded: Instance, damaged: bytes
) -> None:
    await embedded.publish()
    await embedded.stores.cache.set("tree:course\n1\ncourse", damaged, KEPT_FOR)
    assert await read(reader(embedded)) == COURSE


async def test_chunks_that_are_not_all_there_are_no_tree(embedded: Instance) -> None:
    """A version that is being dropped, or has one chunk of another attempt."""
    document = COURSE | {"description": "".join(f"{number} " for number in range(200))}
    chunks = encode_hierarchy(document, chunk_size=100)
    assert len(chunks) > 3
    trees = Trees(embedded.stores.rows, embedded.stores.cache)

    async def store(number: int, data: bytes) -> None:
        key = ("course", LIVE, 1, number)
        await embedded.stores.rows.write(Write(HIERARCHIES, key, {"chunks": len(chunks), "data": data}))

    for number, data in enumerate(chunks[:-1]):
        await store(number, data)
    assert await trees.serialised.load(ROOT) is None
    await store(len(chunks) - 1, b"?" * len(chunks[-1]))
    assert await trees.serialised.load(ROOT) is None
    await store(len(chunks) - 1, chunks[-1])
    await store(len(chunks), b"left of a longer attempt")
    assert orjson.loads(await trees.serialised.load(ROOT) or b"") == document


async def test_versions_that_are_dropped_leave_the_cache(embedded: Instance) -> None:
    await embedded.publish()
    library = reader(embedded)
    await read(library)
    await read(library, "unit-1")
    keys = [f"tree:course\n1\n{node}" for node in ("course", "unit-1")]
    assert None not in await embedded.stores.cache.get_many(keys)
    await library.drop_cached_trees("course", [1], ["unit-1", "unit-2"])
    assert await embedded.stores.cache.get_many(keys) == [None, None]


async def test_a_publish_makes_room_in_the_cache(embedded: Instance) -> None:
    """Of the version that nobody reads any more; the one before the live one may still be read by somebody."""
    for number in (1, 2, 3):
        await embedded.publish(COURSE | {"description": f"{number}"})
        await read(reader(embedded))
        await read(reader(embedded), "unit-1")
    keys = [f"tree:course\n{version}\n{node}" for version in (1, 2, 3) for node in ("course", "unit-1")]
    kept = await embedded.stores.cache.get_many(keys)
    assert [value is not None for value in kept] == [False, False, True, True, True, True]


async def test_a_large_tree_is_the_same_as_a_small_one(embedded: Instance) -> None:
    """Large enough for more than one chunk, and to be unpacked and parsed in a thread."""
    children = [
        {"identifier": f"leaf-{n}", "name": f"Leaf {n}", "about": sha512(b"%d" % n).hexdigest()}
        for n in range(5_000)
    ]
    await embedded.publish({"identifier": "course", "name": "Large", "children": children})
    rows = await embedded.stores.rows.partition(HIERARCHIES, ("course", LIVE))
    assert len(rows) > 1
    library = reader(embedded)
    assert (await read(library))["children"] == children
    content, hierarchy, relations = await library.tree(await library.collection("course"))
    assert (content.leaf_nodes_count, len(hierarchy.nodes), len(relations.leaf_nodes)) == (
        5_000,
        5_001,
        5_000,
    )
