"""Collections and the nodes of their trees."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry
from strawberry.scalars import JSON

from graph import enums
from graph.access import Access, to
from graph.arguments import OwnContextId
from graph.execution.encoding import SentAsIs
from graph.execution.lookahead import contexts_asked
from graph.fields import field
from graph.info import Info
from graph.node import Node, stands_for_node
from graph.orders import ContextOrder, ContextOrderBy, is_descending
from graph.packages import Package, Variant
from graph.paging import After, Before, Connection, First, Last, connection, counted_connection
from graph.progress import Progress
from graph.views import View
from resolvers import collections, contexts, edit_trees, nouns, packages
from resolvers.collections import Tree, is_optional
from resolvers.ordering import MOST_ORDERED, PARTS
from resolvers.paging import MOST, asked
from resolvers.progress import OwnProgress, own_progress

if TYPE_CHECKING:
    from graph.contexts_of_people import ContextConnection

MetadataFields = Annotated[
    list[str] | None,
    strawberry.argument(description="Only these of it, by their names; all without this."),
]


NodeId = Annotated[str, strawberry.argument(description="The node's identifier.")]
Mode = Annotated[enums.HierarchyMode, strawberry.argument(description="Which form of it.")]

WHOSE = "The name does not say whose it is. Ask for `{}`, which is the same."
_VIEWER_PROGRESS = "The viewer's own progress in it, whoever else the document is about; null in mode EDIT."
_VIEWER_VIEW = (
    "The viewer's own view of this leaf, whoever else the document is about; NOT_STARTED where there is none yet, null for a "
    "unit, and in mode EDIT."
)


class OwnTree:
    """A tree, and the viewer's own progress on it under each context that the page asks for: nobody has any in what is
    being edited."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._own: dict[str | None, OwnProgress | nouns.CohortError] = {}

    @classmethod
    async def of(cls, info: Info, tree: Tree) -> Self:
        """Reads what the fields below this one will show, once for all of them. Where that fails, they fail and
        what else there is of the tree is answered."""
        own_tree = cls(tree)
        if tree.mode is enums.HierarchyMode.EDIT:
            return own_tree
        for context_id in contexts_asked(info):
            try:
                own_tree._own[context_id] = await own_progress(info.context, tree.content, context_id)
            except nouns.CohortError as error:
                own_tree._own[context_id] = error
        return own_tree

    def own(self, context_id: str | None) -> OwnProgress | None:
        found = self._own.get(context_id)
        if isinstance(found, nouns.CohortError):
            raise found
        return found


@strawberry.type(
    description="A node of a collection's tree: the collection itself, a unit or a leaf.",
    directives=[to(Access.SIGNED_IN)],
)
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

    @field(description="The collection whose tree this is.")
    def collection(self) -> "Collection":
        return Collection.of_tree(self.own_tree.tree)

    @field(description="The nodes right below, in order.")
    def children(self) -> list["HierarchyNode"]:
        return [HierarchyNode.of(self.own_tree, child) for child in self.source.get("children") or ()]

    @field(description=_VIEWER_PROGRESS)
    def viewer_progress(self, context_id: OwnContextId = None) -> Progress | None:
        return self._progress(context_id)

    @field(description=_VIEWER_VIEW)
    def viewer_view(self, context_id: OwnContextId = None) -> View | None:
        return self._view(context_id)

    @field(description=_VIEWER_PROGRESS, deprecated=WHOSE.format("viewerProgress"))
    def progress(self, context_id: OwnContextId = None) -> Progress | None:
        return self._progress(context_id)

    @field(description=_VIEWER_VIEW, deprecated=WHOSE.format("viewerView"))
    def view(self, context_id: OwnContextId = None) -> View | None:
        return self._view(context_id)

    def _progress(self, context_id: str | None) -> Progress | None:
        own = self.own_tree.own(context_id)
        return None if own is None else Progress.of(own.of(self.identifier))

    def _view(self, context_id: str | None) -> View | None:
        own = self.own_tree.own(context_id)
        if own is None or self.kind is not enums.ContentKind.CONTENT:
            return None
        return View.of_touch(own.key, self.identifier, own.view(self.identifier))

    @field(description="Everything that was published of the node itself, without its children.")
    def metadata(self, fields: MetadataFields = None) -> JSON:
        return _metadata(self.source, fields)


@strawberry.type(description="A page of the leaves of a collection.", directives=[to(Access.WITH_OBJECT)])
class LeafNodeConnection(Connection[HierarchyNode]):
    total_count: int = strawberry.field(description="How many leaves there are in all.")


