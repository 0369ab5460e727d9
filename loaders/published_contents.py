"""Contents as their live version has them, and what was published of each.

A publish writes the rows of units and leaves before the pointer of their collection. So a row may be ahead: of a publish
that is under way, or that died. Its collection decides which version is live, and a row of another one is not believed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from loaders.kept import ENTRY, MEGABYTE, texts
from loaders.shared import SharedLoader
from loaders.trees import OF_JSON, PublishedNode, Trees
from rules.contents import Content, ContentKind, Metadata
from rules.hierarchy import content_in
from stores.rows import Row, Rows
from stores.tables import CONTENTS, NODE_ROOTS, RELATIONS

FRESH_FOR = 5.0
"""Seconds for which a content's pointer or a context may be answered from memory after another process changed it."""
MOST_METADATA = 96 * MEGABYTE
"""Bytes of metadata that a process keeps, twice: what rows have of nodes, and all of it."""
MOST_KEPT_ROOTS = 16 * MEGABYTE
"""Bytes of some 20,000 roots of trees."""
TREES_AT_ONCE = 20
"""Trees that are read at once, for metadata that the contents' rows do not have."""

_POINTERS = tuple(name for name in CONTENTS.types if name not in ("metadata", "metadata_left", "digest"))
"""The columns that make a Content. Most requests need no more, and processes keep many contents."""
_VERSION = ("identifier", "root", "live_version")


@dataclass(frozen=True, slots=True)
class _Described:
    """What is known of a node's metadata. ``left``: the names of what it lacks, which the tree has. ``live``: whether it
    is of the version that was asked for."""

    metadata: Metadata
    size: int
    left: frozenset[str] = frozenset()
    live: bool = True

    def has(self, names: Collection[str] | None) -> bool:
        return self.live and (self.left.isdisjoint(names) if names is not None else not self.left)


def size_of_content(identifier: str, content: Content) -> int:
    """Bytes that a content takes where it is kept."""
    return ENTRY + texts(identifier, content.name, content.root, content.mime_type)


def _size_of_metadata(node: PublishedNode, described: _Described) -> int:
    identifier, root, _ = node
    return ENTRY + texts(identifier, root) + OF_JSON * described.size


