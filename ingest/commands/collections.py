"""Puts a nested hierarchy in place as live. The data goes first and the pointer last, so a reader sees one version or
the next."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from loaders.library import LIVE, content_values, encode_hierarchy, metadata_values
from loaders.session import Session
from rules.contents import Content, ContentKind
from rules.errors import Conflict
from rules.hierarchy import Hierarchy, RelationTree, checked_hierarchy, is_collection, relations_of
from rules.viewers import Role
from stores.rows import Equal, Row, Write
from stores.tables import CONTENTS, HIERARCHIES, NODE_ROOTS, RELATIONS

_CLAIM = ""
"""The node under which ``hierarchy_relations`` says that a version is taken. No node has this id."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What became of a document. ``changed`` is False if the same one was live already."""

    identifier: str
    version: int
    changed: bool
    leaf_nodes_count: int


async def publish_collection(session: Session, document: object) -> Publication:
    """Publishes ``document``: nested JSON, ``{identifier, name, mimeType?, status?, children: [...]}``.

    - A document that is a leaf becomes a content in no collection.
    - An inner node that is published as a collection of its own stays that.

    Needs the role creator, admin or service. Raises InvalidInput that names the path of what is wrong. Raises Conflict
    if another process published meanwhile.
    """
    session.viewer.check_role(Role.CREATOR, Role.ADMIN, Role.SERVICE)
    hierarchy = checked_hierarchy(document)
    digest = hashlib.sha256(orjson.dumps(hierarchy.root, option=orjson.OPT_SORT_KEYS)).hexdigest()
    identifier = hierarchy.identifier
    stored = await session.stores.rows.get(CONTENTS, (identifier,))
    before = stored["live_version"] if stored is not None and stored["root"] == identifier else None
    relations = relations_of(hierarchy)
    count = len(relations.leaf_nodes)
    if stored is not None and before is not None and stored["digest"] == digest:
        if stored["metadata"] is None:
            await _describe(session, Hierarchy(hierarchy.root, before))
        return Publication(identifier, before, False, count)

    version = await _claim_version(session, identifier, (before or 0) + 1)
    published = Hierarchy(hierarchy.root, version)
    live = None if before is None else await session.library.relations.load((identifier, before))
    renamed = stored is not None and stored["name"] != hierarchy.root["name"]
    relations = replace(relations, version=version).following(live, renamed=renamed)
    contents = _contents(published, relations, session.viewer.time_of_call(None, session.now()))
    await _write_version(session, published, relations, contents)
    await _flip_pointer(session, stored, content_values(contents[0], published.root) | {"digest": digest})
    for content in contents:
        session.library.contents.forget(content.identifier)
    if before is not None:
        for old in await _versions_before(session, identifier, before):
            await _drop(session, published, old)
    session.refresh()
    return Publication(identifier, version, True, count)


def _contents(published: Hierarchy, relations: RelationTree, at: datetime) -> list[Content]:
    """Returns a content for each node, the root's first."""
    return [
        Content(
            identifier=node["identifier"],
            name=node["name"],
            kind=_kind(node, published.identifier),
            status=str(node.get("status") or "Live"),
            mime_type=node.get("mimeType"),
            leaf_nodes_count=len(relations.nodes[node["identifier"]].leaf_nodes),
            root=published.identifier,
            live_version=published.version,
            published_on=at,
        )
        for node in published.nodes.values()
    ]


async def _write_version(
    session: Session, published: Hierarchy, relations: RelationTree, contents: Sequence[Content]
) -> None:
    """Writes all of a version except the root's content, which makes it the live one."""
    rows, own = session.stores.rows, await _collections_of_their_own(session, published)
    await rows.write(*_tree_writes(published, own), *_relation_writes(relations))
    await rows.write(
        *(
            Write(
                CONTENTS, (content.identifier,), content_values(content, published.nodes[content.identifier])
            )
            for content in contents[1:]
            if content.identifier not in own
        )
    )


async def _flip_pointer(session: Session, stored: Row | None, values: Mapping[str, Any]) -> None:
    """Writes the root's content if no other process has published since it was read. Raises Conflict otherwise."""
    rows, identifier = session.stores.rows, values["root"]
    if stored is None:
        applied = await rows.insert_if_absent(CONTENTS, {"identifier": identifier, **values})
    else:
        unchanged = Equal("live_version", stored["live_version"])
        applied = await rows.update_if(CONTENTS, (identifier,), values, [unchanged])
    if not applied.applied:
        raise Conflict(f"{identifier} was published by another process; try again", field="identifier")


