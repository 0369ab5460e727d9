"""How a published version is written: claimed, its rows, the pointer that makes it live, and the end of older ones.

What (root, version) leads to never changes, since readers keep it for good. All of a version is written before the
pointer flips, and only the version before is kept after that, for requests that are under way.
"""

import asyncio
from collections.abc import Iterator, Sequence, Set
from datetime import datetime
from itertools import takewhile

from loaders.chunks import chunk_writes
from loaders.library import content_values
from loaders.trees import LIVE, encode_hierarchy
from rules.contents import RETIRED, Content
from rules.errors import Conflict
from rules.hierarchy import Hierarchy, Json, RelationTree, content_in, is_collection
from stores.rows import Equal, Row, Rows, Write
from stores.tables import CONTENTS, HIERARCHIES, NODE_ROOTS, RELATIONS

_CLAIM = ""
"""The node under which ``hierarchy_relations`` says that a version is taken, and by whom. No node has this id."""
_CLAIMS_AT_ONCE = 16
"""Claims that are looked for in one statement. Mostly there is one."""
WRITES_AT_ONCE = 1_000
"""Writes that are under way together: it bounds the memory, and is enough to keep the store busy."""


def own_version(content: Row | None) -> int | None:
    """Returns the version of a content's row that is live under its own name; None if it is a node of another tree."""
    if content is None or content["root"] != content["identifier"]:
        return None
    version: int | None = content["live_version"]
    return version


async def claim_version(rows: Rows, identifier: str, before: int | None, claimed_by: str) -> int:
    """Claims a version that no other attempt writes, and returns it: the same one if ``claimed_by`` has one already.

    The other attempt may go on beside this one, or have died before its pointer. There is no bound: an attempt that
    died keeps its version until the next but one is live, and each such version is passed over.
    """
    version = (before or 0) + 1
    while True:
        claim = {"root": identifier, "version": version, "node": _CLAIM, "claimed_by": claimed_by}
        claimed = await rows.insert_if_absent(RELATIONS, claim)
        if claimed.applied or (claimed.stored or {}).get("claimed_by") == claimed_by:
            return version
        version += 1


async def of_their_own(rows: Rows, root: str, nodes: Sequence[str]) -> Set[str]:
    """Returns those of the nodes below ``root`` that are published by themselves too, such as the courses of a program,
    and contents without a collection. They keep their own pointer."""
    others = [(node,) for node in nodes if node != root]
    stored = await rows.get_many(CONTENTS, others, ("identifier", "root"))
    return {row["identifier"] for row in stored.values() if row["root"] == row["identifier"]}


def tree_nodes(published: Hierarchy) -> list[str]:
    """Returns the nodes whose trees are stored: the root and the inner collections."""
    return [
        identifier
        for identifier, node in published.nodes.items()
        if identifier == published.identifier or is_collection(node)
    ]


async def write_trees(rows: Rows, published: Hierarchy, nodes: Sequence[str]) -> None:
    """Writes the trees of these nodes, but for those that are published by themselves. They are serialised in a thread."""
    own = await of_their_own(rows, published.identifier, nodes)

    def chunks() -> list[Write]:
        ours = (published.nodes[node] for node in nodes if node not in own)
        return [
            write
            for node in ours
            for write in chunk_writes((node["identifier"], LIVE), published.version, encode_hierarchy(node))
        ]

    await rows.write(*await asyncio.to_thread(chunks))


async def write_relations(rows: Rows, relations: RelationTree, nodes: Sequence[str]) -> None:
    """Writes the relations of these nodes, and that the collection holds them."""
    await rows.write(*(write for node in nodes for write in _relation_writes(relations, node)))


def _relation_writes(relations: RelationTree, node: str) -> Iterator[Write]:
    of_node = relations.nodes[node]
    values: dict[str, object] = {
        "leaf_nodes": of_node.leaf_nodes,
        "optional_nodes": of_node.optional_nodes,
        "ancestors": of_node.ancestors,
        "unchanged_since": relations.unchanged_since if node == relations.root else None,
        "pass_mark": relations.pass_marks.get(node),
    }
    # What is empty is not sent: to Cassandra, an empty set or a null that is written is a tombstone.
    yield Write(
        RELATIONS,
        (relations.root, relations.version, node),
        {name: value for name, value in values.items() if value not in (None, frozenset())},
    )
    yield Write(NODE_ROOTS, (node, relations.root), {"version": relations.version})


