"""Collections and the nodes of their trees."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry
from strawberry.scalars import JSON

from graph import enums
from graph.arguments import OwnContextId
from graph.fields import field
from graph.info import Info
from graph.lookahead import contexts_asked
from graph.node import Node
from graph.packages import Package, Variant
from graph.paging import After, Connection, First, connection, page_size
from graph.progress import Progress
from graph.scalars import serialised_json
from graph.views import View
from resolvers import collections, contexts, nouns, packages
from resolvers.collections import Tree, is_optional
from resolvers.opaque_texts import decode_cursor
from resolvers.paging import MOST
from resolvers.progress import OwnProgress, own_progress

if TYPE_CHECKING:
    from graph.contexts import Context

MetadataFields = Annotated[
    list[str] | None,
    strawberry.argument(description="Only these of it, by their names; all without this."),
]


class OwnTree:
    """A tree, and the viewer's own progress on it under each context that the page asks for."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._own: dict[str | None, OwnProgress | nouns.CohortError] = {}

    @classmethod
    async def of(cls, info: Info, tree: Tree) -> Self:
        """Reads what the fields below this one will show, once for all of them. Where that fails, they fail and
        what else there is of the tree is answered."""
        own_tree = cls(tree)
        for context_id in contexts_asked(info):
            try:
                own_tree._own[context_id] = await own_progress(info.context, tree.content, context_id)
            except nouns.CohortError as error:
                own_tree._own[context_id] = error
        return own_tree

    def own(self, context_id: str | None) -> OwnProgress:
        found = self._own[context_id]
        if isinstance(found, nouns.CohortError):
            raise found
        return found


@strawberry.type(description="A node of a collection's tree: the collection itself, a unit or a leaf.")
class HierarchyNode:
    identifier: str = strawberry.field(description="The node's identifier.")
    name: str = strawberry.field(description="For people.")
    kind: enums.ContentKind = strawberry.field(description="What the node is.")
    mime_type: str | None = strawberry.field(description="What it is made of.")
    primary_category: str | None = strawberry.field(description="What it is for, such as `Course Unit`.")
    leaf_nodes_count: int = strawberry.field(description="Distinct leaves below it; 0 for a leaf.")
    optional: bool = strawberry.field(description="Whether progress does without it.")
    own_tree: strawberry.Private[OwnTree]
    source: strawberry.Private[dict[str, Any]]

    @classmethod
    def of(cls, own_tree: OwnTree, node: dict[str, Any]) -> Self:
        return cls(
            identifier=node["identifier"],
            name=node["name"],
            kind=own_tree.tree.kind(node),
            mime_type=_text(node, "mimeType"),
            primary_category=_text(node, "primaryCategory"),
            leaf_nodes_count=own_tree.tree.leaves_count(node),
            optional=is_optional(node),
            own_tree=own_tree,
            source=node,
        )

    @field(description="The nodes right below, in order.")
    def children(self) -> list["HierarchyNode"]:
        return [HierarchyNode.of(self.own_tree, child) for child in self.source.get("children") or ()]

    @field(description="The viewer's own progress in it.")
    def progress(self, context_id: OwnContextId = None) -> Progress | None:
        return Progress.of(self.own_tree.own(context_id).of(self.identifier))

    @field(
        description="The viewer's own view of this leaf, NOT_STARTED where there is none yet; null for a unit."
    )
    def view(self, context_id: OwnContextId = None) -> View | None:
        own = self.own_tree.own(context_id)
        if self.kind is not enums.ContentKind.CONTENT:
            return None
        return View.of_touch(own.key, self.identifier, own.view(self.identifier))

    @field(description="Everything that was published of the node itself, without its children.")
    def metadata(self, fields: MetadataFields = None) -> JSON:
        return JSON(
            {
                name: value
                for name, value in self.source.items()
                if name != "children" and (fields is None or name in fields)
            }
        )