class PublishedContents:
    """What the loaders of contents read, and of their metadata."""

    def __init__(self, rows: Rows, trees: Trees) -> None:
        self._rows = rows
        self._trees = trees
        self._roots: SharedLoader[str, Content] = SharedLoader(
            self._roots_stored, most=MOST_KEPT_ROOTS, size=size_of_content, ttl=FRESH_FOR
        )
        """Contents that decide about themselves: the roots of trees."""
        self._described: SharedLoader[PublishedNode, _Described] = SharedLoader(
            self._describe, most=MOST_METADATA, size=_size_of_metadata
        )
        self._whole: SharedLoader[PublishedNode, _Described] = SharedLoader(
            self._describe_whole, most=MOST_METADATA, size=_size_of_metadata
        )

    async def contents(self, identifiers: list[str]) -> list[Content | None]:
        """The contents as they are live. A row that agrees with a root in memory costs nothing more."""
        keys = [(identifier,) for identifier in identifiers]
        rows = await self._rows.get_many(CONTENTS, keys, _POINTERS)
        found = [_content(rows.get(key)) for key in keys]
        for content in found:
            if content is not None and content.root == content.identifier:
                self._roots.keep(content.identifier, content)
        nodes = [content for content in found if content is not None and content.root != content.identifier]
        live = await self._live({content.root for content in nodes})
        ahead = {content.root for content in nodes if content.live_version > _version(live, content.root)}
        if ahead:  # of this process too, perhaps, and not of the collection
            for root in ahead:
                self._roots.forget(root)
            live |= await self._live(ahead)
        strays = [content for content in nodes if content.live_version != _version(live, content.root)]
        if not strays:
            return found
        held = await self.held(strays)
        shown: dict[str, Content | None] = {
            # One that is behind has left its collection, and stays a content. One that is ahead is not there yet.
            stray.identifier: held.get(stray.identifier)
            or (stray if stray.live_version < _version(live, stray.root) else None)
            for stray in strays
        }
        return [content and shown.get(content.identifier, content) for content in found]

    async def held(self, contents: Sequence[Content]) -> dict[str, Content]:
        """These contents as a published tree has them: that of their own root, or else of the first that holds them.
        Whom none holds is left out."""
        keys = [(content.identifier,) for content in contents]
        named = await self._rows.partitions(NODE_ROOTS, keys, ("node", "root"))
        among = {
            content.identifier: dict.fromkeys(
                [content.root, *sorted(row["root"] for row in named[content.identifier,])]
            )
            for content in contents
        }
        roots = await self._live({root for candidates in among.values() for root in candidates})
        places = [
            (root, roots[root].live_version, identifier)
            for identifier, candidates in among.items()
            for root in candidates
            if root in roots and root != identifier
        ]
        relations = await self._rows.get_many(RELATIONS, places, ("node", "leaf_nodes"))
        homes: dict[str, tuple[str, int, str]] = {}
        for place in places:
            if place in relations:
                homes.setdefault(place[2], place)
        trees = await self._trees.hierarchies([(root, root, version) for root, version, _ in homes.values()])
        return {
            identifier: content_in(
                *place[:2], node, len(relations[place]["leaf_nodes"] or ()), roots[place[0]].published_on
            )
            for (identifier, place), tree in zip(homes.items(), trees, strict=True)
            if tree is not None and (node := tree.node(identifier)) is not None
        }

    async def metadata_of(
        self, contents: Sequence[Content], names: Collection[str] | None = None
    ) -> dict[str, Metadata]:
        """What was published of these contents, by identifier; of each at least these names, or all.

        One statement reads the rows, however many they are. What a row does not have the tree has: of more than
        LARGEST_METADATA, of a publish that is under way, and of one before the row had any.
        """
        wanted = {_node(content): content for content in contents}
        rows = dict(zip(wanted, await self._described.load_many(list(wanted)), strict=True))
        short = [node for node, row in rows.items() if row is None or not row.has(names)]
        whole = dict(zip(short, await self._whole.load_many(short), strict=True))
        nothing = _Described({}, 0)
        return {
            # A root's row is always of a version that was live, if not of the one that a reader still knows.
            node[0]: (
                whole.get(node) or (row if row and (row.live or node[0] == node[1]) else nothing)
            ).metadata
            for node, row in rows.items()
        }

    async def _live(self, roots: Iterable[str]) -> dict[str, Content]:
        """The roots that are published, as they are now or were a moment ago."""
        found = await self._roots.load_many(list(roots))
        return {content.identifier: content for content in found if content is not None}

    async def _roots_stored(self, identifiers: list[str]) -> list[Content | None]:
        keys = [(identifier,) for identifier in identifiers]
        rows = await self._rows.get_many(CONTENTS, keys, _POINTERS)
        found = [_content(rows.get(key)) for key in keys]
        return [content if content and content.root == content.identifier else None for content in found]

    async def _describe(self, nodes: list[PublishedNode]) -> list[_Described | None]:
        keys = list({(identifier,) for identifier, _, _ in nodes})
        columns = (*_VERSION, "metadata", "metadata_left")
        rows = await self._rows.get_many(CONTENTS, keys, columns)
        return [_described(rows.get((node[0],)), node) for node in nodes]

    async def _describe_whole(self, nodes: list[PublishedNode]) -> list[_Described | None]:
        """From the trees, some at a time."""
        found: dict[PublishedNode, _Described] = {}
        by_tree: dict[PublishedNode, list[str]] = {}
        for identifier, root, version in nodes:
            by_tree.setdefault((root, root, version), []).append(identifier)
        trees = list(by_tree)
        for start in range(0, len(trees), TREES_AT_ONCE):
            portion = trees[start : start + TREES_AT_ONCE]
            for of, tree in zip(portion, await self._trees.hierarchies(portion), strict=True):
                for identifier in by_tree[of] if tree is not None else ():
                    node = tree.node(identifier) if tree is not None else None
                    if node is not None:
                        own = {name: value for name, value in node.items() if name != "children"}
                        found[identifier, of[1], of[2]] = _Described(own, len(orjson.dumps(own)))
        return [found.get(node) for node in nodes]


def _node(content: Content) -> PublishedNode:
    return content.identifier, content.root, content.live_version


def _version(roots: Mapping[str, Content], root: str) -> int:
    """The live version of a root; 0 if it was never published."""
    return roots[root].live_version if root in roots else 0


def _described(row: Row | None, node: PublishedNode) -> _Described | None:
    if row is None or row["metadata"] is None:
        return None
    return _Described(
        orjson.loads(row["metadata"]),
        len(row["metadata"]),
        row["metadata_left"] or frozenset(),
        live=tuple(row[name] for name in _VERSION) == node,
    )


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
