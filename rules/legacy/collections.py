"""The existing platform's hierarchies as ours (R-COLL-7, P-2.8).

A live tree stands under the id of its collection, the version that authors were at work on under that id and ``.img``.
Both are nested JSON. Of the latter the root has its id and children only, and what a child says of itself in one place
stands beside it (``relational_metadata``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from rules.drafts import COMPUTED, OF_A_PLACE, DraftStatus
from rules.hierarchy import (
    COLLECTION_MIME_TYPE,
    Hierarchy,
    Json,
    checked_hierarchy,
    children_of,
    is_collection,
)
from rules.legacy.tables import LegacyColumn, LegacyRow, LegacyTable
from rules.legacy.values import Mapped, Unreadable
from rules.loading import LoadedTree, loaded_tree, version_key_of
from rules.texts import without_hidden

HIERARCHIES = LegacyTable(
    "content_hierarchy",
    ("identifier",),
    (
        LegacyColumn("hierarchy", "there is nothing to bring over", is_needed=True),
        LegacyColumn("relational_metadata", "children are the same below each parent"),
    ),
    ours=frozenset({"chunks"}),
)
IMAGE = ".img"
"""What the key of a version for authors ends with."""

RETIRED = "retired"
UNIT = "a unit, stored under its own id"
NO_HIERARCHY = "no hierarchy in the row"
_LIVE = frozenset({"Live", "Unlisted", "Flagged"})
_PUBLISHED = frozenset(
    {
        *("status", "prevState", "prevStatus", "lastStatusChangedOn", "lastUpdatedOn", "versionKey"),
        *("pkgVersion", "lastPublishedOn", "lastPublishedBy", "downloadUrl", "variants", "size", "toc_url"),
        *("leafNodes", "leafNodesCount", "childNodes", "mimeTypesCount", "contentTypesCount"),
        *("totalCompressedSize", "compatibilityLevel", "appIcon", "posterImage", "publish_type", "s3Key"),
        *("identifier", *OF_A_PLACE, *COMPUTED),
    }
)
"""What publishing writes into a tree, or follows from the place: no sign that an author has changed something."""


@dataclass(frozen=True)
class LegacyCollection:
    """A collection as it is brought over. ``live``: what learners see, None if it was never published."""

    tree: LoadedTree
    live: Hierarchy | None

    @property
    def is_edited(self) -> bool:
        """Whether authors have something that learners don't see."""
        return self.tree.root.status is DraftStatus.DRAFT


def root_of(key: str) -> str:
    """Returns the id of the collection that a row belongs to."""
    return key.removesuffix(IMAGE)


def collection_of(plain: LegacyRow | None, image: LegacyRow | None) -> Mapped[LegacyCollection]:
    """Returns the collection that these two rows hold: the one under its id, and the one with ``.img``.

    Raises Unreadable if there is nothing to bring over, InvalidInput that names the path if a tree is refused.
    """
    notes: list[str] = []
    live, edit = _tree(plain), _tree(image)
    if _show_names(live) | _show_names(edit):
        notes.append("name: a control character in it is a space")
    if live is None and edit is None:
        raise Unreadable(NO_HIERARCHY)
    if live is not None and not _is_live(live):
        if _is_unit(live):
            raise Unreadable(UNIT)
        if live.get("status") == "Retired":
            raise Unreadable(RETIRED)
        # One that was never published may stand under its plain id.
        live, edit, image = (None, live, plain) if edit is None else (None, edit, image)
        notes.append("the row without .img is not live: not published")
    if edit is not None and edit.get("status") == "Retired":
        if live is None:
            raise Unreadable(RETIRED)
        edit = None
        notes.append("the version for authors is retired: not brought over")
    published = None if live is None else checked_hierarchy(live)
    if edit is not None:
        edit = _named(_with_places(edit, image, published, notes), live, notes)
    return Mapped(_collection(published, edit), notes)


def _collection(published: Hierarchy | None, edit: Json | None) -> LegacyCollection:
    if published is not None and edit is None:
        return LegacyCollection(loaded_tree(published, live=True), published)
    checked = checked_hierarchy(edit)
    if published is not None and _shape(checked.root) == _shape(published.root):
        return LegacyCollection(loaded_tree(published, live=True), published)
    tree = loaded_tree(checked, live=False)
    seen = {} if published is None else loaded_tree(published, live=True).leaves
    both = {"edit": checked.root, "live": published and published.root}
    root = replace(tree.root, status=DraftStatus.DRAFT, version_key=version_key_of(both))
    return LegacyCollection(replace(tree, root=root, leaves={**tree.leaves, **seen}), published)