@strawberry.type(
    description="A tree of contents, such as a course: as it is live now, or, in mode EDIT, as it is drafted.",
    directives=[to(Access.SIGNED_IN)],
)
class Collection(Node):
    identifier: str = strawberry.field(description="The collection's identifier.")
    name: str = strawberry.field(description="For people.")
    status: str = strawberry.field(description="`Live`, `Unlisted`, `Retired`; in mode EDIT also `Draft`.")
    mime_type: str | None = strawberry.field(description="What it is made of.")
    leaf_nodes_count: int = strawberry.field(description="Distinct leaves in its tree.")
    version: int = strawberry.field(
        description="The live version: goes up with each publish, 0 before the first."
    )
    version_key: str | None = strawberry.field(
        description="In mode EDIT: which state of the draft this is. An edit may name it, so that it replaces no other."
    )
    published_on: datetime | None = strawberry.field(description="When the live version was published.")
    content: strawberry.Private[nouns.Content]
    edited: strawberry.Private[Tree | None] = None
    """What is shown in mode EDIT."""

    @classmethod
    def of_tree(cls, tree: Tree) -> Self:
        collection = cls.of(tree.content)
        if tree.mode is enums.HierarchyMode.EDIT:
            collection.edited, collection.version_key = tree, tree.version_key
        return collection

    @classmethod
    def of(cls, content: nouns.Content) -> Self:
        """The collection as it is live."""
        return cls(
            identifier=content.identifier,
            name=content.name,
            status=content.status,
            mime_type=content.mime_type,
            leaf_nodes_count=content.leaf_nodes_count,
            version=content.live_version,
            version_key=None,
            published_on=content.published_on,
            content=content,
        )

    def key(self) -> tuple[str, ...]:
        return (self.identifier,)

    async def _tree(self, info: Info) -> Tree:
        return self.edited or await collections.tree(info.context, self.content)

    async def _own_tree(self, info: Info) -> OwnTree:
        return await OwnTree.of(info, await self._tree(info))

    @field(description="The nodes right below the root, in order.")
    async def children(self, info: Info) -> list[HierarchyNode] | None:
        own_tree = await self._own_tree(info)
        root = own_tree.tree.hierarchy.root
        return [HierarchyNode.of(own_tree, child) for child in root.get("children") or ()]

    @field(description="A node anywhere in the tree, the root included.")
    async def node(self, info: Info, identifier: NodeId) -> HierarchyNode | None:
        own_tree = await self._own_tree(info)
        return HierarchyNode.of(own_tree, own_tree.tree.node(identifier))

    @field(description="The leaves of the tree, each once, in the tree's order.")
    async def leaf_nodes(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> LeafNodeConnection | None:
        wanted = asked(first, after, last, before, parts=2)
        own_tree = await self._own_tree(info)
        page = connection(
            own_tree.tree.leaves_page(wanted),
            lambda leaf: HierarchyNode.of(own_tree, leaf.node),
            lambda leaf: leaf.cursor,
        )
        return LeafNodeConnection(
            edges=page.edges, page_info=page.page_info, total_count=own_tree.tree.content.leaf_nodes_count
        )

    @field(description="Everything that is said of the collection itself, without its children.")
    async def metadata(self, info: Info, fields: MetadataFields = None) -> JSON | None:
        if self.edited is not None:
            return _metadata(self.edited.hierarchy.root, fields)
        found = await collections.metadata(info.context, [self.content], fields)
        return _metadata(found[self.identifier], fields)

    @field(description="The tree as nested JSON, all that was said of each node included.")
    async def hierarchy(
        self,
        info: Info,
        node: Annotated[
            str | None, strawberry.argument(description="From this node down; from the root without it.")
        ] = None,
        depth: Annotated[
            int | None,
            strawberry.argument(
                description="So many levels below it; all without this. Nodes of the last one have no `children` then."
            ),
        ] = None,
    ) -> JSON | None:
        if self.edited is None and depth is None:
            stored = await collections.stored_tree(info.context, self.content, node)
            return JSON(SentAsIs(stored.data, stored.tag))
        return JSON((await self._tree(info)).part(node, depth))

    @field(description="The live version as a file; null where it was published without one.")
    async def package(self, info: Info, variant: Variant = enums.PackageVariant.SPINE) -> Package | None:
        found = await packages.package(info.context.shared, self.content, variant)
        return Package.of(found) if found else None

    @field(description=_VIEWER_PROGRESS)
    async def viewer_progress(self, info: Info, context_id: OwnContextId = None) -> Progress | None:
        return await self._progress(info, context_id)

    @field(description=_VIEWER_PROGRESS, deprecated=WHOSE.format("viewerProgress"))
    async def progress(self, info: Info, context_id: OwnContextId = None) -> Progress | None:
        return await self._progress(info, context_id)

    async def _progress(self, info: Info, context_id: str | None) -> Progress | None:
        if self.edited is not None:
            return None
        own = await own_progress(info.context, self.content, context_id)
        return Progress.of(own.of(self.identifier))

    @field(
        description="Its contexts, by the last moment to join them unless told: first those by invitation alone, last those "
        "without an end. With `status` a page may have fewer than `first` although there are more. Another order and the way "
        f"back are for at most {MOST_ORDERED}, with `open` of those that are open."
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
        joinable: Annotated[
            bool,
            strawberry.argument(
                description="Only batches to join: those that are open, without those where the viewer is enrolled."
            ),
        ] = False,
        status: Annotated[
            enums.ContextStatus | None,
            strawberry.argument(description="Only those that are there by their dates."),
        ] = None,
        order_by: Annotated[ContextOrder | None, strawberry.argument(description="In which order.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Annotated["ContextConnection", strawberry.lazy("graph.contexts_of_people")] | None:
        from graph.contexts import Context
        from graph.contexts_of_people import ContextConnection

        if joinable and open is False:
            raise nouns.InvalidInput("what is joinable is open; ask for one of the two", field="joinable")
        page_asked = asked(first, after, last, before, parts=PARTS)
        order = order_by or ContextOrder(by=ContextOrderBy.JOINABLE_UNTIL)
        wanted = contexts.CollectionContextsWanted(
            *(joinable or open, joinable, status), by=order.by, descending=is_descending(order)
        )
        found = contexts.CollectionContexts(info.context, self.content, wanted)
        page = await found.page(page_asked)
        now = info.context.now()
        return counted_connection(
            *(ContextConnection, page, lambda one: Context.of(one, now), wanted.ordering.place, found.count),
            begun=page_asked.place is not None,
        )


stands_for_node(
    Collection,
    nouns.Content,
    ("identifier", "name", "status", "mime_type", "leaf_nodes_count", "published_on"),
    lambda content, _: Collection.of(content),
    lambda content: (content.identifier,),
)


@strawberry.type
class CollectionQueries:
    @field(
        description="A collection. NOT_FOUND where it is none, or a unit of another one. One that is retired is still "
        "told, for those who learned in it.",
        access=Access.SIGNED_IN,
    )
    async def collection(
        self,
        info: Info,
        identifier: Annotated[str, strawberry.argument(description="The collection's identifier.")],
        mode: Mode = enums.HierarchyMode.LIVE,
    ) -> Collection | None:
        if mode is enums.HierarchyMode.EDIT:
            return Collection.of_tree(await edit_trees.edit_tree(info.context, identifier))
        return Collection.of(await collections.collection(info.context, identifier))

    @field(description="Collections in the order asked for; null for what is none.", access=Access.SIGNED_IN)
    async def collections(
        self,
        info: Info,
        identifiers: Annotated[
            list[str], strawberry.argument(description=f"The collections' identifiers, at most {MOST}.")
        ],
        mode: Mode = enums.HierarchyMode.LIVE,
    ) -> list[Collection | None] | None:
        of_each: list[Collection | None]
        if mode is enums.HierarchyMode.EDIT:
            trees = await edit_trees.edit_trees(info.context, identifiers)
            of_each = [None if tree is None else Collection.of_tree(tree) for tree in trees]
        else:
            contents = await collections.collections(info.context, identifiers)
            of_each = [None if content is None else Collection.of(content) for content in contents]
        found = dict(zip(identifiers, of_each, strict=True))
        return [found[identifier] for identifier in identifiers]

    @field(
        description="A node of a collection's tree: of the one that is named, or else of the published one that holds it. "
        "NOT_FOUND says which of the two is not there.",
        access=Access.SIGNED_IN,
    )
    async def hierarchy_node(
        self,
        info: Info,
        identifier: NodeId,
        collection_id: Annotated[
            str | None,
            strawberry.argument(description="The collection's identifier; found by the node's without it."),
        ] = None,
        mode: Mode = enums.HierarchyMode.LIVE,
    ) -> HierarchyNode | None:
        tree = await edit_trees.tree_with(info.context, identifier, collection_id, mode)
        return HierarchyNode.of(await OwnTree.of(info, tree), tree.node(identifier))


def _metadata(node: Mapping[str, Any], fields: list[str] | None) -> JSON:
    return JSON(
        {
            name: value
            for name, value in node.items()
            if name != "children" and (fields is None or name in fields)
        }
    )


def _text(node: dict[str, Any], name: str) -> str | None:
    value = node.get(name)
    return value if isinstance(value, str) else None
