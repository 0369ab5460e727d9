"""A collection's tree and what follows from it: leaves, optional nodes, ancestors (R-PROGRESS-2, P-4.1)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

from rules.errors import InvalidInput
from rules.identifiers import checked_id

COLLECTION_MIME_TYPE = "application/vnd.ekstep.content-collection"
RETIRED = "Retired"
"""The status of a content that is not to be used any more. A publish leaves it out; a tree may come from elsewhere."""
DEEPEST = 32
"""The most levels that a tree may have. A deeper one is refused when it is loaded."""

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
    """The relations of every node of one published version of a collection. Immutable, so it may be cached.

    ``unchanged_since``: the first of the versions up to this one whose figures are those of this one; None for this one
    alone.
    """

    root: str
    version: int
    nodes: Mapping[str, Relations]
    unchanged_since: int | None = None

    @property
    def leaf_nodes(self) -> frozenset[str]:
        return self.nodes[self.root].leaf_nodes

    def required(self, node: str) -> frozenset[str]:
        found = self.nodes.get(node)
        return found.required if found else frozenset()

    @cached_property
    def collections(self) -> tuple[str, ...]:
        """The root and every unit: the nodes that have an aggregate of their own."""
        inner = sorted({above for node in self.nodes.values() for above in node.ancestors} - {self.root})
        return (self.root, *inner)

    def counts_like(self, other: "RelationTree") -> bool:
        """Whether any learner has the same figures in both: the same units, with the same leaves, of which the same
        are required."""
        return self._counted == other._counted

    @cached_property
    def _counted(self) -> Mapping[str, tuple[frozenset[str], frozenset[str]]]:
        return {node: (self.nodes[node].leaf_nodes, self.required(node)) for node in self.collections}

    @property
    def since(self) -> int:
        """The first version whose figures are those of this one."""
        return self.unchanged_since or self.version

    def following(self, before: "RelationTree | None", *, renamed: bool = False) -> "RelationTree":
        """Returns the tree of this version, published after ``before``, with what it says of earlier figures.

        A collection that was ``renamed`` counts as changed: enrolments repeat its name.
        """
        if before is None or renamed or not self.counts_like(before):
            return replace(self, unchanged_since=None)
        return replace(self, unchanged_since=before.since)

    def covers(self, version: int | None) -> bool:
        """Whether figures that were computed in ``version`` are those of this one."""
        return version is not None and self.since <= version <= self.version

    def touched_by(self, leaves: frozenset[str]) -> frozenset[str]:
        """Returns the collections above these leaves. The root is always among them, even where no leaf is known."""
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


def children_of(node: Json) -> list[Json]:
    return node.get("children") or []


def is_collection(node: Json) -> bool:
    """Whether the node is an inner one: it has children, or its MIME type says so."""
    return bool(children_of(node)) or node.get("mimeType") == COLLECTION_MIME_TYPE


def is_optional(node: Json) -> bool:
    """Whether progress does without the node. It is marked as the platform does it: ``relationalMetadata.optional`` of
    the child is true, or the text "true". A retired leaf is not required either (R-PROGRESS-2)."""
    mark = (node.get("relationalMetadata") or {}).get("optional", node.get("optional"))
    return mark is True or str(mark).lower() == "true" or _is_retired(node)


def _is_retired(node: Json) -> bool:
    return node.get("status") == RETIRED and not is_collection(node)


def walk(node: Json) -> Iterator[Json]:
    """Yields every node from the top down, in the tree's order. A node in two places comes twice."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(children_of(current)))


def checked_hierarchy(document: object, version: int = 1) -> Hierarchy:
    """Returns the document as a Hierarchy. InvalidInput names the path of what is wrong with it.

    It refuses a node without identifier or name, a field of the wrong type, children that are no list, a node below
    itself, two different nodes under one identifier, and a tree of more than DEEPEST levels.
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
    """Computes the relations of every node from the tree alone, never from a stored ``leafNodes`` (P-4.1).

    The optional set of a node has its optional children and the optional sets of its other children. Nothing below an
    optional unit is in it, so the leaves of that unit stay required.
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
