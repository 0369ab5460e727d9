"""Metadata of what can be learned from: a collection, a unit of one, a leaf."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import orjson

LARGEST_METADATA = 32 * 1024
"""The most bytes of a node's metadata that are kept beside its tree, serialised."""

RETIRED = "Retired"
"""The status of what takes no new learners and is not found any more, as the platform writes it."""

Metadata = Mapping[str, Any]
"""What was published of a node itself, by the names that it was published under."""


class ContentKind(Enum):
    COLLECTION = "collection"
    """A published tree of its own."""
    UNIT = "unit"
    """An inner node of one."""
    CONTENT = "content"
    """A leaf, or a content in no collection."""


class HierarchyMode(Enum):
    """Which form of a collection is read."""

    LIVE = "live"
    """What learners see: the version that is published."""
    EDIT = "edit"
    """What authors see: the draft."""


@dataclass(frozen=True, slots=True)
class Content:
    """``root`` and ``live_version`` lead to the published tree that the node is in."""

    identifier: str
    name: str
    kind: ContentKind
    status: str
    mime_type: str | None
    leaf_nodes_count: int
    root: str
    live_version: int
    published_on: datetime | None = None

    @property
    def is_retired(self) -> bool:
        return self.status == RETIRED


def metadata_of(node: Metadata) -> Metadata:
    """Returns the metadata of a published node, without its children. Where they are larger than LARGEST_METADATA the
    largest values are left out: these are lists of ids and texts of pages, and the tree has them."""
    sizes = {name: len(orjson.dumps(value)) for name, value in node.items() if name != "children"}
    left = sum(sizes.values()) - LARGEST_METADATA
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if left <= 0:
            break
        left -= sizes.pop(name)
    return {name: value for name, value in node.items() if name in sizes}
