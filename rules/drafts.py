"""What authors edit: a content or a collection, and the edit form of a collection's tree (R-COLL-3).

The edit form is flat: the metadata of each unit, and the ordered children of the root and each unit. Leaves are named
there and nothing else: their metadata is that of the content. The live form is nested JSON (rules/hierarchy.py).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Self

import orjson

from rules.contents import RETIRED, ContentKind, Metadata
from rules.hierarchy import Json, children_of, is_collection
from rules.moments import written

OF_A_PLACE = ("relationalMetadata", "optional")
"""What a node says of itself at one place: it may be optional in one unit and required in another."""
COMPUTED = ("parent", "index", "depth", "children")
"""What follows from the place of a node in the tree."""


class DraftStatus(Enum):
    """Where a draft is in its life. The values are the platform's."""

    DRAFT = "Draft"
    """It was changed since it was published, or never published."""
    LIVE = "Live"
    UNLISTED = "Unlisted"
    RETIRED = RETIRED


@dataclass(frozen=True, slots=True)
class Draft:
    """A content or a collection as its authors see it.

    - ``metadata``: everything that is said of it, by the platform's names; ``name`` is among it. Whole, whatever its size.
    - ``version_key``: changes with every change. A change names the one that it was made from.
    - ``form_key``: leads to the edit form that is stored of a collection; None for one without children, and for a content.
    - ``imported``: it came with a hierarchy that was loaded, and nobody has edited it since.
    """

    identifier: str
    kind: ContentKind
    status: DraftStatus
    metadata: Metadata
    version_key: str
    mime_type: str | None = None
    form_key: str | None = None
    imported: bool = False
    created_by: str | None = None
    created_on: datetime | None = None
    updated_by: str | None = None
    updated_on: datetime | None = None

    @property
    def name(self) -> str:
        return str(self.metadata["name"])

    @property
    def is_shallow_copy(self) -> bool:
        """Whether the tree is that of the collection it was copied from, and is changed there alone (P-2.9)."""
        origin = self.metadata.get("originData")
        if isinstance(origin, str):  # as older rows of the platform have it
            try:
                origin = orjson.loads(origin)
            except orjson.JSONDecodeError:
                return False
        return isinstance(origin, Mapping) and str(origin.get("copyType")).lower() == "shallow"


@dataclass(frozen=True)
class EditForm:
    """The tree of a collection below its root, flat.

    - ``units``: the metadata of each unit. Keys that follow from a place (OF_A_PLACE, COMPUTED) may stand in it, from
      where it was loaded: they only keep their position among the keys, and are written anew for each place.
    - ``children``: the ordered children of the root and of each unit. A unit without children may be left out.
    - ``places``: what a child says of itself below this parent alone: those of OF_A_PLACE that it has there.
    """

    root: str
    units: Mapping[str, Metadata] = field(default_factory=dict)
    children: Mapping[str, Sequence[str]] = field(default_factory=dict)
    places: Mapping[str, Mapping[str, Metadata]] = field(default_factory=dict)

    @property
    def leaves(self) -> list[str]:
        """Returns the distinct leaves, each at its first place in the order of ``children``."""
        named = dict.fromkeys(child for below in self.children.values() for child in below)
        return [child for child in named if child not in self.units]

    def encode(self) -> bytes:
        return orjson.dumps(
            {"nodes": self.units, "hierarchy": self.children, "places": self.places, "root": self.root}
        )

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        document = orjson.loads(stored)
        return cls(document["root"], document["nodes"], document["hierarchy"], document["places"])


def described(draft: Draft) -> Json:
    """Returns the draft's metadata with what the draft itself tells: status, version key, when and by whom."""
    told: Json = {"status": draft.status.value, "versionKey": draft.version_key}
    if draft.created_on is not None:
        told |= {"createdOn": written(draft.created_on)}
    if draft.updated_on is not None:
        told |= {"lastUpdatedOn": written(draft.updated_on), "lastUpdatedBy": draft.updated_by}
    if draft.created_by is not None and "createdBy" not in draft.metadata:
        told |= {"createdBy": draft.created_by}
    return {**draft.metadata, **told}


def own_metadata(node: Metadata) -> dict[str, Any]:
    """Returns what a node says of itself wherever it stands."""
    return {name: value for name, value in node.items() if name not in OF_A_PLACE and name not in COMPUTED}


def without_children(node: Json) -> Json:
    """Returns a node's metadata. Children are in the form; the key stays for its position among the others."""
    return {**node, "children": []} if "children" in node else node


def flattened(document: Json, published: Collection[str] = ()) -> tuple[EditForm, dict[str, Json]]:
    """Returns the edit form of a nested tree that was checked (``checked_hierarchy``), and the leaves' nodes by id.

    A node in several places has the metadata of the first. ``published``: collections in the tree that are published by
    themselves, such as the courses of a program. The form names them as it names leaves.
    """
    units: dict[str, Json] = {}
    leaves: dict[str, Json] = {}
    children: dict[str, list[str]] = {}
    places: dict[str, dict[str, Json]] = {}
    waiting = [document]
    while waiting:
        node = waiting.pop()
        identifier = node["identifier"]
        if identifier in children:
            continue
        if node is not document and (identifier in published or not is_collection(node)):
            leaves.setdefault(identifier, node)
            continue
        waiting += reversed(children_of(node))
        children[identifier] = [child["identifier"] for child in children_of(node)]
        if node is not document:
            units[identifier] = without_children(node)
        said = {
            child["identifier"]: {name: child[name] for name in OF_A_PLACE if name in child}
            for child in children_of(node)
        }
        if any(said.values()):
            places[identifier] = {child: place for child, place in said.items() if place}
    return EditForm(document["identifier"], units, children, places), leaves


def nested(root: Metadata, form: EditForm, leaves: Mapping[str, Metadata]) -> Json:
    """Returns the nested tree of an edit form that was checked (``check_form``).

    ``root`` is the root's metadata, ``leaves`` that of each leaf; of a collection that is published by itself, its tree.
    Every node keeps the order of its keys. What follows from a place is written where it stood, or else behind the
    others: ``parent``, ``index`` from 1, ``depth`` with 0 for the root.
    """

    def node(identifier: str, metadata: Metadata, parent: str | None, index: int, depth: int) -> Json:
        said = form.places.get(parent, {}).get(identifier, {}) if parent is not None else {}
        made = (
            dict(metadata)
            if parent is None
            else {name: value for name, value in metadata.items() if name not in OF_A_PLACE or name in said}
        )
        made |= said
        if parent is not None:
            made["parent"] = parent
        made |= {"index": index, "depth": depth}
        if identifier == form.root or identifier in form.units:
            made["children"] = [
                node(
                    child,
                    form.units[child] if child in form.units else leaves[child],
                    identifier,
                    number,
                    depth + 1,
                )
                for number, child in enumerate(form.children.get(identifier, ()), 1)
            ]
        elif below := children_of(made):
            made["children"] = [_at_depth(child, depth + 1) for child in below]
        return made

    return node(form.root, root, None, 0, 0)


def _at_depth(node: Json, depth: int) -> Json:
    """Returns a node of a collection within another one, with the depth that it and what is below it have there."""
    moved = {**node, "depth": depth}
    if below := children_of(node):
        moved["children"] = [_at_depth(child, depth + 1) for child in below]
    return moved
