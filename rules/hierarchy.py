"""A collection's tree and what follows from it: leaves, optional nodes, ancestors (R-PROGRESS-2, P-4.1)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import orjson

from rules.errors import InvalidInput
from rules.identifiers import checked_id

COLLECTION_MIME_TYPE = "application/vnd.ekstep.content-collection"
DEEPEST = 32
"""Levels a tree may have; a deeper one is refused when it is loaded."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Relations:
    """What progress needs to know of one node: the leaves below it, which nodes are optional, and who is above it.

    ``ancestors`` holds every inner collection on every path, the root included; a leaf in two units has both.
    """

    node: str
    leaf_nodes: frozenset[str] = frozenset()
    optional_nodes: frozenset[str] = frozenset()
    ancestors: frozenset[str] = frozenset()

    @cached_property
    def required(self) -> frozenset[str]:
        return self.leaf_nodes - self.optional_nodes


@dataclass(frozen=True)
class RelationTree:
    """The relations of every node of one published version of a collection. Immutable, so it may be cached."""

    root: str
    version: int
    nodes: Mapping[str, Relations]

    @property
    def leaf_nodes(self) -> frozenset[str]:
        return self.nodes[self.root].leaf_nodes

    def required(self, node: str) -> frozenset[str]:
        found = self.nodes.get(node)
        return found.required if found else frozenset()

    @cached_property
    def collections(self) -> tuple[str, ...]:
        """The root and every inner collection: those that have an aggregate row of their own."""
        inner = sorted({above for node in self.nodes.values() for above in node.ancestors} - {self.root})
        return (self.root, *inner)

    def touched_by(self, leaves: frozenset[str]) -> frozenset[str]:
        """The collections above these leaves, the root included even where none is known."""
        above = (self.nodes[leaf].ancestors for leaf in leaves if leaf in self.nodes)
        return frozenset({self.root}.union(*above))


@dataclass(frozen=True)
class Hierarchy:
    """One version of a collection as nested JSON: ``{identifier, name, children: [...], …}``."""

    root: Json
    version: int = 1
    _by_id: dict[str, Json] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for node in walk(self.root):
            self._by_id.setdefault(node["identifier"], node)

    @property
    def identifier(self) -> str:
        return str(self.root["identifier"])

    def node(self, identifier: str) -> Json | None:
        return self._by_id.get(identifier)

    @property
    def nodes(self) -> Mapping[str, Json]:
        return self._by_id

    @cached_property
    def serialised(self) -> bytes:
        """The tree as JSON, made once for all who are sent the whole of it."""
        return orjson.dumps(self.root)


def children_of(node: Json) -> list[Json]:
    return node.get("children") or []


def is_collection(node: Json) -> bool:
    """An inner node: it has children, or says that it is one and has none yet."""
    return bool(children_of(node)) or node.get("mimeType") == COLLECTION_MIME_TYPE


def is_optional(node: Json) -> bool:
    """As the platform marks it: ``relationalMetadata.optional`` of the child, a boolean or the text "true"."""
    mark = (node.get("relationalMetadata") or {}).get("optional", node.get("optional"))
    return mark is True or str(mark).lower() == "true"


def walk(node: Json) -> Iterator[Json]:
    """Every node from the top down, in the tree's order; a node in two places comes twice."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(children_of(current)))


def checked_hierarchy(document: object, version: int = 1) -> Hierarchy:
    """The document as a Hierarchy; InvalidInput that names the path of what is wrong with it.

    Refused: a node without identifier or name, fields of another type than they have, children that are no list, a node below itself, two different
    nodes under one identifier, a tree deeper than 32.
    """
    seen: dict[str, tuple[object, ...]] = {}

    def check(node: object, path: str, above: tuple[str, ...]) -> None:
        if not isinstance(node, dict):
            raise InvalidInput(f"{path} must be an object", field=path)
        identifier = node.get("identifier")
        if not isinstance(identifier, str):
            raise InvalidInput(f"{path}.identifier must be a text", field=f"{path}.identifier")
        if checked_id(identifier, f"{path}.identifier") != identifier:
            raise InvalidInput(f"{path}.identifier must not have space around it", field=f"{path}.identifier")
        if not isinstance(node.get("name"), str):
            raise InvalidInput(f"{path}.name must be a text", field=f"{path}.name")
        if identifier in above:
            raise InvalidInput(f"{path}: {identifier} is below itself", field=path)
        if len(above) >= DEEPEST:
            raise InvalidInput(f"{path}: a tree may have at most {DEEPEST} levels", field=path)
        children = node.get("children")
        if children is not None and not isinstance(children, list):
            raise InvalidInput(f"{path}.children must be a list", field=f"{path}.children")
        for name, kind, expected in (("mimeType", str, "a text"), ("relationalMetadata", dict, "an object")):
            if not isinstance(node.get(name), kind | None):
                raise InvalidInput(f"{path}.{name} must be {expected}", field=f"{path}.{name}")
        for index, child in enumerate(children or ()):
            check(child, f"{path}.children[{index}]", (*above, identifier))
        below = tuple((child["identifier"], is_optional(child)) for child in children or ())
        shape = (node["name"], is_collection(node), below)
        if seen.setdefault(identifier, shape) != shape:
            raise InvalidInput(
                f"{path}: {identifier} stands elsewhere with another name, type or children", field=path
            )

    check(document, "collection", ())
    return Hierarchy(cast("Json", document), version)


def relations_of(hierarchy: Hierarchy) -> RelationTree:
    """The relations of every node, computed from the tree alone, never from a stored ``leafNodes`` (P-4.1).

    Optional as the platform has it: a node's optional set holds its optional children and those of its other
    children; an optional unit is not descended into, so its leaves stay required.
    """
    leaves: dict[str, frozenset[str]] = {}
    optional: dict[str, frozenset[str]] = {}
    ancestors: dict[str, set[str]] = {}

    def visit(node: Json, above: tuple[str, ...]) -> None:
        identifier = node["identifier"]
        ancestors.setdefault(identifier, set()).update(above)
        if not is_collection(node):
            return
        below: set[str] = set()
        marked: set[str] = set()
        for child in children_of(node):
            child_id = child["identifier"]
            visit(child, (*above, identifier))
            below |= leaves[child_id] if is_collection(child) else {child_id}
            if is_optional(child):
                marked.add(child_id)
            else:
                marked |= optional.get(child_id, frozenset())
        leaves[identifier] = frozenset(below)
        optional[identifier] = frozenset(marked)

    visit(hierarchy.root, ())
    nodes = {
        node: Relations(
            node, leaves.get(node, frozenset()), optional.get(node, frozenset()), frozenset(above)
        )
        for node, above in ancestors.items()
    }
    return RelationTree(hierarchy.identifier, hierarchy.version, nodes)