def contents_of(
    published: Hierarchy, relations: RelationTree, nodes: Sequence[str], at: datetime
) -> list[Content]:
    """Returns the content of each of these nodes, as it is published."""
    root, version = published.identifier, published.version
    return [
        content_in(root, version, published.nodes[node], len(relations.nodes[node].leaf_nodes), at)
        for node in nodes
    ]


async def write_contents(rows: Rows, published: Hierarchy, contents: Sequence[Content]) -> None:
    """Writes the contents of nodes below the root, but for those that are published by themselves. Readers ask the root
    for the live version, so they see these once the pointer has flipped."""
    own = await of_their_own(rows, published.identifier, [content.identifier for content in contents])
    await rows.write(
        *(
            Write(
                CONTENTS, (content.identifier,), content_values(content, published.nodes[content.identifier])
            )
            for content in contents
            if content.identifier not in own
        )
    )


async def flip_pointer(rows: Rows, content: Content, node: Json, before: int | None, digest: str) -> None:
    """Makes the version live by writing the root's content, if ``before`` is still the live one.

    Does nothing if the version is live already. Raises Conflict if another one was published meanwhile.
    """
    identifier = content.identifier
    values = content_values(content, node) | {"digest": digest}
    stored = await rows.get(CONTENTS, (identifier,), ("identifier", "root", "live_version"))
    if own_version(stored) == content.live_version:
        return
    if own_version(stored) == before:
        if stored is None:
            flipped = await rows.insert_if_absent(CONTENTS, {"identifier": identifier, **values})
        else:
            unchanged = Equal("live_version", stored["live_version"])
            flipped = await rows.update_if(CONTENTS, (identifier,), values, [unchanged])
        if flipped.applied:
            return
    raise Conflict(f"{identifier} was published by another process; try again", field="identifier")


async def retire_version(rows: Rows, identifier: str, version: int) -> None:
    """Retires what is live of a content in this version. Does nothing if another version is live."""
    await rows.update_if(CONTENTS, (identifier,), {"status": RETIRED}, [Equal("live_version", version)])


async def drop_older(rows: Rows, live: Hierarchy, before: int | None) -> list[int]:
    """Deletes the versions older than ``before``, the one that was live until now, and returns them.

    An earlier request may still be reading ``before`` itself. Which versions there are, the claims say: each is deleted
    last of its version, and the oldest version first, so those that are left are always the ones next below ``before``.
    """
    if before is None:
        return []
    older: list[int] = []
    while True:
        top = older[-1] if older else before
        asked = range(top - 1, max(0, top - 1 - _CLAIMS_AT_ONCE), -1)
        keys = [(live.identifier, version, _CLAIM) for version in asked]
        claims = await rows.get_many(RELATIONS, keys, ("version",))
        claimed = {row["version"] for row in claims.values()}
        there = [*takewhile(claimed.__contains__, asked)]
        older += there
        if len(there) < _CLAIMS_AT_ONCE:
            break
    for version in reversed(older):
        await _drop(rows, live, version)
    return older


async def _drop(rows: Rows, live: Hierarchy, version: int) -> None:
    """Deletes an old version that nobody reads any more. What became a collection of its own, or went to another one,
    stays."""
    root = live.identifier
    relations = await rows.partition(RELATIONS, (root, version), columns=("node",))
    nodes = [row["node"] for row in relations if row["node"] != _CLAIM]
    of_root = await rows.get(RELATIONS, (root, version, root), ("leaf_nodes",))
    leaves = (of_root or {}).get("leaf_nodes") or frozenset()
    trees = [node for node in nodes if node not in leaves]
    stored = await rows.get_many(CONTENTS, [(node,) for node in trees], ("identifier", "root"))
    ours = {row["identifier"] for row in stored.values() if row["root"] == root} | {root}
    chunks = await rows.partitions(
        HIERARCHIES, [(node, LIVE) for node in ours], ("version", "chunk"), prefix=(version,)
    )
    await write_in_portions(
        rows,
        [
            *(Write(RELATIONS, (root, version, node), {}, delete=True) for node in nodes),
            *(
                Write(HIERARCHIES, (*key, version, row["chunk"]), {}, delete=True)
                for key, found in chunks.items()
                for row in found
            ),
            *(Write(NODE_ROOTS, (node, root), {}, delete=True) for node in nodes if node not in live.nodes),
        ],
    )
    await rows.write(Write(RELATIONS, (root, version, _CLAIM), {}, delete=True))


async def write_in_portions(rows: Rows, writes: Sequence[Write]) -> None:
    portions = (writes[start : start + WRITES_AT_ONCE] for start in range(0, len(writes), WRITES_AT_ONCE))
    for portion in portions:
        await rows.write(*portion)
