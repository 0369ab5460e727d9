"""A collection's tree and what follows from it: leaves, optional nodes, ancestors (R-PROGRESS-2, P-4.1)."""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, TypeGuard, cast

from rules.contents import RETIRED, Content, ContentKind
from rules.errors import InvalidInput
from rules.identifiers import LONGEST_ID, checked_id
from rules.texts import check_text

COLLECTION_MIME_TYPE = "application/vnd.ekstep.content-collection"
DEEPEST = 32
"""The most levels that a tree may have. A deeper one is refused when it is loaded."""

Json = dict[str, Any]

_PLAIN_ID = re.compile(rf"[\w.:-]{{1,{LONGEST_ID}}}", re.ASCII).fullmatch
"""Tells ids that ``checked_id`` takes as they are. Nearly all are, and a tree has thousands."""


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

    @cached_property
    def leaves_in_order(self) -> tuple[str, ...]:
        """By their identifiers, so that what is told of each is told in one order."""
        return tuple(sorted(self.leaf_nodes))


@dataclass(frozen=True)
class RelationTree:
    """The relations of every node of one published version of a collection. Immutable, so it may be cached.

    ``unchanged_since``: the first of the versions up to this one whose figures are those of this one; None for this one
    alone. ``pass_marks``: of the leaves that publish one, in percent of the maximum score.
    """

    root: str
    version: int
    nodes: Mapping[str, Relations]
    unchanged_since: int | None = None
    pass_marks: Mapping[str, float] = field(default_factory=dict)

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
        are required, and the same pass marks."""
        return self._counted == other._counted and self.pass_marks == other.pass_marks

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
        return version is not None and (self.unchanged_since or self.version) <= version <= self.version

    def touched_by(self, leaves: Set[str]) -> frozenset[str]:
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

    @cached_property
    def leaves(self) -> Mapping[str, tuple[int, Json]]:
        """The leaves with their places among each other, from 0, each once, in the tree's order. A page of them must not cost
        what the whole tree does."""
        below = (node for node in self._by_id.values() if node is not self.root and not is_collection(node))
        return {node["identifier"]: (place, node) for place, node in enumerate(below)}

    @cached_property
    def leaves_in_order(self) -> Sequence[Json]:
        return [node for _, node in self.leaves.values()]


def children_of(node: Json) -> list[Json]:
    return node.get("children") or []


def is_collection(node: Json) -> bool:
    """Whether the node is an inner one: it has children, or its MIME type says so."""
    return bool(children_of(node)) or node.get("mimeType") == COLLECTION_MIME_TYPE


def kind_in(root: str, node: Json) -> ContentKind:
    """Returns what a node of this collection's tree is."""
    if not is_collection(node):
        return ContentKind.CONTENT
    return ContentKind.COLLECTION if node["identifier"] == root else ContentKind.UNIT


def content_in(root: str, version: int, node: Json, leaves: int, published_on: datetime | None) -> Content:
    """Returns a node as a content of this version of the collection. ``leaves``: how many distinct ones are below it."""
    return Content(
        identifier=node["identifier"],
        name=node["name"],
        kind=kind_in(root, node),
        status=str(node.get("status") or "Live"),
        mime_type=node.get("mimeType"),
        leaf_nodes_count=leaves,
        root=root,
        live_version=version,
        published_on=published_on,
    )


def is_optional(node: Json) -> bool:
    """Whether progress does without the node. It is marked as the platform does it: ``relationalMetadata.optional`` of
    the child is true, or the text "true". A retired leaf is not required either (R-PROGRESS-2)."""
    mark = (node.get("relationalMetadata") or {}).get("optional", node.get("optional"))
    return mark is True or str(mark).lower() == "true" or _is_retired(node)


def pass_mark_of(node: Json) -> float | None:
    """Returns the pass mark that a leaf publishes: ``passMark``, in percent of the maximum score. None if there is none."""
    mark = node.get("passMark")
    return float(mark) if is_pass_mark(mark) and not is_collection(node) else None


def is_pass_mark(value: object) -> TypeGuard[float]:
    """Whether the value is a pass mark: a number from 0 to 100."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100


def _is_retired(node: Json) -> bool:
    """A publish leaves out what is retired; a tree may come from elsewhere."""
    return node.get("status") == RETIRED and not is_collection(node)


def walk(node: Json) -> Iterator[Json]:
    """Yields every node from the top down, in the tree's order. A node in two places comes twice."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(children_of(current)))


def document_of(answer: object) -> object:
    """Returns the tree in a whole answer of the platform's read API: what is under ``result.content`` or
    ``result.collection``, or under one of these names alone. Anything else is returned as it is.

    InvalidInput says that the answer has no tree, as when what was read is not there.
    """
    if not isinstance(answer, dict) or "identifier" in answer:
        return answer
    result = answer.get("result", answer)
    for name in ("content", "collection"):
        if isinstance(result, dict) and name in result:
            return result[name]
    if "result" not in answer:
        return answer
    params = answer.get("params")
    said = (params.get("errmsg") if isinstance(params, dict) else None) or answer.get("responseCode")
    raise InvalidInput(
        "result has neither content nor collection" + (f": the answer says {said}" if said else ""),
        field="result",
    )


