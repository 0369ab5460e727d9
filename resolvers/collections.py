"""Published collections and their trees. Any authenticated viewer may read them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from loaders.session import Session
from resolvers.paging import checked_many
from rules.contents import Content, ContentKind, Metadata
from rules.errors import NotFound
from rules.hierarchy import Hierarchy, Json, RelationTree, is_collection, is_optional
from rules.identifiers import checked_id

__all__ = ["Tree", "collection", "collections", "is_optional", "metadata", "serialised", "tree"]


@dataclass(frozen=True, slots=True)
class Tree:
    """The live version of a collection."""

    content: Content
    hierarchy: Hierarchy
    relations: RelationTree

    def leaves_count(self, node: Json) -> int:
        found = self.relations.nodes.get(node["identifier"])
        return len(found.leaf_nodes) if found else 0

    def node(self, identifier: str) -> Json:
        """One node. NotFound if the tree has no such node."""
        found = self.hierarchy.node(checked_id(identifier, "identifier"))
        if found is None:
            raise NotFound(
                f"collection {self.content.identifier} has no node {identifier}", field="identifier"
            )
        return found

    def leaves(self) -> list[Json]:
        """The tree's leaves, each once, in the tree's order."""
        return [node for node in self.hierarchy.nodes.values() if self.kind(node) is ContentKind.CONTENT]

    def units(self) -> list[Json]:
        """Every inner collection below the root, each once, in the tree's order."""
        return [node for node in self.hierarchy.nodes.values() if self.kind(node) is ContentKind.UNIT]

    def kind(self, node: Json) -> ContentKind:
        if node["identifier"] == self.hierarchy.identifier:
            return ContentKind.COLLECTION
        return ContentKind.UNIT if is_collection(node) else ContentKind.CONTENT


async def collection(session: Session, identifier: str, field: str = "identifier") -> Content:
    """A published collection. NotFound, InvalidInput, Unauthenticated."""
    session.viewer.known()
    return await session.library.collection(checked_id(identifier, field), field)


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


async def tree(session: Session, content: Content) -> Tree:
    """The tree of a collection's live version. NotFound if that is gone."""
    return Tree(*await session.library.tree(content))


async def metadata(
    session: Session, contents: Sequence[Content], names: Collection[str] | None = None
) -> dict[str, Metadata]:
    """The published metadata of collections, units and leaves, by identifier: all of it, or at least these names."""
    return await session.library.metadata_of(contents, names)


async def serialised(session: Session, content: Content, node: str | None = None) -> bytes:
    """The tree as JSON, as it is stored; from a node down if one is given. NotFound if the tree has no such node."""
    return await session.library.serialised(content, None if node is None else checked_id(node, "node"))
