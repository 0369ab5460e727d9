"""What all requests of a process share: contents, their published trees, and contexts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence

import orjson

from loaders.kept import ENTRY, MEGABYTE, texts
from loaders.published_contents import FRESH_FOR, PublishedContents, size_of_content
from loaders.shared import SharedLoader
from loaders.trees import StoredTree, Trees, tree_nodes
from rules.contents import Content, ContentKind, Metadata, metadata_of
from rules.contexts import Context, EnrolmentType
from rules.errors import NotFound
from rules.hierarchy import Hierarchy, Relations, RelationTree
from rules.identifiers import ContextType
from stores.cache import Cache
from stores.rows import Row, Rows
from stores.tables import CONTENTS, CONTEXTS, NODE_ROOTS, RELATIONS

Published = tuple[str, int]
"""A published version of a collection: its identifier and version. What it leads to never changes."""
MOST_CONTENTS, MOST_CONTEXTS, MOST_ROOTS, MOST_HOLDERS = (
    40 * MEGABYTE,
    32 * MEGABYTE,
    32 * MEGABYTE,
    4 * MEGABYTE,
)
"""Bytes of some 50,000 contents, 20,000 contexts, the roots of 40,000 nodes, and the holders of 5,000."""
MOST_RELATIONS = 128 * MEGABYTE
"""Bytes of relations: of 60 large textbooks, or of 4,000 courses of 50 nodes."""
ID = 150
"""Bytes that an id takes in a set."""
_VERSION = ("root", "live_version")


class Library:
    """The shared loaders of one process."""

    def __init__(self, rows: Rows, cache: Cache) -> None:
        self._rows = rows
        self.trees = Trees(rows, cache)
        self._published_contents = PublishedContents(rows, self.trees)
        self.contents: SharedLoader[str, Content] = SharedLoader(
            self._published_contents.contents, most=MOST_CONTENTS, size=size_of_content, ttl=FRESH_FOR
        )
        self.contexts: SharedLoader[str, Context] = SharedLoader(
            self._contexts, most=MOST_CONTEXTS, size=_size_of_context, ttl=FRESH_FOR
        )
        self.roots: SharedLoader[str, frozenset[str]] = SharedLoader(
            self._roots, most=MOST_ROOTS, size=lambda node, roots: ENTRY + texts(node, *roots), ttl=FRESH_FOR
        )
        """Loads which collections hold a node."""
        self._holders: SharedLoader[str, Content] = SharedLoader(
            self._holders_of, most=MOST_HOLDERS, size=size_of_content, ttl=FRESH_FOR
        )
        self.relations: SharedLoader[Published, RelationTree] = SharedLoader(
            self._relations, most=MOST_RELATIONS, size=_size_of_relations
        )

    def lookups(self) -> dict[str, Callable[[], dict[str, int]]]:
        """By what is kept: how many looks found it here, and how many did not."""
        return {
            "contents": self.contents.counts,
            "contexts": self.contexts.counts,
            "roots": self.roots.counts,
            "relations": self.relations.counts,
        }

    async def current(self, identifiers: Sequence[str]) -> list[Content | None]:
        """Contents as they are now, also if another process published them a moment ago. Which versions are live is
        read anew; a content itself only if it is not of its live version."""
        keys = [(identifier,) for identifier in identifiers]
        rows, contents = await asyncio.gather(
            self._rows.get_many(CONTENTS, keys, _VERSION), self.contents.load_many(identifiers)
        )
        unlike = [
            (content, rows.get(key, dict.fromkeys(_VERSION)))
            for key, content in zip(keys, contents, strict=True)
            if content is not None
            and (content.root, content.live_version)
            != tuple(rows.get(key, {}).get(name) for name in _VERSION)
        ]
        outdated = await self._outdated(unlike)
        if not outdated:
            return contents
        for identifier in outdated:
            self.contents.forget(identifier)
        return await self.contents.load_many(identifiers)

    async def _outdated(self, unlike: Sequence[tuple[Content, Row]]) -> list[str]:
        """Contents that are not what is live now. They are ``unlike`` their rows, which may be of a version that is not
        live yet, or never will be: then their root decides."""
        others = {
            root
            for content, row in unlike
            for root in (content.root, row["root"])
            if root not in (None, content.identifier)
        }
        if not others:
            return [content.identifier for content, _ in unlike]
        found = await self._rows.get_many(CONTENTS, [(root,) for root in others], _VERSION)
        live = {root: row["live_version"] for (root,), row in found.items() if row["root"] == root}
        return [
            content.identifier
            for content, row in unlike
            if row["root"] in (None, content.identifier)
            or live.get(row["root"]) == row["live_version"]
            or live.get(content.root) != content.live_version
        ]

    async def content(self, identifier: str, field: str) -> Content:
        """One content. NotFound that names ``field`` if there is no such content."""
        found = await self.contents.load(identifier)
        if found is None:
            raise NotFound(f"there is no content {identifier}", field=field)
        return found

    async def collection(self, identifier: str, field: str = "collectionId") -> Content:
        """One collection. NotFound if there is none, or if it is a unit or a leaf of another one."""
        found = await self.contents.load(identifier)
        if found is None:
            raise NotFound(f"there is no collection {identifier}", field=field)
        if found.kind is not ContentKind.COLLECTION:
            place = "" if found.root == identifier else f" of {found.root}"
            raise NotFound(
                f"{identifier} is a {found.kind.value}{place}, not a collection of its own", field=field
            )
        return found

    async def context(self, context_id: str, field: str = "contextId") -> Context:
        """One context. NotFound if there is no such context."""
        found = await self.contexts.load(context_id)
        if found is None:
            raise NotFound(f"there is no context {context_id}", field=field)
        return found

    async def current_contexts(self, context_ids: Sequence[str]) -> list[Context | None]:
        """Contexts as they are now, also if another process changed them a moment ago."""
        for context_id in context_ids:
            self.contexts.forget(context_id)
        return await self.contexts.load_many(context_ids)

    async def relation_tree(self, content: Content) -> RelationTree:
        """The relations of the live version of the tree that the content is in."""
        _, tree = (await self.published([content.identifier])).get(content.identifier, (content, None))
        if tree is None:
            raise NotFound(f"collection {content.root} has no published version")
        return tree

    async def published(self, identifiers: Sequence[str]) -> dict[str, tuple[Content, RelationTree | None]]:
        """Contents that exist, each with the relations of the live version of the tree that it is in.

        A pointer kept from before two publications leads to a version that is dropped: it is read anew once.
        """
        found = await self._published(identifiers)
        outdated = [identifier for identifier, (_, tree) in found.items() if tree is None]
        for identifier in outdated:
            self.contents.forget(identifier)
        return found | await self._published(outdated) if outdated else found

    async def _published(self, identifiers: Sequence[str]) -> dict[str, tuple[Content, RelationTree | None]]:
        contents = [c for c in await self.contents.load_many(identifiers) if c is not None]
        trees = await self.relations.load_many([(c.root, c.live_version) for c in contents])
        return {c.identifier: (c, tree) for c, tree in zip(contents, trees, strict=True)}

    async def metadata_of(
        self, contents: Sequence[Content], names: Collection[str] | None = None
    ) -> dict[str, Metadata]:
        """What was published of these contents, by identifier, of each at least these names, or all: one statement however
        many they are, if their rows have it (``PublishedContents.metadata_of``)."""
        return await self._published_contents.metadata_of(contents, names)

    async def holder(self, content: Content) -> Content | None:
        """The published collection whose live tree holds a unit or a leaf. None if there is none; of several the one that
        published it last, or else the first by id."""
        if content.root != content.identifier:
            root = await self.contents.load(content.root)
            if root is not None and root.live_version == content.live_version:
                return root
        return await self._holders.load(content.identifier)

    async def _holders_of(self, identifiers: list[str]) -> list[Content | None]:
        nodes = [node for node in await self.contents.load_many(identifiers) if node is not None]
        held = await self._published_contents.held(nodes)
        roots = {node.root: node for node in held.values()}
        found = dict(zip(roots, await self.contents.load_many(list(roots)), strict=True))
        return [found[held[one].root] if one in held else None for one in identifiers]

    async def hierarchy(self, content: Content) -> Hierarchy:
        """The live tree from this collection or unit down."""
        async for of in self._known_and_anew(content):
            found = await self.trees.hierarchy((of.identifier, of.root, of.live_version))
            if found is not None:
                return found
        raise _unpublished(content)

    async def tree(self, content: Content) -> tuple[Content, Hierarchy, RelationTree]:
        """A collection with its tree and relations, all of one version: that of ``content``, or the live one if that is
        gone by now."""
        async for of in self._known_and_anew(content):
            hierarchy, relations = await asyncio.gather(
                self.trees.hierarchy((of.identifier, of.root, of.live_version)),
                self.relations.load((of.root, of.live_version)),
            )
            if hierarchy is not None and relations is not None:
                return of, hierarchy, relations
        raise _unpublished(content)

    async def serialised(self, content: Content, node: str | None = None) -> bytes:
        """The JSON of ``stored_tree``."""
        return (await self.stored_tree(content, node)).data

    async def stored_tree(self, content: Content, node: str | None = None) -> StoredTree:
        """A collection's live tree as it is stored; from ``node`` down if that is given. NotFound if the tree has no such
        node."""
        async for of in self._known_and_anew(content):
            below = node or of.identifier
            found = await self._serialised(of, below)
            if found is not None:
                return StoredTree(found, f"{of.root}\n{of.live_version}\n{of.published_on}\n{below}")
        raise _unpublished(content)

    async def _serialised(self, content: Content, node: str) -> bytes | None:
        version = content.live_version
        of = content if node == content.identifier else await self.contents.load(node)
        if of is not None and (of.root, of.live_version) == (content.root, version):
            found = await self.trees.serialised.load((node, content.root, version))
            if found is not None or of is content:
                return found
        tree = await self.trees.hierarchy((content.identifier, content.root, version))
        if tree is None:
            return None
        below = tree.node(node)  # a leaf, or a unit that is a collection of its own
        if below is None:
            raise NotFound(f"collection {content.identifier} has no node {node}", field="node")
        return orjson.dumps(below)

    async def _known_and_anew(self, content: Content) -> AsyncIterator[Content]:
        """Gives the content, and then as it is now: what a reader knew of it may lead to a version that is dropped."""
        yield content
        self.contents.forget(content.identifier)
        yield await self.contents.load(content.identifier) or content

    async def drop_cached_trees(
        self, identifier: str, versions: Collection[int], units: Collection[str]
    ) -> None:
        """Makes room in the cache: nobody reads these versions of a collection, and of its units, any more."""
        await self.trees.drop([*tree_nodes(identifier, versions, units)])

    async def _contexts(self, context_ids: list[str]) -> list[Context | None]:
        found = await self._rows.get_many(CONTEXTS, [(context_id,) for context_id in context_ids])
        return [context_of(found.get((context_id,))) for context_id in context_ids]

    async def _roots(self, nodes: list[str]) -> list[frozenset[str]]:
        found = await self._rows.partitions(NODE_ROOTS, [(node,) for node in nodes], ("node", "root"))
        return [frozenset(row["root"] for row in found[node,]) for node in nodes]

    async def _relations(self, published: list[Published]) -> list[RelationTree | None]:
        found = await self._rows.partitions(RELATIONS, published)
        return [_relation_tree(key, found[key]) for key in published]


def _unpublished(content: Content) -> NotFound:
    return NotFound(f"{content.identifier} has no published version")


def _size_of_context(context_id: str, context: Context) -> int:
    written = (
        context.name,
        context.description,
        context.created_by,
        *context.collection_ids,
        *context.mentors,
    )
    return 2 * ENTRY + texts(context_id, *written)


def _size_of_relations(_: Published, tree: RelationTree) -> int:
    """Ids are in the relations of many nodes, each as a text of its own, and in what follows from them."""
    ids = sum(
        len(one.leaf_nodes) + len(one.optional_nodes) + len(one.ancestors) for one in tree.nodes.values()
    )
    return ENTRY * (len(tree.nodes) + 1) + ID * ids


def context_of(row: Row | None) -> Context | None:
    """The context in a row of ``context``."""
    if row is None:
        return None
    return Context(
        context_id=row["contextid"],
        type=ContextType(row["type"]),
        name=row["name"],
        collection_ids=tuple(sorted(row["collections"] or ())),
        start_date=row["start_date"],
        end_date=row["end_date"],
        opens_on=row["opens_on"],
        enrolment_end_date=row["enrolment_end_date"],
        enrolment_type=EnrolmentType(row["enrolment_type"]),
        description=row["description"],
        mentors=row["mentors"] or frozenset(),
        buckets=row["buckets"],
        created_by=row["created_by"],
        created_on=row["created_on"],
        updated_on=row["updated_on"],
    )


def _relation_tree(published: Published, rows: Sequence[Row]) -> RelationTree | None:
    rows = [row for row in rows if row["node"]]  # the one without a node only says that the version is taken
    if not rows:
        return None
    none: frozenset[str] = frozenset()
    nodes = {
        row["node"]: Relations(
            row["node"],
            row["leaf_nodes"] or none,
            row["optional_nodes"] or none,
            row["ancestors"] or none,
        )
        for row in rows
    }
    since = {row["node"]: row["unchanged_since"] for row in rows}
    marks = {row["node"]: row["pass_mark"] for row in rows if row["pass_mark"] is not None}
    return RelationTree(*published, nodes, since.get(published[0]), marks)


def content_values(content: Content, node: Metadata) -> dict[str, object]:
    """The columns that ``content`` stores of a content, apart from its key. ``node``: as it was published."""
    return {
        "name": content.name,
        "kind": content.kind.value,
        "status": content.status,
        "mime_type": content.mime_type,
        "leaf_nodes_count": content.leaf_nodes_count,
        "root": content.root,
        "live_version": content.live_version,
        "published_on": content.published_on,
        **metadata_values(node),
    }


def metadata_values(node: Metadata) -> dict[str, object]:
    """The columns that ``content`` stores of a node's metadata: what it has room for, and the names of the rest."""
    kept = metadata_of(node)
    left = frozenset(node.keys() - kept.keys() - {"children"})
    return {"metadata": orjson.dumps(kept).decode(), "metadata_left": left or None}


def context_values(context: Context) -> dict[str, object]:
    """The columns that ``context`` stores of a context, apart from its key."""
    return {
        "type": context.type.value,
        "name": context.name,
        "description": context.description,
        "collections": frozenset(context.collection_ids),
        "start_date": context.start_date,
        "end_date": context.end_date,
        "opens_on": context.opens_on,
        "enrolment_end_date": context.enrolment_end_date,
        "enrolment_type": context.enrolment_type.value,
        "mentors": context.mentors,
        "buckets": context.buckets,
        "created_by": context.created_by,
        "created_on": context.created_on,
        "updated_on": context.updated_on,
    }
