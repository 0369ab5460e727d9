"""Published collections and their trees. Any authenticated viewer may read them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from loaders.session import Session
from loaders.trees import StoredTree
from resolvers.paging import Asked, Page, checked_many
from rules.contents import Content, ContentKind, HierarchyMode, Metadata
from rules.errors import InvalidInput, NotFound
from rules.hierarchy import (
    DEEPEST,
    Hierarchy,
    Json,
    RelationTree,
    children_of,
    is_collection,
    is_optional,
)
from rules.identifiers import checked_id

__all__ = [
    "Leaf",
    "Tree",
    "collection",
    "collections",
    "content",
    "is_optional",
    "metadata",
    "root_of",
    "stored_tree",
    "tree",
]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf and its place among the leaves of a tree, from 1."""

    node: Json
    place: int

    @property
    def cursor(self) -> Sequence[str]:
        return str(self.node["identifier"]), str(self.place)


@dataclass(frozen=True, slots=True)
class Tree:
    """A collection in one of its forms: the live version, or what is edited. ``version_key``: of the draft."""

    content: Content
    hierarchy: Hierarchy
    relations: RelationTree
    mode: HierarchyMode = HierarchyMode.LIVE
    version_key: str | None = None

    def leaves_count(self, node: Json) -> int:
        found = self.relations.nodes.get(node["identifier"])
        return len(found.leaf_nodes) if found else 0

    def node(self, identifier: str, field: str = "identifier") -> Json:
        """One node. NotFound if the tree has no such node."""
        found = self.hierarchy.node(checked_id(identifier, field))
        if found is None:
            raise NotFound(f"collection {self.content.identifier} has no node {identifier}", field=field)
        return found

    def part(self, node: str | None, depth: int | None) -> Json:
        """A node, or the root, with this many levels below it, or all. Nodes of the last level are without ``children``."""
        if depth is not None and not 0 <= depth <= DEEPEST:
            raise InvalidInput(f"depth must be from 0 to {DEEPEST}", field="depth")
        found = self.hierarchy.root if node is None else self.node(node, "node")
        return found if depth is None else _cut(found, depth)

    def leaves(self) -> Sequence[Json]:
        """The tree's leaves, each once, in the tree's order."""
        return self.hierarchy.leaves_in_order

    def leaves_page(self, asked: Asked) -> Page[Leaf]:
        """The page of the leaves that is asked for. If a publish has taken the leaf of a cursor away meanwhile, the page goes
        on at its place."""
        leaves = self.leaves()
        begin, end = 0, len(leaves)
        if asked.place is not None:
            before, behind = _around(self.hierarchy, *asked.place, field=asked.field)
            begin, end = (0, before) if asked.backward else (behind, end)
        if asked.backward:
            begin = max(0, end - asked.limit)
        else:
            end = min(end, begin + asked.limit)
        shown = enumerate(leaves[begin:end], begin + 1)
        return Page([Leaf(node, place) for place, node in shown], end < len(leaves), has_earlier=begin > 0)

    def units(self) -> list[Json]:
        """Every inner collection below the root, each once, in the tree's order."""
        return [node for node in self.hierarchy.nodes.values() if self.kind(node) is ContentKind.UNIT]

    def kind(self, node: Json) -> ContentKind:
        if node["identifier"] == self.hierarchy.identifier:
            return ContentKind.COLLECTION
        return ContentKind.UNIT if is_collection(node) else ContentKind.CONTENT


def _around(hierarchy: Hierarchy, identifier: str, place: str, *, field: str) -> tuple[int, int]:
    """How many leaves are before this one, and where the next one stands, counted from 0."""
    found = hierarchy.leaves.get(identifier)
    if found is not None:
        return found[0], found[0] + 1
    if not place.isdecimal():
        raise InvalidInput(f"{field} must be a cursor of this list", field=field)
    gone_from = min(max(0, int(place) - 1), len(hierarchy.leaves))
    return gone_from, gone_from


def _cut(node: Json, depth: int) -> Json:
    if depth == 0:
        return {name: value for name, value in node.items() if name != "children"}
    if "children" not in node:
        return node
    return {**node, "children": [_cut(child, depth - 1) for child in children_of(node)]}


async def collection(session: Session, identifier: str, field: str = "identifier") -> Content:
    """A published collection. NotFound, InvalidInput, Unauthenticated."""
    session.viewer.known()
    return await session.library.collection(checked_id(identifier, field), field)


async def content(session: Session, identifier: str, field: str = "identifier") -> Content:
    """A published collection, unit or leaf. NotFound, InvalidInput, Unauthenticated."""
    session.viewer.known()
    return await session.library.content(checked_id(identifier, field), field)


async def collections(session: Session, identifiers: Sequence[str]) -> list[Content | None]:
    """The collections with these identifiers, in their order; None for an identifier of no collection."""
    session.viewer.known()
    wanted = [
        checked_id(identifier, "identifiers") for identifier in checked_many(identifiers, "identifiers")
    ]
    found = await session.library.contents.load_many(wanted)
    return [
        content if content is not None and content.kind is ContentKind.COLLECTION else None
        for content in found
    ]


async def root_of(session: Session, node: str, field: str = "identifier") -> Content:
    """The published collection that a node is in; a collection itself. NotFound if none holds it. Of several collections
    that hold a leaf it is the one that published it last, or the first by id."""
    session.viewer.known()
    found = await session.library.contents.load(checked_id(node, field))
    if found is None:
        raise NotFound(f"there is no published node {node}", field=field)
    if found.kind is ContentKind.COLLECTION:
        return found
    root = await session.library.holder(found)
    if root is None:
        raise NotFound(f"no published collection holds {node}", field=field)
    return root


async def tree(session: Session, content: Content) -> Tree:
    """The tree of a collection's live version. NotFound if that is gone."""
    return Tree(*await session.library.tree(content))


async def metadata(
    session: Session, contents: Sequence[Content], names: Collection[str] | None = None
) -> dict[str, Metadata]:
    """The published metadata of collections, units and leaves, by identifier: all of it, or at least these names."""
    return await session.library.metadata_of(contents, names)


async def stored_tree(session: Session, content: Content, node: str | None = None) -> StoredTree:
    """The tree as JSON, as it is stored; from a node down if one is given. NotFound if the tree has no such node."""
    return await session.library.stored_tree(content, None if node is None else checked_id(node, "node"))
