"""A collection's tree, or a part of it, as bytes of JSON: live or as it is edited."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from loaders.session import Session
from resolvers import collections, drafts
from rules.contents import Content, ContentKind
from rules.errors import NotFound
from rules.hierarchy import Json, children_of, is_collection, walk
from rules.identifiers import checked_id

ROOT = "rootId"
BOOKMARK = "bookmarkId"
"""What clients call the two ids of a read; errors name them so."""


@dataclass(frozen=True, slots=True)
class LiveNode:
    """A place in a published tree.

    - ``content``: the collection or the unit that the client named first; ``version``: the live one of its collection.
    - ``bookmark``: a node below it, from where down the client reads; None for all of it.
    """

    content: Content
    version: int
    bookmark: str | None

    @property
    def tag(self) -> bytes:
        """What the bytes of this place depend on: what a version leads to never changes."""
        return (
            f"{self.content.root}\n{self.version}\n{self.content.identifier}\n{self.bookmark or ''}".encode()
        )


async def live_node(session: Session, identifier: str, bookmark: str | None = None) -> LiveNode:
    """Finds a place by the id of a collection, or by that of a unit alone, and reads no tree.

    NotFound if nothing has the id, if it is no collection or unit, or if the collection is retired (P-2.9).
    """
    session.viewer.known()
    identifier = checked_id(identifier, ROOT)
    contents = session.library.contents
    content = await contents.load(identifier)
    if content is None or content.kind is ContentKind.CONTENT:
        raise _no_root(identifier)
    root = content if content.root == identifier else await contents.load(content.root)
    if root is None or root.is_retired:
        raise _no_root(identifier)
    return LiveNode(content, root.live_version, None if bookmark is None else checked_id(bookmark, BOOKMARK))


async def live_json(session: Session, place: LiveNode, depth: int | None = None) -> bytes:
    """The published tree from a place down, as it is stored; with ``depth`` no more than so many levels below it.

    NotFound if the tree has no such node, or nobody can read its version any more.
    """
    if depth is None:
        try:
            return (await collections.stored_tree(session, place.content, place.bookmark)).data
        except NotFound:
            raise (
                _no_bookmark(place.bookmark) if place.bookmark else _no_root(place.content.identifier)
            ) from None
    hierarchy = await session.library.hierarchy(place.content)
    return await _written(lambda: _part_of(hierarchy.root, place.bookmark, depth))


async def edit_json(
    session: Session, identifier: str, bookmark: str | None = None, depth: int | None = None
) -> bytes:
    """The tree as its authors see it, from the root or a node down. A unit's id alone is enough once it was published.

    NotFound, Forbidden.
    """
    identifier = checked_id(identifier, ROOT)
    bookmark = None if bookmark is None else checked_id(bookmark, BOOKMARK)
    try:
        tree = await drafts.edit_tree(session, identifier, ROOT)
        below = tree.root
    except NotFound:
        unit = await session.library.contents.load(identifier)
        if unit is None or unit.kind is not ContentKind.UNIT:
            raise _no_root(identifier) from None
        tree = await drafts.edit_tree(session, unit.root, ROOT)
        found = _found(tree.root, identifier)
        if found is None:
            raise _no_root(identifier) from None
        below = found
    return await _written(lambda: _part_of(below, bookmark, depth))


async def _written(part: Callable[[], Json]) -> bytes:
    """The part as JSON. It is made in a thread: a tree may have megabytes."""
    return await asyncio.to_thread(lambda: orjson.dumps(part()))


def _part_of(node: Json, bookmark: str | None, depth: int | None) -> Json:
    if bookmark is not None:
        found = _found(node, bookmark)
        if found is None:
            raise _no_bookmark(bookmark)
        node = found
    return node if depth is None else _cut(node, depth)


def _found(node: Json, identifier: str) -> Json | None:
    return next((one for one in walk(node) if one["identifier"] == identifier), None)


def _cut(node: Json, depth: int) -> Json:
    """Returns the node with so many levels below it. A collection whose children are left out has no ``children``."""
    if not is_collection(node):
        return node
    if depth == 0:
        return {name: value for name, value in node.items() if name != "children"}
    return {**node, "children": [_cut(child, depth - 1) for child in children_of(node)]}


def _no_root(identifier: str) -> NotFound:
    return NotFound(f"{ROOT} {identifier} does not exist", field=ROOT)


def _no_bookmark(identifier: str) -> NotFound:
    return NotFound(f"{BOOKMARK} {identifier} does not exist", field=BOOKMARK)