async def _describe(session: Session, published: Hierarchy) -> None:
    """Writes what was published of each node, if the rows lack it because they are from an earlier schema.

    The root's row goes last: it tells whether the others have it.
    """
    rows, root = session.stores.rows, published.identifier
    stored = await rows.get_many(CONTENTS, [(node,) for node in published.nodes], ("identifier", "root"))
    ours = [row["identifier"] for row in stored.values() if row["root"] == root and row["identifier"] != root]
    await rows.write(
        *(Write(CONTENTS, (node,), metadata_values(published.nodes[node]), insert=False) for node in ours)
    )
    version = Equal("live_version", published.version)
    await rows.update_if(CONTENTS, (root,), metadata_values(published.root), [version])
    # If another process published meanwhile, it has described its own version.


async def _claim_version(session: Session, identifier: str, first: int) -> int:
    """Claims a version that no other attempt writes, and returns it.

    The other attempt may go on beside this one, or have died before its pointer. What (root, version) leads to must
    never change, since readers keep it for good.

    There is no bound: an attempt that died keeps its version for good, and each such version is passed over.
    """
    version = first
    while True:
        row = {"root": identifier, "version": version, "node": _CLAIM}
        if (await session.stores.rows.insert_if_absent(RELATIONS, row)).applied:
            return version
        version += 1


async def _versions_before(session: Session, identifier: str, before: int) -> list[int]:
    """Returns the versions older than the one that was live until now. An earlier request may still be reading that
    one."""
    rows = await session.stores.rows.partition(HIERARCHIES, (identifier, LIVE), columns=("version",))
    return sorted({row["version"] for row in rows if row["version"] < before})


def _kind(node: dict[str, object], root: str) -> ContentKind:
    if not is_collection(node):
        return ContentKind.CONTENT
    return ContentKind.COLLECTION if node["identifier"] == root else ContentKind.UNIT


async def _collections_of_their_own(session: Session, hierarchy: Hierarchy) -> set[str]:
    """Returns inner nodes that are published by themselves too, such as the courses of a program, and contents without
    a collection. They keep their own pointer."""
    others = [node for node in hierarchy.nodes if node != hierarchy.identifier]
    stored = await session.stores.rows.get_many(
        CONTENTS, [(node,) for node in others], ("identifier", "root")
    )
    return {row["identifier"] for row in stored.values() if row["root"] == row["identifier"]}


def _tree_writes(hierarchy: Hierarchy, own: set[str]) -> Iterator[Write]:
    """Gives the writes of the root's JSON and of each inner collection's, except those that are published by
    themselves."""
    for identifier, node in hierarchy.nodes.items():
        if identifier == hierarchy.identifier or (is_collection(node) and identifier not in own):
            chunks = encode_hierarchy(node)
            for number, data in enumerate(chunks):
                key = (identifier, LIVE, hierarchy.version, number)
                yield Write(HIERARCHIES, key, {"chunks": len(chunks), "data": data})


def _relation_writes(relations: RelationTree) -> Iterator[Write]:
    version = relations.version
    for node in relations.nodes.values():
        yield Write(
            RELATIONS,
            (relations.root, version, node.node),
            {
                "leaf_nodes": node.leaf_nodes,
                "optional_nodes": node.optional_nodes,
                "ancestors": node.ancestors,
                "unchanged_since": relations.unchanged_since if node.node == relations.root else None,
            },
        )
        yield Write(NODE_ROOTS, (node.node, relations.root), {"version": version})


async def _drop(session: Session, hierarchy: Hierarchy, version: int) -> None:
    """Deletes an old version that nobody reads any more. What became a collection of its own, or went to another one,
    stays."""
    rows = session.stores.rows
    relations = await rows.partition(RELATIONS, (hierarchy.identifier, version), columns=("node",))
    nodes = [row["node"] for row in relations if row["node"] != _CLAIM]
    stored = await rows.get_many(CONTENTS, [(node,) for node in nodes], ("identifier", "root"))
    ours = [row["identifier"] for row in stored.values() if row["root"] == hierarchy.identifier]
    chunks = await rows.partitions(HIERARCHIES, [(node, LIVE) for node in ours], ("version", "chunk"))
    await rows.write(
        *(
            Write(RELATIONS, (hierarchy.identifier, version, row["node"]), {}, delete=True)
            for row in relations
        ),
        *(
            Write(HIERARCHIES, (*key, row["version"], row["chunk"]), {}, delete=True)
            for key, found in chunks.items()
            for row in found
            if row["version"] == version
        ),
        *(
            Write(NODE_ROOTS, (node, hierarchy.identifier), {}, delete=True)
            for node in nodes
            if node not in hierarchy.nodes
        ),
    )