def checked_hierarchy(document: object, version: int = 1) -> Hierarchy:
    """Returns the document as a Hierarchy. InvalidInput names the path of what is wrong with it.

    It refuses a node without identifier or name, a name with a hidden character, a field of the wrong type, a pass mark that is none, children that are
    no list, a node below itself or twice in one parent, two different nodes under one identifier, and a tree of more
    than DEEPEST levels.
    """
    seen: dict[str, tuple[object, ...]] = {}

    def check(node: object, at: _At | None, above: tuple[str, ...]) -> tuple[str, bool]:
        """Checks a node and all below it. Returns its identifier and whether it is optional, which its parent needs."""
        if not isinstance(node, dict):
            raise _refused(at, "", "must be an object")
        identifier = _checked_fields(node, at)
        if identifier in above:
            raise _refused(at, "", f"{identifier} is below itself", " ")
        if len(above) >= DEEPEST:
            raise _refused(at, "", f"a tree may have at most {DEEPEST} levels", " ")
        below: tuple[tuple[str, bool], ...] = ()
        if children := node.get("children"):
            under = (*above, identifier)
            below = tuple([check(child, (at, index), under) for index, child in enumerate(children)])
            _check_distinct(below, at)
        shape = (node["name"], bool(below) or is_collection(node), pass_mark_of(node), below)
        if seen.setdefault(identifier, shape) != shape:
            raise _refused(
                at, "", f"{identifier} stands elsewhere with another name, type, passMark or children", " "
            )
        return identifier, is_optional(node)

    check(document, None, ())
    return Hierarchy(cast("Json", document), version)


_At = tuple[Any, int]
"""Where a node stands: its parent's place, and its index among the children. It becomes a path when something is wrong."""


def _checked_fields(node: Json, at: _At | None) -> str:
    """Returns the identifier of a node whose own fields are of the right types."""
    identifier = node.get("identifier")
    if not isinstance(identifier, str):
        raise _refused(at, ".identifier", "must be a text")
    if not _PLAIN_ID(identifier):
        path = f"{_path(at)}.identifier"
        if checked_id(identifier, path) != identifier:
            raise _refused(at, ".identifier", "must not have space around it")
    name = node.get("name")
    if not isinstance(name, str):
        raise _refused(at, ".name", "must be a text")
    if not name.isprintable():  # the path is worked out only for what is looked at
        check_text(name, f"{_path(at)}.name")
    children = node.get("children")
    if children is not None and not isinstance(children, list):
        raise _refused(at, ".children", "must be a list")
    for key, kind, expected in (("mimeType", str, "a text"), ("relationalMetadata", dict, "an object")):
        if not isinstance(node.get(key), kind | None):
            raise _refused(at, f".{key}", f"must be {expected}")
    mark = node.get("passMark")
    if mark is not None and not is_pass_mark(mark):
        raise _refused(at, ".passMark", "must be a number from 0 to 100: a percentage of the maximum score")
    return identifier


def _check_distinct(below: Sequence[tuple[str, bool]], at: _At | None) -> None:
    if len({identifier for identifier, _ in below}) == len(below):
        return
    first: dict[str, int] = {}
    for index, (identifier, _) in enumerate(below):
        if first.setdefault(identifier, index) != index:
            raise _refused(
                (at, index), "", f"{identifier} is child {first[identifier]} of its parent too", " "
            )


def _refused(at: _At | None, field: str, why: str, between: str = "") -> InvalidInput:
    path = _path(at) + field
    return InvalidInput(f"{path}{':' if between else ''} {why}", field=path)


def _path(at: _At | None) -> str:
    return "collection" if at is None else f"{_path(at[0])}.children[{at[1]}]"


def relations_of(hierarchy: Hierarchy) -> RelationTree:
    """Computes the relations of every node from the tree alone, never from a stored ``leafNodes`` (P-4.1).

    The optional set of a node has its optional children and the optional sets of its other children. Nothing below an
    optional unit is in it, so the leaves of that unit stay required.
    """
    leaves: dict[str, frozenset[str]] = {}
    optional: dict[str, frozenset[str]] = {}
    ancestors: dict[str, set[str]] = {}
    pass_marks: dict[str, float] = {}

    def visit(node: Json, above: tuple[str, ...]) -> None:
        identifier = node["identifier"]
        ancestors.setdefault(identifier, set()).update(above)
        if not is_collection(node):
            if (mark := pass_mark_of(node)) is not None:
                pass_marks[identifier] = mark
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
    return RelationTree(hierarchy.identifier, hierarchy.version, nodes, pass_marks=pass_marks)