@strawberry.type(description="A published tree of contents, such as a course, as it is live now.")
class Collection(Node):
    identifier: str = strawberry.field(description="The collection's identifier.")
    name: str = strawberry.field(description="For people.")
    status: str = strawberry.field(description="As stored, such as `Live`.")
    mime_type: str | None = strawberry.field(description="What it is made of.")
    leaf_nodes_count: int = strawberry.field(description="Distinct leaves in its tree.")
    version: int = strawberry.field(description="Goes up with each publish.")
    published_on: datetime | None = strawberry.field(description="When this version was published.")
    content: strawberry.Private[nouns.Content]

    @classmethod
    def of(cls, content: nouns.Content) -> Self:
        return cls(
            identifier=content.identifier,
            name=content.name,
            status=content.status,
            mime_type=content.mime_type,
            leaf_nodes_count=content.leaf_nodes_count,
            version=content.live_version,
            published_on=content.published_on,
            content=content,
        )

    def key(self) -> tuple[str, ...]:
        return (self.identifier,)

    async def _own_tree(self, info: Info) -> OwnTree:
        return await OwnTree.of(info, await collections.tree(info.context, self.content))

    @field(description="The nodes right below the root, in order.")
    async def children(self, info: Info) -> list[HierarchyNode] | None:
        own_tree = await self._own_tree(info)
        root = own_tree.tree.hierarchy.root
        return [HierarchyNode.of(own_tree, child) for child in root.get("children") or ()]

    @field(description="A node anywhere in the tree, the root included.")
    async def node(
        self,
        info: Info,
        identifier: Annotated[str, strawberry.argument(description="The node's identifier.")],
    ) -> HierarchyNode | None:
        own_tree = await self._own_tree(info)
        return HierarchyNode.of(own_tree, own_tree.tree.node(identifier))

    @field(description="Every leaf of the tree, each once, in the tree's order.")
    async def leaf_nodes(self, info: Info) -> list[HierarchyNode] | None:
        own_tree = await self._own_tree(info)
        return [HierarchyNode.of(own_tree, leaf) for leaf in own_tree.tree.leaves()]

    @field(
        description="Everything that was published of the collection itself, without its children; of more than 32 KB "
        "the smaller values."
    )
    async def metadata(self, info: Info, fields: MetadataFields = None) -> JSON | None:
        published = await collections.metadata(info.context, [self.content])
        found = published[self.identifier]
        return JSON({name: value for name, value in found.items() if fields is None or name in fields})

    @field(description="The whole tree as nested JSON, as it was published.")
    async def hierarchy(self, info: Info) -> JSON | None:
        return serialised_json(await collections.serialised(info.context, self.content))

    @field(description="The live version as a file; null where it was published without one.")
    async def package(self, info: Info, variant: Variant = enums.PackageVariant.SPINE) -> Package | None:
        found = await packages.package(info.context.shared, self.content, variant)
        return Package.of(found) if found else None

    @field(description="The viewer's own progress in it.")
    async def progress(self, info: Info, context_id: OwnContextId = None) -> Progress | None:
        own = await own_progress(info.context, self.content, context_id)
        return Progress.of(own.of(self.identifier))

    @field(
        description="Its contexts, by the last moment to join them: first those by invitation alone, last those without "
        "an end. With `status` a page may have fewer than `first` although there are more."
    )
    async def contexts(
        self,
        info: Info,
        open: Annotated[  # noqa: A002 - the schema's name for it
            bool | None,
            strawberry.argument(
                description="Only those that the viewer may join now without an invitation, or only the others."
            ),
        ] = None,
        status: Annotated[
            enums.ContextStatus | None,
            strawberry.argument(description="Only those that are there by their dates."),
        ] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Annotated["Context", strawberry.lazy("graph.contexts")]] | None:
        from graph.contexts import Context

        place = decode_cursor(after, 2)
        page = await contexts.contexts_of(
            info.context,
            self.identifier,
            joinable=open,
            status=status,
            first=page_size(first),
            after=place,
        )
        now = info.context.now()
        return connection(
            page, lambda found: Context.of(found, now), contexts.cursor_of, begun=place is not None
        )


@strawberry.type
class CollectionQueries:
    @field(description="A published collection. NOT_FOUND where it is none, or a unit of another one.")
    async def collection(
        self,
        info: Info,
        identifier: Annotated[str, strawberry.argument(description="The collection's identifier.")],
    ) -> Collection | None:
        return Collection.of(await collections.collection(info.context, identifier))

    @field(description="Published collections in the order asked for; null for what is none.")
    async def collections(
        self,
        info: Info,
        identifiers: Annotated[
            list[str], strawberry.argument(description=f"The collections' identifiers, at most {MOST}.")
        ],
    ) -> list[Collection | None] | None:
        contents = dict(
            zip(identifiers, await collections.collections(info.context, identifiers), strict=True)
        )
        found = {
            identifier: None if content is None else Collection.of(content)
            for identifier, content in contents.items()
        }
        return [found[identifier] for identifier in identifiers]


def _text(node: dict[str, Any], name: str) -> str | None:
    value = node.get(name)
    return value if isinstance(value, str) else None
