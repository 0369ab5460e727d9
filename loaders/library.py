"""What all requests of a process share: contents, their published trees, and contexts."""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Any

import orjson

from loaders.shared import SharedLoader
from rules.contents import Content, ContentKind, Metadata, metadata_of
from rules.contexts import Context, EnrolmentType
from rules.errors import NotFound
from rules.hierarchy import Hierarchy, Relations, RelationTree
from rules.identifiers import ContextType
from stores.rows import Row, Rows
from stores.tables import CONTENTS, CONTEXTS, HIERARCHIES, NODE_ROOTS, RELATIONS

LIVE = "live"
"""The ``mode`` of published trees in content_hierarchy."""
FRESH_FOR = 5.0
"""Seconds for which a content's pointer or a context may be answered from memory after another process changed it."""

Published = tuple[str, int]
"""A published version of a collection: its identifier and version. What it leads to never changes."""
PublishedNode = tuple[str, str, int]
"""A node of a published version: its identifier, the collection's, the version."""

_POINTERS = tuple(name for name in CONTENTS.types if name not in ("metadata", "digest"))
"""The columns that make a Content. Most requests need no more, and processes keep many contents."""
_VERSION = ("root", "live_version")
MOST_TREES = 20
"""Trees that are read at once, for metadata that the contents' rows do not have yet."""


