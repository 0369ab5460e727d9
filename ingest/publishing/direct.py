"""Puts a nested hierarchy in place as live, in one call: what loading a file, the sample and importers do.

What authors publish goes through a job (job.py). Both write a version by the same functions (versions.py).
"""

import hashlib
from dataclasses import dataclass, replace
from uuid import uuid4

import orjson

from ingest.commands.draft_changes import check_author
from ingest.commands.draft_origins import follow_published
from ingest.publishing.search_sync import sync_search
from ingest.publishing.versions import (
    claim_version,
    contents_of,
    drop_older,
    flip_pointer,
    own_version,
    tree_nodes,
    write_contents,
    write_relations,
    write_trees,
)
from loaders.library import metadata_values
from loaders.session import Session
from rules.hierarchy import Hierarchy, Json, checked_hierarchy, relations_of
from stores.rows import Equal, Write
from stores.tables import CONTENTS


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a document. ``changed`` is False if the same one was live already."""

    identifier: str
    version: int
    changed: bool
    leaf_nodes_count: int


async def publish_collection(session: Session, document: object) -> Published:
    """Publishes ``document``: nested JSON, ``{identifier, name, mimeType?, status?, children: [...]}``.

    - A document that is a leaf becomes a content in no collection.
    - An inner node that is published as a collection of its own stays that.

    Needs the role creator, admin or service. Raises InvalidInput that names the path of what is wrong. Raises Conflict
    if another process published meanwhile. If the search is away, it raises StoreUnavailable once all else is done, and
    the same call brings the index up to date later.
    """
    check_author(session)
    hierarchy = checked_hierarchy(document)
    published = await publish_tree(session, hierarchy)
    if published.changed:
        await follow_published(session, Hierarchy(hierarchy.root, published.version))
    await sync_search(session.shared, published.identifier)
    return published


async def publish_tree(session: Session, hierarchy: Hierarchy) -> Published:
    """Makes a tree that was checked the live version, if it is not yet. What follows from that is the caller's. Raises
    Conflict if another process published meanwhile."""
    digest = digest_of(hierarchy.root)
    rows, identifier = session.stores.rows, hierarchy.identifier
    stored = await rows.get(CONTENTS, (identifier,))
    before = own_version(stored)
    relations = relations_of(hierarchy)
    count = len(relations.leaf_nodes)
    if stored is not None and before is not None and stored["digest"] == digest:
        if stored["metadata"] is None:
            await _describe(session, Hierarchy(hierarchy.root, before))
        return Published(identifier, before, False, count)

    version = await claim_version(rows, identifier, before, claimed_by=uuid4().hex)
    published = Hierarchy(hierarchy.root, version)
    live = None if before is None else await session.library.relations.load((identifier, before))
    renamed = stored is not None and stored["name"] != hierarchy.root["name"]
    relations = replace(relations, version=version).following(live, renamed=renamed)
    at = session.viewer.time_of_call(None, session.now())
    contents = contents_of(published, relations, list(published.nodes), at)
    await write_trees(rows, published, tree_nodes(published))
    await write_relations(rows, relations, list(published.nodes))
    await write_contents(rows, published, contents[1:])
    await flip_pointer(rows, contents[0], published.root, before, digest)
    for content in contents:
        session.library.contents.forget(content.identifier)
    dropped = await drop_older(rows, published, before)
    await session.library.drop_cached_trees(identifier, dropped, tree_nodes(published))
    session.refresh()
    return Published(identifier, version, True, count)


def digest_of(tree: Json) -> str:
    """Returns what two trees share only if they are the same."""
    return hashlib.sha256(orjson.dumps(tree, option=orjson.OPT_SORT_KEYS)).hexdigest()


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