def _tree(row: LegacyRow | None) -> Json | None:
    """Returns the tree in a row, its root under the id of the collection."""
    if row is None or not row.get("hierarchy"):
        return None
    try:
        tree = orjson.loads(row["hierarchy"])
    except orjson.JSONDecodeError:
        raise Unreadable("the hierarchy is no JSON") from None
    if not isinstance(tree, dict):
        raise Unreadable("the hierarchy is no JSON object")
    root = root_of(row["identifier"])
    if root_of(str(tree.get("identifier", root))) != root:
        raise Unreadable("the hierarchy is of another identifier than its row")
    return {**tree, "identifier": root}


def _show_names(tree: object) -> bool:
    """Writes each name in the tree as it may be stored. Returns whether one had a hidden character."""
    found, left = False, [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            name, children = node.get("name"), node.get("children")
            if isinstance(name, str) and not name.isprintable():
                node["name"] = without_hidden(name)
                found |= node["name"] != name
            left += children if isinstance(children, list) else ()
    return found


def _is_unit(tree: Json) -> bool:
    visibility = tree.get("visibility")
    if isinstance(visibility, str):
        return visibility.lower() == "parent"
    return bool(tree.get("parent"))


def _is_live(tree: Json) -> bool:
    """Whether learners see it. A live root has all of its metadata; the status may be missing."""
    return not _is_unit(tree) and (tree["status"] in _LIVE if tree.get("status") else "name" in tree)


def _named(edit: Json, live: Json | None, notes: list[str]) -> Json:
    """Returns the tree with metadata of its root, which the platform keeps elsewhere: that of the live one."""
    if "name" in edit:
        return edit
    if live is not None:
        return {**live, **edit}
    notes.append("the root has no name in the row: it is named by its id")
    return {
        "identifier": edit["identifier"],
        "name": edit["identifier"],
        "mimeType": COLLECTION_MIME_TYPE,
        **edit,
    }


def _with_places(tree: Json, row: LegacyRow | None, live: Hierarchy | None, notes: list[str]) -> Json:
    """Returns the tree with what children say of themselves below one parent.

    ``relational_metadata`` has, for each parent, what the call that changed the hierarchy said: under
    ``relationalMetadata`` by child, or by child at once. Publishing empties it. So a parent that is not in it has what is
    live.
    """
    of_parents = {} if live is None else _places(live)
    try:
        said = orjson.loads((row or {}).get("relational_metadata") or "{}")
        of_parents |= {root_of(parent): _of_children(below) for parent, below in said.items()}
    except (orjson.JSONDecodeError, AttributeError):
        notes.append("relational_metadata: no JSON object, left out")

    def placed(node: Json) -> Json:
        if not isinstance(node, dict) or not isinstance(node.get("children"), list):
            return node  # what is wrong with it, the check of the tree says
        of_children = of_parents.get(str(node.get("identifier")), {})
        return {**node, "children": [_placed(placed(child), of_children) for child in node["children"]]}

    return placed(tree)


def _places(live: Hierarchy) -> dict[str, Mapping[str, Json]]:
    return {
        identifier: {
            child["identifier"]: child["relationalMetadata"]
            for child in children_of(node)
            if child.get("relationalMetadata")
        }
        for identifier, node in live.nodes.items()
    }


def _of_children(below: Any) -> Mapping[str, Json]:
    of_children = below.get("relationalMetadata", below) if isinstance(below, dict) else None
    if not isinstance(of_children, dict):
        return {}
    return {child: said for child, said in of_children.items() if isinstance(said, dict) and said}


def _placed(child: Json, of_children: Mapping[str, Json]) -> Json:
    said = of_children.get(str(child.get("identifier"))) if isinstance(child, dict) else None
    if said is None:
        return child
    there = child.get("relationalMetadata")
    return {**child, "relationalMetadata": {**(there if isinstance(there, dict) else {}), **said}}


def _shape(node: Json, depth: int = 0) -> list[Any]:
    """Returns what an author can change of a tree, to be compared: of a leaf only where it stands."""
    place = (depth, node["identifier"], node.get("relationalMetadata") or None)
    if not is_collection(node):
        return [place]
    said = {name: value for name, value in node.items() if name not in _PUBLISHED and value is not None}
    return [(*place, said), *(each for child in children_of(node) for each in _shape(child, depth + 1))]