class Library:
    """The shared loaders of one process."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.contents: SharedLoader[str, Content] = SharedLoader(self._contents, most=50_000, ttl=FRESH_FOR)
        self.metadata: SharedLoader[PublishedNode, Metadata] = SharedLoader(self._metadata, most=5_000)
        self.contexts: SharedLoader[str, Context] = SharedLoader(self._contexts, most=20_000, ttl=FRESH_FOR)
        self.roots: SharedLoader[str, frozenset[str]] = SharedLoader(self._roots, most=50_000, ttl=FRESH_FOR)
        """Loads which collections hold a node."""
        self.relations: SharedLoader[Published, RelationTree] = SharedLoader(self._relations, most=2_000)
        self.hierarchies: SharedLoader[Published, Hierarchy] = SharedLoader(self._hierarchies, most=500)

    async def current(self, identifiers: Sequence[str]) -> list[Content | None]:
        """Contents as they are now, also if another process published them a moment ago. Which versions are live is
        read anew; a content itself only if it is not of its live version."""
        keys = [(identifier,) for identifier in identifiers]
        pointers, contents = await asyncio.gather(
            self._rows.get_many(CONTENTS, keys, _VERSION), self.contents.load_many(identifiers)
        )
        outdated = [
            content.identifier
            for key, content in zip(keys, contents, strict=True)
            if content is not None
            and [content.root, content.live_version] != [pointers.get(key, {}).get(name) for name in _VERSION]
        ]
        if not outdated:
            return contents
        for identifier in outdated:
            self.contents.forget(identifier)
        return await self.contents.load_many(identifiers)

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
            raise NotFound(
                f"{identifier} is a {found.kind.value} of {found.root}, not a collection of its own",
                field=field,
            )
        return found

    async def context(self, context_id: str, field: str = "contextId") -> Context:
        """One context. NotFound if there is no such context."""
        found = await self.contexts.load(context_id)
        if found is None:
            raise NotFound(f"there is no context {context_id}", field=field)
        return found

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

    async def metadata_of(self, contents: Sequence[Content]) -> dict[str, Metadata]:
        """The published metadata of these contents, by identifier: one statement however many they are.

        A content that was published before its row had metadata has it in its tree, which is read for at most
        MOST_TREES of them; else its metadata is empty until it is published again.
        """
        wanted = {(one.identifier, one.root, one.live_version): one for one in contents}
        found = dict(zip(wanted, await self.metadata.load_many(list(wanted)), strict=True))
        older = [wanted[node] for node, metadata in found.items() if metadata is None]
        if len(older) > MOST_TREES:
            older = []
        trees = await self.hierarchies.load_many([(one.root, one.live_version) for one in older])
        nodes = {
            one.identifier: metadata_of((tree.node(one.identifier) if tree else None) or {})
            for one, tree in zip(older, trees, strict=True)
        }
        return {
            node[0]: nodes.get(node[0], {}) if metadata is None else metadata
            for node, metadata in found.items()
        }

    async def hierarchy(self, content: Content) -> Hierarchy:
        """The live tree from this collection or unit down. A unit's version is its collection's, whose pointer is
        changed last: until then a reader sees the unit as it was."""
        for _ in range(2):
            root = await self.contents.load(content.root) or content
            found = await self.hierarchies.load((content.identifier, root.live_version))
            if found is not None:
                return found
            self.contents.forget(content.root)  # as in ``published``
        raise NotFound(f"{content.identifier} has no published version")

    async def _contents(self, identifiers: list[str]) -> list[Content | None]:
        keys = [(identifier,) for identifier in identifiers]
        found = await self._rows.get_many(CONTENTS, keys, _POINTERS)
        return [_content(found.get(key)) for key in keys]

    async def _metadata(self, nodes: list[PublishedNode]) -> list[Metadata | None]:
        """The metadata of the version that is live by now. That may be a newer one: then nobody asks for this one
        again."""
        keys = list({(identifier,) for identifier, _, _ in nodes})
        found = await self._rows.get_many(CONTENTS, keys, ("identifier", "metadata"))
        texts = [(found.get((identifier,)) or {}).get("metadata") for identifier, _, _ in nodes]
        return [None if text is None else orjson.loads(text) for text in texts]

    async def _contexts(self, context_ids: list[str]) -> list[Context | None]:
        found = await self._rows.get_many(CONTEXTS, [(context_id,) for context_id in context_ids])
        return [context_of(found.get((context_id,))) for context_id in context_ids]

    async def _roots(self, nodes: list[str]) -> list[frozenset[str]]:
        found = await self._rows.partitions(NODE_ROOTS, [(node,) for node in nodes], ("node", "root"))
        return [frozenset(row["root"] for row in found[node,]) for node in nodes]

    async def _relations(self, published: list[Published]) -> list[RelationTree | None]:
        found = await self._rows.partitions(RELATIONS, published)
        return [_relation_tree(key, found[key]) for key in published]

    async def _hierarchies(self, published: list[Published]) -> list[Hierarchy | None]:
        found = await self._rows.partitions(HIERARCHIES, [(identifier, LIVE) for identifier, _ in published])
        return [_hierarchy(found[identifier, LIVE], version) for identifier, version in published]


def _content(row: Row | None) -> Content | None:
    if row is None or row["live_version"] is None:
        return None
    return Content(
        identifier=row["identifier"],
        name=row["name"],
        kind=ContentKind(row["kind"]),
        status=row["status"],
        mime_type=row["mime_type"],
        leaf_nodes_count=row["leaf_nodes_count"] or 0,
        root=row["root"],
        live_version=row["live_version"],
        published_on=row["published_on"],
    )


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
    return RelationTree(*published, nodes, since.get(published[0]))


def _hierarchy(rows: Sequence[Row], version: int) -> Hierarchy | None:
    chunks = sorted((row for row in rows if row["version"] == version), key=lambda row: row["chunk"])
    if not chunks or len(chunks) < chunks[0]["chunks"]:
        return None
    chunks = chunks[: chunks[0]["chunks"]]  # more are left of an attempt that came to nothing
    return Hierarchy(orjson.loads(zlib.decompress(b"".join(row["data"] for row in chunks))), version)


def encode_hierarchy(node: dict[str, Any], chunk_size: int = 256 * 1024) -> list[bytes]:
    """The chunks that ``content_hierarchy`` stores of a tree."""
    data = zlib.compress(orjson.dumps(node))
    return [data[start : start + chunk_size] for start in range(0, len(data), chunk_size)]


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
    return {"metadata": orjson.dumps(metadata_of(node)).decode()}


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
